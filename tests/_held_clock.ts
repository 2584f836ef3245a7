// Copyright 2026 the Longrun authors. MIT license.

import type { Clock, TimerOptions } from "../clock.ts";
import { ManualClock } from "../testing.ts";

/** A clock of a program that is held up: time passes, and no timer comes. */
export class HeldClock implements Clock {
  /** What its timers go by. */
  readonly manual: ManualClock;
  /** How long it was held up. */
  held = 0;
  /** How often it was asked for the time. */
  asked = 0;

  constructor(manual: ManualClock = new ManualClock()) {
    this.manual = manual;
  }

  now(): number {
    this.asked++;
    return this.manual.now() + this.held;
  }

  setTimer(
    callback: () => void,
    delay: number,
    options?: TimerOptions,
  ): () => void {
    return this.manual.setTimer(callback, delay, options);
  }
}
