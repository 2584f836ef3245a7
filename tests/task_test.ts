// Copyright 2026 the Longrun authors. MIT license.

/**
 * What a task is in itself. The first part is the behaviour that the test suite
 * of QMI asks for, in virtual time.
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
import { FakeTime } from "@std/testing/time";
import { sleep } from "../cancellation.ts";
import type { Clock } from "../clock.ts";
import { Task, type TaskHost, TaskStopError } from "../task.ts";
import { TaskContext } from "../task_context.ts";
import { TaskInitError, TaskRunError, TaskRunner } from "../task_runner.ts";
import { Topic } from "../topic.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import { Listener, Measurement } from "./_task_originals.ts";
import { Act, Deaf, HookedLoop, Idle, TaskRig } from "./_task_rig.ts";
import { never, watch } from "./_timeout_iterator_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

// The tests of the original: life cycle.

// There a scope starts the task; here it only stops it.
test("Task in a scope shows its status and is not started by it", async () => {
  const { context } = new TaskRig();
  const task = await context.makeTask("scope", Measurement, [{
    duration: 1000,
    value: 2,
  }]);
  assertEquals(task.status, null);
  assertFalse(task.running);
  await task[Symbol.asyncDispose]();
  assertEquals(task.outcome, "stopped");
});

test("Task is running within its scope and not after it", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("scope", Measurement, [{
    duration: 1000,
  }]);
  task.start();
  assert(task.running);
  await rig.settle();
  assert(task.running);
  await task[Symbol.asyncDispose]();
  assertFalse(task.running);
  assertEquals(rig.clock.now(), 0);
  rig.assertNothingLeft();
});

test("Task cannot be started twice, and not again once it has ended", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("once", Measurement);
  task.start();
  const message = "Cannot start task 'once' as it was started before";
  assertThrows(() => task.start(), Error, message);
  await task.join();
  assertThrows(() => task.start(), Error, message);
  assertEquals(task.outcome, "completed");
});

test("Task whose name is taken is not made", async () => {
  const { context } = new TaskRig();
  const first = await context.makeTask("pump", Measurement);
  await assertRejects(
    () => context.makeTask("pump", Measurement),
    Error,
    "Cannot make task 'pump' as the name is taken",
  );
  assertEquals(context.tasks.length, 1);
  await first.stop();
});

test("Task whose constructor throws is not made, and the error says why", async () => {
  const { context } = new TaskRig();
  const error = await assertRejects(
    () => context.makeTask("broken", Measurement, [{ failsToBegin: true }]),
    TaskInitError,
    "Cannot make task 'broken'",
  );
  assertEquals(error.name, "TaskInitError");
  assertInstanceOf(error.cause, RangeError);
  assertEquals(error.cause.message, "no such instrument");
  assertEquals(context.tasks, []);
});

test("Task whose run() throws fails the join, and the error says why", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("dark", Measurement, [{
    failsToRun: true,
  }]);
  task.start();
  await rig.clock.advance(2000);
  assertFalse(task.running);
  const error = await assertRejects(
    () => task.join(),
    TaskRunError,
    "Task 'dark' failed",
  );
  assertEquals(error.name, "TaskRunError");
  assertInstanceOf(error.cause, RangeError);
  assertEquals(error.cause.message, "no light");
});

// There the end of the scope raises the error; here it is logged.
test("Task that fails within its scope does not throw at its end", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("dark", Measurement, [{
    failsToRun: true,
  }]);
  task.start();
  await rig.settle();
  await task[Symbol.asyncDispose]();
  assertFalse(task.running);
  assertEquals(rig.logger.of("error").length, 1);
});

for (const isInScope of [false, true]) {
  const where = isInScope ? "in a scope" : "by itself";

  test(`Task runs ${where} to its end`, async () => {
    const rig = new TaskRig();
    const task = await rig.context.makeTask("run", Measurement, [{
      duration: 1000,
      value: 7,
    }]);
    assertFalse(task.running);
    task.start();
    assert(task.running);
    await rig.clock.advance(2000);
    assertFalse(task.running);
    if (isInScope) await task[Symbol.asyncDispose]();
    else await task.join();
    assertEquals(rig.clock.now(), 2000);
    assertEquals(task.status, 7);
    assertEquals(task.outcome, "completed");
  });

  test(`Task runs ${where} until it is stopped, at once`, async () => {
    const rig = new TaskRig();
    const task = await rig.context.makeTask("run", Measurement, [{
      duration: 2000,
    }]);
    task.start();
    await rig.clock.advance(500);
    assert(task.running);
    if (isInScope) await task[Symbol.asyncDispose]();
    else assertEquals(await task.stop(), "stopped");
    assertFalse(task.running);
    await task.join();
    assertEquals(rig.clock.now(), 500);
    assertEquals(task.status, null);
    assertEquals(task.outcome, "stopped");
    rig.assertNothingLeft();
  });
}

test("Task that is stopped before its start never runs", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("new", Measurement, [{ value: 3 }]);
  await rig.clock.advance(500);
  assertFalse(task.running);
  assertEquals(await task.stop(), "stopped");
  assertFalse(task.running);
  await task.join();
  assertEquals(task.status, null);
});

// There the name of the module comes before it.
test("Task has the name of its class", async () => {
  const { context } = new TaskRig();
  const task = await context.makeTask("any", Measurement);
  assertEquals(task.className, "Measurement");
});

test("Task can be given methods by a runner of its own", async () => {
  class MeasurementRunner extends TaskRunner<Measurement> {
    setValue(value: number): void {
      this.setSettings({ ...this.settings, value });
    }
  }
  const rig = new TaskRig();
  const task = await rig.context.makeTask("own", Measurement, [{
    duration: 10,
  }], { runner: MeasurementRunner });
  task.setValue(9);
  task.start();
  await rig.clock.advance(1000);
  assertEquals(task.status, 9);
});

// The tests of the original: signals, which are topics here.

test("Task publishes its result once", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("signals", Measurement, [{
    duration: 1000,
    value: 10,
  }]);
  const results = task.topics.result.subscribe();
  task.start();
  await rig.clock.advance(2000);
  assertEquals(results.length, 1);
  const { value } = await results.next();
  assertEquals(value, { value: 10, sequence: 0, dropped: 0 });
});

async function listen(timeout: number) {
  const rig = new TaskRig();
  const topic = new Topic<number>();
  const task = await rig.context.makeTask("ear", Listener, [topic, timeout]);
  return { rig, topic, task };
}

for (const isInScope of [false, true]) {
  const where = isInScope ? "in a scope" : "by itself";

  test(`Task receives what others publish ${where}`, async () => {
    const { rig, topic, task } = await listen(Infinity);
    task.start();
    await rig.clock.advance(100);
    assertEquals(task.status, null);
    for (const value of [8, 9]) {
      topic.publish(value);
      await rig.clock.advance(100);
      assertEquals(task.status, value);
      assert(task.running);
    }
    topic.publish(-1);
    await rig.clock.advance(100);
    assertFalse(task.running);
    if (isInScope) await task[Symbol.asyncDispose]();
    else await task.join();
    assertEquals(task.status, 9);
    assertEquals(topic.subscribers, 0);
  });

  test(`Task that waits too long for what others publish fails ${where}`, async () => {
    const { rig, task } = await listen(1000);
    task.start();
    await rig.clock.advance(100);
    assert(task.running);
    await rig.clock.advance(1400);
    assertFalse(task.running);
    assertEquals(task.status, -101);
    if (isInScope) await task[Symbol.asyncDispose]();
    const { cause } = await assertRejects(() => task.join(), TaskRunError);
    assertInstanceOf(cause, DOMException);
    assertEquals(cause.name, "TimeoutError");
  });
}

test("Task that waits for what others publish is stopped at once, normally", async () => {
  const { rig, topic, task } = await listen(30_000);
  task.start();
  await rig.clock.advance(100);
  assert(task.running);
  assertEquals(await task.stop(), "stopped");
  assertEquals(rig.clock.now(), 100);
  assertFalse(task.running);
  assertEquals(task.status, -100);
  await task.join();
  assertEquals(topic.subscribers, 0);
  rig.assertNothingLeft();
});

// The tests of the original: locks. A task uses an instrument, which is a task
// here too, and locks it meanwhile.

class Laser extends Task<number, number> {
  override settings = 0;
  override status = 350;

  override run(): Promise<void> {
    return this.sleep(Infinity);
  }
}

class LaserRunner extends TaskRunner<Laser> {
  setWavelength(wavelength: number): void {
    this.setSettings(wavelength);
  }
}

class Sweep extends Task {
  readonly samples: Topic<number> = new Topic();
  readonly #context: TaskContext;

  constructor(host: TaskHost, context: TaskContext) {
    super(host);
    this.#context = context;
  }

  override async run(): Promise<void> {
    const laser = this.#context.getTask("laser", Laser, LaserRunner);
    const lock = await laser.lock();
    try {
      for (let sample = 0; sample < 8; sample++) {
        const wavelength = 350 + 50 * sample;
        laser.setWavelength(wavelength);
        this.samples.publish(wavelength);
        await this.sleep(100);
      }
    } finally {
      lock?.unlock();
    }
  }
}

async function sweep() {
  const rig = new TaskRig();
  const laser = await rig.context.makeTask("laser", Laser, [], {
    runner: LaserRunner,
  });
  const task = await rig.context.makeTask("sweep", Sweep, [rig.context]);
  return { rig, laser, task };
}

test("Task sweeps through an instrument that it has locked", async () => {
  const { rig, laser, task } = await sweep();
  const samples: number[] = [];
  task.topics.samples.onPublish((sample) => samples.push(sample));
  task.start();
  await rig.clock.advance(100);
  assert(laser.isLocked);
  await rig.clock.advance(900);
  await task.join();
  assertEquals(samples, [350, 400, 450, 500, 550, 600, 650, 700]);
  assertFalse(laser.isLocked);
  assertEquals(laser.pendingSettings, 700);
});

test("Task fails when the instrument it uses is locked by another", async () => {
  const { rig, laser, task } = await sweep();
  await laser.lock();
  laser.setWavelength(1550);
  task.start();
  await rig.clock.advance(100);
  await task.stop();
  const { cause } = await assertRejects(() => task.join(), TaskRunError);
  assertInstanceOf(cause, Error);
  assertEquals(cause.name, "LockedError");
  assertEquals(laser.pendingSettings, 1550);
  assert(laser.isLocked);
});

test("Task keeps others from the instrument that it has locked, also when it is stopped, until then", async () => {
  const { rig, laser, task } = await sweep();
  task.start();
  await rig.clock.advance(150);
  assertThrows(
    () => laser.setWavelength(1),
    Error,
    "Cannot call 'setWavelength' as 'laser' is locked",
  );
  assertEquals(laser.pendingSettings, 400);
  await task.stop();
  assertFalse(laser.isLocked);
  laser.setWavelength(1);
});

// What a task is beyond that.

test("Task knows its name, its clock, its logger and its signal", async () => {
  const rig = new TaskRig();
  const seen: unknown[] = [];
  const task = await rig.context.makeTask("dome", Act, [(task) => {
    const { name, clock, logger, signal } = task;
    seen.push(name, clock, logger, signal.aborted, task.stopRequested);
  }]);
  task.start();
  await task.join();
  assertEquals(seen, ["dome", rig.timers, rig.logger, false, false]);
});

test("Task has no settings and no status until it is given some", async () => {
  const { context } = new TaskRig();
  const task = await context.makeTask("bare", Act);
  assertEquals([task.settings, task.status], [undefined, undefined]);
  assertEquals(task.pendingSettings, undefined);
});

test("Task.signal aborts with a TaskStopError whose cause is the reason of the stop", async () => {
  for (const reason of ["dawn", new Error("clouds"), 0, null, undefined]) {
    const rig = new TaskRig();
    const reasons: unknown[] = [];
    const task = await rig.context.makeTask("dome", Act, [async (task) => {
      await task.sleep(Infinity).catch((error) => reasons.push(error));
      reasons.push(task.signal.reason);
      assert(task.stopRequested);
    }]);
    task.start();
    await rig.settle();
    await task.stop({ reason });
    const [thrown, kept] = reasons;
    assertInstanceOf(thrown, TaskStopError);
    assertStrictEquals(thrown, kept);
    assertEquals(thrown.name, "TaskStopError");
    assertEquals(thrown.message, "The task was stopped");
    assertStrictEquals(thrown.cause, reason);
    assertEquals("cause" in thrown, reason !== undefined);
    await task.join();
  }
});

test("Task.sleep() waits for its time, and fails at once and every time after a stop", async () => {
  const rig = new TaskRig();
  const times: number[] = [];
  let refused = 0;
  const task = await rig.context.makeTask("nap", Act, [async (task) => {
    await task.sleep(30);
    times.push(task.clock.now());
    for (const ms of [Infinity, 0, 5, 0, 1e9]) {
      await task.sleep(ms).catch((error) => {
        assertInstanceOf(error, TaskStopError);
        refused++;
      });
    }
    times.push(task.clock.now());
  }]);
  task.start();
  await rig.clock.advance(50);
  await task.stop();
  assertEquals(times, [30, 50]);
  assertEquals(refused, 5);
  assertEquals(task.outcome, "stopped");
});

test("Task.sleep() of a bad time fails the task", async () => {
  for (const ms of [-1, NaN]) {
    const { context } = new TaskRig();
    const task = await context.makeTask("nap", Act, [(task) => task.sleep(ms)]);
    task.start();
    const { cause } = await assertRejects(() => task.join(), TaskRunError);
    assertInstanceOf(cause, RangeError);
  }
});

test("Task.stop() asks the task itself to stop, and does not end it", async () => {
  const rig = new TaskRig();
  let finished = false;
  const task = await rig.context.makeTask("self", Act, [async (task) => {
    assertEquals(task.stop("enough"), undefined);
    task.stop("too late");
    assert(task.stopRequested);
    assertInstanceOf(task.signal.reason, TaskStopError);
    assertEquals(task.signal.reason.cause, "enough");
    await sleep(10, { clock: task.clock });
    finished = true;
  }]);
  task.start();
  await rig.settle();
  assert(task.running);
  assertEquals(task.state, "stopping");
  await rig.clock.advance(10);
  assert(finished);
  assertEquals(task.outcome, "stopped");
  await task.join();
  assertEquals(rig.timers.timers, 0);
});

test("Task.stop() of a task that hangs nevertheless abandons it after the grace", async () => {
  const rig = new TaskRig({ grace: 70 });
  const task = await rig.context.makeTask("self", Act, [(task) => {
    task.stop();
    return never();
  }]);
  task.start();
  await rig.clock.advance(69);
  assertEquals(task.outcome, undefined);
  await rig.clock.advance(1);
  assertEquals(task.outcome, "abandoned");
});

test("Task.stop() within the constructor makes a task that never runs", async () => {
  let runs = 0;
  class Doomed extends Task {
    constructor(host: TaskHost) {
      super(host);
      this.stop("no such port");
    }
    override run(): void {
      runs++;
    }
  }
  const { context } = new TaskRig();
  const task = await context.makeTask("doomed", Doomed);
  assertEquals([task.ended, task.outcome], [true, "stopped"]);
  assertThrows(
    () => task.start(),
    Error,
    "Cannot start task 'doomed' as it was stopped before",
  );
  await task.join();
  assertEquals(runs, 0);
});

test("Task.stop() after the end does nothing", async () => {
  const { context } = new TaskRig();
  let self: Act | undefined;
  const task = await context.makeTask("late", Act, [(task) => {
    self = task;
  }]);
  task.start();
  await task.join();
  self?.stop();
  assertEquals([task.outcome, task.state], ["completed", "stopped"]);
});

test("Task that awaits its own stop is abandoned instead of waiting for ever", async () => {
  const rig = new TaskRig({ grace: 100 });
  const outcomes: unknown[] = [];
  const task = await rig.context.makeTask("self", Act, [async () => {
    outcomes.push(await rig.context.getTask("self").stop());
  }]);
  task.start();
  await rig.clock.advance(99);
  assertEquals(outcomes, []);
  await rig.clock.advance(1);
  assertEquals(outcomes, ["abandoned"]);
  assertEquals(task.ended, true);
  await task.join();
});

test("Task that lets a TaskStopError through ends normally, whether anybody has stopped it or not", async () => {
  for (
    const act of [
      () => Promise.reject(new TaskStopError("I am done")),
      () => {
        throw new TaskStopError("I am done");
      },
    ]
  ) {
    const rig = new TaskRig();
    const task = await rig.context.makeTask("done", Act, [act]);
    task.start();
    await task.join();
    assertEquals([task.outcome, task.state], ["completed", "stopped"]);
    assertEquals(task.exception, undefined);
    assertEquals(rig.logger.lines, []);
  }
});

test("Task that lets an AbortError through fails, unless it was stopped", async () => {
  const abort = new DOMException("mine", "AbortError");
  const rig = new TaskRig();
  const failing = await rig.context.makeTask("one", Act, [() => {
    throw abort;
  }]);
  failing.start();
  const { cause } = await assertRejects(() => failing.join(), TaskRunError);
  assertStrictEquals(cause, abort);
  const stopped = await rig.context.makeTask("two", Act, [
    (task) => task.sleep(1000).catch(() => Promise.reject(abort)),
  ]);
  stopped.start();
  await rig.settle();
  await stopped.stop();
  await stopped.join();
  assertEquals(stopped.outcome, "stopped");
});

test("Task that throws while it is stopped has failed", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("park", Act, [
    (task) => task.sleep(1000).catch(() => Promise.reject("the brake slips")),
  ]);
  task.start();
  await rig.settle();
  assertEquals(await task.stop(), "stopped");
  const { cause } = await assertRejects(() => task.join(), TaskRunError);
  assertEquals(cause, "the brake slips");
  assertEquals([task.outcome, task.state], ["failed", "errored"]);
});

test("Task can fail with anything, also synchronously", async () => {
  for (const thing of [undefined, null, 0, "text", Symbol("dark"), {}]) {
    for (
      const act of [() => Promise.reject(thing), () => {
        throw thing;
      }]
    ) {
      const { context } = new TaskRig();
      const task = await context.makeTask("odd", Act, [act]);
      task.start();
      const error = await assertRejects(() => task.join(), TaskRunError);
      assert("cause" in error);
      assertStrictEquals(error.cause, thing);
    }
  }
});

test("Task shows its topics by the names of their fields, also inherited ones", async () => {
  class Source extends Task {
    readonly counts: Topic<number> = new Topic();
    readonly noTopic = "counts";
    override run(): void {}
  }
  class Detector extends Source {
    readonly peaks: Topic<string> = new Topic();
    readonly #hidden: Topic<string> = new Topic();
    override run(): void {
      this.#hidden.publish("nobody hears");
    }
  }
  const { context } = new TaskRig();
  const task = await context.makeTask("detector", Detector);
  assertEquals(Object.keys(task.topics).sort(), [
    "counts",
    "peaks",
    "settingsUpdated",
  ]);
  assertStrictEquals(task.topics.counts, task.topics.counts);
});

test("Task does not end a topic that it was given", async () => {
  class Consumer extends Task {
    readonly source: Topic<number>;
    readonly own: Topic<number> = new Topic();

    constructor(host: TaskHost, source: Topic<number>) {
      super(host);
      this.source = source;
    }

    override run(): void {}
  }
  const { context } = new TaskRig();
  const source = new Topic<number>();
  const task = await context.makeTask("consumer", Consumer, [source]);
  const subscription = source.subscribe();
  const own = task.topics.own.subscribe();
  task.start();
  await task.join();
  source.publish(1);
  assertEquals((await subscription.next()).value?.value, 1);
  assertEquals((await own.next()).done, true);
});

test("Task whose run is a field is a task", async () => {
  class Arrow extends Task<undefined, string> {
    override run = (): void => {
      this.status = "ran";
    };
  }
  const { context } = new TaskRig();
  const task = await context.makeTask("arrow", Arrow);
  task.start();
  await task.join();
  assertEquals(task.status, "ran");
});

test("Task that was stopped before cannot be started by those who hear of it", async () => {
  class Late extends Task {
    override run(): void {
      throw new Error("It runs.");
    }

    constructor(host: TaskHost) {
      super(host);
      this.signal.addEventListener("abort", () => {
        try {
          task.start();
        } catch (error) {
          refusals.push(error);
        }
      });
    }
  }
  const refusals: unknown[] = [];
  const { context } = new TaskRig();
  const task = await context.makeTask("late", Late);
  assertEquals(await task.stop(), "stopped");
  assertEquals(refusals.length, 1);
  assertEquals(task.running, false);
});

test("Task says that it was abandoned when the clock has failed it", async () => {
  const { context, clock } = new TaskRig();
  class Deaf extends Task {
    override async run(): Promise<void> {
      await new Promise(() => {});
    }
  }
  const controller = new AbortController();
  const { signal } = controller;
  const task = await context.makeTask("deaf", Deaf, [], { signal });
  task.start();
  await clock.advance(0);
  clock.setTimer = () => {
    throw new Error("no timers left");
  };
  const reasons = await unhandledDuring(() => controller.abort());
  assertEquals(reasons, []);
  assertEquals(task.outcome, "abandoned");
});

test("Task ends its topics with itself, however it ends", async () => {
  class Talker extends Task {
    readonly said: Topic<string> = new Topic();
    readonly #act: (task: Talker) => unknown;
    constructor(host: TaskHost, act: (task: Talker) => unknown) {
      super(host);
      this.#act = act;
    }
    override run(): unknown {
      this.said.publish("begun");
      return this.#act(this);
    }
  }
  const endings: [string, (task: Talker) => unknown][] = [
    ["completed", () => {}],
    ["failed", () => Promise.reject("dark")],
    ["stopped", (task) => task.sleep(Infinity)],
    ["abandoned", () => never()],
  ];
  for (const [outcome, act] of endings) {
    const rig = new TaskRig({ grace: 10 });
    const task = await rig.context.makeTask("talker", Talker, [act]);
    const said: string[] = [];
    const listening = (async () => {
      for await (const { value } of task.topics.said.subscribe()) {
        said.push(value);
      }
    })();
    task.start();
    await rig.settle();
    task.stop();
    await rig.clock.advance(10);
    await listening;
    assertEquals(said, ["begun"]);
    assertEquals(task.outcome, outcome);
    assertEquals(task.topics.said.subscribers, 0);
    assertEquals(task.topics.said.last, "begun");
    await task.join().catch(() => {});
  }
});

test("Task whose listeners fail logs that, and goes on", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("loop", HookedLoop, [{
    hooks: {
      updateStatus: () => true,
      publishSignals: () => Promise.reject("dark"),
    },
  }]);
  const { settingsUpdated, statusUpdated } = task.topics;
  for (const topic of [settingsUpdated, statusUpdated, task.failed]) {
    (topic as Topic<unknown>).onPublish(() => {
      throw new Error("no paper");
    });
  }
  task.setSettings("new");
  task.start();
  await task.join().catch(() => {});
  assertEquals(rig.logger.lines, [
    "error A callback of topic 'settingsUpdated' has failed: Error: no paper",
    "error A callback of topic 'statusUpdated' has failed: Error: no paper",
    "error A callback of topic 'failed' has failed: Error: no paper",
  ]);
});

test("Task that was stopped before its start ends its topics, too", async () => {
  const { context } = new TaskRig();
  const task = await context.makeTask("new", Measurement);
  const next = task.topics.result.subscribe().next();
  await task.stop();
  assertEquals(await next, { done: true, value: undefined });
});

test("Task that ends leaves no listener, no timer and no rejection behind", async () => {
  const unhandled = await unhandledDuring(async () => {
    const rig = new TaskRig({ grace: 10 });
    const acts: ((task: Act) => unknown)[] = [
      () => {},
      (task) => task.sleep(10),
      (task) => task.sleep(Infinity),
      () => Promise.reject(new Error("dark")),
      () => never(),
      (task) => {
        task.sleep(Infinity).catch(() => {});
        return Promise.reject("at once");
      },
    ];
    for (const [index, act] of acts.entries()) {
      for (const isStopped of [false, true]) {
        const name = `${index}-${isStopped}`;
        const task = await rig.context.makeTask(name, Act, [act]);
        task.start();
        await rig.clock.advance(10);
        if (isStopped || !task.ended) task.stop();
        await rig.clock.advance(10);
        assertEquals(rig.controller.listeners, 0);
      }
    }
    await rig.settle();
    assertEquals(rig.logger.of("error").length, 4);
  });
  assertEquals(unhandled, []);
});

/** A test with a context on the system clock, whose time is false. */
function underFakeTime(
  body: (time: FakeTime, context: TaskContext) => Promise<void>,
): () => Promise<void> {
  return async () => {
    const time = new FakeTime();
    try {
      const context = new TaskContext({ logger: new RecordingLogger() });
      await body(time, context);
      await context.dispose();
    } finally {
      time.restore();
    }
  };
}

