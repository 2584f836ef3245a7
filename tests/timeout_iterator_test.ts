// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStrictEquals,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { FakeTime } from "@std/testing/time";
import { ManualClock } from "../testing.ts";
import {
  TimeoutIterator,
  type TimeoutIteratorOptions,
  withTimeout,
} from "../timeout_iterator.ts";
import { CountingController } from "./_listeners.ts";
import {
  assertTimeout,
  bad,
  END,
  type Ending,
  hangs,
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

// The tests of the original.

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

// What the original did differently.

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

// Requests.

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

// Aborts.

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

// The system clock.

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
