// Copyright 2026 the Longrun authors. MIT license.

/**
 * What is known of an activity: a script of a scheduling block that is executed
 * by its name.
 *
 * @module
 */

import type { ProcedureInput } from "./procedure.ts";
import type { ExecutableScript } from "./script.ts";

/**
 * The state of an activity.
 *
 * - `"REQUESTED"`: its procedure is being prepared.
 * - `"PREPARED"`: its procedure is READY.
 * - `"RUNNING"`: its procedure runs.
 * - `"COMPLETE"`, `"FAILED"`, `"STOPPED"`: how its procedure ended. One whose
 *   procedure is UNKNOWN has FAILED.
 */
export type ActivityState =
  | "REQUESTED"
  | "PREPARED"
  | "RUNNING"
  | "COMPLETE"
  | "FAILED"
  | "STOPPED";

/** What identifies and describes an activity. */
export interface ActivitySummary {
  /** Its number, from 1. */
  readonly id: number;
  /** The number of its procedure, `null` before it has one. */
  readonly procedureId: number | null;
  /** The definition of its scheduling block. */
  readonly sbdId: string;
  /** The instance of the scheduling block that was made for it. */
  readonly sbiId: string;
  /** Its name in the scheduling block. */
  readonly name: string;
  /** Whether it is prepared and started by hand. */
  readonly prepareOnly: boolean;
  /** What its functions are called with, by name of function. */
  readonly scriptArgs: Readonly<Record<string, ProcedureInput>>;
  /** Its state. */
  readonly state: ActivityState;
  /**
   * Each state, and when it began, in milliseconds since the epoch. Of more than
   * 200, the first and the latest.
   */
  readonly states: readonly (readonly [ActivityState, number])[];
  /** How many states after the first are not kept any more, if any. */
  readonly droppedStates?: number;
}

/** An activity as a scheduling block defines it. */
export interface ActivityDefinition {
  /** Its script. */
  readonly script: ExecutableScript;
  /** What its functions are called with, by name of function. */
  readonly args: Readonly<Record<string, ProcedureInput>>;
}

/** What {@linkcode ActivityService.run} is asked for. */
export interface RunActivityCommand {
  /** The name of the activity. */
  readonly name: string;
  /** The definition of the scheduling block. */
  readonly sbdId: string;
  /**
   * Whether the procedure is prepared and not started.
   *
   * @default {false}
   */
  readonly prepareOnly?: boolean;
  /**
   * Whether the dependencies of the script are installed first; also if the
   * definition says so.
   *
   * @default {false}
   */
  readonly createEnv?: boolean;
  /** Laid over what the definition says, name by name. */
  readonly args?: Readonly<Record<string, ProcedureInput>>;
}
