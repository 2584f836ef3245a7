// Copyright 2026 the Longrun authors. MIT license.

/**
 * What a {@linkcode ScriptExecutionService} is made with.
 *
 * @module
 */

import type { Clock } from "@longrun/tasks/clock";
import type { Logger } from "@longrun/tasks/logger";
import type { ProcedureInput, ProcedureSummary } from "./procedure.ts";
import type { ProcedureBus } from "./procedure_service.ts";
import type { ProcedureStore } from "./procedure_store.ts";
import type { ExecutableScript } from "./script.ts";
import type { ScriptPool } from "./script_pool.ts";

/** Options of {@linkcode ScriptExecutionService}. */
export interface ScriptExecutionServiceOptions {
  /** Where the processes of the scripts are. The service closes it. */
  pool: ScriptPool;
  /**
   * Where the events are published. It should be that of the pool: what scripts
   * write to another one is not kept.
   *
   * @default {a new bus}
   */
  bus?: ProcedureBus;
  /**
   * What survives the service. It is not closed with it.
   *
   * @default {a store in memory}
   */
  store?: ProcedureStore;
  /** The script that runs after a stop, when that is asked for. */
  abortScript?: ExecutableScript;
  /**
   * What the `init` of the abort script is called with, from the summary of the
   * procedure that is about to be stopped. What it throws refuses the stop.
   *
   * @default {the one `subarray_id` among all calls of the procedure}
   */
  abortArgs?: (summary: ProcedureSummary) => ProcedureInput;
  /**
   * How long the abort script may take to be READY, in milliseconds; then it is
   * stopped. The check whether it may be executed, before anything is stopped,
   * may take as long.
   *
   * @default {30_000}
   */
  abortTimeout?: number;
  /**
   * How many procedures are remembered. Those that live always are.
   *
   * @default {10}
   */
  historyLimit?: number;
  /**
   * How many procedures may be RUNNING.
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
   * What holds for the scripts at first.
   *
   * @default {{ waitForQaReady: true }}
   */
  context?: Readonly<Record<string, unknown>>;
  /**
   * Told of moves that were refused and of what could not be kept.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
  /**
   * Measures timeouts.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * The time of day, in milliseconds since the epoch.
   *
   * @default {Date.now}
   */
  now?: () => number;
}
