// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { LazyTimer } from "./_lazy_timer.ts";
import type { Helper, StartHelper } from "./_precise_helper.ts";
import { startSystemTimer } from "./_system_timers.ts";
import { type TimerNode, TimerQueue } from "./_timer_queue.ts";
import type { Clock } from "./clock.ts";

const now = performance.now.bind(performance);

/** How much later than the helper's answer the system's timer comes, in ms. */
const SLACK = 100;

/** Turns of the microtask queue in which a loop sets its next timer. */
const TURNS = 20;

/** For how many milliseconds a helper that does not answer is waited for. */
const PATIENCE = 10_000;

function timerNode(run: () => void): TimerNode {
  return { deadline: 0, order: -1, run };
}

/** The system's clock, genuine also while somebody fakes time. */
function systemTimers(ref: boolean): Clock {
  const node = timerNode(() => {});
  const queue = startSystemTimer(node, Infinity, ref);
  queue.delete(node);
  return {
    now,
    setTimer(callback: () => void, delay: number): () => void {
      const node = timerNode(callback);
      queue.add(node, delay);
      return () => queue.delete(node);
    },
  };
}

/** Somebody the helper works for. */
export interface PreciseUser {
  /** There will be no helper: from now on the system's timers do its work. */
  onFailure(error: unknown): void;
}

/**
 * All precise timers, in one heap over one helper.
 *
 * A timer of the system always stands behind the helper: at the same moment
 * while the helper has yet to answer, a little later when it is known to. So
 * nothing is lost when there is no helper, or not any more.
 */
export class PreciseTimers {
  readonly #startHelper: StartHelper;
  readonly #patience: number;
  // The queue asks for whole units of time. Ours are microseconds.
  readonly #queue = new TimerQueue({
    now: () => now() * 1000,
    start: (callback, delay) => this.#arm(callback, delay / 1000),
    end: () => this.#callback = undefined,
  });
  readonly #users = new Set<PreciseUser>();
  #helper: Helper | undefined = undefined;
  #failure: { error: unknown } | undefined = undefined;
  #callback: (() => void) | undefined = undefined;
  #armedFor = Infinity;
  #isTrusted = false;
  #doubtedSince: number | undefined = undefined;

  readonly #guard = new LazyTimer(
    systemTimers(false),
    (now) => this.#rescue(now),
  );
  readonly #keepingAlive = systemTimers(true);
  #keptAliveBy = 0;
  #isReleasing = false;
  #letEnd: (() => void) | undefined = undefined;

  constructor(startHelper: StartHelper, patience = PATIENCE) {
    this.#startHelper = startHelper;
    this.#patience = patience;
  }

  /** Whether the helper is known to answer. */
  get isTrusted(): boolean {
    return this.#isTrusted;
  }

  /** Claims the helper, which starts with the next timer. */
  join(user: PreciseUser): void {
    this.#users.add(user);
    if (this.#failure !== undefined) user.onFailure(this.#failure.error);
  }

  /** Gives up a claim. The last one ends the helper, but no timer. */
  async leave(user: PreciseUser): Promise<void> {
    if (!this.#users.delete(user) || this.#users.size > 0) return;
    this.#failure = undefined;
    this.#letEndIfIdle();
    if (this.#callback === undefined) this.#guard.cancel();
    await this.#endHelper();
  }

  setTimer(callback: () => void, delay: number, ref: boolean): () => void {
    const node = timerNode(() => {
      if (ref) this.#release();
      callback();
    });
    if (this.#helper === undefined) this.#start();
    if (ref) this.#hold();
    this.#queue.add(node, delay * 1000);
    return () => {
      if (node.order < 0) return;
      if (ref) this.#release();
      this.#queue.delete(node);
    };
  }

  #hold(): void {
    this.#keptAliveBy++;
    this.#letEnd ??= this.#keepingAlive.setTimer(() => {}, Infinity);
  }

  async #release(): Promise<void> {
    this.#keptAliveBy--;
    if (this.#isReleasing) return;
    this.#isReleasing = true;
    // Whoever sets the next timer at once spares us a timer of the system.
    for (let turn = 0; turn < TURNS && this.#keptAliveBy === 0; turn++) {
      await undefined;
    }
    this.#isReleasing = false;
    this.#letEndIfIdle();
  }

  #letEndIfIdle(): void {
    if (this.#keptAliveBy > 0) return;
    this.#letEnd?.();
    this.#letEnd = undefined;
  }

  #arm(callback: () => void, delay: number): void {
    this.#callback = callback;
    this.#armedFor = now() + delay;
    this.#ask();
    this.#setGuard();
  }

  /** Asks the helper, unless it comes early enough anyway. */
  #ask(): void {
    const helper = this.#helper;
    if (helper === undefined || helper.askedFor <= this.#armedFor) return;
    helper.ask(this.#armedFor);
  }

  #setGuard(): void {
    this.#guard.set(this.#armedFor + (this.#isTrusted ? SLACK : 0));
  }

  #start(): void {
    if (this.#users.size === 0 || this.#failure !== undefined) return;
    try {
      const helper: Helper = this.#startHelper({
        onAnswer: () => {
          if (helper === this.#helper) this.#answered();
        },
        onEnd: (error) => {
          if (helper === this.#helper) this.#fail(error);
        },
      });
      this.#helper = helper;
      // The answer tells that it is ready.
      helper.ask(now());
    } catch (error) {
      this.#fail(error);
    }
  }

  #answered(): void {
    this.#isTrusted = true;
    this.#doubtedSince = undefined;
    // What is not due yet is asked for, and guarded, anew.
    this.#fire();
  }

  /** The helper should have answered. */
  #rescue(now: number): void {
    if (this.#callback === undefined) return;
    this.#isTrusted = false;
    if (this.#helper !== undefined) {
      this.#doubtedSince ??= now;
      const silence = now - this.#doubtedSince;
      if (silence >= this.#patience) {
        this.#fail(
          new Error(`The helper has not answered for ${this.#patience} ms`),
        );
      }
    }
    this.#fire();
  }

  #fire(): void {
    const callback = this.#callback;
    this.#callback = undefined;
    try {
      callback?.();
    } catch (error) {
      // As what a timer of the platform throws: not as a rejection.
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #fail(error: unknown): void {
    this.#failure = { error };
    this.#endHelper();
    for (const user of this.#users) user.onFailure(error);
  }

  async #endHelper(): Promise<void> {
    const helper = this.#helper;
    this.#helper = undefined;
    this.#isTrusted = false;
    this.#doubtedSince = undefined;
    if (this.#callback !== undefined) this.#setGuard();
    await helper?.stop();
  }
}
