// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { FakeTime } from "@std/testing/time";
import * as fc from "fast-check";
import type { Clock } from "../clock.ts";
import { ManualClock } from "../testing.ts";
import {
  type ItemSource,
  type ItemTimeout,
  type SlowItem,
  TimeoutIterator,
  type TimeoutIteratorOptions,
  withTimeout,
} from "../timeout_iterator.ts";
import { CountingClock } from "./_counting_clock.ts";
import { CountingController } from "./_listeners.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import { unhandledDuring } from "./_unhandled.ts";

// ---------------------------------------------------------------- helpers

const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

const item = <T>(value: T): IteratorYieldResult<T> => ({ done: false, value });

const never = <T>(): Promise<T> => new Promise(() => {});

const wait = (clock: Clock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.setTimer(resolve, ms);
  });

type Ending = "end" | "error" | "hang" | "nonsense";

/**
 * A source without any manners of its own: gives 0, 1, 2 ... each after its
 * delay, and counts what is done to it.
 */
class Script implements AsyncIterableIterator<number> {
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
function hangs(close: () => unknown): AsyncIterator<number> {
  return { next: never, return: close as () => Promise<never> };
}

interface Watch {
  /** Undefined as long as the promise has not settled. */
  outcome: { value: unknown } | { reason: unknown } | undefined;
  /** When it has settled. */
  at: number | undefined;
}

/** Follows a promise without waiting for it. */
function watch(promise: Promise<unknown>, clock: Clock): Watch {
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

function reasonOf(watch: Watch): unknown {
  const { outcome } = watch;
  assert(outcome !== undefined, "is still pending");
  assert("reason" in outcome, "has resolved");
  return outcome.reason;
}

function assertTimeout(watch: Watch, message: string, at: number): void {
  const error = reasonOf(watch);
  assertInstanceOf(error, DOMException);
  assertEquals(error.name, "TimeoutError");
  assertEquals(error.message, message);
  assertEquals(watch.at, at);
}

interface Pass<T> {
  items: T[];
  times: number[];
  error: unknown;
}

/** Takes items until the end or an error. */
async function takeAll<T>(
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
class Rig {
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

// ------------------------------------------------ the tests of the original

test("TimeoutIterator gives all items in order", async () => {
  const { items, error } = await takeAll(
    withTimeout([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    new ManualClock(),
  );
  assertEquals(items, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assertEquals(error, undefined);
});

test("TimeoutIterator gives all items of a slow source when it has no timeout", async () => {
  const rig = new Rig();
  const pass = takeAll(rig.over(rig.script([50, 50, 50, 50])), rig.clock);
  await rig.clock.runAll();
  const { items, times, error } = await pass;
  assertEquals(items, [0, 1, 2, 3]);
  assertEquals(times, [50, 100, 150, 200]);
  assertEquals(error, undefined);
  assertEquals(rig.timers.set, 0);
});

test("TimeoutIterator ends after an abort", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([0, 0, 0]), { onAbort: "end" });
  assertEquals(await iterator.next(), item(0));
  rig.controller.abort();
  assertEquals(await iterator.next(), END);
  assertEquals(await iterator.next(), END);
});

test("TimeoutIterator throws a TimeoutError when no item comes in time, then ends", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([1000]), { timeout: 100 });
  const first = rig.watch(iterator.next());
  await rig.clock.advance(99);
  assertEquals(first.outcome, undefined);
  await rig.clock.advance(1);
  assertTimeout(first, "No item within 100 ms", 100);
  assertEquals(await iterator.next(), END);
  await rig.clock.advance(1000);
  assertEquals(await iterator.next(), END);
});

test("TimeoutIterator with a very low expected rate is still aborted at once", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([0, 1_000_000]), {
    expectedRate: 0.001,
    timeout: 2_000_000,
    onAbort: "end",
  });
  rig.abortAt(300, "dawn");
  const pass = takeAll(iterator, rig.clock);
  await rig.clock.advance(300);
  assertEquals(await pass, { items: [0], times: [0], error: undefined });
  assertEquals(rig.clock.now(), 300);
});

// --------------------------------------- what the original did differently

test("TimeoutIterator pulls nothing before it is asked", async () => {
  const rig = new Rig();
  const script = rig.script(Array(100).fill(0));
  const iterator = rig.over(script, { timeout: 10, expectedRate: 10 });
  await rig.clock.advance(1000);
  assertEquals([script.opened, script.pulled], [0, 0]);
  assertEquals([rig.timers.set, rig.controller.most], [0, 0]);
  for (let n = 1; n <= 10; n++) {
    await iterator.next();
    await rig.clock.advance(100);
    assertEquals(script.pulled, n);
  }
  assertEquals(script.opened, 1);
});

test("TimeoutIterator does not slow the source down to the expected rate", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script(Array(10).fill(0)), { expectedRate: 2 });
  const { items } = await takeAll(iterator, rig.clock);
  assertEquals(items.length, 10);
  assertEquals(rig.clock.now(), 0);
});

test("TimeoutIterator stops pulling and closes the source after a timeout", async () => {
  const rig = new Rig();
  const script = rig.script([20, 20, 20, 20]);
  const iterator = rig.over(script, { timeout: 10 });
  const first = rig.watch(iterator.next());
  await rig.clock.advance(10);
  assertTimeout(first, "No item within 10 ms", 10);
  assertEquals(script.closed, 1);
  await rig.clock.advance(1000);
  await iterator.next();
  assertEquals([script.pulled, script.closed], [1, 1]);
});

test("TimeoutIterator has ended after an error of the source and does not block", async () => {
  const rig = new Rig();
  const script = rig.script([0], "error");
  const iterator = rig.over(script);
  assertEquals(await iterator.next(), item(0));
  const failed = rig.watch(iterator.next());
  const after = rig.watch(iterator.next());
  await rig.clock.advance(0);
  assertStrictEquals(reasonOf(failed), script.error);
  assertEquals(after.outcome, { value: END });
  assertEquals(await iterator.next(), END);
  assertEquals([script.pulled, script.closed], [2, 0]);
});

test("TimeoutIterator sees an abort at once while the source blocks, and drops the late item", async () => {
  const rig = new Rig();
  const script = rig.script([500, 0]);
  const iterator = rig.over(script);
  const first = rig.watch(iterator.next());
  await rig.clock.advance(20);
  rig.controller.abort("dawn");
  await rig.clock.advance(0);
  assertEquals(first, { outcome: { reason: "dawn" }, at: 20 });
  await rig.clock.advance(1000);
  assertEquals(await iterator.next(), END);
  assertEquals([script.pulled, script.closed], [1, 1]);
});

test("TimeoutIterator sees an abort within the wider wait for the first item", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([900]), {
    timeout: 10,
    expectedRate: 2,
  });
  const first = rig.watch(iterator.next());
  await rig.clock.advance(400);
  rig.controller.abort("dawn");
  await rig.clock.advance(0);
  assertEquals(first, { outcome: { reason: "dawn" }, at: 400 });
});

// ------------------------------------------------- every way to end, at once

interface Way {
  name: string;
  /** How often the source is closed. */
  closes: number;
  delays?: number[];
  ending?: Ending;
  options?: TimeoutIteratorOptions;
  go: (iterator: TimeoutIterator<number>, rig: Rig) => Promise<unknown>;
}

const bad = new Error("the hook has failed");
const consume = (
  iterator: TimeoutIterator<number>,
  rig: Rig,
): Promise<unknown> => takeAll(iterator, rig.clock);

const WAYS: Way[] = [
  {
    name: "the end of the source",
    closes: 0,
    delays: [0, 5, 5, 0],
    options: { timeout: 10 },
    go: consume,
  },
  {
    name: "an error of the source",
    closes: 0,
    delays: [0, 5],
    ending: "error",
    options: { timeout: 10 },
    go: consume,
  },
  {
    name: "a result that is no object",
    closes: 0,
    delays: [0, 5],
    ending: "nonsense",
    options: { timeout: 10 },
    go: consume,
  },
  {
    name: "a break",
    closes: 1,
    delays: [0, 5, 5, 5, 5],
    ending: "hang",
    options: { timeout: 10 },
    go: async (iterator) => {
      for await (const value of iterator) if (value === 1) break;
    },
  },
  {
    name: "an error in the body of the loop",
    closes: 1,
    delays: [0, 5, 5, 5, 5],
    ending: "hang",
    options: { timeout: 10 },
    go: (iterator) =>
      assertRejects(
        async () => {
          for await (const value of iterator) if (value === 1) throw bad;
        },
        Error,
        bad.message,
      ),
  },
  {
    name: "return() between two items",
    closes: 1,
    delays: [0, 5],
    ending: "hang",
    options: { timeout: 10 },
    go: async (iterator) => {
      await iterator.next();
      assertEquals(await iterator.return(), END);
    },
  },
  {
    name: "return() during the wait for an item",
    closes: 1,
    delays: [50],
    ending: "hang",
    options: { timeout: 100 },
    go: async (iterator, rig) => {
      const first = rig.watch(iterator.next());
      await wait(rig.clock, 5);
      await iterator.return();
      assertEquals(first, { outcome: { value: END }, at: 5 });
    },
  },
  {
    name: "return() before the first item",
    closes: 1,
    options: { timeout: 10 },
    go: (iterator) => iterator.return(),
  },
  {
    name: "two calls of return()",
    closes: 1,
    delays: [0],
    ending: "hang",
    options: { timeout: 10 },
    go: async (iterator) => {
      await iterator.next();
      await iterator.return();
      await iterator.return();
    },
  },
  {
    name: "a disposal",
    closes: 1,
    delays: [0],
    ending: "hang",
    options: { timeout: 10 },
    go: async (iterator) => {
      {
        await using items = iterator;
        assertEquals(await items.next(), item(0));
      }
      await iterator[Symbol.asyncDispose]();
    },
  },
  {
    name: "a disposal before the first item",
    closes: 1,
    options: { timeout: 10 },
    go: (iterator) => iterator[Symbol.asyncDispose](),
  },
  {
    name: "a timeout",
    closes: 1,
    delays: [5, 5, 50],
    options: { timeout: 10 },
    go: consume,
  },
  {
    name: "a timeout of the first item",
    closes: 1,
    ending: "hang",
    options: { firstTimeout: 10 },
    go: consume,
  },
  {
    name: "a timeout that ends",
    closes: 1,
    delays: [5, 50],
    options: { timeout: 10, onTimeout: "end" },
    go: consume,
  },
  {
    name: "a timeout whose hook throws",
    closes: 1,
    delays: [5, 50],
    options: {
      timeout: 10,
      onTimeout: () => {
        throw bad;
      },
    },
    go: consume,
  },
  {
    name: "a timeout whose hook decides nonsense",
    closes: 1,
    delays: [5, 50],
    options: { timeout: 10, onTimeout: () => "perhaps" as "end" },
    go: consume,
  },
  {
    name: "the total timeout",
    closes: 1,
    delays: [5, 5, 5, 5, 5, 5],
    options: { timeout: 10, totalTimeout: 22 },
    go: consume,
  },
  {
    name: "the total timeout while the consumer is busy",
    closes: 1,
    delays: [5, 5, 5, 5],
    ending: "hang",
    options: { timeout: 10, totalTimeout: 22 },
    go: async (iterator, rig) => {
      await iterator.next();
      await wait(rig.clock, 100);
      await assertRejects(() => iterator.next(), DOMException);
    },
  },
  {
    name: "the total timeout after timeouts that went on",
    closes: 1,
    delays: [5],
    ending: "hang",
    options: { timeout: 10, totalTimeout: 95, onTimeout: "continue" },
    go: consume,
  },
  {
    name: "an abort during the wait for an item",
    closes: 1,
    delays: [0, 50],
    options: { timeout: 100 },
    go: (iterator, rig) => {
      rig.abortAt(7, bad);
      return consume(iterator, rig);
    },
  },
  {
    name: "an abort between two items",
    closes: 1,
    delays: [0, 50],
    options: { timeout: 100 },
    go: async (iterator, rig) => {
      await iterator.next();
      rig.controller.abort(bad);
      rig.assertNothingLeft();
      await assertRejects(() => iterator.next(), Error, bad.message);
    },
  },
  {
    name: "an abort that ends",
    closes: 1,
    delays: [0, 50],
    options: { timeout: 100, onAbort: "end" },
    go: (iterator, rig) => {
      rig.abortAt(7, bad);
      return consume(iterator, rig);
    },
  },
  {
    name: "an abort before the first item",
    closes: 1,
    delays: [0],
    options: { timeout: 100 },
    go: (iterator, rig) => {
      rig.controller.abort(bad);
      return consume(iterator, rig);
    },
  },
  {
    name: "an abort and a return() after it",
    closes: 1,
    delays: [0, 50],
    options: { timeout: 100 },
    go: async (iterator, rig) => {
      await iterator.next();
      rig.controller.abort(bad);
      await iterator.return();
    },
  },
];

