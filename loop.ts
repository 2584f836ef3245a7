// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * A function called once a period, without a class: lean enough to have ten
 * thousand of them.
 *
 * ```ts
 * import { loop } from "@longrun/tasks/loop";
 * import { assertEquals } from "@std/assert";
 *
 * const temperatures: number[] = [];
 * const thermometer = loop(() => {
 *   temperatures.push(21);
 * }, { period: 5 });
 *
 * while (temperatures.length < 3) await new Promise((r) => setTimeout(r, 5));
 * assertEquals(await thermometer.stop(), "stopped");
 * ```
 *
 * @module
 */

import {
  checkFunction,
  checkNonNegative,
  checkOptions,
  checkPositiveFinite,
  checkSignal,
} from "./_arguments.ts";
import { LoopCore, type LoopManners } from "./_loop_core.ts";
import { checkPace } from "./_metronome.ts";
import { checkStopOptions, DEFAULT_GRACE } from "./_run.ts";
import type { Clock } from "./clock.ts";
import { defaultLogger, type Logger } from "./logger.ts";
import type { MissedLoopPolicy } from "./missed_loop_policy.ts";
import {
  isRunning,
  type JoinOptions,
  type RunState,
  type StopOptions,
  type StopOutcome,
} from "./run_state.ts";
import type { Tick } from "./ticks.ts";

/** What a round of a {@linkcode Loop} is told. */
export interface LoopRound extends Tick {
  /** How many rounds came before this one. */
  readonly round: number;
  /**
   * Aborts when the loop is asked to stop. It is made when it is asked for,
   * and is the same for all rounds.
   */
  readonly signal: AbortSignal;
  /**
   * Waits, at most until the loop is asked to stop: the wait rejects then, and
   * a function that lets the error pass ends normally.
   */
  readonly sleep: (ms: number) => Promise<void>;
  /**
   * Asks the loop to stop without waiting for it. A round that awaited
   * {@linkcode Loop.stop} of its own loop would wait for itself.
   */
  readonly stop: (reason?: unknown) => void;
}

/**
 * The work of a {@linkcode Loop}. A promise that it returns is waited for; what
 * it resolves to does not matter.
 */
export type LoopFunction = (round: LoopRound) => unknown;

/**
 * How a {@linkcode Loop} has ended: by a stop, by its policy `Terminate`, or
 * because a round has thrown.
 */
export type LoopOutcome = "stopped" | "terminated" | "failed";

/** Options of {@linkcode loop}. */
export interface LoopOptions {
  /** The period in milliseconds. */
  period: number;
  /**
   * What follows a round that has taken its whole period or more.
   *
   * @default {MissedLoopPolicy.Skip}
   */
  policy?: MissedLoopPolicy;
  /**
   * In how many milliseconds the first round begins.
   *
   * @default {0}
   */
  first?: number;
  /** Stops the loop. */
  signal?: AbortSignal;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Whether the waits of the loop keep the process alive: those between its
   * rounds and of `round.sleep()`.
   *
   * @default {true}
   */
  ref?: boolean;
  /**
   * How long a stop waits for a round to end, in milliseconds, before it is
   * abandoned, unless the call of `stop()` says otherwise. The abort of the
   * signal, `round.stop()` and the disposal are stops, too.
   *
   * @default {5000}
   */
  grace?: number;
  /**
   * A name for messages.
   *
   * @default {"loop"}
   */
  name?: string;
  /**
   * Told of errors that nobody looked at, abandoned rounds, missed rounds and
   * termination.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
  /**
   * Told before each round that follows one that has taken its whole period or
   * more, with what its function is told. It may stop the loop before it.
   */
  onMissed?: (round: LoopRound) => void;
  /** Told what a round has thrown. It counts as having looked at the error. */
  onError?: (error: unknown, loop: Loop) => void;
  /**
   * Told once when the loop is over: it has ended, or a stop has abandoned it.
   */
  onEnd?: (loop: Loop) => void;
}

