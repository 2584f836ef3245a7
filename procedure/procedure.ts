// Copyright 2026 the Longrun authors. MIT license.

/**
 * What is known of a procedure: its arguments, its history, its summary.
 *
 * @module
 */

import type { ProcedureState } from "./procedure_state.ts";
import type { ExecutableScript } from "./script.ts";

/** The arguments of a function of a script. */
export interface ProcedureInput {
  /** The arguments by place. */
  readonly args: readonly unknown[];
  /** The arguments by name. */
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/**
 * The arguments of a function of a script.
 *
 * @param kwargs The arguments by name.
 * @param args The arguments by place.
 * @returns The input, frozen.
 *
 * @example Usage
 * ```ts
 * import { procedureInput } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(procedureInput({ subarray_id: 1 }), {
 *   args: [],
 *   kwargs: { subarray_id: 1 },
 * });
 * ```
 */
export function procedureInput(
  kwargs: Readonly<Record<string, unknown>> = {},
  args: readonly unknown[] = [],
): ProcedureInput {
  return Object.freeze({
    args: Object.freeze([...args]),
    kwargs: Object.freeze({ ...kwargs }),
  });
}

/**
 * Lays one input over another, name by name. `ProcedureInput.__add__` of
 * `ska_oso_oet`.
 *
 * @param first The input below.
 * @param second The input above: it wins. It has no arguments by place.
 * @returns The input with the names of both.
 * @throws {TypeError} If the second has arguments by place: which place they
 * would take is anybody's guess.
 *
 * @example Usage
 * ```ts
 * import { mergeInput, procedureInput } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * const merged = mergeInput(
 *   procedureInput({ gain: 1, scans: 3 }),
 *   procedureInput({ gain: 2 }),
 * );
 * assertEquals(merged.kwargs, { gain: 2, scans: 3 });
 * ```
 */
export function mergeInput(
  first: ProcedureInput,
  second: ProcedureInput,
): ProcedureInput {
  if (second.args.length > 0) {
    throw new TypeError(
      "Cannot merge inputs as the second has arguments by place",
    );
  }
  return procedureInput({ ...first.kwargs, ...second.kwargs }, first.args);
}

/** A call of a function of a script. */
export interface ArgCapture {
  /** The name of the function. */
  readonly fn: string;
  /** What it was called with. */
  readonly input: ProcedureInput;
  /** When, in milliseconds since the epoch. */
  readonly time: number;
}

/** What became of a procedure, over all its calls. */
export interface ProcedureHistory {
  /**
   * Each state, and when it began, in milliseconds since the epoch. Of more than
   * 200, the first and the latest.
   */
  readonly states: readonly (readonly [ProcedureState, number])[];
  /** How many states after the first are not kept any more, if any. */
  readonly droppedStates?: number;
  /** What failed, with its stack; `null` if nothing did. */
  readonly stacktrace: string | null;
}

/** What identifies and describes a procedure. */
export interface ProcedureSummary {
  /** Its number, from 1. */
  readonly id: number;
  /** Its script. */
  readonly script: ExecutableScript;
  /**
   * Its calls, in order. `init` is the first. Of more than 100, the first and
   * the latest.
   */
  readonly calls: readonly ArgCapture[];
  /** How many calls after the first are not kept any more, if any. */
  readonly droppedCalls?: number;
  /** What became of it. */
  readonly history: ProcedureHistory;
  /** Its state. */
  readonly state: ProcedureState;
}

/**
 * What holds for scripts now, beside their arguments: what an operator has
 * switched on or off. Each call of a script is given a frozen copy.
 */
export interface ScriptContext {
  /** Whether scripts wait until quality assurance is ready. */
  readonly waitForQaReady: boolean;
  /** What else the operator has set. Plain data. */
  readonly [name: string]: unknown;
}

/** What {@linkcode ScriptExecutionService.prepare} is asked for. */
export interface PrepareProcessCommand {
  /** The script. */
  readonly script: ExecutableScript;
  /** What its `init` is called with. */
  readonly initArgs?: ProcedureInput;
}

/** What {@linkcode ScriptExecutionService.start} is asked for. */
export interface StartProcessCommand {
  /** The number of the procedure. */
  readonly pid: number;
  /**
   * The function to call.
   *
   * @default {"main"}
   */
  readonly fn?: string;
  /** What it is called with. */
  readonly args?: ProcedureInput;
  /**
   * Whether the call waits for the procedure to be READY if it is not yet.
   *
   * @default {false}
   */
  readonly forceStart?: boolean;
}

/** What {@linkcode ScriptExecutionService.stop} is asked for. */
export interface StopProcessCommand {
  /** The number of the procedure. */
  readonly pid: number;
  /**
   * Whether the abort script runs once the procedure has ended.
   *
   * @default {false}
   */
  readonly runAbort?: boolean;
}
