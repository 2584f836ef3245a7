// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** How many answers are kept for those who ask again. */
const MOST_KEPT = 1000;

/**
 * Does what is asked for under a key once, however often it is asked for: some
 * clients send a request again by themselves when their connection breaks.
 */
export class Once<T> {
  readonly #kept: Map<string, Promise<T>> = new Map();

  /** The answer to what is asked for under a key. */
  ask(key: string, work: () => Promise<T>): Promise<T> {
    const found = this.#kept.get(key);
    if (found !== undefined) return found;
    const made = work();
    this.#kept.set(key, made);
    if (this.#kept.size > MOST_KEPT) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest);
        break;
      }
    }
    return made;
  }

  /** Forgets everything. */
  clear(): void {
    this.#kept.clear();
  }
}