/** The figures of a {@linkcode Loop}. */
export interface LoopStatistics {
  /** How many rounds have begun. */
  readonly rounds: number;
  /** How many rounds were lost because others overran. */
  readonly missed: number;
  /** How often a round was due already when the one before it had ended. */
  readonly overruns: number;
  /** The worst lateness of a round, in milliseconds. */
  readonly worstLateness: number;
}

const DEFAULT_MANNERS: LoopManners = Object.freeze({
  name: "loop",
  grace: DEFAULT_GRACE,
  logger: defaultLogger,
  onMissed: undefined,
  onError: undefined,
  onEnd: undefined,
});

function checkManners(
  action: string,
  options: LoopOptions,
  loop: Loop,
): LoopManners {
  const { name, grace, logger, onMissed, onError, onEnd } = options;
  if (grace !== undefined) checkNonNegative(action, "grace", grace);
  if (onMissed !== undefined) checkFunction(action, "onMissed", onMissed);
  if (onError !== undefined) checkFunction(action, "onError", onError);
  if (onEnd !== undefined) checkFunction(action, "onEnd", onEnd);
  if (
    name === undefined && grace === undefined && logger === undefined &&
    onMissed === undefined && onError === undefined && onEnd === undefined
  ) return DEFAULT_MANNERS;
  return {
    name: name ?? DEFAULT_MANNERS.name,
    grace: grace ?? DEFAULT_MANNERS.grace,
    logger: logger ?? DEFAULT_MANNERS.logger,
    onMissed,
    onError: onError && ((error) => onError(error, loop)),
    onEnd: onEnd && (() => onEnd(loop)),
  };
}

/**
 * A function called once a period, until somebody stops it: what
 * {@linkcode loop} returns.
 *
 * Rounds never overlap: a round that returns a promise lasts until that has
 * settled. When a round takes its whole period or more the policy decides what
 * follows. The places of the rounds do not drift.
 *
 * **When to use.** For small periodic work, also thousands of it: an idle loop
 * is one object of half a kilobyte, it has no promise and no timer of its own.
 * For rounds that are pulled use `ticks()`; for restarts after a failure, or
 * states that others follow, a `BackgroundTask`.
 *
 * **Gotchas.** A round that never looks at its signal cannot be ended: `stop()`
 * gives up after its grace and says `"abandoned"`. A round must not await the
 * `stop()` or `join()` of its own loop; it has `round.stop()`. Rounds that all
 * overrun still leave a turn of the event loop in between, a millisecond or two
 * on most platforms.
 */
export class Loop implements AsyncDisposable {
  readonly #core: LoopCore;

  /**
   * Starts a loop. The first round begins soon after, not within this call.
   *
   * @param fn The work. What it throws ends the loop and is kept in
   * {@linkcode Loop.exception}.
   * @param options The period, what follows an overrun, and what stops the loop.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If `period` is not positive and finite, `first`
   * negative or infinite, or `grace` negative.
   */
  constructor(fn: LoopFunction, options: LoopOptions) {
    const doing = "create loop";
    checkFunction(doing, "fn", fn);
    const pace = checkPace(doing, options);
    const { period, first = 0, signal } = options;
    checkPositiveFinite(doing, "period", period);
    const manners = checkManners(doing, options, this);
    this.#core = new LoopCore(fn, period, first, signal, pace, manners);
  }

  /** The name of the loop. */
  get name(): string {
    return this.#core.name;
  }

  /** The current state: `"starting"` until the first round begins. */
  get state(): RunState {
    return this.#core.state;
  }

  /** Whether the loop goes on and was not asked to stop. */
  get running(): boolean {
    return isRunning(this.state);
  }

  /** Whether the loop has ended. */
  get ended(): boolean {
    return this.#core.hasEnded;
  }

  /** Whether a stop has given up waiting for a round. */
  get abandoned(): boolean {
    return this.#core.isAbandoned;
  }

  /** How the loop has ended, `undefined` as long as it has not. */
  get outcome(): LoopOutcome | undefined {
    return this.#core.outcome;
  }

  /** What a round has thrown, `undefined` if none has. */
  get exception(): unknown {
    return this.#core.exception;
  }

  /** Rounds, misses, overruns and lateness so far. */
  get statistics(): LoopStatistics {
    const { rounds, missed, overruns, worstLateness } = this.#core;
    return { rounds, missed, overruns, worstLateness };
  }

