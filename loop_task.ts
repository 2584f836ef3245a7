// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Tasks that work in rounds with a period.
 *
 * ```text
 *             +--------------------- a round --------------------+
 * loopPrepare | processNewSettings?  loopIteration  updateStatus |  loopFinalize
 *             |                                    publishSignals|
 * ------------+--------------------------------------------------+------------->
 *             0                  ... every period ...               at the end,
 *                                                             however it came
 * ```
 *
 * @module
 */

import { checkOneOf, checkOptions, checkPositiveFinite } from "./_arguments.ts";
import { callHook } from "./_hooks.ts";
import { reportTask } from "./_report.ts";
import { stopWaitersOf } from "./_stopping.ts";
import { suppressedError } from "./_suppressed_error.ts";
import { Ticker } from "./_ticker.ts";
import { isCancellation } from "./cancellation.ts";
import type { LoopStatistics } from "./loop.ts";
import { MissedLoopPolicy } from "./missed_loop_policy.ts";
import {
  type LoopFigures,
  Task,
  type TaskHost,
  TaskStopError,
} from "./task.ts";
import type { Tick } from "./ticks.ts";
import { Topic } from "./topic.ts";

/** Options of a {@linkcode LoopTask}. */
export interface LoopTaskOptions {
  /**
   * The period in milliseconds.
   *
   * @default {1000}
   */
  period?: number;
  /**
   * What follows a round that has taken its whole period or more.
   *
   * @default {MissedLoopPolicy.Immediate}
   */
  policy?: MissedLoopPolicy;
}

/** A round that has taken its whole period or more. */
export interface MissedLoop {
  /** By how much the next round is late, in milliseconds. */
  readonly late: number;
  /** How many rounds are lost to it. */
  readonly missed: number;
}

/** The rounds of a loop: a stop ends them, and nothing need be thrown for it. */
class Rounds extends Ticker {
  override abort(): void {
    this.close();
  }
}

/**
 * A task that works in rounds with a period, on a grid that does not drift.
 *
 * A subclass overrides the hooks it needs; each may be sync or async, and none
 * is called before the one before it has ended. The first round begins as soon
 * as the task is prepared. `loopFinalize` is called however the task ends,
 * once `loopPrepare` has begun: by a stop, by the policy, or by a hook that
 * throws, `loopPrepare` included.
 *
 * When a hook and `loopFinalize` both throw, the task fails with a
 * `SuppressedError` that holds both.
 *
 * **Gotchas.** After a stop `this.sleep()` rejects at once, also within
 * `loopFinalize`: what has to wait there takes `sleep()` of the cancellation
 * module, without the task's signal. A stop waits for the round in flight.
 *
 * The system of `QMI_LoopTask`, with these differences: `loopFinalize` is also
 * called after a `loopPrepare` that failed, misses are counted and told to
 * {@linkcode LoopTask.onMissed}, and a loop that its policy has ended says so
 * in its `outcome`.
 *
 * @typeParam Settings What others may set.
 * @typeParam Status What others may see.
 *
 * @example Usage
 * ```ts
 * import { LoopTask } from "@longrun/tasks/loop-task";
 * import { TaskContext } from "@longrun/tasks/task-context";
 * import { ManualClock } from "@longrun/tasks/testing";
 * import { assertEquals } from "@std/assert";
 *
 * class Camera extends LoopTask<{ exposure: number }, { images: number }> {
 *   override settings = { exposure: 50 };
 *   override status = { images: 0 };
 *
 *   override async loopIteration() {
 *     await this.sleep(this.settings.exposure);
 *   }
 *
 *   override updateStatus() {
 *     this.status = { images: this.status.images + 1 };
 *     return true;
 *   }
 * }
 *
 * const clock = new ManualClock();
 * await using context = new TaskContext({ clock });
 * const camera = await context.makeTask("camera", Camera, [{ period: 100 }]);
 * camera.start();
 * await clock.advance(120);
 * camera.setSettings({ exposure: 250 });
 * await clock.advance(430);
 * assertEquals(camera.status, { images: 3 });
 * assertEquals(camera.statistics.overruns, 1);
 * ```
 */
