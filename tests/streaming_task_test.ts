// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { FakeTime } from "@std/testing/time";
import * as fc from "fast-check";
import { Readable } from "node:stream";
import { sleep } from "../cancellation.ts";
import { type StartOptions, StreamingTask } from "../streaming_task.ts";
import { ManualClock } from "../testing.ts";
import { CountingController } from "./_listeners.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import { until } from "./_until.ts";

/** Counts from 0, one number every `period` milliseconds. */
function counter(clock: ManualClock, period: number) {
  return async function* (signal: AbortSignal): AsyncGenerator<number> {
    for (let n = 0;; n++) {
      yield n;
      await sleep(period, { signal, clock });
    }
  };
}

/** A source that never gives anything and cannot be closed. */
async function* hung(): AsyncGenerator<number> {
  await new Promise(() => {});
  yield 0;
}

test("StreamingTask hands every item to its handler, in order", async () => {
  const items: number[] = [];
  const task = new StreamingTask<number>({
    name: "items",
    source: () => [1, 2, 3],
    onItem: (item) => {
      items.push(item);
    },
  });
  assertFalse(task.running);
  await task.start();
  await task.join();
  assertEquals(items, [1, 2, 3]);
  assertEquals(task.state, "stopped");
  assertFalse(task.running);
});

test("StreamingTask takes iterables, generators and ReadableStreams", async () => {
  const sources = [
    () => new Set([1, 2]),
    () => [Promise.resolve(1), 2],
    function* () {
      yield 1;
      yield 2;
    },
    async function* () {
      yield 1;
      yield await Promise.resolve(2);
    },
    () =>
      new ReadableStream<number>({
        start(controller) {
          controller.enqueue(1);
          controller.enqueue(2);
          controller.close();
        },
      }),
    () => Promise.resolve([1, 2]),
  ];
  for (const source of sources) {
    const items: number[] = [];
    const task = new StreamingTask<number>({
      name: "items",
      source,
      onItem: (item) => {
        items.push(item);
      },
    });
    await task.start();
    await task.join();
    assertEquals(items, [1, 2]);
  }
});

test("StreamingTask.start() resolves when the iteration has begun", async () => {
  const log: string[] = [];
  const { promise, resolve } = Promise.withResolvers<number[]>();
  const task = new StreamingTask<number>({
    name: "late source",
    source: () => {
      log.push("opened");
      return promise;
    },
    onItem: () => {
      log.push("item");
    },
  });
  const started = task.start().then(() => log.push("begun"));
  await sleep(1);
  assertEquals(log, ["opened"]);
  assert(task.running);
  resolve([1]);
  await started;
  await task.join();
  assertEquals(log, ["opened", "begun", "item"]);
});

test("StreamingTask hands the signal and the arguments of the start to its source", async () => {
  const seen: unknown[] = [];
  const task = new StreamingTask<number, { beam: number }>({
    name: "beam",
    source: (signal, args) => {
      seen.push(signal.aborted, args);
      return [];
    },
    onItem: () => {},
  });
  await task.start({ args: { beam: 4 } });
  await task.join();
  await task.start({ args: { beam: 5 } });
  await task.join();
  assertEquals(seen, [false, { beam: 4 }, false, { beam: 5 }]);
});

test("StreamingTask.stop() ends the stream and closes its source", async () => {
  const clock = new ManualClock();
  let closed = 0;
  const items: number[] = [];
  const task = new StreamingTask<number>({
    name: "counter",
    source: async function* (signal) {
      try {
        yield* counter(clock, 10)(signal);
      } finally {
        closed++;
      }
    },
    onItem: (item) => {
      items.push(item);
    },
    clock,
  });
  await task.start();
  await clock.advance(25);
  const joined = task.join();
  assertEquals(await task.stop(), "stopped");
  await joined;
  assertEquals(items, [0, 1, 2]);
  assertEquals(closed, 1);
  assertEquals(task.state, "stopped");
  assertEquals(clock.pending, []);
});

test("StreamingTask can be started again after a stop and after its end", async () => {
  const clock = new ManualClock();
  const task = new StreamingTask<number>({
    name: "counter",
    source: counter(clock, 10),
    onItem: () => {},
    clock,
  });
  for (let round = 1; round <= 3; round++) {
    await task.start();
    await clock.advance(15);
    await task.stop();
    assertEquals(task.statistics.items, 2 * round);
    assertEquals(task.statistics.starts, round);
  }
});

test("StreamingTask.stop() while not running does nothing", async () => {
  const task = new StreamingTask<number>({
    name: "idle",
    source: () => [],
    onItem: () => {},
  });
  assertEquals(await task.stop(), "stopped");
  await task.join();
  await task.start();
  await task.join();
  assertEquals(await task.stop(), "stopped");
  assertEquals(task.state, "stopped");
});

