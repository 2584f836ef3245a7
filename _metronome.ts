// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkBoolean,
  checkCommon,
  checkFiniteNonNegative,
  checkOneOf,
  checkOptions,
  type CommonOptions,
} from "./_arguments.ts";
import { startSystemTimer } from "./_system_timers.ts";
import type { TimerNode } from "./_timer_queue.ts";
import { type Clock, systemClock } from "./clock.ts";
import {
  type Deadline,
  type Grid,
  MissedLoopPolicy,
  nextDeadline,
  placeOf,
} from "./missed_loop_policy.ts";

/** What a {@linkcode Metronome} beats by. */
export interface Pace {
  /** What follows an overrun. */
  readonly policy: MissedLoopPolicy;
  /** Measures the time. */
  readonly clock: Clock;
  /** Whether the timers keep the process alive. */
  readonly ref: boolean;
}

const POLICIES = Object.values(MissedLoopPolicy);

/** The pace of whoever asks for nothing in particular. */
const DEFAULT_PACE: Pace = Object.freeze({
  policy: MissedLoopPolicy.Skip,
  clock: systemClock,
  ref: true,
});

/** The options of everything that has a period. */
export interface PaceOptions extends CommonOptions {
  policy?: MissedLoopPolicy;
  first?: number;
  clock?: Clock;
  ref?: boolean;
}

/** Checks the options of something that has a period. */
export function checkPace(action: string, options: PaceOptions): Pace {
  checkOptions(action, options);
  checkCommon(action, options);
  const { policy, first, clock, ref } = options;
  if (policy !== undefined) checkOneOf(action, "policy", policy, POLICIES);
  if (first !== undefined) checkFiniteNonNegative(action, "first", first);
  checkBoolean(action, "ref", ref);
  if (policy === undefined && clock === undefined && ref === undefined) {
    return DEFAULT_PACE;
  }
  return {
    policy: policy ?? DEFAULT_PACE.policy,
    clock: clock ?? DEFAULT_PACE.clock,
    ref: ref ?? DEFAULT_PACE.ref,
  };
}

/** Where a node waits for its time. */
interface TimerPlace {
  delete(node: TimerNode): void;
  /** Deletes a node that is to be added again. */
  remove?(node: TimerNode): void;
}

/**
 * The beats of a period, one at a time: whoever is ready for the next one asks
 * for it. The policy decides what comes when that is due already.
 *
 * It is its own node in the queue of timers: waiting for a beat makes nothing.
 */
export abstract class Metronome implements TimerNode {
  deadline = 0;
  order = -1;
  readonly pace: Pace;
  #timer: TimerPlace | undefined = undefined;
  #period: number;
  #grid: Grid | undefined = undefined;
  /** The index of the last beat. */
  #last = -1;
  /** The beat that is waited for. */
  #due: Deadline | undefined = undefined;

  constructor(period: number, pace: Pace) {
    this.pace = pace;
    this.#period = period;
  }

  /** The time has come for a beat. */
  protected abstract beat(due: Deadline, late: number): void;

  /** The policy has ended the beats: the next would have been late by that. */
  protected abstract terminate(late: number): void;

  get period(): number {
    return this.#period;
  }

  /** Changes the period and keeps the phase, also of a beat waited for. */
  set period(period: number) {
    this.#period = period;
    const grid = this.#grid;
    if (grid === undefined) return;
    if (this.#last < 0) {
      this.#grid = { ...grid, period };
      if (this.#due !== undefined) this.#due = this.#firstOn(this.#grid);
      return;
    }
    const origin = placeOf(grid, this.#last);
    this.#grid = { origin, first: this.#last, period };
    if (this.#due === undefined) return;
    this.#timer?.remove?.(this);
    this.awaitBeat();
  }

  /** Whether the place of the first beat is known. */
  protected get hasBegun(): boolean {
    return this.#grid !== undefined;
  }

  /** Whether a timer is set. */
  protected get isWaiting(): boolean {
    return this.#timer !== undefined;
  }

  /**
   * Waits for the beat after the last one. The first may come at once.
   *
   * @param first How far from now that is, before it has its place.
   */
  protected awaitBeat(first = 0): void {
    this.cancel();
    const { policy, clock, ref } = this.pace;
    const now = clock.now();
    const grid = this.#grid ??= {
      origin: now + first,
      first: 0,
      period: this.#period,
    };
    const last = this.#last;
    const due = last < 0
      ? this.#firstOn(grid)
      : nextDeadline(policy, grid, last, now);
    if (due === undefined) {
      this.terminate(Math.max(now - placeOf(grid, last + 1), 0));
      return;
    }
    this.#due = due;
    const wait = due.scheduled - now;
    if (last < 0 && wait <= 0) this.#fire(due, now);
    else this.startTimer(Math.max(wait, 0), ref);
  }

  /** Has {@linkcode Metronome.run} called after a time. */
  protected startTimer(ms: number, ref: boolean): void {
    const { clock } = this.pace;
    this.#timer = clock === systemClock
      ? startSystemTimer(this, ms, ref)
      : { delete: clock.setTimer(() => this.run(), ms, { ref }) };
  }

  /** The timer's call. */
  run(): void {
    const due = this.#due;
    if (due !== undefined) this.#fire(due, this.pace.clock.now());
  }

  /** Stops waiting. */
  protected cancel(): void {
    this.#due = undefined;
    this.#timer?.delete(this);
    this.#timer = undefined;
  }

  #firstOn(grid: Grid): Deadline {
    const scheduled = grid.origin;
    return { grid, index: 0, scheduled, missed: 0, overrun: false };
  }

  #fire(due: Deadline, now: number): void {
    this.#due = undefined;
    this.#timer = undefined;
    this.#grid = due.grid;
    this.#last = due.index;
    this.beat(due, Math.max(now - due.scheduled, 0));
  }
}
