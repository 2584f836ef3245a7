// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Jobs: calls and commands of devices, one after the other or side by side,
 * nested as deep as needed.
 *
 * ```ts
 * import { call, parallel, runJob, sequential } from "@longrun/tasks/job";
 * import { assertEquals } from "@std/assert";
 *
 * const configure = (beam: number) =>
 *   sequential(
 *     call(() => `beam ${beam}`),
 *     call(({ sleep }) => sleep(1)),
 *   );
 * const scan = sequential(
 *   parallel([configure(1), configure(2)], { limit: 4 }),
 *   call(() => "scanned"),
 * );
 *
 * assertEquals(await runJob(scan), [
 *   [["beam 1", undefined], ["beam 2", undefined]],
 *   "scanned",
 * ]);
 * ```
 *
 * @module
 */

import {
  checkCount,
  checkFunction,
  checkOneOf,
  checkOptions,
  checkType,
} from "./_arguments.ts";
import {
  checkCommand,
  commandJob,
  type CommandOptions,
  type FollowCommand,
} from "./_job_device_command.ts";
import "./_job_evergreen.ts";
import {
  checkJob,
  checkRunOptions,
  JobExecutor,
  type JobOptions,
} from "./_job_executor.ts";
import {
  CallValue,
  type GroupManner,
  GroupValue,
  isJob,
  type Job,
  type JobContext,
  type JobFailurePolicy,
  type JobValue,
  type ResultsOf,
  SEQUENTIAL,
} from "./_job_value.ts";
import type { DeviceProxy } from "./device_proxy.ts";

export {
  CommandRefusedError,
  type FollowCommand,
  type StartedCommand,
} from "./_job_device_command.ts";
export { JobError, type JobFailure } from "./_job_error.ts";
export {
  JobExecutor,
  type JobExecutorOptions,
  type JobOptions,
  type JobStopReport,
} from "./_job_executor.ts";
export type { JobResult, JobStatus } from "./_job_results.ts";
export type { JobRun } from "./_job_run.ts";
export type {
  Job,
  JobContext,
  JobFailurePolicy,
  JobKind,
  ResultsOf,
} from "./_job_value.ts";

/** How many groups may be one within the other. */
const MAX_DEPTH = 1000;

/** Makes a group of jobs, which nobody else may have the list of. */
function group<T>(
  doing: string,
  manner: GroupManner,
  jobs: readonly unknown[],
): Job<T> {
  for (let index = 0; index < jobs.length; index++) {
    const job = jobs[index];
    if (!isJob(job)) checkType(false, doing, `jobs[${index}]`, "a job", job);
  }
  const value = new GroupValue<T>(manner, jobs as readonly JobValue[]);
  if (value.depth <= MAX_DEPTH) return value;
  throw new RangeError(
    `Cannot ${doing} as it would be more than ${MAX_DEPTH} groups deep`,
  );
}

/**
 * A job of one function. It has completed when the promise that the function
 * returns has resolved, to the job's result.
 *
 * @typeParam T The type of what the function returns.
 * @param action The function. Its name is the name of the job.
 * @returns The job. Nothing is called before it is run.
 * @throws {TypeError} If `action` is not a function.
 *
 * @example Usage
 * ```ts
 * import { call, runJob } from "@longrun/tasks/job";
 * import { assertEquals } from "@std/assert";
 *
 * const expose = call(async ({ sleep, progress }) => {
 *   for (const part of [1, 2, 3, 4]) {
 *     await sleep(1);
 *     progress(part / 4);
 *   }
 *   return "image";
 * });
 * assertEquals(await runJob(expose), "image");
 * ```
 */
export function call<T>(action: (context: JobContext) => T): Job<Awaited<T>> {
  checkFunction("create call", "action", action);
  return new CallValue(action);
}

