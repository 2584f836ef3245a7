// Copyright 2026 the Longrun authors. MIT license.

/**
 * The life of a task, as its runner sees it. The table of calls and states is
 * that of QMI, with our differences: joining a task that was never started
 * rejects instead of waiting for ever, a join keeps nobody from anything, and
 * a start after a stop says that the task was stopped.
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import type { AnyTaskRunner, TaskHandle } from "../task_context.ts";
import { type TaskOutcome, TaskRunError } from "../task_runner.ts";
import { CountingController } from "./_listeners.ts";
import { Act, Deaf, Idle, TaskRig } from "./_task_rig.ts";
import { never, reasonOf, watch } from "./_timeout_iterator_rig.ts";
import { turns } from "./_turns.ts";
import { unhandledDuring } from "./_unhandled.ts";

const dark = new Error("no light");

/** A task in each of the states that its runner knows. */
interface Situation {
  name: string;
  bring(rig: TaskRig): Promise<TaskHandle>;
  state: string;
  running: boolean;
  ended: boolean;
  abandoned?: boolean;
  outcome: TaskOutcome | undefined;
  /** What a start says. */
  start?: "started" | "stopped";
  /** What a join does at once. */
  join: "rejects" | "waits" | "resolves" | "fails";
}

async function begun(
  rig: TaskRig,
  act: (task: Act) => unknown,
): Promise<TaskHandle> {
  const task = await rig.context.makeTask("task", Act, [act]);
  task.start();
  await rig.settle();
  return task;
}

const sleeps = (task: Act): Promise<void> => task.sleep(Infinity);

const SITUATIONS: Situation[] = [
  {
    name: "that is new",
    bring: (rig) => rig.context.makeTask("task", Act, [sleeps]),
    state: "stopped",
    running: false,
    ended: false,
    outcome: undefined,
    join: "rejects",
  },
  {
    name: "that was stopped before it was started",
    bring: async (rig) => {
      const task = await rig.context.makeTask("task", Act, [sleeps]);
      await task.stop();
      return task;
    },
    state: "stopped",
    running: false,
    ended: true,
    outcome: "stopped",
    start: "stopped",
    join: "resolves",
  },
  {
    name: "that was started in this turn",
    bring: async (rig) => {
      const task = await rig.context.makeTask("task", Act, [sleeps]);
      queueMicrotask(() => task.start());
      return task;
    },
    state: "starting",
    running: true,
    ended: false,
    outcome: undefined,
    start: "started",
    join: "waits",
  },
  {
    name: "that runs",
    bring: (rig) => begun(rig, sleeps),
    state: "running",
    running: true,
    ended: false,
    outcome: undefined,
    start: "started",
    join: "waits",
  },
  {
    name: "that is stopping",
    bring: async (rig) => {
      const task = await begun(rig, never);
      task.stop();
      return task;
    },
    state: "stopping",
    running: true,
    ended: false,
    outcome: undefined,
    start: "started",
    join: "waits",
  },
  {
    name: "that was abandoned",
    bring: async (rig) => {
      const task = await begun(rig, never);
      task.stop({ grace: 0 });
      await rig.settle();
      return task;
    },
    state: "stopping",
    running: true,
    ended: false,
    abandoned: true,
    outcome: "abandoned",
    start: "started",
    join: "resolves",
  },
  {
    name: "that has ended by itself",
    bring: (rig) => begun(rig, () => {}),
    state: "stopped",
    running: false,
    ended: true,
    outcome: "completed",
    start: "started",
    join: "resolves",
  },
  {
    name: "that was stopped",
    bring: async (rig) => {
      const task = await begun(rig, sleeps);
      await task.stop();
      return task;
    },
    state: "stopped",
    running: false,
    ended: true,
    outcome: "stopped",
    start: "started",
    join: "resolves",
  },
  {
    name: "that has failed",
    bring: (rig) => begun(rig, () => Promise.reject(dark)),
    state: "errored",
    running: false,
    ended: true,
    outcome: "failed",
    start: "started",
    join: "fails",
  },
];

