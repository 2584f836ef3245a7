// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import {
  call,
  JobExecutor,
  type JobRun,
  parallel,
  sequential,
} from "../job.ts";
import { ManualClock } from "../testing.ts";
import { failuresOf, JobRig } from "./_job_rig.ts";

const names = (runs: Iterable<JobRun>): (string | undefined)[] =>
  Array.from(runs, ({ job }) => job.name);

test("JobExecutor.submit() begins soon after, not within the call", async () => {
  const rig = new JobRig();
  const run = rig.submit(call(() => rig.log.push("call")));
  rig.log.push("submitted");
  assertEquals(run.status, "waiting");
  await run.done;
  assertEquals(rig.log, ["submitted", "call"]);
});

test("JobExecutor counts the calls of all jobs together", async () => {
  const rig = new JobRig({ limit: 3 });
  let most = 0;
  const count = call(async ({ sleep }) => {
    most = Math.max(most, rig.executor.running);
    await sleep(10);
  });
  const many = parallel(Array.from({ length: 6 }, () => count));
  rig.submit(many);
  rig.submit(sequential(many, count));
  rig.submit(count);
  assertEquals(rig.executor.size, 3);
  await rig.clock.runAll();
  assertEquals(most, 3);
  assertEquals(rig.clock.now(), 50);
  rig.assertNothingLeft();
});

test("JobExecutor serves the job first that was submitted first", async () => {
  const rig = new JobRig({ limit: 2 });
  rig.submit(parallel(["a", "b", "c"].map((name) => rig.takes(10, name))));
  rig.submit(parallel(["d", "e", "f"].map((name) => rig.takes(10, name))));
  rig.submit(rig.takes(10, "g"));
  await rig.clock.runAll();
  assertEquals(
    rig.log.filter((line) => line.startsWith("+")).join(""),
    "+a+b+c+d+e+f+g",
  );
});

test("JobExecutor gives what a job leaves to the next, and takes it back call by call", async () => {
  const rig = new JobRig({ limit: 2 });
  const both = parallel([rig.takes(10, "b"), rig.takes(10, "c")]);
  rig.submit(sequential(rig.takes(15, "a"), both));
  rig.submit(parallel(["d", "e", "f"].map((name) => rig.takes(10, name))));
  await rig.clock.runAll();
  assertEquals(
    rig.log.filter((line) => line.startsWith("+")).join(""),
    "+a+d+e+b+c+f",
  );
});

test("A sequence keeps its place from one call to the next", async () => {
  const rig = new JobRig({ limit: 1 });
  rig.submit(sequential(parallel([rig.takes(10, "a")]), rig.takes(10, "b")));
  rig.submit(sequential(rig.takes(10, "c"), rig.takes(10, "d")));
  await rig.clock.runAll();
  assertEquals(
    rig.log.filter((line) => line.startsWith("+")).join(""),
    "+a+b+c+d",
  );
});

test("JobExecutor runs jobs whose calls submit others", async () => {
  const rig = new JobRig({ limit: 1 });
  const runs: JobRun[] = [];
  rig.submit(call(() => {
    for (const name of ["a", "b"]) runs.push(rig.submit(rig.takes(10, name)));
  }));
  await rig.clock.runAll();
  assertEquals(runs.map(({ status }) => status), ["completed", "completed"]);
  assertEquals(rig.log, ["+a", "-a", "+b", "-b"]);
});

test("JobExecutor.idle() resolves when no job is live", async () => {
  const rig = new JobRig();
  await rig.executor.idle();
  rig.submit(rig.takes(10, "a"));
  rig.submit(rig.fails(20, "b")).done.catch(() => {});
  const idle = rig.watch(rig.executor.idle());
  await rig.clock.advance(19);
  assertEquals(idle.settled, undefined);
  await rig.clock.advance(1);
  assertEquals(idle.settled?.at, 20);
  rig.submit(rig.takes(10, "c"));
  const controller = new AbortController();
  const cut = rig.watch(rig.executor.idle({ signal: controller.signal }));
  controller.abort("impatient");
  await rig.clock.advance(0);
  assertEquals(cut.settled?.reason, "impatient");
  await rig.clock.runAll();
  rig.assertNothingLeft();
});

test("JobExecutor.idle() does not wait for what was abandoned", async () => {
  const rig = new JobRig({ grace: 10 });
  rig.submit(parallel([rig.fails(0, "a"), rig.hangs("b")]))
    .done.catch(() => {});
  const idle = rig.watch(rig.executor.idle());
  await rig.clock.advance(10);
  assertEquals(idle.settled?.at, 10);
});

