// Copyright 2026 the Longrun authors. MIT license.

/**
 * Settings go into a task and its status comes out. The first part is the
 * behaviour that the test suite of QMI asks for, in virtual time.
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertStrictEquals,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { Task } from "../task.ts";
import { Measurement } from "./_task_originals.ts";
import { Act, type Hook, HookedLoop, Idle, TaskRig } from "./_task_rig.ts";

// The tests of the original.

for (const isInScope of [false, true]) {
  const where = isInScope ? "in a scope" : "by itself";

  test(`Settings are taken over while the task runs ${where}`, async () => {
    const rig = new TaskRig();
    const task = await rig.context.makeTask("set", Measurement, [{
      duration: 2000,
      value: 100,
    }]);
    const updates = task.topics.settingsUpdated.subscribe();
    task.start();
    await rig.clock.advance(500);
    const old = task.settings;
    const settings = { message: "hello", value: 101 };
    task.setSettings(settings);
    assertStrictEquals(task.settings, old);
    await rig.clock.advance(500);
    assertStrictEquals(task.settings, settings);
    assertEquals(old, { message: "hello", value: 100 });
    await rig.clock.advance(1500);
    if (isInScope) await task[Symbol.asyncDispose]();
    else await task.join();
    assertEquals(task.status, 101);
    assertEquals((await updates.next()).value?.value, settings);
    assertEquals(updates.length, 0);
  });

  test(`Settings are pending until the task takes them over ${where}`, async () => {
    const rig = new TaskRig();
    const gate = { isOpen: false };
    const task = await rig.context.makeTask("set", Measurement, [{
      duration: 2000,
      gate,
    }]);
    task.start();
    await rig.clock.advance(200);
    assertEquals(task.pendingSettings, undefined);
    const settings = { message: "hello", value: 101 };
    task.setSettings(settings);
    assertStrictEquals(task.pendingSettings, settings);
    await rig.clock.advance(400);
    assertStrictEquals(task.pendingSettings, settings);
    gate.isOpen = true;
    await rig.clock.advance(400);
    assertEquals(task.pendingSettings, undefined);
    assertStrictEquals(task.settings, settings);
    await rig.clock.advance(400);
    assertEquals(task.pendingSettings, undefined);
    if (isInScope) await task[Symbol.asyncDispose]();
    else await task.stop();
    assertEquals(task.outcome, "stopped");
  });
}

// What it does not ask for.

/** A task that takes settings over when the test says so. */
async function taker() {
  const rig = new TaskRig();
  let self: Act | undefined;
  const handle = await rig.context.makeTask("taker", Act, [(task) => {
    self = task;
    return task.sleep(Infinity);
  }]);
  const updates: unknown[] = [];
  handle.topics.settingsUpdated.onPublish((value) => updates.push(value));
  const start = async (): Promise<void> => {
    handle.start();
    await rig.settle();
  };
  const take = (): boolean => {
    assert(self !== undefined);
    return self.updateSettings();
  };
  return { rig, handle, updates, start, take };
}

test("Settings that were not taken over are replaced: the newest win", async () => {
  const { handle, updates, start, take } = await taker();
  await start();
  for (const value of [1, 2, 3]) handle.setSettings(value);
  assertEquals(handle.pendingSettings, 3);
  assert(take());
  assertFalse(take());
  assertEquals(handle.settings, 3);
  assertEquals(updates, [3]);
  await handle.stop();
});

test("Settings that were sent before the start wait for the first look", async () => {
  const { handle, updates, start, take } = await taker();
  handle.setSettings("early");
  assertEquals([handle.settings, handle.pendingSettings], [undefined, "early"]);
  assertEquals(updates, []);
  await start();
  assertEquals(handle.pendingSettings, "early");
  assert(take());
  assertEquals(updates, ["early"]);
  await handle.stop();
});

test("Settings that are sent after the end stay pending, and nobody is told", async () => {
  const { handle, updates, start } = await taker();
  await start();
  handle.setSettings("before");
  await handle.stop();
  assertEquals(handle.pendingSettings, "before");
  handle.setSettings("after");
  assertEquals([handle.settings, handle.pendingSettings], [undefined, "after"]);
  assertEquals(updates, []);
});

test("Settings that a task takes over after its end tell nobody", async () => {
  const { handle, updates, start, take } = await taker();
  await start();
  await handle.stop();
  handle.setSettings("after");
  assert(take());
  assertEquals([handle.settings, handle.pendingSettings], ["after", undefined]);
  assertEquals(updates, []);
});

test("Settings may be anything, nothing included", async () => {
  const { handle, updates, start, take } = await taker();
  await start();
  const values = [0, "", false, null, NaN, undefined];
  for (const value of values) {
    handle.setSettings("something");
    take();
    handle.setSettings(value);
    assertStrictEquals(handle.pendingSettings, value);
    assertEquals(handle.settings, "something");
    assert(take(), `${value} was not taken over`);
    assertStrictEquals(handle.settings, value);
    assertFalse(take());
  }
  assertEquals(updates, values.flatMap((value) => ["something", value]));
  await handle.stop();
});

test("Settings are published once for each that was taken over, when they are in effect", async () => {
  const { handle, start, take } = await taker();
  const seen: unknown[] = [];
  handle.topics.settingsUpdated.onPublish((value) => {
    seen.push([value, handle.settings, handle.pendingSettings]);
  });
  await start();
  handle.setSettings("lost");
  handle.setSettings("one");
  take();
  take();
  handle.setSettings("two");
  take();
  assertEquals(seen, [["one", "one", undefined], ["two", "two", undefined]]);
  await handle.stop();
});

