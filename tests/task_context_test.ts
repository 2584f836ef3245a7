// Copyright 2026 the Longrun authors. MIT license.

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
import { sleep } from "../cancellation.ts";
import { LockedError } from "../lock.ts";
import type { StopOutcome } from "../run_state.ts";
import { Task, type TaskHost } from "../task.ts";
import { TaskContext } from "../task_context.ts";
import {
  TaskInitError,
  TaskRunError,
  TaskRunner,
  type TaskRunnerInit,
} from "../task_runner.ts";
import { ManualClock } from "../testing.ts";
import { CountingController } from "./_listeners.ts";
import { Act, Deaf, HookedLoop, Idle, TaskRig } from "./_task_rig.ts";
import { never, reasonOf, watch } from "./_timeout_iterator_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

const names = (context: TaskContext): string[] =>
  context.tasks.map(({ name }) => name);

class IdleRunner extends TaskRunner<Idle> {
  override get category(): string {
    return "idler";
  }
}

// Names.

test("TaskContext takes names of 1 to 63 letters, digits and some signs", async () => {
  const { context } = new TaskRig();
  const good = ["a", "0", "-", "_", "()", "Camera-2_(left)", "x".repeat(63)];
  for (const name of good) {
    const task = await context.makeTask(name, Idle);
    assertEquals(task.name, name);
    assertEquals(context.getTask(name).name, name);
  }
  assertEquals(names(context), good);
});

test("TaskContext refuses all other names", async () => {
  const { context } = new TaskRig();
  const bad = [
    "",
    " ",
    "a b",
    "a.b",
    "a/b",
    "a\n",
    "kamera-ä",
    "[1]",
    "x".repeat(64),
    5,
    null,
    undefined,
    Symbol("a"),
    ["a"],
  ];
  for (const name of bad) {
    await assertRejects(
      () => context.makeTask(name as never, Idle),
      TypeError,
      "Cannot make task as 'name' must be 1 to 63 letters, digits, '-', '_', '(' and ')'",
    );
  }
  assertEquals(context.tasks, []);
});

test("TaskContext refuses a name that is taken, also while the first task is being made", async () => {
  const { context } = new TaskRig();
  const message = "Cannot make task 'dome' as the name is taken";
  const first = context.makeTask("dome", Idle);
  await assertRejects(() => context.makeTask("dome", Act), Error, message);
  const task = await first;
  await assertRejects(() => context.makeTask("dome", Idle), Error, message);
  await task.stop();
  await assertRejects(() => context.makeTask("dome", Idle), Error, message);
  assertEquals(names(context), ["dome"]);
});

test("TaskContext refuses a constructor its own name", async () => {
  const refusals: Promise<unknown>[] = [];
  class Nested extends Task {
    constructor(host: TaskHost, context: TaskContext) {
      super(host);
      const inner = context.makeTask(host.name, Idle);
      refusals.push(inner.catch((error) => error));
    }
    override run(): void {}
  }
  const { context } = new TaskRig();
  const outer = await context.makeTask("dome", Nested, [context]);
  const [refusal] = await Promise.all(refusals);
  assertInstanceOf(refusal, Error);
  assertEquals(refusal.message, "Cannot make task 'dome' as the name is taken");
  assertEquals(outer.className, "Nested");
  assertEquals(names(context), ["dome"]);
});

test("TaskContext has tasks of the same name as another has", async () => {
  const [one, two] = [new TaskRig(), new TaskRig()];
  const first = await one.context.makeTask("dome", Idle);
  await two.context.makeTask("dome", Idle);
  await assertRejects(
    () => two.context.removeTask(first),
    Error,
    "Cannot remove task as there is none",
  );
  assertEquals([names(one.context), names(two.context)], [["dome"], ["dome"]]);
});

