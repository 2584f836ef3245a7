// Copyright 2026 the Longrun authors. MIT license.

/**
 * The rounds of a loop. The first part is the behaviour that the test suite of
 * QMI asks for, in virtual time; the second is when its rounds begin and by how
 * much they are late, measured on it under a virtual clock.
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { FakeTime } from "@std/testing/time";
import { sleep } from "../cancellation.ts";
import type { Clock } from "../clock.ts";
import { LoopTask, type MissedLoop } from "../loop_task.ts";
import { MissedLoopPolicy } from "../missed_loop_policy.ts";
import { type TaskHost, TaskStopError } from "../task.ts";
import { TaskContext } from "../task_context.ts";
import { TaskInitError, type TaskOutcome } from "../task_runner.ts";
import { ManualClock } from "../testing.ts";
import type { ReadableTopic } from "../topic.ts";
import { Counter, type CounterOptions } from "./_task_originals.ts";
import {
  type Hook,
  HookedLoop,
  type HookedLoopOptions,
  TaskRig,
} from "./_task_rig.ts";

const POLICIES = Object.values(MissedLoopPolicy);

function collect<T>(topic: ReadableTopic<T>): T[] {
  const values: T[] = [];
  topic.onPublish((value) => values.push(value));
  return values;
}

// The tests of the original.

async function count(options: CounterOptions) {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("count", Counter, [options]);
  const { statusUpdated, settingsUpdated, sum } = task.topics;
  return {
    rig,
    task,
    statuses: collect(statusUpdated),
    settings: collect(settingsUpdated),
    sums: collect(sum),
  };
}

test("LoopTask runs to the end that it has set itself", async () => {
  const { rig, task, settings } = await count({
    period: 200,
    status: -1,
    rounds: 3,
  });
  const polled = [task.status];
  task.start();
  for (const ms of [250, 200, 200]) {
    await rig.clock.advance(ms);
    polled.push(task.status);
    assert(task.running);
  }
  assertEquals(polled, [-1, 0, 1, 2]);
  await rig.clock.advance(300);
  assertFalse(task.running);
  assertEquals([task.status, task.settings], [1, 1]);
  assertEquals(settings, [1, 1, 2, 3]);
  assertEquals(task.outcome, "stopped");
  await task.join();
});

test("LoopTask in a scope publishes all that it has said before its end", async () => {
  const { rig, task, statuses, settings } = await count({
    period: 200,
    status: -1,
    rounds: 3,
  });
  assertEquals(task.status, -1);
  task.start();
  await rig.clock.advance(2000);
  await task[Symbol.asyncDispose]();
  assertEquals(statuses, [-1, 0, 1, 2]);
  assertEquals(settings.slice(1), [1, 2, 3]);
  assertEquals(task.status, 1);
});

test("LoopTask publishes topics of its own every round", async () => {
  const { rig, task, sums } = await count({
    period: 100,
    status: 5,
    rounds: 5,
    isFast: true,
  });
  task.start();
  await rig.clock.advance(2000);
  assertEquals(sums.slice(0, 3), [7, 10, 13]);
});

// There the third wait times out; here a topic ends with its task.
test("LoopTask gives the third value of two rounds to nobody", async () => {
  const { rig, task } = await count({ period: 100, status: 0, rounds: 2 });
  const subscription = task.topics.sum.subscribe();
  task.start();
  await rig.clock.advance(1000);
  assertFalse((await subscription.next()).done);
  assertFalse((await subscription.next()).done);
  assert((await subscription.next()).done);
});

test("LoopTask with the policy Immediate that always overruns misses nothing it counts", async () => {
  const { rig, task, statuses, settings } = await count({
    period: 100,
    policy: MissedLoopPolicy.Immediate,
    status: -1,
    rounds: 5,
    overrun: 0.1,
  });
  const begin = rig.clock.now();
  task.start();
  let end = 0;
  task.join().then(() => end = rig.clock.now());
  await rig.clock.advance(2000);
  assertEquals(statuses, [-1, 0, 1, 2, 3, 4]);
  assertEquals(settings, [1, 1, 2, 3, 4, 5]);
  assertFalse(task.running);
  assert(end - begin > 300);
  assertEquals([task.settings, task.status], [1, 1]);
});

test("LoopTask with the policy Skip that always overruns and counts what it loses", async () => {
  const { rig, task, statuses, settings } = await count({
    period: 100,
    policy: MissedLoopPolicy.Skip,
    status: -1,
    rounds: 5,
    overrun: 0.1,
    countsLost: true,
  });
  task.start();
  await rig.clock.advance(2000);
  assertEquals(statuses, [-1, 0, 1, 2]);
  assertEquals(settings, [1, 1, 3, 5]);
  assertFalse(task.running);
  assertEquals([task.settings, task.status], [1, 1]);
});

// There the third wait times out; here a topic ends with its task.
test("LoopTask with the policy Terminate that overruns ends after its first round", async () => {
  const { rig, task, settings } = await count({
    period: 100,
    policy: MissedLoopPolicy.Terminate,
    status: 3,
    rounds: 5,
    overrun: 0.1,
  });
  const subscription = task.topics.settingsUpdated.subscribe();
  const polled = [task.status];
  task.start();
  for (const ms of [150, 150]) {
    await rig.clock.advance(ms);
    polled.push(task.status);
  }
  assertEquals(polled, [3, 4, 1]);
  assertFalse(task.running);
  assertEquals(settings, [1, 1]);
  for (const done of [false, false, true]) {
    assertEquals((await subscription.next()).done, done);
  }
  await task.join();
  assertEquals(task.outcome, "terminated");
});

// When rounds begin.

const PERIOD = 100;
const ROUNDS = 7;

interface Performance {
  starts: number[];
  late: number[];
  missed: number[];
  outcome: TaskOutcome | undefined;
  lines: string[];
}

/** When seven rounds begin, and how late those are that come after overruns. */
async function perform(
  policy: MissedLoopPolicy | undefined,
  work: (round: number) => number,
  prepare = 0,
): Promise<Performance> {
  const rig = new TaskRig();
  const { clock } = rig;
  const starts: number[] = [];
  const seen: MissedLoop[] = [];
  const options: HookedLoopOptions = {
    period: PERIOD,
    hooks: {
      loopPrepare: () => sleep(prepare, { clock }),
      loopIteration: (task) => {
        // The eighth round comes to tell how late it is.
        if (starts.length > ROUNDS) return task.stop();
        return sleep(work(starts.length - 1), { clock });
      },
    },
    onMissed: (missed) => seen.push(missed),
  };
  if (policy !== undefined) options.policy = policy;
  const task = await rig.context.makeTask("loop", HookedLoop, [
    options,
    [],
    starts,
  ]);
  task.start();
  await clock.advance(10_000);
  await task.join();
  rig.assertNothingLeft();
  const { rounds, overruns, missed } = task.statistics;
  assertEquals(rounds, starts.length);
  assertEquals(overruns, seen.length);
  assertEquals(missed, seen.reduce((sum, { missed }) => sum + missed, 0));
  return {
    starts: starts.slice(0, ROUNDS),
    late: seen.map(({ late }) => late),
    missed: seen.map(({ missed }) => missed),
    outcome: task.outcome,
    lines: rig.logger.lines,
  };
}

