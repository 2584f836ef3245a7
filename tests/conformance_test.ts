// Copyright 2026 the Longrun authors. MIT license.

/**
 * The questions at which wrappers around asynchronous iterators mostly fail,
 * asked of everything in the package that pulls from a source.
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertStrictEquals,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { sleep } from "../cancellation.ts";
import { StreamingTask } from "../streaming_task.ts";
import { ManualClock } from "../testing.ts";
import {
  type ItemSource,
  type TimeoutIteratorOptions,
  withTimeout,
} from "../timeout_iterator.ts";
import { CountingClock } from "./_counting_clock.ts";
import { CountingController } from "./_listeners.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import { unhandledDuring } from "./_unhandled.ts";

/** When a wait is over that began at zero: by a timeout, an abort or a stop. */
const LIMIT = 50;

/** How long a stop waits for a source that hangs. */
const GRACE = 10;

const DAWN = new Error("dawn");
const ENOUGH = new Error("the consumer has had enough");

/** Virtual time, and counts of what the candidate holds. */
class Stage {
  readonly clock = new ManualClock();
  readonly timers: CountingClock = new CountingClock(this.clock);
  readonly controller = new CountingController();
  /** Aborts when the wait is over, for candidates that need to be told. */
  readonly signal = this.controller.signal;
  items = 0;

  abortAtLimit(): void {
    this.clock.setTimer(() => this.controller.abort(DAWN), LIMIT);
  }

  assertNothingLeft(): void {
    assertEquals(this.timers.timers, 0, "timers left");
    assertEquals(this.controller.listeners, 0, "listeners left");
    assertLessOrEqual(this.controller.most, 1, "listeners at a time");
  }
}

interface Candidate {
  name: string;
  /** Takes items, not more than `enough`, as long as the limit allows. */
  run(
    source: ItemSource<number>,
    stage: Stage,
    enough?: number,
  ): Promise<void>;
  /** What a run rejects with when its wait was too long. */
  limit: "TimeoutError" | "dawn" | "nothing";
  /** How much longer it waits for a source that cannot be closed. */
  grace: number;
}

async function iterate(
  source: ItemSource<number>,
  stage: Stage,
  enough: number | undefined,
  options: TimeoutIteratorOptions,
): Promise<void> {
  for await (
    const _ of withTimeout(source, { clock: stage.timers, ...options })
  ) {
    if (++stage.items === enough) break;
  }
}

function stream(
  source: ItemSource<number>,
  stage: Stage,
  enough: number | undefined,
  timeout?: number,
): StreamingTask<number> {
  return new StreamingTask<number>({
    name: "candidate",
    source: () => source,
    onItem: () => {
      if (++stage.items === enough) throw ENOUGH;
    },
    clock: stage.timers,
    logger: new RecordingLogger(),
    timeout,
  });
}

async function joined(task: StreamingTask<number>): Promise<void> {
  try {
    await task.join();
  } catch (error) {
    if (error !== ENOUGH) throw error;
  }
}

