// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { FakeTime } from "@std/testing/time";
import * as fc from "fast-check";
import { coarseSystemNow, systemNow } from "../_system_timers.ts";
import { type TimerNode, TimerQueue } from "../_timer_queue.ts";
import { sleep } from "../cancellation.ts";
import { type Clock, systemClock } from "../clock.ts";
import { ManualClock } from "../testing.ts";
import { comeInOrder } from "./_deadlines.ts";
import { runProgram } from "./_process.ts";

test("systemClock.setTimer() calls back once, not before the delay", async () => {
  const before = systemClock.now();
  let calls = 0;
  await new Promise<void>((resolve) =>
    systemClock.setTimer(() => {
      calls++;
      resolve();
    }, 15)
  );
  assert(systemClock.now() - before >= 15);
  await sleep(5);
  assertEquals(calls, 1);
});

test("systemClock.setTimer() can be cancelled, late and twice", async () => {
  const calls: string[] = [];
  const cancel = systemClock.setTimer(() => calls.push("cancelled"), 5);
  const late = systemClock.setTimer(() => calls.push("kept"), 5);
  cancel();
  cancel();
  await sleep(15);
  late();
  assertEquals(calls, ["kept"]);
});

test("systemClock timers run in the order of their deadlines", () =>
  comeInOrder(systemClock, [12, 4, 8, 0, 4.5]));

test("systemClock.setTimer() refuses bad arguments", () => {
  const setTimer = (callback: unknown, delay: unknown) =>
    systemClock.setTimer(callback as () => void, delay as number);
  assertThrows(() => setTimer(5, 1), TypeError, "'callback'");
  assertThrows(() => setTimer(() => {}, NaN), RangeError, "'delay'");
  assertThrows(() => setTimer(() => {}, -1), RangeError, "'delay'");
});

test("systemClock callback that throws does not stop the other timers", async () => {
  const { stdout, stderr, code } = await runProgram(`
    import { systemClock } from "ROOT/clock.ts";
    const report = (event) => {
      event?.preventDefault?.();
      console.log("uncaught");
    };
    if ("Deno" in globalThis) addEventListener("error", report);
    else process.on("uncaughtException", report);
    systemClock.setTimer(() => { throw new Error("mine"); }, 5);
    systemClock.setTimer(() => console.log("same turn"), 5);
    systemClock.setTimer(() => console.log("later"), 20);
  `);
  assertEquals(stdout, "uncaught\nsame turn\nlater\n", stderr);
  assertEquals(code, 0);
});

test("systemClock follows FakeTime", async () => {
  using time = new FakeTime();
  const before = systemClock.now();
  let slept = false;
  sleep(60_000).then(() => slept = true);
  await time.tickAsync(59_999);
  assertFalse(slept);
  await time.tickAsync(1);
  assert(slept);
  assertEquals(systemClock.now() - before, 60_000);
});

test("systemClock timers set before FakeTime go on in real time", async () => {
  const slept = sleep(20);
  {
    using time = new FakeTime();
    sleep(1e6);
    await time.tickAsync(10);
  }
  await slept;
  await sleep(1);
});

test("systemClock timers left in one FakeTime do not strand those of the next", async () => {
  for (let round = 0; round < 3; round++) {
    using time = new FakeTime();
    let slept = false;
    sleep(50).then(() => slept = true);
    await time.tickAsync(50);
    assert(slept);
    sleep(5);
  }
});

test("systemClock timers set before a fake that moves the date are not moved", async () => {
  for (const shift of [-1e9, 1e9]) {
    const { setTimeout, clearTimeout, Date } = globalThis;
    const before = performance.now();
    const slept = sleep(60);
    const early = sleep(5);
    globalThis.setTimeout = ((...args: Parameters<typeof setTimeout>) =>
      setTimeout(...args)) as typeof setTimeout;
    globalThis.clearTimeout = ((...args: Parameters<typeof clearTimeout>) =>
      clearTimeout(...args)) as typeof clearTimeout;
    globalThis.Date = class extends Date {
        static override now = () =>
          Date.now() + shift;
      } as DateConstructor;
    try {
      await early;
    } finally {
      Object.assign(globalThis, { setTimeout, clearTimeout, Date });
    }
    await slept;
    const taken = performance.now() - before;
    assert(taken >= 60 && taken < 5000, `${taken}`);
    await sleep(1);
  }
});

test("systemClock leaves FakeTime as it was found, again and again", async () => {
  for (let round = 0; round < 3; round++) {
    using time = new FakeTime();
    let ticks = 0;
    systemClock.setTimer(() => ticks++, 100);
    await time.tickAsync(100);
    assertEquals(ticks, 1);
  }
  await sleep(1);
});

/** A platform with one timer, as a browser would have it, under our control. */
class OneTimer {
  time = 0;
  delay: number | undefined = undefined;
  #callback: (() => void) | undefined = undefined;

  now = (): number => this.time;

