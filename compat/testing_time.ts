// Copyright 2026 the Longrun authors. MIT license.

/**
 * The part of `@std/testing/time` that the tests use, over a clock of
 * `@sinonjs/fake-timers`. As there, promises settle before a step and not
 * within it, `next` runs all that is due at once, and nothing but `Date`, the
 * timers and `AbortSignal.timeout` is faked.
 *
 * @module
 */

import { createClock } from "@sinonjs/fake-timers";

type FakeClock = ReturnType<typeof createClock>;

const genuine = {
  Date: globalThis.Date,
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
};
const genuineTimeout = AbortSignal.timeout;

let current: FakeTime | undefined;
let clock: FakeClock | undefined;

function faked(): FakeClock {
  if (clock === undefined) throw new TimeError("time is not faked");
  return clock;
}

// The same functions for every `FakeTime`, as in `@std/testing/time`: code
// that keeps one of them meets the clock of a later `FakeTime`.
const fakes = {
  setTimeout(callback: () => void, ms = 0, ...args: unknown[]): unknown {
    const clock = faked();
    // Within a callback the clock would make a delay of zero one of 1 ms.
    const { duringTick } = clock;
    clock.duringTick = false;
    try {
      return clock.setTimeout(callback, ms, ...args);
    } finally {
      clock.duringTick = duringTick;
    }
  },
  clearTimeout(id: Parameters<FakeClock["clearTimeout"]>[0]): void {
    faked().clearTimeout(id);
  },
  setInterval(callback: () => void, ms = 0, ...args: unknown[]): unknown {
    return faked().setInterval(callback, Math.max(1, ms), ...args);
  },
  clearInterval(id: Parameters<FakeClock["clearInterval"]>[0]): void {
    faked().clearInterval(id);
  },
};

function fakeTimeout(ms: number): AbortSignal {
  const controller = new AbortController();
  fakes.setTimeout(() => {
    controller.abort(new DOMException("Signal timed out.", "TimeoutError"));
  }, ms);
  return controller.signal;
}

export class TimeError extends Error {
  override readonly name = "TimeError";
}

export class FakeTime {
  readonly start: number;
  readonly #clock: FakeClock;

  constructor(start?: number | string | Date | null) {
    if (current !== undefined) throw new TimeError("time is already faked");
    this.start = new Date(start ?? Date.now()).valueOf();
    if (Number.isNaN(this.start)) throw new TypeError("invalid start time");
    this.#clock = createClock(this.start);
    current = this;
    clock = this.#clock;
    Object.assign(globalThis, { Date: clock.Date, ...fakes });
    AbortSignal.timeout = fakeTimeout;
  }

  static restore(): void {
    if (current === undefined) throw new TimeError("time is not faked");
    current.restore();
  }

  get now(): number {
    return this.#clock.now;
  }

  set now(value: number) {
    if (value < this.now) throw new RangeError("time cannot go back");
    this.#clock.tick(value - this.now);
  }

  /** Waits in real time. */
  delay(ms: number): Promise<void> {
    const { setTimeout } = genuine;
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  runMicrotasks(): Promise<void> {
    return this.delay(0);
  }

  tick(ms = 0): void {
    this.now += ms;
  }

  async tickAsync(ms = 0): Promise<void> {
    await this.runMicrotasks();
    this.tick(ms);
  }

  next(): boolean {
    if (this.#clock.countTimers() === 0) return false;
    this.#clock.next();
    this.#clock.tick(0);
    return true;
  }

  async nextAsync(): Promise<boolean> {
    await this.runMicrotasks();
    return this.next();
  }

  runAll(): void {
    while (this.next());
  }

  async runAllAsync(): Promise<void> {
    while (this.#clock.countTimers() > 0) await this.nextAsync();
  }

  restore(): void {
    if (current !== this) throw new TimeError("time is already restored");
    current = undefined;
    clock = undefined;
    Object.assign(globalThis, genuine);
    AbortSignal.timeout = genuineTimeout;
  }

  [Symbol.dispose](): void {
    this.restore();
  }
}
