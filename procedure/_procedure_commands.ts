// Copyright 2026 the Longrun authors. MIT license.

import {
  checkBoolean,
  checkChoice,
  checkCommon,
  checkFiniteCount,
  checkInput,
  checkName,
  checkOptions,
  checkScript,
  checkType,
} from "./_arguments.ts";
import {
  type PrepareProcessCommand,
  type ProcedureInput,
  procedureInput,
  type StartProcessCommand,
  type StopProcessCommand,
} from "./procedure.ts";
import type { WaitOptions } from "./procedure_service.ts";
import { PROCEDURE_STATES, type ProcedureState } from "./procedure_state.ts";

/**
 * The arguments as they are now, whatever becomes of those that were given: the
 * script is called later.
 *
 * @throws {DOMException} If one cannot be cloned.
 */
export function copyInput(input: ProcedureInput | undefined): ProcedureInput {
  if (input === undefined) return procedureInput();
  const { args, kwargs } = input;
  const copy = structuredClone({ args, kwargs });
  return procedureInput(copy.kwargs, copy.args);
}

function checkWait(action: string, options: WaitOptions): void {
  checkOptions(action, options);
  checkCommon(action, options);
}

/** Checks which states are waited for, one or several. */
export function checkStates(
  states: unknown,
  options: WaitOptions,
): readonly ProcedureState[] {
  const doing = "wait for a state";
  const wanted: unknown = typeof states === "string" ? [states] : states;
  const must = "states of a procedure";
  const areSome = Array.isArray(wanted) && wanted.length > 0;
  checkType(areSome, doing, "states", must, states);
  for (const state of wanted as unknown[]) {
    checkChoice(doing, "states", must, PROCEDURE_STATES, state);
  }
  checkWait(doing, options);
  return wanted as readonly ProcedureState[];
}

/** Checks what a procedure is to be prepared with. */
export function checkPrepare(
  command: PrepareProcessCommand,
  options: WaitOptions,
): void {
  const doing = "prepare a procedure";
  checkOptions(doing, command);
  checkScript(doing, "script", command.script);
  const { initArgs } = command;
  if (initArgs !== undefined) checkInput(doing, "initArgs", initArgs);
  checkWait(doing, options);
}

/** Checks what a procedure is to be started with. */
export function checkStart(
  command: StartProcessCommand,
  options: WaitOptions,
): void {
  const doing = "start a procedure";
  checkOptions(doing, command);
  const { pid, fn = "main", args, forceStart } = command;
  checkFiniteCount(doing, "pid", pid, 1);
  checkName(doing, "fn", fn);
  if (args !== undefined) checkInput(doing, "args", args);
  checkBoolean(doing, "forceStart", forceStart);
  checkWait(doing, options);
}

/** Checks what is to be stopped. */
export function checkStop(
  command: StopProcessCommand,
  options: WaitOptions,
): void {
  const doing = "stop a procedure";
  checkOptions(doing, command);
  checkFiniteCount(doing, "pid", command.pid, 1);
  checkBoolean(doing, "runAbort", command.runAbort);
  checkWait(doing, options);
}