for (const situation of SITUATIONS) {
  const { name, bring, start, join, abandoned = false, ...seen } = situation;

  test(`TaskRunner of a task ${name} says so`, async () => {
    const rig = new TaskRig({ grace: 10 });
    const task = await bring(rig);
    const { state, running, ended, outcome } = task;
    assertEquals({ state, running, ended, outcome }, seen);
    assertEquals(task.abandoned, abandoned);
    assertEquals(task.unhandled, outcome === "failed");
    assertEquals(
      task.exception?.cause,
      outcome === "failed" ? dark : undefined,
    );
    assertFalse(task.unhandled);
    task.stop();
    await rig.clock.advance(10);
  });

  test(`TaskRunner.start() of a task ${name} ${start === undefined ? "starts it" : "throws"}`, async () => {
    const rig = new TaskRig({ grace: 10 });
    const task = await bring(rig);
    if (start === undefined) {
      task.start();
      assert(task.running);
      assertEquals(task.state, "starting");
    } else {
      assertThrows(
        () => task.start(),
        Error,
        `Cannot start task 'task' as it was ${start} before: make a new one`,
      );
      assertEquals(task.outcome, situation.outcome);
    }
    task.stop();
    await rig.clock.advance(10);
  });

  test(`TaskRunner.stop() of a task ${name} never throws, any number of times`, async () => {
    const rig = new TaskRig({ grace: 10 });
    const task = await bring(rig);
    const stops = [
      watch(task.stop(), rig.clock),
      watch(task.stop(), rig.clock),
      watch(task.stop({ grace: Infinity }), rig.clock),
    ];
    await rig.clock.advance(10);
    const hangs = seen.state === "stopping";
    for (const [index, stop] of stops.entries()) {
      if (hangs && index === 2) assertEquals(stop.outcome, undefined);
      else {
        assertEquals(stop.outcome, { value: hangs ? "abandoned" : "stopped" });
      }
    }
    assertEquals(
      task.outcome,
      situation.outcome ?? (hangs ? "abandoned" : "stopped"),
    );
    rig.assertNothingLeft();
  });

  test(`TaskRunner.join() of a task ${name} ${join}, any number of times`, async () => {
    const rig = new TaskRig({ grace: 10 });
    const task = await bring(rig);
    for (let time = 0; time < 3; time++) {
      const joining = watch(task.join(), rig.clock);
      await rig.settle();
      if (join === "waits") assertEquals(joining.outcome, undefined);
      else if (join === "resolves") {
        assertEquals(joining.outcome, { value: undefined });
      } else if (join === "rejects") {
        const error = reasonOf(joining);
        assertInstanceOf(error, Error);
        assertEquals(
          error.message,
          "Cannot join task 'task' as it was never started",
        );
      } else {
        const error = reasonOf(joining);
        assertInstanceOf(error, TaskRunError);
        assertEquals(error.message, "Task 'task' failed");
        assertStrictEquals(error.cause, dark);
        assertStrictEquals(error, task.exception);
      }
    }
    task.stop();
    await rig.clock.advance(10);
  });

  test(`TaskRunner of a task ${name} takes settings and shows the status`, async () => {
    const rig = new TaskRig({ grace: 10 });
    const task = await bring(rig);
    assertEquals(task.pendingSettings, undefined);
    task.setSettings({ gain: 1 });
    assertEquals(task.pendingSettings, { gain: 1 });
    assertEquals([task.settings, task.status], [undefined, undefined]);
    task.stop();
    await rig.clock.advance(10);
  });
}

// Start.

test("TaskRunner.start() does not run the task within the call", async () => {
  const { context } = new TaskRig();
  let ran = false;
  const task = await context.makeTask("task", Act, [() => {
    ran = true;
  }]);
  task.start();
  assertFalse(ran);
  await task.join();
  assert(ran);
});

test("TaskRunner that is started and stopped in one turn does not run the task", async () => {
  const rig = new TaskRig();
  let ran = false;
  const task = await rig.context.makeTask("task", Act, [() => {
    ran = true;
  }]);
  task.start();
  const stopping = task.stop();
  assertEquals(task.state, "stopping");
  assert(task.running);
  assertEquals(await stopping, "stopped");
  await rig.settle();
  assertFalse(ran);
  assertEquals(task.outcome, "stopped");
  rig.assertNothingLeft();
});

// Stop.

