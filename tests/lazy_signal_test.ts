// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStrictEquals,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { LazySignal } from "../_lazy_signal.ts";
import { Wait } from "../_wait.ts";
import { onAbort } from "../cancellation.ts";
import { TaskStopError } from "../task.ts";
import { Act, HookedLoop, Idle, TaskRig } from "./_task_rig.ts";

/** Has somebody told of the abort who waits without a signal. */
function wait(lazy: LazySignal, told: (reason: unknown) => void): void {
  lazy.waiters.add(new Wait(() => {}, told, {}));
}

/** How many controllers are made meanwhile. */
async function countControllers(work: () => Promise<void>): Promise<number> {
  const genuine = globalThis.AbortController;
  let count = 0;
  globalThis.AbortController = class extends genuine {
    constructor() {
      super();
      count++;
    }
  };
  try {
    await work();
  } finally {
    globalThis.AbortController = genuine;
  }
  return count;
}

const REASONS: [name: string, reason: unknown][] = [
  ["an error", new Error("dawn")],
  ["a string", "clouds"],
  ["no reason", undefined],
];

for (const [name, given] of REASONS) {
  test(`LazySignal has one reason, whenever its signal is made, for ${name}`, () => {
    const early = new LazySignal();
    const { signal } = early;
    assertFalse(signal.aborted);
    const meanwhile = new LazySignal();
    const reasons: unknown[] = [];
    wait(meanwhile, (reason) => {
      assert(meanwhile.signal.aborted);
      reasons.push(reason, meanwhile.signal.reason);
    });
    const late = new LazySignal();

    for (const lazy of [early, meanwhile, late]) {
      lazy.abort(given);
      lazy.abort("too late");
      assert(lazy.signal.aborted);
      assertStrictEquals(lazy.signal, lazy.signal);
      assertStrictEquals(lazy.signal.reason, lazy.reason);
      if (given !== undefined) assertStrictEquals(lazy.reason, given);
      else assertEquals((lazy.reason as Error).name, "AbortError");
    }
    assertStrictEquals(early.signal, signal);
    assertEquals(reasons, [meanwhile.reason, meanwhile.reason]);
  });
}

test("LazySignal tells all who wait once, with a signal and without", () => {
  const lazy = new LazySignal();
  const told: string[] = [];
  wait(lazy, (reason) => told.push(`before ${reason}`));
  onAbort(lazy.signal, (reason) => told.push(`callback ${reason}`));
  lazy.signal.addEventListener("abort", () => told.push("listener"));
  wait(lazy, (reason) => told.push(`after ${reason}`));
  lazy.abort("dawn");
  lazy.abort("noon");
  assertEquals(told, [
    "listener",
    "before dawn",
    "callback dawn",
    "after dawn",
  ]);
});

test("LazySignal does not tell those who have left", () => {
  const lazy = new LazySignal();
  const told: unknown[] = [];
  const gone = new Wait<void>(() => {}, (reason) => told.push(reason), {});
  lazy.waiters.add(gone);
  gone.resolve();
  lazy.abort();
  assertEquals(told, []);
});

test("Task makes no signal unless somebody looks at it", async () => {
  const rig = new TaskRig();
  assertEquals(
    await countControllers(async () => {
      const loop = await rig.context.makeTask("loop", HookedLoop);
      const idle = await rig.context.makeTask("idle", Idle);
      loop.start();
      idle.start();
      await rig.settle();
      assertEquals(await loop.stop(), "stopped");
      assertEquals(await idle.stop({ reason: "dawn" }), "stopped");
    }),
    0,
  );
  rig.assertNothingLeft();
});

test("LoopTask has the same signal before, during and after its stop", async () => {
  const rig = new TaskRig();
  const signals: AbortSignal[] = [];
  const look = ({ signal }: HookedLoop) => signals.push(signal);
  let made: HookedLoop | undefined;
  const hooks = {
    loopPrepare: (task: HookedLoop) => {
      made = task;
      return look(task);
    },
    loopFinalize: look,
  };
  const loop = await rig.context.makeTask("loop", HookedLoop, [{ hooks }]);
  loop.start();
  await rig.settle();
  assertFalse(signals[0]?.aborted);
  await loop.stop({ reason: "dawn" });
  assertEquals(signals.length, 2);
  assertStrictEquals(signals[1], signals[0]);
  assertStrictEquals(made?.signal, signals[0]);
  assertInstanceOf(signals[0]?.reason, TaskStopError);
  assertEquals(signals[0].reason.cause, "dawn");
});

test("LoopTask has an aborted signal, first looked at while it stops", async () => {
  const rig = new TaskRig();
  const reasons: unknown[] = [];
  const hooks = {
    loopFinalize: async (task: HookedLoop) => {
      assert(task.signal.aborted);
      reasons.push(task.signal.reason);
      await task.sleep(10).catch((reason) => reasons.push(reason));
    },
  };
  const loop = await rig.context.makeTask("loop", HookedLoop, [{ hooks }]);
  loop.start();
  await rig.settle();
  await loop.stop({ reason: "dawn" });
  const [first, second] = reasons;
  assertInstanceOf(first, TaskStopError);
  assertEquals(first.cause, "dawn");
  assertStrictEquals(second, first);
  rig.assertNothingLeft();
});

test("Task has an aborted signal, first looked at after its end", async () => {
  const rig = new TaskRig();
  const reasons: unknown[] = [];
  let made: Act | undefined;
  const act = async (task: Act) => {
    made = task;
    await task.sleep(Infinity).catch((reason) => reasons.push(reason));
  };
  const task = await rig.context.makeTask("task", Act, [act]);
  task.start();
  await rig.settle();
  await task.stop();
  assert(made?.signal.aborted);
  assertInstanceOf(reasons[0], TaskStopError);
  assertStrictEquals(made.signal.reason, reasons[0]);
});

test("LoopTask stopped within a round has no further one", async () => {
  const rig = new TaskRig();
  const hooks = { loopIteration: (task: HookedLoop) => task.stop() };
  const loop = await rig.context.makeTask("loop", HookedLoop, [{ hooks }]);
  loop.start();
  await rig.clock.advance(5000);
  assertEquals(loop.outcome, "stopped");
  assertEquals(loop.statistics.rounds, 1);
  rig.assertNothingLeft();
});
