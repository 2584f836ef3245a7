// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { assertType, type IsExact } from "@std/testing/types";
import { TaskThread } from "../_thread_host.ts";
import {
  Board,
  type FromThread,
  openEnvelope,
  type ToThread,
} from "../_thread_messages.ts";
import { pack, unpack } from "../_packed.ts";
import { sleep } from "../cancellation.ts";
import { LockedError } from "../lock.ts";
import { MissedLoopPolicy } from "../missed_loop_policy.ts";
import {
  type MakeThreadTaskOptions,
  type TaskArguments,
  TaskContext,
} from "../task_context.ts";
import {
  TaskInitError,
  TaskRunError,
  type TaskRunner,
} from "../task_runner.ts";
import type { ReadableTopic } from "../topic.ts";
import { runProgram } from "./_process.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import type { Counter } from "./_thread_counter.ts";
import type { Figures } from "./_thread_figures.ts";
import type Late from "./_thread_late.ts";
import type { First } from "./_thread_pair.ts";
import type { Trouble, Troubled } from "./_thread_troubles.ts";
import { until } from "./_until.ts";
import { withWorker } from "./_with_worker.ts";

const thread = { thread: true } as const;

function moduleOf(name: string): URL {
  return new URL(`./_thread_${name}.ts`, import.meta.url);
}

function makeCounter(context: TaskContext, period = 5) {
  return context.makeTask<typeof Counter>(
    "counter",
    moduleOf("counter"),
    [{ period }],
    thread,
  );
}

function makeTroubled(context: TaskContext, trouble: Trouble) {
  return context.makeTask<typeof Troubled>(
    trouble.replaceAll(/[ .]/g, "-"),
    moduleOf("troubles"),
    [trouble],
    thread,
  );
}

/** Waits until the topic has published a value of at least so much. */
async function reach(
  topic: ReadableTopic<number>,
  least: number,
): Promise<void> {
  for await (const { value } of topic.subscribe()) {
    if (value >= least) return;
  }
  throw new Error(`The topic ended before ${least}`);
}

test("Thread task has its settings, status and topics on this side", async () => {
  await using context = new TaskContext();
  const counter = await makeCounter(context);
  assertEquals(counter.className, "Counter");
  assertEquals(counter.settings, { step: 1 });
  assertEquals(counter.status, { count: 0 });
  assertEquals(Object.keys(counter.topics).sort(), [
    "counted",
    "settingsUpdated",
    "statusUpdated",
  ]);
  const updates = counter.topics.settingsUpdated.subscribe();
  const counted: [published: number, status: number][] = [];
  counter.topics.counted.onPublish((count) =>
    counted.push([count, counter.status.count])
  );
  counter.start();
  await reach(counter.topics.counted, 3);
  counter.setSettings({ step: 1000 });
  await reach(counter.topics.counted, 2000);
  assertEquals(counter.settings, { step: 1000 });
  assertEquals(counter.pendingSettings, undefined);
  assert(counter.status.count >= 2000);
  assert(counter.statistics.rounds >= 5);
  assertEquals((await updates.next()).value?.value, { step: 1000 });
  assertEquals(await counter.stop(), "stopped");
  assertEquals(counter.outcome, "stopped");
  await counter.join();
  assert(counted.every(([published, status]) => published === status));
  assertEquals((await updates.next()).done, true);
});

test("Thread task takes over only the newest of the settings sent before it starts", async () => {
  await using context = new TaskContext();
  const counter = await makeCounter(context);
  const updates = counter.topics.settingsUpdated.subscribe();
  counter.setSettings({ step: 7 });
  counter.setSettings({ step: 10 });
  assertEquals(counter.pendingSettings, { step: 10 });
  assertEquals(counter.settings, { step: 1 });
  counter.start();
  await reach(counter.topics.counted, 30);
  assertEquals(counter.status.count % 10, 0);
  await counter.stop();
  assertEquals(updates.length, 1);
});

test("Thread task refuses settings that cannot be copied, and keeps those before", async () => {
  await using context = new TaskContext();
  const counter = await makeCounter(context);
  counter.setSettings({ step: 2 });
  const bad = { step: 3, log: () => {} };
  assertThrows(() => counter.setSettings(bad), Error, "cloned");
  assertEquals(counter.pendingSettings, { step: 2 });
});

test("Thread task sees why it is stopped", async () => {
  await using context = new TaskContext();
  const task = await makeTroubled(context, "say why");
  task.start();
  for await (const { state } of task.states()) {
    if (state === "running") break;
  }
  assertEquals(await task.stop({ reason: "dawn" }), "stopped");
  assertEquals(task.status, "TaskStopError: dawn");
});

