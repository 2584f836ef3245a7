// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { sleep } from "../cancellation.ts";
import type { Clock } from "../clock.ts";
import {
  type Grid,
  MissedLoopPolicy,
  nextDeadline,
  placeOf,
} from "../missed_loop_policy.ts";
import { ManualClock } from "../testing.ts";
import { type Tick, ticks } from "../ticks.ts";
import { CountingController } from "./_listeners.ts";

const PERIOD = 100;
const ROUNDS = 7;
const POLICIES = Object.values(MissedLoopPolicy);

/** When seven rounds begin, and by how much those that were due are late. */
async function perform(
  policy: MissedLoopPolicy,
  work: (round: number) => number,
  prepare = 0,
): Promise<{ starts: number[]; late: number[]; seen: Tick[] }> {
  const clock = new ManualClock();
  const starts: number[] = [];
  const late: number[] = [];
  const seen: Tick[] = [];
  const iterator = ticks(PERIOD, { policy, clock });
  (async () => {
    await sleep(prepare, { clock });
    for await (const tick of iterator) {
      starts.push(clock.now());
      seen.push(tick);
      if (tick.overrun) late.push(tick.late);
      if (starts.length === ROUNDS) {
        await sleep(work(ROUNDS - 1), { clock });
        break;
      }
      await sleep(work(starts.length - 1), { clock });
    }
  })();
  await clock.advance(10_000);
  assertEquals(clock.pending, []);
  return { starts, late, seen };
}

type Golden = Record<string, [starts: number[], late: number[]]>;

const steps = (first: number, step: number): number[] =>
  Array.from({ length: ROUNDS }, (_, index) => first + index * step);

const onTime = steps(0, PERIOD);

