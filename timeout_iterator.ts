// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Items from a source that may stall: a limit on the wait for each of them.
 *
 * ```ts
 * import { withTimeout } from "@longrun/tasks/timeout-iterator";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * async function* telescope() {
 *   yield "frame 1";
 *   await new Promise(() => {}); // hangs
 * }
 *
 * const frames: string[] = [];
 * await assertRejects(async () => {
 *   for await (const frame of withTimeout(telescope(), { timeout: 10 })) {
 *     frames.push(frame);
 *   }
 * }, DOMException, "No item within 10 ms");
 * assertEquals(frames, ["frame 1"]);
 * ```
 *
 * @module
 */

import { Closing } from "./_closing.ts";
import { checkOneOf, copyOptions } from "./_arguments.ts";
import { callHook } from "./_hooks.ts";
import { LazyTimer } from "./_lazy_timer.ts";
import { Prefetch } from "./_prefetch.ts";
import { report } from "./_report.ts";
import { DEFAULT_GRACE } from "./_run.ts";
import { coarseSystemNow } from "./_system_timers.ts";
import {
  checkResult,
  type ItemSource,
  openSource,
  type PulledSource,
} from "./_source.ts";
import {
  checkTimeoutIterator,
  DECISIONS,
  SLOW_PERIODS,
  type SlowItem,
  type TimeoutDecision,
  type TimeoutIteratorOptions,
  type TimeoutIteratorStatistics,
} from "./_timeout_iterator_options.ts";
import { isCancellation, onAbort } from "./cancellation.ts";
import { type Clock, systemClock } from "./clock.ts";
import { defaultLogger } from "./logger.ts";

export type { ItemSource } from "./_source.ts";
export type {
  ItemTimeout,
  SlowItem,
  TimeoutDecision,
  TimeoutIteratorOptions,
  TimeoutIteratorStatistics,
} from "./_timeout_iterator_options.ts";

type Resolve<T> = (result: IteratorResult<T>) => void;
type Reject = (reason: unknown) => void;

/**
 * An iterator over any source of items that limits the wait for them.
 *
 * Nothing is taken from the source before it is asked for. The wait for an
 * item ends the moment its time is over or the signal aborts, even when the
 * source hangs; the source is then closed in the background. However the
 * iteration ends early, the source's `return()` is called exactly once.
 *
 * ```text
 * next()     |-----item  |---item    |----------x TimeoutError, then the end
 * timeout    |---------->|---------->|--------->|
 * ```
 *
 * **When to use.** For streams whose silence means something is wrong: a
 * monitor, a subscription, a camera. To handle the items in the background use
 * a `StreamingTask`, which has the same timeout.
 *
 * **Gotchas.** The time that the consumer takes between two items does not
 * count, but for the `totalTimeout`. An item that comes after its timeout is
 * lost, unless `onTimeout` says `"continue"`. An iterator that is left in the
 * middle without `return()` keeps its timer, and with it the process, for up
 * to one timeout; `for await` calls it. When the program itself was held up, by
 * a long computation or a machine that slept, it first reads what has come
 * meanwhile, for some 50 ms: its own slowness is no timeout of the source.
 *
 * The whole iteration has one timer and one abort listener, not one an item.
 *
 * The system of `ska_pst.lmc.util.TimeoutIterator`, with these differences: it
 * pulls, where the original drains the source into an unbounded queue; it
 * closes the source; an abort is seen at once; after an error it has ended.
 *
 * @typeParam T The type of the items.
 *
 * @example Going on after a timeout
 * ```ts
 * import { TimeoutIterator } from "@longrun/tasks/timeout-iterator";
 * import { sleep } from "@longrun/tasks/cancellation";
 * import { assert, assertEquals } from "@std/assert";
 *
 * async function* readings() {
 *   await sleep(50);
 *   yield 21;
 * }
 *
 * const values: number[] = [];
 * const iterator = new TimeoutIterator(readings(), {
 *   timeout: 10,
 *   onTimeout: "continue",
 * });
 * for await (const value of iterator) values.push(value);
 *
 * assertEquals(values, [21]); // late, not lost
 * assert(iterator.statistics.timeouts > 0);
 * ```
 */