for (const { name, closes, delays, ending, options, go } of WAYS) {
  for (const prefetch of [0, 2]) {
    const how = prefetch === 0 ? name : `${name}, prefetching`;
    const times = closes === 0 ? "does not close" : "closes once";
    test(`TimeoutIterator ${times} a source at ${how}, and leaves nothing`, async () => {
      const rig = new Rig();
      const script = rig.script(delays, ending);
      const iterator = rig.over(script, { ...options, prefetch });
      const unhandled = await unhandledDuring(async () => {
        const done = go(iterator, rig);
        const over = rig.watch(done);
        for (let ms = 0; over.outcome === undefined && ms < 1000; ms++) {
          await rig.clock.advance(1);
        }
        assert(over.outcome !== undefined, "hangs");
        await done;
        rig.assertNothingLeft();
        rig.assertOneTimer();
        assertEquals(script.closed, closes);
        const { pulled } = script;
        assertEquals(await iterator.next(), END);
        assertEquals(await iterator.return(), END);
        await rig.clock.runAll();
        rig.assertNothingLeft();
        assertEquals([script.closed, script.pulled], [closes, pulled]);
        assertLessOrEqual(script.opened, 1);
        assertEquals(script.overlaps, 0);
      });
      assertEquals(unhandled, []);
    });
  }
}

// --------------------------------------------------------------- sources

const numbers = [0, 1, 2];

function* generate(): Generator<number> {
  yield* numbers;
}

async function* generateLate(): AsyncGenerator<number> {
  for (const number of numbers) yield await Promise.resolve(number);
}

/** Only `next`, as it may be written by hand. */
function handmade<R>(
  wrap: (result: IteratorResult<number, undefined>) => R,
): { next: () => R } {
  const iterator = numbers[Symbol.iterator]();
  return { next: () => wrap(iterator.next()) };
}

function streamOf(values: readonly number[]): ReadableStream<number> {
  return new ReadableStream({
    start(controller) {
      for (const value of values) controller.enqueue(value);
      controller.close();
    },
  });
}

/** A stream on a platform where streams are not iterable. */
function uniterable<T>(stream: ReadableStream<T>): ReadableStream<T> {
  return { getReader: () => stream.getReader() } as ReadableStream<T>;
}

const SOURCES: Record<string, () => ItemSource<number>> = {
  "an array": () => numbers,
  "a set": () => new Set(numbers),
  "a generator": generate,
  "an asynchronous generator": generateLate,
  "an iterator with nothing but next()": () => handmade((result) => result),
  "an asynchronous iterator with nothing but next()": () =>
    handmade((result) => Promise.resolve(result)),
  "an asynchronous iterable": () => ({ [Symbol.asyncIterator]: generateLate }),
  "an asynchronous iterable whose results are no promises": () => ({
    [Symbol.asyncIterator]: () =>
      handmade((result) => result) as unknown as AsyncIterator<number>,
  }),
  "an asynchronous iterable whose results are only thenable": () => ({
    [Symbol.asyncIterator]: () =>
      handmade((result) => ({
        then: (resolve: (value: typeof result) => void) => resolve(result),
      })) as unknown as AsyncIterator<number>,
  }),
  "an iterable of promises": () => numbers.map((n) => Promise.resolve(n)),
  "an iterable of numbers and promises": () => [0, Promise.resolve(1), 2],
  "a generator of promises": function* () {
    for (const number of numbers) yield Promise.resolve(number);
  },
  "a ReadableStream": () => streamOf(numbers),
  "a ReadableStream that is not iterable": () => uniterable(streamOf(numbers)),
  "another TimeoutIterator": () => withTimeout(numbers),
};

for (const [name, open] of Object.entries(SOURCES)) {
  for (const prefetch of [0, 1, 100]) {
    test(`TimeoutIterator takes items from ${name} with a prefetch of ${prefetch}`, async () => {
      const rig = new Rig();
      const iterator = rig.over(open(), { timeout: 10, prefetch });
      const { items, error } = await takeAll(iterator, rig.clock);
      assertEquals(items, numbers);
      assertEquals(error, undefined);
      assertEquals(await iterator.next(), END);
      assertEquals(iterator.statistics, { items: 3, timeouts: 0, slow: 0 });
      rig.assertNothingLeft();
    });
  }
}

test("TimeoutIterator takes the characters of a string", async () => {
  const { items } = await takeAll(withTimeout("sky"), new ManualClock());
  assertEquals(items, ["s", "k", "y"]);
});

test("TimeoutIterator takes items that are undefined, null or promises of them", async () => {
  const source = [undefined, null, Promise.resolve(undefined), NaN];
  const { items } = await takeAll(withTimeout(source), new ManualClock());
  assertEquals(items, [undefined, null, undefined, NaN]);
});

test("TimeoutIterator types the items of promises as what they resolve to", async () => {
  const iterator = withTimeout([Promise.resolve("sky"), "sea"]);
  let length = 0;
  for await (const word of iterator) length += word.length;
  assertEquals(length, 6);
});

test("TimeoutIterator gives no value with the end, whatever the source returned", async () => {
  const source = function* (): Generator<number, string> {
    yield 1;
    return "the sum";
  };
  const iterator = withTimeout(source());
  assertEquals(await iterator.next(), item(1));
  assertEquals(await iterator.next(), END);
});

test("TimeoutIterator of an empty source ends at once", async () => {
  for (const source of [[], "", streamOf([])]) {
    const iterator = withTimeout<unknown>(source, { timeout: 10 });
    assertEquals(await iterator.next(), END);
  }
});

/** Sources that note when they are closed. */
const CLOSABLE: Record<string, (closed: () => void) => ItemSource<number>> = {
  "a generator": function* (closed) {
    try {
      for (;;) yield 1;
    } finally {
      closed();
    }
  },
  "an asynchronous generator": async function* (closed) {
    try {
      for (;;) yield await Promise.resolve(1);
    } finally {
      closed();
    }
  },
  "a generator of promises": function* (closed) {
    try {
      for (;;) yield Promise.resolve(1);
    } finally {
      closed();
    }
  },
  "an iterator": (closed) => ({
    next: () => ({ done: false, value: 1 }),
    return: () => {
      closed();
      return { done: true, value: undefined };
    },
  }),
  "an iterable": (closed) => ({
    [Symbol.iterator]: () => ({
      next: () => ({ done: false, value: 1 }),
      return: () => {
        closed();
        return { done: true, value: undefined };
      },
    }),
  }),
  "a ReadableStream": (closed) =>
    new ReadableStream({
      pull: (controller) => controller.enqueue(1),
      cancel: closed,
    }),
  "a ReadableStream that is not iterable": (closed) =>
    uniterable(
      new ReadableStream({
        pull: (controller) => controller.enqueue(1),
        cancel: closed,
      }),
    ),
};

for (const [name, open] of Object.entries(CLOSABLE)) {
  test(`TimeoutIterator closes ${name} once when the consumer breaks`, async () => {
    let closed = 0;
    const iterator = withTimeout(open(() => closed++), { timeout: 10 });
    for await (const value of iterator) {
      assertEquals(value, 1);
      break;
    }
    assertEquals(closed, 1);
    await iterator.return();
    assertEquals(closed, 1);
  });

  test(`TimeoutIterator closes ${name} once when the signal aborts between two items`, async () => {
    let closed = 0;
    const rig = new Rig();
    const iterator = rig.over(open(() => closed++));
    await iterator.next();
    rig.controller.abort("dawn");
    await rig.clock.advance(0);
    assertEquals(closed, 1);
    assertEquals(reasonOf(await settled(rig, iterator.next())), "dawn");
    assertEquals(closed, 1);
  });
}

async function settled(rig: Rig, promise: Promise<unknown>): Promise<Watch> {
  const state = rig.watch(promise);
  await rig.clock.advance(0);
  return state;
}