// Measured on the original under a virtual clock, but for Align and Burst. The
// original logs the lateness of the last round, too, after which we stop.
const GOLDEN: [name: string, (round: number) => number, Golden][] = [
  ["takes no time", () => 0, {
    immediate: [onTime, []],
    skip: [onTime, []],
    terminate: [onTime, []],
    align: [onTime, []],
    burst: [onTime, []],
  }],
  ["takes a little less than the period", () => 99, {
    immediate: [onTime, []],
    skip: [onTime, []],
    terminate: [onTime, []],
    align: [onTime, []],
    burst: [onTime, []],
  }],
  ["takes exactly the period", () => 100, {
    immediate: [onTime, [0, 0, 0, 0, 0, 0]],
    skip: [onTime, [0, 0, 0, 0, 0, 0]],
    terminate: [[0], []],
    align: [onTime, [0, 0, 0, 0, 0, 0]],
    burst: [onTime, [0, 0, 0, 0, 0, 0]],
  }],
  ["takes a little more than the period", () => 101, {
    immediate: [steps(0, 101), [1, 1, 1, 1, 1, 1]],
    skip: [steps(0, 101), [1, 2, 3, 4, 5, 6]],
    terminate: [[0], []],
    align: [steps(0, 200), [0, 0, 0, 0, 0, 0]],
    burst: [steps(0, 101), [1, 2, 3, 4, 5, 6]],
  }],
  ["takes 150 once", (round) => round === 2 ? 150 : 0, {
    immediate: [[0, 100, 200, 350, 450, 550, 650], [50]],
    skip: [[0, 100, 200, 350, 400, 500, 600], [50]],
    terminate: [[0, 100, 200], []],
    align: [[0, 100, 200, 400, 500, 600, 700], [0]],
    burst: [[0, 100, 200, 350, 400, 500, 600], [50]],
  }],
  ["takes 200 once", (round) => round === 2 ? 200 : 0, {
    immediate: [[0, 100, 200, 400, 500, 600, 700], [100]],
    skip: [[0, 100, 200, 400, 500, 600, 700], [100]],
    terminate: [[0, 100, 200], []],
    align: [[0, 100, 200, 400, 500, 600, 700], [0]],
    burst: [[0, 100, 200, 400, 400, 500, 600], [100, 0]],
  }],
  ["takes 250 once", (round) => round === 2 ? 250 : 0, {
    immediate: [[0, 100, 200, 450, 550, 650, 750], [150]],
    skip: [[0, 100, 200, 450, 500, 600, 700], [150]],
    terminate: [[0, 100, 200], []],
    align: [[0, 100, 200, 500, 600, 700, 800], [0]],
    burst: [[0, 100, 200, 450, 450, 500, 600], [150, 50]],
  }],
  ["takes 950 once", (round) => round === 1 ? 950 : 0, {
    immediate: [[0, 100, 1050, 1150, 1250, 1350, 1450], [850]],
    skip: [[0, 100, 1050, 1100, 1200, 1300, 1400], [850]],
    terminate: [[0, 100], []],
    align: [[0, 100, 1100, 1200, 1300, 1400, 1500], [0]],
    burst: [[0, 100, 1050, 1050, 1050, 1050, 1050], [
      850,
      750,
      650,
      550,
      450,
    ]],
  }],
  ["takes 110 always", () => 110, {
    immediate: [steps(0, 110), [10, 10, 10, 10, 10, 10]],
    skip: [steps(0, 110), [10, 20, 30, 40, 50, 60]],
    terminate: [[0], []],
    align: [steps(0, 200), [0, 0, 0, 0, 0, 0]],
    burst: [steps(0, 110), [10, 20, 30, 40, 50, 60]],
  }],
  ["takes 150 always", () => 150, {
    immediate: [steps(0, 150), [50, 50, 50, 50, 50, 50]],
    skip: [steps(0, 150), [50, 100, 50, 100, 50, 100]],
    terminate: [[0], []],
    align: [steps(0, 200), [0, 0, 0, 0, 0, 0]],
    burst: [steps(0, 150), [50, 100, 150, 200, 250, 300]],
  }],
  ["takes 250 always", () => 250, {
    immediate: [steps(0, 250), [150, 150, 150, 150, 150, 150]],
    skip: [steps(0, 250), [150, 200, 150, 200, 150, 200]],
    terminate: [[0], []],
    align: [steps(0, 300), [0, 0, 0, 0, 0, 0]],
    burst: [steps(0, 250), [150, 300, 450, 600, 750, 900]],
  }],
  ["varies", (round) => [30, 150, 80, 80, 80][round] ?? 0, {
    immediate: [[0, 100, 250, 350, 450, 550, 650], [50]],
    skip: [[0, 100, 250, 330, 410, 500, 600], [50, 30, 10]],
    terminate: [[0, 100], []],
    align: [[0, 100, 300, 400, 500, 600, 700], [0]],
    burst: [[0, 100, 250, 330, 410, 500, 600], [50, 30, 10]],
  }],
];

for (const [name, work, golden] of GOLDEN) {
  for (const policy of POLICIES) {
    test(`ticks() with the policy ${policy} begins when it should when a round ${name}`, async () => {
      const { starts, late } = await perform(policy, work);
      assertEquals([starts, late], golden[policy]);
    });
  }
}

test("ticks() begins its grid with the first request", async () => {
  const { starts } = await perform("immediate", () => 0, 40);
  assertEquals(starts, steps(40, 100));
});

test("ticks() begins after a delay when told so", async () => {
  const clock = new ManualClock();
  const starts: number[] = [];
  (async () => {
    for await (const _ of ticks(100, { first: 30, clock })) {
      starts.push(clock.now());
    }
  })();
  await clock.advance(250);
  assertEquals(starts, [30, 130, 230]);
});

test("ticks() says what was lost", async () => {
  const { seen } = await perform("skip", (round) => round === 1 ? 350 : 0);
  assertEquals(seen.slice(0, 4), [
    { index: 0, scheduled: 0, late: 0, missed: 0, overrun: false },
    { index: 1, scheduled: 100, late: 0, missed: 0, overrun: false },
    { index: 4, scheduled: 200, late: 250, missed: 2, overrun: true },
    { index: 5, scheduled: 500, late: 0, missed: 0, overrun: false },
  ]);
});