/** A task that hears nobody, and has begun. */
async function startDeaf(time: FakeTime, context: TaskContext) {
  const task = await context.makeTask("deaf", Deaf, [], { grace: 100 });
  task.start();
  await time.runMicrotasks();
  return task;
}

/** A task whose end takes some milliseconds, and that has begun. */
async function startSlow(time: FakeTime, context: TaskContext, ms: number) {
  const task = await context.makeTask("slow", HookedLoop, [{
    hooks: { loopFinalize: () => sleep(ms) },
  }]);
  task.start();
  await time.runMicrotasks();
  return task;
}

test(
  "Task works under FakeTime",
  underFakeTime(async (time, context) => {
    const task = await context.makeTask("fake", Measurement, [{
      duration: 250,
      value: 4,
    }]);
    task.start();
    task.setSettings({ message: "new", value: 5 });
    for (let step = 0; step < 5; step++) await time.tickAsync(100);
    assertEquals(task.status, 5);
    await task.join();
  }),
);

test(
  "Task that idles is stopped under FakeTime without time passing",
  underFakeTime(async (time, context) => {
    const task = await context.makeTask("idle", Idle);
    task.start();
    await time.tickAsync(1000);
    const stop = watch(task.stop(), { now: () => 0, setTimer: () => () => {} });
    await time.runMicrotasks();
    assertEquals(stop.outcome, { value: "stopped" });
  }),
);

