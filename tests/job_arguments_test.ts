// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import type { DeviceProxy } from "../device_proxy.ts";
import {
  call,
  deviceCommand,
  type Job,
  JobExecutor,
  parallel,
  runJob,
  sequential,
} from "../job.ts";

const nothing = call(() => {});
const wrong = (value: unknown): never => value as never;

interface Wrong {
  act: () => unknown;
  error: typeof TypeError | typeof RangeError;
  message: string;
}

const type = (act: () => unknown, message: string): Wrong => ({
  act,
  error: TypeError,
  message,
});

const range = (act: () => unknown, message: string): Wrong => ({
  act,
  error: RangeError,
  message,
});

const device = { name: "dish", command: () => {} } as unknown as DeviceProxy;

const cases: Wrong[] = [
  type(
    () => call(wrong("x")),
    `Cannot create call as 'action' must be a function: current value is "x"`,
  ),
  type(
    () => sequential(nothing, wrong(() => {})),
    "Cannot create sequential job as 'jobs[1]' must be a job: current value is function",
  ),
  type(
    () => sequential(wrong([nothing])),
    "Cannot create sequential job as 'jobs[0]' must be a job: current value is [object Array]",
  ),
  type(
    () => parallel(wrong(nothing)),
    "Cannot create parallel job as 'jobs' must be an array of jobs: current value is [object Object]",
  ),
  type(
    () => parallel(new Array(1)),
    "Cannot create parallel job as 'jobs[0]' must be a job: current value is undefined",
  ),
  type(
    () => parallel([wrong({ kind: "call" })]),
    "Cannot create parallel job as 'jobs[0]' must be a job: current value is [object Object]",
  ),
  range(
    () => parallel([], { limit: 0 }),
    "Cannot create parallel job as 'limit' must be an integer of at least 1 or Infinity: current value is 0",
  ),
  range(
    () => parallel([], { limit: 1.5 }),
    "Cannot create parallel job as 'limit' must be an integer of at least 1 or Infinity: current value is 1.5",
  ),
  type(
    () => parallel([], { onFailure: wrong("stop") }),
    `Cannot create parallel job as 'onFailure' must be "fail-fast" or "wait": current value is "stop"`,
  ),
  type(
    () => parallel([], wrong(4)),
    "Cannot create parallel job as 'options' must be an object: current value is 4",
  ),
  type(
    () => nothing.named(wrong(5)),
    "Cannot name job as 'name' must be a string: current value is 5",
  ),
  type(
    () => deviceCommand(wrong("dish"), "Stow"),
    `Cannot create device command as 'devices' must be DeviceProxies: current value is "dish"`,
  ),
  type(
    () => deviceCommand([device, wrong({ name: "x" })], "Stow"),
    "Cannot create device command as 'devices' must be DeviceProxies: current value is [object Object]",
  ),
  type(
    () => deviceCommand(device, ""),
    `Cannot create device command as 'command' must be the name of a command: current value is ""`,
  ),
  type(
    () => deviceCommand(device, "Stow", undefined, { follow: wrong(1) }),
    "Cannot create device command as 'follow' must be a function: current value is 1",
  ),
  range(
    () => deviceCommand(device, "Stow", undefined, { timeout: -1 }),
    "Cannot create device command as 'timeout' must be a non-negative number: current value is -1",
  ),
  range(
    () => deviceCommand(device, "Stow", undefined, { limit: NaN }),
    "Cannot create device command as 'limit' must be an integer of at least 1 or Infinity: current value is NaN",
  ),
  range(
    () => new JobExecutor({ limit: -1 }),
    "Cannot create JobExecutor as 'limit' must be an integer of at least 1 or Infinity: current value is -1",
  ),
  range(
    () => new JobExecutor({ grace: NaN }),
    "Cannot create JobExecutor as 'grace' must be a non-negative number: current value is NaN",
  ),
  type(
    () => new JobExecutor({ clock: wrong({}) }),
    "Cannot create JobExecutor as 'clock' must be a Clock: current value is [object Object]",
  ),
  type(
    () => new JobExecutor({ signal: wrong({}) }),
    "Cannot create JobExecutor as 'signal' must be an AbortSignal: current value is [object Object]",
  ),
  type(
    () => new JobExecutor().submit(wrong(() => {})),
    "Cannot submit as 'job' must be a job: current value is function",
  ),
  type(
    () => new JobExecutor().submit(nothing, { onProgress: wrong(1) }),
    "Cannot submit as 'onProgress' must be a function: current value is 1",
  ),
  range(
    () => new JobExecutor().submit(nothing, { grace: -1 }),
    "Cannot submit as 'grace' must be a non-negative number: current value is -1",
  ),
];

for (const { act, error, message } of cases) {
  test(`Jobs are clear at the door: ${message}`, () => {
    assertThrows(act, error, message);
  });
}

test("runJob() rejects what is wrong instead of throwing", async () => {
  await assertRejects(
    () => runJob(wrong(5)),
    TypeError,
    "Cannot run job as 'job' must be a job: current value is 5",
  );
  await assertRejects(
    () => runJob(nothing, { limit: 0 }),
    RangeError,
    "Cannot run job as 'limit' must be",
  );
  await assertRejects(
    () => runJob(nothing, { onProgress: wrong(0) }),
    TypeError,
    "'onProgress' must be a function",
  );
});

test("JobRun.stop() and JobExecutor.stopAll() reject what is wrong and stop nothing", async () => {
  const executor = new JobExecutor();
  const run = executor.submit(call(() => "done"));
  await assertRejects(
    () => run.stop({ grace: NaN }),
    RangeError,
    "Cannot stop",
  );
  await assertRejects(
    () => executor.stopAll({ grace: -1 }),
    RangeError,
    "Cannot stop all jobs",
  );
  await assertRejects(() => executor.idle(wrong(1)), TypeError);
  assertEquals(await run.done, "done");
});

test("JobContext.progress() refuses what is no part of a whole", async () => {
  for (const done of [-0.1, 1.1, NaN, wrong("half")]) {
    await assertRejects(
      () =>
        runJob(call(({ progress }) => progress(done))).catch((error) => {
          throw error.cause;
        }),
      Error,
      "Cannot report progress as 'done' must be a number from 0 to 1",
    );
  }
});

test("Job groups more than a thousand deep are refused", () => {
  let job: Job = nothing;
  for (let depth = 0; depth < 1000; depth++) job = sequential(job);
  assertThrows(
    () => sequential(job),
    RangeError,
    "Cannot create sequential job as it would be more than 1000 groups deep",
  );
  assertThrows(
    () => parallel([nothing, job]),
    RangeError,
    "Cannot create parallel job as it would be more than 1000 groups deep",
  );
});
