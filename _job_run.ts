// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Failure } from "./_failure.ts";
import { callHook } from "./_hooks.ts";
import { JobError } from "./_job_error.ts";
import {
  type JobResult,
  type JobStatus,
  resultOf,
  statusOf,
  unbegun,
} from "./_job_results.ts";
import type { Scheduler, Waiting } from "./_job_scheduler.ts";
import { JobTree } from "./_job_tree.ts";
import type { Job, JobValue } from "./_job_value.ts";
import { LazySignal } from "./_lazy_signal.ts";
import { report } from "./_report.ts";
import { checkStopOptions, Run } from "./_run.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import type { StopOptions, StopOutcome } from "./run_state.ts";

/**
 * One run of a job, as `submit()` of a `JobExecutor` gives it.
 *
 * **Gotchas.** It is no promise: await its `done`. A call within the job must
 * await neither `done` nor `stop()` of its own run: it would wait for itself.
 *
 * @typeParam T The type of the job's result.
 */
export interface JobRun<T = unknown> extends AsyncDisposable {
  /** The job. */
  readonly job: Job<T>;
  /** Where the job stands. */
  readonly status: JobStatus;
  /** How much of it is done, from 0 to 1: completed calls count alike. */
  readonly progress: number;
  /** What has become of each of its parts so far, as a tree like the job's. */
  readonly results: JobResult<T>;
  /** What it has failed with, `undefined` if it has not. */
  readonly error: JobError | undefined;
  /** Whether something in it was abandoned. */
  readonly abandoned: boolean;
  /**
   * Settles when nothing of the job runs any more, but what was abandoned:
   * resolves with its result, rejects with a `JobError` or, when the job was
   * stopped before it was done, with the reason. Nobody has to look at it, and
   * who has asked for it has looked.
   */
  readonly done: Promise<T>;
  /**
   * Stops the job: the signals of all calls abort at once, and nothing begins
   * any more.
   *
   * @param options Why, and how long to wait for the calls to end.
   * @returns `"stopped"` when all calls have ended, also before;
   * `"abandoned"` when one had not within the grace.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   */
  stop(options?: StopOptions): Promise<StopOutcome>;
}

function abortedScope(reason: unknown): LazySignal {
  const scope = new LazySignal();
  scope.abort(reason);
  return scope;
}

/** What an execution is given. */
export interface ExecutionManner {
  readonly signals: readonly (AbortSignal | undefined)[];
  readonly grace: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onProgress: ((progress: number) => unknown) | undefined;
  /** Nothing runs any more but what was abandoned. */
  readonly onOver: () => void;
}

/** One run of a job. */
export class Execution<T> implements JobRun<T>, Waiting {
  isQueued = false;
  before: Waiting | undefined = undefined;
  after: Waiting | undefined = undefined;
  readonly #job: JobValue<T>;
  readonly #name: string;
  readonly #order: number;
  readonly #scheduler: Scheduler;
  readonly #manner: ExecutionManner;
  readonly #run: Run;
  readonly #failure: Failure = new Failure();
  /** That of the calls. */
  #scope: LazySignal | undefined = undefined;
  /** There once its turn has come. */
  #tree: JobTree | undefined = undefined;
  /** Tells that nothing runs any more. */
  #end: (() => void) | undefined = undefined;
  /** There once somebody has asked for it. */
  #done: PromiseWithResolvers<T> | undefined = undefined;
  #isOver = false;
  #error: JobError | undefined = undefined;

