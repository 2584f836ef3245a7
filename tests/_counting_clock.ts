// Copyright 2026 the Longrun authors. MIT license.

import type { Clock, TimerOptions } from "../clock.ts";

/** A clock that counts the timers set through it, not those of others. */
export class CountingClock implements Clock {
  timers = 0;
  /** The most timers there were at a time. */
  most = 0;
  /** How many were set. */
  set = 0;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  setTimer(
    callback: () => void,
    delay: number,
    options?: TimerOptions,
  ): () => void {
    this.set++;
    this.timers++;
    this.most = Math.max(this.most, this.timers);
    let waits = true;
    const leave = (): void => {
      if (waits) this.timers--;
      waits = false;
    };
    const cancel = this.#clock.setTimer(
      () => {
        leave();
        callback();
      },
      delay,
      options,
    );
    return () => {
      leave();
      cancel();
    };
  }
}
