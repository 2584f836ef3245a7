// Copyright 2026 the Longrun authors. MIT license.

/**
 * What a {@linkcode ProcessManager} is made with, and asked for.
 *
 * @module
 */

import type { Logger } from "@longrun/tasks/logger";
import type { ProcedureInput, ScriptContext } from "./procedure.ts";
import type { WaitOptions } from "./procedure_service.ts";
import type { ProcedureState } from "./procedure_state.ts";
import type { ScriptPool } from "./script_pool.ts";

/** Options of {@linkcode ProcessManager}. */
export interface ProcessManagerOptions {
  /** Where the processes are. */
  pool: ScriptPool;
  /**
   * Told of each change, at once. With `FAILED` comes the stack of what failed.
   * What it throws is logged.
   */
  onState: (pid: number, state: ProcedureState, stack?: string) => void;
  /**
   * Told which process of the operating system is that of a procedure. What it
   * throws is logged.
   */
  onProcess?: (pid: number, osPid: number) => void;
  /**
   * How many procedures may be RUNNING. The original allows one.
   *
   * @default {1}
   */
  maxRunning?: number;
  /**
   * How many procedures may have a process.
   *
   * @default {64}
   */
  maxLive?: number;
  /**
   * The last number that was given to a procedure.
   *
   * @default {0}
   */
  lastPid?: number;
  /**
   * Told of moves that were refused.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
}

/** Options of {@linkcode ProcessManager.create}. */
export interface CreateProcessOptions {
  /** What `init` is called with. */
  readonly initArgs: ProcedureInput;
  /** What holds for it. */
  readonly context: ScriptContext;
  /** Whether it may exceed the limits: the abort script may. */
  readonly urgent?: boolean;
  /** Told the number before the first state. If it throws, there is nothing. */
  readonly onNumber?: (pid: number) => void;
}

/** Options of {@linkcode ProcessManager.run}. */
export interface RunProcessOptions extends WaitOptions {
  /** What the function is called with. */
  readonly args: ProcedureInput;
  /** What holds for it, asked for when the call begins. */
  readonly context: () => ScriptContext;
  /** Whether to wait for READY. */
  readonly forceStart?: boolean;
  /** Whether it may exceed the limits: the abort script may. */
  readonly urgent?: boolean;
  /** Called just before the function is, which is not if this throws. */
  readonly onCall?: () => void;
}