test("TimeoutIterator leaves a source without return() alone", async () => {
  const iterator = withTimeout(handmade((result) => result), { timeout: 10 });
  for await (const _ of iterator) break;
  assertEquals(await iterator.next(), END);
});

test("TimeoutIterator releases the lock of a stream, however it ends", async () => {
  for (const wrap of [(stream: ReadableStream<number>) => stream, uniterable]) {
    const endless = new ReadableStream<number>({
      pull: (controller) => controller.enqueue(1),
    });
    for await (const _ of withTimeout(wrap(endless))) break;
    assertFalse(endless.locked, "after a break");

    const whole = streamOf(numbers);
    await takeAll(withTimeout(wrap(whole)), new ManualClock());
    assertFalse(whole.locked, "after the end");

    const broken = new ReadableStream<number>({
      start: (controller) => controller.error(bad),
    });
    await takeAll(withTimeout(wrap(broken)), new ManualClock());
    assertFalse(broken.locked, "after an error");
  }
});

for (
  const [name, wrap] of [
    ["a ReadableStream", (stream: ReadableStream<number>) => stream],
    ["a ReadableStream that is not iterable", uniterable<number>],
  ] as const
) {
  test(`TimeoutIterator cancels ${name} that hangs when an item does not come in time`, async () => {
    let cancelled = 0;
    const stream = new ReadableStream<number>({
      cancel: () => {
        cancelled++;
      },
    });
    const rig = new Rig();
    const iterator = rig.over(wrap(stream), { timeout: 10 });
    const unhandled = await unhandledDuring(async () => {
      const first = rig.watch(iterator.next());
      await rig.clock.advance(10);
      assertTimeout(first, "No item within 10 ms", 10);
      await rig.clock.advance(0);
      assertEquals(cancelled, 1);
    });
    assertEquals(unhandled, []);
    rig.assertNothingLeft();
  });

  test(`TimeoutIterator fails with the error of ${name}`, async () => {
    const error = new Error("no signal");
    const stream = new ReadableStream<number>({
      start: (controller) => controller.error(error),
    });
    const { error: failure } = await takeAll(
      withTimeout(wrap(stream)),
      new ManualClock(),
    );
    assertStrictEquals(failure, error);
  });
}

test("TimeoutIterator fails at the first item of a stream that is locked", async () => {
  const stream = streamOf(numbers);
  stream.getReader();
  const iterator = withTimeout(stream);
  await assertRejects(() => iterator.next(), TypeError);
  assertEquals(await iterator.next(), END);
});

test("TimeoutIterator fails with what next() of the source throws, and ends", async () => {
  for (const prefetch of [0, 3]) {
    let closed = 0;
    const rig = new Rig();
    const iterator = rig.over<number>({
      [Symbol.asyncIterator]: () => ({
        next: () => {
          throw bad;
        },
        return: () => {
          closed++;
          return Promise.resolve(END);
        },
      }),
    }, { timeout: 10, prefetch });
    const first = await settled(rig, iterator.next());
    assertStrictEquals(reasonOf(first), bad);
    assertEquals(await iterator.next(), END);
    assertEquals(closed, 0);
    rig.assertNothingLeft();
  }
});

test("TimeoutIterator fails with what opening the source throws, and ends", async () => {
  const open = (): never => {
    throw bad;
  };
  const sources: ItemSource<number>[] = [
    { [Symbol.asyncIterator]: open },
    { [Symbol.iterator]: open },
    { getReader: open } as unknown as ReadableStream<number>,
  ];
  for (const source of sources) {
    const rig = new Rig();
    const iterator = rig.over(source, { timeout: 10, totalTimeout: 20 });
    const first = await settled(rig, iterator.next());
    assertStrictEquals(reasonOf(first), bad);
    assertEquals(await iterator.next(), END);
    assertEquals(await iterator.return(), END);
    rig.assertNothingLeft();
  }
});

test("TimeoutIterator.return() fails with what opening the source throws", async () => {
  const iterator = withTimeout<number>({
    [Symbol.asyncIterator]: () => {
      throw bad;
    },
  });
  assertStrictEquals(await assertRejects(() => iterator.return()), bad);
  assertEquals(await iterator.return(), END);
});

test("TimeoutIterator fails with a TypeError when opening the source gives no iterator", async () => {
  for (const nothing of [undefined, null, 5, {}]) {
    const iterator = withTimeout<number>({
      [Symbol.asyncIterator]: () => nothing as unknown as AsyncIterator<number>,
    }, { timeout: 10 });
    await assertRejects(() => iterator.next(), TypeError);
    assertEquals(await iterator.next(), END);
  }
});

test("TimeoutIterator refuses results that are no objects", async () => {
  for (const nonsense of [undefined, null, 5, "item", true]) {
    const next = () => nonsense as unknown as IteratorResult<number>;
    const late = () => Promise.resolve(next());
    const sources: ItemSource<number>[] = [
      { next },
      { next: late },
      { [Symbol.iterator]: () => ({ next }) },
      { [Symbol.asyncIterator]: () => ({ next: late }) },
    ];
    for (const source of sources) {
      for (const prefetch of [0, 1]) {
        const iterator = withTimeout(source, { timeout: 10, prefetch });
        const error = await assertRejects(() => iterator.next(), TypeError);
        assertStringIncludes(error.message, "'result' must be an object");
        assertEquals(await iterator.next(), END);
      }
    }
  }
});

test("TimeoutIterator fails with the rejection among an iterable of promises and closes it once", async () => {
  let closed = 0;
  const source = function* () {
    try {
      yield Promise.resolve(0);
      yield Promise.reject<number>(bad);
      yield Promise.resolve(2);
    } finally {
      closed++;
    }
  };
  const { items, error } = await takeAll(
    withTimeout(source(), { timeout: 10 }),
    new ManualClock(),
  );
  assertEquals(items, [0]);
  assertStrictEquals(error, bad);
  assertEquals(closed, 1);
});

test("TimeoutIterator fails with the rejection among promises even if closing fails too", async () => {
  const closes: (() => unknown)[] = [
    () => {
      throw new Error("not closed either");
    },
    () => Promise.reject(new Error("not closed either")),
    never,
  ];
  for (const close of closes) {
    const rig = new Rig();
    const source: Iterator<Promise<number>> = {
      next: () => ({ done: false, value: Promise.reject(bad) }),
      return: close as () => IteratorResult<Promise<number>>,
    };
    const unhandled = await unhandledDuring(async () => {
      const first = await settled(rig, rig.over(source).next());
      assertStrictEquals(reasonOf(first), bad);
    });
    assertEquals(unhandled, []);
  }
});

test("TimeoutIterator closes an iterator of promises once though the abandoned one rejects late", async () => {
  const rig = new Rig();
  let closed = 0;
  const source: Iterator<Promise<number>> = {
    next: () => ({
      done: false,
      value: wait(rig.clock, 50).then(() => Promise.reject(bad)),
    }),
    return: () => {
      closed++;
      return { done: true, value: undefined };
    },
  };
  const unhandled = await unhandledDuring(async () => {
    const pass = takeAll(rig.over(source, { timeout: 10 }), rig.clock);
    await rig.clock.advance(10);
    assertInstanceOf((await pass).error, DOMException);
    assertEquals(closed, 1);
    await rig.clock.advance(100);
    assertEquals(closed, 1);
  });
  assertEquals(unhandled, []);
});

test("TimeoutIterator never asks a source for two items at a time", async () => {
  for (const prefetch of [0, 1, 4]) {
    const rig = new Rig();
    const script = rig.script(Array(20).fill(3));
    const iterator = rig.over(script, { prefetch });
    for (let n = 0; n < 20; n++) iterator.next();
    await rig.clock.runAll();
    assertEquals([script.overlaps, iterator.statistics.items], [0, 20]);
  }
});

test("TimeoutIterator may be asked for items by the source itself", async () => {
  const rig = new Rig();
  const more: Watch[] = [];
  let n = 0;
  const iterator: TimeoutIterator<number> = rig.over<number>({
    next: () => {
      if (n < 3) more.push(rig.watch(iterator.next()));
      return Promise.resolve({ done: n >= 3, value: n++ });
    },
  });
  assertEquals(await iterator.next(), item(0));
  await rig.clock.advance(0);
  assertEquals(more.map(({ outcome }) => outcome), [
    { value: item(1) },
    { value: item(2) },
    { value: END },
  ]);
});

test("TimeoutIterator may be ended by the source within next()", async () => {
  const ends: ((iterator: TimeoutIterator<number>, rig: Rig) => void)[] = [
    (iterator) => void iterator.return(),
    (_, rig) => rig.controller.abort(bad),
  ];
  for (const end of ends) {
    const rig = new Rig();
    let closed = 0;
    const iterator: TimeoutIterator<number> = rig.over<number>({
      [Symbol.asyncIterator]: () => ({
        next: () => {
          end(iterator, rig);
          return Promise.resolve({ done: false, value: 1 });
        },
        return: () => {
          closed++;
          return Promise.resolve(END);
        },
      }),
    }, { timeout: 10 });
    const { items } = await takeAll(iterator, rig.clock);
    assertEquals(items, []);
    assertEquals(closed, 1);
    rig.assertNothingLeft();
  }
});

// -------------------------------------------------------------- requests

test("TimeoutIterator.next() answers requests made at once in their order", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([10, 0, 10]), { timeout: 15 });
  const requests = Array.from({ length: 5 }, () => rig.watch(iterator.next()));
  await rig.clock.runAll();
  assertEquals(requests, [
    { outcome: { value: item(0) }, at: 10 },
    { outcome: { value: item(1) }, at: 10 },
    { outcome: { value: item(2) }, at: 20 },
    { outcome: { value: END }, at: 20 },
    { outcome: { value: END }, at: 20 },
  ]);
  rig.assertNothingLeft();
});

test("TimeoutIterator gives each waiting request its own time", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([8, 8, 8, 20]), { timeout: 10 });
  const requests = Array.from({ length: 5 }, () => rig.watch(iterator.next()));
  await rig.clock.runAll();
  assertEquals(requests.slice(0, 3).map(({ at }) => at), [8, 16, 24]);
  assertTimeout(requests[3] as Watch, "No item within 10 ms", 34);
  assertEquals(requests[4], { outcome: { value: END }, at: 34 });
});