test("TaskRunner is running until the task has ended", async () => {
  const rig = new TaskRig();
  const { promise, resolve } = Promise.withResolvers<void>();
  const task = await rig.context.makeTask("task", Deaf, [promise]);
  task.start();
  await rig.settle();
  const stop = watch(task.stop(), rig.clock);
  await rig.clock.advance(1000);
  assert(task.running);
  assertEquals([task.ended, task.outcome], [false, undefined]);
  resolve();
  await rig.settle();
  assertFalse(task.running);
  assertEquals(stop, { outcome: { value: "stopped" }, at: 1000 });
});

test("TaskRunner.stop() gives up after the grace, and the task is abandoned until it ends", async () => {
  const rig = new TaskRig();
  const { promise, resolve } = Promise.withResolvers<void>();
  const task = await rig.context.makeTask("task", Deaf, [promise]);
  task.start();
  await rig.settle();
  const join = watch(task.join(), rig.clock);
  const stop = watch(task.stop({ grace: 300 }), rig.clock);
  await rig.clock.advance(299);
  assertEquals(stop.outcome, undefined);
  assertEquals(join.outcome, undefined);
  await rig.clock.advance(1);
  assertEquals(stop, { outcome: { value: "abandoned" }, at: 300 });
  assertEquals(join, { outcome: { value: undefined }, at: 300 });
  assertEquals(task.outcome, "abandoned");
  assert(task.abandoned && task.running && !task.ended);
  assertEquals(rig.logger.lines, [
    "warn Task 'task' was abandoned: it did not end when stopped",
  ]);
  // Nobody waits a second time for what did not hear the first.
  await task[Symbol.asyncDispose]();
  assertEquals(rig.clock.now(), 300);
  resolve();
  await rig.settle();
  assertFalse(task.running);
  assert(task.ended && task.abandoned);
  assertEquals(task.outcome, "stopped");
  assertEquals(await task.stop(), "stopped");
  rig.assertNothingLeft();
});

test("TaskRunner has the grace of the call, else of the task, else of the context, else 5 s", async () => {
  const graces: [
    number | undefined,
    number | undefined,
    number | undefined,
    number,
  ][] = [
    [30, 20, 10, 30],
    [undefined, 20, 10, 20],
    [undefined, undefined, 10, 10],
    [undefined, undefined, undefined, 5000],
    [0, 20, 10, 0],
    [undefined, 0, 10, 0],
  ];
  for (const [called, own, common, expected] of graces) {
    const rig = new TaskRig({ grace: common });
    const task = await rig.context.makeTask("task", Deaf, [], { grace: own });
    task.start();
    await rig.settle();
    const stop = watch(task.stop({ grace: called }), rig.clock);
    await rig.clock.advance(10_000);
    assertEquals(stop, { outcome: { value: "abandoned" }, at: expected });
  }
});

test("TaskRunner.stop() with an infinite grace sets no timer and waits as long as it takes", async () => {
  const rig = new TaskRig();
  const { promise, resolve } = Promise.withResolvers<void>();
  const task = await rig.context.makeTask("task", Deaf, [promise]);
  task.start();
  await rig.settle();
  const stop = watch(task.stop({ grace: Infinity }), rig.clock);
  await rig.clock.advance(1e9);
  assertEquals(stop.outcome, undefined);
  assertEquals(rig.timers.set, 0);
  resolve();
  await rig.settle();
  assertEquals(stop.outcome, { value: "stopped" });
});

test("TaskRunner.stop() counts with its first reason", async () => {
  const rig = new TaskRig();
  const reasons: unknown[] = [];
  const task = await begun(rig, async (task) => {
    await task.sleep(Infinity).catch((error) => reasons.push(error.cause));
    reasons.push(task.signal.reason.cause);
  });
  await Promise.all([
    task.stop({ reason: "dawn" }),
    task.stop({ reason: "clouds" }),
  ]);
  assertEquals(reasons, ["dawn", "dawn"]);
});

test("TaskRunner.stop() refuses bad options and stops nothing", async () => {
  const rig = new TaskRig();
  const task = await begun(rig, sleeps);
  for (const grace of [-1, NaN]) {
    await assertRejects(() => task.stop({ grace }), RangeError, "'grace'");
  }
  await assertRejects(
    () => task.stop({ grace: "1" as never }),
    TypeError,
    "Cannot stop as 'grace' must be a non-negative number",
  );
  await assertRejects(() => task.stop(5 as never), TypeError, "'options'");
  assertEquals(task.state, "running");
  await task.stop();
});

