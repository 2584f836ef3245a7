// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkCommon,
  checkCount,
  checkFunction,
  checkNonNegative,
  checkOptions,
  checkSignal,
  checkType,
} from "./_arguments.ts";
import { Execution, type JobRun } from "./_job_run.ts";
import { Scheduler } from "./_job_scheduler.ts";
import { isJob, type Job, type JobValue } from "./_job_value.ts";
import { Latch } from "./_latch.ts";
import { checkStopOptions, DEFAULT_GRACE } from "./_run.ts";
import { type Clock, systemClock } from "./clock.ts";
import { defaultLogger, type Logger } from "./logger.ts";
import type { JoinOptions, StopOptions } from "./run_state.ts";

/** Options of {@linkcode JobExecutor}. */
export interface JobExecutorOptions {
  /**
   * How many calls may run at a time, of all jobs together.
   *
   * @default {Infinity}
   */
  limit?: number;
  /** Stops every job. Jobs submitted later do not begin. */
  signal?: AbortSignal;
  /**
   * How long calls have to end when they are told to stop, in milliseconds,
   * before they are abandoned: by a failure beside them, by a signal or by
   * `stop()`, unless that says otherwise.
   *
   * @default {5000}
   */
  grace?: number;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Told of errors that nobody looked at and of abandoned calls.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
}

/** Options of {@linkcode JobExecutor.submit}. */
export interface JobOptions {
  /** Stops the job. */
  signal?: AbortSignal;
  /** As for the executor, for this job alone. */
  grace?: number;
  /** As for the executor, for this job alone. */
  clock?: Clock;
  /** As for the executor, for this job alone. */
  logger?: Logger;
  /** Told whenever more is done, from 0 to 1. */
  onProgress?: (progress: number) => void;
}

/** What {@linkcode JobExecutor.stopAll} has achieved. */
export interface JobStopReport {
  /** The runs of which all calls have ended. */
  readonly stopped: JobRun[];
  /** The runs of which a call had not ended within the grace. */
  readonly abandoned: JobRun[];
}

/** Checks a job. */
export function checkJob(doing: string, job: unknown): void {
  if (!isJob(job)) checkType(false, doing, "job", "a job", job);
}

/** Checks what the options of an executor and of a run have in common. */
export function checkRunOptions(
  doing: string,
  options: JobExecutorOptions,
): void {
  checkOptions(doing, options);
  checkCommon(doing, options);
  const { grace } = options;
  if (grace !== undefined) checkNonNegative(doing, "grace", grace);
}

/**
 * Runs jobs, at most so many of their calls at a time.
 *
 * Places go to the calls of the job that was submitted first, as far as it has
 * calls that can start; what it leaves goes to the next. A sequence keeps its
 * place from one call to the next.
 *
 * Only calls take places: a group waits for its jobs without one. So no tree
 * of groups and no limits can make jobs wait for each other.
 *
 * **When to use.** For many jobs with one limit, and to stop them together.
 * For a single one there is {@linkcode runJob}.
 *
 * **Gotchas.** A call that submits a job to its own executor and awaits it
 * keeps its place meanwhile: as many of them as there are places wait for
 * ever, or for the next stop. Nest the job, or give it an executor of its own.
 *
 * The system of `JobExecutor` in `ska_pst.lmc.util`, without its threads:
 * jobs run side by side, nothing polls, and any nesting ends.
 *
 * @example Usage
 * ```ts
 * import { call, JobExecutor, sequential } from "@longrun/tasks/job";
 * import { assertEquals } from "@std/assert";
 *
 * await using executor = new JobExecutor({ limit: 4 });
 * const progress: number[] = [];
 * const run = executor.submit(
 *   sequential(call(() => "configured"), call(() => "scanned")),
 *   { onProgress: (done) => progress.push(done) },
 * );
 * assertEquals(await run.done, ["configured", "scanned"]);
 * assertEquals(progress, [0.5, 1]);
 * assertEquals(run.results.jobs.map(({ status }) => status), [
 *   "completed",
 *   "completed",
 * ]);
 * ```
 */