test("TimeoutIterator fails one request only, whatever ends it", async () => {
  const ends: [TimeoutIteratorOptions, Ending, (rig: Rig) => void][] = [
    [{}, "error", () => {}],
    [{ timeout: 10 }, "hang", () => {}],
    [{}, "hang", (rig) => rig.abortAt(10, bad)],
  ];
  for (const [options, ending, begin] of ends) {
    const rig = new Rig();
    const iterator = rig.over(rig.script([5], ending), options);
    begin(rig);
    const requests = Array.from(
      { length: 4 },
      () => rig.watch(iterator.next()),
    );
    await rig.clock.runAll();
    assertEquals(requests[0]?.outcome, { value: item(0) });
    assert(reasonOf(requests[1] as Watch) instanceof Error);
    assertEquals(requests[2]?.outcome, { value: END });
    assertEquals(requests[3]?.outcome, { value: END });
    rig.assertNothingLeft();
  }
});

test("TimeoutIterator.return() answers all waiting requests with the end", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([], "hang"), { timeout: 10 });
  const requests = Array.from({ length: 3 }, () => rig.watch(iterator.next()));
  await rig.clock.advance(5);
  assertEquals(await iterator.return(), END);
  for (const request of requests) {
    assertEquals(request, { outcome: { value: END }, at: 5 });
  }
  rig.assertNothingLeft();
});

test("TimeoutIterator is its own iterator", async () => {
  const iterator = withTimeout([1, 2, 3]);
  assertStrictEquals(iterator[Symbol.asyncIterator](), iterator);
  assertInstanceOf(iterator, TimeoutIterator);
  assertEquals(await iterator.next(), item(1));
  const { items } = await takeAll(iterator, new ManualClock());
  assertEquals(items, [2, 3]);
});

// ----------------------------------------------------------------- aborts

test("TimeoutIterator fails with the reason of the signal, whatever it is", async () => {
  for (const reason of ["dawn", 0, null, bad, new DOMException("x", "Y")]) {
    const rig = new Rig();
    const waiting = rig.watch(rig.over(rig.script([], "hang")).next());
    rig.controller.abort(reason);
    await rig.clock.advance(0);
    assertStrictEquals(reasonOf(waiting), reason);
  }
  const rig = new Rig();
  const waiting = rig.watch(rig.over(rig.script([], "hang")).next());
  rig.controller.abort();
  await rig.clock.advance(0);
  assertEquals((reasonOf(waiting) as Error).name, "AbortError");
});

test("TimeoutIterator that is aborted between two items closes the source at once and fails once", async () => {
  const rig = new Rig();
  const script = rig.script([0, 0, 0]);
  const iterator = rig.over(script);
  await iterator.next();
  rig.controller.abort("dawn");
  assertEquals(script.closed, 1);
  const second = await settled(rig, iterator.next());
  assertEquals(reasonOf(second), "dawn");
  assertEquals(await iterator.next(), END);
  assertEquals([script.pulled, script.closed], [1, 1]);
});

test("TimeoutIterator takes nothing from the source under a signal that has aborted", async () => {
  for (const prefetch of [0, 2]) {
    const rig = new Rig();
    const script = rig.script([0, 0]);
    rig.controller.abort("dawn");
    const iterator = rig.over(script, { timeout: 10, prefetch });
    assertEquals(script.opened, 0);
    const first = await settled(rig, iterator.next());
    assertEquals(reasonOf(first), "dawn");
    assertEquals(await iterator.next(), END);
    assertEquals([script.pulled, script.closed], [0, 1]);
    assertEquals([rig.timers.set, rig.controller.most], [0, 0]);
  }
});

test("TimeoutIterator ends under a signal that has aborted when told to end", async () => {
  const rig = new Rig();
  const script = rig.script([0, 0]);
  const iterator = rig.over(script, { onAbort: "end" });
  rig.controller.abort("dawn");
  assertEquals(await iterator.next(), END);
  assertEquals([script.pulled, script.closed], [0, 1]);
});

test("TimeoutIterator with onAbort end gives no error, however it is aborted", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([], "hang"), { onAbort: "end" });
  const requests = [rig.watch(iterator.next()), rig.watch(iterator.next())];
  await rig.clock.advance(3);
  rig.controller.abort("dawn");
  await rig.clock.advance(0);
  assertEquals(requests, [
    { outcome: { value: END }, at: 3 },
    { outcome: { value: END }, at: 3 },
  ]);
  rig.assertNothingLeft();
});

test("TimeoutIterator does not mind an abort after its end", async () => {
  const rig = new Rig();
  const script = rig.script([0]);
  const iterator = rig.over(script);
  await takeAll(iterator, rig.clock);
  rig.controller.abort("dawn");
  assertEquals(await iterator.next(), END);
  assertEquals(script.closed, 0);
});

test("TimeoutIterator may share its signal with the source", async () => {
  const rig = new Rig();
  const { signal } = rig.controller;
  const source = async function* (): AsyncGenerator<number> {
    yield 1;
    await new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), {
        once: true,
      });
    });
  };
  const unhandled = await unhandledDuring(async () => {
    const iterator = rig.over(source(), { timeout: 100 });
    assertEquals(await iterator.next(), item(1));
    const second = rig.watch(iterator.next());
    await rig.clock.advance(5);
    rig.controller.abort("dawn");
    await rig.clock.advance(0);
    assertEquals(second, { outcome: { reason: "dawn" }, at: 5 });
    assertEquals(await iterator.return(), END);
  });
  assertEquals(unhandled, []);
  assertEquals(rig.logger.lines, []);
});

test("TimeoutIterator does not make the late failure of an abandoned item unhandled", async () => {
  for (const prefetch of [0, 2]) {
    const rig = new Rig();
    const unhandled = await unhandledDuring(async () => {
      const source: AsyncIterator<number> = {
        next: () => wait(rig.clock, 50).then(() => Promise.reject(bad)),
      };
      const first = rig.watch(
        rig.over(source, { timeout: 10, prefetch }).next(),
      );
      await rig.clock.advance(100);
      assertTimeout(first, "No item within 10 ms", 10);
    });
    assertEquals(unhandled, []);
    assertEquals(rig.logger.lines, [
      "warn The source failed after its end: Error: the hook has failed",
    ]);
  }
});

test("TimeoutIterator does not warn of an abandoned item that fails because of the abort", async () => {
  for (
    const echo of [
      "dawn",
      new DOMException("aborted", "AbortError"),
      new Error("no image", { cause: "dawn" }),
    ]
  ) {
    const rig = new Rig();
    const source: AsyncIterator<number> = {
      next: () => wait(rig.clock, 50).then(() => Promise.reject(echo)),
    };
    const unhandled = await unhandledDuring(async () => {
      const first = rig.watch(rig.over(source).next());
      rig.abortAt(10, "dawn");
      await rig.clock.advance(100);
      assertEquals(first, { outcome: { reason: "dawn" }, at: 10 });
    });
    assertEquals(unhandled, []);
    assertEquals(rig.logger.lines, []);
  }
});

test("TimeoutIterator.return() fails with the error of the item it has cut off, if that comes while it waits", async () => {
  for (const [delay, inTime] of [[50, true], [150, false]] as const) {
    const rig = new Rig();
    const source: AsyncIterator<number> = {
      next: () => wait(rig.clock, delay).then(() => Promise.reject(bad)),
      return: () => wait(rig.clock, 200).then(() => END),
    };
    const unhandled = await unhandledDuring(async () => {
      const iterator = rig.over(source, { grace: 100 });
      const first = rig.watch(iterator.next());
      const closing = rig.watch(iterator.return());
      await rig.clock.advance(100);
      assertEquals(first, { outcome: { value: END }, at: 0 });
      if (inTime) assertStrictEquals(reasonOf(closing), bad);
      else assertEquals(closing, { outcome: { value: END }, at: 100 });
      await rig.clock.advance(100);
    });
    assertEquals(unhandled, []);
    assertEquals(
      rig.logger.lines,
      inTime ? [] : [
        "warn The source did not close within 100 ms",
        "warn The source failed after its end: Error: the hook has failed",
      ],
    );
  }
});

// --------------------------------------------------------------- timeouts

test("TimeoutIterator limits the wait for each item, not the whole", async () => {
  const rig = new Rig();
  const pass = takeAll(
    rig.over(rig.script([9, 9, 9, 9, 11]), { timeout: 10 }),
    rig.clock,
  );
  await rig.clock.runAll();
  const { items, times, error } = await pass;
  assertEquals(items, [0, 1, 2, 3]);
  assertEquals(times, [9, 18, 27, 36]);
  assertInstanceOf(error, DOMException);
});

test("TimeoutIterator does not count the time that the consumer takes", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([9, 9, 9]), { timeout: 10 });
  for (const [n, asked] of [0, 1009, 2018].entries()) {
    assertEquals(rig.clock.now(), asked);
    const request = rig.watch(iterator.next());
    await rig.clock.advance(9);
    assertEquals(request.outcome, { value: item(n) });
    await rig.clock.advance(1000);
  }
  assertEquals(await iterator.next(), END);
});

test("TimeoutIterator times an item from when it is asked for, though an older timer waits", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([1], "hang"), { timeout: 10 });
  const first = rig.watch(iterator.next());
  await rig.clock.advance(7);
  assertEquals(first.outcome, { value: item(0) });
  const second = rig.watch(iterator.next());
  await rig.clock.advance(9);
  assertEquals(second.outcome, undefined);
  await rig.clock.advance(1);
  assertTimeout(second, "No item within 10 ms", 17);
});

test("TimeoutIterator has one timer for a thousand items that come at once", async () => {
  const rig = new Rig();
  const { items } = await takeAll(
    rig.over(rig.script(Array(1000).fill(0)), {
      timeout: 10,
      totalTimeout: 50,
    }),
    rig.clock,
  );
  assertEquals(items.length, 1000);
  assertEquals([rig.timers.set, rig.timers.most], [1, 1]);
  rig.assertNothingLeft();
});

test("TimeoutIterator has one listener for a thousand items", async () => {
  const rig = new Rig();
  let added = 0;
  const { signal } = rig.controller;
  const add = signal.addEventListener;
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    added++;
    add(...args);
  };
  await takeAll(rig.over(rig.script(Array(1000).fill(0))), rig.clock);
  assertEquals(added, 1);
  rig.assertNothingLeft();
});