test("TaskContext frees the name of a task whose constructor or runner has failed", async () => {
  const { context } = new TaskRig();
  class Broken extends Task {
    constructor(host: TaskHost) {
      super(host);
      throw "no such port";
    }
    override run(): void {}
  }
  class BrokenRunner extends TaskRunner<Idle> {
    constructor(init: TaskRunnerInit<Idle>) {
      super(init);
      throw "no such runner";
    }
  }
  const attempts = [
    () => context.makeTask("dome", Broken),
    () => context.makeTask("dome", Idle, [], { runner: BrokenRunner }),
  ];
  const causes: unknown[] = [];
  for (const attempt of attempts) {
    const { cause } = await assertRejects(attempt, TaskInitError);
    causes.push(cause);
    assertEquals(context.tasks, []);
    assertThrows(() => context.getTask("dome"));
  }
  assertEquals(causes, ["no such port", "no such runner"]);
  assertEquals((await context.makeTask("dome", Idle)).name, "dome");
});

// Making.

test("TaskContext hands the arguments to the constructor, after the host", async () => {
  const seen: unknown[] = [];
  class Camera extends Task {
    constructor(host: TaskHost, port: number, ...lines: string[]) {
      super(host);
      seen.push(this.name, port, ...lines);
    }
    override run(): void {}
  }
  const { context } = new TaskRig();
  await context.makeTask("camera", Camera, [7, "a", "b"]);
  assertEquals(seen, ["camera", 7, "a", "b"]);
});

test("TaskContext makes tasks that are not started", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("idle", Idle);
  await rig.clock.advance(1000);
  assertEquals([task.state, task.running], ["stopped", false]);
  rig.assertNothingLeft();
});

test("TaskContext lists its tasks in the order in which they were made", async () => {
  const rig = new TaskRig();
  const { context } = rig;
  const one = await context.makeTask("one", Idle);
  const two = await context.makeTask("two", Idle, [], { runner: IdleRunner });
  await context.makeTask("three", Act);
  one.start();
  await two.lock();
  const task = { className: "Idle", category: "task" };
  assertEquals(context.tasks, [
    { name: "one", ...task, running: true, locked: false },
    {
      name: "two",
      className: "Idle",
      category: "idler",
      running: false,
      locked: true,
    },
    { ...task, name: "three", className: "Act", running: false, locked: false },
  ]);
  await one.stop();
  assertFalse(context.tasks[0]?.running);
});

test("TaskContext refuses bad options by name", () => {
  const wrong: [unknown, string][] = [
    [null, "'options' must be an object"],
    [5, "'options' must be an object"],
    [{ clock: {} }, "'clock' must be a Clock"],
    [{ logger: {} }, "'logger' must be a Logger"],
    [{ signal: new AbortController() }, "'signal' must be an AbortSignal"],
    [{ grace: "5" }, "'grace' must be a non-negative number"],
  ];
  for (const [options, message] of wrong) {
    assertThrows(
      () => new TaskContext(options as never),
      TypeError,
      `Cannot create TaskContext as ${message}`,
    );
  }
  for (const grace of [-1, NaN]) {
    assertThrows(() => new TaskContext({ grace }), RangeError, "'grace'");
  }
});

