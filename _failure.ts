// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** More turns of the microtask queue than a stop and a join take together. */
const TURNS = 20;

/**
 * What some work has failed with, and whether anybody has looked at it: an
 * error that nobody looked at is reported, once.
 */
export class Failure {
  #failure: { error: unknown } | undefined = undefined;
  #isSeen = false;

  /** The error, which counts as seen from now on; `undefined` for none. */
  look(): unknown {
    this.see();
    return this.#failure?.error;
  }

  /** Somebody has looked, or is about to. */
  see(): void {
    this.#isSeen = true;
  }

  /** Throws the error, if there is one, at somebody who looks. */
  throwIfAny(): void {
    if (this.#failure === undefined) return;
    this.see();
    throw this.#failure.error;
  }

  async #reportLater(
    error: unknown,
    reportUnseen: (error: unknown) => void,
  ): Promise<void> {
    // Whoever awaits the stop and then the join looks in time.
    for (let turn = 0; turn < TURNS && !this.#isSeen; turn++) await undefined;
    if (this.#isSeen) return;
    this.see();
    reportUnseen(error);
  }

  /** Records how the work has ended. */
  record(
    failure: { error: unknown } | undefined,
    reportUnseen: (error: unknown) => void,
  ): void {
    this.#failure = failure;
    if (failure === undefined) return;
    this.#reportLater(failure.error, reportUnseen);
  }
}
