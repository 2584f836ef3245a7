// Copyright 2026 the Longrun authors. MIT license.

/** Deadlines of a program that is held up itself. */

import { assertEquals, assertRejects } from "@std/assert";
import { test } from "@std/testing/bdd";
import { LazyTimer } from "../_lazy_timer.ts";
import { TokenLock } from "../_token_lock.ts";
import { BackgroundTask } from "../background_task.ts";
import { sleep, timeout } from "../cancellation.ts";
import { EventBus } from "../event_bus.ts";
import { attachLrc, invokeLrc } from "../lrc.ts";
import { ManualClock } from "../testing.ts";
import { withTimeout } from "../timeout_iterator.ts";
import { HeldClock } from "./_held_clock.ts";
import { LrcRig } from "./_lrc_rig.ts";

test("LazyTimer expires soon when its deadline is over already", async () => {
  const manual = new ManualClock(1000);
  const expired: number[] = [];
  const timer = new LazyTimer(manual, (now) => expired.push(now));
  timer.set(900);
  assertEquals(expired, []);
  await manual.advance(0);
  assertEquals(expired, [1000]);
  assertEquals(manual.pending, []);
});

test("LazyTimer lets a program that was held up catch up, once", async () => {
  const clock = new HeldClock();
  const { manual } = clock;
  const expired: number[] = [];
  const timer = new LazyTimer(clock, (now) => expired.push(now));
  timer.set(1000);
  clock.held = 5000;
  await manual.advance(1000);
  // Who sets it to a time that is over does not want it sooner than that.
  timer.set(900);
  await manual.advance(49);
  assertEquals(expired, []);
  await manual.advance(1);
  assertEquals(expired, [6050]);

  timer.set(7050);
  clock.held += 5000;
  await manual.advance(1000);
  timer.set(13_050);
  await manual.advance(999);
  assertEquals(expired, [6050]);
  await manual.advance(1);
  assertEquals(expired, [6050, 13_050]);
  assertEquals(manual.pending, []);
});

test("LazyTimer is not late for a timer that is a little late", async () => {
  const clock = new HeldClock();
  const { manual } = clock;
  const expired: number[] = [];
  const timer = new LazyTimer(clock, (now) => expired.push(now));
  timer.set(1000);
  clock.held = 100;
  await manual.advance(1000);
  assertEquals(expired, [1100]);

  timer.set(2100);
  clock.held += 5000;
  await manual.advance(1000);
  timer.cancel();
  timer.set(7110);
  await manual.advance(10);
  assertEquals(expired, [1100, 7110]);
  assertEquals(manual.pending, []);
});

test("TimeoutIterator gives an item that came while the program was held up", async () => {
  const clock = new HeldClock();
  const { manual } = clock;
  const item = Promise.withResolvers<number>();
  async function* source() {
    yield await item.promise;
    await new Promise(() => {});
  }
  const items = withTimeout(source(), { timeout: 1000, clock });
  const next = items.next();
  next.catch(() => {});
  clock.held = 5000;
  // Timers come before what the network has brought.
  await manual.advance(1000);
  item.resolve(1);
  assertEquals(await next, { done: false, value: 1 });
  const end = assertRejects(() => items.next());
  await manual.advance(1050);
  await end;
});

test("invokeLrc and attachLrc give a handle when the program was held up beyond their time", async () => {
  const rig = new LrcRig();
  const { device } = rig;
  const clock = new HeldClock(rig.clock);
  const options = { ...rig.options, clock, timeout: 100 };
  const holdUp = (what: string) => {
    device.delay = (each) => {
      if (each === what) clock.held += 200;
      return Promise.resolve();
    };
  };
  device.accepts("Scan");
  for (
    const begin of [
      () => {
        holdUp("Scan");
        return invokeLrc(null, device, "Scan", undefined, options);
      },
      () => {
        holdUp("subscribe _lrcEvent");
        return attachLrc(null, device, "1_2_Scan", options);
      },
    ]
  ) {
    const handle = await begin();
    await rig.clock.advance(0);
    assertEquals(handle.ended, true);
    assertEquals(rig.clock.pending, []);
    assertEquals(device.subscribers, 0);
  }
});