type Golden = Record<
  MissedLoopPolicy,
  [starts: readonly number[], late: readonly number[]]
>;

const steps = (first: number, step: number): number[] =>
  Array.from({ length: ROUNDS }, (_, index) => first + index * step);

const sevenTimes = (late: number): number[] => Array(ROUNDS).fill(late);

const onTime = steps(0, PERIOD);

const onTimeAlways: Golden = {
  immediate: [onTime, []],
  skip: [onTime, []],
  terminate: [onTime, []],
  align: [onTime, []],
  burst: [onTime, []],
};

/** A round that takes its time once, in the round of that index. */
const once = (index: number, ms: number) => (round: number): number =>
  round === index ? ms : 0;

// Those of Align and Burst are ours: the original has neither.
const GOLDEN: [name: string, (round: number) => number, Golden][] = [
  ["takes no time", () => 0, onTimeAlways],
  ["takes a little less than the period", () => 99, onTimeAlways],
  ["takes exactly the period", () => 100, {
    immediate: [onTime, sevenTimes(0)],
    skip: [onTime, sevenTimes(0)],
    terminate: [[0], [0]],
    align: [onTime, sevenTimes(0)],
    burst: [onTime, sevenTimes(0)],
  }],
  ["takes a little more than the period", () => 101, {
    immediate: [steps(0, 101), sevenTimes(1)],
    skip: [steps(0, 101), [1, 2, 3, 4, 5, 6, 7]],
    terminate: [[0], [1]],
    align: [steps(0, 200), sevenTimes(0)],
    burst: [steps(0, 101), [1, 2, 3, 4, 5, 6, 7]],
  }],
  ["takes 150 once", once(2, 150), {
    immediate: [[0, 100, 200, 350, 450, 550, 650], [50]],
    skip: [[0, 100, 200, 350, 400, 500, 600], [50]],
    terminate: [[0, 100, 200], [50]],
    align: [[0, 100, 200, 400, 500, 600, 700], [0]],
    burst: [[0, 100, 200, 350, 400, 500, 600], [50]],
  }],
  ["takes 200 once", once(2, 200), {
    immediate: [[0, 100, 200, 400, 500, 600, 700], [100]],
    skip: [[0, 100, 200, 400, 500, 600, 700], [100]],
    terminate: [[0, 100, 200], [100]],
    align: [[0, 100, 200, 400, 500, 600, 700], [0]],
    burst: [[0, 100, 200, 400, 400, 500, 600], [100, 0]],
  }],
  ["takes 250 once", once(2, 250), {
    immediate: [[0, 100, 200, 450, 550, 650, 750], [150]],
    skip: [[0, 100, 200, 450, 500, 600, 700], [150]],
    terminate: [[0, 100, 200], [150]],
    align: [[0, 100, 200, 500, 600, 700, 800], [0]],
    burst: [[0, 100, 200, 450, 450, 500, 600], [150, 50]],
  }],
  // Counted in seconds the original gives the round at 700 twice.
  ["takes 600 once", once(1, 600), {
    immediate: [[0, 100, 700, 800, 900, 1000, 1100], [500]],
    skip: [[0, 100, 700, 800, 900, 1000, 1100], [500]],
    terminate: [[0, 100], [500]],
    align: [[0, 100, 700, 800, 900, 1000, 1100], [0]],
    burst: [[0, 100, 700, 700, 700, 700, 700], [500, 400, 300, 200, 100, 0]],
  }],
  ["takes 950 once", once(1, 950), {
    immediate: [[0, 100, 1050, 1150, 1250, 1350, 1450], [850]],
    skip: [[0, 100, 1050, 1100, 1200, 1300, 1400], [850]],
    terminate: [[0, 100], [850]],
    align: [[0, 100, 1100, 1200, 1300, 1400, 1500], [0]],
    burst: [
      [0, 100, 1050, 1050, 1050, 1050, 1050],
      [850, 750, 650, 550, 450, 350],
    ],
  }],
  ["takes 110 always", () => 110, {
    immediate: [steps(0, 110), sevenTimes(10)],
    skip: [steps(0, 110), [10, 20, 30, 40, 50, 60, 70]],
    terminate: [[0], [10]],
    align: [steps(0, 200), sevenTimes(0)],
    burst: [steps(0, 110), [10, 20, 30, 40, 50, 60, 70]],
  }],
  ["takes 150 always", () => 150, {
    immediate: [steps(0, 150), sevenTimes(50)],
    skip: [steps(0, 150), [50, 100, 50, 100, 50, 100, 50]],
    terminate: [[0], [50]],
    align: [steps(0, 200), sevenTimes(0)],
    burst: [steps(0, 150), [50, 100, 150, 200, 250, 300, 350]],
  }],
  ["takes 250 always", () => 250, {
    immediate: [steps(0, 250), sevenTimes(150)],
    skip: [steps(0, 250), [150, 200, 150, 200, 150, 200, 150]],
    terminate: [[0], [150]],
    align: [steps(0, 300), sevenTimes(0)],
    burst: [steps(0, 250), [150, 300, 450, 600, 750, 900, 1050]],
  }],
  ["varies", (round) => [30, 150, 80, 80, 80][round] ?? 0, {
    immediate: [[0, 100, 250, 350, 450, 550, 650], [50]],
    skip: [[0, 100, 250, 330, 410, 500, 600], [50, 30, 10]],
    terminate: [[0, 100], [50]],
    align: [[0, 100, 300, 400, 500, 600, 700], [0]],
    burst: [[0, 100, 250, 330, 410, 500, 600], [50, 30, 10]],
  }],
];