test("TaskContext.makeTask() refuses bad arguments by name, and reserves nothing", async () => {
  const { context } = new TaskRig();
  class Unrelated {}
  class Locking extends TaskRunner<Idle> {
    lock(): void {}
  }
  class Locked extends TaskRunner<Idle> {
    get isLocked(): boolean {
      return false;
    }
  }
  const wrong: [unknown[], string][] = [
    [[5], "'taskClass' must be a subclass of Task"],
    [[undefined], "'taskClass' must be a subclass of Task"],
    [[{}], "'taskClass' must be a subclass of Task"],
    [[() => {}], "'taskClass' must be a subclass of Task"],
    [[Unrelated], "'taskClass' must be a subclass of Task"],
    [["./idle.ts"], "'taskClass' must be a subclass of Task"],
    [[Idle, "a"], "'args' must be an array"],
    [[Idle, {}], "'args' must be an array"],
    [[Idle, null], "'args' must be an array"],
    [[Idle, [], null], "'options' must be an object"],
    [[Idle, [], 5], "'options' must be an object"],
    [[Idle, [], { runner: 5 }], "'runner' must be a function"],
    [[Idle, [], { runner: () => {} }], "'runner' must be a subclass of"],
    [[Idle, [], { runner: Unrelated }], "'runner' must be a subclass of"],
    [[Idle, [], { runner: Idle }], "'runner' must be a subclass of"],
    [
      [Idle, [], { runner: Locking }],
      "'runner' must be without a member 'lock'",
    ],
    [[Idle, [], { runner: Locked }], "without a member 'isLocked'"],
    [[Idle, [], { signal: 5 }], "'signal' must be an AbortSignal"],
    [[Idle, [], { grace: "5" }], "'grace' must be a non-negative number"],
  ];
  const make = context.makeTask.bind(context) as (
    ...args: unknown[]
  ) => Promise<unknown>;
  for (const [args, message] of wrong) {
    const error = await assertRejects(
      () => make("idle", ...args),
      TypeError,
      message,
    );
    assert(error.message.startsWith("Cannot make task as "), error.message);
  }
  for (const grace of [-1, NaN]) {
    await assertRejects(
      () => context.makeTask("idle", Idle, [], { grace }),
      RangeError,
      "'grace'",
    );
  }
  assertEquals(context.tasks, []);
  assert(await context.makeTask("idle", Idle));
});

test("TaskContext.makeTask() of a loop whose period is none says so", async () => {
  const { context } = new TaskRig();
  for (const period of [0, -1, NaN, Infinity]) {
    const { cause, message } = await assertRejects(
      () => context.makeTask("loop", HookedLoop, [{ period }]),
      TaskInitError,
    );
    assertEquals(message, "Cannot make task 'loop'");
    assertInstanceOf(cause, RangeError);
  }
});

// Finding.

test("TaskContext.getTask() finds a task by its name, and checks its class", async () => {
  class Sleeper extends Idle {}
  class SleeperRunner extends IdleRunner {}
  const { context } = new TaskRig();
  await context.makeTask("idle", Idle);
  await context.makeTask("sleeper", Sleeper, [], { runner: SleeperRunner });
  assertEquals(context.getTask("idle").className, "Idle");
  assertEquals(context.getTask("idle", Idle).className, "Idle");
  assertEquals(context.getTask("sleeper", Idle).className, "Sleeper");
  assertEquals(context.getTask("sleeper", Task).className, "Sleeper");
  assertEquals(
    context.getTask("sleeper", Idle, IdleRunner).category,
    "idler",
  );
  assertThrows(
    () => context.getTask("idle", Sleeper),
    TypeError,
    "Cannot get task 'idle' as 'taskClass' must be a class of the task, whose class is Idle",
  );
  assertThrows(() => context.getTask("idle", Act), TypeError, "'taskClass'");
  assertThrows(
    () => context.getTask("idle", Idle, IdleRunner),
    TypeError,
    "Cannot get task 'idle' as 'runner' must be a class of its runner, whose class is TaskRunner",
  );
  assertThrows(
    () => context.getTask("nobody"),
    Error,
    "Cannot get task 'nobody' as there is none",
  );
});

test("TaskContext.getTask() refuses what is no class by name", async () => {
  const { context } = new TaskRig();
  await context.makeTask("idle", Idle);
  for (const wrong of [5, "Idle", {}, null]) {
    assertThrows(
      () => context.getTask("idle", wrong as never),
      TypeError,
      "'taskClass'",
    );
    assertThrows(
      () => context.getTask("idle", Idle, wrong as never),
      TypeError,
      "'runner'",
    );
  }
});

