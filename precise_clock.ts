// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Timers that come when they are due, for loops of a few milliseconds and
 * less.
 *
 * The timers of the platforms count whole milliseconds and come up to two of
 * them late. Those of a precise clock come some hundredths of a millisecond
 * late on an idle machine, and do not load the processor with waiting: a
 * helper thread sleeps to the next deadline and wakes the program.
 *
 * ```ts
 * import { preciseClock } from "@longrun/tasks/precise-clock";
 * import { ticks } from "@longrun/tasks/ticks";
 *
 * await using clock = preciseClock();
 * for await (const { index } of ticks(0.5, { clock })) {
 *   if (index >= 100) break;
 * }
 * ```
 *
 * @module
 */

import {
  checkCommon,
  checkFunction,
  checkNonNegative,
  checkOptions,
} from "./_arguments.ts";
import { startThreadHelper } from "./_precise_helper.ts";
import { PreciseTimers, type PreciseUser } from "./_precise_timers.ts";
import { report } from "./_report.ts";
import { systemNow } from "./_system_timers.ts";
import { type Clock, systemClock, type TimerOptions } from "./clock.ts";
import { defaultLogger, type Logger } from "./logger.ts";

/** Options of {@linkcode preciseClock}. */
export interface PreciseClockOptions {
  /**
   * Is warned, once, when the clock goes on as the system clock because there
   * is no helper.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
}

// Whoever fakes time replaces it, mostly after this module was loaded.
const genuineSetTimeout = globalThis.setTimeout;

let sharedTimers: PreciseTimers | undefined;

/**
 * A {@linkcode Clock} with precise timers: what {@linkcode preciseClock}
 * returns. Its time is that of the system clock.
 *
 * All precise clocks of a program, or of a worker, share one helper and one
 * heap of deadlines. The helper starts with the first timer and ends when every
 * clock that has set timers is stopped. It sleeps while nobody waits, and does
 * not keep the process alive; timers do, unless they are told not to.
 *
 * Where there is no helper the timers are those of the system clock: until it
 * has started, which takes some hundredths of a second, while time is faked,
 * after {@linkcode PreciseClock.stop}, and where the platform gives no thread,
 * no shared memory or no `Atomics.waitAsync`. A helper that dies or falls
 * silent costs no timer either.
 *
 * **When to use.** Periods below some 20 ms that matter. For all others the
 * system clock is as good and costs no thread.
 *
 * **Gotchas.** The helper takes 10 to 20 MB of memory. Every deadline wakes two
 * threads: a loop of 1 ms takes about a twentieth of a processor, a thousand
 * timers that are due at different times within a moment take all of it. What
 * blocks the event loop delays these timers as it does all others, and on a
 * machine with no processor to spare they are late by milliseconds, too.
 * Browsers share memory only with pages that are isolated from other origins;
 * Node's permission model asks for `--allow-worker`. Tests that look for leaks
 * find the timers behind the helper until the clock is stopped.
 */
export class PreciseClock implements Clock, AsyncDisposable {
  readonly #user: PreciseUser;
  #timers: PreciseTimers | undefined = undefined;
  #stopping: Promise<void> | undefined = undefined;

  /**
   * Creates a precise clock. Nothing starts before the first timer.
   *
   * @param options Who is told of trouble.
   * @throws {TypeError} If an option is of the wrong type.
   */
  constructor(options: PreciseClockOptions = {}) {
    const doing = "create PreciseClock";
    checkOptions(doing, options);
    checkCommon(doing, options);
    const { logger = defaultLogger } = options;
    const sentence = "Precise clock goes on as the system clock";
    this.#user = {
      onFailure: (error) => report(logger, "warn", sentence, { error }),
    };
  }

  /** Whether the helper wakes its timers at present. */
  get precise(): boolean {
    return this.#stopping === undefined && this.#timers?.isTrusted === true;
  }

  /** The time of the system clock, in milliseconds. */
  now(): number {
    return systemNow();
  }

  /**
   * Calls back once after a delay, never earlier.
   *
   * @param callback Called once.
   * @param delay The delay in milliseconds, fractions included; `Infinity`
   * never comes, and zero takes a turn of the event loop.
   * @param options Whether the timer keeps the process alive.
   * @returns A function that cancels the timer.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If `delay` is negative or `NaN`.
   */
  setTimer(
    callback: () => void,
    delay: number,
    options?: TimerOptions,
  ): () => void {
    checkFunction("set timer", "callback", callback);
    checkNonNegative("set timer", "delay", delay);
    if (
      this.#stopping !== undefined ||
      globalThis.setTimeout !== genuineSetTimeout
    ) {
      return systemClock.setTimer(callback, delay, options);
    }
    if (this.#timers === undefined) {
      this.#timers = sharedTimers ??= new PreciseTimers(startThreadHelper);
      this.#timers.join(this.#user);
    }
    return this.#timers.setTimer(callback, delay, options?.ref ?? true);
  }

  /**
   * Ends the helper, unless another clock needs it. No timer is lost: those
   * that wait, and those set later, come with the precision of the system
   * clock.
   *
   * @returns A promise that resolves when the platform has let go of the
   * helper.
   */
  stop(): Promise<void> {
    return this.#stopping ??= this.#timers?.leave(this.#user) ??
      Promise.resolve();
  }

  /** The same as {@linkcode PreciseClock.stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/**
 * A clock for short periods: pass it to whatever takes a `clock`.
 *
 * @param options Who is told of trouble.
 * @returns A clock, to be stopped when nobody needs it any more.
 * @throws {TypeError} If an option is of the wrong type.
 *
 * @example Sleeps of less than a millisecond
 * ```ts
 * import { sleep } from "@longrun/tasks/cancellation";
 * import { preciseClock } from "@longrun/tasks/precise-clock";
 * import { assert } from "@std/assert";
 *
 * await using clock = preciseClock({ logger: console });
 * const before = clock.now();
 * await sleep(0.25, { clock });
 * assert(clock.now() - before >= 0.25);
 * ```
 */
export function preciseClock(options: PreciseClockOptions = {}): PreciseClock {
  return new PreciseClock(options);
}
