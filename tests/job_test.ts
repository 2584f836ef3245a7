// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import {
  call,
  type Job,
  type JobContext,
  JobError,
  parallel,
  runJob,
  sequential,
} from "../job.ts";
import { ManualClock } from "../testing.ts";
import { JobRig, statusesOf } from "./_job_rig.ts";

test("runJob() resolves with results in the form of the job", async () => {
  const job = sequential(
    call(() => 1),
    parallel([
      call(() => Promise.resolve(2)),
      sequential(call(() => undefined), call(() => [4])),
    ]),
  );
  assertEquals(await runJob(job), [1, [2, [undefined, [4]]]]);
  assertEquals(await runJob(call(() => "alone")), "alone");
});

test("Job groups without jobs complete at once, however they are nested", async () => {
  assertEquals(await runJob(sequential()), []);
  assertEquals(await runJob(parallel([])), []);
  const nested = sequential(
    parallel([sequential(), parallel([], { limit: 1 })], { limit: 1 }),
    sequential(sequential(), call(() => "one"), parallel([])),
    parallel([parallel([])]),
  );
  assertEquals(await runJob(nested, { limit: 1 }), [
    [[], []],
    [[], "one", []],
    [[]],
  ]);
});

test("sequential() runs its jobs one after the other", async () => {
  const rig = new JobRig();
  const run = await rig.finish(sequential(
    rig.takes(20, "a"),
    sequential(rig.takes(10, "b")),
    rig.takes(0, "c"),
  ));
  assertEquals(rig.log, ["+a", "-a", "+b", "-b", "+c", "-c"]);
  assertEquals(await run.done, ["a", ["b"], "c"]);
  assertEquals(rig.clock.now(), 30);
  rig.assertNothingLeft();
});

test("parallel() runs its jobs side by side and keeps the order of results", async () => {
  const rig = new JobRig();
  const run = await rig.finish(parallel([
    rig.takes(30, "a"),
    rig.takes(10, "b"),
    sequential(rig.takes(5, "c"), rig.takes(5, "d")),
  ]));
  assertEquals(rig.log, [
    "+a",
    "+b",
    "+c",
    "-c",
    "+d",
    "-b",
    "-d",
    "-a",
  ]);
  assertEquals(await run.done, ["a", "b", ["c", "d"]]);
  assertEquals(rig.clock.now(), 30);
});

test("parallel() begins no more jobs than its limit, in order", async () => {
  const rig = new JobRig();
  await rig.finish(parallel([
    rig.takes(30, "a"),
    rig.takes(10, "b"),
    rig.takes(10, "c"),
    rig.takes(10, "d"),
  ], { limit: 2 }));
  assertEquals(rig.log, ["+a", "+b", "-b", "+c", "-c", "+d", "-a", "-d"]);
});

test("parallel() counts calls below it, however deep, not groups", async () => {
  const rig = new JobRig();
  let running = 0;
  let most = 0;
  const count = call(async ({ sleep }) => {
    most = Math.max(most, ++running);
    await sleep(10);
    running--;
  });
  const inner = parallel([count, count, count, count]);
  await rig.finish(parallel([inner, inner, inner], { limit: 3 }));
  assertEquals(most, 3);
  assertEquals(rig.clock.now(), 40);
});

test("parallel() goes on with what has begun before it begins other jobs", async () => {
  const rig = new JobRig();
  const beam = (name: string) =>
    sequential(
      rig.takes(10, `${name}1`),
      parallel([rig.takes(10, `${name}2`), rig.takes(10, `${name}3`)]),
    );
  await rig.finish(parallel([beam("a"), beam("b"), beam("c")], { limit: 2 }));
  assertEquals(rig.log.filter((line) => line.startsWith("+")), [
    "+a1",
    "+b1",
    "+a2",
    "+a3",
    "+b2",
    "+b3",
    "+c1",
    "+c2",
    "+c3",
  ]);
});