test("TaskContext.getTask() does not find a task that is being made or was removed", async () => {
  const { context } = new TaskRig();
  const making = context.makeTask("idle", Idle);
  assertThrows(() => context.getTask("idle"), Error, "there is none");
  await making;
  assert(context.getTask("idle"));
  await context.removeTask("idle");
  assertThrows(() => context.getTask("idle"), Error, "there is none");
});

// Removing.

test("TaskContext.removeTask() stops a task by its name or handle and frees the name", async () => {
  for (const isByName of [true, false]) {
    const rig = new TaskRig();
    const task = await rig.context.makeTask("idle", Idle);
    task.start();
    await rig.settle();
    const target = isByName ? "idle" : rig.context.getTask("idle");
    assertEquals(await rig.context.removeTask(target), "stopped");
    assertEquals([task.running, task.outcome], [false, "stopped"]);
    assertEquals(rig.context.tasks, []);
    rig.assertNothingLeft();
    const again = await rig.context.makeTask("idle", Idle);
    for (const gone of [task, target]) {
      if (gone === "idle") continue;
      await assertRejects(
        () => rig.context.removeTask(gone),
        Error,
        "Cannot remove task as there is none",
      );
    }
    assertFalse(again.ended);
    assertEquals(names(rig.context), ["idle"]);
  }
});

test("TaskContext.removeTask() keeps the name until the task has ended", async () => {
  const rig = new TaskRig();
  const { promise, resolve } = Promise.withResolvers<void>();
  const task = await rig.context.makeTask("deaf", Deaf, [promise]);
  task.start();
  await rig.settle();
  const removals = [
    watch(rig.context.removeTask("deaf"), rig.clock),
    watch(rig.context.removeTask(task), rig.clock),
  ];
  await rig.clock.advance(1000);
  await assertRejects(() => rig.context.makeTask("deaf", Idle), Error, "taken");
  resolve();
  await rig.settle();
  for (const { outcome } of removals) {
    assertEquals(outcome, { value: "stopped" });
  }
  await rig.context.makeTask("deaf", Idle);
});

test("TaskContext.removeTask() that ends late does not forget the next task of that name", async () => {
  const rig = new TaskRig();
  let stops = 0;
  class SlowRunner extends TaskRunner<Idle> {
    override async stop(): Promise<StopOutcome> {
      const isSecond = ++stops === 2;
      const outcome = await super.stop();
      if (isSecond) await sleep(100, { clock: rig.clock });
      return outcome;
    }
  }
  await rig.context.makeTask("idle", Idle, [], { runner: SlowRunner });
  const removals = [1, 2].map(() =>
    watch(rig.context.removeTask("idle"), rig.clock)
  );
  await rig.settle();
  await rig.context.makeTask("idle", Idle);
  await rig.clock.advance(100);
  assertEquals(removals.map(({ at }) => at), [0, 100]);
  assertEquals(names(rig.context), ["idle"]);
});

test("TaskContext.removeTask() of a task that hangs frees the name after the grace", async () => {
  const rig = new TaskRig({ grace: 50 });
  const task = await rig.context.makeTask("deaf", Deaf);
  task.start();
  await rig.settle();
  const removal = watch(rig.context.removeTask("deaf"), rig.clock);
  await rig.clock.advance(49);
  assertEquals(removal.outcome, undefined);
  await rig.clock.advance(1);
  assertEquals(removal.outcome, { value: "abandoned" });
  assertEquals(rig.context.tasks, []);
  assert(task.running);
  rig.assertNothingLeft();
});

test("TaskContext.removeTask() of a task that was abandoned does not wait again", async () => {
  const rig = new TaskRig({ grace: 50 });
  const task = await rig.context.makeTask("deaf", Deaf);
  task.start();
  await rig.settle();
  task.stop();
  await rig.clock.advance(50);
  assertEquals(await rig.context.removeTask(task), "abandoned");
  assertEquals(rig.clock.now(), 50);
});

