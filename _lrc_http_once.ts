// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { Clock } from "./clock.ts";

/** How many answers are kept for those who ask again. */
const MOST_KEPT = 1000;

/** How long they are kept, in milliseconds: one who asks again does so soon. */
const KEPT = 30_000;

/**
 * Does what is asked for under a key once, however often it is asked for: some
 * clients send a request again by themselves when their connection breaks.
 */
export class Once<T> {
  readonly #clock: Clock;
  readonly #kept: Map<string, { time: number; answer: Promise<T> }> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The answer to what is asked for under a key. */
  ask(key: string, work: () => Promise<T>): Promise<T> {
    const now = this.#clock.now();
    for (const [oldest, { time }] of this.#kept) {
      if (this.#kept.size < MOST_KEPT && now - time < KEPT) break;
      this.#kept.delete(oldest);
    }
    const found = this.#kept.get(key);
    if (found !== undefined) return found.answer;
    const answer = work();
    this.#kept.set(key, { time: now, answer });
    return answer;
  }

  /** Forgets everything. */
  clear(): void {
    this.#kept.clear();
  }
}