for (const [name, work, golden] of GOLDEN) {
  for (const policy of POLICIES) {
    test(`LoopTask with the policy ${policy} begins its rounds when it should when one ${name}`, async () => {
      const { starts, late, outcome } = await perform(policy, work);
      assertEquals([starts, late], golden[policy]);
      const hasOverrun = golden[policy][1].length > 0;
      assertEquals(
        outcome,
        policy === "terminate" && hasOverrun ? "terminated" : "stopped",
      );
    });
  }
}

test("LoopTask begins its grid when it is prepared", async () => {
  for (const policy of POLICIES) {
    const { starts, late } = await perform(policy, () => 0, 40);
    assertEquals(starts, steps(40, 100));
    assertEquals(late, []);
  }
});

test("LoopTask that takes long to prepare has not overrun", async () => {
  const { starts, late, outcome } = await perform("terminate", () => 0, 4000);
  assertEquals([starts, late, outcome], [steps(4000, 100), [], "stopped"]);
});

test("LoopTask has the policy Immediate by default, and a period of a second", async () => {
  const { starts } = await perform(undefined, once(2, 150));
  assertEquals(starts, [0, 100, 200, 350, 450, 550, 650]);
  const rig = new TaskRig();
  class Bare extends LoopTask {}
  const task = await rig.context.makeTask("bare", Bare);
  task.start();
  await rig.clock.advance(3500);
  assertEquals(task.statistics.rounds, 4);
  await task.stop();
});