test("StreamingTask.start() while running stops the old stream first", async () => {
  const clock = new ManualClock();
  const log: string[] = [];
  const task = new StreamingTask<string, string>({
    name: "restarted",
    source: async function* (signal, name) {
      log.push(`+${name}`);
      try {
        for (;;) {
          yield name;
          await sleep(10, { signal, clock });
        }
      } finally {
        log.push(`-${name}`);
      }
    },
    onItem: () => {},
    clock,
  });
  await task.start({ args: "a" });
  await clock.advance(5);
  await task.start({ args: "b" });
  assert(task.running);
  assertEquals(log, ["+a", "-a", "+b"]);
  await task.stop();
  assertEquals(log, ["+a", "-a", "+b", "-b"]);
});

test("StreamingTask.start() while running ignores or throws when told so", async () => {
  const clock = new ManualClock();
  const task = new StreamingTask<number>({
    name: "counter",
    source: counter(clock, 10),
    onItem: () => {},
    clock,
  });
  await task.start({ ifRunning: "throw" });
  await task.start({ ifRunning: "ignore" });
  await assertRejects(
    () => task.start({ ifRunning: "throw" }),
    Error,
    "Cannot start 'counter' as it runs already",
  );
  assertEquals(task.statistics.starts, 1);
  await task.stop();
});

test("StreamingTask.stop() takes away a start that waits for the old stream", async () => {
  const clock = new ManualClock();
  let opened = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const task = new StreamingTask<number>({
    name: "slow to end",
    source: () => {
      opened++;
      return [1];
    },
    onItem: () => promise,
    clock,
  });
  await task.start();
  await clock.advance(0);
  const restarted = task.start();
  assert(task.running);
  const stopped = task.stop();
  assertFalse(task.running);
  await restarted;
  resolve();
  assertEquals(await stopped, "stopped");
  await restarted;
  assertFalse(task.running);
  assertEquals(opened, 1);
});

test("StreamingTask.stop() that comes between the end of the old stream and the new one wins", async () => {
  const clock = new ManualClock();
  let opened = 0;
  const task = new StreamingTask<number>({
    name: "race",
    source: (signal) => {
      opened++;
      return counter(clock, 10)(signal);
    },
    onItem: () => {},
    clock,
  });
  await task.start();
  await clock.advance(0);
  const restarted = task.start();
  // The old stream ends within some turns: stop in each of them.
  let outcome: string | undefined;
  for (let turn = 0; turn < 30 && opened === 1; turn++) await undefined;
  task.stop().then((value) => outcome = value);
  await clock.advance(0);
  await restarted;
  assertEquals(outcome, "stopped");
  assertFalse(task.running);
  assertEquals(clock.pending, []);
});

test("StreamingTask abandons an old stream that hangs and starts the new one", async () => {
  const clock = new ManualClock();
  const logger = new RecordingLogger();
  let opened = 0;
  const items: number[] = [];
  const task = new StreamingTask<number>({
    name: "camera",
    source: () => ++opened === 1 ? hung() : [7],
    onItem: (item) => {
      items.push(item);
    },
    clock,
    logger,
  });
  await task.start();
  await clock.advance(0);
  const restarted = task.start({ grace: 50 });
  await clock.advance(50);
  await restarted;
  await task.join();
  assertEquals(items, [7]);
  assertEquals(task.state, "stopped");
  assertEquals(logger.lines, [
    "warn Task 'camera' was abandoned: it did not end when stopped",
  ]);
});

test("StreamingTask.stop() says that a hung source was abandoned", async () => {
  const clock = new ManualClock();
  const task = new StreamingTask<number>({
    name: "camera",
    source: hung,
    onItem: () => {},
    clock,
  });
  await task.start();
  await clock.advance(0);
  let outcome: string | undefined;
  task.stop({ grace: 100 }).then((value) => outcome = value);
  const joined = task.join();
  await clock.advance(100);
  assertEquals(outcome, "abandoned");
  await joined;
  assertFalse(task.running);
  assert(task.abandoned);
  const again = task.stop({ grace: 1 });
  await clock.advance(1);
  assertEquals(await again, "abandoned");
  assertEquals(clock.pending, []);
});

test("StreamingTask.stop() ends a ReadableStream whose read hangs", async () => {
  let cancelled = false;
  const task = new StreamingTask<number>({
    name: "silent stream",
    source: () =>
      new ReadableStream<number>({
        cancel() {
          cancelled = true;
        },
      }),
    onItem: () => {},
  });
  await task.start();
  assertEquals(await task.stop(), "stopped");
  assert(cancelled);
});

test("StreamingTask drops what an abandoned stream gives later", async () => {
  const clock = new ManualClock();
  const { promise, resolve } = Promise.withResolvers<void>();
  const items: string[] = [];
  let opened = 0;
  const task = new StreamingTask<string>({
    name: "deaf source",
    source: async function* () {
      const name = `stream ${++opened}`;
      if (opened === 1) await promise;
      yield name;
    },
    onItem: (item) => {
      items.push(item);
    },
    clock,
  });
  await task.start();
  await clock.advance(0);
  const stopped = task.stop({ grace: 10 });
  await clock.advance(10);
  assertEquals(await stopped, "abandoned");
  await task.start();
  await task.join();
  resolve();
  await clock.advance(0);
  assertEquals(items, ["stream 2"]);
  assertEquals(task.state, "stopped");
});

