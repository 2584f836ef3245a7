// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import type { Clock } from "../clock.ts";
import { ManualClock } from "../testing.ts";
import {
  type ItemTimeout,
  type SlowItem,
  TimeoutIterator,
  type TimeoutIteratorOptions,
} from "../timeout_iterator.ts";
import {
  assertTimeout,
  bad,
  END,
  item,
  reasonOf,
  Rig,
  settled,
  takeAll,
} from "./_timeout_iterator_rig.ts";

// Timeouts.

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

test("TimeoutIterator goes on when its deadline passes while it is set, or while onTimeout decides", async () => {
  const manual = new ManualClock();
  let ahead = 0;
  let step = 0;
  const clock: Clock = {
    now: () => manual.now() + (ahead += step),
    setTimer: (callback, delay) => manual.setTimer(callback, delay),
  };
  const first = Promise.withResolvers<IteratorResult<number>>();
  const iterator = new TimeoutIterator<number>(
    { next: () => first.promise },
    {
      timeout: 10,
      clock,
      onTimeout: ({ timeouts }) => {
        step = 0;
        ahead += 50;
        return timeouts < 3 ? "continue" : "end";
      },
    },
  );
  step = 20;
  const request = iterator.next();
  await manual.advance(100);
  assertEquals(await request, END);
  assertEquals(iterator.statistics.timeouts, 3);
  assertEquals(manual.pending, []);
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

// The rate.

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
