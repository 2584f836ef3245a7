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
import * as fc from "fast-check";
import {
  abortable,
  CancelScope,
  isCancellation,
  onAbort,
  sleep,
  timeout,
} from "../cancellation.ts";
import type { Clock } from "../clock.ts";
import { ManualClock } from "../testing.ts";
import { CountingController } from "./_listeners.ts";
import { runProgram } from "./_process.ts";
import { unhandledDuring } from "./_unhandled.ts";

const reasonOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(() => "resolved", (reason) => reason);

test("onAbort() calls back with the reason, once", () => {
  const controller = new AbortController();
  const reasons: unknown[] = [];
  onAbort(controller.signal, (reason) => reasons.push(reason));
  controller.abort("first");
  controller.abort("second");
  assertEquals(reasons, ["first"]);
});

test("onAbort() calls back at once on a signal that has aborted", () => {
  const reasons: unknown[] = [];
  onAbort(AbortSignal.abort("before"), (reason) => reasons.push(reason));
  assertEquals(reasons, ["before"]);
});

test("onAbort() shares one listener and removes it with the last callback", () => {
  const controller = new CountingController();
  const forgets = Array.from(
    { length: 100 },
    () => onAbort(controller.signal, () => {}),
  );
  assertEquals(controller.listeners, 1);
  for (const forget of forgets) forget();
  for (const forget of forgets) forget();
  assertEquals(controller.listeners, 0);
  assertEquals(controller.most, 1);
});

test("onAbort() callbacks run in order, and one may remove another", () => {
  const controller = new AbortController();
  const calls: string[] = [];
  onAbort(controller.signal, () => {
    calls.push("a");
    forgetB();
    forgetD();
  });
  const forgetB = onAbort(controller.signal, () => calls.push("b"));
  onAbort(controller.signal, () => calls.push("c"));
  const forgetD = onAbort(controller.signal, () => calls.push("d"));
  controller.abort();
  assertEquals(calls, ["a", "c"]);
});

test("onAbort() callback that throws does not keep others from being called", async () => {
  const { code, stdout, stderr } = await runProgram(`
    import { onAbort } from "ROOT/cancellation.ts";
    const controller = new AbortController();
    onAbort(controller.signal, () => { throw new Error("my callback"); });
    onAbort(controller.signal, () => console.log("told"));
    controller.abort();
    console.log("after");
  `);
  assertEquals(stdout, "told\nafter\n");
  assert(stderr.includes("my callback"), stderr);
  assert(code !== 0);
});

test("onAbort() removes exactly the callbacks that were forgotten", () => {
  fc.assert(fc.property(
    fc.array(fc.boolean(), { maxLength: 20 }),
    fc.array(fc.nat(19), { maxLength: 20 }),
    (keep, order) => {
      const controller = new CountingController();
      const called: number[] = [];
      const forgets = keep.map((_, index) =>
        onAbort(controller.signal, () => called.push(index))
      );
      for (const index of order) if (keep[index] === false) forgets[index]?.();
      for (const [index, kept] of keep.entries()) if (!kept) forgets[index]?.();
      assertEquals(controller.listeners, keep.includes(true) ? 1 : 0);
      controller.abort();
      assertEquals(called, [...keep.keys()].filter((index) => keep[index]));
      assertEquals(controller.listeners, 0);
    },
  ));
});

test("sleep() resolves when the time is over, not earlier", async () => {
  const clock = new ManualClock();
  let over = false;
  sleep(100, { clock }).then(() => over = true);
  await clock.advance(99);
  assertFalse(over);
  await clock.advance(1);
  assert(over);
});

test("sleep() on the system clock takes its time", async () => {
  const before = performance.now();
  await sleep(20);
  const taken = performance.now() - before;
  assert(taken >= 20 && taken < 2000, `${taken}`);
});

test("sleep() rejects with the reason the moment its signal aborts", async () => {
  for (const reason of ["enough", new Error("enough"), null, 0]) {
    const clock = new ManualClock();
    const controller = new CountingController();
    const slept = reasonOf(sleep(1e9, { signal: controller.signal, clock }));
    controller.abort(reason);
    assertStrictEquals(await slept, reason);
    assertEquals(clock.pending, []);
    assertEquals(controller.listeners, 0);
  }
});

test("sleep() on an aborted signal rejects and sets no timer", async () => {
  const clock = new ManualClock();
  const signal = AbortSignal.abort("before");
  assertEquals(await reasonOf(sleep(1, { signal, clock })), "before");
  assertEquals(clock.pending, []);
});