/**
 * Jobs one after the other. When one fails, those after it do not run.
 *
 * @typeParam T The types of the jobs.
 * @param jobs The jobs. Of none, the sequence completes at once.
 * @returns The job, whose result is the list of theirs.
 * @throws {TypeError} If something is not a job.
 * @throws {RangeError} If there are more than a thousand groups one within the
 * other.
 *
 * @example Usage
 * ```ts
 * import { call, runJob, sequential } from "@longrun/tasks/job";
 * import { assertEquals } from "@std/assert";
 *
 * const job = sequential(call(() => 1), call(() => Promise.resolve("two")));
 * assertEquals(await runJob(job), [1, "two"]);
 * ```
 */
export function sequential<const T extends readonly Job[]>(
  ...jobs: T
): Job<ResultsOf<T>> {
  return group("create sequential job", SEQUENTIAL, jobs);
}

/** Options of {@linkcode parallel}. */
export interface ParallelOptions {
  /**
   * How many calls may run at a time, of all that are below it, however deep.
   * No more than so many of its jobs have begun and not ended, either.
   *
   * @default {Infinity}
   */
  limit?: number;
  /**
   * What happens when one of the jobs fails. `"fail-fast"`: no other begins,
   * those that run are told to stop by their signals, and the group fails when
   * they have ended or the grace is over. `"wait"`: all others run as if
   * nothing had happened, and the group fails in the end.
   *
   * @default {"fail-fast"}
   */
  onFailure?: JobFailurePolicy;
}

function checkParallel(doing: string, options: ParallelOptions): GroupManner {
  checkOptions(doing, options);
  const { limit = Infinity, onFailure = "fail-fast" } = options;
  checkCount(doing, "limit", limit, 1);
  checkOneOf(doing, "onFailure", onFailure, ["fail-fast", "wait"]);
  return { kind: "parallel", limit, isFailFast: onFailure === "fail-fast" };
}

/**
 * Jobs side by side.
 *
 * They begin in their order. A place that becomes free goes to the first call
 * in the order of the tree that can start: work that has begun goes on before
 * other work begins.
 *
 * @typeParam T The types of the jobs.
 * @param jobs The jobs. Of none, the group completes at once.
 * @param options How many at a time, and what happens when one fails.
 * @returns The job, whose result is the list of theirs, in their order.
 * @throws {TypeError} If something is not a job, or an option is of the wrong
 * type.
 * @throws {RangeError} If `limit` is not an integer of at least 1 or
 * `Infinity`, or if there are more than a thousand groups one within the other.
 *
 * @example Failures
 * ```ts
 * import { call, JobError, parallel, runJob } from "@longrun/tasks/job";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const beams = [1, 2, 3, 4].map((beam) =>
 *   call(() => {
 *     if (beam % 2 === 0) throw new Error(`no lock on ${beam}`);
 *   })
 * );
 * const error = await assertRejects(
 *   () => runJob(parallel(beams, { limit: 2, onFailure: "wait" })),
 *   JobError,
 * );
 * assertEquals(error.failures.map(({ where }) => where), ["1", "3"]);
 * ```
 */
export function parallel<const T extends readonly Job[]>(
  jobs: T,
  options: ParallelOptions = {},
): Job<ResultsOf<T>> {
  const doing = "create parallel job";
  checkType(Array.isArray(jobs), doing, "jobs", "an array of jobs", jobs);
  const manner = checkParallel(doing, options);
  return group(doing, manner, jobs.slice());
}

/** Options of {@linkcode deviceCommand}. */
export interface DeviceCommandOptions extends ParallelOptions {
  /**
   * Waits for the end of a command that the device has only queued or started.
   *
   * @default {by the events of the device, as `attachLrc` does}
   */
  follow?: FollowCommand;
  /**
   * How long the command may take on each device, in milliseconds. After that
   * its job has failed with a `TimeoutError`; the device may go on.
   *
   * @default {Infinity}
   */
  timeout?: number;
}