test("TaskContext.removeTask() of a task that has failed does not throw its error", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("dark", Act, [
    () => Promise.reject(new Error("no light")),
  ]);
  task.start();
  await rig.settle();
  assertEquals(await rig.context.removeTask("dark"), "stopped");
  assertEquals(rig.logger.lines, ["error Task 'dark' failed: Error: no light"]);
  await assertRejects(() => task.join(), TaskRunError);
  await rig.context.dispose();
});

test("TaskContext.dispose() does not hang with a runner whose stop() does", async () => {
  class Hung extends TaskRunner<Idle> {
    override stop(): Promise<StopOutcome> {
      return new Promise(() => {});
    }
  }
  const clock = new ManualClock();
  const context = new TaskContext({ clock, grace: 50 });
  const task = await context.makeTask("idle", Idle, [], { runner: Hung });
  task.start();
  await clock.advance(0);
  let isDisposed = false;
  context.dispose().then(() => isDisposed = true);
  await clock.advance(99);
  assertFalse(isDisposed);
  await clock.advance(1);
  assert(isDisposed);
  assert(task.ended);
});

test("TaskContext.removeTask() and dispose() stop a task whose runner's stop() does not", async () => {
  class Parking extends TaskRunner<Idle> {
    override stop(): Promise<StopOutcome> {
      return Promise.resolve("stopped");
    }
  }
  for (const grace of [50, Infinity]) {
    const clock = new ManualClock();
    const context = new TaskContext({ clock, grace });
    const make = (name: string) =>
      context.makeTask(name, Idle, [], { runner: Parking });
    const [removed, disposed, unstarted] = [
      await make("removed"),
      await make("disposed"),
      await make("unstarted"),
    ];
    removed.start();
    disposed.start();
    await clock.advance(0);
    assertEquals(await context.removeTask("removed"), "stopped");
    assert(removed.ended);
    await context.dispose();
    assert(disposed.ended);
    assert(unstarted.ended);
  }
});

test("TaskContext.dispose() forgets a task whose runner has another name", async () => {
  class Renamed extends TaskRunner<Idle> {
    override get name(): string {
      return "another";
    }
  }
  const context = new TaskContext();
  await context.makeTask("one", Idle, [], { runner: Renamed });
  const two = await context.makeTask("two", Idle, [], { runner: Renamed });
  assertEquals(await context.removeTask(two), "stopped");
  await context.dispose();
  assertEquals(context.tasks, []);
});

test("TaskContext.removeTask() of a task that is locked is for the owner of the lock alone", async () => {
  const { context } = new TaskRig();
  const mine = await context.makeTask("idle", Idle);
  const theirs = context.getTask("idle");
  await mine.lock();
  const message = "Cannot remove task as 'idle' is locked by another owner";
  for (const target of [theirs, "idle"]) {
    await assertRejects(() => context.removeTask(target), LockedError, message);
  }
  assertEquals(names(context), ["idle"]);
  assertEquals(await context.removeTask(mine), "stopped");
  assertEquals(context.tasks, []);
});

test("TaskContext.removeTask() of what is no task says so", async () => {
  const { context } = new TaskRig();
  await assertRejects(
    () => context.removeTask("nobody"),
    Error,
    "Cannot remove task 'nobody' as there is none",
  );
  for (const wrong of [5, {}, undefined, null]) {
    await assertRejects(
      () => context.removeTask(wrong as never),
      Error,
      "Cannot remove task as there is none",
    );
  }
});

test("TaskContext that has removed a task leaves its handles as they are", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("idle", Idle);
  await rig.context.removeTask("idle");
  assertEquals([task.name, task.status, task.outcome], [
    "idle",
    "idle",
    "stopped",
  ]);
  assertThrows(
    () => task.start(),
    Error,
    "Cannot start task 'idle' as it was stopped before",
  );
  assertEquals(await task.stop(), "stopped");
  await task.join();
});

// The end.