  /** Begins soon after, not within this call. */
  constructor(
    job: JobValue<T>,
    order: number,
    scheduler: Scheduler,
    manner: ExecutionManner,
  ) {
    this.#job = job;
    this.#name = job.name ?? "job";
    this.#order = order;
    this.#scheduler = scheduler;
    this.#manner = manner;
    const { signals, grace, clock } = manner;
    this.#run = new Run(
      (scope) => this.#work(scope),
      signals,
      grace,
      clock,
      {
        onStart: () => {},
        onStopping: (reason) => this.#abort(reason),
        onAbandon: () => this.#abandon(),
        onEnd: () => this.#settle(),
      },
    );
  }

  get job(): Job<T> {
    return this.#job;
  }

  get status(): JobStatus {
    return this.#tree === undefined
      ? unbegun(this.#isOver)
      : statusOf(this.#tree.trunk, 0);
  }

  get progress(): number {
    return this.#tree?.progress ?? 0;
  }

  get results(): JobResult<T> {
    return resultOf(this.#job, this.#tree?.trunk, this.#isOver) as JobResult<T>;
  }

  get error(): JobError | undefined {
    return this.#failure.look() as JobError | undefined;
  }

  get abandoned(): boolean {
    return this.#tree?.hasAbandoned ?? false;
  }

  get done(): Promise<T> {
    this.#failure.see();
    if (this.#done === undefined) {
      this.#done = Promise.withResolvers();
      this.#done.promise.catch(() => {});
      if (this.#isOver) this.#settleDone(this.#done);
    }
    return this.#done.promise;
  }

  async stop(options: StopOptions = {}): Promise<StopOutcome> {
    checkStopOptions("stop", options);
    return await this.#run.stop(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nobody waits a second time for what did not hear the first.
    if (this.#isOver && this.abandoned) return;
    await this.stop();
  }

  /** The scheduler's call. */
  begin(): JobTree {
    const { grace, clock, logger, onProgress } = this.#manner;
    const scope = this.#scope ?? new LazySignal();
    return this.#tree = new JobTree(
      this.#job,
      this.#order,
      scope,
      this.#scheduler,
      {
        name: this.#name,
        grace,
        clock,
        logger,
        onProgress: onProgress && (() => this.#tellProgress(onProgress)),
        onOver: () => this.#settle(),
        onEnd: () => this.#end?.(),
      },
    );
  }

  #work(scope: LazySignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#scope = scope;
    this.#end = resolve;
    this.#scheduler.enter(this);
    return promise;
  }

  #abort(reason: unknown): void {
    if (this.#tree !== undefined) {
      // All signals within have the same reason, also one that nobody gave.
      this.#tree.abort(reason ?? abortedScope(reason).reason);
      return;
    }
    this.#scope = abortedScope(reason);
    if (!this.isQueued) return;
    this.#scheduler.forget(this);
    this.#settle();
    this.#end?.();
  }

  #abandon(): void {
    if (this.#tree !== undefined) this.#tree.abandon(this.#tree.trunk);
  }

  #settle(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const tree = this.#tree;
    if (tree !== undefined && tree.trunk.outcome === "failed") {
      const error = new JobError(this.#job.name, tree.failures);
      this.#error = error;
      this.#failure.record(
        { error },
        () => this.#log("A job failed and nobody looked", error),
      );
    }
    if (this.#done !== undefined) this.#settleDone(this.#done);
    // Lets go of the signals, which may live long.
    if (tree?.isHanging) {
      this.#run.stop({ reason: this.#error, grace: 0 }).catch(() => {});
    }
    this.#manner.onOver();
  }

  #settleDone({ resolve, reject }: PromiseWithResolvers<T>): void {
    const trunk = this.#tree?.trunk;
    if (this.#error !== undefined) reject(this.#error);
    else if (trunk?.outcome === "completed") resolve(trunk.values[0] as T);
    else reject(this.#scope?.reason);
  }

  #tellProgress(onProgress: (progress: number) => unknown): void {
    callHook(
      () => onProgress(this.progress),
      (error) =>
        this.#log(
          `Job '${this.#name}' has an onProgress hook that failed`,
          error,
        ),
    );
  }

  #log(sentence: string, error: unknown): void {
    const { logger } = this.#manner;
    report(logger, "error", sentence, { job: this.#name, error });
  }
}