const CANDIDATES: Candidate[] = [
  {
    name: "withTimeout() with a timeout",
    run: (source, stage, enough) =>
      iterate(source, stage, enough, { timeout: LIMIT }),
    limit: "TimeoutError",
    grace: 0,
  },
  {
    name: "withTimeout() with a timeout and a signal",
    run: (source, stage, enough) =>
      iterate(source, stage, enough, { timeout: LIMIT, signal: stage.signal }),
    limit: "TimeoutError",
    grace: 0,
  },
  {
    name: "withTimeout() with a signal",
    run: (source, stage, enough) => {
      stage.abortAtLimit();
      return iterate(source, stage, enough, { signal: stage.signal });
    },
    limit: "dawn",
    grace: 0,
  },
  {
    name: "withTimeout() with a signal that ends it",
    run: (source, stage, enough) => {
      stage.abortAtLimit();
      return iterate(source, stage, enough, {
        signal: stage.signal,
        onAbort: "end",
      });
    },
    limit: "nothing",
    grace: 0,
  },
  {
    name: "withTimeout() that prefetches",
    run: (source, stage, enough) =>
      iterate(source, stage, enough, { timeout: LIMIT, prefetch: 1 }),
    limit: "TimeoutError",
    grace: 0,
  },
  {
    name: "StreamingTask with a timeout",
    run: async (source, stage, enough) => {
      const task = stream(source, stage, enough, LIMIT);
      await task.start({ signal: stage.signal });
      await joined(task);
    },
    limit: "TimeoutError",
    grace: 0,
  },
  {
    name: "StreamingTask that is stopped",
    run: async (source, stage, enough) => {
      const task = stream(source, stage, enough);
      stage.clock.setTimer(() => task.stop({ grace: GRACE }), LIMIT);
      await task.start();
      await joined(task);
    },
    limit: "nothing",
    grace: GRACE,
  },
  {
    name: "StreamingTask with a signal and a stop",
    run: async (source, stage, enough) => {
      const task = stream(source, stage, enough);
      stage.abortAtLimit();
      stage.clock.setTimer(() => task.stop({ grace: GRACE }), LIMIT);
      await task.start({ signal: stage.signal });
      await joined(task);
    },
    limit: "nothing",
    grace: GRACE,
  },
];

const ONE: IteratorResult<number> = { done: false, value: 1 };
const END: IteratorResult<number> = { done: true, value: undefined };

/** A plain iterator: gives `count` items and then what `last` gives. */
function plain(
  count: number,
  last: () => Promise<IteratorResult<number>>,
): AsyncIterable<number> & { closed: number } {
  let given = 0;
  const source = {
    closed: 0,
    [Symbol.asyncIterator]: () => ({
      next: () => given++ < count ? Promise.resolve(ONE) : last(),
      return: () => {
        source.closed++;
        return Promise.resolve(END);
      },
    }),
  };
  return source;
}

const never = <T>(): Promise<T> => new Promise(() => {});

/** Runs a candidate to its end. Gives the error and the time of that. */
async function perform(
  candidate: Candidate,
  source: ItemSource<number>,
  enough?: number,
): Promise<{ stage: Stage; error: unknown; at: number }> {
  const stage = new Stage();
  let error: unknown;
  let at: number | undefined;
  const run = candidate.run(source, stage, enough)
    .catch((reason) => error = reason)
    .then(() => at = stage.clock.now());
  await stage.clock.advance(LIMIT - 1);
  for (let ms = 0; at === undefined && ms < 100; ms++) {
    await stage.clock.advance(1);
  }
  assert(at !== undefined, "hangs");
  await run;
  stage.assertNothingLeft();
  // What comes later must not come back to the candidate.
  await stage.clock.advance(10_000);
  stage.assertNothingLeft();
  return { stage, error, at };
}

function assertLimit(candidate: Candidate, error: unknown): void {
  if (candidate.limit === "nothing") assertEquals(error, undefined);
  else if (candidate.limit === "dawn") assertStrictEquals(error, DAWN);
  else {
    assertInstanceOf(error, DOMException);
    assertEquals(error.name, "TimeoutError");
  }
}