/** A task that tells when it is stopped and ends some time later. */
const slow = (log: string[], ms: number) => async (task: Act) => {
  await task.sleep(Infinity).catch(() => {});
  log.push(`${task.name} stops at ${task.clock.now()}`);
  await sleep(ms, { clock: task.clock });
};

test("TaskContext.dispose() ends its tasks one after the other, the last one made first", async () => {
  const rig = new TaskRig();
  const log: string[] = [];
  for (const name of ["camera", "stage", "guider"]) {
    const task = await rig.context.makeTask(name, Act, [slow(log, 10)]);
    task.start();
  }
  await rig.clock.advance(5);
  const disposal = watch(rig.context.dispose(), rig.clock);
  await rig.clock.advance(100);
  assertEquals(log, [
    "guider stops at 5",
    "stage stops at 15",
    "camera stops at 25",
  ]);
  assertEquals(disposal, { outcome: { value: undefined }, at: 35 });
  assertEquals(rig.context.tasks, []);
  rig.assertNothingLeft();
});

test("TaskContext.dispose() of a context without tasks, or with new ones, is over at once", async () => {
  const rig = new TaskRig();
  await rig.context.dispose();
  const other = new TaskRig();
  const task = await other.context.makeTask("idle", Idle);
  await other.context[Symbol.asyncDispose]();
  assertEquals([task.ended, task.outcome], [true, "stopped"]);
});

test("TaskContext.dispose() a second time waits for the same end", async () => {
  const rig = new TaskRig();
  const log: string[] = [];
  const task = await rig.context.makeTask("slow", Act, [slow(log, 10)]);
  task.start();
  await rig.settle();
  const disposals = [
    watch(rig.context.dispose(), rig.clock),
    watch(rig.context.dispose(), rig.clock),
    watch(rig.context[Symbol.asyncDispose](), rig.clock),
  ];
  await rig.clock.advance(9);
  for (const { outcome } of disposals) assertEquals(outcome, undefined);
  await rig.clock.advance(1);
  for (const { at } of disposals) assertEquals(at, 10);
  await rig.context.dispose();
  assertEquals(log.length, 1);
});

test("TaskContext that was disposed of makes no tasks, from that moment on", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("slow", Act, [slow([], 10)]);
  task.start();
  await rig.settle();
  const message = "Cannot make task 'new' as the context was disposed of";
  const make = () => rig.context.makeTask("new", Idle);
  const disposal = rig.context.dispose();
  await assertRejects(make, Error, message);
  await rig.clock.advance(10);
  await disposal;
  await assertRejects(make, Error, message);
  assertThrows(() => rig.context.getTask("slow"), Error, "there is none");
});

test("TaskContext that was disposed of while a task was being made ends that, too", async () => {
  const rig = new TaskRig();
  const making = rig.context.makeTask("idle", Idle);
  await rig.context.dispose();
  const task = await making;
  assertEquals([task.ended, task.outcome], [true, "stopped"]);
  assertEquals(rig.context.tasks, []);
});

test("TaskContext.dispose() throws the errors that nobody has looked at, after the last end", async () => {
  const rig = new TaskRig();
  const { context } = rig;
  const failing = (message: string) => (task: Act) =>
    task.sleep(message === "late" ? Infinity : 0).catch(() => {})
      .then(() => Promise.reject(new Error(message)));
  const tasks = new Map<string, TaskRunner<Act>>();
  for (const name of ["one", "joined", "seen", "late", "idle"]) {
    const act = name === "idle" ? never : failing(name);
    const task = await context.makeTask(name, Act, [act], { grace: 30 });
    tasks.set(name, task);
    task.start();
  }
  await rig.clock.advance(10);
  await assertRejects(async () => await tasks.get("joined")?.join());
  assertInstanceOf(tasks.get("seen")?.exception, TaskRunError);
  const logged = rig.logger.of("error").length;
  const disposal = watch(context.dispose(), rig.clock);
  await rig.clock.advance(100);
  const error = reasonOf(disposal);
  assertInstanceOf(error, AggregateError);
  assertEquals(error.message, "2 tasks of the context failed");
  assertEquals(
    error.errors.map(({ message, cause }) => [message, cause.message]),
    [["Task 'late' failed", "late"], ["Task 'one' failed", "one"]],
  );
  assertStrictEquals(error.errors[1], tasks.get("one")?.exception);
  assertEquals(disposal.at, 40);
  // Whoever is thrown an error need not be told of it by the logger.
  assertEquals(rig.logger.of("error").length, logged);
  assertStrictEquals(
    await context.dispose().catch((error) => error),
    error,
  );
});

