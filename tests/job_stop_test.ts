// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStrictEquals,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { call, JobError, parallel, runJob, sequential } from "../job.ts";
import { failuresOf, JobRig, statusesOf } from "./_job_rig.ts";
import { turns } from "./_turns.ts";
import { unhandledDuring } from "./_unhandled.ts";

const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((reason) => reason);

test("JobRun.stop() ends every call, begins no other and waits for the end", async () => {
  const rig = new JobRig();
  const run = rig.submit(sequential(
    parallel([
      rig.takes(1e6, "a"),
      sequential(rig.takes(1e6, "b"), rig.takes(1, "c")),
      rig.takes(1, "d"),
    ], { limit: 2 }),
    rig.takes(1, "e"),
  ));
  await rig.clock.advance(10);
  assertEquals(await run.stop({ reason: "dawn" }), "stopped");
  assertEquals(rig.log, ["+a", "+b", "xa", "xb"]);
  assertEquals(await caught(run.done), "dawn");
  assertEquals(statusesOf(run.results), [
    "stopped",
    ["stopped", "stopped", ["stopped", "stopped", "skipped"], "skipped"],
    "skipped",
  ]);
  assertEquals([run.status, run.error, run.abandoned], [
    "stopped",
    undefined,
    false,
  ]);
  rig.assertNothingLeft();
});

test("JobRun.stop() without a reason gives an AbortError, the same to all", async () => {
  const rig = new JobRig();
  const reasons: unknown[] = [];
  const keep = call(async ({ sleep, signal }) => {
    await sleep(1e6).catch(() => {});
    reasons.push(signal.reason);
    signal.throwIfAborted();
  });
  const run = rig.submit(
    sequential(parallel([keep, sequential(parallel([keep]))])),
  );
  await rig.clock.advance(1);
  await run.stop();
  const thrown = await caught(run.done);
  assertInstanceOf(thrown, DOMException);
  assertEquals(thrown.name, "AbortError");
  assertEquals(reasons.length, 2);
  for (const reason of reasons) assertStrictEquals(reason, thrown);
});

test("JobRun.stop() takes any reason, null too", async () => {
  for (const reason of [null, 0, "", false]) {
    const rig = new JobRig();
    const run = rig.submit(parallel([rig.takes(1e6, "a")]));
    await rig.clock.advance(1);
    await run.stop({ reason });
    assertEquals(await caught(run.done), reason);
    assertEquals(statusesOf(run.results), ["stopped", "stopped"]);
  }
});

test("JobRun.stop() in the turn of the submission lets nothing begin", async () => {
  const rig = new JobRig();
  const run = rig.submit(rig.takes(1, "a"));
  assertEquals(run.status, "waiting");
  assertEquals(await run.stop({ reason: "never mind" }), "stopped");
  assertEquals(rig.log, []);
  assertEquals(run.status, "skipped");
  assertEquals(statusesOf(run.results), "skipped");
  assertEquals(await caught(run.done), "never mind");
  rig.assertNothingLeft();
});

test("JobRun.stop() ends a job that waits for a place", async () => {
  const rig = new JobRig({ limit: 1 });
  const first = rig.submit(rig.takes(100, "a"));
  const second = rig.submit(sequential(rig.takes(1, "b")));
  const third = rig.submit(rig.takes(1, "c"));
  await rig.clock.advance(10);
  assertEquals(await second.stop({ reason: "no" }), "stopped");
  assertEquals(await caught(second.done), "no");
  assertEquals(rig.executor.size, 2);
  await rig.clock.runAll();
  assertEquals(rig.log, ["+a", "-a", "+c", "-c"]);
  assertEquals([first.status, third.status], ["completed", "completed"]);
  rig.assertNothingLeft();
});

test("JobRun.stop() after the end does nothing", async () => {
  const rig = new JobRig();
  const run = await rig.finish(rig.takes(1, "a"));
  assertEquals(await run.stop(), "stopped");
  assertEquals(run.status, "completed");
  assertEquals(await run.done, "a");
});

test("JobRun.stop() that comes too late leaves the job completed", async () => {
  const rig = new JobRig();
  const run = rig.submit(call(async ({ clock }) => {
    await new Promise<void>((resolve) => clock.setTimer(resolve, 10));
    return "image";
  }));
  await rig.clock.advance(5);
  const stop = run.stop();
  await rig.clock.advance(5);
  assertEquals(await stop, "stopped");
  assertEquals(await run.done, "image");
  assertEquals(run.status, "completed");
});

test("JobRun.stop() in a sequence keeps what has completed and skips the rest", async () => {
  const rig = new JobRig();
  const run = rig.submit(sequential(
    call(({ clock }) =>
      new Promise<void>((resolve) => clock.setTimer(resolve, 10))
    ),
    rig.takes(1, "a"),
    rig.takes(1, "b"),
  ));
  await rig.clock.advance(5);
  const stop = run.stop({ reason: "dawn" });
  await rig.clock.runAll();
  assertEquals(await stop, "stopped");
  assertEquals(statusesOf(run.results), [
    "stopped",
    "completed",
    "skipped",
    "skipped",
  ]);
  assertEquals(rig.log, []);
});