for (const candidate of CANDIDATES) {
  const { name, grace } = candidate;

  test(`${name} is prompt although an asynchronous generator hangs`, async () => {
    const source = async function* (): AsyncGenerator<number> {
      yield 1;
      await never();
    };
    const unhandled = await unhandledDuring(async () => {
      const { stage, error, at } = await perform(candidate, source());
      assertLimit(candidate, error);
      assertEquals(at, LIMIT + grace);
      assertEquals(stage.items, 1);
    });
    assertEquals(unhandled, []);
  });

  test(`${name} closes an asynchronous generator that hangs once it does not any more`, async () => {
    const clock = new ManualClock();
    let closed = 0;
    const source = async function* (): AsyncGenerator<number> {
      try {
        yield 1;
        await sleep(5000, { clock });
        yield 2;
      } finally {
        closed++;
      }
    };
    const { stage, error } = await perform(candidate, source());
    assertLimit(candidate, error);
    assertEquals([closed, stage.items], [0, 1]);
    await clock.advance(5000);
    assertEquals([closed, stage.items], [1, 1]);
  });

  test(`${name} is prompt and closes the source when a plain iterator hangs`, async () => {
    const source = plain(1, never);
    const { stage, error, at } = await perform(candidate, source);
    assertLimit(candidate, error);
    assertEquals(at, LIMIT);
    assertEquals([stage.items, source.closed], [1, 1]);
  });

  test(`${name} is prompt although the source hangs before its first item`, async () => {
    const source = plain(0, never);
    const { stage, error, at } = await perform(candidate, source);
    assertLimit(candidate, error);
    assertEquals(at, LIMIT);
    assertEquals([stage.items, source.closed], [0, 1]);
  });

  test(`${name} is prompt although a source without return() hangs`, async () => {
    const source: AsyncIterator<number> = { next: never };
    const { error, at } = await perform(candidate, source);
    assertLimit(candidate, error);
    assertEquals(at, LIMIT);
  });

  test(`${name} cancels a ReadableStream that hangs`, async () => {
    let cancelled = 0;
    const source = new ReadableStream<number>({
      start: (controller) => controller.enqueue(1),
      cancel: () => {
        cancelled++;
      },
    });
    const { stage, error, at } = await perform(candidate, source);
    assertLimit(candidate, error);
    assertEquals(at, LIMIT);
    assertEquals([stage.items, cancelled], [1, 1]);
  });

  test(`${name} closes the source when the consumer has had enough`, async () => {
    const source = plain(9, never);
    const { stage, error, at } = await perform(candidate, source, 3);
    assertEquals(error, undefined);
    assertEquals(at, 0);
    assertEquals([stage.items, source.closed], [3, 1]);
  });

  test(`${name} closes an asynchronous generator when the consumer has had enough`, async () => {
    let closed = 0;
    const source = async function* (): AsyncGenerator<number> {
      try {
        for (;;) yield await Promise.resolve(1);
      } finally {
        closed++;
      }
    };
    const { stage, error } = await perform(candidate, source(), 3);
    assertEquals(error, undefined);
    assertEquals([stage.items, closed], [3, 1]);
  });

  test(`${name} leaves no listener and no timer at the end of the source, which it does not close`, async () => {
    const source = plain(5, () => Promise.resolve(END));
    const { stage, error, at } = await perform(candidate, source);
    assertEquals(error, undefined);
    assertEquals(at, 0);
    assertEquals([stage.items, source.closed], [5, 0]);
  });

  test(`${name} leaves no listener and no timer after an error of the source`, async () => {
    const broken = new Error("no signal");
    const source = plain(2, () => Promise.reject(broken));
    const { stage, error } = await perform(candidate, source);
    assertStrictEquals(error, broken);
    assertEquals([stage.items, source.closed], [2, 0]);
  });

  test(`${name} does not make the late failure of what it has left behind unhandled`, async () => {
    const clock = new ManualClock();
    const late = (): Promise<never> =>
      sleep(5000, { clock }).then(() => Promise.reject(new Error("late")));
    const unhandled = await unhandledDuring(async () => {
      const { error } = await perform(candidate, plain(1, late));
      assertLimit(candidate, error);
      await clock.advance(5000);
    });
    assertEquals(unhandled, []);
  });

  test(`${name} does not make the failure of a source to close unhandled`, async () => {
    const source: AsyncIterator<number> = {
      next: never,
      return: () => Promise.reject(new Error("not closed")),
    };
    const unhandled = await unhandledDuring(async () => {
      await perform(candidate, source).catch(() => {});
    });
    assertEquals(unhandled, []);
  });
}