test("TaskContext.dispose() says when it was one task that failed, and nothing when all were joined", async () => {
  for (const isJoined of [false, true]) {
    const rig = new TaskRig();
    const task = await rig.context.makeTask("dark", Act, [
      () => Promise.reject(new Error("no light")),
    ]);
    task.start();
    if (isJoined) await task.join().catch(() => {});
    else await rig.settle();
    const disposal = watch(rig.context.dispose(), rig.clock);
    await rig.settle();
    if (isJoined) assertEquals(disposal.outcome, { value: undefined });
    else {
      const error = reasonOf(disposal);
      assertInstanceOf(error, AggregateError);
      assertEquals(error.message, "A task of the context failed");
    }
  }
});

test("TaskContext.dispose() does not throw the error of a task whose join is under way", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("late", Act, [
    (task) => task.sleep(Infinity).catch(() => Promise.reject("dark")),
  ]);
  task.start();
  await rig.settle();
  const join = watch(task.join(), rig.clock);
  await rig.context.dispose();
  assertInstanceOf(reasonOf(join), TaskRunError);
});

test("TaskContext.dispose() abandons tasks that hang, each after its grace", async () => {
  const rig = new TaskRig({ grace: 100 });
  const first = await rig.context.makeTask("first", Deaf);
  const second = await rig.context.makeTask("second", Deaf, [], { grace: 20 });
  const last = await rig.context.makeTask("last", Idle);
  for (const task of [first, second, last]) task.start();
  await rig.settle();
  const disposal = watch(rig.context.dispose(), rig.clock);
  await rig.clock.advance(1000);
  assertEquals(disposal, { outcome: { value: undefined }, at: 120 });
  assertEquals(
    [first.outcome, second.outcome, last.outcome],
    ["abandoned", "abandoned", "stopped"],
  );
  assertEquals(rig.logger.of("warn").length, 2);
  rig.assertNothingLeft();
});

test("TaskContext.dispose() after its signal has aborted waits for all graces side by side", async () => {
  const rig = new TaskRig({ grace: 100 });
  for (const name of ["one", "two", "three"]) {
    const task = await rig.context.makeTask(name, Deaf);
    task.start();
  }
  await rig.settle();
  rig.controller.abort();
  const disposal = watch(rig.context.dispose(), rig.clock);
  await rig.clock.advance(1000);
  assertEquals(disposal.at, 100);
});

test("TaskContext.dispose() does not ask who has locked the tasks", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("idle", Idle);
  const other = rig.context.getTask("idle");
  await task.lock();
  const waiting = watch(other.lock({ timeout: Infinity }), rig.clock);
  task.start();
  await rig.settle();
  await rig.context.dispose();
  await rig.settle();
  assertEquals(task.outcome, "stopped");
  assertEquals(waiting.outcome, { value: null });
});

test("TaskContext.dispose() stops the others although the stop() of a runner's subclass fails", async () => {
  class ParkingRunner extends TaskRunner<Idle> {
    override stop(): Promise<never> {
      return Promise.reject(new Error("the brake slips"));
    }
  }
  const rig = new TaskRig();
  const first = await rig.context.makeTask("first", Idle);
  const second = await rig.context.makeTask("second", Idle, [], {
    runner: ParkingRunner,
  });
  for (const task of [first, second]) task.start();
  await rig.settle();
  const disposal = watch(rig.context.dispose(), rig.clock);
  await rig.settle();
  const error = reasonOf(disposal);
  assertInstanceOf(error, AggregateError);
  assertEquals(error.errors.map(({ message }) => message), ["the brake slips"]);
  assertEquals([first.running, second.running], [false, false]);
  assertEquals(rig.context.tasks, []);
  rig.assertNothingLeft();
});

