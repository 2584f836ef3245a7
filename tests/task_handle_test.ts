// Copyright 2026 the Longrun authors. MIT license.

/**
 * Handles: views of a runner, each with an identity for the lock. Where QMI
 * lets a lock keep others from everything, here they may still look.
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import process from "node:process";
import { type HeldLock, LockedError } from "../lock.ts";
import { LoopTask } from "../loop_task.ts";
import type { AnyTaskRunner, TaskHandle } from "../task_context.ts";
import { TaskRunner } from "../task_runner.ts";
import { CountingController } from "./_listeners.ts";
import { Act, Deaf, Idle, TaskRig } from "./_task_rig.ts";
import { never, reasonOf, watch } from "./_timeout_iterator_rig.ts";

interface CameraSettings {
  exposure: number;
  gain: number;
}

class Camera extends LoopTask<CameraSettings, number> {
  override settings: CameraSettings = { exposure: 50, gain: 1 };
  override status = 0;
}

/** A runner with members of every kind. */
class CameraRunner extends TaskRunner<Camera> {
  note = "";
  readonly close = (): string => `closed ${this.#filter}`;
  #filter = "clear";

  get filter(): string {
    return this.#filter;
  }

  set filter(filter: string) {
    this.#filter = filter;
  }

  setExposure(exposure: number): this {
    this.setSettings({ ...(this.pendingSettings ?? this.settings), exposure });
    return this;
  }

  async setGain(gain: number): Promise<this> {
    await undefined;
    this.setSettings({ ...(this.pendingSettings ?? this.settings), gain });
    return this;
  }