test("LoopTask with hooks that do nothing does nothing, in rounds", async () => {
  class Bare extends LoopTask {}
  const rig = new TaskRig();
  const task = await rig.context.makeTask("bare", Bare, [{ period: 10 }]);
  const published = task.topics.statusUpdated;
  task.start();
  await rig.clock.advance(95);
  assertEquals(task.statistics, {
    rounds: 10,
    overruns: 0,
    missed: 0,
    worstLateness: 0,
  });
  assertEquals(await task.stop(), "stopped");
  assertEquals(published.published, 0);
  assertEquals(rig.logger.lines, []);
  rig.assertNothingLeft();
});

test("LoopTask does not drift over a day", async () => {
  const rig = new TaskRig();
  const starts: number[] = [];
  const period = 60_000 / 7;
  const task = await rig.context.makeTask("clock", HookedLoop, [
    { period, hooks: { loopIteration: (task) => task.sleep(1000) } },
    [],
    starts,
  ]);
  task.start();
  await rig.clock.advance(24 * 3_600_000 - 1);
  assertEquals(starts.length, 24 * 60 * 7);
  assertEquals(starts.at(-1), (starts.length - 1) * period);
  await task.stop();
});

// Misses and figures.

test("LoopTask tells onMissed() how late the next round is and how many are lost, before that round", async () => {
  const expected: Record<MissedLoopPolicy, [number[], number[]]> = {
    immediate: [[850], [8]],
    skip: [[850], [8]],
    align: [[0], [9]],
    burst: [[850, 750, 650, 550, 450, 350], [0, 0, 0, 0, 0, 0]],
    terminate: [[850], [0]],
  };
  for (const policy of POLICIES) {
    const { late, missed } = await perform(policy, once(1, 950));
    assertEquals([late, missed], expected[policy]);
  }
});

test("LoopTask calls onMissed() before the round that is late, whose statistics count already", async () => {
  const rig = new TaskRig();
  const order: unknown[] = [];
  class Late extends LoopTask {
    override async loopIteration(): Promise<void> {
      order.push(`round at ${this.clock.now()}`);
      if (order.length === 1) await this.sleep(350);
    }
    override onMissed(missed: MissedLoop): void {
      order.push(missed, this.statistics);
    }
  }
  const task = await rig.context.makeTask("late", Late, [{
    period: 100,
    policy: "skip",
  }]);
  task.start();
  await rig.clock.advance(360);
  const statistics = { rounds: 2, overruns: 1, missed: 2, worstLateness: 250 };
  assertEquals(order, [
    "round at 0",
    { late: 250, missed: 2 },
    statistics,
    "round at 350",
  ]);
  assertEquals(task.statistics, statistics);
  await task.stop();
});

