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

import {
  checkBoolean,
  checkCommon,
  checkFiniteNonNegative,
  checkOneOf,
  checkOptions,
  checkPositiveFinite,
} from "./_arguments.ts";
import { onAbort } from "./cancellation.ts";
import { type Clock, systemClock } from "./clock.ts";
import {
  type Deadline,
  type Grid,
  MissedLoopPolicy,
  nextDeadline,
  placeOf,
} from "./missed_loop_policy.ts";

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

type TickResult = IteratorResult<Tick, undefined>;

const END: TickResult = Object.freeze({ done: true, value: undefined });

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
  readonly #clock: Clock;
  readonly #policy: MissedLoopPolicy;
  readonly #first: number;
  readonly #ref: boolean | undefined;
  readonly #signal: AbortSignal | undefined;
  #period: number;
  #grid: Grid | undefined = undefined;
  /** The index of the last tick. */
  #last = -1;
  #deadline: Deadline | undefined = undefined;
  #request: PromiseWithResolvers<TickResult> | undefined = undefined;
  #cancelTimer: (() => void) | undefined = undefined;
  #forgetSignal: (() => void) | undefined = undefined;
  #failure: { reason: unknown } | undefined = undefined;
  #isOver = false;
  #isTerminated = false;

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
    checkOptions(doing, options);
    checkCommon(doing, options);
    const { policy = MissedLoopPolicy.Skip, first = 0, signal, clock, ref } =
      options;
    checkOneOf(doing, "policy", policy, Object.values(MissedLoopPolicy));
    checkFiniteNonNegative(doing, "first", first);
    checkBoolean(doing, "ref", ref);
    this.#period = period;
    this.#policy = policy;
    this.#first = first;
    this.#signal = signal;
    this.#clock = clock ?? systemClock;
    this.#ref = ref;
  }

  /** Whether the policy `Terminate` has ended the ticks. */
  get terminated(): boolean {
    return this.#isTerminated;
  }

  /** The period in milliseconds. */
  get period(): number {
    return this.#period;
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
    this.#period = period;
    const grid = this.#grid;
    if (grid === undefined || this.#last < grid.first) return;
    this.#grid = {
      origin: placeOf(grid, this.#last),
      first: this.#last,
      period,
    };
    if (this.#request !== undefined) this.#schedule(this.#grid);
  }

  /**
   * Waits for the next tick. Requests side by side are answered in order.
   *
   * @returns The tick, or the end when the policy is `Terminate`.
   * @throws {AbortSignal["reason"]} If the signal aborts.
   */
  next(): Promise<IteratorResult<Tick, undefined>> {
    if (this.#request !== undefined) {
      return this.#request.promise.then(() => this.next());
    }
    if (this.#failure !== undefined) {
      const { reason } = this.#failure;
      this.#failure = undefined;
      return Promise.reject(reason);
    }
    if (this.#isOver) return Promise.resolve(END);
    const request = this.#request = Promise.withResolvers<TickResult>();
    if (this.#grid === undefined) this.#begin();
    if (this.#grid !== undefined && !this.#isOver) this.#schedule(this.#grid);
    return request.promise;
  }

  /** Ends the ticks. */
  return(): Promise<IteratorResult<Tick, undefined>> {
    this.#failure = undefined;
    this.#end()?.resolve(END);
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

  #begin(): void {
    const origin = this.#clock.now() + this.#first;
    this.#grid = { origin, first: 0, period: this.#period };
    if (this.#signal === undefined) return;
    this.#forgetSignal = onAbort(this.#signal, (reason) => {
      const request = this.#end();
      if (request === undefined) this.#failure = { reason };
      else request.reject(reason);
    });
  }

  /** Sets the timer for the tick after the last one. */
  #schedule(grid: Grid): void {
    const now = this.#clock.now();
    const deadline = this.#last < 0
      ? { grid, index: 0, scheduled: grid.origin, missed: 0, overrun: false }
      : nextDeadline(this.#policy, grid, this.#last, now);
    if (deadline === undefined) {
      this.#isTerminated = true;
      this.#end()?.resolve(END);
      return;
    }
    this.#deadline = deadline;
    this.#cancelTimer?.();
    if (this.#last < 0 && deadline.scheduled <= now) {
      this.#tick();
      return;
    }
    this.#cancelTimer = this.#clock.setTimer(
      this.#tick,
      Math.max(deadline.scheduled - now, 0),
      { ref: this.#ref },
    );
  }

  readonly #tick = (): void => {
    const request = this.#request;
    const deadline = this.#deadline;
    this.#cancelTimer = undefined;
    if (request === undefined || deadline === undefined) return;
    this.#request = undefined;
    this.#grid = deadline.grid;
    this.#last = deadline.index;
    const { index, scheduled, missed, overrun } = deadline;
    const late = Math.max(this.#clock.now() - scheduled, 0);
    const value: Tick = { index, scheduled, late, missed, overrun };
    request.resolve({ done: false, value });
  };

  /** Ends the ticks. Returns the request that waits, if there is one. */
  #end(): PromiseWithResolvers<TickResult> | undefined {
    const request = this.#request;
    this.#isOver = true;
    this.#request = undefined;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#forgetSignal?.();
    this.#forgetSignal = undefined;
    return request;
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