test("TimeoutIterator never has more than one timer and one listener while it runs", async () => {
  const rig = new Rig();
  const delays = Array.from({ length: 50 }, (_, n) => n * 7 % 10);
  const iterator = rig.over(rig.script(delays), {
    timeout: 10,
    firstTimeout: 100,
    totalTimeout: 10_000,
    expectedRate: 200,
  });
  const pass = takeAll(iterator, rig.clock);
  for (let ms = 0; ms < 100; ms++) {
    await rig.clock.advance(1);
    assertLessOrEqual(rig.timers.timers, 1);
    assertEquals(rig.controller.listeners, 1);
  }
  await rig.clock.runAll();
  assertEquals((await pass).items.length, 50);
  rig.assertNothingLeft();
});

test("TimeoutIterator sets no timer when there is no limit", async () => {
  for (
    const options of [
      {},
      { timeout: Infinity },
      { timeout: Infinity, firstTimeout: Infinity, totalTimeout: Infinity },
      { expectedRate: 10 },
      { timeout: undefined, firstTimeout: undefined, expectedRate: undefined },
    ]
  ) {
    const rig = new Rig();
    const pass = takeAll(rig.over(rig.script([0, 1e12]), options), rig.clock);
    await rig.clock.runAll();
    assertEquals((await pass).items, [0, 1]);
    assertEquals(rig.timers.set, 0);
  }
});

test("TimeoutIterator holds no timer once only the first item had a limit", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([0, 5000]), { firstTimeout: 10 });
  await iterator.next();
  const second = rig.watch(iterator.next());
  await rig.clock.advance(20);
  assertEquals(rig.timers.timers, 0);
  await rig.clock.runAll();
  assertEquals(second.outcome, { value: item(1) });
});

test("TimeoutIterator holds no timer for long while the consumer is busy", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([8, 8, 8]), { timeout: 10 });
  for (let n = 0; n < 2; n++) {
    const request = rig.watch(iterator.next());
    await rig.clock.advance(8);
    assertEquals(request.outcome, { value: item(n) });
  }
  await rig.clock.advance(10);
  assertEquals(rig.timers.timers, 0);
  assertEquals(iterator.statistics.timeouts, 0);
});

test("TimeoutIterator waits longer than the timers of the platforms can", async () => {
  const rig = new Rig();
  const month = 31 * 24 * 3_600_000;
  const iterator = rig.over(rig.script([month - 1], "hang"), {
    timeout: month,
  });
  const first = rig.watch(iterator.next());
  await rig.clock.advance(month - 1);
  assertEquals(first.outcome, { value: item(0) });
  const second = rig.watch(iterator.next());
  await rig.clock.advance(month);
  assertTimeout(second, `No item within ${month} ms`, 2 * month - 1);
});

test("TimeoutIterator.firstTimeout limits the first item and no other", async () => {
  for (const firstTimeout of [100, 5]) {
    const rig = new Rig();
    const iterator = rig.over(rig.script([firstTimeout - 1], "hang"), {
      timeout: 20,
      firstTimeout,
    });
    const first = rig.watch(iterator.next());
    await rig.clock.advance(firstTimeout - 1);
    assertEquals(first.outcome, { value: item(0) });
    const second = rig.watch(iterator.next());
    await rig.clock.advance(20);
    assertTimeout(second, "No item within 20 ms", firstTimeout + 19);
  }
});

test("TimeoutIterator.firstTimeout fails the first item without any other timeout", async () => {
  const rig = new Rig();
  const first = rig.watch(
    rig.over(rig.script([], "hang"), { firstTimeout: 30 }).next(),
  );
  await rig.clock.runAll();
  assertTimeout(first, "No item within 30 ms", 30);
});

test("TimeoutIterator.expectedRate gives the first item two periods more", async () => {
  const rig = new Rig();
  const options = { timeout: 50, expectedRate: 10 };
  const inTime = rig.watch(rig.over(rig.script([249]), options).next());
  const late = rig.watch(rig.over(rig.script([251]), options).next());
  await rig.clock.advance(300);
  assertEquals(inTime, { outcome: { value: item(0) }, at: 249 });
  assertTimeout(late, "No item within 250 ms", 250);
});

test("TimeoutIterator.expectedRate leaves the timeout of later items alone", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([0, 51]), {
    timeout: 50,
    expectedRate: 10,
  });
  await iterator.next();
  const second = rig.watch(iterator.next());
  await rig.clock.advance(50);
  assertTimeout(second, "No item within 50 ms", 50);
});

test("TimeoutIterator.firstTimeout wins over the two periods of the expected rate", async () => {
  const rig = new Rig();
  const first = rig.watch(
    rig.over(rig.script([100]), {
      timeout: 50,
      firstTimeout: 60,
      expectedRate: 10,
    }).next(),
  );
  await rig.clock.advance(100);
  assertTimeout(first, "No item within 60 ms", 60);
});

test("TimeoutIterator.totalTimeout limits the whole from the first request", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script(Array(9).fill(40)), {
    timeout: 50,
    totalTimeout: 100,
  });
  await rig.clock.advance(1000);
  const pass = takeAll(iterator, rig.clock);
  await rig.clock.runAll();
  const { items, times, error } = await pass;
  assertEquals(items, [0, 1]);
  assertEquals(times, [1040, 1080]);
  assertInstanceOf(error, DOMException);
  assertEquals(error.name, "TimeoutError");
  assertEquals(error.message, "No end within 100 ms");
  assertEquals(iterator.statistics, { items: 2, timeouts: 1, slow: 0 });
});

test("TimeoutIterator.totalTimeout holds against every decision of onTimeout", async () => {
  const goOn = () => "continue" as const;
  for (const onTimeout of ["continue", "end", goOn] as const) {
    const rig = new Rig();
    const request = rig.watch(
      rig.over(rig.script([], "hang"), {
        timeout: onTimeout === "end" ? 200 : 30,
        totalTimeout: 100,
        onTimeout,
      }).next(),
    );
    await rig.clock.runAll();
    assertTimeout(request, "No end within 100 ms", 100);
    rig.assertNothingLeft();
  }
});

test("TimeoutIterator.totalTimeout counts the time of the consumer and pulls nothing after it", async () => {
  const rig = new Rig();
  const script = rig.script([0, 0]);
  const iterator = rig.over(script, { totalTimeout: 100 });
  await iterator.next();
  await rig.clock.advance(100);
  const second = await settled(rig, iterator.next());
  assertTimeout(second, "No end within 100 ms", 100);
  assertEquals([script.pulled, script.closed], [1, 1]);
});

test("TimeoutIterator copies its options", async () => {
  const rig = new Rig();
  const options: TimeoutIteratorOptions = {
    clock: rig.timers,
    timeout: 10,
    onTimeout: "throw",
  };
  const iterator = new TimeoutIterator(rig.script([], "hang"), options);
  options.timeout = 1000;
  options.onTimeout = "end";
  const first = rig.watch(iterator.next());
  await rig.clock.advance(10);
  assertTimeout(first, "No item within 10 ms", 10);
});

test('TimeoutIterator.onTimeout "continue" waits on for the same item and warns', async () => {
  const rig = new Rig();
  const script = rig.script([35, 5]);
  const iterator = rig.over(script, { timeout: 10, onTimeout: "continue" });
  const first = rig.watch(iterator.next());
  await rig.clock.advance(35);
  assertEquals(first, { outcome: { value: item(0) }, at: 35 });
  assertEquals(rig.logger.lines, [
    "warn No item within 10 ms",
    "warn No item within 20 ms",
    "warn No item within 30 ms",
  ]);
  assertEquals(iterator.statistics, { items: 1, timeouts: 3, slow: 0 });
  assertEquals([script.pulled, script.closed], [1, 0]);
  const second = rig.watch(iterator.next());
  await rig.clock.advance(5);
  assertEquals(second.outcome, { value: item(1) });
});

test('TimeoutIterator.onTimeout "continue" goes on at the rate of the timeout after a longer first one', async () => {
  const rig = new Rig();
  const seen: number[] = [];
  const first = rig.watch(
    rig.over(rig.script([200]), {
      timeout: 30,
      firstTimeout: 100,
      onTimeout: ({ waited }) => {
        seen.push(waited);
        return "continue";
      },
    }).next(),
  );
  await rig.clock.advance(200);
  assertEquals(seen, [100, 130, 160, 190]);
  assertEquals(first.outcome, { value: item(0) });
});

test('TimeoutIterator.onTimeout "continue" waits without a limit when only the first item had one', async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([500]), {
    firstTimeout: 10,
    onTimeout: "continue",
  });
  const first = rig.watch(iterator.next());
  await rig.clock.advance(100);
  assertEquals(rig.timers.timers, 0);
  await rig.clock.advance(400);
  assertEquals(first.outcome, { value: item(0) });
  assertEquals(iterator.statistics.timeouts, 1);
});

test('TimeoutIterator.onTimeout "end" ends as if the source had', async () => {
  const rig = new Rig();
  const script = rig.script([5, 50, 5]);
  const iterator = rig.over(script, { timeout: 10, onTimeout: "end" });
  const pass = takeAll(iterator, rig.clock);
  await rig.clock.advance(15);
  assertEquals(await pass, { items: [0], times: [5], error: undefined });
  assertEquals(rig.clock.now(), 15);
  await rig.clock.runAll();
  assertEquals(await iterator.next(), END);
  assertEquals(iterator.statistics, { items: 1, timeouts: 1, slow: 0 });
});

test("TimeoutIterator.onTimeout is told of each timeout and decides", async () => {
  const rig = new Rig();
  const told: ItemTimeout[] = [];
  const decisions = ["continue", "continue", "continue", "end"] as const;
  const iterator = rig.over(rig.script([5, 25], "hang"), {
    timeout: 10,
    onTimeout: (timeout) => {
      told.push(timeout);
      return decisions[told.length - 1] ?? "throw";
    },
  });
  const pass = takeAll(iterator, rig.clock);
  await rig.clock.runAll();
  assertEquals((await pass).items, [0, 1]);
  assertEquals(told, [
    { waited: 10, items: 1, timeouts: 1 },
    { waited: 20, items: 1, timeouts: 2 },
    { waited: 10, items: 2, timeouts: 3 },
    { waited: 20, items: 2, timeouts: 4 },
  ]);
  assertEquals(rig.clock.now(), 50);
  assertEquals(rig.logger.lines, []);
});

test("TimeoutIterator.onTimeout may decide to throw after it went on", async () => {
  const rig = new Rig();
  let calls = 0;
  const first = rig.watch(
    rig.over(rig.script([], "hang"), {
      timeout: 10,
      onTimeout: () => ++calls < 3 ? "continue" : "throw",
    }).next(),
  );
  await rig.clock.runAll();
  assertEquals((reasonOf(first) as Error).name, "TimeoutError");
  assertEquals(first.at, 30);
});

