// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * The items of a stream, handled in the background.
 *
 * ```ts
 * import { StreamingTask } from "@longrun/tasks/streaming-task";
 * import { assertEquals } from "@std/assert";
 *
 * const health: string[] = [];
 * const task = new StreamingTask<string>({
 *   name: "health",
 *   source: () => ["ok", "ok", "degraded"],
 *   onItem: (item) => {
 *     health.push(item);
 *   },
 * });
 *
 * await task.start();
 * await task.join();
 * assertEquals(health, ["ok", "ok", "degraded"]);
 * ```
 *
 * @module
 */

import {
  checkCommon,
  checkCount,
  checkFunction,
  checkOneOf,
  checkOptions,
  checkPositive,
  checkSignal,
  checkType,
} from "./_arguments.ts";
import { Failure } from "./_failure.ts";
import { ItemLoop } from "./_item_loop.ts";
import { Latch } from "./_latch.ts";
import { isPromiseLike } from "./_promise_fanout.ts";
import { reportTask } from "./_report.ts";
import { checkStopOptions, Run } from "./_run.ts";
import { StateLog } from "./_state_log.ts";
import { abortable, CancelScope, isCancellation } from "./cancellation.ts";
import { type Clock, systemClock } from "./clock.ts";
import { defaultLogger, type Logger } from "./logger.ts";
import {
  isErrored,
  type JoinOptions,
  RunState,
  type StateChange,
  type StatesOptions,
  type StopOptions,
  type StopOutcome,
} from "./run_state.ts";
import { type ItemSource, withTimeout } from "./timeout_iterator.ts";

/** What an error handler can say: go on with the next item. */
export type StreamErrorDecision = "continue";

/** Options of {@linkcode StreamingTask}. */
export interface StreamingTaskOptions<T, Args = void> {
  /** A name for messages. */
  name: string;
  /**
   * Opens the stream, anew for each start. The signal aborts when the task is
   * asked to stop, and with the error that ends the stream.
   */
  source: (
    signal: AbortSignal,
    args: Args,
  ) => ItemSource<T> | PromiseLike<ItemSource<T>>;
  /**
   * Handles an item. The next one is not taken before this has settled, or
   * before less than `concurrency` are busy.
   */
  onItem: (item: T, signal: AbortSignal) => void | PromiseLike<void>;
  /**
   * Told of an error of `onItem`, of the source, or of a timeout: it counts as
   * having looked at it. Returning `"continue"` goes on with the next item, or
   * with the wait after a timeout; a source that has failed has ended.
   */
  onError?: (
    error: unknown,
  ) =>
    | StreamErrorDecision
    | void
    | PromiseLike<StreamErrorDecision | void>;
  /**
   * The longest wait for an item, in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number;
  /**
   * How many items are handled at a time.
   *
   * @default {1}
   */
  concurrency?: number;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Told of errors that nobody looked at, and of abandoned streams.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
}

/** Options of {@linkcode StreamingTask.start}. */
export interface StartOptions<Args = void> extends StopOptions {
  /** Stops this run of the task. */
  signal?: AbortSignal;
  /** What the source is called with. */
  args?: Args;
  /**
   * What to do while the task runs: stop the old stream first, do nothing, or
   * refuse. For a restart `grace` and `reason` are those of the stop.
   *
   * @default {"restart"}
   */
  ifRunning?: "restart" | "ignore" | "throw";
}

/** The parameters of a start: the arguments of the source are optional only if it takes none. */
export type StartParameters<Args> = [Args] extends [void]
  ? [options?: StartOptions<Args>]
  : undefined extends Args ? [options?: StartOptions<Args>]
  : [options: StartOptions<Args> & { args: Args }];

/** The figures of a {@linkcode StreamingTask}, over all its runs. */
export interface StreamingTaskStatistics {
  /** How many items were handed to `onItem`. */
  readonly items: number;
  /** How many errors there were, timeouts included. */
  readonly errors: number;
  /** How many items did not come in time. */
  readonly timeouts: number;
  /** How often the task was started. */
  readonly starts: number;
  /**
   * When the last item came, on the scale of the clock, `undefined` before the
   * first.
   */
  readonly lastItemTime: number | undefined;
}

/** Checks the options of a {@linkcode StreamingTask}. */
function checkTaskOptions<T, Args>(options: StreamingTaskOptions<T, Args>) {
  const doing = "create StreamingTask";
  checkOptions(doing, options);
  checkCommon(doing, options);
  const { name, source, onItem, onError, timeout, concurrency } = options;
  checkType(typeof name === "string", doing, "name", "a string", name);
  checkFunction(doing, "source", source);
  checkFunction(doing, "onItem", onItem);
  if (onError !== undefined) checkFunction(doing, "onError", onError);
  if (timeout !== undefined) checkPositive(doing, "timeout", timeout);
  if (concurrency !== undefined) {
    checkCount(doing, "concurrency", concurrency, 1);
  }
}

