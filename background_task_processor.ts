// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Many background tasks under one roof: started in order, at most so many at a
 * time, and stopped together.
 *
 * ```ts
 * import { BackgroundTaskProcessor } from "@longrun/tasks/background-task-processor";
 * import { assertEquals } from "@std/assert";
 *
 * await using processor = new BackgroundTaskProcessor({ maxConcurrent: 2 });
 * const done: number[] = [];
 * for (const scan of [1, 2, 3]) {
 *   processor.submit(() => {
 *     done.push(scan);
 *   });
 * }
 * await processor.idle();
 * assertEquals(done, [1, 2, 3]);
 * ```
 *
 * @module
 */

import {
  checkCommon,
  checkCount,
  checkFunction,
  checkOptions,
  checkRestartPolicy,
  checkSignal,
  copyOptions,
} from "./_arguments.ts";
import { Latch } from "./_latch.ts";
import { checkStopOptions } from "./_run.ts";
import {
  type BackgroundAction,
  BackgroundTask,
  type BackgroundTaskFailure,
  type BackgroundTaskOptions,
} from "./background_task.ts";
import type { RestartPolicy } from "./backoff.ts";
import { onAbort } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import type { JoinOptions, StopOptions } from "./run_state.ts";

/** Options of {@linkcode BackgroundTaskProcessor}. */
export interface BackgroundTaskProcessorOptions {
  /**
   * How many tasks run at a time. The others wait and start in order.
   *
   * @default {Infinity}
   */
  maxConcurrent?: number;
  /** Stops every task. Tasks submitted later end without having run. */
  signal?: AbortSignal;
  /** The clock of the tasks that are given none. */
  clock?: Clock;
  /** The logger of the tasks that are given none. */
  logger?: Logger;
  /** The restart policy of the tasks that are given none. */
  restart?: RestartPolicy;
  /**
   * Told of every failure of a task that has no such hook of its own. It
   * counts as having looked at the error.
   */
  onError?: (error: unknown, failure: BackgroundTaskFailure) => void;
}

/** What {@linkcode BackgroundTaskProcessor.stopAll} has achieved. */
export interface StopReport {
  /** The tasks that have ended. */
  readonly stopped: BackgroundTask[];
  /** The tasks that had not ended within the grace. */
  readonly abandoned: BackgroundTask[];
}

/**
 * Runs background tasks and keeps those that live.
 *
 * A task that waits for a place can be stopped; calling its `run()` by hand
 * starts it out of turn.
 *
 * A task is live from {@linkcode BackgroundTaskProcessor.submit} until it ends
 * or is abandoned; it leaves the moment that happens, nothing polls. An
 * abandoned task gives its place back, so that work which hangs cannot keep
 * other work from running.
 *
 * The system of `ska_pst.lmc.util.BackgroundTaskProcessor`; its `submit_task`
 * is `submit`.
 *
 * @example Errors in one place
 * ```ts
 * import { BackgroundTaskProcessor } from "@longrun/tasks/background-task-processor";
 * import { assertEquals } from "@std/assert";
 *
 * const errors: unknown[] = [];
 * await using processor = new BackgroundTaskProcessor({
 *   onError: (error, { task }) => errors.push([task.name, error]),
 * });
 * processor.submit(() => Promise.reject("no beam"), { name: "beam 4" });
 * await processor.idle();
 * assertEquals(errors, [["beam 4", "no beam"]]);
 * ```
 */
