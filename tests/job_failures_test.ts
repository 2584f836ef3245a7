// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { FakeTime } from "@std/testing/time";
import { sleep } from "../cancellation.ts";
import type { Clock } from "../clock.ts";
import {
  call,
  JobError,
  JobExecutor,
  parallel,
  runJob,
  sequential,
} from "../job.ts";
import { failuresOf, JobRig, statusesOf } from "./_job_rig.ts";
import { turns } from "./_turns.ts";
import { unhandledDuring } from "./_unhandled.ts";

test("sequential() runs nothing after the job that has failed", async () => {
  const rig = new JobRig();
  const run = await rig.finish(sequential(
    rig.takes(10, "a"),
    rig.fails(10, "b"),
    rig.takes(10, "c"),
    parallel([rig.takes(10, "d")]),
  ));
  assertEquals(await failuresOf(run), [["1:b", "b"]]);
  assertEquals(rig.log, ["+a", "-a", "+b"]);
  assertEquals(statusesOf(run.results), [
    "failed",
    "completed",
    "failed",
    "skipped",
    ["skipped", "skipped"],
  ]);
  assertEquals(run.progress, 0.25);
  rig.assertNothingLeft();
});

test("parallel() tells the others to stop when one fails, and waits for them", async () => {
  const rig = new JobRig();
  const tidies = call(async ({ sleep, clock }) => {
    try {
      await sleep(1e6);
    } finally {
      await new Promise<void>((resolve) => clock.setTimer(resolve, 15));
      rig.log.push("tidied");
    }
  });
  const run = rig.submit(parallel([
    rig.fails(10, "a"),
    rig.takes(1e6, "b"),
    sequential(rig.takes(1e6, "c"), rig.takes(1, "d")),
    tidies,
    rig.takes(1, "e"),
  ], { limit: 4 }));
  const done = rig.watch(run.done);
  await rig.clock.advance(20);
  assertEquals(rig.log, ["+a", "+b", "+c", "xb", "xc"]);
  assertEquals(done.settled, undefined);
  assertEquals(statusesOf(run.results), [
    "stopping",
    "failed",
    "stopped",
    ["stopped", "stopped", "skipped"],
    "stopping",
    "skipped",
  ]);
  await rig.clock.advance(5);
  assertEquals(done.settled?.at, 25);
  assertEquals(rig.log.at(-1), "tidied");
  assertEquals(await failuresOf(run), [["0:a", "a"]]);
  assertEquals(run.status, "failed");
  assertEquals(rig.clock.pending, []);
  rig.assertNothingLeft();
});