  start(callback: () => void, delay: number): unknown {
    if (this.#callback !== undefined) throw new Error("a second timer");
    this.#callback = callback;
    this.delay = delay;
    return callback;
  }

  end(): void {
    this.#callback = undefined;
    this.delay = undefined;
  }

  fire(at: number): void {
    this.time = at;
    const callback = this.#callback;
    this.end();
    callback?.();
  }
}

class Recorder implements TimerNode {
  deadline = 0;
  order = -1;
  readonly run: () => void;

  constructor(run: () => void) {
    this.run = run;
  }
}

test("systemClock is never ahead of the coarse time, so that no limit counted from it comes early", () => {
  const end = systemNow() + 20;
  for (let now = systemNow(); now < end;) {
    const coarse = coarseSystemNow();
    assert(coarse >= now, `${coarse - now}`);
    now = systemNow();
    assert(coarse <= now + 2, `${coarse - now}`);
  }
});

test("TimerQueue has one platform timer, none when nobody waits", () => {
  const platform = new OneTimer();
  const queue = new TimerQueue(platform);
  const nodes = [30, 10, 20].map((delay) => {
    const node = new Recorder(() => {});
    queue.add(node, delay);
    return node;
  });
  assertEquals(platform.delay, 10);
  for (const node of nodes) queue.delete(node);
  assertEquals(platform.delay, undefined);
  assertEquals(queue.size, 0);
});

test("TimerQueue does not run a timer early when the platform fires early", () => {
  const platform = new OneTimer();
  const queue = new TimerQueue(platform);
  let runs = 0;
  queue.add(new Recorder(() => runs++), 10);
  platform.fire(9.4);
  assertEquals(runs, 0);
  assertEquals(platform.delay, 1);
  platform.fire(10.4);
  assertEquals(runs, 1);
  assertEquals(platform.delay, undefined);
});

test("TimerQueue never asks the platform for more than 2^31 - 1 ms", () => {
  const platform = new OneTimer();
  const queue = new TimerQueue(platform);
  const node = new Recorder(() => {});
  queue.add(node, Infinity);
  assertEquals(platform.delay, 2 ** 31 - 1);
  platform.fire(2 ** 31 - 1);
  assertEquals(platform.delay, 2 ** 31 - 1);
  queue.delete(node);
});

test("TimerQueue gives a timer set by a callback its turn later", () => {
  const platform = new OneTimer();
  const queue = new TimerQueue(platform);
  let runs = 0;
  const again = () => {
    runs++;
    queue.add(new Recorder(again), 0);
  };
  queue.add(new Recorder(again), 0);
  platform.fire(0);
  assertEquals(runs, 1);
  platform.fire(0);
  assertEquals(runs, 2);
  assertEquals(queue.size, 1);
});

test("TimerQueue goes on after a callback has thrown", () => {
  const platform = new OneTimer();
  const queue = new TimerQueue(platform);
  const calls: string[] = [];
  queue.add(
    new Recorder(() => {
      throw new Error("mine");
    }),
    1,
  );
  queue.add(new Recorder(() => calls.push("second")), 1);
  assertThrows(() => platform.fire(1), Error, "mine");
  assertEquals(platform.delay, 0);
  platform.fire(1);
  assertEquals(calls, ["second"]);
});

test("TimerQueue behaves as a sorted list, whatever is added, moved and deleted", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), delay: fc.nat(50) }),
    fc.record({ kind: fc.constant("delete" as const), index: fc.nat(300) }),
    fc.record({
      kind: fc.constant("move" as const),
      index: fc.nat(300),
      delay: fc.nat(50),
    }),
    fc.record({ kind: fc.constant("fire" as const), after: fc.nat(20) }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
    const platform = new OneTimer();
    const queue = new TimerQueue(platform);
    const ran: number[] = [];
    const nodes: Recorder[] = [];
    let model: { id: number; deadline: number }[] = [];
    const expected: number[] = [];
    for (const step of steps) {
      if (step.kind === "add") {
        const id = nodes.length;
        const node = new Recorder(() => ran.push(id));
        nodes.push(node);
        queue.add(node, step.delay);
        model.push({ id, deadline: platform.time + step.delay });
      } else if (step.kind === "delete") {
        const node = nodes[step.index];
        if (node !== undefined) queue.delete(node);
        model = model.filter(({ id }) => id !== step.index);
      } else if (step.kind === "move") {
        const place = model.findIndex(({ id }) => id === step.index);
        const node = nodes[step.index];
        if (place < 0 || node === undefined) continue;
        queue.remove(node);
        queue.add(node, step.delay);
        model.splice(place, 1);
        const deadline = platform.time + step.delay;
        model.push({ id: step.index, deadline });
      } else {
        platform.fire(platform.time + step.after);
        const due = model.filter(({ deadline }) => deadline <= platform.time);
        due.sort((a, b) => a.deadline - b.deadline);
        // A platform timer that was set runs all that is due.
        expected.push(...due.map(({ id }) => id));
        model = model.filter(({ deadline }) => deadline > platform.time);
      }
      assertEquals(ran, expected);
      assertEquals(queue.size, model.length);
      assertEquals(platform.delay !== undefined, model.length > 0);
    }
  }));
});

