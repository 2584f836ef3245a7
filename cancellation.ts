// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * The one cancellation model: everything that waits takes `{ signal }` and
 * waits through this module.
 *
 * - A wait cut short by a signal rejects with `signal.reason`, whatever that
 *   is, the moment the signal aborts.
 * - However a wait ends, its timer is cleared and its listener removed.
 * - Any number of waits share one listener on their signal, so that the last
 *   of a hundred thousand costs what the first cost.
 *
 * ```ts
 * import { CancelScope, sleep, timeout } from "@longrun/tasks/cancellation";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const night = new CancelScope();
 * const exposure = sleep(3_600_000, { signal: night.signal });
 * night.abort("clouds");
 * assertEquals(await exposure.catch((reason) => reason), "clouds");
 *
 * await assertRejects(
 *   () => timeout((signal) => sleep(60_000, { signal }), 10),
 *   DOMException,
 *   "Timed out after 10 ms",
 * );
 * ```
 *
 * @module
 */

import { type AbortFanout, type AbortNode, fanoutOf } from "./_abort_fanout.ts";
import {
  checkBoolean,
  checkCommon,
  checkFunction,
  checkNonNegative,
  checkOptions,
  checkSignal,
  checkType,
} from "./_arguments.ts";
import { LazySignal } from "./_lazy_signal.ts";
import { LimitedWait } from "./_limited_wait.ts";
import { followPromise, isPromiseLike } from "./_promise_fanout.ts";
import { sleepWithin } from "./_sleep.ts";
import { timeoutError, type WaitLimits } from "./_wait.ts";
import type { Clock } from "./clock.ts";

class AbortCallback implements AbortNode {
  fanout: AbortFanout | undefined = undefined;
  previous: AbortNode | undefined = undefined;
  next: AbortNode | undefined = undefined;
  readonly abort: (reason: unknown) => void;

  constructor(callback: (reason: unknown) => void) {
    this.abort = callback;
  }
}

/**
 * Calls back once when the signal aborts.
 *
 * The difference to `addEventListener("abort")` is its cost: all callbacks of
 * a signal, and all the waits of this package, share one listener, which is
 * removed when the last of them has gone. On a signal that has already aborted
 * the callback is called at once, before this function returns.
 *
 * @param signal The signal to watch.
 * @param callback Called with the signal's reason. An error it throws is
 * reported as uncaught and does not keep others from being called; within this
 * call it is thrown.
 * @returns A function that stops watching; calling it late or twice does
 * nothing.
 * @throws {TypeError} If an argument is of the wrong type.
 *
 * @example Usage
 * ```ts
 * import { onAbort } from "@longrun/tasks/cancellation";
 * import { assertEquals } from "@std/assert";
 *
 * const controller = new AbortController();
 * const reasons: unknown[] = [];
 * onAbort(controller.signal, (reason) => reasons.push(reason));
 * const forget = onAbort(controller.signal, () => reasons.push("never"));
 * forget();
 * controller.abort("dawn");
 * assertEquals(reasons, ["dawn"]);
 * ```
 */
export function onAbort(
  signal: AbortSignal,
  callback: (reason: unknown) => void,
): () => void {
  checkType(
    signal !== undefined,
    "watch signal",
    "signal",
    "an AbortSignal",
    signal,
  );
  checkSignal("watch signal", signal);
  checkFunction("watch signal", "callback", callback);
  if (signal.aborted) {
    callback(signal.reason);
    return () => {};
  }
  const node = new AbortCallback(callback);
  fanoutOf(signal).add(node);
  return () => node.fanout?.delete(node);
}

/**
 * A signal of one's own below others: it aborts when any of its parents does,
 * or when it is told to.
 *
 * Where `AbortSignal.any` leaves its traces on a long-lived parent, a scope
 * leaves none: dispose of it when the work is over. Disposing only lets go of
 * the parents, it does not abort.
 *
 * @example Usage
 * ```ts
 * import { CancelScope } from "@longrun/tasks/cancellation";
 * import { assert, assertFalse } from "@std/assert";
 *
 * const app = new AbortController();
 * using scope = new CancelScope(app.signal);
 * const { signal } = scope;
 *
 * assertFalse(signal.aborted);
 * app.abort();
 * assert(signal.aborted);
 * ```
 */
export class CancelScope implements Disposable {
  readonly #own: LazySignal = new LazySignal();
  #forget: (() => void)[] | undefined = undefined;

