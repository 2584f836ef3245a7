// Copyright 2026 the Longrun authors. MIT license.

/**
 * The states of a procedure and the moves between them.
 *
 * ```text
 * CREATING ── IDLE ── LOADING ── IDLE ── INITIALISING ── READY ── RUNNING ─┐
 *              │ │                │                      ▲ │ ▲             │
 *         PREP_ENV                └──── no init ─────────┘ │ └─────────────┘
 *                                                          └── COMPLETE
 * ```
 *
 * From every state that is not final there is a way to FAILED, STOPPED and
 * UNKNOWN.
 *
 * ```ts
 * import { canMove, isFinal } from "@longrun/procedure";
 * import { assert } from "@std/assert";
 *
 * assert(canMove("READY", "RUNNING"));
 * assert(!canMove("COMPLETE", "RUNNING"));
 * assert(isFinal("COMPLETE"));
 * ```
 *
 * @module
 */

/**
 * The states, by the names that `ska_oso_oet` has for them, which also travel.
 *
 * @example Usage
 * ```ts
 * import { PROCEDURE_STATES } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(PROCEDURE_STATES.length, 11);
 * ```
 */
export const PROCEDURE_STATES = [
  "UNKNOWN",
  "IDLE",
  "CREATING",
  "PREP_ENV",
  "LOADING",
  "INITIALISING",
  "READY",
  "RUNNING",
  "COMPLETE",
  "STOPPED",
  "FAILED",
] as const;

/**
 * The state of a procedure.
 *
 * - `"CREATING"`: its process is being started.
 * - `"IDLE"`: the process waits for what comes next.
 * - `"PREP_ENV"`: the environment of the script is being built.
 * - `"LOADING"`: the script is being imported.
 * - `"INITIALISING"`: its `init` runs.
 * - `"READY"`: it can be started.
 * - `"RUNNING"`: a function of it runs.
 * - `"COMPLETE"`: its `main` has ended.
 * - `"STOPPED"`: it was stopped.
 * - `"FAILED"`: the script, or its process, failed.
 * - `"UNKNOWN"`: nobody knows whether its process still runs.
 */
export type ProcedureState = typeof PROCEDURE_STATES[number];

const ENDS = ["FAILED", "STOPPED", "UNKNOWN"] as const;

/**
 * The states to which each state may move. Whatever is not in this table is
 * refused.
 *
 * @example Usage
 * ```ts
 * import { TRANSITIONS } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(TRANSITIONS.COMPLETE, []);
 * ```
 */
export const TRANSITIONS: Readonly<
  Record<ProcedureState, readonly ProcedureState[]>
> = Object.freeze({
  CREATING: ["IDLE", ...ENDS],
  IDLE: ["PREP_ENV", "LOADING", "INITIALISING", "READY", ...ENDS],
  PREP_ENV: ["IDLE", ...ENDS],
  LOADING: ["IDLE", ...ENDS],
  INITIALISING: ["READY", ...ENDS],
  READY: ["RUNNING", "COMPLETE", ...ENDS],
  RUNNING: ["READY", ...ENDS],
  // A process that could not be killed may be seen to end after all.
  UNKNOWN: ["STOPPED", "FAILED"],
  COMPLETE: [],
  STOPPED: [],
  FAILED: [],
});

/**
 * Whether a procedure may go from one state to another.
 *
 * @param from The state it is in.
 * @param to The state it would have.
 * @returns Whether it is in {@linkcode TRANSITIONS}.
 *
 * @example Usage
 * ```ts
 * import { canMove } from "@longrun/procedure";
 * import { assert } from "@std/assert";
 *
 * assert(!canMove("CREATING", "RUNNING"));
 * ```
 */
export function canMove(from: ProcedureState, to: ProcedureState): boolean {
  return TRANSITIONS[from].includes(to);
}

/**
 * Whether a procedure in this state has ended: COMPLETE, FAILED, STOPPED, or
 * UNKNOWN. Nothing can be started or stopped in it any more.
 *
 * @param state The state.
 * @returns Whether it is one of the four.
 *
 * @example Usage
 * ```ts
 * import { isFinal } from "@longrun/procedure";
 * import { assert } from "@std/assert";
 *
 * assert(isFinal("STOPPED"));
 * assert(!isFinal("READY"));
 * ```
 */
export function isFinal(state: ProcedureState): boolean {
  return state === "COMPLETE" || state === "FAILED" || state === "STOPPED" ||
    state === "UNKNOWN";
}

/**
 * Whether a value is the name of a state.
 *
 * @param value The value.
 * @returns Whether it is one of {@linkcode PROCEDURE_STATES}.
 *
 * @example Usage
 * ```ts
 * import { isProcedureState } from "@longrun/procedure";
 * import { assert } from "@std/assert";
 *
 * assert(isProcedureState("READY"));
 * assert(!isProcedureState("ready"));
 * ```
 */
export function isProcedureState(value: unknown): value is ProcedureState {
  return (PROCEDURE_STATES as readonly unknown[]).includes(value);
}