test("TimerQueue keeps its heap bounded when most timers are cancelled", () => {
  const platform = new OneTimer();
  const queue = new TimerQueue(platform);
  const kept = new Recorder(() => {});
  queue.add(kept, 1e6);
  for (let round = 0; round < 10_000; round++) {
    const node = new Recorder(() => {});
    queue.add(node, 2e6);
    queue.delete(node);
  }
  assertEquals(queue.size, 1);
  assert(queue.length <= 65, `${queue.length} entries`);
});

test("ManualClock.advance() runs timers in order, each at its time", async () => {
  const clock = new ManualClock(1000);
  const calls: [string, number][] = [];
  clock.setTimer(() => calls.push(["c", clock.now()]), 30);
  clock.setTimer(() => calls.push(["a", clock.now()]), 10);
  clock.setTimer(() => calls.push(["b", clock.now()]), 10);
  await clock.advance(29);
  assertEquals(calls, [["a", 1010], ["b", 1010]]);
  assertEquals(clock.now(), 1029);
  assertEquals(clock.pending, [{ deadline: 1030, ref: true }]);
  await clock.advance(1);
  assertEquals(calls.at(-1), ["c", 1030]);
});

test("ManualClock lets promises settle between timers, however many hops", async () => {
  const clock = new ManualClock();
  const times: number[] = [];
  (async () => {
    for (let round = 0; round < 3; round++) {
      await sleep(10, { clock });
      for (let hop = 0; hop < 500; hop++) await undefined;
      times.push(clock.now());
    }
  })();
  await clock.advance(100);
  assertEquals(times, [10, 20, 30]);
  assertEquals(clock.now(), 100);
});

test("ManualClock.advance(0) settles promises and runs what is due", async () => {
  const clock = new ManualClock();
  let slept = false;
  sleep(0, { clock }).then(() => slept = true);
  assertFalse(slept);
  await clock.advance(0);
  assert(slept);
  assertEquals(clock.now(), 0);
});

test("ManualClock.advance() side by side passes one after the other", async () => {
  const clock = new ManualClock();
  const calls: number[] = [];
  for (const delay of [3, 6, 13]) {
    clock.setTimer(() => calls.push(clock.now()), delay);
  }
  await Promise.all([clock.advance(10), clock.advance(10)]);
  assertEquals(clock.now(), 20);
  assertEquals(calls, [3, 6, 13]);
});

test("ManualClock.advance() gives up on timers that follow each other without a delay", async () => {
  const clock = new ManualClock();
  const again = () => {
    clock.setTimer(again, 0);
  };
  again();
  await assertRejects(
    () => clock.advance(10),
    Error,
    "Cannot advance: 100000 timers ran at 0 ms, more are set",
  );
});

test("ManualClock.runAll() runs timers until none is left", async () => {
  const clock = new ManualClock();
  let rounds = 0;
  (async () => {
    while (rounds < 5) {
      await sleep(1e6, { clock });
      rounds++;
    }
  })();
  const cancelForever = clock.setTimer(() => {}, Infinity);
  await clock.runAll();
  assertEquals(rounds, 5);
  assertEquals(clock.now(), 5e6);
  assertEquals(clock.pending.length, 1);
  cancelForever();
});

test("ManualClock.runAll() gives up on a loop that never ends", async () => {
  const clock = new ManualClock();
  let runs = 0;
  const again = () => {
    runs++;
    clock.setTimer(again, 1);
  };
  again();
  await assertRejects(
    () => clock.runAll({ limit: 10 }),
    Error,
    "Cannot run all timers: 10 ran, more are set",
  );
  assertEquals(runs, 11);
});

test("ManualClock refuses bad arguments", async () => {
  const clock: Clock & ManualClock = new ManualClock();
  assertThrows(() => new ManualClock(NaN), RangeError, "'start'");
  assertThrows(() => clock.setTimer(() => {}, -1), RangeError, "'delay'");
  assertThrows(() => clock.setTimer(1 as never, 1), TypeError, "'callback'");
  for (const ms of [-1, NaN, Infinity]) {
    await assertRejects(() => clock.advance(ms), RangeError, "'ms'");
  }
  await assertRejects(() => clock.runAll({ limit: -1 }), RangeError, "'limit'");
});

test("ManualClock reports pending timers, the next one first", () => {
  const clock = new ManualClock();
  clock.setTimer(() => {}, 20);
  const cancel = clock.setTimer(() => {}, 10, { ref: false });
  assertEquals(clock.pending, [
    { deadline: 10, ref: false },
    { deadline: 20, ref: true },
  ]);
  cancel();
  cancel();
  assertEquals(clock.pending, [{ deadline: 20, ref: true }]);
});