test("StreamingTask is stopped by the signal of its start, and joins normally", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  const task = new StreamingTask<number>({
    name: "counter",
    source: counter(clock, 10),
    onItem: () => {},
    clock,
  });
  await task.start({ signal: controller.signal });
  await clock.advance(15);
  assertEquals(controller.listeners, 1);
  controller.abort("dawn");
  await task.join();
  assertEquals(task.state, "stopped");
  assertEquals(controller.listeners, 0);
  await task.start({ signal: controller.signal });
  await task.join();
  assertEquals(task.statistics.items, 2);
});

test("StreamingTask stopped inside its handler ends after that item", async () => {
  const clock = new ManualClock();
  const items: number[] = [];
  const task: StreamingTask<number> = new StreamingTask<number>({
    name: "counter",
    source: counter(clock, 10),
    onItem: (item) => {
      items.push(item);
      if (item === 2) task.stop();
    },
    clock,
  });
  await task.start();
  await clock.advance(1000);
  await task.join();
  assertEquals(items, [0, 1, 2]);
  assertEquals(task.state, "stopped");
});

// Backpressure.

test("StreamingTask pulls the next item when the handler has settled", async () => {
  const clock = new ManualClock();
  const log: string[] = [];
  const task = new StreamingTask<number>({
    name: "backpressure",
    source: function* () {
      for (let n = 0; n < 3; n++) {
        log.push(`pull ${n}`);
        yield n;
      }
    },
    onItem: async (n) => {
      await sleep(10, { clock });
      log.push(`done ${n}`);
    },
    clock,
  });
  await task.start();
  await clock.advance(100);
  await task.join();
  assertEquals(log, [
    "pull 0",
    "done 0",
    "pull 1",
    "done 1",
    "pull 2",
    "done 2",
  ]);
});

test("StreamingTask handles as many items at a time as it is told", async () => {
  const clock = new ManualClock();
  let busy = 0;
  let most = 0;
  let pulled = 0;
  const task = new StreamingTask<number>({
    name: "concurrent",
    source: function* () {
      while (pulled < 10) yield pulled++;
    },
    onItem: async () => {
      most = Math.max(most, ++busy);
      await sleep(10, { clock });
      busy--;
    },
    concurrency: 3,
    clock,
  });
  await task.start();
  await clock.advance(5);
  assertEquals(pulled, 3);
  await clock.advance(100);
  await task.join();
  assertEquals(most, 3);
  assertEquals(task.statistics.items, 10);
});

test("StreamingTask.stop() waits for the handlers that are busy", async () => {
  const clock = new ManualClock();
  let done = 0;
  const task = new StreamingTask<number>({
    name: "busy",
    source: () => [1, 2, 3, 4],
    onItem: async () => {
      await sleep(50, { clock });
      done++;
    },
    concurrency: 2,
    clock,
  });
  await task.start();
  await clock.advance(10);
  let outcome: string | undefined;
  task.stop().then((value) => outcome = value);
  await clock.advance(39);
  assertEquals(outcome, undefined);
  await clock.advance(1);
  assertEquals(outcome, "stopped");
  assertEquals(done, 2);
});

// Errors.

test("StreamingTask error of the handler goes to onError and ends the stream", async () => {
  const error = new Error("bad frame");
  const told: unknown[] = [];
  let closed = false;
  const task = new StreamingTask<number>({
    name: "frames",
    source: async function* () {
      try {
        yield 1;
        yield 2;
      } finally {
        closed = true;
      }
    },
    onItem: () => {
      throw error;
    },
    onError: (error) => {
      told.push(error);
    },
  });
  await task.start();
  assertStrictEquals(await assertRejects(() => task.join()), error);
  assertEquals(told, [error]);
  assert(closed);
  assertEquals(task.state, "errored");
  assertStrictEquals(task.exception, error);
  assertEquals(task.statistics.errors, 1);
  assertEquals(task.statistics.items, 1);
});

test("StreamingTask goes on when onError says so, at once or later", async () => {
  const items: number[] = [];
  const task = new StreamingTask<number>({
    name: "frames",
    source: () => [1, 2, 3, 4],
    onItem: (item) => {
      if (item % 2 === 0) throw new Error("even");
      items.push(item);
    },
    onError: () =>
      items.length === 1 ? "continue" : Promise.resolve("continue"),
  });
  await task.start();
  await task.join();
  assertEquals(items, [1, 3]);
  assertEquals(task.state, "stopped");
  assertEquals(task.statistics.errors, 2);
});