test("JobExecutor.stopAll() stops all jobs, and none begins meanwhile", async () => {
  const rig = new JobRig({ limit: 2 });
  const runs = [
    rig.submit(rig.takes(1e6, "a")),
    rig.submit(rig.hangs("b")),
    rig.submit(rig.takes(1, "c")),
    rig.submit(parallel([rig.takes(1, "d")])),
  ];
  assertEquals(names(rig.executor), ["a", "b", "c", undefined]);
  await rig.clock.advance(1);
  const stop = rig.executor.stopAll({ reason: "dawn", grace: 10 });
  const later = rig.submit(rig.takes(1, "e"));
  await rig.clock.runAll();
  const { stopped, abandoned } = await stop;
  assertEquals(new Set(stopped), new Set(runs.filter((_, n) => n !== 1)));
  assertEquals(names(abandoned), ["b"]);
  assertEquals(rig.log, ["+a", "+b", "xa", "+e", "-e"]);
  assertEquals(later.status, "completed");
  for (const run of runs) {
    assertEquals(await run.done.catch((reason) => reason), "dawn");
  }
  rig.assertNothingLeft();
});

test("JobExecutor obeys its signal, for jobs that come later, too", async () => {
  const rig = new JobRig({ limit: 1 });
  rig.submit(rig.takes(1e6, "a"));
  rig.submit(rig.takes(1, "b"));
  await rig.clock.advance(1);
  assertEquals(rig.controller.listeners, 1);
  rig.controller.abort("dawn");
  const late = rig.submit(rig.takes(1, "c"));
  await rig.clock.runAll();
  assertEquals(rig.log, ["+a", "xa"]);
  assertEquals(await late.done.catch((reason) => reason), "dawn");
  rig.assertNothingLeft();
});

test("JobExecutor stops its jobs when it is disposed of, and takes no more", async () => {
  const rig = new JobRig();
  const { executor } = rig;
  rig.submit(rig.takes(1e6, "a"));
  await rig.clock.advance(1);
  await executor[Symbol.asyncDispose]();
  assertEquals(rig.log, ["+a", "xa"]);
  assertThrows(
    () => executor.submit(call(() => {})),
    Error,
    "Cannot submit as the executor was disposed of",
  );
  rig.assertNothingLeft();
});

test("JobOptions of a job come before those of the executor", async () => {
  const rig = new JobRig({ grace: 100 });
  const clock = new ManualClock();
  const run = rig.submit(parallel([rig.takes(10, "a"), rig.hangs("b")]), {
    clock,
    grace: 5,
  });
  const own = new AbortController();
  const other = rig.submit(parallel([rig.hangs("c")]), {
    signal: own.signal,
    grace: Infinity,
  });
  await clock.advance(20);
  assertEquals(rig.log, ["+a", "+b", "+c", "-a"]);
  const stop = run.stop();
  await clock.advance(5);
  assertEquals(await stop, "abandoned");
  own.abort();
  await rig.clock.advance(1e6);
  assertEquals(other.status, "stopping");
  assertEquals(rig.timers.timers, 0);
  const end = other.stop({ grace: 0 });
  await rig.clock.advance(0);
  assertEquals(await end, "abandoned");
});

test("JobExecutor keeps nothing of jobs that were stopped before their turn", async () => {
  const rig = new JobRig({ limit: 1 });
  rig.submit(rig.takes(100, "a"));
  const waiting = Array.from(
    { length: 1000 },
    () => rig.submit(parallel([rig.takes(1, "b")])),
  );
  await rig.clock.advance(1);
  await Promise.all(waiting.map((run) => run.stop()));
  assertEquals(rig.executor.size, 1);
  const last = rig.submit(rig.takes(1, "c"));
  await rig.clock.runAll();
  assertEquals(last.status, "completed");
  assertEquals(rig.log, ["+a", "-a", "+c", "-c"]);
  rig.assertNothingLeft();
});

test("JobExecutor with failures of all kinds is as good as new", async () => {
  const rig = new JobRig({ limit: 2, grace: 10 });
  const runs = [
    rig.submit(parallel([rig.fails(1, "a"), rig.hangs("b")])),
    rig.submit(call(() => {
      throw new Error("at once");
    })),
    rig.submit(sequential(rig.takes(1, "c"), rig.fails(1, "d"))),
  ];
  for (const { done } of runs) done.catch(() => {});
  await rig.clock.runAll();
  for (const run of runs) assertEquals((await failuresOf(run)).length, 1);
  const run = await rig.finish(parallel([
    rig.takes(10, "e"),
    rig.takes(10, "f"),
  ]));
  assertEquals(await run.done, ["e", "f"]);
  rig.assertNothingLeft();
});

test("JobExecutor that waits for itself within a call is freed by a stop", async () => {
  const clock = new ManualClock();
  const executor = new JobExecutor({ limit: 1, clock });
  const run = executor.submit(
    call(() => executor.submit(call(() => "never")).done),
  );
  await clock.advance(0);
  assertEquals(executor.size, 2);
  const stopped = executor.stopAll({ reason: "dawn" });
  await clock.advance(0);
  assertEquals((await stopped).stopped.length, 2);
  await assertRejects(
    async () => {
      await run.done.catch((reason) => {
        throw new Error(reason);
      });
    },
    Error,
    "dawn",
  );
  assert(run.status === "stopped");
});
