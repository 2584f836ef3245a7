// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Methods and functions whose calls become background tasks.
 *
 * ```ts
 * import { BackgroundTaskProcessor } from "@longrun/tasks/background-task-processor";
 * import { runInBackground } from "@longrun/tasks/run-in-background";
 * import { assertEquals } from "@std/assert";
 *
 * await using processor = new BackgroundTaskProcessor();
 * const beams: number[] = [];
 * const configureBeam = runInBackground(processor, (beam: number) => {
 *   beams.push(beam);
 * });
 *
 * await configureBeam(4).join();
 * assertEquals(beams, [4]);
 * ```
 *
 * @module
 */

import {
  checkFunction,
  checkOptions,
  checkType,
  copyOptions,
} from "./_arguments.ts";
import type {
  BackgroundTask,
  BackgroundTaskContext,
  BackgroundTaskOptions,
} from "./background_task.ts";
import { BackgroundTaskProcessor } from "./background_task_processor.ts";

/**
 * Wraps a function: each call submits a task that calls it.
 *
 * @typeParam Arguments The parameters of the function.
 * @param processor Runs the tasks.
 * @param fn The work. Its `this` is the context of the task, with the signal.
 * @param options As for a {@linkcode BackgroundTask}; the name is that of the
 * function by default.
 * @returns A function with the same parameters that returns the task.
 * @throws {TypeError} If an argument is of the wrong type.
 *
 * @example Usage
 * ```ts
 * import { BackgroundTaskProcessor } from "@longrun/tasks/background-task-processor";
 * import { runInBackground } from "@longrun/tasks/run-in-background";
 * import { assertEquals } from "@std/assert";
 *
 * await using processor = new BackgroundTaskProcessor();
 * const park = runInBackground(processor, function park(): void {});
 * const task = park();
 * assertEquals(task.name, "park");
 * await task.join();
 * ```
 */
export function runInBackground<Arguments extends unknown[]>(
  processor: BackgroundTaskProcessor,
  fn: (this: BackgroundTaskContext, ...args: Arguments) => unknown,
  options: BackgroundTaskOptions = {},
): (...args: Arguments) => BackgroundTask {
  checkProcessor("run in background", "processor", processor);
  checkFunction("run in background", "fn", fn);
  checkOptions("run in background", options);
  const copy = copyOptions(options);
  copy.name ??= fn.name || undefined;
  return (...args: Arguments) =>
    processor.submit((context) => fn.apply(context, args), copy);
}

/** What {@linkcode backgroundTask} asks of a class. */
export interface HasBackgroundTaskProcessor {
  /** Runs the tasks of the decorated methods. */
  readonly backgroundTaskProcessor: BackgroundTaskProcessor;
}

/** What a method decorated with {@linkcode backgroundTask} returns. */
export type BackgroundResult<Return> = Promise<Awaited<Return>>;

/**
 * A decorator for methods that are to run as background tasks. The class has a
 * field `backgroundTaskProcessor`; each call submits a task to it.
 *
 * A call returns a promise for what the method returns. Nobody needs to look
 * at it: a failure is reported as that of any task, by the processor's
 * `onError` or its logger, and never as an unhandled rejection. That is so
 * even when the caller catches it, because nobody can know that he will. When the task
 * is stopped before the method has ended the promise rejects with an
 * `AbortError`. The method is given no signal; work that must hear of a stop
 * is better submitted to the processor. A missing field, or a processor that
 * was disposed of, throws at the call.
 *
 * Methods declared to return `void`, `unknown` or a `Promise` can be
 * decorated; for others TypeScript says that the types do not fit, because a
 * decorator cannot change the declared type of a method.
 *
 * @typeParam This The class.
 * @typeParam Arguments The parameters of the method.
 * @typeParam Return What the method is declared to return.
 * @param method The method.
 * @param context What the language says of the method.
 * @returns The method that takes its place.
 *
 * @example Usage
 * ```ts
 * import { BackgroundTaskProcessor } from "@longrun/tasks/background-task-processor";
 * import { backgroundTask } from "@longrun/tasks/run-in-background";
 * import { assertEquals } from "@std/assert";
 *
 * class BeamManager {
 *   readonly backgroundTaskProcessor = new BackgroundTaskProcessor();
 *   readonly configured: number[] = [];
 *
 *   @backgroundTask
 *   async configureBeam(beam: number): Promise<void> {
 *     await Promise.resolve();
 *     this.configured.push(beam);
 *   }
 * }
 *
 * const manager = new BeamManager();
 * manager.configureBeam(4);
 * await manager.backgroundTaskProcessor.idle();
 * assertEquals(manager.configured, [4]);
 * ```
 */
export function backgroundTask<
  This extends HasBackgroundTaskProcessor,
  Arguments extends unknown[],
  Return,
>(
  method: (this: This, ...args: Arguments) => Return,
  context: ClassMethodDecoratorContext<
    This,
    (this: This, ...args: Arguments) => Return
  >,
): (this: This, ...args: Arguments) => BackgroundResult<Return> {
  const name = String(context.name);
  return function (this: This, ...args: Arguments): BackgroundResult<Return> {
    const processor = this?.backgroundTaskProcessor;
    checkProcessor(
      `run '${name}' in background`,
      "backgroundTaskProcessor",
      processor,
    );
    const { promise, resolve, reject } = Promise.withResolvers<
      Awaited<Return>
    >();
    promise.catch(() => {});
    // Settled at the very end: by then a failure may have been made good.
    let settle = (): void => {
      const message = `'${name}' was stopped before it had ended`;
      reject(new DOMException(message, "AbortError"));
    };
    processor.submit(async () => {
      try {
        const result = await method.apply(this, args);
        settle = () => resolve(result);
      } catch (error) {
        settle = () => reject(error);
        throw error;
      }
    }, { name, onEnd: () => settle() });
    return promise;
  };
}

function checkProcessor(action: string, name: string, value: unknown): void {
  checkType(
    value instanceof BackgroundTaskProcessor,
    action,
    name,
    "a BackgroundTaskProcessor",
    value,
  );
}
