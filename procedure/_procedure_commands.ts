// Copyright 2026 the Longrun authors. MIT license.

import {
  checkBoolean,
  checkFiniteCount,
  checkInput,
  checkName,
  checkOptions,
  checkScript,
} from "./_arguments.ts";
import {
  type PrepareProcessCommand,
  type ProcedureInput,
  procedureInput,
  type StartProcessCommand,
  type StopProcessCommand,
} from "./procedure.ts";

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

/** Checks what a procedure is to be prepared with. */
export function checkPrepare(command: PrepareProcessCommand): void {
  const doing = "prepare a procedure";
  checkOptions(doing, command);
  checkScript(doing, "script", command.script);
  const { initArgs } = command;
  if (initArgs !== undefined) checkInput(doing, "initArgs", initArgs);
}

/** Checks what a procedure is to be started with. */
export function checkStart(command: StartProcessCommand): void {
  const doing = "start a procedure";
  checkOptions(doing, command);
  const { pid, fn = "main", args, forceStart } = command;
  checkFiniteCount(doing, "pid", pid, 1);
  checkName(doing, "fn", fn);
  if (args !== undefined) checkInput(doing, "args", args);
  checkBoolean(doing, "forceStart", forceStart);
}

/** Checks what is to be stopped. */
export function checkStop(command: StopProcessCommand): void {
  const doing = "stop a procedure";
  checkOptions(doing, command);
  checkFiniteCount(doing, "pid", command.pid, 1);
  checkBoolean(doing, "runAbort", command.runAbort);
}