test("LoopTask whose onMissed() fails goes on, and logs it", async () => {
  const failures: (() => unknown)[] = [
    () => {
      throw new Error("no log");
    },
    () => Promise.reject(new Error("no log")),
  ];
  for (const onMissed of failures) {
    const rig = new TaskRig();
    const task = await rig.context.makeTask("loop", HookedLoop, [{
      period: 100,
      hooks: { loopIteration: () => sleep(110, { clock: rig.clock }) },
      onMissed,
    }]);
    task.start();
    await rig.clock.advance(400);
    assertEquals(task.statistics.rounds, 4);
    await rig.settle();
    assertEquals(rig.logger.of("error"), [
      "error Task 'loop' has an onMissed that failed: Error: no log",
      "error Task 'loop' has an onMissed that failed: Error: no log",
      "error Task 'loop' has an onMissed that failed: Error: no log",
    ]);
    task.stop();
    await rig.clock.advance(100);
    assertEquals(task.outcome, "stopped");
  }
});

// The original warns every time.
test("LoopTask warns of overruns once as long as they follow each other", async () => {
  const work = [0, 150, 150, 150, 0, 0, 150, 0];
  const { lines } = await perform("immediate", (round) => work[round] ?? 0);
  assertEquals(lines, [
    "warn Task 'loop' took too long: 50 ms late",
    "warn Task 'loop' took too long: 50 ms late",
  ]);
});

test("LoopTask that its policy ends warns of it, too", async () => {
  const { lines, outcome } = await perform("terminate", once(3, 130));
  assertEquals(lines, ["warn Task 'loop' took too long: 30 ms late"]);
  assertEquals(outcome, "terminated");
});

test("LoopTask.statistics are those that its runner shows, and copies", async () => {
  const rig = new TaskRig();
  let self: HookedLoop | undefined;
  const task = await rig.context.makeTask("loop", HookedLoop, [{
    period: 100,
    hooks: {
      loopIteration: (task) => {
        self = task;
        return sleep(task.statistics.rounds === 2 ? 330 : 0, {
          clock: rig.clock,
        });
      },
    },
  }]);
  const before = task.statistics;
  task.start();
  await rig.clock.advance(1000);
  assertEquals(self?.statistics, task.statistics);
  assertEquals(task.statistics, {
    rounds: 8,
    overruns: 1,
    missed: 2,
    worstLateness: 230,
  });
  assertEquals(before.rounds, 0);
  await task.stop();
  assertEquals(task.statistics.rounds, 8);
});

test("LoopTask whose rounds all overrun leaves others their turn", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("busy", HookedLoop, [{
    period: 1,
    hooks: { loopIteration: () => sleep(5, { clock: rig.clock }) },
  }]);
  let turns = 0;
  rig.clock.setTimer(function again() {
    turns++;
    if (turns < 10) rig.clock.setTimer(again, 10);
  }, 10);
  task.start();
  await rig.clock.advance(100);
  assertEquals(turns, 10);
  assertEquals(task.statistics.rounds, 21);
  task.stop();
  await rig.clock.advance(5);
  assert(task.ended);
});

// How it ends.

/** The outcome of a loop whose third round does something. */
async function endIn(
  what: (task: HookedLoop, rig: TaskRig) => unknown,
  options: HookedLoopOptions = {},
) {
  const rig = new TaskRig({ grace: 50 });
  const calls: Hook[] = [];
  const task = await rig.context.makeTask("loop", HookedLoop, [{
    period: 100,
    ...options,
    hooks: {
      loopIteration: (task) => {
        if (task.statistics.rounds === 3) return what(task, rig);
      },
      ...options.hooks,
    },
  }, calls]);
  task.start();
  await rig.clock.advance(1000);
  if (!task.ended) {
    task.stop();
    await rig.clock.advance(1000);
  }
  await task.join().catch(() => {});
  return { outcome: task.outcome, state: task.state, calls };
}

