// Copyright 2026 the Longrun authors. MIT license.

import { hasCode } from "./_error_code.ts";

/** What waits for its `main` to be started. */
export interface Startable {
  /** Whether it still has to be started. */
  readonly isWaiting: boolean;
  /** Starts it. */
  start(): Promise<unknown>;
  /** It could not be started, for another reason than that another runs. */
  fail(error: unknown): void;
}

/**
 * Starts one after the other, in the order in which they came. Where the start
 * is refused because another runs, all wait until it is tried again.
 */
export class MainStarter {
  readonly #line: Startable[] = [];
  #isStarting = false;
  #again = false;

  add(one: Startable): void {
    if (!this.#line.includes(one)) this.#line.push(one);
    this.tryAgain();
  }

  /** Another may have ended. */
  tryAgain(): void {
    if (this.#isStarting) {
      this.#again = true;
      return;
    }
    if (this.#line.length === 0) return;
    this.#isStarting = true;
    void this.#startAll();
  }

  clear(): void {
    this.#line.length = 0;
  }

  async #startAll(): Promise<void> {
    // Not in the middle of the event that tells of it.
    await Promise.resolve();
    do {
      this.#again = false;
      while (await this.#startNext());
    } while (this.#again && this.#line.length > 0);
    this.#isStarting = false;
  }

  /** Whether the next may be tried. Never rejects. */
  async #startNext(): Promise<boolean> {
    const [one] = this.#line;
    if (one === undefined) return false;
    if (one.isWaiting) {
      try {
        await one.start();
      } catch (error) {
        if (hasCode(error, "another-running") && one.isWaiting) return false;
        one.fail(error);
      }
    }
    if (this.#line[0] === one) this.#line.shift();
    return true;
  }
}