test("sleep() removes its listener when the time is over", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  const { signal } = controller;
  const slept = sleep(5, { signal, clock });
  assertEquals(controller.listeners, 1);
  await clock.advance(5);
  await slept;
  assertEquals(controller.listeners, 0);
});

test("sleep() of a thousand on one signal has one listener", async () => {
  const controller = new CountingController();
  const slept = Array.from(
    { length: 1000 },
    () => reasonOf(sleep(1e6, { signal: controller.signal })),
  );
  assertEquals(controller.listeners, 1);
  controller.abort("all");
  assertEquals(new Set(await Promise.all(slept)), new Set(["all"]));
  assertEquals(controller.listeners, 0);
  assertEquals(controller.most, 1);
});

test("sleep() beyond 2^31 ms and of Infinity really waits", async () => {
  for (const ms of [2 ** 31, 2 ** 31 + 1000, 2 ** 40, Infinity]) {
    const controller = new AbortController();
    let ended = false;
    const slept = sleep(ms, { signal: controller.signal })
      .finally(() => ended = true);
    await sleep(30);
    assertFalse(ended);
    controller.abort("enough");
    assertEquals(await reasonOf(slept), "enough");
  }
});

test("sleep() beyond 2^31 ms ends when its time has come", async () => {
  const clock = new ManualClock();
  let over = false;
  sleep(2 ** 33, { clock }).then(() => over = true);
  await clock.advance(2 ** 33 - 1);
  assertFalse(over);
  await clock.advance(1);
  assert(over);
});

test("sleep() rejects bad arguments by name and sets no timer", async () => {
  const clock = new ManualClock();
  for (const ms of [NaN, -1, -Infinity]) {
    await assertRejects(
      () => sleep(ms, { clock }),
      RangeError,
      `Cannot sleep as 'ms' must be a non-negative number: current value is ${ms}`,
    );
  }
  for (const ms of ["5", null, undefined, {}, 5n]) {
    await assertRejects(
      () => sleep(ms as unknown as number, { clock }),
      TypeError,
      "Cannot sleep as 'ms' must be a non-negative number",
    );
  }
  const wrong = [
    [{ signal: {} }, "'signal' must be an AbortSignal"],
    [{ clock: { now: 1 } }, "'clock' must be a Clock"],
    [{ ref: "no" }, "'ref' must be a boolean"],
    [null, "'options' must be an object"],
    [5, "'options' must be an object"],
  ] as const;
  for (const [options, message] of wrong) {
    await assertRejects(() => sleep(1, options as never), TypeError, message);
  }
  assertEquals(clock.pending, []);
});

test("sleep() with ref: false does not keep the process alive", async () => {
  const result = await runProgram(`
    import { sleep } from "ROOT/cancellation.ts";
    sleep(15_000, { ref: false }).then(() => console.log("slept"));
    sleep(50).then(() => console.log("kept alive"));
    console.log("end of module");
  `);
  assertEquals(result.stdout, "end of module\nkept alive\n");
  assertEquals(result.code, 0);
});

test("sleep() that was aborted does not keep the process alive", async () => {
  const result = await runProgram(`
    import { sleep } from "ROOT/cancellation.ts";
    const controller = new AbortController();
    sleep(15_000, { signal: controller.signal }).catch(console.log);
    controller.abort("aborted");
  `);
  assertEquals(result.stdout, "aborted\n");
  assertEquals(result.code, 0);
});

test("abortable() settles as the promise does", async () => {
  const { signal } = new AbortController();
  assertEquals(await abortable(Promise.resolve(1), signal), 1);
  const error = new Error("mine");
  assertStrictEquals(
    await reasonOf(abortable(Promise.reject(error), signal)),
    error,
  );
  assertEquals(await abortable(Promise.resolve(2)), 2);
});

test("abortable() takes any thenable", async () => {
  const thenable: PromiseLike<number> = {
    then: (resolve) => Promise.resolve(resolve === null ? 0 : 3).then(resolve),
  };
  assertEquals(await abortable(thenable, new AbortController().signal), 3);
});

test("abortable() rejects with the reason, and leaves nothing on the promise", async () => {
  let reactions = 0;
  const never = new Promise<void>(() => {});
  const then = never.then.bind(never);
  never.then = ((...args: Parameters<typeof then>) => {
    reactions++;
    return then(...args);
  }) as typeof never.then;
  for (let round = 0; round < 100; round++) {
    const controller = new CountingController();
    const waited = reasonOf(abortable(never, controller.signal));
    assertEquals(controller.listeners, 1);
    controller.abort(round);
    assertEquals(await waited, round);
    assertEquals(controller.listeners, 0);
  }
  assertEquals(reactions, 1);
});

