// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { LazyTimer } from "./_lazy_timer.ts";
import type { LrcSettings } from "./_lrc_client_options.ts";
import { report } from "./_report.ts";

/** The pause of a policy that makes no sense, in milliseconds. */
const LATER = 60_000;

/** What {@linkcode LrcDeadlines} are made of. */
export interface LrcDeadlinesInit {
  readonly settings: LrcSettings<unknown>;
  /** The name of the command, for messages. */
  readonly command: string;
  /** When the `timeout` is over. */
  readonly deadline: number;
  /** Told when the command takes too long, or is silent for too long. */
  readonly onTimeout: (kind: "overall" | "idle", now: number) => void;
  /**
   * Told when the device has been silent for so long that it is to be asked:
   * not again before there are news, or it was asked.
   */
  readonly onSilence: () => void;
}

/**
 * The times of one command, on one timer: when it has to have ended, when there
 * has to be news of it, and when its device is asked because there is none.
 * News move them away.
 */
export class LrcDeadlines {
  readonly #init: LrcDeadlinesInit;
  readonly #timer: LazyTimer;
  #deadline: number;
  #idleDeadline: number;
  #askAt: number;
  /** How often in a row the device was asked without news. */
  #quiet: number;
  #lastPause: number = LATER;
  #isAsking = false;
  #hasEnded = false;

  /** Begins to count. The timer is set by {@linkcode LrcDeadlines.begin}. */
  constructor(init: LrcDeadlinesInit) {
    const { clock, firstEventTimeout, firstAsking, polls } = init.settings;
    this.#init = init;
    const now = clock.now();
    this.#deadline = init.deadline;
    this.#idleDeadline = now + firstEventTimeout;
    this.#quiet = polls ? 0 : -1;
    this.#askAt = now + (polls ? this.#pause() : firstAsking);
    this.#timer = new LazyTimer(clock, (time) => this.#expire(time));
  }

  /** Whether the device is being asked. */
  get isAsking(): boolean {
    return this.#isAsking;
  }

  begin(): void {
    this.#setTimer();
  }

  /** Takes note of news: there is more time. */
  heed(isProgress: boolean, time: number): void {
    const { extendOnProgress, idleTimeout } = this.#init.settings;
    if (isProgress && extendOnProgress > 0) {
      this.#deadline = Math.max(this.#deadline, time + extendOnProgress);
    }
    this.#idleDeadline = time + idleTimeout;
    this.#quiet = 0;
    this.#askAt = this.#isAsking ? Infinity : time + this.#pause();
    this.#setTimer();
  }

  /** The device is asked: it is not asked again meanwhile. */
  beginAsking(): void {
    this.#isAsking = true;
    this.#askAt = Infinity;
  }

  /** The device has told enough, until it is silent again. */
  endAsking(): void {
    this.#isAsking = false;
    if (this.#hasEnded) return;
    this.#askAt = this.#init.settings.clock.now() + this.#pause();
    this.#setTimer();
  }

  /** The command has ended: nothing is told any more. */
  end(): void {
    this.#hasEnded = true;
    this.#timer.cancel();
  }

  #pause(): number {
    const { settings, command } = this.#init;
    const { asking, logger } = settings;
    try {
      // A policy that has come to its end goes on as it was.
      const ms = asking.delay(this.#quiet + 1) ?? this.#lastPause;
      return this.#lastPause = ms >= 0 ? ms : LATER;
    } catch (error) {
      report(logger, "error", "The poll policy has failed", { command, error });
      return LATER;
    }
  }

  #setTimer(): void {
    if (this.#hasEnded) return;
    const next = Math.min(this.#deadline, this.#idleDeadline, this.#askAt);
    this.#timer.set(next);
  }

  #expire(now: number): void {
    if (this.#hasEnded) return;
    const { onTimeout, onSilence } = this.#init;
    if (now >= this.#deadline) onTimeout("overall", now);
    else if (now >= this.#idleDeadline) onTimeout("idle", now);
    else if (now >= this.#askAt) {
      this.#quiet++;
      this.#askAt = Infinity;
      onSilence();
    }
    this.#setTimer();
  }
}