export class TimeoutIterator<T>
  implements AsyncIterableIterator<T, undefined>, AsyncDisposable {
  readonly #given: ItemSource<T>;
  readonly #options: TimeoutIteratorOptions;
  readonly #clock: Clock;
  readonly #timeout: number;
  readonly #firstTimeout: number;
  readonly #slowAfter: number;
  readonly #isTimed: boolean;

  #source: PulledSource<T> | undefined = undefined;
  #isOver = false;
  #failure: { reason: unknown } | undefined = undefined;
  #forgetSignal: (() => void) | undefined = undefined;

  // The one request that waits for the source, and those behind it.
  #resolve: Resolve<T> | undefined = undefined;
  #reject: Reject | undefined = undefined;
  #queue: [Resolve<T>, Reject][] | undefined = undefined;

  /** Read for every item: the cheapest there is, up to a millisecond ahead. */
  readonly #now: () => number;
  readonly #timer: LazyTimer;
  #askedAt = 0;
  #totalDeadline = Infinity;
  #closing: Closing | undefined = undefined;

  #items = 0;
  #timeouts = 0;
  #slow = 0;

  /**
   * Creates an iterator. Nothing is asked of the source before `next()`.
   *
   * @param source An iterable or an iterator, asynchronous or not, or a
   * `ReadableStream`. It belongs to the iterator from now on.
   * @param options The limits, and what follows when they are exceeded.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(source: ItemSource<T>, options: TimeoutIteratorOptions = {}) {
    checkTimeoutIterator(source, options);
    const { timeout = Infinity, expectedRate, totalTimeout } = options;
    const period = expectedRate === undefined ? 0 : 1000 / expectedRate;
    this.#given = source;
    this.#options = copyOptions(options);
    this.#clock = options.clock ?? systemClock;
    this.#timeout = timeout;
    this.#firstTimeout = options.firstTimeout ?? timeout + 2 * period;
    this.#slowAfter = period > 0 ? SLOW_PERIODS * period : Infinity;
    const { clock = systemClock } = options;
    this.#now = clock === systemClock ? coarseSystemNow : () => clock.now();
    this.#timer = new LazyTimer(this.#clock, (now) => this.#expire(now));
    this.#isTimed = period > 0 ||
      Math.min(timeout, this.#firstTimeout, totalTimeout ?? Infinity) <
        Infinity;
  }

  /** Items, timeouts and slow items so far. */
  get statistics(): TimeoutIteratorStatistics {
    return { items: this.#items, timeouts: this.#timeouts, slow: this.#slow };
  }

  /**
   * Asks the source for the next item. Requests may be made before others are
   * answered; they are answered in order.
   *
   * @returns The item, or the end.
   * @throws {DOMException & { name: "TimeoutError" }} If it does not come in
   * time.
   * @throws {AbortSignal["reason"]} If the signal aborts.
   * @throws {unknown} What the source throws.
   */
  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#resolve !== undefined) {
      return new Promise((resolve, reject) => {
        (this.#queue ??= []).push([resolve as Resolve<T>, reject]);
      });
    }
    return new Promise(this.#request as (resolve: unknown) => void);
  }

  /**
   * Ends the iteration and closes the source. Waits for that, at most for the
   * grace: the `return()` of a generator that hangs would never come back.
   *
   * @returns The end.
   * @throws {unknown} What the source throws while it closes.
   */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.#failure = undefined;
    if (!this.#isOver) {
      const resolve = this.#resolve;
      this.#end();
      resolve?.({ done: true, value: undefined });
      this.#answerQueue();
      this.#close();
    }
    await this.#waitClosed();
    return { done: true, value: undefined };
  }

  /** The iterator itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The same as {@linkcode TimeoutIterator.return}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  // One function for all requests: a closure each would cost as much as the
  // promise.
  readonly #request = (resolve: Resolve<T>, reject: Reject): void => {
    if (this.#isOver) {
      const failure = this.#failure;
      this.#failure = undefined;
      if (failure === undefined) resolve({ done: true, value: undefined });
      else reject(failure.reason);
      return;
    }
    this.#resolve = resolve;
    this.#reject = reject;
    if (this.#source === undefined && !this.#open()) return;
    if (this.#isTimed && !this.#startTiming()) return;
    let result: unknown;
    try {
      result = (this.#source as PulledSource<T>).next();
    } catch (error) {
      this.#fail(error);
      return;
    }
    (result instanceof Promise ? result : Promise.resolve(result)).then(
      this.#receive,
      this.#fail,
    );
  };

  readonly #receive = (result: IteratorResult<T>): void => {
    const resolve = this.#resolve;
    if (resolve === undefined) return;
    let done: boolean | undefined;
    try {
      checkResult(result);
      ({ done } = result);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (done) {
      this.#end();
      resolve({ done: true, value: undefined });
      this.#answerQueue();
      return;
    }
    if (this.#slowAfter !== Infinity) this.#watchRate();
    this.#items++;
    this.#resolve = undefined;
    resolve(result);
    if (this.#queue !== undefined) this.#answerNext();
  };

  readonly #fail = (reason: unknown): void => {
    const reject = this.#reject;
    if (this.#isOver) {
      this.#failLate(reason);
      return;
    }
    this.#end();
    reject?.(reason);
    this.#answerQueue();
  };

  /** The request that was left behind has failed: mostly an echo. */
  #failLate(reason: unknown): void {
    const { signal } = this.#options;
    if (signal !== undefined && isCancellation(reason, signal)) return;
    this.#closing?.note(reason);
  }

  #answerNext(): void {
    const request = this.#queue?.shift();
    if (request !== undefined) this.#request(...request);
  }

  #answerQueue(): void {
    const queue = this.#queue;
    this.#queue = undefined;
    if (queue !== undefined) {
      for (const [resolve] of queue) resolve({ done: true, value: undefined });
    }
  }

  /** Opens the source. Returns whether it is of use. */
  #open(): boolean {
    const { signal, prefetch = 0, totalTimeout } = this.#options;
    try {
      const source = openSource(this.#given);
      this.#source = prefetch > 0 ? new Prefetch(source, prefetch) : source;
    } catch (error) {
      this.#fail(error);
      return false;
    }
    if (totalTimeout !== undefined) {
      this.#totalDeadline = this.#clock.now() + totalTimeout;
    }
    if (signal !== undefined) {
      this.#forgetSignal = onAbort(signal, (reason) => this.#abort(reason));
    }
    return !this.#isOver;
  }

  #abort(reason: unknown): void {
    const resolve = this.#resolve;
    const reject = this.#reject;
    this.#end();
    if (this.#options.onAbort === "end") {
      resolve?.({ done: true, value: undefined });
    } else if (resolve !== undefined) {
      reject?.(reason);
    } else {
      this.#failure = { reason };
    }
    this.#answerQueue();
    this.#close();
  }

  /** Gives the item its deadline. Returns whether there is any time left. */
  #startTiming(): boolean {
    const now = this.#now();
    this.#askedAt = now;
    if (now >= this.#totalDeadline) {
      const exactNow = this.#clock.now();
      if (exactNow >= this.#totalDeadline) {
        this.#expire(exactNow);
        return false;
      }
    }
    const limit = this.#items === 0 ? this.#firstTimeout : this.#timeout;
    this.#timer.set(Math.min(now + limit, this.#totalDeadline));
    return true;
  }

  #expire(now: number): void {
    // While the consumer works there is nothing to wait for.
    if (this.#resolve === undefined) return;
    const reject = this.#reject;
    const resolve = this.#resolve;
    this.#timeouts++;
    let decision: TimeoutDecision = "throw";
    let error: unknown;
    const isTotal = now >= this.#totalDeadline;
    if (!isTotal) {
      try {
        decision = this.#decide(now - this.#askedAt);
      } catch (hookError) {
        error = hookError;
      }
    }
    if (this.#isOver) return;
    if (decision === "continue") {
      this.#timer.set(Math.min(now + this.#timeout, this.#totalDeadline));
      return;
    }
    this.#end();
    if (decision === "end") {
      resolve?.({ done: true, value: undefined });
    } else {
      reject?.(error ?? this.#timeoutError(isTotal));
    }
    this.#answerQueue();
    this.#close();
  }

  #decide(waited: number): TimeoutDecision {
    const { onTimeout = "throw" } = this.#options;
    const items = this.#items;
    if (typeof onTimeout === "function") {
      const decision = onTimeout({ waited, items, timeouts: this.#timeouts });
      checkOneOf("go on after timeout", "onTimeout", decision, DECISIONS);
      return decision;
    }
    if (onTimeout === "continue") {
      this.#warn(`No item within ${waited} ms`, { waited, items });
    }
    return onTimeout;
  }

  #timeoutError(isTotal: boolean): DOMException {
    const limit = this.#items === 0 ? this.#firstTimeout : this.#timeout;
    const message = isTotal
      ? `No end within ${this.#options.totalTimeout} ms`
      : `No item within ${limit} ms`;
    return new DOMException(message, "TimeoutError");
  }

  #watchRate(): void {
    const waited = this.#clock.now() - this.#askedAt;
    // The first item has the time that a source takes to start.
    if (this.#items === 0 || waited <= this.#slowAfter) return;
    this.#slow++;
    const { onSlow } = this.#options;
    const expected = this.#slowAfter / SLOW_PERIODS;
    const item: SlowItem = { waited, expected, items: this.#items };
    if (onSlow === undefined) {
      this.#warn(`An item took ${waited} ms, expected ${expected} ms`, {
        ...item,
      });
      return;
    }
    callHook(
      () => onSlow(item),
      (error) => this.#log("error", "The onSlow hook failed", { error }),
    );
  }

  /** Ends the iteration: no timer, no listener, no request is left. */
  #end(): void {
    this.#isOver = true;
    this.#resolve = undefined;
    this.#reject = undefined;
    this.#timer.cancel();
    this.#forgetSignal?.();
    this.#forgetSignal = undefined;
  }

  /** Closes the source without waiting. Called at most once. */
  #close(): void {
    this.#closing = new Closing(
      () => (this.#source ?? openSource(this.#given)).return?.(),
      (error) => this.#warn("The source failed after its end", { error }),
    );
  }

  async #waitClosed(): Promise<void> {
    const { grace = DEFAULT_GRACE } = this.#options;
    if (await this.#closing?.wait(grace, this.#clock) === false) {
      this.#warn(`The source did not close within ${grace} ms`, { grace });
    }
  }

  #warn(message: string, details: Record<string, unknown>): void {
    this.#log("warn", message, details);
  }

  #log(
    level: "warn" | "error",
    message: string,
    details: Record<string, unknown>,
  ): void {
    const { logger = defaultLogger } = this.#options;
    report(logger, level, message, details);
  }
}

/**
 * The same as `new TimeoutIterator(source, options)`, for sentences such as
 * `for await (const item of withTimeout(items, { timeout: 100 }))`.
 *
 * @typeParam T The type of the items.
 * @param source Where the items come from.
 * @param options The limits, and what follows when they are exceeded.
 * @returns The iterator.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If an option is out of range.
 *
 * @example Usage
 * ```ts
 * import { withTimeout } from "@longrun/tasks/timeout-iterator";
 * import { assertEquals } from "@std/assert";
 *
 * const items: number[] = [];
 * for await (const item of withTimeout([1, 2, 3], { timeout: 1000 })) {
 *   items.push(item);
 * }
 * assertEquals(items, [1, 2, 3]);
 * ```
 */
export function withTimeout<T>(
  source: ItemSource<T>,
  options: TimeoutIteratorOptions = {},
): TimeoutIterator<T> {
  return new TimeoutIterator(source, options);
}