test("TaskRunner that nobody waits for obeys its signals, too, within its grace", async () => {
  for (const which of ["task", "context"]) {
    const rig = new TaskRig();
    const own = new CountingController();
    const task = await rig.context.makeTask("task", Deaf, [], {
      signal: own.signal,
      grace: 40,
    });
    task.start();
    await rig.settle();
    assertEquals([own.listeners, rig.controller.listeners], [1, 1]);
    (which === "task" ? own : rig.controller).abort("dawn");
    assertEquals(task.state, "stopping");
    assertEquals([own.listeners, rig.controller.listeners], [0, 0]);
    await rig.clock.advance(39);
    assertEquals(task.outcome, undefined);
    await rig.clock.advance(1);
    assertEquals(task.outcome, "abandoned");
  }
});

test("TaskRunner that was abandoned by a stop sets no timer for its signal any more", async () => {
  const rig = new TaskRig({ grace: 1000 });
  const task = await rig.context.makeTask("task", Deaf);
  task.start();
  await rig.settle();
  rig.controller.abort();
  const stop = watch(task.stop({ grace: 10 }), rig.clock);
  await rig.clock.advance(10);
  assertEquals(stop.outcome, { value: "abandoned" });
  rig.assertNothingLeft();
  await rig.clock.advance(1000);
  assertEquals(rig.logger.of("warn").length, 1);
});

test("TaskRunner hands the reason of its signal to the task", async () => {
  const rig = new TaskRig();
  const causes: unknown[] = [];
  await begun(
    rig,
    (task) => task.sleep(Infinity).catch((error) => causes.push(error.cause)),
  );
  rig.controller.abort("clouds");
  await rig.settle();
  assertEquals(causes, ["clouds"]);
});

test("TaskRunner whose signal has aborted ends at once when it is started, and never runs", async () => {
  const rig = new TaskRig();
  let ran = false;
  const task = await rig.context.makeTask("task", Act, [() => {
    ran = true;
  }], { signal: AbortSignal.abort("before") });
  assertEquals([task.state, task.ended], ["stopped", false]);
  task.start();
  await task.join();
  assertFalse(ran);
  assertEquals([task.state, task.outcome], ["stopped", "stopped"]);
  rig.assertNothingLeft();
});

test("TaskRunner whose signal aborts before the start stays new until then", async () => {
  const rig = new TaskRig();
  const own = new CountingController();
  const task = await rig.context.makeTask("task", Idle, [], {
    signal: own.signal,
  });
  assertEquals([own.listeners, rig.controller.listeners], [0, 0]);
  own.abort();
  assertEquals([task.ended, task.outcome], [false, undefined]);
  await task.stop();
});

// Join.

test("TaskRunner.join() keeps nobody from anything else", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("task", Idle);
  task.start();
  const joins = Array.from({ length: 5 }, () => watch(task.join(), rig.clock));
  await rig.clock.advance(1000);
  assertEquals(task.status, "idle");
  task.setSettings(4);
  const lock = await task.lock();
  assert(lock?.held);
  lock.unlock();
  assertEquals(await task.stop(), "stopped");
  await rig.settle();
  for (const join of joins) {
    assertEquals(join, { outcome: { value: undefined }, at: 1000 });
  }
});

test("TaskRunner.join() ends early by its signal, the task goes on", async () => {
  const rig = new TaskRig();
  const controller = new CountingController();
  const task = await begun(rig, sleeps);
  const join = watch(
    task.join({ signal: controller.signal }),
    rig.clock,
  );
  await rig.settle();
  controller.abort("enough");
  await rig.settle();
  assertEquals(reasonOf(join), "enough");
  assertEquals(controller.listeners, 0);
  assert(task.running);
  const aborted = AbortSignal.abort("before");
  assertEquals(
    await task.join({ signal: aborted }).catch((reason) => reason),
    "before",
  );
  await task.stop();
  await task.join({ signal: aborted });
});