test("Thread task can stop itself", async () => {
  await using context = new TaskContext();
  const task = await makeTroubled(context, "stop itself");
  task.start();
  await task.join();
  assertEquals(task.outcome, "stopped");
});

test("Thread task that polls stopRequested in a busy loop is stopped", async () => {
  await using context = new TaskContext();
  const task = await makeTroubled(context, "be busy");
  task.start();
  assertEquals(await task.stop(), "stopped");
  assertEquals(task.abandoned, false);
});

test("Thread task sends no status while one is on its way, and the newest then", async () => {
  const board = new Board();
  const sent: FromThread[] = [];
  let told = Promise.withResolvers<void>();
  let deliver: (envelope: unknown) => void = () => {};
  const send = (message: ToThread): void => deliver({ longrun: message });
  new TaskThread({
    post: (envelope) => {
      const message = openEnvelope<FromThread>(envelope);
      if (message !== undefined) sent.push(message);
      told.resolve();
    },
    onMessage: (callback) => deliver = callback,
    onError: () => {},
    onExit: () => {},
  });
  send({
    type: "make",
    name: "counter",
    url: moduleOf("troubles").href,
    exportName: undefined,
    args: ["count to a thousand"],
    board: board.buffer,
  });
  await told.promise;
  assertEquals(sent.map(({ type }) => type), ["made"]);
  told = Promise.withResolvers();
  send({ type: "run" });
  await told.promise;
  assertEquals(sent.slice(1), [{ type: "status", status: 1 }]);
  assert(board.seeStatus(), "a newer one waits");
  send({ type: "seen" });
  assertEquals(sent.slice(2), [{ type: "status", status: 1000 }]);
  assertFalse(board.seeStatus(), "no newer one waits");
  told = Promise.withResolvers();
  send({ type: "stop", reason: { kind: "value", value: undefined } });
  await told.promise;
  assertEquals(sent.slice(3).map(({ type }) => type), ["ended"]);
});

test("Thread task that never looks is abandoned, and nobody hangs", async () => {
  const { code, stdout } = await runProgram(
    `import "ROOT/tests/_thread_busy_program.ts";`,
  );
  assertEquals(stdout, "abandoned abandoned\n");
  assertEquals(code, 0);
});

test("Thread task that is stopped before it is started never runs", async () => {
  await using context = new TaskContext();
  const counter = await makeCounter(context);
  assertEquals(await counter.stop(), "stopped");
  assertThrows(() => counter.start(), Error, "was stopped before");
  await counter.join();
  assertEquals(counter.status, { count: 0 });
});

test("Thread task ends with its policy, and what it logs is logged here", async () => {
  const logger = new RecordingLogger();
  const infos: unknown[][] = [];
  logger.info = (...args: unknown[]) => void infos.push(args);
  await using context = new TaskContext({ logger });
  const options = { period: 500, policy: MissedLoopPolicy.Terminate };
  const late = await context.makeTask<typeof Late>(
    "late",
    moduleOf("late"),
    [options],
    thread,
  );
  late.start();
  await late.join();
  assertEquals(late.outcome, "terminated");
  assertEquals(late.status, 2);
  assertEquals(late.statistics.overruns, 1);
  assertEquals(logger.of("warn").length, 1);
  assertStringIncludes(logger.of("warn")[0] ?? "", "Task 'late' took too long");
  assertEquals(infos, [["takes long"]]);
});

// The test runner of Bun takes uncaught errors of threads for itself, and passes
// on no more than message and stack.
const isBun = "Bun" in globalThis;

for (const trouble of ["throw", "throw later", "reject"] as const) {
  test(`Thread task fails with the whole error: ${trouble}`, async () => {
    await using context = new TaskContext();
    const task = await makeTroubled(context, trouble);
    task.start();
    const error = await assertRejects(() => task.join(), TaskRunError);
    const { cause } = error;
    assertInstanceOf(cause, Error);
    assertEquals(task.outcome, "failed");
    assertStringIncludes(cause.message, "lens cap on");
    assertStringIncludes(cause.stack ?? "", "_thread_troubles");
    if (isBun && trouble !== "throw") return;
    assertEquals(cause.name, "MishapError");
    assertEquals(Reflect.get(cause, "code"), 42);
    assertInstanceOf(cause.cause, TypeError);
    assertEquals(cause.cause.message, "no light");
  });
}

