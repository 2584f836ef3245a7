// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Virtual time for tests, and devices with faults.
 *
 * ```ts
 * import { ManualClock } from "@longrun/tasks/testing";
 * import { sleep } from "@longrun/tasks/cancellation";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new ManualClock();
 * let rested = false;
 * sleep(8 * 3_600_000, { clock }).then(() => rested = true);
 *
 * await clock.advance(8 * 3_600_000);
 * assertEquals(rested, true);
 * ```
 *
 * @module
 */

import {
  checkCount,
  checkFiniteNonNegative,
  checkFunction,
  checkNonNegative,
  checkOptions,
} from "./_arguments.ts";
import type { Clock, TimerOptions } from "./clock.ts";

export {
  FaultyDevice,
  type FaultyDeviceCounts,
  type FaultyDeviceOptions,
} from "./_faulty_device.ts";

/** A timer that waits on a {@linkcode ManualClock}. */
export interface PendingTimer {
  /** When it is due, on the scale of {@linkcode ManualClock.now}. */
  readonly deadline: number;
  /** Whether it would keep a process alive. */
  readonly ref: boolean;
}

/** Options of {@linkcode ManualClock.runAll}. */
export interface RunAllOptions {
  /**
   * How many timers may run before the clock gives up: a loop that never ends
   * sets timers for ever.
   *
   * @default {10_000}
   */
  limit?: number;
}

/** More timers than this at one time are taken for an endless loop. */
const MOST_AT_ONCE = 100_000;

interface ManualTimer extends PendingTimer {
  readonly callback: () => void;
}

// Taken before anybody fakes it.
const { setImmediate } = globalThis as {
  setImmediate?: (callback: () => void) => unknown;
};

/**
 * Lets all promises settle: one turn of the event loop. Not by a timer, which
 * takes a millisecond or two, and not by microtasks, whose number nobody knows.
 */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    if (setImmediate !== undefined) {
      setImmediate(resolve);
      return;
    }
    // Browsers. On Deno a message comes before the microtasks are done.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

/**
 * A {@linkcode Clock} whose time passes only when it is told to.
 *
 * Timers run in the order of their deadlines, equal ones in the order they
 * were set, each at exactly its deadline; between two of them all promises
 * settle, so that code which sleeps, works and sleeps again sees the time it
 * would see in reality. What waits for the world outside (files, sockets) is
 * not waited for.
 *
 * @example Usage
 * ```ts
 * import { ManualClock } from "@longrun/tasks/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new ManualClock();
 * const times: number[] = [];
 * clock.setTimer(() => times.push(clock.now()), 50);
 * const cancel = clock.setTimer(() => times.push(clock.now()), 20);
 * cancel();
 *
 * await clock.advance(100);
 * assertEquals(times, [50]);
 * assertEquals(clock.now(), 100);
 * assertEquals(clock.pending, []);
 * ```
 */
export class ManualClock implements Clock {
  #now: number;
  readonly #timers: ManualTimer[] = [];
  #turn: Promise<void> = Promise.resolve();

  /**
   * Creates a clock that stands still.
   *
   * @param start The time it begins with.
   * @throws {RangeError} If `start` is negative or `NaN`.
   */
  constructor(start = 0) {
    checkNonNegative("create ManualClock", "start", start);
    this.#now = start;
  }

  /** The virtual time in milliseconds. */
  now(): number {
    return this.#now;
  }

  /**
   * Calls back when the virtual time has come.
   *
   * @param callback Called once.
   * @param delay The delay in milliseconds; `Infinity` never comes.
   * @param options Whether the timer counts as keeping a process alive.
   * @returns A function that cancels the timer.
   * @throws {RangeError} If `delay` is negative or `NaN`.
   */
  setTimer(
    callback: () => void,
    delay: number,
    options: TimerOptions = {},
  ): () => void {
    checkFunction("set timer", "callback", callback);
    checkNonNegative("set timer", "delay", delay);
    const deadline = this.#now + delay;
    const timer = { callback, deadline, ref: options.ref ?? true };
    const after = this.#timers.findIndex((other) => other.deadline > deadline);
    this.#timers.splice(after < 0 ? this.#timers.length : after, 0, timer);
    return () => {
      const index = this.#timers.indexOf(timer);
      if (index >= 0) this.#timers.splice(index, 1);
    };
  }

  /** The timers that wait, the next one first. */
  get pending(): PendingTimer[] {
    return this.#timers.map(({ deadline, ref }) => ({ deadline, ref }));
  }

  /**
   * Lets time pass: runs every timer that comes due, those set meanwhile too.
   *
   * @param ms How much time passes, in milliseconds. Zero settles promises and
   * runs what is due now.
   * @returns A promise that resolves when the time has passed. Calls side by
   * side pass one after the other.
   * @throws {RangeError} If `ms` is negative, `NaN` or infinite.
   * @throws {Error} If timers without a delay follow each other endlessly.
   */
  async advance(ms: number): Promise<void> {
    checkFiniteNonNegative("advance", "ms", ms);
    await this.#inTurn(async () => {
      await settle();
      const end = this.#now + ms;
      let since = this.#now;
      for (let count = 0; await this.#runNext(end); count++) {
        if (this.#now > since) count = 0;
        since = this.#now;
        if (count < MOST_AT_ONCE) continue;
        throw new Error(
          `Cannot advance: ${MOST_AT_ONCE} timers ran at ${since} ms, more are set`,
        );
      }
      this.#now = end;
    });
  }

  /**
   * Runs timers until none is left but those that never come.
   *
   * @param options When to give up.
   * @returns A promise that resolves when no timer is left.
   * @throws {Error} If the limit is reached.
   */
  async runAll(options: RunAllOptions = {}): Promise<void> {
    checkOptions("run all timers", options);
    const { limit = 10_000 } = options;
    checkCount("run all timers", "limit", limit, 0);
    await this.#inTurn(() => this.#runAll(limit));
  }

  async #runAll(limit: number): Promise<void> {
    await settle();
    for (let count = 0; count < limit; count++) {
      if (!await this.#runNext(Number.MAX_VALUE)) return;
    }
    if (this.#timers.some(({ deadline }) => deadline < Infinity)) {
      throw new Error(`Cannot run all timers: ${limit} ran, more are set`);
    }
  }

  /** One after the other, when several are called side by side. */
  #inTurn(pass: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(pass);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #runNext(end: number): Promise<boolean> {
    const [timer] = this.#timers;
    if (timer === undefined || timer.deadline > end) return false;
    this.#timers.shift();
    this.#now = Math.max(this.#now, timer.deadline);
    timer.callback();
    await settle();
    return true;
  }
}