test("Job values run any number of times, also side by side with themselves", async () => {
  const rig = new JobRig();
  const scan = sequential(rig.takes(10, "a"), rig.takes(10, "b"));
  const first = rig.submit(scan);
  const second = rig.submit(parallel([scan, scan]));
  await rig.clock.runAll();
  assertEquals(await first.done, ["a", "b"]);
  assertEquals(await second.done, [["a", "b"], ["a", "b"]]);
  assertEquals(rig.clock.now(), 20);
  const third = await rig.finish(scan);
  assertEquals(await third.done, ["a", "b"]);
});

test("Job values cannot be changed", async () => {
  const list: Job[] = [call(() => 1)];
  const job = parallel(list);
  list.push(call(() => 2));
  (job.jobs as Job[]).pop();
  assertEquals(job.jobs.length, 1);
  assertEquals(await runJob(job), [1]);
  for (const key of ["kind", "name", "size", "action"]) {
    try {
      (job as unknown as Record<string, unknown>)[key] = "changed";
    } catch (error) {
      assertInstanceOf(error, TypeError);
    }
  }
  assertEquals([job.kind, job.name, job.size], ["parallel", undefined, 1]);
});

test("Job values tell what they are made of", () => {
  function slew() {}
  const job = sequential(
    call(slew),
    parallel([call(() => {}), call(() => {}).named("expose")]).named("scan"),
  );
  assertEquals([job.kind, job.name, job.size], ["sequential", undefined, 3]);
  assertEquals(job.jobs.map(({ kind }) => kind), ["call", "parallel"]);
  assertEquals(job.jobs.map(({ name }) => name), ["slew", "scan"]);
  assertEquals(job.jobs[1]?.jobs.map(({ name }) => name), [
    undefined,
    "expose",
  ]);
  const named = job.named("night");
  assertEquals([named.name, job.name], ["night", undefined]);
  assertEquals(named.jobs, job.jobs);
});

test("call() hands its function a context that may be taken apart", async () => {
  const clock = new ManualClock();
  const logger = console;
  const seen: JobContext[] = [];
  const job = parallel([
    call((context) => {
      seen.push(context);
      const { sleep, progress, signal } = context;
      progress(0.5);
      assert(!signal.aborted);
      return sleep(10);
    }),
    call((context) => {
      seen.push(context);
    }),
  ]);
  const done = runJob(job, { clock, logger });
  await clock.runAll();
  assertEquals(await done, [undefined, undefined]);
  const [first, second] = seen;
  assert(first !== undefined && second !== undefined);
  assertStrictEquals(first.clock, clock);
  assertStrictEquals(first.logger, logger);
  assertStrictEquals(first.signal, second.signal);
});

test("call() takes any thenable for a promise, and any value for a result", async () => {
  const thenable = {
    then(resolve: (value: string) => void): void {
      resolve("then");
      resolve("twice");
    },
  };
  const throwing = {
    get then(): never {
      throw new RangeError("no then");
    },
  };
  assertEquals(await runJob(call(() => thenable)), "then");
  const error = await assertRejects(() => runJob(call(() => throwing)));
  assertInstanceOf((error as Error).cause, RangeError);
  for (const value of [undefined, null, 0, "", NaN]) {
    assertEquals(await runJob(call(() => value)), value);
  }
});

test("JobRun.progress counts completed calls, and the parts of those that run", async () => {
  const rig = new JobRig();
  const told: number[] = [];
  const job = sequential(
    call(() => {}),
    parallel([
      call(async ({ sleep, progress }) => {
        await sleep(10);
        progress(0.5);
        progress(0.25);
        await sleep(10);
        progress(1);
        await sleep(10);
      }),
      call(({ sleep }) => sleep(15)),
    ]),
    parallel([]),
    call(() => {}),
  );
  const run = rig.submit(job, { onProgress: (done) => told.push(done) });
  assertEquals(run.progress, 0);
  await rig.clock.advance(0);
  assertEquals(run.progress, 1 / 4);
  await rig.clock.advance(10);
  assertEquals(run.progress, 1.5 / 4);
  assertEquals(run.results.jobs[1]?.progress, 0.25);
  await rig.clock.runAll();
  assertEquals(run.progress, 1);
  assertEquals(told, [0.25, 0.375, 0.625, 0.75, 0.75, 1]);
});

