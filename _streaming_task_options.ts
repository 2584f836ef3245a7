// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkCommon,
  checkCount,
  checkFunction,
  checkNonNegative,
  checkOptions,
  checkPositive,
  checkType,
} from "./_arguments.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import type { StopOptions } from "./run_state.ts";
import type { ItemSource } from "./timeout_iterator.ts";

/** Options of `StreamingTask`. */
export interface StreamingTaskOptions<T, Args = void> {
  /** A name for messages. */
  name: string;
  /**
   * Opens the stream, anew for each start. The signal aborts when the task is
   * asked to stop, and with the error that ends the stream.
   */
  source: (
    signal: AbortSignal,
    args: Args,
  ) => ItemSource<T> | PromiseLike<ItemSource<T>>;
  /**
   * Handles an item. The next one is not taken before this has settled, or
   * before less than `concurrency` are busy.
   */
  onItem: (item: T, signal: AbortSignal) => unknown;
  /**
   * Told of every error, of `onItem`, of the source and of a timeout: it counts
   * as having looked at it. When it returns `"continue"`, or a promise of that,
   * the task goes on with the next item, or with the wait after a timeout. A
   * source that has failed has ended, and so has a task that is being stopped.
   */
  onError?: (error: unknown) => unknown;
  /**
   * The longest wait for an item, and for a source that opens with a promise,
   * in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number;
  /**
   * How long a stop waits for handlers and source to end, in milliseconds,
   * before they are abandoned, unless the call of `stop()` says otherwise. The
   * abort of a signal and the disposal are stops, too.
   *
   * @default {5000}
   */
  grace?: number;
  /**
   * How many items are handled at a time.
   *
   * @default {1}
   */
  concurrency?: number;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Told of errors that nobody looked at, and of abandoned streams.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
}

/** Options of `StreamingTask.start()`. */
export interface StartOptions<Args = void> extends StopOptions {
  /** Stops this run of the task. */
  signal?: AbortSignal;
  /** What the source is called with. */
  args?: Args;
  /**
   * What to do while the task runs: stop the old stream first, do nothing, or
   * refuse. A task that is being stopped does not run: the start waits for its
   * end. `grace` and `reason` are those of the stop of the old stream.
   *
   * @default {"restart"}
   */
  ifRunning?: "restart" | "ignore" | "throw";
}

/** The parameters of a start: the arguments of the source are optional only if it takes none. */
export type StartParameters<Args> = [Args] extends [void]
  ? [options?: StartOptions<Args>]
  : undefined extends Args ? [options?: StartOptions<Args>]
  : [options: StartOptions<Args> & { args: Args }];

/** The figures of a `StreamingTask`, over all its runs. */
export interface StreamingTaskStatistics {
  /** How many items were handed to `onItem`. */
  readonly items: number;
  /** How many errors there were, timeouts included. */
  readonly errors: number;
  /** How many items did not come in time. */
  readonly timeouts: number;
  /** How often the task was started. */
  readonly starts: number;
  /**
   * When the last item came, on the scale of the clock, `undefined` before the
   * first.
   */
  readonly lastItemTime: number | undefined;
}

/** Checks the options of a `StreamingTask`. */
export function checkStreamingTask<T, Args>(
  options: StreamingTaskOptions<T, Args>,
): void {
  const doing = "create StreamingTask";
  checkOptions(doing, options);
  checkCommon(doing, options);
  const { name, source, onItem, onError, timeout, concurrency, grace } =
    options;
  checkType(typeof name === "string", doing, "name", "a string", name);
  checkFunction(doing, "source", source);
  checkFunction(doing, "onItem", onItem);
  if (onError !== undefined) checkFunction(doing, "onError", onError);
  if (timeout !== undefined) checkPositive(doing, "timeout", timeout);
  if (grace !== undefined) checkNonNegative(doing, "grace", grace);
  if (concurrency !== undefined) {
    checkCount(doing, "concurrency", concurrency, 1);
  }
}