/**
 * A command of a device, or of several side by side, as a job.
 *
 * The result is what the device answers, or what `follow` gives. An answer of
 * the form `[[code], [text]]` is looked at: with `OK` it is the result, with
 * `QUEUED` or `STARTED` the `text` is the id of a long-running command, whose
 * end is waited for, and all other codes fail the job with a
 * {@linkcode CommandRefusedError}.
 *
 * **Gotchas.** A stop and a timeout end the wait for a long-running command, not
 * the command: `abortDevice()` does that, for all commands of the device.
 *
 * @param devices The device, for a job with one result; or a list of devices,
 * for a parallel job with a result each. Of none, it completes at once.
 * @param command The name of the command.
 * @param argument Its argument, `undefined` for none.
 * @param options How to wait for its end, and for several devices the options
 * of a parallel job.
 * @returns The job.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If an option is out of range.
 *
 * @example Usage
 * ```ts
 * import { deviceCommand, runJob } from "@longrun/tasks/job";
 * import type { DeviceProxy } from "@longrun/tasks/device-proxy";
 * import { assertEquals } from "@std/assert";
 *
 * const dishes = ["dish 1", "dish 2"].map((name) => ({
 *   name,
 *   command: (command: string) => Promise.resolve(`${name}: ${command}`),
 * })) as unknown as DeviceProxy[];
 *
 * const stow = deviceCommand(dishes, "Stow");
 * assertEquals(await runJob(stow), ["dish 1: Stow", "dish 2: Stow"]);
 * ```
 */
export function deviceCommand(
  devices: DeviceProxy,
  command: string,
  argument?: unknown,
  options?: DeviceCommandOptions,
): Job<unknown>;
/**
 * A command of several devices side by side, as a job.
 *
 * @param devices The devices.
 * @param command The name of the command.
 * @param argument Its argument, `undefined` for none.
 * @param options How to wait for its end, and those of a parallel job.
 * @returns The job, with a result for each device.
 */
export function deviceCommand(
  devices: readonly DeviceProxy[],
  command: string,
  argument?: unknown,
  options?: DeviceCommandOptions,
): Job<unknown[]>;
export function deviceCommand(
  devices: DeviceProxy | readonly DeviceProxy[],
  command: string,
  argument?: unknown,
  options: DeviceCommandOptions = {},
): Job<unknown> {
  const manner = checkParallel("create device command", options);
  checkCommand(devices, command, options);
  const { follow, timeout }: CommandOptions = options;
  const make = (device: DeviceProxy): CallValue =>
    commandJob(device, command, argument, { follow, timeout });
  return isList(devices)
    ? new GroupValue(manner, devices.map(make), command)
    : make(devices);
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

/** Options of {@linkcode runJob}. */
export interface RunJobOptions extends JobOptions {
  /**
   * How many calls may run at a time.
   *
   * @default {Infinity}
   */
  limit?: number;
}

/**
 * Runs a job and waits for its result.
 *
 * @typeParam T The type of the job's result.
 * @param job The job.
 * @param options What stops it, who is told of its progress, and how many calls
 * run at a time.
 * @returns A promise of its result: of a group, the list of the results of its
 * jobs. It settles when all calls have ended or were abandoned.
 * @throws {JobError} If something in it has failed.
 * @throws {AbortSignal["reason"]} If the signal aborts before it is done.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If an option is out of range.
 *
 * @example Usage
 * ```ts
 * import { call, parallel, runJob } from "@longrun/tasks/job";
 * import { assertEquals } from "@std/assert";
 *
 * const squares = parallel(
 *   [1, 2, 3].map((n) => call(() => n * n)),
 *   { limit: 2 },
 * );
 * assertEquals(await runJob(squares), [1, 4, 9]);
 * ```
 */
export async function runJob<T>(
  job: Job<T>,
  options: RunJobOptions = {},
): Promise<T> {
  const doing = "run job";
  checkJob(doing, job);
  checkRunOptions(doing, options);
  const { limit = Infinity } = options;
  checkCount(doing, "limit", limit, 1);
  return await new JobExecutor({ limit }).submit(job, options).done;
}