test("ticks() ends normally when the policy terminates it, and says so", async () => {
  const clock = new ManualClock();
  const iterator = ticks(100, { policy: "terminate", clock });
  let ended = false;
  (async () => {
    for await (const _ of iterator) await sleep(100, { clock });
    ended = true;
  })();
  await clock.advance(99);
  assert(!iterator.terminated);
  await clock.advance(1);
  assert(ended && iterator.terminated);
  assertEquals(await iterator.next(), { done: true, value: undefined });
  assertEquals(clock.pending, []);
});

test("ticks() rejects with the reason of its signal, in a wait or between two", async () => {
  for (const isWaiting of [true, false]) {
    const clock = new ManualClock();
    const controller = new CountingController();
    const iterator = ticks(100, { signal: controller.signal, clock });
    const first = iterator.next();
    await clock.advance(0);
    assertEquals((await first).value?.index, 0);
    const waiting = isWaiting ? iterator.next() : undefined;
    const reason = waiting?.catch((reason) => reason);
    assertEquals(controller.listeners, 1);
    controller.abort("dawn");
    const next = reason ?? iterator.next().catch((reason) => reason);
    assertEquals(await next, "dawn");
    assertEquals(await iterator.next(), { done: true, value: undefined });
    assertEquals(controller.listeners, 0);
    assertEquals(clock.pending, []);
  }
});

test("ticks() on an aborted signal rejects and sets no timer", async () => {
  const clock = new ManualClock();
  const signal = AbortSignal.abort("before");
  const iterator = ticks(100, { signal, clock });
  assertEquals(await iterator.next().catch((reason) => reason), "before");
  assertEquals(clock.pending, []);
});

test("ticks() has one listener and one timer, and none when the loop is left", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  let most = 0;
  (async () => {
    for await (
      const { index } of ticks(10, { signal: controller.signal, clock })
    ) {
      if (index === 50) break;
      most = Math.max(most, clock.pending.length);
    }
  })();
  await clock.advance(1000);
  assertEquals(controller.most, 1);
  assertEquals(controller.listeners, 0);
  assert(most <= 1);
  assertEquals(clock.pending, []);
});

test("ticks() answers requests side by side in order", async () => {
  const clock = new ManualClock();
  const iterator = ticks(10, { clock });
  const indices: unknown[] = [];
  for (let request = 0; request < 3; request++) {
    iterator.next().then(({ value }) => indices.push(value?.index));
  }
  await clock.advance(100);
  assertEquals(indices, [0, 1, 2]);
  const waiting = [iterator.next(), iterator.next()];
  await iterator.return();
  assertEquals((await Promise.all(waiting)).map(({ done }) => done), [
    true,
    true,
  ]);
});

test("ticks().period changes the tick in flight and keeps the phase", async () => {
  const clock = new ManualClock();
  const starts: number[] = [];
  const iterator = ticks(100, { clock });
  (async () => {
    for await (const _ of iterator) starts.push(clock.now());
  })();
  await clock.advance(150);
  iterator.period = 80; // the tick of 200 comes at 180
  await clock.advance(130);
  assertEquals(starts, [0, 100, 180, 260]);
  iterator.period = 1000;
  await clock.advance(980);
  assertEquals(starts, [0, 100, 180, 260, 1260]);
  await clock.advance(500);
  iterator.period = 200; // 1460 and 1660 have passed
  await clock.advance(200);
  assertEquals(starts.slice(5), [1760, 1860]);
  assertEquals(iterator.period, 200);
  await iterator.return();
});

test("ticks() does not double a tick when timers fire early", async () => {
  const manual = new ManualClock();
  const clock: Clock = {
    now: () => manual.now(),
    setTimer: (callback, delay) =>
      manual.setTimer(callback, Math.max(delay - 0.9, 0)),
  };
  const indices: number[] = [];
  (async () => {
    for await (const { index, late } of ticks(5, { clock })) {
      indices.push(index);
      assertEquals(late, 0);
      if (index === 200) break;
    }
  })();
  await manual.advance(2000);
  assertEquals(indices, Array.from({ length: 201 }, (_, index) => index));
});