test("Thread task that exits fails", async () => {
  const isDeno = "Deno" in globalThis;
  const troubles: Trouble[] = isDeno ? ["exit", "Deno.exit"] : ["exit"];
  for (const trouble of troubles) {
    await using context = new TaskContext();
    const task = await makeTroubled(context, trouble);
    task.start();
    const { cause } = await assertRejects(() => task.join(), TaskRunError);
    assertInstanceOf(cause, Error);
    assertStringIncludes(cause.message, "has exited with code 3");
  }
});

for (const trouble of ["show a function", "show a function late"] as const) {
  test(`Thread task that shows what cannot be copied fails: ${trouble}`, async () => {
    await using context = new TaskContext();
    const task = await makeTroubled(context, trouble);
    task.start();
    const { cause } = await assertRejects(() => task.join(), TaskRunError);
    assertInstanceOf(cause, Error);
    assertStringIncludes(cause.message, "cloned");
  });
}

test("Thread task that uses the port of its thread disturbs nobody", async () => {
  await using context = new TaskContext();
  const task = await makeTroubled(context, "use its port");
  task.start();
  await task.join();
  assertEquals(task.outcome, "completed");
});

test("Thread task knows its own figures, and what it has published before", async () => {
  await using context = new TaskContext();
  const task = await context.makeTask<typeof Figures>(
    "figures",
    moduleOf("figures"),
    [],
    thread,
  );
  assertEquals(task.topics.steps.last, "made");
  assertEquals(task.topics.steps.published, 1);
  assertEquals(task.topics.settingsUpdated.published, 0);
  task.start();
  await task.join();
  assertEquals(task.status?.rounds, 1);
  assertEquals(task.status?.overruns, 0);
});

test("Thread task that exits has shown its last status before", async () => {
  await using context = new TaskContext();
  const task = await makeTroubled(context, "show and exit");
  task.start();
  await assertRejects(() => task.join(), TaskRunError);
  assertEquals(task.status, 1000);
});

test("Thread task that crashes before it is started is reported once", async () => {
  const logger = new RecordingLogger();
  const context = new TaskContext({ logger });
  let hasCrashed = false;
  await withWorker((Worker) =>
    class extends Worker {
      constructor(url: string | URL, options: object) {
        super(url, options);
        this.on("error", () => hasCrashed = true);
        this.on("message", (message) => {
          const { type } = openEnvelope<FromThread>(message) ?? {};
          if (type === "crashed") hasCrashed = true;
        });
      }
    }, async () => {
    await makeTroubled(context, "crash before the start");
  });
  // The thread keeps no process alive.
  await until(() => hasCrashed, "the crash");
  await context.dispose();
  assertEquals(logger.of("error").length, 1);
  assertStringIncludes(logger.of("error")[0] ?? "", "lens cap on");
});

test("Thread task gets settings one after the other, the newest last", async () => {
  await using context = new TaskContext();
  const counter = await makeCounter(context, 1);
  counter.start();
  await reach(counter.topics.counted, 1);
  const taken: number[] = [];
  counter.topics.settingsUpdated.onPublish(({ step }) => taken.push(step));
  for (let step = 1; step <= 1000; step++) counter.setSettings({ step });
  while (counter.pendingSettings !== undefined) {
    await sleep(1);
    const { settings, pendingSettings = settings } = counter;
    assertEquals(pendingSettings.step, 1000);
  }
  assertEquals(counter.settings, { step: 1000 });
  assert(taken.length <= 3, `${taken}`);
  assertEquals(taken.at(-1), 1000);
});

test("Thread task tells of itself after it was killed", async () => {
  await using context = new TaskContext({ grace: 50 });
  const task = await makeTroubled(context, "be busy for ever");
  const states: string[] = [];
  task.start();
  for await (const { state } of task.states()) {
    states.push(state);
    if (state === "running") task.stop();
  }
  assertEquals(
    states,
    ["stopped", "starting", "running", "stopping", "stopped"]
      .slice(5 - states.length),
  );
  assertEquals(task.running, false);
  assertEquals(task.outcome, "abandoned");
});

test("Errors that lead to each other are packed in bounds", () => {
  const error: Error & Record<string, unknown> = Object.assign(
    new Error("circle"),
  );
  for (let index = 0; index < 12; index++) error[`self${index}`] = error;
  const { self0 } = unpack(pack(error)) as typeof error;
  assertEquals(self0, "Error: circle");

  const errors = Array.from({ length: 150 }, () => new Error("one of many"));
  for (const one of errors) Object.assign(one, { siblings: errors });
  const all = unpack(pack(new AggregateError(errors))) as AggregateError;
  assertEquals(all.errors.length, 150);

  const hostile = new Error("hostile", { cause: new TypeError("cause") });
  Object.defineProperty(hostile, "secret", {
    get: () => {
      throw new Error("hidden");
    },
    enumerable: true,
  });
  const copy = unpack(pack(hostile)) as Error;
  assertEquals(copy.message, "hostile");
  assertInstanceOf(copy.cause, TypeError);
});

