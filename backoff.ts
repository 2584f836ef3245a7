// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * When to start again what has failed: policies are values, pure functions
 * from the number of failures to the next delay.
 *
 * ```ts
 * import { backoff } from "@longrun/tasks/backoff";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = backoff({ limit: 4, initial: 100, maximum: 300 });
 * assertEquals([1, 2, 3, 4, 5].map((attempt) => policy.delay(attempt)), [
 *   100,
 *   200,
 *   300,
 *   300,
 *   undefined,
 * ]);
 * ```
 *
 * @module
 */

import {
  checkCount,
  checkFiniteNonNegative,
  checkFraction,
  checkFunction,
  checkNonNegative,
  checkOptions,
  checkPositive,
  checkPositiveFinite,
} from "./_arguments.ts";

/** Decides whether and when work that has failed starts again. */
export interface RestartPolicy {
  /**
   * The delay before the work starts again.
   *
   * @param attempt How often it has failed so soon after it was started, from
   * 1. Work that ran for `resetAfter` counts from 1 again; the rounds of a
   * periodic task that went well do not matter otherwise.
   * @param error What it failed with.
   * @returns The delay in milliseconds, or `undefined` to give up.
   */
  delay(attempt: number, error?: unknown): number | undefined;
  /**
   * Work that ran at least this long before it failed, in milliseconds, counts
   * from 1 again.
   *
   * @default {Infinity}
   */
  readonly resetAfter?: number;
}

/** Options of {@linkcode backoff}. */
export interface BackoffOptions {
  /**
   * How many failures are made good, if none comes `resetAfter` later than the
   * start before; the next one is final.
   *
   * @default {5}
   */
  limit?: number;
  /**
   * The delay after the first failure, in milliseconds.
   *
   * @default {1000}
   */
  initial?: number;
  /**
   * By how much each delay is longer than the one before.
   *
   * @default {2}
   */
  factor?: number;
  /**
   * The longest delay, in milliseconds.
   *
   * @default {60_000}
   */
  maximum?: number;
  /**
   * The part of the delay that is left to chance, from 0 to 1: with 0.2 it is
   * between 80 and 100 % of the full one. Spreads restarts that a common cause
   * has brought together.
   *
   * @default {0}
   */
  jitter?: number;
  /**
   * See {@linkcode RestartPolicy.resetAfter}.
   *
   * @default {60_000}
   */
  resetAfter?: number;
  /**
   * The source of chance, from 0 to 1.
   *
   * @default {Math.random}
   */
  random?: () => number;
}

/**
 * Delays that grow by a factor, up to a maximum and a number of failures.
 *
 * ```text
 * run --x  1s  run --x    2s    run --x        4s        run ...
 * ```
 *
 * @param options The first delay, its growth and its limits.
 * @returns The policy, without a state of its own: it can be shared.
 * @throws {TypeError} If an option is of the wrong type.
 * @throws {RangeError} If an option is out of range.
 *
 * @example Usage
 * ```ts
 * import { backoff } from "@longrun/tasks/backoff";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = backoff({ limit: 2, initial: 500, factor: 3 });
 * assertEquals(policy.delay(1), 500);
 * assertEquals(policy.delay(2), 1500);
 * assertEquals(policy.delay(3), undefined);
 * ```
 */
export function backoff(options: BackoffOptions = {}): RestartPolicy {
  checkOptions("create backoff", options);
  const {
    limit = 5,
    initial = 1000,
    factor = 2,
    maximum = 60_000,
    jitter = 0,
    resetAfter = 60_000,
    random = Math.random,
  } = options;
  checkCount("create backoff", "limit", limit, 0);
  checkFiniteNonNegative("create backoff", "initial", initial);
  checkPositiveFinite("create backoff", "factor", factor);
  checkNonNegative("create backoff", "maximum", maximum);
  checkFraction("create backoff", "jitter", jitter);
  checkPositive("create backoff", "resetAfter", resetAfter);
  checkFunction("create backoff", "random", random);
  return {
    resetAfter,
    delay(attempt: number): number | undefined {
      if (attempt > limit) return undefined;
      if (initial === 0) return 0;
      const grown = initial * factor ** (attempt - 1);
      const full = Math.min(grown, maximum, Number.MAX_VALUE);
      return full * (1 - jitter * random());
    },
  };
}
