// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Time as a dependency: every waiting API of the package takes a
 * {@linkcode Clock}, so that a program runs on the platform's time and its
 * tests on a virtual one (`ManualClock` of `@longrun/tasks/testing`).
 *
 * @module
 */

import { checkFunction, checkNonNegative } from "./_arguments.ts";
import { startSystemTimer, systemNow } from "./_system_timers.ts";
import type { TimerNode } from "./_timer_queue.ts";

/** Options of {@linkcode Clock.setTimer}. */
export interface TimerOptions {
  /**
   * Whether the timer keeps the process alive.
   *
   * @default {true}
   */
  ref?: boolean;
}

/** A source of time and timers. */
export interface Clock {
  /** The current time in milliseconds. It never goes back. */
  now(): number;
  /**
   * Calls back once after `delay` milliseconds, never earlier. A delay of
   * `Infinity` never comes.
   *
   * @returns A function that cancels the timer; calling it late or twice does
   * nothing.
   */
  setTimer(
    callback: () => void,
    delay: number,
    options?: TimerOptions,
  ): () => void;
}

class CallbackTimer implements TimerNode {
  deadline = 0;
  order = -1;
  readonly run: () => void;

  constructor(callback: () => void) {
    this.run = callback;
  }
}

/**
 * The platform's clock: `performance.now` and one platform timer for all the
 * timers of the process, whatever their number.
 *
 * Delays beyond 2^31 ms and `Infinity` really wait, where the platform's own
 * timers would fire at once. Timers that are due together run in the order of
 * their deadlines in one turn of the event loop.
 *
 * Faked timers work: the globals are read when a timer is set. While both
 * `setTimeout` and `Date` are replaced the time is that of `Date`.
 *
 * @example Usage
 * ```ts
 * import { systemClock } from "@longrun/tasks/clock";
 * import { assert } from "@std/assert";
 *
 * const before = systemClock.now();
 * await new Promise<void>((resolve) => systemClock.setTimer(resolve, 10));
 * assert(systemClock.now() - before >= 10);
 * ```
 */
export const systemClock: Clock = {
  now: systemNow,
  setTimer(
    callback: () => void,
    delay: number,
    options?: TimerOptions,
  ): () => void {
    checkFunction("set timer", "callback", callback);
    checkNonNegative("set timer", "delay", delay);
    const timer = new CallbackTimer(callback);
    const queue = startSystemTimer(timer, delay, options?.ref ?? true);
    return () => queue.delete(timer);
  },
};