  promise(): Promise<string> {
    return Promise.resolve(this.#filter);
  }

  fail(): never {
    throw new RangeError("no such filter");
  }

  async failLater(): Promise<never> {
    await undefined;
    throw new RangeError("no such filter");
  }

  *filters(): Generator<string> {
    yield this.#filter;
  }

  override toString(): string {
    return `camera with ${this.#filter}`;
  }
}

async function cameras() {
  const rig = new TaskRig();
  const mine = await rig.context.makeTask("camera", Camera, [
    { period: 100 },
  ], { runner: CameraRunner });
  const theirs = rig.context.getTask("camera", Camera, CameraRunner);
  return { rig, mine, theirs };
}

async function held(
  lock: Promise<HeldLock | null>,
): Promise<HeldLock> {
  const given = await lock;
  assert(given !== null, "was not given the lock");
  return given;
}

// Views of one runner.

test("Handle of a task is another one each time, over the same task", async () => {
  const { mine, theirs } = await cameras();
  assert((mine as unknown) !== theirs);
  mine.setExposure(70);
  assertEquals(theirs.pendingSettings, { exposure: 70, gain: 1 });
  theirs.start();
  assert(mine.running);
  assertEquals(await mine.stop(), "stopped");
  assertEquals(theirs.outcome, "stopped");
  assertStrictEquals(mine.failed, theirs.failed);
  assertStrictEquals(
    mine.topics.settingsUpdated,
    theirs.topics.settingsUpdated,
  );
});

test("Handle is an instance of its runner's class, and shows that", async () => {
  const { mine } = await cameras();
  assertInstanceOf(mine, CameraRunner);
  assertInstanceOf(mine, TaskRunner);
  assertStrictEquals(mine.constructor, CameraRunner);
  assert("setExposure" in mine && "lock" in mine && "isLocked" in mine);
  assertFalse("expose" in mine);
});

test("Handle gives the same function for the same method, and a function that needs no handle", async () => {
  const { rig, mine, theirs } = await cameras();
  assertStrictEquals(mine.stop, mine.stop);
  assertStrictEquals(mine.setExposure, mine.setExposure);
  assertStrictEquals(mine.lock, mine.lock);
  assert(mine.stop !== theirs.stop);
  const { start, stop, setExposure, lock } = mine;
  setExposure(3);
  start();
  await rig.settle();
  assert(await lock());
  assertEquals(await stop(), "stopped");
});

test("Handle sees a method that was replaced", async () => {
  const { mine, theirs } = await cameras();
  const { setExposure } = mine;
  mine.setExposure = () => mine;
  assert(mine.setExposure !== setExposure);
  theirs.setExposure(99);
  assertEquals(theirs.pendingSettings, undefined);
});

test("Handle has the methods of its runner, sync and async, with their results and errors", async () => {
  const { mine } = await cameras();
  assertEquals(mine.close(), "closed clear");
  assertEquals(await mine.promise(), "clear");
  assertEquals([...mine.filters()], ["clear"]);
  assertThrows(() => mine.fail(), RangeError, "no such filter");
  await assertRejects(() => mine.failLater(), RangeError, "no such filter");
});

test("Handle is what methods return that return their runner, sync and async", async () => {
  const { mine, theirs } = await cameras();
  assertStrictEquals(mine.setExposure(10).setExposure(20), mine);
  assertStrictEquals(await mine.setGain(5), mine);
  assertEquals(mine.pendingSettings, { exposure: 20, gain: 5 });
  // Or it would be a way around the lock.
  const escaped = await theirs.setGain(6);
  await mine.lock();
  assertThrows(() => escaped.setExposure(1), LockedError);
});

test("Handle has the getters, setters and fields of its runner, also private ones behind them", async () => {
  const { mine, theirs } = await cameras();
  assertEquals(mine.filter, "clear");
  mine.filter = "red";
  mine.note = "for the night";
  assertEquals([theirs.filter, theirs.note], ["red", "for the night"]);
  assertThrows(() => {
    (mine as { status: number }).status = 5;
  }, TypeError);
});

test("Handle is shown as its runner shows itself", async () => {
  const { mine, theirs } = await cameras();
  assertEquals(`${mine}`, "camera with clear");
  await mine.lock();
  assertEquals(String(theirs), "camera with clear");
  assertFalse(Object.hasOwn(theirs, "lock"));
});

// What a lock keeps others from.

/** Everything that changes something, and how it says that it may not. */
const CHANGES: [
  name: string,
  how: "throws" | "rejects",
  change: (task: TaskHandle<CameraRunner>, rig: TaskRig) => unknown,
  action: string,
][] = [
  ["start()", "throws", (task) => task.start(), "call 'start'"],
  ["stop()", "rejects", (task) => task.stop(), "call 'stop'"],
  [
    "setSettings()",
    "throws",
    (task) => task.setSettings({ exposure: 1, gain: 1 }),
    "call 'setSettings'",
  ],
  [
    "its disposal",
    "rejects",
    (task) => task[Symbol.asyncDispose](),
    "dispose of task",
  ],
  [
    "a method of a subclass",
    "throws",
    (task) => task.setExposure(1),
    "call 'setExposure'",
  ],
  [
    "an asynchronous method of a subclass",
    "rejects",
    (task) => task.setGain(1),
    "call 'setGain'",
  ],
  [
    "a method that returns a promise without being asynchronous",
    "throws",
    (task) => task.promise(),
    "call 'promise'",
  ],
  ["a function in a field", "throws", (task) => task.close(), "call 'close'"],
  ["a generator", "throws", (task) => task.filters(), "call 'filters'"],
  ["a setter", "throws", (task) => task.filter = "red", "set 'filter'"],
  ["a field", "throws", (task) => task.note = "mine", "set 'note'"],
  [
    "its removal",
    "rejects",
    (task, { context }) => context.removeTask(task),
    "remove task",
  ],
  [
    "its removal by name",
    "rejects",
    (_, { context }) => context.removeTask("camera"),
    "remove task",
  ],
];

for (const [name, how, change, action] of CHANGES) {
  test(`Handle ${how} a LockedError at ${name} while another has locked the task`, async () => {
    const { rig, mine, theirs } = await cameras();
    const lock = await held(mine.lock());
    const message = `Cannot ${action} as 'camera' is locked by another owner`;
    if (how === "throws") {
      assertThrows(() => change(theirs, rig), LockedError, message);
    } else {
      const promise = change(theirs, rig);
      assertInstanceOf(promise, Promise);
      await assertRejects(() => promise, LockedError, message);
    }
    // Nothing has happened.
    assertEquals(mine.state, "stopped");
    assertEquals(mine.ended, false);
    assertEquals(mine.pendingSettings, undefined);
    assertEquals([mine.filter, mine.note], ["clear", ""]);
    assertEquals(rig.context.tasks.length, 1);
    lock.unlock();
    await change(theirs, rig);
    await rig.context.dispose();
  });

  if (name === "its removal by name") continue;

  test(`Handle allows ${name} to the owner of the lock`, async () => {
    const { rig, mine } = await cameras();
    await mine.lock();
    await change(mine, rig);
    await rig.context.dispose();
  });
}

test("Handle shows everything that getters show while another has locked the task", async () => {
  const { mine, theirs } = await cameras();
  await mine.lock();
  const seen = [
    theirs.name,
    theirs.className,
    theirs.category,
    theirs.state,
    theirs.running,
    theirs.ended,
    theirs.abandoned,
    theirs.outcome,
    theirs.exception,
    theirs.unhandled,
    theirs.settings,
    theirs.pendingSettings,
    theirs.status,
    theirs.statistics.rounds,
    theirs.filter,
    theirs.note,
    theirs.isLocked,
  ];
  assertEquals(seen, [
    ...["camera", "Camera", "task", "stopped", false, false, false],
    ...[undefined, undefined, false, { exposure: 50, gain: 1 }, undefined],
    ...[0, 0, "clear", "", true],
  ]);
  assertEquals(theirs.topics.statusUpdated.subscribers, 0);
  assertEquals(theirs.failed.subscribers, 0);
});

test("Handle may join and follow the states while another has locked the task", async () => {
  const { rig, mine, theirs } = await cameras();
  await mine.lock();
  mine.start();
  const states = theirs.states();
  assertEquals((await states.next()).value.state, "starting");
  const join = watch(theirs.join(), rig.clock);
  await rig.settle();
  assertEquals(join.outcome, undefined);
  await mine.stop();
  await rig.settle();
  assertEquals(join.outcome, { value: undefined });
  await states.return?.();
});

test("Handle may subscribe to topics while another has locked the task", async () => {
  const { rig, mine, theirs } = await cameras();
  await mine.lock();
  const seen: unknown[] = [];
  theirs.topics.settingsUpdated.onPublish((settings) => seen.push(settings));
  mine.start();
  mine.setGain(3);
  await rig.clock.advance(150);
  assertEquals(seen, [{ exposure: 50, gain: 3 }]);
  await mine.stop();
});

test("Lock of a task keeps neither the task itself nor its runner nor its signals from anything", async () => {
  const rig = new TaskRig();
  const own = new AbortController();
  for (const end of ["task", "signal"]) {
    const task = await rig.context.makeTask(end, Act, [
      async (task) => {
        await task.sleep(10);
        if (end === "task") task.stop();
        await task.sleep(Infinity);
      },
    ], { signal: own.signal });
    const other = rig.context.getTask(end);
    task.start();
    await other.lock();
    await rig.clock.advance(10);
    if (end === "signal") own.abort();
    await rig.settle();
    assertEquals([task.outcome, task.isLocked], ["stopped", true]);
  }
});

// The lock. What the tests of the original ask for comes first.

test("Lock of a task is given to one handle, and all of them see it", async () => {
  const { mine, theirs } = await cameras();
  assertFalse(mine.isLocked || theirs.isLocked);
  const lock = await held(mine.lock());
  assert(lock.held);
  assert(mine.isLocked && theirs.isLocked);
  assertEquals(await theirs.lock(), null);
  assert(lock.held);
});

test("Lock of a task is unlocked by its owner, and by no other handle", async () => {
  const { mine, theirs } = await cameras();
  const lock = await held(mine.lock());
  assertFalse(theirs.unlock());
  assertFalse(theirs.unlock("B"));
  assert(mine.isLocked && lock.held);
  assert(mine.unlock());
  assertFalse(mine.isLocked || lock.held);
  assert(mine.unlock() && theirs.unlock());
});

test("Lock of a task with a token is unlocked by whoever knows it", async () => {
  const { mine, theirs } = await cameras();
  const lock = await held(mine.lock({ token: "A" }));
  assertEquals(lock.token, "A");
  assertFalse(theirs.unlock("B"));
  assert(theirs.unlock("A"));
  assertFalse(mine.isLocked || lock.held);
});

test("Lock of a task with a token has everybody for an owner who presents it", async () => {
  const { rig, mine, theirs } = await cameras();
  await held(mine.lock({ token: "A" }));
  const late = rig.context.getTask("camera", Camera, CameraRunner);
  await held(theirs.lock({ token: "A" }));
  theirs.setExposure(1);
  mine.setExposure(2);
  assertThrows(() => late.setExposure(3), LockedError);
  // To know the token is not yet to present it.
  assert(late.unlock("A"));
  late.setExposure(3);
});

test("Lock of a task is opened by force, whoever holds it", async () => {
  const { mine, theirs } = await cameras();
  const lock = await held(mine.lock());
  theirs.forceUnlock();
  assertFalse(mine.isLocked || theirs.isLocked || lock.held);
  const next = await held(theirs.lock());
  // The lock of before opens nothing any more.
  assertFalse(lock.unlock());
  assert(next.held);
  assertThrows(() => mine.setExposure(1), LockedError);
});

// There it kills the object.
test("Lock of a task that is not locked can be opened by force", async () => {
  const { mine, theirs } = await cameras();
  mine.forceUnlock();
  theirs.forceUnlock();
  assertFalse(mine.isLocked);
  assert(await mine.lock());
});

test("Lock of a task is waited for, at most for a time", async () => {
  for (const [timeout, outcome, at] of [[1000, true, 500], [400, false, 400]]) {
    const { rig, mine, theirs } = await cameras();
    const lock = await held(mine.lock());
    rig.clock.setTimer(() => lock.unlock(), 500);
    const wait = watch(theirs.lock({ timeout: timeout as number }), rig.clock);
    await rig.clock.advance(600);
    assert(wait.outcome !== undefined && "value" in wait.outcome);
    assertEquals(wait.outcome.value !== null, outcome);
    assertEquals(wait.at, at);
    assertEquals([mine.isLocked, theirs.isLocked], [outcome, outcome]);
    assertEquals(rig.timers.timers, 0);
  }
});

test("Lock of a task may have a method beside it that takes a token", async () => {
  class TokenRunner extends TaskRunner<Idle> {
    open(token: string): string {
      return token;
    }
  }
  const { context } = new TaskRig();
  const task = await context.makeTask("idle", Idle, [], {
    runner: TokenRunner,
  });
  assertEquals(task.open("A"), "A");
  await task.lock({ token: "B" });
  assertEquals(task.open("A"), "A");
});

test("Lock of a task is handed on in the order in which handles have come", async () => {
  const { rig, mine } = await cameras();
  await mine.lock();
  const order: number[] = [];
  const handles = Array.from(
    { length: 5 },
    () => rig.context.getTask("camera"),
  );
  for (const [index, handle] of handles.entries()) {
    handle.lock({ timeout: Infinity }).then(() => {
      order.push(index);
      assertThrows(() => mine.setExposure(1), LockedError);
    });
  }
  await rig.settle();
  assertEquals(order, []);
  mine.unlock();
  for (const [index, handle] of handles.entries()) {
    await rig.settle();
    assertEquals(order.length, index + 1);
    // Nobody comes in between.
    assertEquals(await mine.lock(), null);
    if (index === 2) mine.forceUnlock();
    else assert(handle.unlock());
  }
  assertEquals(order, [0, 1, 2, 3, 4]);
  assertFalse(mine.isLocked);
});

test("Lock of a task that is waited for is given up by a signal, and leaves no listener", async () => {
  const { rig, mine, theirs } = await cameras();
  const controller = new CountingController();
  const { signal } = controller;
  await mine.lock();
  const wait = watch(theirs.lock({ timeout: Infinity, signal }), rig.clock);
  await rig.settle();
  assertEquals(controller.listeners, 1);
  controller.abort("enough");
  await rig.settle();
  assertEquals(reasonOf(wait), "enough");
  assertEquals(controller.listeners, 0);
  mine.unlock();
  assertFalse(theirs.isLocked);
});

test("Lock of a task refuses bad options by name", async () => {
  const { mine } = await cameras();
  for (const timeout of [-1, NaN]) {
    await assertRejects(() => mine.lock({ timeout }), RangeError, "'timeout'");
  }
  for (const token of ["", 5]) {
    await assertRejects(
      () => mine.lock({ token: token as string }),
      TypeError,
      "'token'",
    );
  }
  assertThrows(() => mine.unlock(5 as never), TypeError, "'token'");
  await assertRejects(
    () => mine.lock({ signal: 5 as never }),
    TypeError,
    "'signal'",
  );
  assertFalse(mine.isLocked);
});

test("Lock of a task survives its start, its end and all joins", async () => {
  const endings: [string, (task: Act) => unknown][] = [
    ["completed", () => {}],
    ["stopped", (task) => task.sleep(Infinity)],
    ["failed", () => Promise.reject(new Error("no light"))],
    ["abandoned", () => never()],
  ];
  for (const [outcome, act] of endings) {
    const rig = new TaskRig({ grace: 10 });
    const mine = await rig.context.makeTask("task", Act, [act]);
    const theirs = rig.context.getTask("task");
    const lock = await held(mine.lock());
    mine.start();
    await rig.settle();
    mine.stop();
    await rig.clock.advance(10);
    await mine.join().catch(() => {});
    assertEquals(mine.outcome, outcome);
    assert(lock.held && theirs.isLocked);
    assertThrows(() => theirs.setSettings(1), LockedError);
    mine.setSettings(2);
    lock.unlock();
    theirs.setSettings(3);
  }
});

test("Lock of a task that is removed is given to nobody any more, those who wait get null", async () => {
  const { rig, mine, theirs } = await cameras();
  const lock = await held(mine.lock());
  const waits = [
    watch(theirs.lock({ timeout: Infinity }), rig.clock),
    watch(theirs.lock({ timeout: 1000 }), rig.clock),
  ];
  await rig.settle();
  await rig.context.removeTask(mine);
  await rig.settle();
  for (const { outcome } of waits) assertEquals(outcome, { value: null });
  // Who holds it keeps it until he unlocks.
  assert(lock.held);
  assertThrows(() => theirs.setExposure(1), LockedError);
  lock.unlock();
  theirs.setExposure(1);
  assertEquals(await theirs.lock({ timeout: Infinity }), null);
  assertEquals(rig.timers.timers, 0);
});

test("Lock of a task is unlocked by the disposal of what was given", async () => {
  const { mine, theirs } = await cameras();
  const lock = await held(mine.lock());
  lock[Symbol.dispose]();
  theirs.setExposure(5);
  assertFalse(mine.isLocked);
  const again = await held(mine.lock());
  assertNotEquals(again.token, lock.token);
});

// Scopes.

test("Handle whose scope ends stops the task, and waits for it no longer than its grace", async () => {
  const rig = new TaskRig({ grace: 50 });
  const deaf = await rig.context.makeTask("deaf", Deaf);
  deaf.start();
  await rig.settle();
  const disposal = watch(deaf[Symbol.asyncDispose](), rig.clock);
  await rig.clock.advance(100);
  assertEquals(disposal, { outcome: { value: undefined }, at: 50 });
  await deaf[Symbol.asyncDispose]();
  assertEquals(rig.clock.now(), 100);
});

const { node } = process.versions;
const hasUsing = "Deno" in globalThis || "Bun" in globalThis ||
  Number(node.split(".")[0]) >= 24;

// In a module of its own, because not every runtime has the syntax.
if (hasUsing) {
  test("Handle in `await using` is stopped at the end of the scope, however that ends", async () => {
    const { runInScope, useContext } = await import("./_task_using.ts");
    for (const isThrowing of [false, true]) {
      const rig = new TaskRig();
      const task = await rig.context.makeTask("idle", Idle);
      const scope = watch(
        runInScope(task, async () => {
          await rig.settle();
          assert(task.running);
          if (isThrowing) throw new Error("by design");
        }),
        rig.clock,
      );
      await rig.settle();
      await rig.settle();
      assertFalse(task.running);
      assertEquals(task.outcome, "stopped");
      if (isThrowing) assertInstanceOf(reasonOf(scope), Error);
      else assertEquals(scope.outcome, { value: undefined });
      // The name is still taken, and the status can be read.
      assertEquals([task.status, rig.context.tasks.length], ["idle", 1]);
      await useContext(rig.context, () => {});
      assertEquals(rig.context.tasks, []);
    }
  });

  test("Handle in `await using` does not stop what another has locked meanwhile, and says so", async () => {
    const { runInScope } = await import("./_task_using.ts");
    const { mine, theirs } = await cameras();
    await assertRejects(
      () => runInScope(theirs, () => mine.lock()),
      LockedError,
      "Cannot dispose of task as 'camera' is locked by another owner",
    );
    assert(mine.running);
    await mine.stop();
  });
} else {
  test.skip("Handle in `await using`: this runtime has none", () => {});
}

test("Handle of any task is a TaskRunner of any task", async () => {
  const { mine } = await cameras();
  const any: AnyTaskRunner = mine;
  assertEquals(any.name, "camera");
});
