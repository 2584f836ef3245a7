// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { ManualClock } from "../testing.ts";
import { withTimeout } from "../timeout_iterator.ts";
import {
  assertTimeout,
  bad,
  END,
  hangs,
  item,
  never,
  reasonOf,
  Rig,
  Script,
  settled,
  wait,
} from "./_timeout_iterator_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

// Prefetch.

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

// Closing.

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
