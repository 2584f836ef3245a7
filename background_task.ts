// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Work in the background, once or at a rate, that can be stopped at any
 * moment.
 *
 * ```ts
 * import { BackgroundTask } from "@longrun/tasks/background-task";
 * import { assertEquals } from "@std/assert";
 *
 * const temperatures: number[] = [];
 * const task = new BackgroundTask(() => {
 *   temperatures.push(21);
 * }, { frequency: 100 });
 *
 * task.run();
 * while (temperatures.length < 3) await new Promise((r) => setTimeout(r, 5));
 * assertEquals(await task.stop(), "stopped");
 * ```
 *
 * @module
 */

import {
  checkBoolean,
  checkCommon,
  checkFunction,
  checkNonNegative,
  checkOneOf,
  checkOptions,
  checkPositiveFinite,
  checkRestartPolicy,
  checkSignal,
  copyOptions,
} from "./_arguments.ts";
import { Failure } from "./_failure.ts";
import { callHook } from "./_hooks.ts";
import { Latch } from "./_latch.ts";
import { reportTask } from "./_report.ts";
import { checkStopOptions, Run } from "./_run.ts";
import { StateLog } from "./_state_log.ts";
import type { RestartPolicy } from "./backoff.ts";
import { sleep } from "./cancellation.ts";
import { type Clock, systemClock } from "./clock.ts";
import { defaultLogger, type Logger } from "./logger.ts";
import {
  isErrored,
  isRunning,
  type JoinOptions,
  RunState,
  type StateChange,
  type StatesOptions,
  type StopOptions,
  type StopOutcome,
} from "./run_state.ts";
import { type Tick, ticks } from "./ticks.ts";

/** What a {@linkcode BackgroundTask} hands to its action, each round anew. */
export interface BackgroundTaskContext {
  /** Aborts when the task is asked to stop. */
  readonly signal: AbortSignal;
  /** The logger of the task. */
  readonly logger: Logger;
  /** How many rounds came before this one. */
  readonly round: number;
  /** How late this round began, in milliseconds. */
  readonly late: number;
  /** How many rounds were missed between the last one and this one. */
  readonly missed: number;
  /**
   * Waits, at most until the task is asked to stop: the wait rejects then, and
   * an action that lets the error pass ends normally.
   */
  sleep(ms: number): Promise<void>;
  /**
   * Asks the task to stop without waiting for it. An action that awaited
   * {@linkcode BackgroundTask.stop} of its own task would wait for itself.
   */
  stop(reason?: unknown): void;
}

/**
 * The work of a {@linkcode BackgroundTask}. A promise that it returns is waited
 * for; what it resolves to does not matter.
 */
export type BackgroundAction = (context: BackgroundTaskContext) => unknown;

/** What {@linkcode BackgroundTaskOptions.onError} is told besides the error. */
export interface BackgroundTaskFailure {
  /** The task whose action has failed. */
  readonly task: BackgroundTask;
  /**
   * In how many milliseconds the action starts again, `undefined` when the
   * failure is final.
   */
  readonly restartIn: number | undefined;
}

/** How the rounds of a periodic task follow each other. */
export type Schedule = "fixed-rate" | "fixed-delay";

/** Options of {@linkcode BackgroundTask}. */
export interface BackgroundTaskOptions {
  /**
   * A name for messages.
   *
   * @default {"background task"}
   */
  name?: string;
  /**
   * How many rounds a second, in Hz. Without it the action runs once.
   */
  frequency?: number;
  /**
   * `"fixed-rate"`: rounds begin on a grid that does not drift; a round that
   * overruns is followed by the next at once, rounds missed meanwhile are
   * skipped and counted. `"fixed-delay"`: a whole period passes between the
   * end of a round and the next, as in the original.
   *
   * @default {"fixed-rate"}
   */
  schedule?: Schedule;
  /** Stops the task. */
  signal?: AbortSignal;
  /**
   * How long a stop waits for the work to end, in milliseconds, before it is
   * abandoned, unless the call of `stop()` says otherwise. The abort of the
   * signal, `context.stop()` and the disposal are stops, too.
   *
   * @default {5000}
   */
  grace?: number;
  /**
   * Whether the waits of the task keep the process alive: those between its
   * rounds, before a restart and of `context.sleep()`. With `false` it is what
   * the original calls a daemon.
   *
   * @default {true}
   */
  ref?: boolean;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Told of errors that nobody looked at, abandoned work and missed rounds.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
  /** Whether and when a failed action starts again. By default it does not. */
  restart?: RestartPolicy;
  /** Told of every failure. It counts as having looked at the error. */
  onError?: (error: unknown, failure: BackgroundTaskFailure) => void;
  /**
   * Told once when the task is over: it has ended, by itself, by a stop or by
   * an error, or a stop has abandoned it.
   */
  onEnd?: (task: BackgroundTask) => void;
}

