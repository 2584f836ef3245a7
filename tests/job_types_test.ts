// Copyright 2026 the Longrun authors. MIT license.

/**
 * What the types of jobs say. The functions that hold what must not compile are
 * never called.
 */

import { test } from "@std/testing/bdd";
import { assertType, type IsExact } from "@std/testing/types";
import type { DeviceProxy } from "../device_proxy.ts";
import {
  call,
  deviceCommand,
  type Job,
  type JobExecutor,
  type JobRun,
  parallel,
  runJob,
  sequential,
} from "../job.ts";

const number = call(() => 1 as number);
const text = call(() => Promise.resolve("a" as string));

test("call() has the type of what its function gives in the end", () => {
  assertType<IsExact<typeof number, Job<number>>>(true);
  assertType<IsExact<typeof text, Job<string>>>(true);
  const nothing = call(async ({ sleep }) => {
    await sleep(1);
  });
  assertType<IsExact<typeof nothing, Job<void>>>(true);
});

test("sequential() and parallel() have the types of their jobs", () => {
  const job = sequential(number, parallel([text, sequential()]), number);
  assertType<IsExact<typeof job, Job<[number, [string, []], number]>>>(true);
  const many = parallel([1, 2, 3].map(() => number));
  assertType<IsExact<typeof many, Job<number[]>>>(true);
});

test("deviceCommand() has one result or a list", () => {
  const one = (device: DeviceProxy) => deviceCommand(device, "Stow");
  const list = (devices: DeviceProxy[]) => deviceCommand(devices, "Stow");
  assertType<IsExact<ReturnType<typeof one>, Job<unknown>>>(true);
  assertType<IsExact<ReturnType<typeof list>, Job<unknown[]>>>(true);
});

test("runJob() and submit() keep the type", () => {
  const promise = () => runJob(sequential(number, text));
  assertType<IsExact<ReturnType<typeof promise>, Promise<[number, string]>>>(
    true,
  );
  const submit = (executor: JobExecutor) => executor.submit(number);
  assertType<IsExact<ReturnType<typeof submit>, JobRun<number>>>(true);
  const value = (run: JobRun<number>) => run.results.value;
  assertType<IsExact<ReturnType<typeof value>, number | undefined>>(true);
});

test("A job of one type is none of another", () => {
  const any: Job = number;
  void any;
  void function notCompiled(): void {
    // @ts-expect-error A number is no string.
    const wrong: Job<string> = number;
    void wrong;
    // @ts-expect-error A function is no job.
    sequential(() => {});
    // @ts-expect-error A job cannot be changed.
    number.name = "x";
    // @ts-expect-error There is no such policy.
    parallel([], { onFailure: "ignore" });
  };
});