test("JobRun.stop() ends groups that have begun and wait for a place", async () => {
  const rig = new JobRig({ limit: 2 });
  const first = rig.submit(
    sequential(
      rig.takes(5, "a"),
      parallel([rig.takes(50, "b"), rig.takes(50, "c")]),
    ),
  );
  const second = rig.submit(
    parallel([
      sequential(rig.takes(10, "d"), parallel([rig.takes(1, "e")])),
    ]),
  );
  await rig.clock.advance(20);
  assertEquals(rig.log, ["+a", "+d", "-a", "+b", "-d", "+c"]);
  const done = rig.watch(second.done);
  assertEquals(await second.stop({ reason: "dawn" }), "stopped");
  assertEquals(done.settled, { reason: "dawn", at: 20 });
  await rig.clock.runAll();
  assertEquals(first.status, "completed");
  rig.assertNothingLeft();
});

test("JobRun.stop() gives up after its grace, and the places are free", async () => {
  const rig = new JobRig({ limit: 2 });
  const run = rig.submit(
    parallel([rig.hangs("a"), rig.hangs("b"), rig.takes(1, "c")]),
  );
  const next = rig.submit(rig.takes(1, "d"));
  await rig.clock.advance(0);
  const stop = rig.watch(run.stop({ reason: "dawn", grace: 50 }));
  const patient = rig.watch(run.stop({ grace: 200 }));
  const done = rig.watch(run.done);
  await rig.clock.advance(49);
  assertEquals([stop.settled, done.settled], [undefined, undefined]);
  assertEquals(run.status, "stopping");
  await rig.clock.advance(1);
  assertEquals(stop.settled, { value: "abandoned", at: 50 });
  assertEquals(done.settled, { reason: "dawn", at: 50 });
  assertEquals(run.status, "abandoned");
  assert(run.abandoned);
  await rig.clock.runAll();
  assertEquals(patient.settled, { value: "abandoned", at: 200 });
  assertEquals(rig.log, ["+a", "+b", "+d", "-d"]);
  assertEquals(next.status, "completed");
  assertEquals(statusesOf(run.results), [
    "abandoned",
    "abandoned",
    "abandoned",
    "skipped",
  ]);
  assertEquals(rig.logger.of("warn").length, 2);
  rig.assertNothingLeft();
});

test("JobRun.stop() that waits learns of the end of what another has abandoned", async () => {
  const rig = new JobRig();
  const end = Promise.withResolvers<void>();
  const run = rig.submit(call(() => end.promise));
  await rig.clock.advance(0);
  const short = rig.watch(run.stop({ grace: 10 }));
  const long = rig.watch(run.stop({ grace: 100 }));
  await rig.clock.advance(20);
  assertEquals(short.settled?.value, "abandoned");
  end.resolve();
  await rig.clock.advance(0);
  assertEquals(long.settled, { value: "stopped", at: 20 });
  assertEquals(run.status, "abandoned");
  assertEquals(await run.stop(), "stopped");
});

test("JobRun.stop() ends before the grace of a failure in it", async () => {
  const rig = new JobRig({ grace: 1000 });
  const run = rig.submit(parallel([rig.fails(0, "a"), rig.hangs("b")]));
  await rig.clock.advance(10);
  const stop = rig.watch(run.stop({ grace: 20 }));
  await rig.clock.advance(20);
  assertEquals(stop.settled, { value: "abandoned", at: 30 });
  assertEquals(await failuresOf(run), [["0:a", "a"]]);
  rig.assertNothingLeft();
});

test("JobRun fails with the errors of calls that fail while they are stopped", async () => {
  const rig = new JobRig();
  const run = rig.submit(parallel([rig.takes(1e6, "a"), rig.fails(20, "b")]));
  await rig.clock.advance(10);
  const stop = run.stop();
  await rig.clock.advance(10);
  assertEquals(await stop, "stopped");
  assertEquals(await failuresOf(run), [["1:b", "b"]]);
  assertEquals(run.status, "failed");
});

test("JobRun takes the abort of its signal for a stop, with the default grace", async () => {
  const rig = new JobRig({ grace: 100 });
  const own = new AbortController();
  const run = rig.submit(parallel([rig.takes(1e6, "a"), rig.hangs("b")]), {
    signal: own.signal,
  });
  const done = rig.watch(run.done);
  await rig.clock.advance(10);
  own.abort("dawn");
  await rig.clock.runAll();
  assertEquals(done.settled, { reason: "dawn", at: 110 });
  assertEquals(rig.log, ["+a", "+b", "xa"]);
  rig.assertNothingLeft();
});