test("Thread task has a lock as any other", async () => {
  await using context = new TaskContext();
  const mine = await makeCounter(context);
  const theirs = context.getTask<TaskRunner<Counter>>("counter");
  const lock = await mine.lock();
  assertThrows(() => theirs.setSettings({ step: 5 }), LockedError);
  assertEquals(theirs.settings, { step: 1 });
  lock?.unlock();
  theirs.setSettings({ step: 5 });
  assertEquals(mine.pendingSettings, { step: 5 });
});

test("Thread task is the class that the module exports, by name or alone", async () => {
  await using context = new TaskContext();
  const url = moduleOf("pair");
  const second = await context.makeTask<typeof First>("second", url, [], {
    thread: true,
    exportName: "Second",
  });
  second.start();
  await second.join();
  assertEquals(second.status, "second");
  const bad: [exportName: string | undefined, complaint: string][] = [
    [undefined, "must export one task class"],
    ["Third", "exports no task class 'Third'"],
  ];
  for (const [exportName, complaint] of bad) {
    const options = { thread: true, exportName } as MakeThreadTaskOptions;
    const error = await assertRejects(
      () => context.makeTask<typeof First>("bad", url, [], options),
      TaskInitError,
    );
    assertInstanceOf(error.cause, TypeError);
    assertStringIncludes(error.cause.message, complaint);
  }
});

test("Thread task that cannot be made leaves its name free", async () => {
  await using context = new TaskContext();
  const make = (url: URL, args: unknown[]): Promise<unknown> =>
    context.makeTask<typeof Troubled>(
      "same",
      url,
      args as TaskArguments<typeof Troubled>,
      thread,
    );
  const causeOf = async (url: URL, ...args: unknown[]): Promise<Error> => {
    const { cause } = await assertRejects(() => make(url, args), TaskInitError);
    assertInstanceOf(cause, Error);
    return cause;
  };
  const thrown = await causeOf(moduleOf("troubles"), "fail to begin");
  assertEquals(thrown.message, "lens cap on");
  await causeOf(moduleOf("missing"));
  const refused = await causeOf(moduleOf("troubles"), () => {});
  assertStringIncludes(refused.message, "cloned");
  await make(moduleOf("troubles"), ["wait"]);
  assertEquals(context.tasks.map(({ name }) => name), ["same"]);
});

test("Thread task whose module never loads is given up with the signal or the context", async () => {
  const context = new TaskContext();
  const controller = new AbortController();
  const hung = context.makeTask<typeof First>("hung", moduleOf("hangs"), [], {
    thread: true,
    signal: controller.signal,
  });
  const reason = new Error("enough");
  controller.abort(reason);
  const error = await assertRejects(() => hung, TaskInitError);
  assertEquals(error.cause, reason);

  const other = context.makeTask<typeof First>(
    "other",
    moduleOf("hangs"),
    [],
    thread,
  );
  const failed = assertRejects(() => other, TaskInitError);
  await context.dispose();
  await failed;
});

test("Thread task that nobody has started does not keep the process alive", async () => {
  const { code, stdout } = await runProgram(
    `import "ROOT/tests/_thread_idle_program.ts";`,
  );
  assertEquals(stdout, "made\n");
  assertEquals(code, 0);
});

test("Thread task has the types of its class", async () => {
  await using context = new TaskContext();
  const counter = await makeCounter(context);
  assertType<IsExact<typeof counter.status, { count: number }>>(true);
  assertType<IsExact<typeof counter.topics.counted, ReadableTopic<number>>>(
    true,
  );
  // @ts-expect-error: No such setting.
  const wrong: Parameters<typeof counter.setSettings>[0] = { steps: 1 };
  assertEquals(wrong, { steps: 1 } as never);
});

test("TaskContext.makeTask() with a thread refuses bad arguments", async () => {
  await using context = new TaskContext();
  const make = context.makeTask.bind(context) as (
    ...args: unknown[]
  ) => Promise<unknown>;
  await assertRejects(
    () => make("task", "./file.ts", [], thread),
    TypeError,
    "Cannot make task as 'url' must be a URL",
  );
  await assertRejects(
    () => make("task", moduleOf("pair"), [], { thread: 1 }),
    TypeError,
    "'thread'",
  );
  await assertRejects(
    () => make("task", moduleOf("pair"), []),
    TypeError,
    "'taskClass'",
  );
});
