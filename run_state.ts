// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * The states that a task goes through, and the words about stopping it that
 * all tasks of the package share.
 *
 * ```text
 *            run()                              the work ends
 *  stopped --------> starting ----> running ------------------> stopped
 *                        |             |                           ^
 *                        |   stop()    |                           |
 *                        +------+------+                           |
 *                               v          the work ends           |
 *                            stopping -----------------------------+
 *
 *  starting, running, stopping -- the work throws --> errored
 * ```
 *
 * @module
 */

/**
 * The state of a task. Named after the `RunState` of `ska_pst.lmc.util`.
 *
 * @example Usage
 * ```ts
 * import { isRunning, RunState } from "@longrun/tasks/run-state";
 * import { assert, assertFalse } from "@std/assert";
 *
 * assert(isRunning(RunState.Starting));
 * assertFalse(isRunning("stopping"));
 * ```
 */
export const RunState = {
  /** Not running: not yet, or not any more. */
  Stopped: "stopped",
  /** Asked to run, the first line of the work has not been reached. */
  Starting: "starting",
  /** The work runs. */
  Running: "running",
  /** Asked to stop, the work has not ended yet. */
  Stopping: "stopping",
  /** The work has thrown. */
  Errored: "errored",
} as const;

/** One of the values of {@linkcode RunState}. */
export type RunState = typeof RunState[keyof typeof RunState];

/**
 * Whether a state counts as running, as in the original: starting or running.
 *
 * @param state The state of a task.
 * @returns Whether it is `"starting"` or `"running"`.
 */
export function isRunning(state: RunState): boolean {
  return state === RunState.Starting || state === RunState.Running;
}

/**
 * Whether a state is that of a task that has failed.
 *
 * @param state The state of a task.
 * @returns Whether it is `"errored"`.
 */
export function isErrored(state: RunState): boolean {
  return state === RunState.Errored;
}

/** A transition of a task from one state to the next. */
export interface StateChange {
  /** The state from now on. */
  readonly state: RunState;
  /** When it was entered, on the scale of the task's clock, in milliseconds. */
  readonly time: number;
  /**
   * How many transitions this consumer has lost so far, because it was more
   * than 64 of them behind.
   */
  readonly dropped: number;
}

/** Options of the `states()` of a task. */
export interface StatesOptions {
  /** Ends the iteration with the signal's reason. */
  signal?: AbortSignal;
}

/** How a stop has ended: the work too, or not within the grace. */
export type StopOutcome = "stopped" | "abandoned";

/** Options of the `stop()` of a task. */
export interface StopOptions {
  /**
   * The reason of the signal that the work sees.
   *
   * @default {DOMException with the name "AbortError"}
   */
  reason?: unknown;
  /**
   * How long to wait for the work to end, in milliseconds, before it is
   * abandoned: it may go on, but nobody waits for it any more. `Infinity`
   * waits as long as the work takes. By default it is the grace of the task.
   *
   * @default {5000}
   */
  grace?: number;
}

/** Options of the `join()` of a task. */
export interface JoinOptions {
  /** Ends the wait early. The task goes on. */
  signal?: AbortSignal;
}
