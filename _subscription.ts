// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Wait } from "./_wait.ts";
import { onAbort } from "./cancellation.ts";

/** Settings of a {@linkcode Subscription}. */
export interface SubscriptionOptions {
  /** How many values it keeps for a slow consumer. */
  capacity: number;
  /** Called once when the subscription has ended. */
  onClose: () => void;
}

/**
 * Values pushed on one side and pulled from the other, with a bounded buffer
 * between them: when it is full the oldest value is dropped and counted.
 */
export class Subscription<T> implements AsyncIterableIterator<T> {
  readonly #buffer: T[] = [];
  readonly #waits: Wait<IteratorResult<T>>[] = [];
  readonly #capacity: number;
  readonly #onClose: () => void;
  #forget: (() => void) | undefined = undefined;
  #closed = false;
  #failure: { reason: unknown } | undefined = undefined;
  #dropped = 0;

  constructor(options: SubscriptionOptions) {
    const { capacity, onClose } = options;
    this.#capacity = capacity;
    this.#onClose = onClose;
  }

  /** Ends with the reason of a signal, which may have aborted already. */
  obey(signal: AbortSignal): void {
    if (this.#closed) return;
    this.#forget = onAbort(signal, (reason) => this.fail(reason));
    if (this.#closed) this.#forget();
  }

  /** How many values were dropped because the consumer was slow. */
  get dropped(): number {
    return this.#dropped;
  }

  push(value: T): void {
    if (this.#closed) return;
    const wait = this.#waits.shift();
    if (wait !== undefined) {
      wait.resolve({ done: false, value });
      return;
    }
    if (this.#buffer.length >= this.#capacity) {
      this.#buffer.shift();
      this.#dropped++;
    }
    this.#buffer.push(value);
  }

  /** Ends it after the values that are in the buffer. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forget?.();
    for (const wait of this.#waits.splice(0)) {
      wait.resolve({ done: true, value: undefined });
    }
    this.#onClose();
  }

  /** Ends it at once: the next `next()` rejects, the buffer is gone. */
  fail(reason: unknown): void {
    if (this.#closed) return;
    this.#buffer.length = 0;
    const waits = this.#waits.splice(0);
    if (waits.length === 0) this.#failure = { reason };
    for (const wait of waits) wait.reject(reason);
    this.end();
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#failure !== undefined) {
      const { reason } = this.#failure;
      this.#failure = undefined;
      return Promise.reject(reason);
    }
    if (this.#buffer.length > 0) {
      const value = this.#buffer.shift() as T;
      return Promise.resolve({ done: false, value });
    }
    if (this.#closed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#waits.push(new Wait<IteratorResult<T>>(resolve, reject, {}));
    });
  }

  return(): Promise<IteratorResult<T>> {
    this.#buffer.length = 0;
    this.#failure = undefined;
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
