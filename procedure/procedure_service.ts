// Copyright 2026 the Longrun authors. MIT license.

/**
 * What whoever controls procedures asks for: the REST interface, the activities
 * and the workers of the bus know no more of the service than this.
 *
 * @module
 */

import type { EventBus } from "@longrun/tasks/event-bus";
import type { ActivitySummary, RunActivityCommand } from "./activity.ts";
import type {
  PrepareProcessCommand,
  ProcedureSummary,
  ScriptContext,
  StartProcessCommand,
  StopProcessCommand,
} from "./procedure.ts";
import type { ProcedureState } from "./procedure_state.ts";
import type { ProcedureTopics, ScriptOutput } from "./procedure_topics.ts";

/** The bus of the service. Scripts add topics of their own. */
export type ProcedureBus = EventBus<ProcedureTopics & Record<string, unknown>>;

/** Options of a call that waits. */
export interface WaitOptions {
  /** Ends the wait with the reason of the signal, and nothing else. */
  signal?: AbortSignal;
}

/** Options of {@linkcode ProcedureService.waitForState}. */
export interface WaitForStateOptions extends WaitOptions {
  /**
   * How long it may take, in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number;
}

/** A line that a script wrote, as it is kept. */
export interface StoredOutput extends ScriptOutput {
  /** The number of the line in the procedure, from 1. */
  readonly line: number;
  /** When it came, in milliseconds since the epoch. */
  readonly time: number;
}

/** Options of {@linkcode ProcedureService.output}. */
export interface OutputOptions {
  /**
   * The lines after this one.
   *
   * @default {0}
   */
  after?: number;
  /**
   * At most so many lines.
   *
   * @default {1000}
   */
  limit?: number;
}

/** Prepares, starts, stops and describes procedures. */
export interface ProcedureService {
  /** Where the events of the procedures are published. */
  readonly bus: ProcedureBus;
  /** What holds for the scripts that are called from now on. */
  readonly context: ScriptContext;
  /** Changes what holds for the scripts that are called from now on. */
  setContext(changes: Readonly<Record<string, unknown>>): void;
  /**
   * Prepares a procedure: starts a process, loads the script in it and calls
   * its `init`. Resolves as soon as there is a procedure, in CREATING: wait for
   * READY with {@linkcode waitForState}.
   *
   * @throws {ProcedureError} `"script-refused"`, `"too-many-procedures"`,
   * `"closed"`.
   */
  prepare(
    command: PrepareProcessCommand,
    options?: WaitOptions,
  ): Promise<ProcedureSummary>;
  /**
   * Calls a function of a procedure. Resolves when the call has begun.
   *
   * @throws {ProcedureError} `"procedure-not-found"`, `"invalid-state"`,
   * `"another-running"`, `"closed"`.
   */
  start(
    command: StartProcessCommand,
    options?: WaitOptions,
  ): Promise<ProcedureSummary>;
  /**
   * Stops a procedure. Resolves when its process has ended, or is UNKNOWN, and
   * the abort script, if it was asked for, has begun.
   *
   * @returns The summary of the procedure of the abort script; without an abort
   * none.
   * @throws {ProcedureError} `"procedure-not-found"`, `"invalid-state"`;
   * `"abort-failed"` when the procedure was stopped and the rest failed.
   */
  stop(
    command: StopProcessCommand,
    options?: WaitOptions,
  ): Promise<readonly ProcedureSummary[]>;
  /**
   * Describes all procedures, or those of these numbers, in this order.
   *
   * @throws {ProcedureError} `"procedure-not-found"`.
   */
  summarise(pids?: readonly number[]): readonly ProcedureSummary[];
  /**
   * Waits until a procedure is, or has been since the call, in one of these
   * states.
   *
   * @throws {ProcedureError} `"procedure-not-found"`; `"invalid-state"` when it
   * ends in another state.
   */
  waitForState(
    pid: number,
    states: ProcedureState | readonly ProcedureState[],
    options?: WaitForStateOptions,
  ): Promise<ProcedureSummary>;
  /**
   * What the script of a procedure wrote.
   *
   * @throws {ProcedureError} `"procedure-not-found"`.
   */
  output(pid: number, options?: OutputOptions): readonly StoredOutput[];
}

/** Runs and describes activities. */
export interface ActivityRunner {
  /**
   * Runs an activity of a scheduling block: prepares its procedure and, unless
   * told otherwise, starts `main` when it is READY. Resolves when the activity
   * has a procedure.
   *
   * @throws {ProcedureError} `"scheduling-block-not-found"`,
   * `"activity-not-defined"`, and those of {@linkcode ProcedureService.prepare}.
   */
  run(
    command: RunActivityCommand,
    options?: WaitOptions,
  ): Promise<ActivitySummary>;
  /**
   * Describes all activities, or those of these numbers, in this order.
   *
   * @throws {ProcedureError} `"activity-not-found"`.
   */
  summarise(ids?: readonly number[]): readonly ActivitySummary[];
}