/**
 * A stream of items, handled in the background, that can be started and
 * stopped any number of times.
 *
 * **When to use.** For streams that somebody else ends: monitoring, server
 * events, subscriptions. To pull items yourself use a `TimeoutIterator`.
 *
 * **Gotchas.** Each start opens the source anew. `stop()` awaited inside
 * `onItem` waits for itself, and gives `"abandoned"` after its grace: do not
 * await it there.
 *
 * The system of `ska_pst.lmc.util.StreamingTask`: its `item_generator` is
 * `source`, `item_handler` is `onItem`, `exception_handler` is `onError`, and
 * the abort event is the signal.
 *
 * @typeParam T The type of the items.
 * @typeParam Args What the source is called with at each start.
 *
 * @example A source with arguments
 * ```ts
 * import { StreamingTask } from "@longrun/tasks/streaming-task";
 * import { sleep } from "@longrun/tasks/cancellation";
 * import { assertEquals } from "@std/assert";
 *
 * const seen: number[] = [];
 * await using task = new StreamingTask<number, { from: number }>({
 *   name: "counter",
 *   source: async function* (signal, { from }) {
 *     for (let n = from;; n++) {
 *       yield n;
 *       await sleep(1, { signal });
 *     }
 *   },
 *   onItem: (n) => {
 *     seen.push(n);
 *     if (n === 7) task.stop();
 *   },
 * });
 *
 * await task.start({ args: { from: 5 } });
 * await task.join();
 * assertEquals(seen, [5, 6, 7]);
 * ```
 */
export class StreamingTask<T, Args = void> implements AsyncDisposable {
  readonly #options: StreamingTaskOptions<T, Args>;
  readonly #clock: Clock;
  readonly #states: StateLog;
  #run: Run | undefined = undefined;
  /** Opens when the current run, and a start that waits for it, is over. */
  #over: Latch | undefined = undefined;
  /** The newest start that waits for an older stream; a stop takes it away. */
  #waitingStart: object | undefined = undefined;
  #isDisposed = false;
  #failure: Failure = new Failure();
  #items = 0;
  #errors = 0;
  #timeouts = 0;
  #starts = 0;
  #lastItemTime: number | undefined = undefined;

  /**
   * Creates a task. The source is not opened before
   * {@linkcode StreamingTask.start}.
   *
   * @param options The source, the handlers and the limits.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(options: StreamingTaskOptions<T, Args>) {
    checkTaskOptions(options);
    this.#options = { ...options };
    this.#clock = options.clock ?? systemClock;
    this.#states = new StateLog(this.#clock);
  }

  /** The name of the task. */
  get name(): string {
    return this.#options.name;
  }

  /** The current state. */
  get state(): RunState {
    return this.#states.state;
  }

  /** Whether the task runs, or a start waits for an old stream to end. */
  get running(): boolean {
    return this.#over !== undefined;
  }

  /** Whether the last stream has failed. */
  get errored(): boolean {
    return isErrored(this.state);
  }

  /** Whether a stop has given up waiting for the last stream. */
  get abandoned(): boolean {
    return this.#run?.isAbandoned ?? false;
  }

  /** What the last stream has failed with, `undefined` if it has not. */
  get exception(): unknown {
    return this.errored ? this.#failure.look() : undefined;
  }

  /** Items, errors and starts so far. */
  get statistics(): StreamingTaskStatistics {
    return {
      items: this.#items,
      errors: this.#errors,
      timeouts: this.#timeouts,
      starts: this.#starts,
      lastItemTime: this.#lastItemTime,
    };
  }

