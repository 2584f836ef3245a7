// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkCommon,
  checkFiniteCount,
  checkFunction,
  checkNonNegative,
  checkOneOf,
  checkOptions,
  checkPositive,
  checkPositiveFinite,
} from "./_arguments.ts";
import { checkSource } from "./_source.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** An item that did not come in time. */
export interface ItemTimeout {
  /** How long the item has been waited for, in milliseconds. */
  readonly waited: number;
  /** How many items came before it. */
  readonly items: number;
  /** How many timeouts there were, this one included. */
  readonly timeouts: number;
}

/** An item that came, but slower than expected. */
export interface SlowItem {
  /** How long the item was waited for, in milliseconds. */
  readonly waited: number;
  /** The period of the expected rate, in milliseconds. */
  readonly expected: number;
  /** How many items came before it. */
  readonly items: number;
}

/**
 * What follows a timeout: the iteration fails with a `TimeoutError`, goes on
 * waiting for the same item, or ends as if the source had.
 */
export type TimeoutDecision = "throw" | "continue" | "end";

/** Options of `TimeoutIterator`. */
export interface TimeoutIteratorOptions {
  /** Ends the iteration, also while it waits. */
  signal?: AbortSignal;
  /**
   * The longest wait for one item, in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number;
  /**
   * The longest wait for the first item, in milliseconds. By default it is the
   * `timeout`, and two periods of the `expectedRate` more if there is one.
   */
  firstTimeout?: number;
  /**
   * The longest time from the first request to the last item, in milliseconds,
   * whatever `onTimeout` says.
   *
   * @default {Infinity}
   */
  totalTimeout?: number;
  /**
   * How many items a second the source is expected to give, in Hz. Under this
   * name the original takes a period in seconds, and it slows the source down
   * to it: here it is a rate, and only watched.
   */
  expectedRate?: number;
  /**
   * Told of each item but the first that was waited for longer than one and a
   * half periods of the `expectedRate`. By default the logger is warned.
   */
  onSlow?: (item: SlowItem) => void;
  /**
   * What follows when an item does not come within its `timeout`. A function
   * is told of it and decides. `"continue"` warns the logger.
   *
   * @default {"throw"}
   */
  onTimeout?: TimeoutDecision | ((timeout: ItemTimeout) => TimeoutDecision);
  /**
   * What follows when the signal aborts: the iteration fails with the signal's
   * reason, or ends as if the source had, as in the original.
   *
   * @default {"throw"}
   */
  onAbort?: "throw" | "end";
  /**
   * How many items may be taken from the source before they are asked for.
   *
   * @default {0}
   */
  prefetch?: number;
  /**
   * How long `return()` waits for the source to close, in milliseconds. The
   * end of an iteration by a timeout or a signal does not wait at all.
   *
   * @default {5000}
   */
  grace?: number;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Told of slow items, and of sources that fail to close.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
}

/** The figures of a `TimeoutIterator`. */
export interface TimeoutIteratorStatistics {
  /** How many items came. */
  readonly items: number;
  /** How many waits took longer than their timeout. */
  readonly timeouts: number;
  /** How many items came slower than expected. */
  readonly slow: number;
}

/** Beyond how many periods of the expected rate an item is slow. */
export const SLOW_PERIODS = 1.5;

/** The names of the decisions. */
export const DECISIONS: readonly TimeoutDecision[] = [
  "throw",
  "continue",
  "end",
];

/** Checks the arguments of a `TimeoutIterator`. */
export function checkTimeoutIterator(
  source: unknown,
  options: TimeoutIteratorOptions,
): void {
  const doing = "create TimeoutIterator";
  checkSource(doing, "source", source);
  checkOptions(doing, options);
  checkCommon(doing, options);
  for (const name of ["timeout", "firstTimeout", "totalTimeout"] as const) {
    const value = options[name];
    if (value !== undefined) checkPositive(doing, name, value);
  }
  const { expectedRate, onSlow, onTimeout, onAbort, prefetch, grace } = options;
  if (expectedRate !== undefined) {
    checkPositiveFinite(doing, "expectedRate", expectedRate);
  }
  if (onSlow !== undefined) checkFunction(doing, "onSlow", onSlow);
  if (onTimeout !== undefined && typeof onTimeout !== "function") {
    checkOneOf(doing, "onTimeout", onTimeout, DECISIONS);
  }
  if (onAbort !== undefined) {
    checkOneOf(doing, "onAbort", onAbort, ["throw", "end"]);
  }
  if (prefetch !== undefined) checkFiniteCount(doing, "prefetch", prefetch, 0);
  if (grace !== undefined) checkNonNegative(doing, "grace", grace);
}
