// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * A period as an async iterator that does not drift.
 *
 * ```ts
 * import { ticks } from "@longrun/tasks/ticks";
 * import { assertEquals } from "@std/assert";
 *
 * const indices: number[] = [];
 * for await (const { index } of ticks(5)) {
 *   indices.push(index);
 *   if (indices.length === 3) break;
 * }
 * assertEquals(indices.length, 3);
 * ```
 *
 * @module
 */

import { checkPositiveFinite } from "./_arguments.ts";
import { checkPace } from "./_metronome.ts";
import { END, Ticker } from "./_ticker.ts";
import type { Clock } from "./clock.ts";
import type { MissedLoopPolicy } from "./missed_loop_policy.ts";

/** A moment at which a round begins. */
export interface Tick {
  /** Its place on the grid of periods, from 0. */
  readonly index: number;
  /** When it was due, on the scale of the clock. */
  readonly scheduled: number;
  /** How much later than that it came, in milliseconds. */
  readonly late: number;
  /** How many ticks were lost between the last one and this one. */
  readonly missed: number;
  /**
   * Whether the round before has taken its whole period or more, so that this
   * tick was due already when it was asked for.
   */
  readonly overrun: boolean;
}

/** Options of {@linkcode ticks}. */
export interface TicksOptions {
  /**
   * What follows a round that has taken its whole period or more.
   *
   * @default {MissedLoopPolicy.Skip}
   */
  policy?: MissedLoopPolicy;
  /**
   * How long after the first request the first tick comes, in milliseconds.
   *
   * @default {0}
   */
  first?: number;
  /** Ends the ticks with the signal's reason. */
  signal?: AbortSignal;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Whether the ticks keep the process alive.
   *
   * @default {true}
   */
  ref?: boolean;
}

/**
 * Ticks with a period, as an iterator: what {@linkcode ticks} returns.
 *
 * The time between two requests is the round. When it is shorter than the
 * period the next tick comes at its place on the grid; when it is longer the
 * policy decides.
 *
 * **Gotchas.** A tick that is due at once, but for the first, still takes a turn
 * of the event loop, a millisecond or two on most platforms: rounds that all
 * overrun must not keep everybody else from running.
 */
export class Ticks
  implements AsyncIterableIterator<Tick, undefined>, AsyncDisposable {
  readonly #ticker: Ticker;

  /**
   * Creates ticks. The first one comes with the first request.
   *
   * @param period The period in milliseconds.
   * @param options What follows an overrun, and what ends the ticks.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If `period` is not positive and finite, or `first`
   * negative or infinite.
   */
  constructor(period: number, options: TicksOptions = {}) {
    const doing = "create ticks";
    checkPositiveFinite(doing, "period", period);
    const pace = checkPace(doing, options);
    const { first = 0, signal } = options;
    this.#ticker = new Ticker(period, pace, first, signal);
  }

  /** Whether the policy `Terminate` has ended the ticks. */
  get terminated(): boolean {
    return this.#ticker.isTerminated;
  }

  /** The period in milliseconds. */
  get period(): number {
    return this.#ticker.period;
  }

  /**
   * Changes the period and keeps the phase: the next tick comes the new period
   * after the place of the last one, also when it is waited for already. When
   * that has passed the policy decides, as after a round that took too long.
   *
   * @throws {RangeError} If it is not positive and finite.
   */
  set period(period: number) {
    checkPositiveFinite("change period", "period", period);
    this.#ticker.period = period;
  }

  /**
   * Waits for the next tick. Requests side by side are answered in order.
   *
   * @returns The tick, or the end when the policy is `Terminate`.
   * @throws {AbortSignal["reason"]} If the signal aborts.
   */
  next(): Promise<IteratorResult<Tick, undefined>> {
    return this.#ticker.request();
  }

  /** Ends the ticks. */
  return(): Promise<IteratorResult<Tick, undefined>> {
    this.#ticker.close();
    return Promise.resolve(END);
  }

  /** The iterator itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The same as {@linkcode Ticks.return}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

/**
 * Ticks with a period: `for await (const tick of ticks(100))`.
 *
 * @param period The period in milliseconds.
 * @param options What follows an overrun, and what ends the ticks.
 * @returns An iterator, whose `period` can be changed.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If `period` is not positive and finite, or `first`
 * negative or infinite.
 *
 * @example The round that overran is known
 * ```ts
 * import { ManualClock } from "@longrun/tasks/testing";
 * import { sleep } from "@longrun/tasks/cancellation";
 * import { ticks } from "@longrun/tasks/ticks";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new ManualClock();
 * const seen: [at: number, late: number, missed: number][] = [];
 * (async () => {
 *   for await (const { index, late, missed } of ticks(100, { clock })) {
 *     seen.push([clock.now(), late, missed]);
 *     await sleep(index === 1 ? 250 : 10, { clock });
 *   }
 * })();
 *
 * await clock.advance(450);
 * assertEquals(seen, [[0, 0, 0], [100, 0, 0], [350, 150, 1], [400, 0, 0]]);
 * ```
 */
export function ticks(period: number, options: TicksOptions = {}): Ticks {
  return new Ticks(period, options);
}
