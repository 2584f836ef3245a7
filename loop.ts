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
  /** How many rounds have taken their whole period or more. */
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
 * A function that is called once a period: what {@linkcode loop} returns.
 */
export class Loop implements AsyncDisposable {
  readonly #core: LoopCore;

  /**
   * Starts a loop. The first round begins soon after, not within this call.
   */
  constructor(work: LoopFunction, options: LoopOptions) {
    const doing = "create loop";
    checkFunction(doing, "fn", work);
    const pace = checkPace(doing, options);
    const { period, first = 0, signal } = options;
    checkPositiveFinite(doing, "period", period);
    const manners = checkManners(doing, options, this);
    this.#core = new LoopCore(work, period, first, signal, pace, manners);
  }

  /** The name of the loop. */
  get name(): string {
    return this.#core.name;
  }

  /** The current state. */
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

  set period(period: number) {
    checkPositiveFinite("change period", "period", period);
    this.#core.period = period;
  }

  async stop(options: StopOptions = {}): Promise<StopOutcome> {
    checkStopOptions("stop", options);
    return await this.#core.stop(options);
  }

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

export function loop(fn: LoopFunction, options: LoopOptions): Loop {
  return new Loop(fn, options);
}