test("timeout() of one promise side by side all settle, though a clock cannot cancel", async () => {
  const manual = new ManualClock();
  const broken: Clock = {
    now: () => manual.now(),
    setTimer(callback, delay) {
      manual.setTimer(callback, delay);
      return () => {
        throw new Error("cannot cancel");
      };
    },
  };
  const outcomes: unknown[] = [];
  const unhandled = await unhandledDuring(async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    for (const clock of [broken, manual, broken]) {
      timeout(promise, 100, { clock }).then((value) => outcomes.push(value));
    }
    resolve("image");
    await manual.advance(50);
  });
  assertEquals(unhandled, []);
  assertEquals(outcomes, ["image", "image", "image"]);
});

test("abortable() waits side by side on one promise all settle", async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const controller = new AbortController();
  const cut = reasonOf(abortable(promise, controller.signal));
  const first = abortable(promise, new AbortController().signal);
  const second = abortable(promise);
  controller.abort("cut");
  assertEquals(await cut, "cut");
  resolve("value");
  assertEquals(await Promise.all([first, second]), ["value", "value"]);
  assertEquals(await abortable(promise), "value");
});

test("abortable() rejects at once on an aborted signal, and a late failure is handled", async () => {
  const { promise, reject } = Promise.withResolvers<void>();
  const waited = reasonOf(abortable(promise, AbortSignal.abort("before")));
  assertEquals(await waited, "before");
  // An unhandled rejection fails the test on every runtime.
  reject(new Error("late"));
  await sleep(1);
});

test("abortable() rejects bad arguments by name", async () => {
  for (const value of [undefined, null, 5, {}, "promise"]) {
    await assertRejects(
      () => abortable(value as never),
      TypeError,
      "Cannot make abortable as 'promise' must be a promise",
    );
  }
  await assertRejects(
    () => abortable(Promise.resolve(), 5 as never),
    TypeError,
    "'signal' must be an AbortSignal",
  );
});

test("timeout() settles as the work does and clears its timer", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  const { signal } = controller;
  assertEquals(await timeout(Promise.resolve(1), 100, { clock, signal }), 1);
  assertEquals(await timeout(() => 2, 100, { clock, signal }), 2);
  assertEquals(
    await reasonOf(timeout(() => Promise.reject("mine"), 9, { clock, signal })),
    "mine",
  );
  assertEquals(
    await reasonOf(timeout(
      () => {
        throw "thrown";
      },
      9,
      { clock, signal },
    )),
    "thrown",
  );
  assertEquals(clock.pending, []);
  assertEquals(controller.listeners, 0);
});

test("timeout() rejects with a TimeoutError and aborts the work with it", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  let seen: AbortSignal | undefined;
  const waited = timeout(
    (signal) => {
      seen = signal;
      return new Promise(() => {});
    },
    100,
    { clock, signal: controller.signal },
  );
  const reason = reasonOf(waited);
  await clock.advance(99);
  assertEquals(seen?.aborted, false);
  await clock.advance(1);
  const error = await reason;
  assert(error instanceof DOMException);
  assertEquals(error.name, "TimeoutError");
  assertEquals(error.message, "Timed out after 100 ms");
  assertStrictEquals(seen?.reason, error);
  assertEquals(clock.pending, []);
  assertEquals(controller.listeners, 0);
});

test("timeout() of a promise rejects with a TimeoutError", async () => {
  const clock = new ManualClock();
  const reason = reasonOf(timeout(new Promise(() => {}), 10, { clock }));
  await clock.advance(10);
  assertEquals((await reason as DOMException).name, "TimeoutError");
});

test("timeout() rejects with the reason of its signal and hands it to the work", async () => {
  const clock = new ManualClock();
  const controller = new CountingController();
  let seen: unknown;
  const waited = reasonOf(timeout(
    (signal) => {
      onAbort(signal, (reason) => seen = reason);
      return new Promise(() => {});
    },
    100,
    { clock, signal: controller.signal },
  ));
  controller.abort("user");
  assertEquals(await waited, "user");
  assertEquals(seen, "user");
  assertEquals(clock.pending, []);
  assertEquals(controller.listeners, 0);
});

test("timeout() does not call the work on an aborted signal", async () => {
  let called = false;
  const waited = timeout(() => called = true, 1, {
    signal: AbortSignal.abort("before"),
  });
  assertEquals(await reasonOf(waited), "before");
  assertFalse(called);
});