export class JobExecutor implements AsyncDisposable, Iterable<JobRun> {
  readonly #scheduler: Scheduler;
  readonly #options: JobExecutorOptions;
  readonly #runs: Set<JobRun> = new Set();
  readonly #idle: Latch = new Latch();
  #submitted = 0;
  #isClosed = false;

  /**
   * Creates an executor without jobs.
   *
   * @param options Limits, and what its jobs share.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `limit` is not an integer of at least 1 or
   * `Infinity`, or `grace` is negative or `NaN`.
   */
  constructor(options: JobExecutorOptions = {}) {
    const doing = "create JobExecutor";
    checkRunOptions(doing, options);
    const { limit = Infinity, signal, grace, clock, logger } = options;
    checkCount(doing, "limit", limit, 1);
    this.#scheduler = new Scheduler(limit);
    this.#options = { signal, grace, clock, logger };
  }

  /** How many jobs are live: they wait or run, and were not abandoned. */
  get size(): number {
    return this.#runs.size;
  }

  /** How many calls run. */
  get running(): number {
    return this.#scheduler.running;
  }

  /** The live runs, in the order they were submitted. */
  [Symbol.iterator](): IterableIterator<JobRun> {
    return [...this.#runs].values();
  }

  /**
   * Takes a job. Its calls begin soon after, not within this call, or when
   * there are places for them.
   *
   * @typeParam T The type of the job's result.
   * @param job The job. The same may be submitted any number of times.
   * @param options What stops it, and who is told of its progress.
   * @returns The run, to follow it or to stop it.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   * @throws {Error} If the executor was disposed of.
   */
  submit<T>(job: Job<T>, options: JobOptions = {}): JobRun<T> {
    const doing = "submit";
    if (this.#isClosed) {
      throw new Error("Cannot submit as the executor was disposed of");
    }
    checkJob(doing, job);
    checkRunOptions(doing, options);
    const { signal, onProgress } = options;
    if (onProgress !== undefined) {
      checkFunction(doing, "onProgress", onProgress);
    }
    const own = this.#options;
    const run: Execution<T> = new Execution(
      job as JobValue<T>,
      this.#submitted++,
      this.#scheduler,
      {
        signals: [own.signal, signal],
        grace: options.grace ?? own.grace ?? DEFAULT_GRACE,
        clock: options.clock ?? own.clock ?? systemClock,
        logger: options.logger ?? own.logger ?? defaultLogger,
        onProgress,
        onOver: () => this.#leave(run),
      },
    );
    this.#runs.add(run);
    return run;
  }

  /**
   * Waits until no job is live.
   *
   * @param options What ends the wait early.
   * @returns A promise that resolves when all jobs have ended or were
   * abandoned.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async idle(options: JoinOptions = {}): Promise<void> {
    checkOptions("wait for idle", options);
    const { signal } = options;
    checkSignal("wait for idle", signal);
    while (this.size > 0) await this.#idle.wait({ signal });
  }

  /**
   * Stops all live jobs together. The executor goes on: jobs may be submitted
   * meanwhile and later.
   *
   * @param options Why, and how long to wait for each job.
   * @returns Which jobs have ended and which were abandoned.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   */
  async stopAll(options: StopOptions = {}): Promise<JobStopReport> {
    checkStopOptions("stop all jobs", options);
    const report: JobStopReport = { stopped: [], abandoned: [] };
    await Promise.all(
      [...this.#runs].map(async (run) => {
        const outcome = await run.stop(options);
        report[outcome].push(run);
      }),
    );
    return report;
  }

  /** Stops all jobs and takes no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.stopAll();
  }

  #leave(run: JobRun): void {
    this.#runs.delete(run);
    if (this.size === 0) this.#idle.pulse();
  }
}