  /**
   * Creates a scope below its parents.
   *
   * @param parents Signals that abort the scope with their own reason;
   * `undefined` among them is skipped.
   * @throws {TypeError} If a parent is not an `AbortSignal`.
   */
  constructor(...parents: readonly (AbortSignal | undefined)[]) {
    for (const parent of parents) {
      checkSignal("create CancelScope", parent, "parents");
    }
    const abort = (reason: unknown): void => this.abort(reason);
    for (const parent of parents) {
      if (parent === undefined) continue;
      if (parent.aborted) {
        this.abort(parent.reason);
        return;
      }
      (this.#forget ??= []).push(onAbort(parent, abort));
    }
  }

  /** The signal that this scope aborts. */
  get signal(): AbortSignal {
    return this.#own.signal;
  }

  /** Whether the scope has aborted. */
  get aborted(): boolean {
    return this.#own.aborted;
  }

  /** Why the scope has aborted, `undefined` as long as it has not. */
  get reason(): unknown {
    return this.#own.reason;
  }

  /**
   * Aborts the signal and lets go of the parents. Only the first call counts.
   *
   * @param reason Why; an `AbortError` by default.
   */
  abort(reason?: unknown): void {
    this.dispose();
    this.#own.abort(reason);
  }

  /** Lets go of the parents. The signal does not abort from this. */
  dispose(): void {
    const forget = this.#forget;
    this.#forget = undefined;
    if (forget !== undefined) { for (const each of forget) each(); }
  }

  /** The same as {@linkcode CancelScope.dispose}. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Options of {@linkcode sleep}. */
export interface SleepOptions {
  /** Ends the sleep early. */
  signal?: AbortSignal;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Whether the sleep keeps the process alive. With `false` a program that
   * does nothing but sleep ends, on Deno, Node and Bun.
   *
   * @default {true}
   */
  ref?: boolean;
}

/**
 * Waits for a time, never less.
 *
 * Times beyond 2^31 ms really wait, and so does `Infinity`: it waits for the
 * signal.
 *
 * @param ms The time in milliseconds; `Infinity` is allowed.
 * @param options What ends the sleep early and what measures it.
 * @returns A promise that resolves when the time is over.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If `ms` is negative or `NaN`.
 * @throws {AbortSignal["reason"]} If the signal aborts.
 *
 * @example Usage
 * ```ts
 * import { sleep } from "@longrun/tasks/cancellation";
 * import { assertEquals } from "@std/assert";
 *
 * await sleep(10);
 *
 * const controller = new AbortController();
 * const nap = sleep(Infinity, { signal: controller.signal });
 * controller.abort("breakfast");
 * assertEquals(await nap.catch((reason) => reason), "breakfast");
 * ```
 */
export function sleep(ms: number, options: SleepOptions = {}): Promise<void> {
  try {
    checkNonNegative("sleep", "ms", ms);
    checkOptions("sleep", options);
    checkCommon("sleep", options);
    checkBoolean("sleep", "ref", options.ref);
  } catch (error) {
    return Promise.reject(error);
  }
  const { signal, clock, ref } = options;
  if (signal?.aborted) return Promise.reject(signal.reason);
  return sleepWithin({ signal, clock, ref, ms });
}

/** A wait for what somebody else settles. */
class Follow<T> extends LimitedWait<T> {
  readonly #ms: number;
  readonly #scope: CancelScope | undefined;
  #forget: (() => void) | undefined = undefined;

  constructor(
    resolve: (value: T) => void,
    reject: (reason: unknown) => void,
    limits: WaitLimits,
    scope?: CancelScope,
  ) {
    super(resolve, reject, limits);
    this.#ms = limits.ms ?? Infinity;
    this.#scope = scope;
  }

  /** Waits for a promise. Even when the wait is over it counts as handled. */
  follow(promise: PromiseLike<T>): void {
    this.#forget = followPromise(
      promise,
      (value) => this.resolve(value),
      (reason) => this.reject(reason),
    );
    if (!this.isOpen) this.#forget();
  }

  override expire(): void {
    const error = timeoutError(this.#ms);
    this.#scope?.abort(error);
    this.reject(error);
  }

  override leave(): void {
    this.#forget?.();
    this.#scope?.dispose();
  }
}

/**
 * Waits for a promise, but not beyond the abort of a signal.
 *
 * The promise itself goes on; when it fails later, that is nobody's unhandled
 * rejection. A promise that lives long may be waited for any number of times:
 * waits that were cut short leave nothing on it.
 *
 * @typeParam T The type of the value.
 * @param promise The promise to wait for.
 * @param signal The signal that ends the wait; without one the wait is as
 * long as the promise takes.
 * @returns A promise that settles as the given one does, if it comes first.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {AbortSignal["reason"]} If the signal aborts first.
 *
 * @example Usage
 * ```ts
 * import { abortable } from "@longrun/tasks/cancellation";
 * import { assertEquals } from "@std/assert";
 *
 * const controller = new AbortController();
 * const never = new Promise<void>(() => {});
 * const wait = abortable(never, controller.signal);
 * controller.abort("enough");
 * assertEquals(await wait.catch((reason) => reason), "enough");
 * ```
 */
export function abortable<T>(
  promise: PromiseLike<T>,
  signal?: AbortSignal,
): Promise<T> {
  try {
    checkType(
      isPromiseLike(promise),
      "make abortable",
      "promise",
      "a promise",
      promise,
    );
    checkSignal("make abortable", signal);
  } catch (error) {
    return Promise.reject(error);
  }
  if (signal?.aborted) {
    // Handled from now on, but not followed.
    followPromise(promise, () => {}, () => {})();
    return Promise.reject(signal.reason);
  }
  return new Promise((resolve, reject) =>
    new Follow<T>(resolve, reject, { signal }).follow(promise)
  );
}

/** Options of {@linkcode timeout}. */
export interface TimeoutOptions {
  /** Ends the wait early. */
  signal?: AbortSignal;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
}

/**
 * Waits for a promise, but not longer than a time.
 *
 * Given a function, it is called with a signal that aborts when the time is
 * over or when the caller's signal aborts, so that the work itself can end.
 * The wait ends at once then, however long the work takes to notice; when the
 * work fails later, that is nobody's unhandled rejection.
 *
 * A program that was held up itself for more than 100 ms, and comes late to its
 * timers, first has 50 ms to read what has come meanwhile: it does not take its
 * own slowness for that of others.
 *
 * ```text
 * work        |--------------------------->
 * timeout     |---------| TimeoutError, the work's signal aborts
 * ```
 *
 * @typeParam T The type of the value.
 * @param work The promise, or the function that starts the work.
 * @param ms The time in milliseconds; `Infinity` sets no limit.
 * @param options What ends the wait early and what measures it.
 * @returns A promise that settles as the work does, if it comes first.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If `ms` is negative or `NaN`.
 * @throws {DOMException & { name: "TimeoutError" }} If the time is over first.
 * @throws {AbortSignal["reason"]} If the signal aborts first.
 *
 * @example Usage
 * ```ts
 * import { sleep, timeout } from "@longrun/tasks/cancellation";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * assertEquals(await timeout(Promise.resolve("image"), 1000), "image");
 *
 * await assertRejects(
 *   () => timeout((signal) => sleep(60_000, { signal }), 10),
 *   DOMException,
 *   "Timed out after 10 ms",
 * );
 * ```
 */
export function timeout<T>(
  work: PromiseLike<T> | ((signal: AbortSignal) => T | PromiseLike<T>),
  ms: number,
  options: TimeoutOptions = {},
): Promise<T> {
  try {
    checkType(
      typeof work === "function" || isPromiseLike(work),
      "wait with a timeout",
      "work",
      "a promise or a function",
      work,
    );
    checkNonNegative("wait with a timeout", "ms", ms);
    checkOptions("wait with a timeout", options);
    checkCommon("wait with a timeout", options);
  } catch (error) {
    return Promise.reject(error);
  }
  const { signal, clock } = options;
  const limits = { signal, ms: ms === Infinity ? undefined : ms, clock };
  if (typeof work !== "function") {
    if (signal?.aborted) return abortable(work, signal);
    return new Promise((resolve, reject) =>
      new Follow<T>(resolve, reject, limits).follow(work)
    );
  }
  if (signal?.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const scope = new CancelScope(signal);
    // The wait comes before the work, which may abort the signal at once.
    const wait = new Follow<T>(resolve, reject, limits, scope);
    try {
      const result = work(scope.signal);
      if (isPromiseLike(result)) wait.follow(result as PromiseLike<T>);
      else wait.resolve(result);
    } catch (error) {
      wait.reject(error);
    }
  });
}

/**
 * Tells whether an error is only the echo of a signal's abort: its reason, an
 * `AbortError`, or an error with one of them among its causes.
 *
 * @param error The error that ended some work.
 * @param signal The signal of that work.
 * @returns Whether the work ended because of the signal. Always `false` as
 * long as the signal has not aborted.
 *
 * @example Usage
 * ```ts
 * import { isCancellation } from "@longrun/tasks/cancellation";
 * import { assert, assertFalse } from "@std/assert";
 *
 * const controller = new AbortController();
 * const dawn = new Error("dawn");
 * assertFalse(isCancellation(dawn, controller.signal));
 * controller.abort(dawn);
 * assert(isCancellation(dawn, controller.signal));
 * assert(isCancellation(new Error("no image", { cause: dawn }), controller.signal));
 * assertFalse(isCancellation(new Error("disk full"), controller.signal));
 * ```
 */
export function isCancellation(error: unknown, signal: AbortSignal): boolean {
  if (!signal.aborted) return false;
  let cause = error;
  try {
    for (let depth = 0; depth < 8; depth++) {
      if (Object.is(cause, signal.reason)) return true;
      if (typeof cause !== "object" || cause === null) return false;
      if ((cause as { name?: unknown }).name === "AbortError") return true;
      cause = (cause as { cause?: unknown }).cause;
    }
  } catch {
    // Anything can be thrown, also what cannot be looked at.
  }
  return false;
}
