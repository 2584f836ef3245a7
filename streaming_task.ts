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
  checkOneOf,
  checkOptions,
  checkSignal,
  copyOptions,
} from "./_arguments.ts";
import { Failure } from "./_failure.ts";
import { ItemLoop } from "./_item_loop.ts";
import { Latch } from "./_latch.ts";
import { isPromiseLike } from "./_promise_fanout.ts";
import { reportTask } from "./_report.ts";
import { checkStopOptions, Run } from "./_run.ts";
import { StateLog } from "./_state_log.ts";
import {
  checkStreamingTask,
  type StartOptions,
  type StartParameters,
  type StreamingTaskOptions,
  type StreamingTaskStatistics,
} from "./_streaming_task_options.ts";
import {
  abortable,
  CancelScope,
  isCancellation,
  timeout,
} from "./cancellation.ts";
import { type Clock, systemClock } from "./clock.ts";
import { defaultLogger } from "./logger.ts";
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
import { type ItemSource, withTimeout } from "./timeout_iterator.ts";

export type {
  StartOptions,
  StartParameters,
  StreamingTaskOptions,
  StreamingTaskStatistics,
} from "./_streaming_task_options.ts";

/** The end that is joined, and the failure it comes with. */
class Over extends Latch {
  /** Kept here, because the next start may come before those who joined. */
  failure: Failure | undefined = undefined;
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
  #over: Over | undefined = undefined;
  /** The newest start that waits for an older stream; aborts when overtaken. */
  #waitingStart: CancelScope | undefined = undefined;
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
    checkStreamingTask(options);
    this.#options = copyOptions(options);
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

  /** Whether the task is starting or running, or a start waits its turn. */
  get running(): boolean {
    return isRunning(this.state) || this.#waitingStart !== undefined;
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
    checkStopOptions("start", options);
    const { ifRunning = "restart", signal, args } = options as StartOptions<
      Args
    >;
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
    this.#overtake();
    this.#over ??= new Over();
    const old = this.#run;
    if (old !== undefined && !old.hasEnded && !old.isAbandoned) {
      const turn = this.#waitingStart = new CancelScope();
      await abortable(old.stop(options), turn.signal).catch(() => {});
      if (turn.aborted) return;
      this.#waitingStart = undefined;
    }
    // From the look at the turn to here nobody else had one.
    await this.#begin(signal, args as Args);
  }

  /** Takes its turn from a start that waits. */
  #overtake(): void {
    const turn = this.#waitingStart;
    this.#waitingStart = undefined;
    turn?.abort("overtaken");
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
    this.#overtake();
    const outcome = await this.#run?.stop(options) ?? "stopped";
    // A start may have come meanwhile.
    if (this.#waitingStart === undefined && !this.running) this.#finish();
    return outcome;
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
    const over = this.#over;
    await over?.wait({ signal });
    (over?.failure ?? this.#failure).throwIfAny();
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
    // Nobody waits a second time for what did not hear the first.
    if (this.abandoned) {
      this.#overtake();
      this.#finish();
    } else {
      await this.stop();
    }
    this.#states.end();
  }

  async #begin(signal: AbortSignal | undefined, args: Args): Promise<void> {
    this.#failure = new Failure();
    this.#starts++;
    this.#states.enter(RunState.Starting);
    const begun = new Latch();
    const run: Run = new Run(
      (scope) => this.#iterate(scope.signal, args, begun),
      [signal],
      this.#options.grace,
      this.#clock,
      {
        onStart: () => this.#states.enter(RunState.Running),
        onStopping: () => this.#states.enter(RunState.Stopping),
        onAbandon: () => {
          begun.open();
          this.#log("warn", "was abandoned: it did not end when stopped", {});
          if (this.#waitingStart === undefined) this.#finish();
        },
        onEnd: (failure) => {
          begun.open();
          if (this.#run === run) this.#end(failure);
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
    const onStall = (): void => {
      this.#timeouts++;
    };
    try {
      const loop = await this.#open(
        scope,
        args,
        onStall,
        (source) =>
          new ItemLoop<T>(source, scope, {
            onItem: (item, signal) => {
              this.#items++;
              this.#lastItemTime = this.#clock.now();
              return this.#options.onItem(item, signal);
            },
            onError: (error) => this.#judge(error),
            onStall,
            onLateError: (error) => this.#reportLate(error),
            timeout,
            concurrency,
            clock: this.#clock,
            logger,
          }),
      );
      begun.open();
      await loop.run();
    } finally {
      scope.dispose();
    }
  }

  /** Opens the source, within limits. One that opens too late is closed. */
  async #open(
    scope: CancelScope,
    args: Args,
    onStall: () => void,
    use: (source: ItemSource<T>) => ItemLoop<T>,
  ): Promise<ItemLoop<T>> {
    const { source, timeout: ms = Infinity } = this.#options;
    const { signal } = scope;
    let given: ItemSource<T> | PromiseLike<ItemSource<T>> | undefined;
    try {
      given = source(signal, args);
      if (!isPromiseLike(given)) return use(given);
      return use(await timeout(given, ms, { signal, clock: this.#clock }));
    } catch (error) {
      if (isPromiseLike(given)) this.#discard(given);
      if (!isCancellation(error, signal)) {
        if (error instanceof DOMException && error.name === "TimeoutError") {
          onStall();
        }
        await this.#judge(error);
        scope.abort(error);
      }
      throw error;
    }
  }

  #discard(given: PromiseLike<ItemSource<T>>): void {
    const { clock, logger } = this.#options;
    // Its failure, if it fails, has been told or is the echo of the stop.
    Promise.resolve(given)
      .then((source) => withTimeout(source, { clock, logger }).return())
      .catch(() => {});
  }

  /** Tells the handler of an error. Returns whether to go on. */
  async #judge(error: unknown): Promise<boolean> {
    const { onError } = this.#options;
    this.#errors++;
    if (onError === undefined) return false;
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
    const isWaitedFor = this.#waitingStart === undefined &&
      this.#over !== undefined && this.#over.waiting > 0;
    // The hook has been told of every error.
    if (this.#options.onError !== undefined || isWaitedFor) {
      this.#failure.see();
    }
    this.#failure.record(
      failure,
      (error) => this.#log("error", "failed", { error }),
    );
    if (this.#waitingStart === undefined) this.#finish();
  }

  #finish(): void {
    const over = this.#over;
    this.#over = undefined;
    if (over === undefined) return;
    over.failure = this.#failure;
    over.open();
  }

  #reportLate(error: unknown): void {
    if (this.#options.onError !== undefined) return;
    this.#log("error", "failed after its end", { error });
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
