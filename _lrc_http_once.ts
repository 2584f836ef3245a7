// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { Clock } from "./clock.ts";

/** How many answers are kept for those who ask again. */
const MOST_KEPT = 1000;

/** How long they are kept, in milliseconds: one who asks again does so soon. */
const KEPT = 30_000;

interface Kept<T> {
  readonly time: number;
  /** What was asked for, as its digest. */
  readonly digest: string;
  readonly answer: Promise<T>;
}

/** A few characters that tell a text from others, however long it is. */
function digestOf(text: string): string {
  let one = 0x811c_9dc5;
  let other = 0x9e37_79b9;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    one = Math.imul(one ^ unit, 0x0100_0193);
    other = Math.imul(other ^ unit, 0x85eb_ca6b);
  }
  return `${text.length} ${one} ${other}`;
}

/**
 * Does what is asked for under a key once, however often it is asked for: some
 * clients send a request again by themselves when their connection breaks.
 */
export class Once<T> {
  readonly #clock: Clock;
  readonly #kept: Map<string, Kept<T>> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The answer to what is asked for under a key.
   *
   * @param key The key.
   * @param text What is asked for.
   * @param work Makes the answer, unless there is one.
   * @returns The answer, `undefined` if something else was asked for under the
   * key before.
   */
  ask(
    key: string,
    text: string,
    work: () => Promise<T>,
  ): Promise<T> | undefined {
    const now = this.#clock.now();
    for (const [oldest, { time }] of this.#kept) {
      if (this.#kept.size < MOST_KEPT && now - time < KEPT) break;
      this.#kept.delete(oldest);
    }
    const found = this.#kept.get(key);
    const digest = digestOf(text);
    if (found !== undefined) {
      return found.digest === digest ? found.answer : undefined;
    }
    const answer = work();
    this.#kept.set(key, { time: now, digest, answer });
    return answer;
  }

  /** Forgets everything. */
  clear(): void {
    this.#kept.clear();
  }
}