test("TimeoutIterator fails with what onTimeout throws", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([], "hang"), {
    timeout: 10,
    onTimeout: () => {
      throw bad;
    },
  });
  const first = rig.watch(iterator.next());
  await rig.clock.advance(10);
  assertStrictEquals(reasonOf(first), bad);
  assertEquals(await iterator.next(), END);
});

test("TimeoutIterator fails with a TypeError when onTimeout decides nothing it knows", async () => {
  for (const nonsense of [undefined, "go on", 1, Promise.resolve("end")]) {
    const rig = new Rig();
    const first = rig.watch(
      rig.over(rig.script([], "hang"), {
        timeout: 10,
        onTimeout: () => nonsense as "end",
      }).next(),
    );
    await rig.clock.advance(10);
    const error = reasonOf(first);
    assertInstanceOf(error, TypeError);
    assertStringIncludes(error.message, "'onTimeout'");
  }
});

test("TimeoutIterator may be ended by its onTimeout", async () => {
  const ends: ((iterator: TimeoutIterator<number>, rig: Rig) => void)[] = [
    (iterator) => void iterator.return(),
    (_, rig) => rig.controller.abort(bad),
  ];
  for (const end of ends) {
    for (const decision of ["throw", "continue", "end"] as const) {
      const rig = new Rig();
      const script = rig.script([], "hang");
      const iterator: TimeoutIterator<number> = rig.over(script, {
        timeout: 10,
        onTimeout: () => {
          end(iterator, rig);
          return decision;
        },
      });
      const first = rig.watch(iterator.next());
      await rig.clock.runAll();
      const { outcome, at } = first;
      assert(outcome !== undefined);
      if ("value" in outcome) assertEquals(outcome.value, END);
      else assertStrictEquals(outcome.reason, bad);
      assertEquals(at, 10);
      assertEquals(script.closed, 1);
      rig.assertNothingLeft();
    }
  }
});

// -------------------------------------------------------------- the rate

test("TimeoutIterator.onSlow is told of items slower than one and a half periods", async () => {
  const rig = new Rig();
  const slow: SlowItem[] = [];
  const iterator = rig.over(rig.script([0, 100, 150, 151, 400, 10]), {
    expectedRate: 10,
    onSlow: (item) => slow.push(item),
  });
  const pass = takeAll(iterator, rig.clock);
  await rig.clock.runAll();
  assertEquals((await pass).items.length, 6);
  assertEquals(slow, [
    { waited: 151, expected: 100, items: 3 },
    { waited: 400, expected: 100, items: 4 },
  ]);
  assertEquals(iterator.statistics, { items: 6, timeouts: 0, slow: 2 });
  assertEquals(rig.logger.lines, []);
});

test("TimeoutIterator.onSlow is not told of the first item, nor of a slow consumer", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([1000, 0, 0]), {
    expectedRate: 10,
    onSlow: () => {
      throw bad;
    },
  });
  for (let n = 0; n < 3; n++) {
    const request = rig.watch(iterator.next());
    await rig.clock.advance(1000);
    assertEquals(request.outcome, { value: item(n) });
  }
  assertEquals(iterator.statistics.slow, 0);
});

test("TimeoutIterator warns of slow items without onSlow", async () => {
  const rig = new Rig();
  const pass = takeAll(
    rig.over(rig.script([0, 200]), { expectedRate: 10 }),
    rig.clock,
  );
  await rig.clock.runAll();
  assertEquals((await pass).items, [0, 1]);
  assertEquals(rig.logger.lines, [
    "warn An item took 200 ms, expected 100 ms",
  ]);
});

test("TimeoutIterator gives the item although onSlow throws", async () => {
  const rig = new Rig();
  const pass = takeAll(
    rig.over(rig.script([0, 200, 0]), {
      expectedRate: 10,
      onSlow: () => {
        throw bad;
      },
    }),
    rig.clock,
  );
  await rig.clock.runAll();
  assertEquals((await pass).items, [0, 1, 2]);
  assertEquals(rig.logger.lines, [
    "error The onSlow hook failed: Error: the hook has failed",
  ]);
});

// -------------------------------------------------------------- prefetch

test("TimeoutIterator.prefetch takes no more ahead than it may, and nothing before the first request", async () => {
  for (const prefetch of [1, 3, 10]) {
    const rig = new Rig();
    const script = rig.script(Array(30).fill(0));
    const iterator = rig.over(script, { prefetch });
    await rig.clock.advance(100);
    assertEquals(script.pulled, 0);
    for (let n = 1; n <= 15; n++) {
      assertEquals(await iterator.next(), item(n - 1));
      await rig.clock.advance(0);
      assertEquals(script.pulled, n + prefetch);
    }
    assertEquals(script.overlaps, 0);
    await iterator.return();
    await rig.clock.advance(0);
    assertEquals([script.pulled, script.closed], [15 + prefetch, 1]);
  }
});

test("TimeoutIterator.prefetch fetches while the consumer is busy", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([10, 10, 10]), { prefetch: 2 });
  const first = rig.watch(iterator.next());
  await rig.clock.advance(10);
  assertEquals(first.outcome, { value: item(0) });
  await rig.clock.advance(20);
  assertEquals((await settled(rig, iterator.next())).at, 30);
  assertEquals((await settled(rig, iterator.next())).at, 30);
  assertEquals((await settled(rig, iterator.next())).outcome, { value: END });
});

test("TimeoutIterator.prefetch of zero fetches nothing", async () => {
  const rig = new Rig();
  const script = rig.script([0, 0, 0]);
  const iterator = rig.over(script, { prefetch: 0 });
  await iterator.next();
  await rig.clock.advance(100);
  assertEquals(script.pulled, 1);
});

test("TimeoutIterator.prefetch gives what came before an error first", async () => {
  const rig = new Rig();
  const script = rig.script([0, 0, 0], "error");
  const unhandled = await unhandledDuring(async () => {
    const iterator = rig.over(script, { prefetch: 10 });
    assertEquals(await iterator.next(), item(0));
    await rig.clock.advance(100);
    assertEquals(await iterator.next(), item(1));
    assertEquals(await iterator.next(), item(2));
    const failed = await settled(rig, iterator.next());
    assertStrictEquals(reasonOf(failed), script.error);
    assertEquals(await iterator.next(), END);
  });
  assertEquals(unhandled, []);
  assertEquals([script.pulled, script.closed], [4, 0]);
});

test("TimeoutIterator.prefetch does not make an error unhandled that nobody came to", async () => {
  const rig = new Rig();
  const script = rig.script([0, 0], "error");
  const unhandled = await unhandledDuring(async () => {
    const iterator = rig.over(script, { prefetch: 10 });
    await iterator.next();
    await rig.clock.advance(100);
    await iterator.return();
    assertEquals(await iterator.next(), END);
  });
  assertEquals(unhandled, []);
});

test("TimeoutIterator.prefetch leaves a source alone that has ended or failed before the consumer breaks", async () => {
  for (const ending of ["end", "error"] as const) {
    const rig = new Rig();
    const script = rig.script([0, 0], ending);
    const iterator = rig.over(script, { prefetch: 10 });
    await iterator.next();
    await rig.clock.advance(0);
    assertEquals(script.pulled, 3);
    await iterator.return();
    assertEquals(script.closed, 0);
  }
});

test("TimeoutIterator.prefetch drops what it has fetched when the signal aborts", async () => {
  const rig = new Rig();
  const script = rig.script(Array(9).fill(0));
  const iterator = rig.over(script, { prefetch: 3 });
  await iterator.next();
  await rig.clock.advance(0);
  rig.controller.abort("dawn");
  const second = await settled(rig, iterator.next());
  assertEquals(reasonOf(second), "dawn");
  assertEquals(await iterator.next(), END);
  assertEquals([script.pulled, script.closed], [4, 1]);
});

test("TimeoutIterator.prefetch limits the wait for an item, not its fetching", async () => {
  const rig = new Rig();
  const iterator = rig.over(rig.script([5, 30], "hang"), {
    timeout: 10,
    prefetch: 1,
  });
  const first = rig.watch(iterator.next());
  await rig.clock.advance(5);
  assertEquals(first.outcome, { value: item(0) });
  await rig.clock.advance(25);
  const second = rig.watch(iterator.next());
  await rig.clock.advance(9);
  assertEquals(second, { outcome: { value: item(1) }, at: 35 });
  const third = rig.watch(iterator.next());
  await rig.clock.advance(10);
  assertTimeout(third, "No item within 10 ms", 49);
});

// --------------------------------------------------------------- closing

test("TimeoutIterator.return() waits for the source to close", async () => {
  const rig = new Rig();
  const iterator = rig.over(hangs(() => wait(rig.clock, 70)), { timeout: 10 });
  iterator.next();
  const closing = rig.watch(iterator.return());
  await rig.clock.advance(69);
  assertEquals(closing.outcome, undefined);
  await rig.clock.advance(1);
  assertEquals(closing, { outcome: { value: END }, at: 70 });
  assertEquals(rig.logger.lines, []);
  rig.assertNothingLeft();
});

for (const grace of [undefined, 100, 0]) {
  const limit = grace ?? 5000;
  test(`TimeoutIterator.return() gives up a hung source after a grace of ${grace ?? "5000 by default"}`, async () => {
    const rig = new Rig();
    const source = async function* (): AsyncGenerator<number> {
      yield 1;
      await never();
    };
    const iterator = rig.over(source(), { timeout: 60_000, grace });
    await iterator.next();
    const second = rig.watch(iterator.next());
    const closing = rig.watch(iterator.return());
    if (limit > 0) {
      await rig.clock.advance(limit - 1);
      assertEquals(closing.outcome, undefined);
      assertEquals(rig.timers.timers, 1);
      await rig.clock.advance(1);
    } else {
      await rig.clock.advance(0);
    }
    assertEquals(second, { outcome: { value: END }, at: 0 });
    assertEquals(closing, { outcome: { value: END }, at: limit });
    assertEquals(rig.logger.lines, [
      `warn The source did not close within ${limit} ms`,
    ]);
    rig.assertNothingLeft();
  });
}