/** The figures of a {@linkcode BackgroundTask}. */
export interface BackgroundTaskStatistics {
  /** How many rounds have begun. */
  readonly rounds: number;
  /** How many rounds were missed because others overran. */
  readonly missed: number;
  /** The worst lateness of a round, in milliseconds. */
  readonly worstLateness: number;
  /** How often the action was started again after a failure. */
  readonly restarts: number;
}

type Punctuality = Pick<Tick, "late" | "missed">;

const ON_TIME: Punctuality = { late: 0, missed: 0 };

/** Checks the arguments of a {@linkcode BackgroundTask}. */
function checkArguments(
  action: unknown,
  options: BackgroundTaskOptions,
): void {
  const doing = "create BackgroundTask";
  checkFunction(doing, "action", action);
  checkOptions(doing, options);
  checkCommon(doing, options);
  const { frequency, schedule, grace, ref, restart, onError, onEnd } = options;
  if (frequency !== undefined) {
    checkPositiveFinite(doing, "frequency", frequency);
  }
  if (schedule !== undefined) {
    checkOneOf(doing, "schedule", schedule, ["fixed-rate", "fixed-delay"]);
  }
  if (grace !== undefined) checkNonNegative(doing, "grace", grace);
  checkBoolean(doing, "ref", ref);
  if (restart !== undefined) checkRestartPolicy(doing, "restart", restart);
  if (onError !== undefined) checkFunction(doing, "onError", onError);
  if (onEnd !== undefined) checkFunction(doing, "onEnd", onEnd);
}

/**
 * Some work in the background: once, or in rounds at a rate.
 *
 * A task is used once: it is run, it ends by itself or by `stop()`, and cannot
 * be run again. The same work again is a new task.
 *
 * **When to use.** For work that somebody starts and somebody else stops: a
 * monitor, a poller, a job. For many of them use a `BackgroundTaskProcessor`;
 * for items from a stream a `StreamingTask`.
 *
 * **Gotchas.** An action that never looks at its signal cannot be ended:
 * `stop()` gives up after its grace and says `"abandoned"`. An action must not
 * await the `stop()` or `join()` of its own task; it has `context.stop()`.
 *
 * The system of `ska_pst.lmc.util.BackgroundTask`, with these differences: the
 * rate does not drift, a stop wakes a sleeping task at once and cannot be
 * lost, every `stop()` waits for the end, and a task that was stopped before
 * it was run stays stopped.
 *
 * @example A task that looks at its signal
 * ```ts
 * import { BackgroundTask } from "@longrun/tasks/background-task";
 * import { assertEquals } from "@std/assert";
 *
 * await using task = new BackgroundTask(async ({ sleep }) => {
 *   await sleep(3_600_000);
 * });
 * task.run();
 * assertEquals(await task.stop({ reason: "dawn" }), "stopped");
 * assertEquals(task.state, "stopped");
 * ```
 */
export class BackgroundTask implements AsyncDisposable {
  readonly #action: BackgroundAction;
  readonly #options: BackgroundTaskOptions;
  readonly #name: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #states: StateLog;
  /** Opens when the task has ended, or when nobody waits for that any more. */
  readonly #over: Latch = new Latch();
  #run: Run | undefined = undefined;
  readonly #failure: Failure = new Failure();
  #rounds = 0;
  #missed = 0;
  #worstLateness = 0;
  #restarts = 0;