  /**
   * Starts the stream.
   *
   * While the task runs the old stream is stopped first, or what `ifRunning`
   * says. Of several calls, and stops among them, the last one decides.
   *
   * @param options Arguments for the source, and what stops this run.
   * @returns A promise that resolves when the iteration has begun, or when the
   * start was overtaken by a stop or by another start. Errors of the stream
   * are told to `onError` and `join()`.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   * @throws {Error} If the task runs and `ifRunning` is `"throw"`, or if the
   * task was disposed of.
   */
  async start(...[options = {}]: StartParameters<Args>): Promise<void> {
    const { ifRunning = "restart", signal, args } = options as StartOptions<
      Args
    >;
    checkStopOptions("start", options);
    checkSignal("start", signal);
    checkOneOf("start", "ifRunning", ifRunning, [
      "restart",
      "ignore",
      "throw",
    ]);
    if (this.#isDisposed) {
      throw new Error(`Cannot start '${this.name}' as it was disposed of`);
    }
    if (this.running) {
      if (ifRunning === "ignore") return;
      if (ifRunning === "throw") {
        throw new Error(`Cannot start '${this.name}' as it runs already`);
      }
    }
    this.#over ??= new Latch();
    const old = this.#run;
    if (old !== undefined && !old.hasEnded && !old.isAbandoned) {
      const turn = this.#waitingStart = {};
      await old.stop(options);
      if (this.#waitingStart !== turn) return;
    }
    this.#waitingStart = undefined;
    await this.#begin(signal, args as Args);
  }

  /**
   * Stops the stream, and a start that waits for an older stream to end. Does
   * nothing while the task does not run.
   *
   * @param options Why, and how long to wait for handlers and source to end.
   * @returns `"stopped"` when the stream has ended and its source has closed,
   * `"abandoned"` when they had not within the grace.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   */
  async stop(options: StopOptions = {}): Promise<StopOutcome> {
    checkStopOptions("stop", options);
    this.#waitingStart = undefined;
    if (this.#run === undefined || this.#run.hasEnded) {
      this.#finish();
      return "stopped";
    }
    return await this.#run.stop(options);
  }

  /**
   * Waits until the task does not run any more, or was abandoned.
   *
   * @param options What ends the wait early.
   * @returns A promise that resolves when the last stream has ended normally,
   * which includes that it was stopped; at once if the task does not run.
   * {@linkcode StreamingTask.abandoned} tells whether it was abandoned.
   * @throws {unknown} What the last stream has failed with.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async join(options: JoinOptions = {}): Promise<void> {
    checkOptions("join", options);
    const { signal } = options;
    checkSignal("join", signal);
    await this.#over?.wait({ signal });
    this.#failure.throwIfAny();
  }

  /**
   * Follows the states of the task: the current one first, then every
   * transition of every run, until the task is disposed of.
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

  /** Stops the stream; the task cannot be started again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    await this.stop();
    this.#states.end();
  }

  async #begin(signal: AbortSignal | undefined, args: Args): Promise<void> {
    this.#failure = new Failure();
    this.#starts++;
    this.#states.enter(RunState.Starting);
    const begun = new Latch();
    const isCurrent = (): boolean => this.#run === run;
    const run: Run = new Run(
      (signal) => this.#iterate(signal, args, begun),
      signal,
      this.#clock,
      {
        onStart: () => this.#states.enter(RunState.Running),
        onStopping: () => this.#states.enter(RunState.Stopping),
        onAbandon: () => {
          this.#log("warn", "was abandoned: it did not end when stopped", {});
          if (isCurrent() && this.#waitingStart === undefined) this.#finish();
        },
        onEnd: (failure) => {
          begun.open();
          if (isCurrent()) this.#end(failure);
          else if (failure !== undefined) this.#reportLate(failure.error);
        },
      },
    );
    this.#run = run;
    await begun.wait();
  }

  async #iterate(
    signal: AbortSignal,
    args: Args,
    begun: Latch,
  ): Promise<void> {
    const { timeout = Infinity, concurrency = 1, logger } = this.#options;
    // The source and the handlers are told of an error that ends the stream,
    // too, not only of a stop.
    const scope = new CancelScope(signal);
    try {
      const source = await this.#open(scope.signal, args);
      const loop = new ItemLoop<T>(source, scope, {
        onItem: (item, signal) => {
          this.#items++;
          this.#lastItemTime = this.#clock.now();
          return this.#options.onItem(item, signal);
        },
        onError: (error) => this.#judge(error),
        onStall: () => {
          this.#timeouts++;
        },
        onLateError: (error) => this.#reportLate(error),
        timeout,
        concurrency,
        clock: this.#clock,
        logger,
      });
      begun.open();
      await loop.run();
    } finally {
      scope.dispose();
    }
  }

  /** Opens the source. One that opens too late is closed again. */
  async #open(signal: AbortSignal, args: Args): Promise<ItemSource<T>> {
    let given: ItemSource<T> | PromiseLike<ItemSource<T>> | undefined;
    try {
      given = this.#options.source(signal, args);
      return isPromiseLike(given) ? await abortable(given, signal) : given;
    } catch (error) {
      if (signal.aborted && isPromiseLike(given)) this.#discard(given, signal);
      else await this.#judge(error);
      throw error;
    }
  }

  #discard(given: PromiseLike<ItemSource<T>>, signal: AbortSignal): void {
    Promise.resolve(given).then((source) => withTimeout(source).return())
      .catch((error) => {
        if (!isCancellation(error, signal)) this.#reportLate(error);
      });
  }

  /** Asks the handler about an error. Returns whether to go on. */
  async #judge(error: unknown): Promise<boolean> {
    const { onError } = this.#options;
    this.#errors++;
    if (onError === undefined) return false;
    this.#failure.see();
    try {
      return await onError(error) === "continue";
    } catch (hookError) {
      this.#log("error", "has an onError hook that failed", {
        error: hookError,
      });
      return false;
    }
  }

  #end(failure: { error: unknown } | undefined): void {
    this.#states.enter(
      failure === undefined ? RunState.Stopped : RunState.Errored,
    );
    if ((this.#over?.waiting ?? 0) > 0) this.#failure.see();
    this.#failure.record(
      failure,
      (error) => this.#log("error", "failed", { error }),
    );
    if (this.#waitingStart === undefined) this.#finish();
  }

  #finish(): void {
    const over = this.#over;
    this.#over = undefined;
    over?.open();
  }

  #reportLate(error: unknown): void {
    this.#log("warn", "failed after its end", { error });
  }

  #log(
    level: "warn" | "error",
    what: string,
    details: Record<string, unknown>,
  ): void {
    const { logger = defaultLogger } = this.#options;
    reportTask(logger, level, this.name, what, details);
  }
}
