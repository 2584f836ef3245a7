// Copyright 2026 the Longrun authors. MIT license.

/**
 * What a `LoopTask` costs that sleeps for an hour: to make, to start up to its
 * first round, to stop and join, and to keep. With the argument `thread` the
 * same for tasks in threads of their own.
 *
 * @module
 */

import process from "node:process";
import { TaskContext, type TaskHandle } from "../task_context.ts";
import type { TaskRunner } from "../task_runner.ts";
import { Idle } from "./_idle_task.ts";
import {
  exit,
  heapUsed,
  median,
  percentile,
  report,
  settle,
} from "./_harness.ts";

const TABLE = "task";
const isThread = process.argv.includes("thread");
const row = isThread
  ? "longrun LoopTask, in a thread of its own"
  : "longrun LoopTask";

function make(
  context: TaskContext,
  index: number,
): Promise<TaskHandle<TaskRunner<Idle>>> {
  const name = `task${index}`;
  const options = { period: 3_600_000 };
  if (!isThread) return context.makeTask(name, Idle, [options]);
  const url = new URL("./_idle_task.ts", import.meta.url);
  return context.makeTask<typeof Idle>(name, url, [options], { thread: true });
}

const micro = (since: number): number => (performance.now() - since) * 1000;

/** One task after the other. */
async function measureLatency(count: number): Promise<void> {
  const made: number[] = [];
  const started: number[] = [];
  const stopped: number[] = [];
  for (let index = 0; index < count; index++) {
    const context = new TaskContext();
    let since = performance.now();
    const task = await make(context, index);
    made.push(micro(since));

    const first = Promise.withResolvers<void>();
    task.topics.statusUpdated.onPublish(() => first.resolve());
    since = performance.now();
    task.start();
    await first.promise;
    started.push(micro(since));

    // Asleep by then, as a task mostly is when it is stopped.
    await settle();
    since = performance.now();
    task.stop();
    await task.join();
    stopped.push(micro(since));
    await context.dispose();
  }
  report(TABLE, row, {
    make: median(made),
    start: median(started),
    stop: median(stopped),
    stop99: percentile(stopped, 0.99),
  });
}

/** Many tasks at once. */
async function measureCrowd(count: number): Promise<void> {
  const context = new TaskContext();
  const before = await heapUsed();
  const tasks: TaskHandle<TaskRunner<Idle>>[] = [];
  for (let index = 0; index < count; index++) {
    tasks.push(await make(context, index));
  }
  for (const task of tasks) task.start();
  await settle(20);
  const bytes = (await heapUsed() - before) / count;
  const since = performance.now();
  for (const task of tasks) task.stop();
  for (const task of tasks) await task.join();
  const stopped = performance.now() - since;
  report(TABLE, row, { kibibytes: bytes / 1024, stopAll: stopped });
  await context.dispose();
}

await measureLatency(isThread ? 20 : 2000);
if (!isThread) await measureCrowd(1000);
exit();
