// Copyright 2026 the Longrun authors. MIT license.

import {
  checkBoolean,
  checkInput,
  checkName,
  checkType,
} from "./_arguments.ts";
import type { ActivityDefinition, RunActivityCommand } from "./activity.ts";
import {
  mergeInput,
  type ProcedureInput,
  procedureInput,
  type ProcedureSummary,
} from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { SchedulingBlockDefinition } from "./scheduling_block_store.ts";
import type { ExecutableScript } from "./script.ts";

/** No arguments. */
export const NOTHING: ProcedureInput = procedureInput();

function laidOver(
  fn: string,
  below: ProcedureInput,
  above: ProcedureInput,
): ProcedureInput {
  if (above.args.length === 0) return mergeInput(below, above);
  throw new ProcedureError(
    "arguments-refused",
    `Arguments of '${fn}' by place cannot be laid over those of the activity`,
  );
}

/**
 * The inputs of all functions that one of both names.
 *
 * @throws {ProcedureError} `"arguments-refused"`.
 */
export function mergeAll(
  below: Readonly<Record<string, ProcedureInput>>,
  above: Readonly<Record<string, ProcedureInput>>,
): Record<string, ProcedureInput> {
  const inputs = new Map(Object.entries(below));
  for (const [fn, input] of Object.entries(above)) {
    const first = inputs.get(fn);
    inputs.set(fn, first === undefined ? input : laidOver(fn, first, input));
  }
  return Object.fromEntries(inputs);
}

/** Checks a command, which may come from anywhere. */
export function checkCommand(command: RunActivityCommand): void {
  const doing = "run an activity";
  checkType(
    typeof command === "object" && command !== null,
    doing,
    "command",
    "an object",
    command,
  );
  const { name, sbdId, prepareOnly, createEnv, args = {} } = command;
  checkName(doing, "name", name);
  checkName(doing, "sbdId", sbdId);
  checkBoolean(doing, "prepareOnly", prepareOnly);
  checkBoolean(doing, "createEnv", createEnv);
  const isObject = (value: unknown): value is object =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  checkType(isObject(args), doing, "args", "an object", args);
  for (const [fn, input] of Object.entries(args)) {
    checkInput(doing, `args.${fn}`, input);
  }
}

/** The activity of a definition. */
export function activityOf(
  { id, activities }: SchedulingBlockDefinition,
  name: string,
): ActivityDefinition {
  const activity = Object.hasOwn(activities, name)
    ? activities[name]
    : undefined;
  if (activity !== undefined) return activity;
  throw new ProcedureError(
    "activity-not-defined",
    `Activity '${name}' not present in the SBDefinition ${id}`,
  );
}

/** A script whose dependencies are installed, if that is wanted. */
export function withEnv(
  script: ExecutableScript,
  isWanted: boolean,
): ExecutableScript {
  return script.type === "git" && isWanted && !script.createEnv
    ? { ...script, createEnv: true }
    : script;
}

/** Whether the `main` of a procedure was called. */
export const hasCalledMain = (
  summary: ProcedureSummary | undefined,
): boolean => summary?.calls.some(({ fn }) => fn === "main") ?? false;
