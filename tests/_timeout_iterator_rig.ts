// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
} from "@std/assert";
import type { Clock } from "../clock.ts";
import { ManualClock } from "../testing.ts";
import {
  type ItemSource,
  TimeoutIterator,
  type TimeoutIteratorOptions,
} from "../timeout_iterator.ts";
import { CountingClock } from "./_counting_clock.ts";
import { CountingController } from "./_listeners.ts";
import { RecordingLogger } from "./_recording_logger.ts";

export const END: IteratorReturnResult<undefined> = {
  done: true,
  value: undefined,
};

export const item = <T>(value: T): IteratorYieldResult<T> => ({
  done: false,
  value,
});

export const never = <T>(): Promise<T> => new Promise(() => {});

export const wait = (clock: Clock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.setTimer(resolve, ms);
  });

export type Ending = "end" | "error" | "hang" | "nonsense";

/**
 * A source without any manners of its own: gives 0, 1, 2 ... each after its
 * delay, and counts what is done to it.
 */
export class Script implements AsyncIterableIterator<number> {
  readonly error = new Error("the script has failed");
  opened = 0;
  pulled = 0;
  closed = 0;
  /** How often it was asked for an item while it still owed one. */
  overlaps = 0;
  readonly #clock: Clock;
  readonly #delays: readonly number[];
  readonly #ending: Ending;
  #owes = false;

  constructor(
    clock: Clock,
    delays: readonly number[] = [],
    ending: Ending = "end",
  ) {
    this.#clock = clock;
    this.#delays = delays;
    this.#ending = ending;
  }

  [Symbol.asyncIterator](): this {
    this.opened++;
    return this;
  }

  async next(): Promise<IteratorResult<number, undefined>> {
    const value = this.pulled++;
    if (this.#owes) this.overlaps++;
    this.#owes = true;
    const delay = this.#delays[value];
    if (delay === undefined) {
      if (this.#ending === "hang") await never();
      if (this.#ending === "error") throw this.error;
      if (this.#ending === "nonsense") return 5 as never;
    } else if (delay > 0) {
      await wait(this.#clock, delay);
    }
    this.#owes = false;
    return delay === undefined
      ? { done: true, value: undefined }
      : { done: false, value };
  }

  return(): Promise<IteratorResult<number, undefined>> {
    this.closed++;
    return Promise.resolve({ done: true, value: undefined });
  }
}

/** A plain iterator that hangs, with a `return` of the test's own. */
export function hangs(close: () => unknown): AsyncIterator<number> {
  return { next: never, return: close as () => Promise<never> };
}

export interface Watch {
  /** Undefined as long as the promise has not settled. */
  outcome: { value: unknown } | { reason: unknown } | undefined;
  /** When it has settled. */
  at: number | undefined;
}

/** Follows a promise without waiting for it. */
export function watch(promise: Promise<unknown>, clock: Clock): Watch {
  const state: Watch = { outcome: undefined, at: undefined };
  promise.then(
    (value) => {
      state.outcome = { value };
      state.at = clock.now();
    },
    (reason) => {
      state.outcome = { reason };
      state.at = clock.now();
    },
  );
  return state;
}

export function reasonOf(watch: Watch): unknown {
  const { outcome } = watch;
  assert(outcome !== undefined, "is still pending");
  assert("reason" in outcome, "has resolved");
  return outcome.reason;
}

export function assertTimeout(watch: Watch, message: string, at: number): void {
  const error = reasonOf(watch);
  assertInstanceOf(error, DOMException);
  assertEquals(error.name, "TimeoutError");
  assertEquals(error.message, message);
  assertEquals(watch.at, at);
}

export interface Pass<T> {
  items: T[];
  times: number[];
  error: unknown;
}

/** Takes items until the end or an error. */
export async function takeAll<T>(
  iterator: AsyncIterable<T>,
  clock: Clock,
): Promise<Pass<T>> {
  const pass: Pass<T> = { items: [], times: [], error: undefined };
  try {
    for await (const value of iterator) {
      pass.items.push(value);
      pass.times.push(clock.now());
    }
  } catch (error) {
    pass.error = error;
  }
  return pass;
}

/** Everything that an iteration touches, on virtual time. */
export class Rig {
  readonly clock = new ManualClock();
  /** The clock of the iterator alone. */
  readonly timers: CountingClock = new CountingClock(this.clock);
  readonly controller = new CountingController();
  readonly logger = new RecordingLogger();

  script(delays: readonly number[] = [], ending: Ending = "end"): Script {
    return new Script(this.clock, delays, ending);
  }

  over<T>(
    source: ItemSource<T>,
    options: TimeoutIteratorOptions = {},
  ): TimeoutIterator<T> {
    return new TimeoutIterator(source, {
      clock: this.timers,
      signal: this.controller.signal,
      logger: this.logger,
      ...options,
    });
  }

  watch(promise: Promise<unknown>): Watch {
    return watch(promise, this.clock);
  }

  abortAt(time: number, reason: unknown): void {
    this.clock.setTimer(() => this.controller.abort(reason), time);
  }

  assertNothingLeft(): void {
    assertEquals(this.timers.timers, 0, "timers left");
    assertEquals(this.controller.listeners, 0, "listeners left");
    assertLessOrEqual(this.controller.most, 1, "listeners at a time");
  }

  /** Not so while more than one return() waits: each has its own grace. */
  assertOneTimer(): void {
    assertLessOrEqual(this.timers.most, 1, "timers at a time");
  }
}

export const bad = new Error("the hook has failed");

export async function settled(
  rig: Rig,
  promise: Promise<unknown>,
): Promise<Watch> {
  const state = rig.watch(promise);
  await rig.clock.advance(0);
  return state;
}
