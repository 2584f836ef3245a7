// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { type AbortFanout, type AbortNode, fanoutOf } from "./_abort_fanout.ts";
import { startSystemTimer } from "./_system_timers.ts";
import type { TimerNode, TimerQueue } from "./_timer_queue.ts";
import { type Clock, systemClock } from "./clock.ts";

/** What may cut a {@linkcode Wait} short. */
export interface WaitLimits {
  /** Aborts the wait. */
  signal?: AbortSignal | undefined;
  /** Who is told of an abort that has no signal, to be one of them. */
  waiters?: AbortFanout | undefined;
  /** The time after which the wait expires; `undefined` stands for never. */
  ms?: number | undefined;
  /** Measures the time. */
  clock?: Clock | undefined;
  /** Whether the timer keeps the process alive. */
  ref?: boolean | undefined;
}

/**
 * The one way of waiting: a promise that somebody settles, unless its signal
 * aborts or its time is over first. However it ends, the timer is cancelled,
 * the abort listener is removed and `leave` is called, once.
 *
 * It is its own node in the queue of timers and in the signal's list, which
 * makes a sleep cheaper than the platform's `setTimeout`.
 *
 * The signal must be checked before: a wait does not start on an aborted one.
 */
export class Wait<T> implements TimerNode, AbortNode {
  deadline = 0;
  order = -1;
  fanout: AbortFanout | undefined = undefined;
  previous: AbortNode | undefined = undefined;
  next: AbortNode | undefined = undefined;

  #resolve: ((value: T) => void) | undefined;
  #reject: (reason: unknown) => void;
  #timers: TimerQueue | undefined = undefined;
  #cancelTimer: (() => void) | undefined = undefined;

  constructor(
    resolve: (value: T) => void,
    reject: (reason: unknown) => void,
    limits: WaitLimits,
  ) {
    this.#resolve = resolve;
    this.#reject = reject;
    const { signal, waiters, ms, clock = systemClock, ref } = limits;
    if (ms !== undefined) this.startTimer(ms, clock, ref);
    if (signal !== undefined) fanoutOf(signal).add(this);
    else waiters?.add(this);
  }

  /** Whether the wait goes on. */
  get isOpen(): boolean {
    return this.#resolve !== undefined;
  }

  resolve(value: T): void {
    const resolve = this.#resolve;
    if (resolve === undefined) return;
    try {
      this.#release();
    } finally {
      resolve(value);
    }
  }

  reject(reason: unknown): void {
    if (this.#resolve === undefined) return;
    try {
      this.#release();
    } finally {
      this.#reject(reason);
    }
  }

  /** Has {@linkcode Wait.run} called after a time. */
  protected startTimer(ms: number, clock: Clock, ref = true): void {
    if (clock === systemClock) {
      this.#timers = startSystemTimer(this, ms, ref);
    } else {
      this.#cancelTimer = clock.setTimer(() => this.run(), ms, { ref });
    }
  }

  /** The timer's call. */
  run(): void {
    if (this.#resolve !== undefined) this.expire();
  }

  /** The signal's call. */
  abort(reason: unknown): void {
    this.reject(reason);
  }

  /** Called when the time is over: settles the wait. */
  expire(): void {}

  /** Called once when the wait has ended: leaves the place waited at. */
  leave(): void {}

  #release(): void {
    this.#resolve = undefined;
    this.#timers?.delete(this);
    this.fanout?.delete(this);
    this.leave();
    // The last, because a clock of the user's may throw here.
    this.#cancelTimer?.();
  }
}

/** The error of a wait that took too long. */
export function timeoutError(ms: number, what = "Timed out"): DOMException {
  return new DOMException(`${what} after ${ms} ms`, "TimeoutError");
}
