// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Primitives for work that runs long: background tasks, loops with a period,
 * tasks with settings and a status in this thread or another, topics, locks,
 * streams that may stall, precise time. One cancellation model, no dependencies.
 *
 * ```ts
 * import { BackgroundTask, StreamingTask } from "@longrun/tasks";
 * import { assert } from "@std/assert";
 *
 * const app = new AbortController();
 * const { signal } = app;
 *
 * const monitor = new BackgroundTask(async ({ sleep }) => {
 *   await sleep(1); // read a sensor
 * }, { frequency: 100, signal });
 *
 * const frames = new StreamingTask<number>({
 *   name: "frames",
 *   source: () => [1, 2, 3],
 *   onItem: () => {},
 *   timeout: 5000,
 * });
 *
 * monitor.run();
 * await frames.start({ signal });
 * await frames.join();
 *
 * app.abort();
 * await monitor.join();
 * assert(!monitor.running);
 * ```
 *
 * @module
 */

export * from "./background_task.ts";
export * from "./background_task_processor.ts";
export * from "./backoff.ts";
export * from "./cancellation.ts";
export * from "./clock.ts";
export * from "./device_proxy.ts";
export * from "./event_bus.ts";
export * from "./job.ts";
export * from "./follow_operation.ts";
export * from "./lock.ts";
export * from "./logger.ts";
export * from "./long_running_command.ts";
export * from "./loop.ts";
export * from "./loop_task.ts";
export * from "./lrc.ts";
export * from "./lrc_device.ts";
export * from "./lrc_http.ts";
export * from "./missed_loop_policy.ts";
export * from "./precise_clock.ts";
export * from "./run_in_background.ts";
export * from "./run_state.ts";
export * from "./streaming_task.ts";
export * from "./task.ts";
export * from "./task_context.ts";
export * from "./task_runner.ts";
export * from "./ticks.ts";
export * from "./timeout_iterator.ts";
export * from "./topic.ts";
export * from "./validation.ts";