test("TimeoutIterator.return() with an infinite grace waits as long as it takes", async () => {
  const rig = new Rig();
  const iterator = rig.over(hangs(() => wait(rig.clock, 1e9)), {
    grace: Infinity,
  });
  iterator.next();
  const closing = rig.watch(iterator.return());
  await rig.clock.advance(1e9 - 1);
  assertEquals(closing.outcome, undefined);
  assertEquals(rig.timers.set, 0);
  await rig.clock.advance(1);
  assertEquals(closing.outcome, { value: END });
});

test("TimeoutIterator.return() fails with the error of a source that fails to close in time", async () => {
  const closes: (() => unknown)[] = [
    () => {
      throw bad;
    },
    () => Promise.reject(bad),
  ];
  for (const close of closes) {
    const rig = new Rig();
    const unhandled = await unhandledDuring(async () => {
      const iterator = rig.over(hangs(close), { timeout: 10 });
      iterator.next();
      const closing = await settled(rig, iterator.return());
      assertStrictEquals(reasonOf(closing), bad);
      assertEquals(await iterator.return(), END);
      assertEquals(await iterator.next(), END);
    });
    assertEquals(unhandled, []);
    assertEquals(rig.logger.lines, []);
    rig.assertNothingLeft();
  }
});

test("TimeoutIterator.return() fails within the grace, and warns after it", async () => {
  for (const [delay, inTime] of [[90, true], [110, false]] as const) {
    const rig = new Rig();
    const unhandled = await unhandledDuring(async () => {
      const iterator = rig.over(
        hangs(() => wait(rig.clock, delay).then(() => Promise.reject(bad))),
        { grace: 100 },
      );
      iterator.next();
      const closing = rig.watch(iterator.return());
      await rig.clock.advance(200);
      if (inTime) assertStrictEquals(reasonOf(closing), bad);
      else assertEquals(closing, { outcome: { value: END }, at: 100 });
    });
    assertEquals(unhandled, []);
    assertEquals(
      rig.logger.lines,
      inTime ? [] : [
        "warn The source did not close within 100 ms",
        "warn The source failed after its end: Error: the hook has failed",
      ],
    );
  }
});

test("TimeoutIterator fails with the error of closing when the consumer breaks", async () => {
  const source = async function* (): AsyncGenerator<number> {
    try {
      yield await Promise.resolve(1);
    } finally {
      // deno-lint-ignore no-unsafe-finally
      throw bad;
    }
  };
  const error = await assertRejects(async () => {
    for await (const _ of withTimeout(source())) break;
  });
  assertStrictEquals(error, bad);
});

test("TimeoutIterator lets the error of the loop win over that of closing", async () => {
  const rig = new Rig();
  const source: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({
      next: () => Promise.resolve({ done: false, value: 1 }),
      return: () => Promise.reject(new Error("not closed")),
    }),
  };
  const unhandled = await unhandledDuring(async () => {
    const error = await assertRejects(async () => {
      for await (const _ of rig.over(source)) throw bad;
    });
    assertStrictEquals(error, bad);
  });
  assertEquals(unhandled, []);
});

test("TimeoutIterator closes a hung source without waiting for it", async () => {
  for (const abort of [false, true]) {
    const rig = new Rig();
    let closed = 0;
    const iterator = rig.over(
      hangs(() => {
        closed++;
        return never();
      }),
      { timeout: 10 },
    );
    const first = rig.watch(iterator.next());
    if (abort) rig.abortAt(10, bad);
    await rig.clock.advance(10);
    assertEquals(first.at, 10);
    assert(reasonOf(first) instanceof Error);
    assertEquals(closed, 1);
    assertEquals(rig.timers.timers, 0);
    rig.assertNothingLeft();
  }
});

test("TimeoutIterator warns when a source fails to close after a timeout or an abort", async () => {
  for (const abort of [false, true]) {
    const rig = new Rig();
    const unhandled = await unhandledDuring(async () => {
      const iterator = rig.over(hangs(() => Promise.reject(bad)), {
        timeout: 10,
      });
      const first = rig.watch(iterator.next());
      if (abort) rig.abortAt(5, "dawn");
      await rig.clock.advance(10);
      assert(reasonOf(first) !== bad);
      assertEquals(await iterator.return(), END);
    });
    assertEquals(unhandled, []);
    assertEquals(rig.logger.lines, [
      "warn The source failed after its end: Error: the hook has failed",
    ]);
  }
});

test("TimeoutIterator.return() after a timeout waits for the source that is closing", async () => {
  const rig = new Rig();
  const iterator = rig.over(hangs(() => wait(rig.clock, 40)), { timeout: 10 });
  const first = rig.watch(iterator.next());
  await rig.clock.advance(10);
  assert(first.outcome !== undefined);
  const closing = rig.watch(iterator.return());
  await rig.clock.advance(39);
  assertEquals(closing.outcome, undefined);
  await rig.clock.advance(1);
  assertEquals(closing, { outcome: { value: END }, at: 50 });
});

test("TimeoutIterator.return() called again waits for the same closing", async () => {
  const rig = new Rig();
  let closed = 0;
  const iterator = rig.over(
    hangs(() => {
      closed++;
      return wait(rig.clock, 40);
    }),
  );
  iterator.next();
  const calls = [iterator.return(), iterator[Symbol.asyncDispose]()]
    .map((call) => rig.watch(call));
  await rig.clock.advance(39);
  assertEquals(calls.map(({ at }) => at), [undefined, undefined]);
  await rig.clock.advance(1);
  assertEquals(calls.map(({ at }) => at), [40, 40]);
  assertEquals(closed, 1);
});

test("TimeoutIterator.return() does not mind what the source's return() gives", async () => {
  for (const result of [undefined, 5, { done: false }, () => {}]) {
    const rig = new Rig();
    const iterator = rig.over(hangs(() => result));
    iterator.next();
    assertEquals(await iterator.return(), END);
  }
});

test("TimeoutIterator that was never asked opens its source only to close it", async () => {
  const script = new Script(new ManualClock(), [0]);
  assertEquals(await withTimeout(script).return(), END);
  assertEquals([script.opened, script.pulled, script.closed], [1, 0, 1]);
  let began = false;
  const source = function* (): Generator<number> {
    began = true;
    yield 1;
  };
  const generator = source();
  assertEquals(await withTimeout(generator).return(), END);
  assertEquals(generator.next(), { done: true, value: undefined as never });
  assertFalse(began);
});

test("TimeoutIterator that nobody uses touches neither source nor signal", async () => {
  const rig = new Rig();
  const script = rig.script([0]);
  rig.over(script, { timeout: 10, prefetch: 5 });
  await rig.clock.advance(100);
  rig.controller.abort();
  await rig.clock.advance(100);
  assertEquals([script.opened, script.pulled, script.closed], [0, 0, 0]);
  assertEquals([rig.timers.set, rig.controller.most], [0, 0]);
});

test("TimeoutIterator closes its source as a disposable, also when the block fails", async () => {
  const rig = new Rig();
  const script = rig.script([0], "hang");
  const error = await assertRejects(async () => {
    await using items = rig.over(script, { timeout: 10 });
    await items.next();
    throw bad;
  });
  assertStrictEquals(error, bad);
  assertEquals(script.closed, 1);
  rig.assertNothingLeft();
});

// ------------------------------------------------------------- bad input

const BAD_OPTIONS: [string, unknown, typeof TypeError | typeof RangeError][] = [
  ["timeout", NaN, RangeError],
  ["timeout", 0, RangeError],
  ["timeout", -1, RangeError],
  ["timeout", -Infinity, RangeError],
  ["timeout", "10", TypeError],
  ["timeout", null, TypeError],
  ["timeout", 10n, TypeError],
  ["firstTimeout", NaN, RangeError],
  ["firstTimeout", 0, RangeError],
  ["firstTimeout", -5, RangeError],
  ["firstTimeout", "5", TypeError],
  ["totalTimeout", NaN, RangeError],
  ["totalTimeout", 0, RangeError],
  ["totalTimeout", -5, RangeError],
  ["totalTimeout", {}, TypeError],
  ["expectedRate", NaN, RangeError],
  ["expectedRate", 0, RangeError],
  ["expectedRate", -1, RangeError],
  ["expectedRate", Infinity, RangeError],
  ["expectedRate", "10", TypeError],
  ["onSlow", "warn", TypeError],
  ["onSlow", null, TypeError],
  ["onTimeout", "stop", TypeError],
  ["onTimeout", null, TypeError],
  ["onTimeout", 10, TypeError],
  ["onAbort", "continue", TypeError],
  ["onAbort", () => "end", TypeError],
  ["prefetch", -1, RangeError],
  ["prefetch", 1.5, RangeError],
  ["prefetch", NaN, RangeError],
  ["prefetch", "2", TypeError],
  ["grace", -1, RangeError],
  ["grace", NaN, RangeError],
  ["grace", "1", TypeError],
  ["signal", {}, TypeError],
  ["signal", null, TypeError],
  ["signal", new AbortController(), TypeError],
  ["clock", {}, TypeError],
  ["clock", null, TypeError],
  ["clock", Date, TypeError],
  ["logger", {}, TypeError],
  ["logger", "console", TypeError],
];

const create = (source: unknown, options?: unknown): unknown =>
  new TimeoutIterator(
    source as ItemSource<number>,
    options as TimeoutIteratorOptions,
  );

test("TimeoutIterator refuses bad options by their names before anything starts", () => {
  for (const [name, value, Kind] of BAD_OPTIONS) {
    const rig = new Rig();
    const script = rig.script([0]);
    const { signal } = rig.controller;
    const options = { clock: rig.timers, signal, timeout: 10, [name]: value };
    const label = `${name}: ${String(value)}`;
    for (const make of [create, withTimeout as typeof create]) {
      const error = assertThrows(() => make(script, options), Kind);
      assertStringIncludes(
        (error as Error).message,
        `Cannot create TimeoutIterator as '${name}' must be `,
        label,
      );
    }
    assertEquals([script.opened, script.pulled, script.closed], [0, 0, 0]);
    assertEquals([rig.timers.set, rig.controller.most], [0, 0]);
  }
});

test("TimeoutIterator refuses what no items can be pulled from", () => {
  const nonsense = [
    undefined,
    null,
    5,
    true,
    10n,
    Symbol("items"),
    {},
    { next: 5 },
    { [Symbol.iterator]: true },
    { length: 2, 0: "a", 1: "b" },
    () => [1, 2],
    Promise.resolve([1, 2]),
  ];
  for (const source of nonsense) {
    const error = assertThrows(() => create(source), TypeError);
    assertStringIncludes(error.message, "'source' must be an iterable");
  }
});