test("TaskRunner.join() that has ended early has not looked at the error", async () => {
  const rig = new TaskRig();
  const { promise, reject } = Promise.withResolvers<void>();
  const controller = new AbortController();
  const task = await begun(rig, () => promise);
  const join = task.join({ signal: controller.signal }).catch(() => {});
  controller.abort();
  await join;
  reject(dark);
  await rig.settle();
  assertEquals(rig.logger.lines, ["error Task 'task' failed: Error: no light"]);
  assert(task.unhandled);
});

test("TaskRunner.join() refuses bad options", async () => {
  const rig = new TaskRig();
  const task = await begun(rig, sleeps);
  await assertRejects(
    () => task.join({ signal: 1 as never }),
    TypeError,
    "'signal'",
  );
  await assertRejects(() => task.join(null as never), TypeError, "'options'");
  await task.stop();
});

// Failures.

test("TaskRunner logs a failure that nobody joins, once", async () => {
  const unhandled = await unhandledDuring(async () => {
    const rig = new TaskRig();
    const task = await begun(rig, () => Promise.reject(dark));
    await rig.clock.advance(1000);
    assertEquals(rig.logger.lines, [
      "error Task 'task' failed: Error: no light",
    ]);
    assert(task.unhandled);
    await assertRejects(() => task.join(), TaskRunError);
    await task.stop();
    await rig.settle();
    assertEquals(rig.logger.lines.length, 1);
    assertFalse(task.unhandled);
  });
  assertEquals(unhandled, []);
});

test("TaskRunner does not log a failure that is joined, before or right after it", async () => {
  const ways: ((task: AnyTaskRunner) => Promise<unknown>)[] = [
    (task) => task.join().catch(() => {}),
    async (task) => {
      await task.stop();
      await task.join().catch(() => {});
    },
    async (task) => {
      await task.stop();
      assertEquals(task.exception?.cause, dark);
    },
  ];
  for (const look of ways) {
    const rig = new TaskRig();
    const task = await begun(
      rig,
      (task) => task.sleep(50).catch(() => {}).then(() => Promise.reject(dark)),
    );
    const looking = look(task);
    await rig.clock.advance(100);
    await looking;
    await turns();
    assertEquals(rig.logger.lines, []);
    assertFalse(task.unhandled);
  }
});

test("TaskRunner.exception that was read before the failure does not hide it", async () => {
  const rig = new TaskRig();
  const { promise, reject } = Promise.withResolvers<void>();
  const task = await begun(rig, () => promise);
  assertEquals(task.exception, undefined);
  reject(dark);
  await rig.settle();
  assert(task.unhandled);
  assertEquals(rig.logger.lines, ["error Task 'task' failed: Error: no light"]);
});

test("TaskRunner.exception counts as a look", async () => {
  const rig = new TaskRig();
  const task = await begun(rig, () => Promise.reject(dark));
  assert(task.unhandled);
  assertInstanceOf(task.exception, TaskRunError);
  assertFalse(task.unhandled);
});

test("TaskRunner.failed publishes the error once, when the runner says that it has ended", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("task", Act, [
    () => Promise.reject(dark),
  ]);
  const seen: unknown[] = [];
  task.failed.onPublish((error) => {
    const { running, ended, state, outcome } = task;
    seen.push(error.cause, running, ended, state, outcome);
  });
  const subscription = task.failed.subscribe();
  task.start();
  await rig.settle();
  assertEquals(seen, [dark, false, true, "errored", "failed"]);
  assertEquals((await subscription.next()).value?.value.cause, dark);
  assertEquals(await subscription.next(), { done: true, value: undefined });
  // To be told is not to look.
  assertEquals(rig.logger.of("error").length, 1);
  assertStrictEquals(task.failed.last, task.exception);
});

test("TaskRunner.failed publishes nothing and ends when the task ends otherwise", async () => {
  for (const act of [() => {}, sleeps]) {
    const rig = new TaskRig();
    const task = await rig.context.makeTask("task", Act, [act]);
    const next = task.failed.subscribe().next();
    task.start();
    await rig.settle();
    await task.stop();
    assertEquals(await next, { done: true, value: undefined });
    assertEquals(task.failed.published, 0);
  }
});