test("StreamingTask is not errored after a new start that ends well", async () => {
  let opened = 0;
  const task = new StreamingTask<number>({
    name: "frames",
    source: () => ++opened === 1 ? [NaN] : [1],
    onItem: (item) => {
      if (Number.isNaN(item)) throw new Error("x");
    },
    onError: () => {},
  });
  await task.start();
  await assertRejects(() => task.join());
  assert(task.errored);
  await task.start();
  await task.join();
  assertFalse(task.errored);
  assertEquals(task.exception, undefined);
});

test("StreamingTask error of the source ends the stream, whatever onError says", async () => {
  const sources = [
    async function* () {
      yield 1;
      throw new Error("link down");
    },
    () => {
      throw new Error("link down");
    },
    () => Promise.reject(new Error("link down")),
  ];
  for (const source of sources) {
    const told: unknown[] = [];
    const task = new StreamingTask<number>({
      name: "link",
      source: source as () => AsyncGenerator<number>,
      onItem: () => {},
      onError: (error) => {
        told.push((error as Error).message);
        return "continue";
      },
    });
    await task.start();
    await assertRejects(() => task.join(), Error, "link down");
    assertEquals(told, ["link down"]);
  }
});

test("StreamingTask source that gives nothing to iterate is a TypeError", async () => {
  const task = new StreamingTask<number>({
    name: "wrong",
    source: () => 5 as never,
    onItem: () => {},
  });
  await task.start();
  await assertRejects(() => task.join(), TypeError, "'source' must be");
});

test("StreamingTask error that nobody looked at is reported once", async () => {
  const clock = new ManualClock();
  const logger = new RecordingLogger();
  const task = new StreamingTask<number>({
    name: "link",
    source: () => [1],
    onItem: () => Promise.reject(new Error("x")),
    clock,
    logger,
  });
  await task.start();
  await clock.advance(0);
  assertEquals(logger.lines, ["error Task 'link' failed: Error: x"]);
  await assertRejects(() => task.join(), Error, "x");
  await clock.advance(0);
  assertEquals(logger.lines.length, 1);
});

test("StreamingTask survives an onError hook that throws", async () => {
  const logger = new RecordingLogger();
  const task = new StreamingTask<number>({
    name: "link",
    source: () => [1],
    onItem: () => Promise.reject(new Error("x")),
    onError: () => {
      throw new Error("hook");
    },
    logger,
  });
  await task.start();
  await assertRejects(() => task.join(), Error, "x");
  assertEquals(logger.lines, [
    "error Task 'link' has an onError hook that failed: Error: hook",
  ]);
});

test("StreamingTask reports every error of handlers that fail side by side", async () => {
  const clock = new ManualClock();
  const logger = new RecordingLogger();
  const task = new StreamingTask<number>({
    name: "pair",
    source: () => [1, 2],
    onItem: async (item) => {
      await sleep(item, { clock });
      throw new Error(`error ${item}`);
    },
    concurrency: 2,
    clock,
    logger,
  });
  await task.start();
  const joined = assertRejects(() => task.join(), Error, "error 1");
  await clock.advance(10);
  await joined;
  assertEquals(logger.lines, [
    "error Task 'pair' failed after its end: Error: error 2",
  ]);
});

test("StreamingTask abort is not an error", async () => {
  const told: unknown[] = [];
  const clock = new ManualClock();
  const task = new StreamingTask<number>({
    name: "aborted",
    source: counter(clock, 10),
    onItem: (_, signal) => sleep(1e6, { signal, clock }),
    onError: (error) => {
      told.push(error);
    },
    clock,
  });
  await task.start();
  await clock.advance(5);
  await task.stop();
  await task.join();
  assertEquals(told, []);
  assertEquals(task.state, "stopped");
  assertEquals(task.statistics.errors, 0);
});

test("StreamingTask source that fails to close makes the stop an error", async () => {
  const clock = new ManualClock();
  const task = new StreamingTask<number>({
    name: "bad close",
    source: async function* (signal) {
      try {
        yield* counter(clock, 10)(signal);
      } finally {
        // deno-lint-ignore no-unsafe-finally
        throw new Error("close");
      }
    },
    onItem: () => {},
    clock,
  });
  await task.start();
  await clock.advance(5);
  const joined = assertRejects(() => task.join(), Error, "close");
  assertEquals(await task.stop(), "stopped");
  await joined;
  assert(task.errored);
});

// Timeouts.

test("StreamingTask without an item in time fails at once, though its source hangs", async () => {
  const clock = new ManualClock();
  const told: string[] = [];
  const task = new StreamingTask<number>({
    name: "camera",
    source: hung,
    onItem: () => {},
    onError: (error) => {
      told.push(String(error));
    },
    timeout: 100,
    clock,
  });
  await task.start();
  const joined = assertRejects(
    () => task.join(),
    DOMException,
    "No item within 100 ms",
  );
  await clock.advance(100);
  await joined;
  assertEquals(told, ["TimeoutError: No item within 100 ms"]);
  assertEquals(task.statistics.timeouts, 1);
  assertEquals(clock.now(), 100);
  assertEquals(clock.pending, []);
});