test("TaskContext that a task disposes of abandons that task instead of waiting for ever", async () => {
  const rig = new TaskRig({ grace: 50 });
  let hasGoneOn = false;
  const task = await rig.context.makeTask("end", Act, [async () => {
    await rig.context.dispose();
    hasGoneOn = true;
  }]);
  task.start();
  await rig.clock.advance(49);
  assertFalse(hasGoneOn);
  await rig.clock.advance(1);
  assert(hasGoneOn && task.ended);
});

test("TaskContext whose signal aborts stops all tasks at once, also those with a signal of their own", async () => {
  const rig = new TaskRig();
  const own = new CountingController();
  const stopped: unknown[] = [];
  const act = (task: Act) =>
    task.sleep(Infinity).catch(({ cause }) => {
      stopped.push([task.name, cause, task.clock.now()]);
    });
  for (const [name, signal] of [["one", undefined], ["two", own.signal]]) {
    const task = await rig.context.makeTask(name as string, Act, [act], {
      signal: signal as AbortSignal,
    });
    task.start();
  }
  await rig.clock.advance(7);
  assertEquals([rig.controller.listeners, own.listeners], [1, 1]);
  rig.controller.abort("dawn");
  await rig.settle();
  assertEquals(stopped, [["one", "dawn", 7], ["two", "dawn", 7]]);
  assertEquals([rig.controller.listeners, own.listeners], [0, 0]);
  assertEquals(names(rig.context), ["one", "two"]);
});

test("TaskContext leaves a task alone when the signal of another aborts", async () => {
  const rig = new TaskRig();
  const own = new AbortController();
  const one = await rig.context.makeTask("one", Idle, [], {
    signal: own.signal,
  });
  const two = await rig.context.makeTask("two", Idle);
  for (const task of [one, two]) task.start();
  await rig.settle();
  own.abort();
  await rig.settle();
  assertEquals([one.running, two.running], [false, true]);
  await rig.context.dispose();
});

test("TaskContext whose signal has aborted makes tasks that end when they are started", async () => {
  const rig = new TaskRig({ signal: AbortSignal.abort("before") });
  const task = await rig.context.makeTask("idle", Idle);
  task.start();
  await task.join();
  assertEquals(task.outcome, "stopped");
});

test("TaskContext with hundred tasks has one listener on its signal, and none after them", async () => {
  const rig = new TaskRig();
  for (let n = 0; n < 100; n++) {
    const task = await rig.context.makeTask(`task-${n}`, Idle);
    task.start();
  }
  await rig.settle();
  assertEquals(rig.controller.listeners, 1);
  for (const name of names(rig.context)) await rig.context.removeTask(name);
  rig.assertNothingLeft();
});

test("TaskContext makes no rejection that nobody handles", async () => {
  const unhandled = await unhandledDuring(async () => {
    const rig = new TaskRig({ grace: 10 });
    for (let n = 0; n < 3; n++) {
      const task = await rig.context.makeTask(`dark-${n}`, Act, [
        () => Promise.reject(new Error("no light")),
      ]);
      task.start();
    }
    const deaf = await rig.context.makeTask("deaf", Deaf);
    deaf.start();
    await rig.context.makeTask("dark-0", Idle).catch(() => {});
    await rig.settle();
    rig.controller.abort("dawn");
    await rig.clock.advance(10);
    const error = await rig.context.dispose().catch((error) => error);
    assertEquals(error.errors.length, 3);
    assertEquals(rig.logger.of("error").length, 3);
  });
  assertEquals(unhandled, []);
});