export abstract class LoopTask<Settings = undefined, Status = undefined>
  extends Task<Settings, Status> {
  /** The status, each time that {@linkcode LoopTask.updateStatus} says so. */
  readonly statusUpdated: Topic<Status>;

  readonly #host: TaskHost;
  readonly #policy: MissedLoopPolicy;
  #period: number;
  #rounds: Rounds | undefined = undefined;

  /**
   * Creates a task. A `TaskContext` calls this.
   *
   * @param host The place where it runs.
   * @param options The period, and what follows a round that took too long.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `period` is not positive and finite.
   */
  constructor(host: TaskHost, options: LoopTaskOptions = {}) {
    super(host);
    const doing = "create LoopTask";
    checkOptions(doing, options);
    const { period = 1000, policy = MissedLoopPolicy.Immediate } = options;
    checkPositiveFinite(doing, "period", period);
    checkOneOf(doing, "policy", policy, Object.values(MissedLoopPolicy));
    this.#host = host;
    const { logger } = host;
    this.statusUpdated = new Topic({ name: "statusUpdated", logger });
    this.#period = period;
    this.#policy = policy;
  }

  /** Called once before the first round. */
  loopPrepare(): unknown {
    return undefined;
  }

  /** Called at the beginning of a round if there are new settings. */
  processNewSettings(): unknown {
    return undefined;
  }

  /** Called in every round: the work. */
  loopIteration(): unknown {
    return undefined;
  }

  /**
   * Called after the iteration. Assigns the status.
   *
   * @returns Whether to publish the status.
   */
  updateStatus(): boolean | Promise<boolean> {
    return false;
  }

  /** Called at the end of a round, to publish what else there is. */
  publishSignals(): unknown {
    return undefined;
  }

  /** Called once after the last round. */
  loopFinalize(): unknown {
    return undefined;
  }

  /**
   * Called after a round that has taken its whole period or more, before the
   * next one. An error it throws is logged.
   *
   * @param _missed How late the next round is and how many are lost.
   */
  onMissed(_missed: MissedLoop): void {}

  /** Rounds, overruns, misses and lateness so far. */
  get statistics(): LoopStatistics {
    // By name: in a thread they are getters of shared memory.
    const { rounds, missed, overruns, worstLateness } = this.#host.figures;
    return { rounds, missed, overruns, worstLateness };
  }

  /** The period in milliseconds. */
  get period(): number {
    return this.#period;
  }

  /**
   * Changes the period and keeps the phase: the next round comes the new
   * period after the place of the last one.
   *
   * @throws {RangeError} If it is not positive and finite.
   */
  set period(period: number) {
    checkPositiveFinite("change period", "period", period);
    this.#period = period;
    if (this.#rounds !== undefined) this.#rounds.period = period;
  }

  /** Prepares, works in rounds, and finalizes. Not to be overridden. */
  override async run(): Promise<void> {
    let failure: { error: unknown } | undefined;
    try {
      await this.loopPrepare();
      await this.#loop();
    } catch (error) {
      if (!this.#isStop(error)) failure = { error };
    }
    try {
      await this.loopFinalize();
    } catch (error) {
      if (!this.#isStop(error)) {
        failure = {
          error: failure === undefined ? error : suppressedError(
            error,
            failure.error,
            "loopFinalize failed after another hook had failed",
          ),
        };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  #isStop(error: unknown): boolean {
    return error instanceof TaskStopError || isCancellation(error, this.signal);
  }

  async #loop(): Promise<void> {
    if (this.stopRequested) return;
    const rounds = this.#rounds = new Rounds(
      this.#period,
      { policy: this.#policy, clock: this.clock, ref: true },
      0,
    );
    stopWaitersOf(this.#host).add(rounds);
    let wasOverrun = false;
    let last: Tick | undefined;
    try {
      for (;;) {
        const { value: tick } = await rounds.request();
        // The timer may have won over the stop by a hair.
        if (tick === undefined || this.stopRequested) break;
        last = tick;
        this.#count(tick, wasOverrun);
        wasOverrun = tick.overrun;
        await this.#round();
      }
    } finally {
      rounds.close();
    }
    if (!rounds.isTerminated || last === undefined) return;
    const late = this.clock.now() - (last.scheduled + rounds.period);
    this.#miss({ late: Math.max(late, 0), missed: 0 }, wasOverrun);
    this.#host.terminate();
  }

  #count(tick: Tick, wasOverrun: boolean): void {
    const figures: LoopFigures = this.#host.figures;
    figures.rounds++;
    figures.worstLateness = Math.max(figures.worstLateness, tick.late);
    if (tick.overrun) this.#miss(tick, wasOverrun);
  }

  #miss({ late, missed }: MissedLoop, wasOverrun: boolean): void {
    const figures: LoopFigures = this.#host.figures;
    figures.overruns++;
    figures.missed += missed;
    // A loop that is always late says so once, and counts the rest.
    if (!wasOverrun) {
      this.#log("warn", `took too long: ${late} ms late`, { late, missed });
    }
    callHook(
      () => this.onMissed({ late, missed }),
      (error) => this.#log("error", "has an onMissed that failed", { error }),
    );
  }

  async #round(): Promise<void> {
    if (this.updateSettings()) await this.processNewSettings();
    await this.loopIteration();
    if (await this.updateStatus()) this.statusUpdated.publish(this.status);
    await this.publishSignals();
  }

  #log(
    level: "warn" | "error",
    what: string,
    details: Record<string, unknown>,
  ): void {
    reportTask(this.logger, level, this.name, what, details);
  }
}
