// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { CATCH_UP, HELD_UP } from "./_held_up.ts";
import { Wait, type WaitLimits } from "./_wait.ts";
import { type Clock, systemClock } from "./clock.ts";

/**
 * A wait for others, who may be too late: when the program was held up itself,
 * it first reads what they have sent meanwhile.
 */
export class LimitedWait<T> extends Wait<T> {
  readonly #clock: Clock;
  readonly #ref: boolean | undefined;
  /** `undefined` when there is none, or no more patience. */
  #deadline: number | undefined;

  constructor(
    resolve: (value: T) => void,
    reject: (reason: unknown) => void,
    limits: WaitLimits,
  ) {
    super(resolve, reject, limits);
    const { ms, clock = systemClock, ref } = limits;
    this.#clock = clock;
    this.#ref = ref;
    this.#deadline = ms === undefined ? undefined : clock.now() + ms;
  }

  override run(): void {
    if (!this.#isCatchingUp()) super.run();
  }

  #isCatchingUp(): boolean {
    const deadline = this.#deadline;
    this.#deadline = undefined;
    if (!this.isOpen || deadline === undefined) return false;
    try {
      if (this.#clock.now() - deadline <= HELD_UP) return false;
      this.startTimer(CATCH_UP, this.#clock, this.#ref);
      return true;
    } catch {
      // A clock that fails makes nobody wait for ever.
      return false;
    }
  }
}
