// Copyright 2026 the Longrun authors. MIT license.

import {
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { ManualClock } from "../testing.ts";
import {
  type ItemSource,
  type TimeoutIterator,
  withTimeout,
} from "../timeout_iterator.ts";
import {
  assertTimeout,
  bad,
  END,
  item,
  never,
  reasonOf,
  Rig,
  settled,
  takeAll,
  wait,
  type Watch,
} from "./_timeout_iterator_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

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