  /** The period in milliseconds. */
  get period(): number {
    return this.#core.period;
  }

  /**
   * Changes the period and keeps the phase: the next round comes the new period
   * after the place of the last one, also when it is waited for already. When
   * that has passed the policy decides, as after a round that took too long.
   *
   * @throws {TypeError} If it is not a number.
   * @throws {RangeError} If it is not positive and finite.
   */
  set period(period: number) {
    checkPositiveFinite("change period", "period", period);
    this.#core.period = period;
  }

  /**
   * Stops the loop: between two rounds it ends within this call; a round in
   * flight sees its signal abort and is waited for.
   *
   * Any number of calls from anywhere, at any moment, all wait for the same
   * end, each for its own grace. The first reason counts.
   *
   * @param options Why, and how long to wait for a round to end.
   * @returns `"stopped"` when the loop has ended, also by an error or before;
   * `"abandoned"` when its round had not ended within the grace.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   */
  async stop(options: StopOptions = {}): Promise<StopOutcome> {
    checkStopOptions("stop", options);
    return await this.#core.stop(options);
  }

  /**
   * Waits until the loop has ended, or until a stop has abandoned it.
   *
   * @param options What ends the wait early. The loop goes on.
   * @returns A promise that resolves when the loop was stopped, terminated or
   * abandoned; {@linkcode Loop.outcome} and {@linkcode Loop.abandoned} tell.
   * @throws {unknown} What a round has thrown.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async join(options: JoinOptions = {}): Promise<void> {
    checkOptions("join", options);
    checkSignal("join", options.signal);
    await this.#core.join(options);
  }

  /** Stops the loop and waits for it, at most for its grace. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Nobody waits a second time for what did not hear the first.
    if (!this.abandoned) await this.stop();
  }
}

/**
 * Calls a function once a period, from now on: the first time soon after, not
 * within this call.
 *
 * @param fn The work. A promise that it returns is waited for; what it throws
 * ends the loop.
 * @param options The period, what follows an overrun, and what stops the loop.
 * @returns The loop, which has started.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If `period` is not positive and finite, `first`
 * negative or infinite, or `grace` negative.
 *
 * @example Thousands of loops, stopped by one signal
 * ```ts
 * import { loop } from "@longrun/tasks/loop";
 * import { assert } from "@std/assert";
 *
 * const night = new AbortController();
 * const { signal } = night;
 * const loops = Array.from(
 *   { length: 1000 },
 *   () => loop(() => {}, { period: 60_000, signal }),
 * );
 * night.abort("dawn");
 * assert(loops.every(({ outcome }) => outcome === "stopped"));
 * ```
 *
 * @example A round knows what was missed before it
 * ```ts
 * import { loop } from "@longrun/tasks/loop";
 * import { ManualClock } from "@longrun/tasks/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new ManualClock();
 * const seen: [at: number, late: number, missed: number][] = [];
 * await using exposures = loop(async ({ index, late, missed, sleep }) => {
 *   seen.push([clock.now(), late, missed]);
 *   await sleep(index === 1 ? 250 : 10);
 * }, { period: 100, clock });
 *
 * await clock.advance(450);
 * assertEquals(seen, [[0, 0, 0], [100, 0, 0], [350, 150, 1], [400, 0, 0]]);
 * assertEquals(exposures.statistics.overruns, 1);
 * ```
 *
 * @example Its period may change while it runs
 * ```ts
 * import { loop } from "@longrun/tasks/loop";
 * import { ManualClock } from "@longrun/tasks/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new ManualClock();
 * const times: number[] = [];
 * const guide = loop(() => {
 *   times.push(clock.now());
 * }, { period: 100, clock });
 *
 * await clock.advance(150);
 * guide.period = 80; // the round of 200 comes at 180
 * await clock.advance(110);
 * assertEquals(times, [0, 100, 180, 260]);
 * assertEquals(await guide.stop(), "stopped");
 * ```
 */
export function loop(fn: LoopFunction, options: LoopOptions): Loop {
  return new Loop(fn, options);
}
