// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { CATCH_UP, HELD_UP } from "./_held_up.ts";
import type { Clock } from "./clock.ts";

/**
 * One timer for a deadline that moves all the time.
 *
 * Moving the deadline further away costs nothing: the timer stays, and when it
 * fires it looks how much time is left. Whoever does not wait any more when it
 * expires ignores it. Only a deadline before the one that the timer is set for
 * sets it anew.
 *
 * A program that was held up gets a little time to catch up first.
 */
export class LazyTimer {
  readonly #clock: Clock;
  readonly #onExpire: (now: number) => void;
  #deadline = Infinity;
  #armedFor = Infinity;
  #cancel: (() => void) | undefined = undefined;
  #isCatchingUp = false;

  constructor(clock: Clock, onExpire: (now: number) => void) {
    this.#clock = clock;
    this.#onExpire = onExpire;
  }

  /** Sets the deadline. */
  set(deadline: number): void {
    this.#deadline = deadline;
    if (this.#isCatchingUp) return;
    if (deadline < this.#armedFor) this.#arm(this.#clock.now());
  }

  /** Cancels the timer. */
  cancel(): void {
    this.#deadline = Infinity;
    this.#armedFor = Infinity;
    this.#isCatchingUp = false;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(now: number): void {
    this.#cancel?.();
    this.#armedFor = this.#deadline;
    // Whoever was held up comes with a deadline that is over already.
    const delay = Math.max(0, this.#deadline - now);
    this.#cancel = this.#clock.setTimer(this.#fire, delay);
  }

  readonly #fire = (): void => {
    const hasCaughtUp = this.#isCatchingUp;
    this.#isCatchingUp = false;
    this.#cancel = undefined;
    this.#armedFor = Infinity;
    if (this.#deadline === Infinity) return;
    const now = this.#clock.now();
    if (now < this.#deadline) {
      this.#arm(now);
    } else if (now - this.#deadline > HELD_UP && !hasCaughtUp) {
      this.#isCatchingUp = true;
      this.#cancel = this.#clock.setTimer(this.#fire, CATCH_UP);
    } else {
      this.#onExpire(now);
    }
  };
}