test("ticks() does not drift over a week", async () => {
  const clock = new ManualClock();
  const period = 60_000 / 7;
  let last: Tick | undefined;
  const iterator = ticks(period, { clock });
  (async () => {
    for await (const tick of iterator) last = tick;
  })();
  const minutes = 7 * 24 * 60;
  await clock.advance(minutes * 60_000 / 100);
  assertEquals(last?.index, Math.floor(minutes * 7 / 100));
  await iterator.return();
});

test("ticks() refuses bad arguments by name", () => {
  for (const period of [0, -1, NaN, Infinity]) {
    assertThrows(
      () => ticks(period),
      RangeError,
      `Cannot create ticks as 'period' must be a positive finite number: current value is ${period}`,
    );
    const iterator = ticks(100);
    assertThrows(() => iterator.period = period, RangeError, "'period'");
  }
  assertThrows(() => ticks("100" as never), TypeError, "'period'");
  assertThrows(
    () => ticks(1, { policy: "late" as never }),
    TypeError,
    "'policy'",
  );
  assertThrows(() => ticks(1, { first: -1 }), RangeError, "'first'");
  assertThrows(() => ticks(1, { first: Infinity }), RangeError, "'first'");
  assertThrows(() => ticks(1, { ref: 1 as never }), TypeError, "'ref'");
  assertThrows(() => ticks(1, { signal: 1 as never }), TypeError, "'signal'");
  assertThrows(() => ticks(1, { clock: 1 as never }), TypeError, "'clock'");
});

// The policies, without a timer.

const grids: fc.Arbitrary<Grid> = fc.record({
  origin: fc.double({ min: 0, max: 1e9, noNaN: true }),
  first: fc.nat(1000),
  period: fc.oneof(
    fc.integer({ min: 1, max: 100_000 }),
    fc.double({ min: 0.01, max: 1e5, noNaN: true }),
  ),
});

test("nextDeadline() of every policy goes on by at least one place", () => {
  fc.assert(fc.property(
    fc.constantFrom(...POLICIES),
    grids,
    fc.nat(100_000),
    fc.double({ min: -1, max: 50, noNaN: true }),
    (policy, grid, done, periods) => {
      const index = grid.first + done;
      const due = placeOf(grid, index + 1);
      const now = due + periods * grid.period;
      const deadline = nextDeadline(policy, grid, index, now);
      if (policy === "terminate" && now >= due) {
        assertEquals(deadline, undefined);
        return;
      }
      assert(deadline !== undefined);
      assert(deadline.index > index);
      assert(deadline.missed >= 0);
      assertEquals(deadline.overrun, now >= due);
      // Not late: every policy is the same.
      if (now < due) {
        assertEquals(deadline, {
          grid,
          index: index + 1,
          scheduled: due,
          missed: 0,
          overrun: false,
        });
        return;
      }
      const after = placeOf(deadline.grid, deadline.index + 1);
      if (policy === "immediate") {
        assertEquals(placeOf(deadline.grid, deadline.index), now);
        assertEquals(deadline.index, index + 1);
      } else {
        assertEquals(deadline.grid, grid);
      }
      if (policy === "skip") {
        // At once, then the first place after now.
        assert(deadline.scheduled <= now && after > now);
        assert(placeOf(grid, deadline.index) <= now);
        assertEquals(deadline.index, index + 1 + deadline.missed);
      }
      if (policy === "align") {
        // The first place that is not before now.
        assert(deadline.scheduled >= now);
        assert(placeOf(grid, deadline.index - 1) < now);
        assertEquals(deadline.index, index + 1 + deadline.missed);
      }
      if (policy === "burst") {
        assertEquals(deadline.index, index + 1);
        assertEquals(deadline.missed, 0);
      }
    },
  ));
});