test("JobRun.progress of what has no calls is 0 before and 1 after", async () => {
  const rig = new JobRig();
  const run = rig.submit(sequential());
  assertEquals(run.progress, 0);
  await rig.clock.advance(0);
  assertEquals(run.progress, 1);
  assertEquals(run.results.progress, 1);
});

test("JobContext.progress() is ignored after the end of the call", async () => {
  const rig = new JobRig();
  let late: ((done: number) => void) | undefined;
  const run = rig.submit(sequential(
    call(({ progress }) => {
      late = progress;
    }),
    rig.takes(10, "a"),
  ));
  await rig.clock.advance(5);
  late?.(1);
  assertEquals(run.progress, 0.5);
  await rig.clock.runAll();
  assertEquals(run.progress, 1);
});

test("JobRun.results shows a tree like the job, at any moment", async () => {
  const rig = new JobRig();
  const job = sequential(
    rig.takes(10, "a"),
    parallel([rig.takes(10, "b"), rig.takes(30, "c"), rig.takes(10, "d")], {
      limit: 2,
    }),
    sequential(rig.takes(10, "e")),
  );
  const run = rig.submit(job.named("night"));
  const statuses = () => statusesOf(run.results);
  const waiting = ["waiting", "waiting"];
  const none = ["waiting", "waiting", "waiting", "waiting"];
  assertEquals(statuses(), ["waiting", "waiting", none, waiting]);
  await rig.clock.advance(5);
  assertEquals(statuses(), ["running", "running", none, waiting]);
  await rig.clock.advance(10);
  assertEquals(statuses(), [
    "running",
    "completed",
    ["running", "running", "running", "waiting"],
    waiting,
  ]);
  assertEquals(run.status, "running");
  await rig.clock.advance(10);
  const [, middle] = run.results.jobs;
  assertEquals(middle?.jobs.map(({ value }) => value), [
    "b",
    undefined,
    undefined,
  ]);
  await rig.clock.runAll();
  assertEquals(statuses(), [
    "completed",
    "completed",
    ["completed", "completed", "completed", "completed"],
    ["completed", "completed"],
  ]);
  assertEquals(run.status, "completed");
  const { name, kind, value, jobs } = run.results;
  assertEquals([name, kind], ["night", "sequential"]);
  assertEquals(value, ["a", ["b", "c", "d"], ["e"]]);
  assertEquals(jobs.map(({ value }) => value), value);
});

test("JobRun.done is the same for all, and asked for before or after the end", async () => {
  const rig = new JobRig();
  const run = rig.submit(rig.takes(10, "a"));
  const before = run.done;
  assertStrictEquals(run.done, before);
  await rig.clock.runAll();
  assertStrictEquals(run.done, before);
  assertEquals(await before, "a");
  const other = await rig.finish(rig.takes(10, "b"));
  assertEquals(await other.done, "b");
});

test("sequential() of many calls does not grow the stack", async () => {
  const one = call(() => 1);
  const many = Array.from({ length: 50_000 }, () => one);
  const inner = sequential(...many);
  const results = await runJob(parallel([inner, parallel(many)]));
  assertEquals(results[0]?.length, 50_000);
  assertEquals(results[1]?.length, 50_000);
});

test("Job groups may be a thousand deep", async () => {
  let job: Job = call(() => "deep");
  for (let depth = 0; depth < 1000; depth++) {
    job = depth % 2 === 0 ? sequential(job) : parallel([job], { limit: 1 });
  }
  const rig = new JobRig({ limit: 1 });
  const run = await rig.finish(job);
  assertEquals(run.status, "completed");
  let value: unknown = await run.done;
  while (Array.isArray(value)) [value] = value;
  assertEquals(value, "deep");
});

test("call() asks its function for its name once, when it is made", async () => {
  const action = () => {
    throw new Error("no light");
  };
  let name = "focus";
  Object.defineProperty(action, "name", { get: () => name });
  const job = call(action);
  name = "slew";
  assertEquals(job.name, "focus");
  Object.defineProperty(action, "name", {
    get: () => {
      throw new Error("no name");
    },
  });
  assertThrows(() => call(action), Error, "no name");
  await assertRejects(
    () => runJob(job),
    JobError,
    "Job 'focus' has failed: Error: no light",
  );
});