test("timeout() handles the late failure of work it has left", async () => {
  const clock = new ManualClock();
  const { promise, reject } = Promise.withResolvers<void>();
  const waited = reasonOf(timeout(() => promise, 5, { clock }));
  await clock.advance(5);
  await waited;
  reject(new Error("late"));
  await sleep(1);
});

test("timeout() hears of an abort inside the work", async () => {
  for (const ms of [50, Infinity]) {
    const clock = new ManualClock();
    const controller = new CountingController();
    const { signal } = controller;
    let seen: unknown;
    const waited = timeout(
      (signal) => {
        controller.abort("inside");
        seen = signal.reason;
        return new Promise(() => {});
      },
      ms,
      { signal, clock },
    );
    assertEquals(await reasonOf(waited), "inside");
    assertEquals(seen, "inside");
    assertEquals(clock.pending, []);
    assertEquals(controller.listeners, 0);
  }
});

test("timeout() of work leaves one reaction on a promise that lives long", async () => {
  let reactions = 0;
  const never = new Promise<void>(() => {});
  const then = never.then.bind(never);
  never.then = ((...args: Parameters<typeof then>) => {
    reactions++;
    return then(...args);
  }) as typeof never.then;
  const clock = new ManualClock();
  for (let round = 0; round < 20; round++) {
    const waited = reasonOf(timeout(() => never, 5, { clock }));
    await clock.advance(5);
    await waited;
  }
  assertEquals(reactions, 1);
});

test("timeout() with Infinity sets no limit", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  const waited = timeout(promise, Infinity);
  resolve(4);
  assertEquals(await waited, 4);
});

test("timeout() rejects bad arguments by name before the work is called", async () => {
  let called = false;
  const work = () => called = true;
  await assertRejects(() => timeout(work, NaN), RangeError, "'ms'");
  await assertRejects(() => timeout(work, -1), RangeError, "'ms'");
  await assertRejects(() => timeout(work, "1" as never), TypeError, "'ms'");
  await assertRejects(() => timeout(5 as never, 1), TypeError, "'work'");
  await assertRejects(
    () => timeout(work, 1, { signal: 1 as never }),
    TypeError,
    "'signal'",
  );
  assertFalse(called);
});

test("CancelScope aborts with any of its parents, with the parent's reason", () => {
  const first = new CountingController();
  const second = new CountingController();
  const scope = new CancelScope(first.signal, undefined, second.signal);
  const { signal } = scope;
  assertFalse(scope.aborted);
  second.abort("second");
  assert(signal.aborted);
  assertEquals(signal.reason, "second");
  assertEquals(scope.reason, "second");
  first.abort("first");
  assertEquals(scope.reason, "second");
  assertEquals([first.listeners, second.listeners], [0, 0]);
});

test("CancelScope aborts by itself without touching its parents", () => {
  const parent = new CountingController();
  const scope = new CancelScope(parent.signal);
  scope.abort("own");
  assertEquals(scope.signal.reason, "own");
  assertFalse(parent.signal.aborted);
  assertEquals(parent.listeners, 0);
});

test("CancelScope has an AbortError for a reason when none is given", () => {
  const scope = new CancelScope();
  scope.abort();
  assertEquals((scope.reason as DOMException).name, "AbortError");
  assertStrictEquals(scope.signal.reason, scope.reason);
});

test("CancelScope below an aborted parent is aborted", () => {
  const live = new CountingController();
  const scope = new CancelScope(live.signal, AbortSignal.abort("before"));
  assertEquals(scope.reason, "before");
  assertEquals(scope.signal.reason, "before");
  assertEquals(live.listeners, 0);
});

test("CancelScope lets go of its parents when disposed of, and does not abort", () => {
  const parent = new CountingController();
  const scope = new CancelScope(parent.signal);
  assertEquals(parent.listeners, 1);
  scope.dispose();
  scope[Symbol.dispose]();
  assertEquals(parent.listeners, 0);
  parent.abort();
  assertFalse(scope.aborted);
});

test("CancelScope refuses a parent that is no signal", () => {
  assertThrows(
    () => new CancelScope({} as AbortSignal),
    TypeError,
    "Cannot create CancelScope as 'parents' must be an AbortSignal",
  );
});

test("isCancellation() knows the echoes of an abort", () => {
  const controller = new AbortController();
  const reason = new Error("stop");
  assertFalse(isCancellation(reason, controller.signal));
  controller.abort(reason);
  const { signal } = controller;
  assert(isCancellation(reason, signal));
  assert(isCancellation(new DOMException("x", "AbortError"), signal));
  assert(isCancellation(new Error("x", { cause: reason }), signal));
  assertFalse(isCancellation(new Error("stop"), signal));
  assertFalse(isCancellation(undefined, signal));
});
