// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import {
  call,
  type Job,
  JobError,
  JobExecutor,
  type JobExecutorOptions,
  type JobOptions,
  type JobResult,
  type JobRun,
} from "../job.ts";
import { ManualClock } from "../testing.ts";
import { CountingClock } from "./_counting_clock.ts";
import { CountingController } from "./_listeners.ts";
import { RecordingLogger } from "./_recording_logger.ts";

/** How a promise has settled, and when. */
export interface Settled {
  value?: unknown;
  reason?: unknown;
  at: number;
}

/** Jobs on virtual time, and counts of what they hold. */
export class JobRig {
  readonly clock = new ManualClock();
  readonly timers: CountingClock = new CountingClock(this.clock);
  readonly controller = new CountingController();
  readonly logger = new RecordingLogger();
  /** What the calls made by the rig have done. */
  readonly log: string[] = [];
  readonly executor: JobExecutor;

  constructor(options: JobExecutorOptions = {}) {
    this.executor = new JobExecutor({
      clock: this.timers,
      logger: this.logger,
      signal: this.controller.signal,
      ...options,
    });
  }

  submit<T>(job: Job<T>, options?: JobOptions): JobRun<T> {
    return this.executor.submit(job, options);
  }

  /** Submits a job and lets everything run to its end. */
  async finish<T>(job: Job<T>, options?: JobOptions): Promise<JobRun<T>> {
    const run = this.submit(job, options);
    await this.clock.runAll();
    return run;
  }

  /** A call that takes its time, obeys its signal, and gives its name. */
  takes(ms: number, name: string): Job<string> {
    return call(async ({ sleep }) => {
      this.log.push(`+${name}`);
      try {
        await sleep(ms);
      } catch (reason) {
        this.log.push(`x${name}`);
        throw reason;
      }
      this.log.push(`-${name}`);
      return name;
    }).named(name);
  }

  /** A call that fails after a time, whatever its signal says. */
  fails(ms: number, name: string): Job<never> {
    return call(async (): Promise<never> => {
      this.log.push(`+${name}`);
      await new Promise<void>((resolve) => this.clock.setTimer(resolve, ms));
      throw new Error(name);
    }).named(name);
  }

  /** A call that never ends. */
  hangs(name: string): Job<never> {
    return call(() => {
      this.log.push(`+${name}`);
      return new Promise<never>(() => {});
    }).named(name);
  }

  /** How a promise settles, at last `undefined` if it has not. */
  watch(promise: PromiseLike<unknown>): { settled: Settled | undefined } {
    const watch: { settled: Settled | undefined } = { settled: undefined };
    promise.then(
      (value) => watch.settled = { value, at: this.clock.now() },
      (reason) => watch.settled = { reason, at: this.clock.now() },
    );
    return watch;
  }

  assertNothingLeft(): void {
    assertEquals(this.timers.timers, 0, "timers left");
    assertEquals(this.controller.listeners, 0, "listeners left");
    assertLessOrEqual(this.controller.most, 1, "listeners at a time");
    assertEquals(this.executor.size, 0, "jobs left");
    assertEquals(this.executor.running, 0, "calls left");
  }
}

/** The error of a job, as the places and messages it names. */
export async function failuresOf(run: JobRun): Promise<[string, string][]> {
  const error = await run.done.catch((reason) => reason);
  assert(error instanceof JobError, "is no JobError");
  assertEquals(run.error, error);
  assertEquals(error.errors, error.failures.map(({ error }) => error));
  return error.failures.map(({ where, error }) => [
    where,
    (error as Error).message,
  ]);
}

/** The statuses of a tree in its form: a call is a word, a group a list. */
export type Statuses = string | Statuses[];

export function statusesOf({ kind, status, jobs }: JobResult): Statuses {
  return kind === "call" ? status : [status, ...jobs.map(statusesOf)];
}
