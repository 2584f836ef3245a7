// Copyright 2026 the Longrun authors. MIT license.

/**
 * What a {@linkcode ProcessManager} asks of the processes of scripts.
 *
 * @module
 */

import type { ProcedureInput, ScriptContext } from "./procedure.ts";
import type { ProcedureState } from "./procedure_state.ts";
import type { WaitOptions } from "./procedure_service.ts";
import type { ExecutableScript } from "./script.ts";

/** How the process of a script ended. */
export interface ScriptEnd {
  /** Why, for people. */
  readonly reason: string;
  /** The stack of what failed, if it is known. */
  readonly stack?: string;
}

/** Options of {@linkcode ScriptPool.create}. */
export interface CreateScriptOptions {
  /** Ends the preparation; {@linkcode ScriptPool.stop} must follow. */
  signal: AbortSignal;
  /** Told what it is at: IDLE, PREP_ENV, IDLE, LOADING, IDLE. */
  onState: (state: ProcedureState) => void;
  /** Told the number that the process has in the operating system. */
  onProcess?: (osPid: number) => void;
}

/** Processes of scripts, by the number of the procedure. */
export interface ScriptPool extends AsyncDisposable {
  /**
   * Checks that a script may be executed, before there is anything of it.
   *
   * @throws {ProcedureError} `"script-refused"`.
   */
  check(script: ExecutableScript, options?: WaitOptions): Promise<void>;
  /**
   * Starts a process, prepares its environment and loads the script in it.
   *
   * @returns The names of the functions of the script.
   */
  create(
    pid: number,
    script: ExecutableScript,
    options: CreateScriptOptions,
  ): Promise<readonly string[]>;
  /** Calls a function of the script and waits until it has ended. */
  run(
    pid: number,
    fn: string,
    input: ProcedureInput,
    context: ScriptContext,
  ): Promise<void>;
  /** Resolves when the process has ended, however it did. Never rejects. */
  ended(pid: number): Promise<ScriptEnd>;
  /**
   * Ends the process, whatever it is at, and forgets it.
   *
   * @param force Leaves the script no time to end by itself.
   * @returns `"unknown"` if nobody knows whether it has ended.
   */
  stop(pid: number, force?: boolean): Promise<"stopped" | "unknown">;
}
