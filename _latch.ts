// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { callHook } from "./_hooks.ts";
import { LimitedWait } from "./_limited_wait.ts";
import type { WaitLimits } from "./_wait.ts";

class LatchWait extends LimitedWait<boolean> {
  set: Set<LatchWait> | undefined = undefined;

  override expire(): void {
    this.resolve(false);
  }

  override leave(): void {
    this.set?.delete(this);
  }
}

/**
 * Something that happens once, and can be waited for any number of times.
 *
 * A promise would do, but a race against it leaves a reaction behind until it
 * settles. A wait for a latch leaves nothing.
 */
export class Latch {
  #waits: Set<LatchWait> | undefined = undefined;
  #isOpen = false;

  /** Whether it has happened. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** How many wait for it. */
  get waiting(): number {
    return this.#waits?.size ?? 0;
  }

  /** Lets everybody through, from now on. */
  open(): void {
    this.#isOpen = true;
    this.pulse();
  }

  /** Lets those through who wait now. */
  pulse(): void {
    const waits = this.#waits;
    this.#waits = undefined;
    if (waits === undefined) return;
    for (const wait of waits) {
      // A clock that cannot cancel keeps nobody from going on.
      callHook(() => wait.resolve(true), () => {});
    }
  }

  /**
   * Waits.
   *
   * @returns `true` when it has happened, `false` when the time was over first.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  wait(limits: WaitLimits = {}): Promise<boolean> {
    if (this.#isOpen) return Promise.resolve(true);
    if (limits.signal?.aborted) return Promise.reject(limits.signal.reason);
    return new Promise((resolve, reject) => {
      const wait = new LatchWait(resolve, reject, limits);
      wait.set = this.#waits ??= new Set();
      wait.set.add(wait);
    });
  }
}