test("StreamingTask goes on waiting for the same item when onError says so", async () => {
  const clock = new ManualClock();
  const items: number[] = [];
  const task = new StreamingTask<number>({
    name: "slow",
    source: async function* (signal) {
      await sleep(250, { signal, clock });
      yield 1;
    },
    onItem: (item) => {
      items.push(item);
    },
    onError: () => "continue",
    timeout: 100,
    clock,
  });
  await task.start();
  await clock.advance(300);
  await task.join();
  assertEquals(items, [1]);
  assertEquals(task.statistics.timeouts, 2);
  assertEquals(task.statistics.errors, 2);
  assertEquals(task.statistics.lastItemTime, 250);
});

test("StreamingTask handler may take longer than the timeout", async () => {
  const clock = new ManualClock();
  const task = new StreamingTask<number>({
    name: "slow handler",
    source: () => [1, 2],
    onItem: () => sleep(1000, { clock }),
    timeout: 100,
    clock,
  });
  await task.start();
  await clock.advance(2000);
  await task.join();
  assertEquals(task.statistics.timeouts, 0);
});

// The rest.

test("StreamingTask closes a source that opens after the stop", async () => {
  const clock = new ManualClock();
  let closed = false;
  const { promise, resolve } = Promise.withResolvers<AsyncIterable<number>>();
  const task = new StreamingTask<number>({
    name: "late",
    source: () => promise,
    onItem: () => {},
    clock,
  });
  const started = task.start();
  await clock.advance(0);
  assertEquals(await task.stop(), "stopped");
  await started;
  resolve({
    [Symbol.asyncIterator]: () => ({
      next: () => Promise.resolve({ done: false, value: 1 }),
      return: () => {
        closed = true;
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  });
  await clock.advance(0);
  assert(closed);
  assertEquals(task.statistics.items, 0);
});

test("StreamingTask.states() follows it through its runs until it is disposed of", async () => {
  const clock = new ManualClock();
  const states: string[] = [];
  const task = new StreamingTask<number>({
    name: "states",
    source: counter(clock, 10),
    onItem: () => {},
    clock,
  });
  const following = (async () => {
    for await (const { state } of task.states()) states.push(state);
  })();
  for (let round = 0; round < 2; round++) {
    await task.start();
    await clock.advance(5);
    await task.stop();
  }
  await task[Symbol.asyncDispose]();
  await following;
  const run = ["starting", "running", "stopping", "stopped"];
  assertEquals(states, ["stopped", ...run, ...run]);
  await assertRejects(() => task.start(), Error, "as it was disposed of");
});

test("StreamingTask.states() says how many transitions a slow consumer has lost", async () => {
  const task = new StreamingTask<number>({
    name: "states",
    source: () => [],
    onItem: () => {},
  });
  const states = task.states();
  for (let round = 0; round < 50; round++) {
    await task.start();
    await task.join();
  }
  await task[Symbol.asyncDispose]();
  let last = 0;
  let count = 0;
  for await (const { dropped } of states) {
    count++;
    last = dropped;
  }
  assertEquals(count, 64);
  assertEquals(last, 1 + 50 * 3 - 64 - 1);
});

test("StreamingTask works under FakeTime", async () => {
  using time = new FakeTime();
  let timeouts = 0;
  const task = new StreamingTask<number>({
    name: "hung",
    source: hung,
    onItem: () => {},
    onError: () => {
      timeouts++;
    },
    timeout: 1000,
  });
  const started = task.start();
  await time.tickAsync(0);
  await started;
  await time.tickAsync(1000);
  await assertRejects(() => task.join(), DOMException);
  assertEquals(timeouts, 1);
});

test("StreamingTask refuses bad arguments by name before anything starts", async () => {
  const good = { name: "x", source: () => [1], onItem: () => {} };
  const create = (options: Record<string, unknown>) => () =>
    new StreamingTask<number>({ ...good, ...options } as never);
  const wrong: [Record<string, unknown>, string][] = [
    [{ name: undefined }, "'name' must be a string"],
    [{ source: [1] }, "'source' must be a function"],
    [{ onItem: undefined }, "'onItem' must be a function"],
    [{ onError: 1 }, "'onError' must be a function"],
    [{ timeout: "1" }, "'timeout' must be a positive number"],
    [{ concurrency: "1" }, "'concurrency' must be an integer"],
    [{ clock: 1 }, "'clock' must be a Clock"],
    [{ logger: 1 }, "'logger' must be a Logger"],
  ];
  for (const [options, message] of wrong) {
    assertThrows(create(options), TypeError, message);
  }
  for (const timeout of [0, -1, NaN]) {
    assertThrows(create({ timeout }), RangeError, "'timeout'");
  }
  for (const concurrency of [0, 1.5, NaN]) {
    assertThrows(create({ concurrency }), RangeError, "'concurrency'");
  }
  const task = new StreamingTask<number>(good);
  const start = (options: Record<string, unknown>) => () =>
    task.start(options as StartOptions);
  await assertRejects(start({ ifRunning: "no" }), TypeError, "'ifRunning'");
  await assertRejects(start({ signal: 1 }), TypeError, "'signal'");
  await assertRejects(start({ grace: -1 }), RangeError, "'grace'");
  await assertRejects(() => task.stop({ grace: NaN }), RangeError, "'grace'");
  await assertRejects(
    () => task.join({ signal: 1 as never }),
    TypeError,
    "'signal'",
  );
  assertFalse(task.running);
  assertEquals(task.statistics.starts, 0);
});

test("StreamingTask.join() is released when a stop abandons what a start waits for", async () => {
  const clock = new ManualClock();
  const task = new StreamingTask<number>({
    name: "hung handler",
    source: () => [1],
    onItem: () => new Promise(() => {}),
    clock,
  });
  await task.start();
  await clock.advance(0);
  const first = task.stop({ grace: 10 });
  let hasOvertaken = false;
  task.start({ grace: Infinity }).then(() => hasOvertaken = true);
  await clock.advance(20);
  assertEquals(await first, "abandoned");
  const last = task.stop({ grace: 10 });
  await clock.advance(0);
  assert(hasOvertaken);
  await clock.advance(10);
  assertEquals(await last, "abandoned");
  await task.join();
  assertFalse(task.running);
});

test("StreamingTask that is being stopped does not run: a start waits for its end", async () => {
  const clock = new ManualClock();
  for (const ifRunning of ["ignore", "throw"] as const) {
    const task = new StreamingTask<number>({
      name: "again",
      source: counter(clock, 10),
      onItem: () => {},
      clock,
    });
    await task.start();
    task.stop();
    await task.start({ ifRunning });
    assert(task.running);
    assertEquals(task.statistics.starts, 2);
    await task.stop();
  }
});

test("StreamingTask is abandoned after its grace when its signal aborts", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  const task = new StreamingTask<number>({
    name: "camera",
    source: hung,
    onItem: () => {},
    grace: 100,
    clock,
  });
  await task.start({ signal: controller.signal });
  let hasJoined = false;
  task.join().then(() => hasJoined = true);
  controller.abort();
  await clock.advance(99);
  assertFalse(hasJoined);
  await clock.advance(1);
  assert(hasJoined);
  assert(task.abandoned);
  await task[Symbol.asyncDispose]();
  assertEquals(clock.now(), 100);
});

test("StreamingTask handler that fails while it is stopped makes it errored", async () => {
  const stops = [
    (task: StreamingTask<number>) => task.stop(),
    () => {},
  ];
  for (const stop of stops) {
    const clock = new ManualClock();
    const told: unknown[] = [];
    const error = new Error("disk full");
    const task: StreamingTask<number> = new StreamingTask<number>({
      name: "writer",
      source: counter(clock, 10),
      onItem: async (_, signal) => {
        stop(task);
        await sleep(1e6, { signal, clock }).catch(() => {});
        throw error;
      },
      onError: (error) => told.push(error),
      clock,
    });
    await task.start();
    const joined = assertRejects(() => task.join(), Error, "disk full");
    await clock.advance(0);
    assertEquals(await task.stop(), "stopped");
    await joined;
    assertEquals(told, [error]);
    assertStrictEquals(task.exception, error);
  }
});

test("StreamingTask tells its hook of every error, once", async () => {
  const clock = new ManualClock();
  const logger = new RecordingLogger();
  const told: string[] = [];
  const onError = (error: unknown): string => {
    told.push(String(error));
    return "continue";
  };
  const options = { name: "told", onError, clock, logger };

  const closing = new StreamingTask<number>({
    ...options,
    source: async function* () {
      try {
        yield 1;
        await new Promise((_, reject) =>
          clock.setTimer(() => reject(new Error("close")), 10)
        );
      } finally {
        // The error above passes.
      }
    },
    onItem: () => Promise.reject(new Error("item")),
  });
  await closing.start();
  await clock.advance(5);
  const joined = assertRejects(() => closing.join(), Error, "close");
  closing.stop();
  await clock.advance(5);
  await joined;
  assertEquals(told.splice(0), ["Error: item", "Error: close"]);

  const wrong = new StreamingTask<number>({
    ...options,
    source: () => undefined as never,
    onItem: () => {},
  });
  await wrong.start();
  await assertRejects(() => wrong.join(), TypeError);
  assertEquals(told.splice(0).length, 1);
  assertEquals(wrong.statistics.errors, 1);

  const pair = new StreamingTask<number>({
    ...options,
    onError: (error) => told.push(String(error)),
    source: () => [1, 2],
    onItem: async (item) => {
      await sleep(item, { clock });
      throw new Error(`item ${item}`);
    },
    concurrency: 2,
  });
  await pair.start();
  const paired = assertRejects(() => pair.join(), Error, "item 1");
  await clock.advance(10);
  await paired;
  assertEquals(told.splice(0), ["Error: item 1", "Error: item 2"]);
  await clock.advance(0);
  assertEquals(logger.lines, []);
});

test("StreamingTask asks about a stall once at a time, and not after a stop", async () => {
  const clock = new ManualClock();
  let asked = 0;
  const task = new StreamingTask<number>({
    name: "slow decision",
    source: hung,
    onItem: () => {},
    onError: async () => {
      asked++;
      await sleep(95, { clock });
      return "continue";
    },
    timeout: 10,
    grace: 5,
    clock,
  });
  await task.start();
  await clock.advance(90);
  assertEquals(asked, 1);
  assertEquals(task.statistics.timeouts, 9);
  await clock.advance(110);
  assertEquals(asked, 2);
  const stopped = task.stop();
  await clock.advance(200);
  assertEquals(await stopped, "abandoned");
  assertEquals(asked, 2);
});

test("StreamingTask keeps what the handler has failed with, whatever it is", async () => {
  for (const thing of [undefined, null, 0]) {
    const task = new StreamingTask<number>({
      name: "odd",
      source: () => [1],
      onItem: () => Promise.reject(thing),
      onError: () => {},
    });
    await task.start();
    assertStrictEquals(await task.join().catch((error) => error), thing);
    assertEquals(task.state, "errored");
  }
});

test("StreamingTask echo of a stop in the source is no error", async () => {
  const told: unknown[] = [];
  const task: StreamingTask<number> = new StreamingTask<number>({
    name: "echo",
    source: (signal) => {
      task.stop();
      signal.throwIfAborted();
      return [1];
    },
    onItem: () => {},
    onError: (error) => told.push(error),
  });
  await task.start();
  await task.join();
  assertEquals(told, []);
  assertEquals(task.state, "stopped");
});

test("StreamingTask timeout limits the opening of the source, too", async () => {
  const clock = new ManualClock();
  let aborted: unknown;
  const task = new StreamingTask<number>({
    name: "no answer",
    source: (signal) => {
      signal.addEventListener("abort", () => aborted = signal.reason);
      return new Promise(() => {});
    },
    onItem: () => {},
    onError: () => {},
    timeout: 100,
    clock,
  });
  const started = task.start();
  const joined = assertRejects(() => task.join(), DOMException, "100 ms");
  await clock.advance(100);
  await started;
  await joined;
  assertEquals(task.statistics.timeouts, 1);
  assertEquals((aborted as DOMException).name, "TimeoutError");
  assertEquals(clock.pending, []);
});

test("StreamingTask over a source that always has an item leaves others their turn", async () => {
  const task = new StreamingTask<number>({
    name: "endless",
    source: function* () {
      for (let n = 0;; n++) yield n;
    },
    onItem: () => {},
  });
  await task.start();
  await until(() => task.statistics.items > 256, "more items");
  assertEquals(await task.stop(), "stopped");
});

test("StreamingTask.stop() ends a Readable of node:stream that has no data", async () => {
  const readable = new Readable({ read() {} });
  const items: string[] = [];
  const told: unknown[] = [];
  const task = new StreamingTask<unknown>({
    name: "serial port",
    source: () => readable,
    onItem: (item) => items.push(String(item)),
    onError: (error) => told.push(error),
  });
  await task.start();
  readable.push("a");
  await sleep(20);
  assertEquals(await task.stop(), "stopped");
  assert(readable.destroyed);
  assertEquals(items, ["a"]);
  assertEquals(told, []);
  assertEquals(task.state, "stopped");
});

// No order of calls loses a stop or hangs.

type Call =
  | { kind: "start"; ifRunning: "restart" | "ignore" | "throw" }
  | { kind: "stop" | "join" | "abort" | "turn" }
  | { kind: "advance"; ms: number };

const call: fc.Arbitrary<Call> = fc.oneof(
  fc.record({
    kind: fc.constant("start" as const),
    ifRunning: fc.constantFrom("restart", "ignore", "throw"),
  }),
  fc.constantFrom<Call>(
    { kind: "stop" },
    { kind: "join" },
    { kind: "abort" },
    { kind: "turn" },
  ),
  fc.record({ kind: fc.constant("advance" as const), ms: fc.nat(40) }),
);

test("StreamingTask loses no stop and never hangs, in any order of calls", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(call, { maxLength: 12 }),
      fc.record({
        count: fc.constantFrom(0, 3, Infinity),
        period: fc.integer({ min: 1, max: 15 }),
        handling: fc.nat(15),
        hears: fc.boolean(),
        failsAt: fc.constantFrom(undefined, 1),
        timeout: fc.constantFrom(Infinity, 10),
      }),
      async (calls, { count, period, handling, hears, failsAt, timeout }) => {
        const clock = new ManualClock();
        const controller = new CountingController();
        let open = 0;
        let most = 0;
        let waiting = 0;
        const wait = (promise: Promise<unknown>): void => {
          waiting++;
          promise.catch(() => {}).then(() => waiting--);
        };
        const task = new StreamingTask<number>({
          name: "any",
          source: async function* (signal) {
            most = Math.max(most, ++open);
            try {
              for (let n = 0; n < count; n++) {
                await sleep(period, hears ? { signal, clock } : { clock });
                yield n;
              }
            } finally {
              open--;
            }
          },
          onItem: async (item) => {
            await sleep(handling, { clock });
            if (item === failsAt) throw new Error("by design");
          },
          onError: () => {},
          timeout,
          clock,
        });
        const { signal } = controller;
        for (const call of calls) {
          if (call.kind === "start") {
            const { ifRunning } = call;
            wait(
              task.start({ signal, ifRunning }).catch((error) => error),
            );
          } else if (call.kind === "stop") wait(task.stop());
          else if (call.kind === "join") {
            wait(task.join().catch((error) => error));
          } else if (call.kind === "abort") controller.abort();
          else if (call.kind === "advance") await clock.advance(call.ms);
          else await undefined;
        }
        let outcome: string | undefined;
        wait(task.stop().then((value) => outcome = value));
        await clock.advance(40);
        assertEquals(outcome, "stopped");
        assertEquals(waiting, 0);
        assertFalse(task.running);
        assertEquals(open, 0);
        // Streams follow each other, but for one that hangs past a timeout.
        if (timeout === Infinity || hears) assert(most <= 1);
        assertEquals(clock.pending, []);
        assertEquals(controller.listeners, 0);
        assert(task.state === "stopped" || task.state === "errored");
      },
    ),
    { numRuns: 500 },
  );
});