test("TimeoutIterator goes on when its hook takes longer than the timeout", async () => {
  const clock = new HeldClock();
  const { manual } = clock;
  const item = Promise.withResolvers<number>();
  async function* source() {
    yield await item.promise;
  }
  let hooks = 0;
  const items = withTimeout(source(), {
    timeout: 10,
    clock,
    onTimeout: () => {
      if (hooks++ === 0) clock.held += 50;
      return "continue";
    },
  });
  const next = items.next();
  await manual.advance(10);
  assertEquals(hooks, 2);
  item.resolve(1);
  assertEquals(await next, { done: false, value: 1 });
  await items.return?.();
});

test("timeout gives what came while the program was held up, and is too late once", async () => {
  const clock = new HeldClock();
  const { manual } = clock;
  const image = Promise.withResolvers<string>();
  const inTime = timeout(image.promise, 1000, { clock });
  const never = timeout(() => new Promise(() => {}), 1000, { clock });
  const tooLate = assertRejects(() => never, DOMException, "after 1000 ms");

  clock.held = 5000;
  await manual.advance(1000);
  image.resolve("image");

  assertEquals(await inTime, "image");
  await manual.advance(50);
  await tooLate;
  assertEquals(manual.pending, []);
});

test("timeout is not late for a timer that is a little late", async () => {
  const clock = new HeldClock();
  const { manual } = clock;
  const wait = timeout(new Promise(() => {}), 1000, { clock });
  const tooLate = assertRejects(() => wait, DOMException, "after 1000 ms");

  clock.held = 100;
  await manual.advance(1000);

  await tooLate;
  assertEquals(manual.pending, []);
});

test("timeout ends although its clock sets no other timer", async () => {
  const clock = new HeldClock();
  const { manual } = clock;
  const wait = timeout(new Promise(() => {}), 1000, {
    clock: {
      now: () => clock.now(),
      setTimer(callback, delay) {
        if (clock.held > 0) throw new Error("no more timers");
        return clock.setTimer(callback, delay);
      },
    },
  });
  const tooLate = assertRejects(() => wait, DOMException, "after 1000 ms");

  clock.held = 5000;
  await manual.advance(1000);

  await tooLate;
});

test("A signal ends a timeout that catches up", async () => {
  const clock = new HeldClock();
  const { manual } = clock;
  const controller = new AbortController();
  const { signal } = controller;
  const wait = timeout(new Promise(() => {}), 1000, { clock, signal });
  const ended = assertRejects(() => wait, Error, "clouds");

  clock.held = 5000;
  await manual.advance(1000);
  controller.abort(new Error("clouds"));

  await ended;
  assertEquals(manual.pending, []);
});

test("A stop does not abandon work that ended while the program was held up", async () => {
  const clock = new HeldClock();
  const { manual } = clock;
  const work = Promise.withResolvers<void>();
  const task = new BackgroundTask(() => work.promise, { clock, grace: 1000 });
  task.run();
  const stop = task.stop();

  clock.held = 5000;
  await manual.advance(1000);
  work.resolve();

  assertEquals(await stop, "stopped");
  await task.join();
  assertEquals(manual.pending, []);
});

test("A request gets the reply that came while the program was held up", async () => {
  const clock = new HeldClock();
  const { manual } = clock;
  await using bus = new EventBus({ clock });
  const angle = Promise.withResolvers<number>();
  bus.respond("where", "there", () => angle.promise);
  const reply = bus.request("where", {}, "there", { timeout: 1000 });

  clock.held = 5000;
  await manual.advance(1000);
  angle.resolve(30);

  assertEquals(await reply, 30);
  assertEquals(manual.pending, []);
});

test("Who waits for a lock gets what was unlocked while the program was held up", async () => {
  const clock = new HeldClock();
  const { manual } = clock;
  const lock = new TokenLock("camera", clock);
  const first = await lock.lock({});
  const second = lock.lock({}, { timeout: 1000 });

  clock.held = 5000;
  await manual.advance(1000);
  first?.unlock();

  assertEquals((await second)?.held, true);
  assertEquals(manual.pending, []);
});

test("sleep ends at once when the program was held up", async () => {
  const clock = new HeldClock();
  const { manual } = clock;
  const nap = sleep(1000, { clock });

  clock.held = 5000;
  await manual.advance(1000);

  await nap;
  assertEquals(manual.pending, []);
});