  /**
   * Creates a task. Nothing runs before {@linkcode BackgroundTask.run}.
   *
   * @param action The work. Its errors are kept in
   * {@linkcode BackgroundTask.exception}.
   * @param options When it runs and what stops it.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If `frequency` is not positive and finite.
   */
  constructor(action: BackgroundAction, options: BackgroundTaskOptions = {}) {
    checkArguments(action, options);
    const { name, clock, logger } = options;
    this.#action = action;
    this.#options = copyOptions(options);
    this.#name = name ?? "background task";
    this.#clock = clock ?? systemClock;
    this.#logger = logger ?? defaultLogger;
    this.#states = new StateLog(this.#clock);
  }

  /** The name of the task. */
  get name(): string {
    return this.#name;
  }

  /** The current state. */
  get state(): RunState {
    return this.#states.state;
  }

  /** Whether the task is starting or running. */
  get running(): boolean {
    return isRunning(this.state);
  }

  /** Whether the task has failed. */
  get errored(): boolean {
    return isErrored(this.state);
  }

  /** Whether the task has ended, or was stopped before it was run. */
  get ended(): boolean {
    return this.#run === undefined ? this.#over.isOpen : this.#run.hasEnded;
  }

  /** Whether a stop has given up waiting for the task. */
  get abandoned(): boolean {
    return this.#run?.isAbandoned ?? false;
  }

  /** What the action has thrown, `undefined` if it has not. */
  get exception(): unknown {
    return this.errored ? this.#failure.look() : undefined;
  }

  /** Rounds, misses, lateness and restarts so far. */
  get statistics(): BackgroundTaskStatistics {
    return {
      rounds: this.#rounds,
      missed: this.#missed,
      worstLateness: this.#worstLateness,
      restarts: this.#restarts,
    };
  }