test("StreamingTask.join() rejects with the failure although the task is started again at once", async () => {
  const logger = new RecordingLogger();
  const clock = new ManualClock();
  let opened = 0;
  const task = new StreamingTask<number>({
    name: "link",
    clock,
    logger,
    source: async function* (signal) {
      if (++opened === 1) throw new Error("link down");
      yield* counter(clock, 10)(signal);
    },
    onItem: () => {},
  });
  const following = (async () => {
    for await (const { state } of task.states()) {
      if (state === "errored") task.start();
    }
  })();
  const started = task.start();
  const joined = assertRejects(() => task.join(), Error, "link down");
  await clock.advance(20);
  await started;
  await joined;
  assertEquals([opened, task.running], [2, true]);
  assertEquals(logger.lines, []);
  await task[Symbol.asyncDispose]();
  await following;
});

test("StreamingTask tells the logger how an old stream failed when who joined waits for the next", async () => {
  const logger = new RecordingLogger();
  const clock = new ManualClock();
  let opened = 0;
  const task = new StreamingTask<number>({
    name: "link",
    clock,
    logger,
    source: async function* (signal) {
      const isFirst = ++opened === 1;
      try {
        yield* counter(clock, 10)(signal);
      } catch (error) {
        throw isFirst ? new Error("close") : error;
      }
    },
    onItem: () => {},
  });
  task.start();
  await clock.advance(5);
  const joined = task.join();
  task.start();
  await clock.advance(20);
  assertEquals(opened, 2);
  assertEquals(logger.lines, ["error Task 'link' failed: Error: close"]);
  task.stop();
  await clock.advance(0);
  await joined;
  assertEquals(logger.lines.length, 1);
});