test("parallel() tells the others why: its signal has the error as its reason", async () => {
  const rig = new JobRig();
  const reasons: unknown[] = [];
  const error = new Error("no beam");
  const run = await rig.finish(parallel([
    call(({ signal }) => {
      signal.addEventListener("abort", () => reasons.push(signal.reason));
      return new Promise<void>((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    }),
    call(() => Promise.reject(error)),
  ]));
  assertEquals(await failuresOf(run), [["1", "no beam"]]);
  assertStrictEquals(reasons[0], error);
});

test("parallel() aborts its signal also for what its calls have left behind", async () => {
  const rig = new JobRig();
  let left: AbortSignal | undefined;
  const run = rig.submit(parallel([
    parallel([
      call(({ signal }) => {
        left = signal;
      }),
      rig.fails(10, "a"),
      rig.takes(1, "b"),
    ], { limit: 1 }),
    rig.takes(20, "c"),
  ], { limit: 1, onFailure: "wait" }));
  void run.done;
  await rig.clock.advance(10);
  assertEquals(rig.log, ["+a", "+c"]);
  assertEquals(left?.aborted, true);
  await rig.clock.runAll();
});

test("parallel() shows an aborted signal to whoever asks for it afterwards", async () => {
  const rig = new JobRig();
  const seen: unknown[] = [];
  const run = await rig.finish(parallel([
    rig.fails(10, "a"),
    call(async (context) => {
      await new Promise<void>((resolve) => context.clock.setTimer(resolve, 20));
      seen.push(context.signal.aborted, context.signal.reason);
    }),
  ]));
  assertEquals(seen, [true, run.error?.errors[0]]);
});

test("parallel() with a failure leaves what is beside the group alone", async () => {
  const rig = new JobRig();
  const run = await rig.finish(parallel([
    parallel([rig.fails(10, "a"), rig.takes(1e6, "b")]),
    rig.takes(50, "c"),
    sequential(rig.takes(20, "d"), rig.takes(20, "e")),
  ], { onFailure: "wait" }));
  assertEquals(await failuresOf(run), [["0/0:a", "a"]]);
  assertEquals(statusesOf(run.results), [
    "failed",
    ["failed", "failed", "stopped"],
    "completed",
    ["completed", "completed", "completed"],
  ]);
  assertEquals(run.results.jobs[2]?.value, ["d", "e"]);
  assertEquals(rig.clock.now(), 50);
});

test('parallel() with "wait" runs everything and fails in the end with all errors', async () => {
  const rig = new JobRig();
  const run = await rig.finish(
    parallel([
      rig.fails(30, "a"),
      rig.takes(10, "b"),
      sequential(rig.fails(5, "c"), rig.takes(5, "d")),
      rig.takes(10, "e"),
    ], { onFailure: "wait", limit: 2 }),
  );
  assertEquals(await failuresOf(run), [["2/0:c", "c"], ["0:a", "a"]]);
  assertEquals(rig.log, ["+a", "+b", "-b", "+c", "+e", "-e"]);
  assertEquals(run.results.jobs.map(({ error }) => (error as Error)?.message), [
    "a",
    undefined,
    "c",
    undefined,
  ]);
});

test('parallel() with "wait" aborts nothing when one fails', async () => {
  const rig = new JobRig();
  let isAborted: boolean | undefined;
  await rig.finish(parallel([
    rig.fails(5, "a"),
    call(async ({ sleep, signal }) => {
      await sleep(10);
      isAborted = signal.aborted;
    }),
  ], { onFailure: "wait" })).then((run) => run.done.catch(() => {}));
  assertEquals(isAborted, false);
});

test("parallel() keeps the errors of those that fail while they are stopped", async () => {
  const rig = new JobRig();
  const stubborn = call(({ signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(new Error("disk full")));
    })
  ).named("stubborn");
  const run = await rig.finish(parallel([rig.fails(5, "a"), stubborn]));
  assertEquals(await failuresOf(run), [["0:a", "a"], [
    "1:stubborn",
    "disk full",
  ]]);
  assertStrictEquals(run.error?.cause, run.error?.errors[0]);
  assertEquals(
    run.error?.message,
    "Job has failed at 0:a: Error: a, and 1 more",
  );
});

test("parallel() takes a call that succeeds after all for completed", async () => {
  const rig = new JobRig();
  const deaf = call(async ({ clock }) => {
    await new Promise<void>((resolve) => clock.setTimer(resolve, 20));
    return "done";
  });
  const run = await rig.finish(parallel([rig.fails(5, "a"), deaf]));
  assertEquals(statusesOf(run.results), ["failed", "failed", "completed"]);
  assertEquals(run.results.jobs[1]?.value, "done");
});

test("parallel() abandons those that hang after a failure, when the grace is over", async () => {
  const rig = new JobRig({ limit: 2, grace: 100 });
  const run = rig.submit(
    parallel([rig.fails(10, "a"), rig.hangs("b")]).named("scan"),
  );
  const next = rig.submit(parallel([rig.takes(1, "c"), rig.takes(1, "d")]));
  const done = rig.watch(run.done);
  await rig.clock.advance(10);
  assertEquals(rig.executor.running, 2);
  await rig.clock.advance(100);
  assertEquals(done.settled?.at, 110);
  assertEquals(await failuresOf(run), [["0:a", "a"]]);
  assertEquals(statusesOf(run.results), ["failed", "failed", "abandoned"]);
  assert(run.abandoned);
  assertEquals(next.status, "completed");
  assertEquals(rig.logger.of("warn"), [
    "warn Call 1:b of job 'scan' was abandoned: it did not end when stopped",
  ]);
  assertEquals(rig.controller.listeners, 0);
  await run[Symbol.asyncDispose]();
  assertEquals(rig.clock.now(), 110);
  rig.assertNothingLeft();
});

test("parallel() goes on beside a group that was abandoned, in its place", async () => {
  const rig = new JobRig({ grace: 100 });
  const run = rig.submit(
    parallel([
      parallel([rig.fails(10, "a"), rig.hangs("b")]),
      rig.takes(200, "c"),
      rig.takes(1, "d"),
    ], { limit: 2, onFailure: "wait" }),
  );
  void run.done;
  await rig.clock.advance(111);
  assertEquals(rig.log, ["+a", "+b", "+c", "+d", "-d"]);
  await rig.clock.runAll();
  assertEquals(statusesOf(run.results), [
    "failed",
    ["failed", "failed", "abandoned"],
    "completed",
    "completed",
  ]);
  await failuresOf(run);
  rig.assertNothingLeft();
});

test("parallel() leaves no grace where the clock fails", async () => {
  const failing: Clock = {
    now: () => 0,
    setTimer: () => {
      throw new Error("no time");
    },
  };
  const unhandled = await unhandledDuring(async () => {
    const rig = new JobRig({ clock: failing });
    const run = rig.submit(
      sequential(parallel([
        rig.hangs("a"),
        call(() => {
          throw new Error("b");
        }),
        rig.hangs("c"),
      ])),
    );
    assertEquals(await failuresOf(run), [["0/1", "b"]]);
    assertEquals(
      statusesOf(run.results),
      ["failed", ["failed", "abandoned", "failed", "skipped"]],
    );
    rig.assertNothingLeft();
  });
  assertEquals(unhandled, []);
});

test("An abandoned call that fails later is reported, and counts no more", async () => {
  const rig = new JobRig({ grace: 10 });
  const late = Promise.withResolvers<void>();
  const run = rig.submit(
    parallel([rig.fails(0, "a"), call(() => late.promise).named("b")]),
  );
  void run.done;
  await rig.clock.runAll();
  late.reject(new Error("too late"));
  await turns();
  assertEquals(rig.logger.of("error"), [
    "error Call 1:b of job 'job' failed after it was abandoned: Error: too late",
  ]);
  assertEquals(run.status, "failed");
  assertEquals(await run.stop(), "stopped");
  rig.assertNothingLeft();
});

test("JobError says where, by names and by indices", async () => {
  const job = sequential(
    call(() => {}),
    parallel([
      call(() => {}),
      sequential(call(function slew() {
        throw new Error("no power");
      })).named("beam 2"),
    ]),
  ).named("night");
  const error = await runJob(job).catch((error) => error);
  assertInstanceOf(error, JobError);
  assertInstanceOf(error, AggregateError);
  assertEquals(error.name, "JobError");
  assertEquals(
    error.message,
    "Job 'night' has failed at 1/1:beam 2/0:slew: Error: no power",
  );
  assertEquals(error.failures[0]?.path, [1, 1, 0]);
});

test("JobError of a call alone has an empty path", async () => {
  const error = await runJob(call(() => {
    throw "no light";
  })).catch((error) => error);
  assertInstanceOf(error, JobError);
  assertEquals(error.failures, [{ path: [], where: "", error: "no light" }]);
  assertEquals(error.message, "Job has failed: no light");
});

test("JobError takes whatever was thrown", async () => {
  const hostile = {
    get message(): never {
      throw new Error("no message");
    },
    toString(): never {
      throw new Error("no string");
    },
  };
  for (const thrown of [undefined, null, 5, hostile, Object.create(null)]) {
    const error = await runJob(call(() => Promise.reject(thrown)))
      .catch((error) => error);
    assertInstanceOf(error, JobError);
    assertStrictEquals(error.cause, thrown);
    assertStringIncludes(error.message, "Job has failed: ");
  }
});

test("JobRun reports an error that nobody looks at, once", async () => {
  const rig = new JobRig();
  const unhandled = await unhandledDuring(async () => {
    await rig.finish(rig.fails(10, "a").named("beam"));
    await turns();
  });
  assertEquals(unhandled, []);
  assertEquals(rig.logger.of("error"), [
    "error A job failed and nobody looked: JobError: Job 'beam' has failed: Error: a",
  ]);
});

test("JobRun does not report an error that somebody has looked at", async () => {
  const rig = new JobRig();
  const unhandled = await unhandledDuring(async () => {
    const asked = rig.submit(rig.fails(10, "a"));
    const { done } = asked;
    void rig.submit(rig.fails(10, "b")).done;
    const looked = rig.submit(rig.fails(10, "c"));
    done.catch(() => looked.error);
    await rig.clock.runAll();
    await turns();
  });
  assertEquals(unhandled, []);
  assertEquals(rig.logger.lines, []);
});

test("JobOptions.onProgress that fails is reported and harms nothing", async () => {
  const rig = new JobRig();
  const run = await rig.finish(
    sequential(rig.takes(1, "a"), rig.takes(1, "b")).named("scan"),
    {
      onProgress: () => {
        throw new Error("no screen");
      },
    },
  );
  assertEquals(run.status, "completed");
  assertEquals(rig.logger.of("error").length, 2);
  assertStringIncludes(
    rig.logger.lines[0] ?? "",
    "Job 'scan' has an onProgress hook that failed: Error: no screen",
  );
});

test("A failure in one of many groups reaches all that are above it", async () => {
  const rig = new JobRig();
  const run = await rig.finish(parallel([
    sequential(
      parallel([
        sequential(rig.takes(10, "a"), rig.fails(0, "b")),
        rig.takes(1e6, "c"),
      ]),
      rig.takes(1, "d"),
    ),
    sequential(rig.takes(1e6, "e"), rig.takes(1, "f")),
  ]));
  assertEquals(await failuresOf(run), [["0/0/0/1:b", "b"]]);
  assertEquals(statusesOf(run.results), [
    "failed",
    [
      "failed",
      ["failed", ["failed", "completed", "failed"], "stopped"],
      "skipped",
    ],
    ["stopped", "stopped", "skipped"],
  ]);
  rig.assertNothingLeft();
});

test("parallel() tells the others at once of a group that ends with jobs of no calls", async () => {
  const rig = new JobRig({ limit: 2, grace: Infinity });
  const failing = parallel([rig.fails(10, "a"), sequential()], {
    limit: 1,
    onFailure: "wait",
  });
  const run = await rig.finish(parallel([
    parallel([failing, rig.takes(1e6, "b")]),
    rig.takes(100, "c"),
  ], { limit: 2, onFailure: "wait" }));
  assertEquals(rig.log, ["+a", "+b", "+c", "xb", "-c"]);
  assertEquals(await failuresOf(run), [["0/0/0:a", "a"]]);
  assertEquals(rig.clock.now(), 110);
  rig.assertNothingLeft();
});

test("JobResult of a group that was aborted has the first error thrown within", async () => {
  const rig = new JobRig();
  const run = rig.submit(parallel([
    sequential(rig.fails(20, "a")),
    rig.fails(10, "b"),
    sequential(rig.takes(1e6, "c")),
  ]));
  await rig.clock.runAll();
  const { error, jobs } = run.results;
  assertEquals(
    [error, ...jobs.map(({ error }) => error)].map((error) =>
      (error as Error | undefined)?.message
    ),
    ["b", "a", "b", undefined],
  );
  const stopped = rig.submit(sequential(rig.fails(20, "d")));
  await rig.clock.advance(10);
  const stop = stopped.stop({ reason: "dawn" });
  await rig.clock.advance(10);
  await stop;
  assertEquals((stopped.results.error as Error).message, "d");
  rig.assertNothingLeft();
});

test("parallel() abandons nothing that has ended when the timer of the grace comes late", async () => {
  const time = new FakeTime();
  try {
    const tidies = call(async ({ sleep: sleepUntilStopped }) => {
      await sleepUntilStopped(1e6).catch(() => {});
      await sleep(50);
    });
    const executor = new JobExecutor({ grace: 100 });
    const run = executor.submit(parallel([
      tidies,
      call(() => {
        throw new Error("no lock");
      }),
    ]));
    await time.runMicrotasks();
    time.tick(1000); // all timers at once, and nothing in between
    assertEquals(await failuresOf(run), [["1", "no lock"]]);
    assertEquals(statusesOf(run.results), ["failed", "completed", "failed"]);
    assertFalse(run.abandoned);
  } finally {
    time.restore();
  }
});