export class BackgroundTaskProcessor
  implements AsyncDisposable, Iterable<BackgroundTask> {
  readonly #options: BackgroundTaskProcessorOptions;
  readonly #maxConcurrent: number;
  /** With what ends the watch over the task's own signal. */
  readonly #waiting: Map<BackgroundTask, (() => void) | undefined> = new Map();
  #turns: Iterator<[BackgroundTask, (() => void) | undefined]> = this.#waiting
    .entries();
  readonly #started: Set<BackgroundTask> = new Set();
  readonly #idle: Latch = new Latch();
  #forgetSignal: (() => void) | undefined = undefined;
  #closed = false;

  /**
   * Creates a processor without tasks.
   *
   * @param options Limits, and what its tasks share.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `maxConcurrent` is not an integer of at least 1 or
   * `Infinity`.
   */
  constructor(options: BackgroundTaskProcessorOptions = {}) {
    const doing = "create BackgroundTaskProcessor";
    checkOptions(doing, options);
    checkCommon(doing, options);
    const { maxConcurrent = Infinity, restart, onError } = options;
    checkCount(doing, "maxConcurrent", maxConcurrent, 1);
    if (restart !== undefined) checkRestartPolicy(doing, "restart", restart);
    if (onError !== undefined) checkFunction(doing, "onError", onError);
    this.#options = copyOptions(options);
    this.#maxConcurrent = maxConcurrent;
  }

  /** How many tasks are live: running or waiting. */
  get size(): number {
    return this.#started.size + this.#waiting.size;
  }

  /** How many tasks wait for a place. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The live tasks, in the order they were submitted. */
  [Symbol.iterator](): IterableIterator<BackgroundTask> {
    return [...this.#started, ...this.#waiting.keys()].values();
  }

  /**
   * Takes an action and runs it as a task, now or when a place is free. Both
   * signals stop it: that of the options and that of the processor.
   *
   * @param action The work.
   * @param options As for a {@linkcode BackgroundTask}.
   * @returns The task, to follow or to stop it.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   * @throws {Error} If the processor was disposed of.
   */
  submit(
    action: BackgroundAction,
    options: BackgroundTaskOptions = {},
  ): BackgroundTask {
    if (this.#closed) {
      throw new Error("Cannot submit as the processor was disposed of");
    }
    checkOptions("create BackgroundTask", options);
    const { signal } = this.#options;
    // Checked here because the task is given a hook of the processor's own.
    if (options.onEnd !== undefined) {
      checkFunction("create BackgroundTask", "onEnd", options.onEnd);
    }
    const task = new BackgroundTask(action, this.#inherit(options));
    if (signal?.aborted || options.signal?.aborted) {
      task.stop();
      return task;
    }
    this.#forgetSignal ??= signal &&
      onAbort(signal, (reason) => this.#abort(reason));
    this.#waiting.set(
      task,
      options.signal &&
        onAbort(options.signal, (reason) => void task.stop({ reason })),
    );
    this.#startWaiting();
    return task;
  }

  /**
   * Waits until no task is live.
   *
   * @param options What ends the wait early.
   * @returns A promise that resolves when all tasks have ended or were
   * abandoned.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async idle(options: JoinOptions = {}): Promise<void> {
    checkOptions("wait for idle", options);
    checkSignal("wait for idle", options.signal);
    while (this.size > 0) await this.#idle.wait({ signal: options.signal });
  }

  /**
   * Stops all live tasks together. Tasks that wait end without having run.
   * The processor goes on: tasks may be submitted meanwhile and later.
   *
   * @param options Why, and how long to wait for each task.
   * @returns Which tasks have ended and which were abandoned.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   */
  async stopAll(options: StopOptions = {}): Promise<StopReport> {
    checkStopOptions("stop all tasks", options);
    const report: StopReport = { stopped: [], abandoned: [] };
    // Those that wait come first, or a place that becomes free starts them.
    const tasks = [...this.#waiting.keys(), ...this.#started];
    await Promise.all(tasks.map(async (task) => {
      const outcome = await task.stop(options);
      report[outcome].push(task);
    }));
    return report;
  }

  /** Stops all tasks and takes no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.stopAll();
  }

  #inherit(options: BackgroundTaskOptions): BackgroundTaskOptions {
    const { clock, logger, restart, onError } = this.#options;
    const { onEnd } = options;
    return {
      ...copyOptions(options),
      clock: options.clock ?? clock,
      logger: options.logger ?? logger,
      restart: options.restart ?? restart,
      onError: options.onError ?? onError,
      onEnd: (task) => {
        this.#leave(task);
        return onEnd?.(task);
      },
    };
  }

  #startWaiting(): void {
    while (
      this.#waiting.size > 0 && this.#started.size < this.#maxConcurrent
    ) {
      // One iterator for many tasks: a new one would first pass over all those
      // that were deleted before.
      const next = this.#turns.next();
      if (next.done) {
        this.#turns = this.#waiting.entries();
        continue;
      }
      const [task, forget] = next.value;
      this.#waiting.delete(task);
      forget?.();
      this.#started.add(task);
      task.run();
    }
  }

  #leave(task: BackgroundTask): void {
    this.#waiting.get(task)?.();
    this.#waiting.delete(task);
    this.#started.delete(task);
    this.#startWaiting();
    if (this.size > 0) return;
    this.#forgetSignal?.();
    this.#forgetSignal = undefined;
    this.#idle.pulse();
  }

  #abort(reason: unknown): void {
    this.stopAll({ reason });
  }
}