test("StreamingTask.start() is over when its stream is abandoned before it has begun", async () => {
  const clock = new ManualClock();
  const task = new StreamingTask<number>({
    name: "hook",
    clock,
    logger: new RecordingLogger(),
    source: () => {
      throw new Error("no link");
    },
    onItem: () => {},
    onError: () => new Promise(() => {}),
  });
  let isOver = false;
  task.start().then(() => isOver = true);
  await clock.advance(0);
  const stop = task.stop({ grace: 100 });
  await clock.advance(99);
  assertFalse(isOver);
  await clock.advance(1);
  assertEquals(await stop, "abandoned");
  assert(isOver);
});

test("StreamingTask says so in its own log when a source that opened too late does not close", async () => {
  const clock = new ManualClock();
  const logger = new RecordingLogger();
  const opening = Promise.withResolvers<AsyncIterable<number>>();
  const task = new StreamingTask<number>({
    name: "late",
    clock,
    logger,
    source: () => opening.promise,
    onItem: () => {},
  });
  task.start();
  await clock.advance(0);
  assertEquals(await task.stop(), "stopped");
  const never = new Promise<never>(() => {});
  opening.resolve({
    [Symbol.asyncIterator]: () => ({ next: () => never, return: () => never }),
  });
  await clock.advance(5000);
  assertEquals(logger.lines, ["warn The source did not close within 5000 ms"]);
  assertEquals(clock.pending, []);
});