test("TaskRunner of a task that fails after it was abandoned logs that, and joins fail from then on", async () => {
  const unhandled = await unhandledDuring(async () => {
    const rig = new TaskRig();
    const { promise, reject } = Promise.withResolvers<void>();
    const task = await rig.context.makeTask("task", Deaf, [promise]);
    task.start();
    await rig.settle();
    const stop = task.stop({ grace: 0 });
    await rig.settle();
    assertEquals(await stop, "abandoned");
    await task.join();
    reject(dark);
    await rig.settle();
    assertEquals(rig.logger.of("error"), [
      "error Task 'task' failed: Error: no light",
    ]);
    assertEquals([task.outcome, task.state], ["failed", "errored"]);
    await assertRejects(() => task.join(), TaskRunError);
  });
  assertEquals(unhandled, []);
});

test("TaskRunner survives a logger that throws", async () => {
  const broken = (): never => {
    throw new Error("disk full");
  };
  const rig = new TaskRig({
    logger: { debug: broken, info: broken, warn: broken, error: broken },
  });
  const { error } = console;
  const told: unknown[] = [];
  console.error = (message: unknown) => told.push(message);
  try {
    const task = await begun(rig, () => Promise.reject(dark));
    await rig.settle();
    assertEquals(task.outcome, "failed");
  } finally {
    console.error = error;
  }
  assertEquals(told, ["Task 'task' failed: Error: no light"]);
});

// States.

test("TaskRunner.states() gives the current state and every transition with its time", async () => {
  const rig = new TaskRig();
  const { promise, resolve } = Promise.withResolvers<void>();
  const task = await rig.context.makeTask("task", Deaf, [promise]);
  const seen: [string, number][] = [];
  const following = (async () => {
    for await (const { state, time } of task.states()) seen.push([state, time]);
  })();
  await rig.clock.advance(5);
  task.start();
  await rig.clock.advance(3);
  task.stop();
  await rig.clock.advance(7);
  resolve();
  await following;
  assertEquals(seen, [
    ["stopped", 0],
    ["starting", 5],
    ["running", 5],
    ["stopping", 8],
    ["stopped", 15],
  ]);
});

test("TaskRunner.states() ends with a failure, and with a stop before the start", async () => {
  const collect = async (task: AnyTaskRunner): Promise<string[]> => {
    const seen: string[] = [];
    for await (const { state } of task.states()) seen.push(state);
    return seen;
  };
  const rig = new TaskRig();
  const failing = await rig.context.makeTask("failing", Act, [
    () => Promise.reject(dark),
  ]);
  const following = collect(failing);
  failing.start();
  await failing.join().catch(() => {});
  assertEquals(await following, ["stopped", "starting", "running", "errored"]);
  assertEquals(await collect(failing), ["errored"]);
  const idle = await rig.context.makeTask("idle", Idle);
  const ending = collect(idle);
  await idle.stop();
  assertEquals(await ending, ["stopped"]);
});

test("TaskRunner.states() ends by its signal, and refuses bad options", async () => {
  const rig = new TaskRig();
  const controller = new CountingController();
  const task = await begun(rig, sleeps);
  const states = task.states({ signal: controller.signal });
  assertEquals((await states.next()).value.state, "running");
  const next = watch(states.next(), rig.clock);
  controller.abort("enough");
  await rig.settle();
  assertEquals(reasonOf(next), "enough");
  assertEquals(controller.listeners, 0);
  assertThrows(
    () => task.states({ signal: 1 as never }),
    TypeError,
    "Cannot follow states as 'signal' must be an AbortSignal",
  );
  assertThrows(() => task.states(1 as never), TypeError, "'options'");
  await task.stop();
});

// What it tells of the task.

test("TaskRunner tells the name, the class and the category of the task", async () => {
  const { context } = new TaskRig();
  const task = await context.makeTask("idle-(1)", Idle);
  assertEquals(
    [task.name, task.className, task.category],
    ["idle-(1)", "Idle", "task"],
  );
});

test("TaskRunner of a task that is no loop has statistics that are zero", async () => {
  const { context } = new TaskRig();
  const task = await context.makeTask("idle", Idle);
  const zero = { rounds: 0, overruns: 0, missed: 0, worstLateness: 0 };
  assertEquals(task.statistics, zero);
  task.start();
  await task.stop();
  assertEquals(task.statistics, zero);
});