test("LoopTask says by its outcome how it has ended", async () => {
  const overrun = (_: HookedLoop, { clock }: TaskRig) => sleep(100, { clock });
  const endings: [
    TaskOutcome,
    (task: HookedLoop, rig: TaskRig) => unknown,
    HookedLoopOptions,
  ][] = [
    ["stopped", () => {}, {}],
    ["stopped", (task) => task.stop(), {}],
    ["stopped", (_, { controller }) => controller.abort(), {}],
    ["terminated", overrun, { policy: "terminate" }],
    ["failed", () => Promise.reject(new Error("dark")), {}],
    ["failed", overrun, {
      policy: "terminate",
      hooks: { loopFinalize: () => Promise.reject(new Error("dark")) },
    }],
    ["abandoned", () => new Promise(() => {}), {}],
    // The stop came first: nothing is said of the overrun.
    ["stopped", (task, rig) => (task.stop(), overrun(task, rig)), {
      policy: "terminate",
    }],
  ];
  for (const [expected, what, options] of endings) {
    const { outcome } = await endIn(what, options);
    assertEquals(outcome, expected);
  }
});

test("LoopTask that lets a TaskStopError of its own through has completed", async () => {
  const { outcome, state, calls } = await endIn(() => {
    throw new TaskStopError("enough");
  });
  assertEquals([outcome, state], ["completed", "stopped"]);
  assertEquals(calls.slice(-2), ["loopIteration", "loopFinalize"]);
});

// There the policy stops the task, and a sleep in loopFinalize() fails.
test("LoopTask that its policy ends may still sleep in loopFinalize()", async () => {
  let rested: number | undefined;
  const { outcome } = await endIn((_, { clock }) => sleep(100, { clock }), {
    policy: "terminate",
    hooks: {
      loopFinalize: async (task) => {
        assertFalse(task.stopRequested);
        await task.sleep(30);
        rested = task.clock.now();
      },
    },
  });
  assertEquals([outcome, rested], ["terminated", 330]);
});

// There the last overrun is logged although the loop ends then.
test("LoopTask that is stopped while a round overruns does not count that", async () => {
  const rig = new TaskRig();
  const missed: MissedLoop[] = [];
  const task = await rig.context.makeTask("loop", HookedLoop, [{
    period: 100,
    hooks: { loopIteration: () => sleep(250, { clock: rig.clock }) },
    onMissed: (each) => missed.push(each),
  }]);
  task.start();
  await rig.clock.advance(120);
  const stop = task.stop();
  await rig.clock.advance(130);
  assertEquals(await stop, "stopped");
  assertEquals([missed, rig.logger.lines], [[], []]);
  assertEquals(task.statistics.overruns, 0);
});

test("LoopTask that sleeps between its rounds is stopped at once", async () => {
  const rig = new TaskRig();
  const task = await rig.context.makeTask("slow", HookedLoop, [{
    period: 10_000,
  }]);
  task.start();
  await rig.clock.advance(4321);
  assertEquals(await task.stop(), "stopped");
  assertEquals(rig.clock.now(), 4321);
  rig.assertNothingLeft();
});

test("LoopTask does not begin a round when the stop comes in the turn of its timer", async () => {
  for (const isBefore of [true, false]) {
    const manual = new ManualClock();
    let isLast = false;
    const clock: Clock = {
      now: () => manual.now(),
      setTimer: (callback, delay) =>
        manual.setTimer(() => {
          if (isLast && isBefore) task.stop();
          callback();
          if (isLast && !isBefore) task.stop();
        }, delay),
    };
    const starts: number[] = [];
    const task = await new TaskContext({ clock }).makeTask("loop", HookedLoop, [
      { period: 100 },
      [],
      starts,
    ]);
    task.start();
    await manual.advance(150);
    isLast = true;
    await manual.advance(1000);
    assertEquals(starts, [0, 100]);
    assertEquals([task.outcome, task.statistics.rounds], ["stopped", 2]);
  }
});

// The period.

test("LoopTask.period changes the wait in flight and keeps the phase", async () => {
  const rig = new TaskRig();
  const starts: number[] = [];
  let self: HookedLoop | undefined;
  const task = await rig.context.makeTask("loop", HookedLoop, [
    {
      period: 100,
      hooks: {
        loopPrepare: (task) => {
          self = task;
        },
      },
    },
    [],
    starts,
  ]);
  task.start();
  await rig.clock.advance(150);
  assert(self !== undefined);
  assertEquals(self.period, 100);
  self.period = 80; // the round of 200 comes at 180
  assertEquals(self.period, 80);
  await rig.clock.advance(120);
  assertEquals(starts, [0, 100, 180, 260]);
  self.period = 300;
  await rig.clock.advance(730);
  assertEquals(starts.slice(4), [560, 860]);
  await task.stop();
  self.period = 5;
  assertEquals(self.period, 5);
});