test("TimeoutIterator refuses options that are no object", () => {
  for (const options of [null, 5, "timeout", true]) {
    const error = assertThrows(() => create([], options), TypeError);
    assertStringIncludes(error.message, "'options' must be an object");
  }
});

// ------------------------------------------------------ the system clock

test("TimeoutIterator works on faked time", async () => {
  using time = new FakeTime();
  const start = Date.now();
  const sleepFor = (ms: number) =>
    new Promise<void>((resolve) => {
      setTimeout(resolve, ms);
    });
  const source = async function* (): AsyncGenerator<number> {
    for (const [n, ms] of [10, 40, 60].entries()) {
      await sleepFor(ms);
      yield n;
    }
  };
  const seen: [number, number][] = [];
  const iterator = withTimeout(source(), { timeout: 50 });
  const pass = (async () => {
    for await (const n of iterator) seen.push([n, Date.now() - start]);
  })();
  let failure: unknown;
  pass.catch((error) => failure = error);
  for (let ms = 0; ms < 100; ms += 5) await time.tickAsync(5);
  await time.tickAsync(0);
  assertEquals(seen, [[0, 10], [1, 50]]);
  assertInstanceOf(failure, DOMException);
  assertEquals(failure.message, "No item within 50 ms");
  assertEquals(Date.now() - start, 100);
});

test("TimeoutIterator is aborted and closed on faked time", async () => {
  using time = new FakeTime();
  const controller = new CountingController();
  const iterator = withTimeout(hangs(never), {
    timeout: 1000,
    grace: 500,
    signal: controller.signal,
  });
  setTimeout(() => controller.abort("dawn"), 100);
  const outcome = iterator.next().catch((reason) => reason);
  let closed = false;
  iterator[Symbol.asyncIterator]();
  await time.tickAsync(100);
  assertEquals(await outcome, "dawn");
  iterator.return().then(() => closed = true);
  await time.tickAsync(499);
  await time.tickAsync(0);
  assertFalse(closed);
  await time.tickAsync(1);
  await time.tickAsync(0);
  assert(closed);
  assertEquals(controller.listeners, 0);
});

// -------------------------------------------------------------- properties

interface Plan {
  /** Multiples of 100: items never come together with a deadline. */
  delays: number[];
  pauses: number[];
  ending: "end" | "error" | "hang";
  /** A multiple of 100 and 1, or none. */
  timeout: number;
  onTimeout: "throw" | "end" | "continue";
  onAbort: "throw" | "end";
  /** A half, negative for a signal that has aborted before. */
  abortAt: number | undefined;
  /** A quarter: somebody else calls return(). */
  returnAt: number;
  breakAfter: number | undefined;
}

interface Outcome {
  items: number;
  how: "end" | "error" | "abort" | "timeout" | "break";
  at: number;
  timeouts: number;
  closed: number;
}

/** What an iteration is expected to do, told without promises. */
function predict(plan: Plan): Outcome {
  const { delays, pauses, ending, timeout, onTimeout, onAbort } = plan;
  const { abortAt = Infinity, returnAt, breakAfter } = plan;
  let now = 0;
  let timeouts = 0;
  for (let items = 0;; items++) {
    const outcome = (
      how: Outcome["how"],
      at: number,
      closed: number,
    ): Outcome => ({ items, how, at, timeouts, closed });
    const aborted = onAbort === "end" ? "end" : "abort";
    if (returnAt < now) return outcome("end", now, 1);
    if (abortAt < now) return outcome(aborted, now, 1);
    const isItem = items < delays.length;
    const hangs = !isItem && ending === "hang";
    const comes = hangs ? Infinity : now + (delays[items] ?? 0);
    const stopped = Math.min(abortAt, returnAt);
    let deadline = now + timeout;
    while (onTimeout === "continue" && deadline < Math.min(comes, stopped)) {
      timeouts++;
      deadline += timeout;
    }
    if (stopped < Math.min(comes, deadline)) {
      return stopped === returnAt
        ? outcome("end", stopped, 1)
        : outcome(aborted, stopped, 1);
    }
    if (deadline < comes) {
      timeouts++;
      return outcome(onTimeout === "end" ? "end" : "timeout", deadline, 1);
    }
    if (!isItem) return outcome(ending as "end" | "error", comes, 0);
    if (items + 1 === breakAfter) {
      items++;
      return { items, how: "break", at: comes, timeouts, closed: 1 };
    }
    now = comes + (pauses[items % pauses.length] ?? 0);
  }
}

const hundreds = fc.integer({ min: 0, max: 6 }).map((n) => 100 * n);

const plans: fc.Arbitrary<Plan> = fc.record({
  delays: fc.array(hundreds, { maxLength: 6 }),
  pauses: fc.array(hundreds, { minLength: 1, maxLength: 4 }),
  ending: fc.constantFrom("end", "error", "hang"),
  timeout: fc.oneof(
    fc.constant(Infinity),
    fc.integer({ min: 1, max: 7 }).map((n) => 100 * n + 1),
  ),
  onTimeout: fc.constantFrom("throw", "end", "continue"),
  onAbort: fc.constantFrom("throw", "end"),
  abortAt: fc.option(
    fc.integer({ min: -1, max: 2000 }).map((n) => n + 0.5),
    { nil: undefined },
  ),
  returnAt: fc.oneof(
    fc.constant(9000.25),
    fc.integer({ min: 0, max: 2000 }).map((n) => n + 0.25),
  ),
  breakAfter: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
});

/** Runs an iteration to its end. */
async function perform(plan: Plan, rig: Rig, script: Script): Promise<Outcome> {
  const { timeout, onTimeout, onAbort, abortAt, returnAt, pauses } = plan;
  if (abortAt !== undefined) {
    if (abortAt < 0) rig.controller.abort(bad);
    else rig.abortAt(abortAt, bad);
  }
  const iterator = rig.over(script, { timeout, onTimeout, onAbort });
  let returned: Promise<unknown> | undefined;
  rig.clock.setTimer(() => {
    returned = iterator.return();
  }, returnAt);
  const items: number[] = [];
  let how: Outcome["how"] = "end";
  try {
    for await (const value of iterator) {
      items.push(value);
      if (items.length === plan.breakAfter) {
        how = "break";
        break;
      }
      const pause = pauses[value % pauses.length] ?? 0;
      if (pause > 0) await wait(rig.clock, pause);
    }
  } catch (error) {
    how = error === bad
      ? "abort"
      : error === script.error
      ? "error"
      : "timeout";
    if (how === "timeout") assertEquals((error as Error).name, "TimeoutError");
  }
  const at = rig.clock.now();
  await returned;
  rig.assertNothingLeft();
  rig.assertOneTimer();
  assertEquals(items, Array.from(items, (_, n) => n), "items in order");
  assertEquals(await iterator.next(), END);
  const { timeouts } = iterator.statistics;
  return { items: items.length, how, at, timeouts, closed: script.closed };
}

test("TimeoutIterator behaves as its model whatever happens when", async () => {
  await fc.assert(
    fc.asyncProperty(plans, async (plan) => {
      const rig = new Rig();
      const script = new Script(rig.clock, plan.delays, plan.ending);
      const outcome = perform(plan, rig, script);
      outcome.catch(() => {});
      await rig.clock.runAll();
      const expected = predict(plan);
      assertEquals(await outcome, expected);
      assertEquals(script.closed, expected.closed);
      assertLessOrEqual(script.pulled, expected.items + 1);
      assertEquals(script.overlaps, 0);
      rig.assertNothingLeft();
    }),
    { numRuns: 500 },
  );
});

type Action =
  | { act: "next" | "return" | "abort" }
  | { act: "advance"; ms: number };

const actions: fc.Arbitrary<Action[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Action>({ act: "next" }) },
    { weight: 1, arbitrary: fc.constant<Action>({ act: "return" }) },
    { weight: 1, arbitrary: fc.constant<Action>({ act: "abort" }) },
    {
      weight: 4,
      arbitrary: fc.integer({ min: 0, max: 20 }).map((ms): Action => ({
        act: "advance",
        ms,
      })),
    },
  ),
  { maxLength: 25 },
);

test("TimeoutIterator answers every request in order whatever else is called", async () => {
  await fc.assert(
    fc.asyncProperty(
      actions,
      fc.array(fc.integer({ min: 0, max: 15 }), { maxLength: 12 }),
      fc.constantFrom("end", "error", "hang"),
      fc.constantFrom(0, 1, 3),
      fc.constantFrom("throw", "end", "continue"),
      async (actions, delays, ending, prefetch, onTimeout) => {
        const rig = new Rig();
        const script = rig.script(delays, ending);
        const iterator = rig.over(script, {
          timeout: 10,
          totalTimeout: 120,
          prefetch,
          onTimeout,
        });
        const answers: number[] = [];
        const requests: Promise<unknown>[] = [];
        for (const action of actions) {
          if (action.act === "advance") await rig.clock.advance(action.ms);
          else if (action.act === "abort") rig.controller.abort(bad);
          else if (action.act === "return") {
            iterator.return().catch((error) => {
              assertStrictEquals(error, script.error);
            });
          } else {
            const index = requests.length;
            const request = iterator.next().finally(() => answers.push(index));
            requests.push(request);
            request.catch(() => {});
          }
        }
        await rig.clock.runAll();
        assertEquals(answers, Array.from(requests, (_, n) => n));
        const settled = await Promise.allSettled(requests);
        let expected = 0;
        let failures = 0;
        let ended = false;
        for (const answer of settled) {
          if (answer.status === "rejected") {
            failures++;
            assertFalse(ended, "an error after the end");
            ended = true;
          } else if ((answer.value as IteratorResult<number>).done) {
            assertEquals(answer.value, END);
            ended = true;
          } else {
            assertFalse(ended, "an item after the end");
            assertEquals(answer.value, item(expected++));
          }
        }
        assertLessOrEqual(failures, 1);
        assertEquals(iterator.statistics.items, expected);
        assertLessOrEqual(script.pulled, requests.length + prefetch);
        await iterator.return();
        const owes = requests.length === 0 || script.closed === 1 ||
          script.pulled > delays.length;
        assert(owes, "the source is neither over nor closed");
        assertLessOrEqual(script.closed, 1);
        assertEquals([script.opened <= 1, script.overlaps], [true, 0]);
        rig.assertNothingLeft();
      },
    ),
    { numRuns: 500 },
  );
});
