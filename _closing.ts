// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Latch } from "./_latch.ts";
import { followPromise, isPromiseLike } from "./_promise_fanout.ts";
import type { Clock } from "./clock.ts";

/**
 * The closing of a source: called once, waited for only within limits, because
 * the `return()` of a generator waits for a `next()` that may never settle.
 */
export class Closing {
  readonly #closed: Latch = new Latch();
  readonly #onLateFailure: (error: unknown) => void;
  #failure: { error: unknown } | undefined = undefined;

  /**
   * Begins to close.
   *
   * @param close Closes the source.
   * @param onLateFailure Told of an error that nobody waits for.
   */
  constructor(close: () => unknown, onLateFailure: (error: unknown) => void) {
    this.#onLateFailure = onLateFailure;
    try {
      const closing = close();
      if (isPromiseLike(closing)) {
        followPromise(
          closing,
          () => this.#closed.open(),
          (error) => this.#fail(error),
        );
      } else {
        this.#closed.open();
      }
    } catch (error) {
      // Whoever began the closing may wait for it from now on.
      queueMicrotask(() => this.#fail(error));
    }
  }

  /**
   * Waits for the source.
   *
   * @returns Whether it has closed within the grace.
   * @throws {unknown} What the source has thrown, to the first who waits.
   */
  async wait(grace: number, clock: Clock): Promise<boolean> {
    const ms = grace === Infinity ? undefined : grace;
    const hasClosed = await this.#closed.wait({ ms, clock });
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
    return hasClosed;
  }

  /** Takes note of an error: for whoever waits, or else for the hook. */
  note(error: unknown): void {
    if (this.#closed.waiting > 0 && this.#failure === undefined) {
      this.#failure = { error };
    } else {
      this.#onLateFailure(error);
    }
  }

  #fail(error: unknown): void {
    this.note(error);
    this.#closed.open();
  }
}