  /**
   * Starts the task. The action begins soon after, not within this call. Does
   * nothing while the task runs.
   *
   * With a signal that has already aborted the task ends at once, normally,
   * and the action is not called.
   *
   * @throws {Error} If the task has ended, or was stopped before.
   */
  run(): void {
    if (this.ended) {
      throw new Error(
        `Cannot run '${this.#name}' as it has already ended: create a new task`,
      );
    }
    if (this.#run !== undefined) return;
    this.#states.enter(RunState.Starting);
    this.#run = new Run(
      ({ signal }) => this.#supervise(signal),
      [this.#options.signal],
      this.#options.grace,
      this.#clock,
      {
        onStart: () => this.#states.enter(RunState.Running),
        onStopping: () => this.#states.enter(RunState.Stopping),
        onAbandon: () => this.#abandon(),
        onEnd: (failure) => this.#end(failure),
      },
    );
  }

  /**
   * Stops the task: its signal aborts at once, also while it sleeps.
   *
   * Any number of calls from anywhere, at any moment, all wait for the same
   * end, each for its own grace. The first reason counts. A task that has not
   * been run ends without having run.
   *
   * @param options Why, and how long to wait for the work to end.
   * @returns `"stopped"` when the work has ended, also by an error or before;
   * `"abandoned"` when it had not ended within the grace.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   */
  async stop(options: StopOptions = {}): Promise<StopOutcome> {
    checkStopOptions("stop", options);
    if (this.#run !== undefined) return await this.#run.stop(options);
    this.#states.end();
    this.#finish();
    return "stopped";
  }

  /**
   * Waits until the task has ended, whether it has been run yet or not, or
   * until a stop has abandoned it.
   *
   * @param options What ends the wait early.
   * @returns A promise that resolves when the task has ended normally, which
   * includes that it was stopped; {@linkcode BackgroundTask.abandoned} tells
   * whether it was.
   * @throws {unknown} What the action has thrown.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async join(options: JoinOptions = {}): Promise<void> {
    checkOptions("join", options);
    const { signal } = options;
    checkSignal("join", signal);
    await this.#over.wait({ signal });
    this.#failure.throwIfAny();
  }

  /**
   * Follows the states of the task: the current one first, then every
   * transition, to the end of the task.
   *
   * @param options What ends the iteration early.
   * @returns The transitions with their times.
   * @throws {TypeError} If an option is of the wrong type.
   */
  states(options: StatesOptions = {}): AsyncIterableIterator<StateChange> {
    checkOptions("follow states", options);
    checkSignal("follow states", options.signal);
    return this.#states.subscribe(options.signal);
  }

  /** Stops the task and waits for it, at most for the default grace. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Nobody waits a second time for what did not hear the first.
    if (!this.abandoned) await this.stop();
  }

  async #supervise(signal: AbortSignal): Promise<void> {
    const { restart } = this.#options;
    for (let attempt = 1;; attempt++) {
      const began = this.#clock.now();
      try {
        return await this.#perform(signal);
      } catch (error) {
        if (signal.aborted || restart === undefined) throw error;
        const { resetAfter = Infinity } = restart;
        if (this.#clock.now() - began >= resetAfter) attempt = 1;
        const delay = this.#restartDelay(restart, attempt, error);
        if (delay === undefined) throw error;
        if (!this.#tellHook(error, delay)) {
          this.#log("warn", `failed and restarts in ${delay} ms`, { error });
        }
        await this.#sleep(delay, signal);
        this.#restarts++;
      }
    }
  }

  #restartDelay(
    restart: RestartPolicy,
    attempt: number,
    error: unknown,
  ): number | undefined {
    try {
      const delay = restart.delay(attempt, error);
      if (delay !== undefined) checkNonNegative("restart", "delay", delay);
      return delay;
    } catch (policyError) {
      this.#log("error", "has a restart policy that failed", {
        error: policyError,
      });
      return undefined;
    }
  }

  async #perform(signal: AbortSignal): Promise<void> {
    const { frequency, schedule, ref } = this.#options;
    if (frequency === undefined) {
      await this.#round(signal, ON_TIME);
      return;
    }
    const period = 1000 / frequency;
    if (schedule === "fixed-delay") {
      for (let due = this.#clock.now();;) {
        const late = Math.max(this.#clock.now() - due, 0);
        await this.#round(signal, { late, missed: 0 });
        due = this.#clock.now() + period;
        await this.#sleep(period, signal);
      }
    }
    for await (
      const tick of ticks(period, { signal, clock: this.#clock, ref })
    ) {
      await this.#round(signal, tick);
    }
  }

  #round(signal: AbortSignal, { late, missed }: Punctuality): unknown {
    // The timer may have won over a stop by a hair.
    signal.throwIfAborted();
    const round = this.#rounds++;
    this.#missed += missed;
    this.#worstLateness = Math.max(this.#worstLateness, late);
    if (missed > 0) this.#log("debug", `missed ${missed} rounds`, { late });
    return this.#action({
      signal,
      logger: this.#logger,
      round,
      late,
      missed,
      sleep: (ms) => this.#sleep(ms, signal),
      stop: (reason) => {
        this.stop({ reason });
      },
    });
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    return sleep(ms, { signal, clock: this.#clock, ref: this.#options.ref });
  }

  #abandon(): void {
    this.#log("warn", "was abandoned: it did not end when stopped", {});
    this.#finish();
  }

  #finish(): void {
    if (this.#over.isOpen) return;
    this.#over.open();
    callHook(
      () => this.#options.onEnd?.(this),
      (error) => this.#log("error", "has an onEnd hook that failed", { error }),
    );
  }

  #end(failure: { error: unknown } | undefined): void {
    this.#states.enter(
      failure === undefined ? RunState.Stopped : RunState.Errored,
    );
    this.#states.end();
    if (this.#over.waiting > 0) this.#failure.see();
    if (failure !== undefined) this.#tellHook(failure.error, undefined);
    this.#failure.record(
      failure,
      (error) => this.#log("error", "failed", { error }),
    );
    this.#finish();
  }

  /** Tells the hook of an error. Returns whether there is a hook. */
  #tellHook(error: unknown, restartIn: number | undefined): boolean {
    const { onError } = this.#options;
    if (onError === undefined) return false;
    if (restartIn === undefined) this.#failure.see();
    callHook(
      () => onError(error, { task: this, restartIn }),
      (error) =>
        this.#log("error", "has an onError hook that failed", { error }),
    );
    return true;
  }

  #log(
    level: "debug" | "warn" | "error",
    what: string,
    details: Record<string, unknown>,
  ): void {
    reportTask(this.#logger, level, this.#name, what, details);
  }
}