test("Settings that are sent by whoever is told of others wait for the next look", async () => {
  const { handle, updates, start, take } = await taker();
  handle.topics.settingsUpdated.onPublish((value) => {
    if (value === "one") handle.setSettings("two");
  });
  await start();
  handle.setSettings("one");
  assert(take());
  assertEquals([handle.settings, handle.pendingSettings], ["one", "two"]);
  assert(take());
  assertFalse(take());
  assertEquals(updates, ["one", "two"]);
  await handle.stop();
});

test("Settings of the class itself are not published", async () => {
  const { context } = new TaskRig();
  const task = await context.makeTask("idle", Idle);
  assertEquals(task.settings, 0);
  task.start();
  await task.stop();
  assertEquals(task.topics.settingsUpdated.published, 0);
});

test("Settings and status are handed on as they are, not copied", async () => {
  const { handle, start, take } = await taker();
  const settings = { gain: 1, nested: { offset: 2 } };
  handle.setSettings(settings);
  assertStrictEquals(handle.pendingSettings, settings);
  await start();
  take();
  assertStrictEquals(handle.settings, settings);
  await handle.stop();
});

test("Settings of a loop are taken over at the beginning of a round, before processNewSettings() is called", async () => {
  const rig = new TaskRig();
  const order: unknown[] = [];
  const task = await rig.context.makeTask("loop", HookedLoop, [{
    period: 100,
    hooks: {
      processNewSettings: ({ settings }) => order.push("process", settings),
      loopIteration: ({ settings }) => order.push("iterate", settings),
    },
  }]);
  task.topics.settingsUpdated.onPublish((value) =>
    order.push("publish", value)
  );
  task.setSettings(1);
  task.start();
  await rig.clock.advance(50);
  task.setSettings(2);
  task.setSettings(3);
  await rig.clock.advance(40);
  assertEquals(task.settings, 1);
  await rig.clock.advance(100);
  assertEquals(order, [
    ...["publish", 1, "process", 1, "iterate", 1],
    ...["publish", 3, "process", 3, "iterate", 3],
  ]);
  await rig.clock.advance(50);
  assertEquals(order.slice(-2), ["iterate", 3]);
  await task.stop();
});

test("Settings that come after the last round of a loop are never processed", async () => {
  const rig = new TaskRig();
  const calls: Hook[] = [];
  const task = await rig.context.makeTask("loop", HookedLoop, [
    { period: 100 },
    calls,
  ]);
  task.start();
  await rig.clock.advance(50);
  task.setSettings("late");
  await task.stop();
  assertEquals(calls, [
    "loopPrepare",
    "loopIteration",
    "updateStatus",
    "publishSignals",
    "loopFinalize",
  ]);
  assertEquals(task.pendingSettings, "late");
});

test("Settings that a hook of the loop sends itself come in the next round", async () => {
  const rig = new TaskRig();
  const seen: unknown[] = [];
  const task = await rig.context.makeTask("loop", HookedLoop, [{
    period: 100,
    hooks: {
      loopIteration: ({ settings }) => {
        seen.push(settings);
        if (seen.length === 1) rig.context.getTask("loop").setSettings("mine");
      },
    },
  }]);
  task.start();
  await rig.clock.advance(150);
  assertEquals(seen, [undefined, "mine"]);
  await task.stop();
});

// Status.

test("Status is what the task has assigned last, also after its end", async () => {
  class Progress extends Task<undefined, { done: number }> {
    override status = { done: 0 };
    override async run(): Promise<void> {
      for (let done = 1; done <= 3; done++) {
        await this.sleep(10);
        this.status = { done };
      }
    }
  }
  const rig = new TaskRig();
  const task = await rig.context.makeTask("progress", Progress);
  const seen = [task.status.done];
  task.start();
  for (let step = 0; step < 4; step++) {
    await rig.clock.advance(10);
    seen.push(task.status.done);
  }
  assertEquals(seen, [0, 1, 2, 3, 3]);
  assertFalse(task.running);
  assertEquals(task.status, { done: 3 });
});

test("Status of a loop is published after updateStatus() has said so, and only then", async () => {
  const rig = new TaskRig();
  let round = 0;
  const task = await rig.context.makeTask("loop", HookedLoop, [{
    period: 10,
    hooks: {
      updateStatus: (task) => {
        task.status = ++round;
        const isEven = round % 2 === 0;
        return round < 4 ? isEven : Promise.resolve(isEven);
      },
    },
  }]);
  const published: unknown[] = [];
  task.topics.statusUpdated.onPublish((value) => published.push(value));
  task.start();
  await rig.clock.advance(65);
  assertEquals(task.status, 7);
  assertEquals(published, [2, 4, 6]);
  await task.stop();
});

test("Settings that are taken over are the newest at the time, once, in any order of sending and taking", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.constant("take"), fc.nat(100)), { maxLength: 40 }),
      async (steps) => {
        const { handle, updates, start, take } = await taker();
        await start();
        const expected: unknown[] = [];
        let pending: { value: unknown } | undefined;
        for (const step of steps) {
          if (step === "take") {
            assertEquals(take(), pending !== undefined);
            if (pending !== undefined) expected.push(pending.value);
            pending = undefined;
          } else {
            handle.setSettings(step);
            pending = { value: step };
          }
          assertEquals(handle.pendingSettings, pending?.value);
          assertEquals(handle.settings, expected.at(-1));
        }
        assertEquals(updates, expected);
        await handle.stop();
      },
    ),
  );
});