test("JobRun whose signal has aborted already does not begin", async () => {
  const rig = new JobRig();
  const run = rig.submit(rig.takes(1, "a"), {
    signal: AbortSignal.abort("before"),
  });
  await rig.clock.runAll();
  assertEquals(rig.log, []);
  assertEquals(await caught(run.done), "before");
  rig.assertNothingLeft();
});

test("JobRun may be stopped from within its calls and hooks", async () => {
  const rig = new JobRig();
  const run = rig.submit(
    sequential(
      parallel([
        rig.takes(1e6, "a"),
        rig.takes(10, "b"),
        rig.takes(10, "c"),
      ], { limit: 2 }),
      rig.takes(1, "d"),
    ),
    {
      onProgress: () => {
        run.stop({ reason: "enough" });
      },
    },
  );
  await rig.clock.runAll();
  assertEquals(rig.log, ["+a", "+b", "-b", "xa"]);
  assertEquals(await caught(run.done), "enough");
  const other = rig.submit(parallel([
    rig.takes(1e6, "e"),
    call(() => {
      other.stop({ reason: "from within" });
    }),
    rig.takes(1e6, "f"),
  ]));
  await rig.clock.runAll();
  assertEquals(rig.log.slice(4), ["+e", "xe"]);
  assertEquals(await caught(other.done), "from within");
  rig.assertNothingLeft();
});

test("JobRun may be stopped by whoever hears of a failure in it", async () => {
  const rig = new JobRig();
  const run = rig.submit(parallel([
    parallel([
      rig.fails(10, "a"),
      call(async ({ signal, sleep }) => {
        signal.addEventListener("abort", () => {
          run.stop({ reason: "all" });
        });
        await sleep(1e6);
      }),
    ]),
    rig.takes(1e6, "b"),
    rig.takes(1e6, "c"),
  ], { limit: 3, onFailure: "wait" }));
  await rig.clock.runAll();
  assertEquals(rig.log, ["+a", "+b", "xb"]);
  assertEquals(await failuresOf(run), [["0/0:a", "a"]]);
  rig.assertNothingLeft();
});

test("JobRun is stopped when it is disposed of", async () => {
  const rig = new JobRig();
  const run = rig.submit(rig.takes(1e6, "a"));
  await rig.clock.advance(1);
  await run[Symbol.asyncDispose]();
  assertEquals(rig.log, ["+a", "xa"]);
  rig.assertNothingLeft();
});

test("runJob() rejects with the reason of its signal when the calls have ended", async () => {
  const rig = new JobRig();
  const { clock, timers, controller } = rig;
  const job = parallel([
    rig.takes(1e6, "a"),
    call(async ({ sleep }) => {
      await sleep(1e6).catch(() => {});
      await new Promise<void>((resolve) => clock.setTimer(resolve, 20));
    }),
  ]);
  const done = rig.watch(
    runJob(job, { clock: timers, signal: controller.signal }),
  );
  await clock.advance(10);
  assertEquals(controller.listeners, 1);
  controller.abort("dawn");
  await clock.advance(19);
  assertEquals(done.settled, undefined);
  await clock.advance(1);
  assertEquals(done.settled, { reason: "dawn", at: 30 });
  rig.assertNothingLeft();
});

test("runJob() leaves no listener on its signal", async () => {
  const rig = new JobRig();
  const { clock, timers, controller } = rig;
  const done = runJob(
    parallel([rig.takes(10, "a"), call(({ signal }) => signal.aborted)]),
    { clock: timers, signal: controller.signal },
  );
  await clock.runAll();
  assertEquals(await done, ["a", false]);
  rig.assertNothingLeft();
});

test("A stopped job leaves no unhandled rejection behind", async () => {
  const rig = new JobRig({ grace: 10 });
  const unhandled = await unhandledDuring(async () => {
    const run = rig.submit(parallel([
      rig.takes(1e6, "a"),
      rig.hangs("b"),
      rig.fails(500, "c"),
      rig.takes(1, "d"),
    ], { limit: 3 }));
    await rig.clock.advance(1);
    run.stop({ reason: new Error("dawn") });
    await rig.clock.runAll();
    await turns();
  });
  assertEquals(unhandled, []);
  assertEquals(rig.logger.of("error"), [
    "error Call 2:c of job 'job' failed after it was abandoned: Error: c",
  ]);
});

test("An AbortError without an abort is a failure like any other", async () => {
  const error = await caught(runJob(call(() => {
    throw new DOMException("from somewhere", "AbortError");
  })));
  assertInstanceOf(error, JobError);
});

test("The signal of a call is not aborted by the end of its job", async () => {
  const rig = new JobRig();
  let signal: AbortSignal | undefined;
  await rig.finish(call((context) => {
    signal = context.signal;
  }));
  assertFalse(signal?.aborted);
});