test(
  "Task that hears nobody is abandoned after its grace on the system clock, and not before",
  underFakeTime(async (time, context) => {
    const task = await startDeaf(time, context);
    const stop = task.stop();
    await time.tickAsync(99);
    assertFalse(task.abandoned);
    await time.tickAsync(1);
    assertEquals(await stop, "abandoned");
  }),
);

test(
  "Task is abandoned when the time of its grace passes before its timer is set",
  underFakeTime(async (time, context) => {
    const task = await startDeaf(time, context);
    const stop = task.stop();
    time.tick(100);
    assertEquals(await stop, "abandoned");
  }),
);

test(
  "Task that takes long to end is waited for on the system clock",
  underFakeTime(async (time, context) => {
    const task = await startSlow(time, context, 200);
    const stop = task.stop({ grace: 500 });
    await time.tickAsync(199);
    assert(task.running);
    await time.tickAsync(1);
    assertEquals(await stop, "stopped");
  }),
);

test(
  "Task that has ended when the timer of its grace comes late is not abandoned",
  underFakeTime(async (time, context) => {
    const task = await startSlow(time, context, 50);
    const stop = task.stop({ grace: 100 });
    await time.runMicrotasks();
    time.tick(1000); // all timers at once, and nothing in between
    assertEquals(await stop, "stopped");
    assertEquals(task.outcome, "stopped");
  }),
);

test("Task is stopped, and ends, with a clock that cannot cancel", async () => {
  const clock: Clock = {
    now: () => 0,
    setTimer: () => () => {
      throw new Error("cannot cancel");
    },
  };
  const unhandled = await unhandledDuring(async () => {
    const context = new TaskContext({ clock });
    const { promise, resolve } = Promise.withResolvers<void>();
    const task = await context.makeTask("deaf", Deaf, [promise]);
    task.start();
    await Promise.resolve();
    const stops = Promise.all([task.stop(), task.stop()]);
    resolve();
    assertEquals(await stops, ["stopped", "stopped"]);
    await task.join();
    assertEquals(task.outcome, "stopped");
    await context.dispose();
  });
  assertEquals(unhandled, []);
});