test("LoopTask.period can be changed in every hook, and before the first round", async () => {
  const hooks = ["loopPrepare", "loopIteration", "publishSignals"] as const;
  for (const hook of hooks) {
    const rig = new TaskRig();
    const starts: number[] = [];
    const task = await rig.context.makeTask("loop", HookedLoop, [
      {
        period: 100,
        hooks: {
          [hook]: (task: HookedLoop) => {
            task.period = 50;
          },
        },
      },
      [],
      starts,
    ]);
    task.start();
    await rig.clock.advance(170);
    assertEquals(starts, [0, 50, 100, 150]);
    await task.stop();
  }
});

test("LoopTask.period that the settings change is in effect in their own round", async () => {
  class Camera extends LoopTask<{ period: number }> {
    override settings = { period: 100 };
    readonly starts: number[];
    constructor(host: TaskHost, starts: number[]) {
      super(host, { period: 100 });
      this.starts = starts;
    }
    override processNewSettings(): void {
      this.period = this.settings.period;
    }
    override loopIteration(): void {
      this.starts.push(this.clock.now());
    }
  }
  const rig = new TaskRig();
  const starts: number[] = [];
  const task = await rig.context.makeTask("camera", Camera, [starts]);
  task.start();
  await rig.clock.advance(150);
  task.setSettings({ period: 30 });
  await rig.clock.advance(120);
  assertEquals(starts, [0, 100, 200, 230, 260]);
  await task.stop();
});

test("LoopTask.period refuses what is no period and stays what it was", async () => {
  const rig = new TaskRig();
  const errors: unknown[] = [];
  const task = await rig.context.makeTask("loop", HookedLoop, [{
    period: 100,
    hooks: {
      loopPrepare: (task) => {
        for (const period of [0, -1, NaN, Infinity]) {
          errors.push(assertThrows(
            () => task.period = period,
            RangeError,
            `Cannot change period as 'period' must be a positive finite number: current value is ${period}`,
          ));
        }
        assertThrows(() => task.period = "1" as never, TypeError, "'period'");
        assertEquals(task.period, 100);
      },
    },
  }]);
  task.start();
  await rig.clock.advance(250);
  assertEquals([errors.length, task.statistics.rounds], [4, 3]);
  await task.stop();
});

test("LoopTask with bad options is not made, and the error says why", async () => {
  const { context } = new TaskRig();
  const wrong: [unknown, typeof RangeError | typeof TypeError, string][] = [
    [{ period: 0 }, RangeError, "'period' must be a positive finite number"],
    [{ period: -1 }, RangeError, "'period'"],
    [{ period: NaN }, RangeError, "'period'"],
    [{ period: Infinity }, RangeError, "'period'"],
    [{ period: "100" }, TypeError, "'period'"],
    [{ period: null }, TypeError, "'period'"],
    [{ policy: "late" }, TypeError, "'policy'"],
    [{ policy: 1 }, TypeError, "'policy'"],
    [5, TypeError, "'options'"],
    [null, TypeError, "'options'"],
  ];
  for (const [options, kind, message] of wrong) {
    const { cause } = await assertRejects(
      () => context.makeTask("loop", HookedLoop, [options as never]),
      TaskInitError,
      "Cannot make task 'loop'",
    );
    assertInstanceOf(cause, kind);
    assert(cause.message.startsWith("Cannot create LoopTask as "));
    assert(cause.message.includes(message), cause.message);
  }
  assertEquals(context.tasks, []);
});

test("LoopTask works under FakeTime", async () => {
  const time = new FakeTime();
  try {
    const context = new TaskContext();
    const calls: Hook[] = [];
    const task = await context.makeTask("loop", HookedLoop, [
      { period: 100 },
      calls,
    ]);
    task.start();
    // Promises settle between the steps only.
    for (let step = 0; step < 5; step++) await time.tickAsync(50);
    await time.tickAsync(0);
    assertEquals(task.statistics.rounds, 3);
    await context.dispose();
    assertEquals(calls.at(-1), "loopFinalize");
  } finally {
    time.restore();
  }
});
