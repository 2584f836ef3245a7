// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Wait } from "./_wait.ts";
import { onAbort } from "./cancellation.ts";

/** Settings of a {@linkcode Subscription}. */
export interface SubscriptionOptions {
  /** How many items it keeps for a slow consumer. */
  capacity: number;
  /**
   * Which item goes when one more comes, or what makes the error to end with.
   *
   * @default {"drop-oldest"}
   */
  overflow?: "drop-oldest" | "drop-newest" | (() => unknown);
  /** Called once when no more items are wanted. */
  onClose: () => void;
}

/** From here on it pays to move what is left to the front of the array. */
const LEAST_MOVE = 32;

/** First in, first out, in constant time. Holds nothing that has left. */
export class Line<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head >= LEAST_MOVE && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}

/**
 * Items pushed on one side and pulled from the other, with a bounded buffer
 * between them that counts what it drops.
 */
export class Subscription<T>
  implements AsyncIterableIterator<T, undefined>, AsyncDisposable {
  readonly #buffer: Line<T> = new Line();
  readonly #waits: Line<Wait<IteratorResult<T, undefined>>> = new Line();
  readonly #capacity: number;
  readonly #overflow: "drop-oldest" | "drop-newest" | (() => unknown);
  readonly #onClose: () => void;
  #signal: AbortSignal | undefined = undefined;
  #forget: (() => void) | undefined = undefined;
  #closed = false;
  /** Thrown once, after what is in the buffer. */
  #failure: { reason: unknown } | undefined = undefined;
  #dropped = 0;

  constructor(options: SubscriptionOptions) {
    const { capacity, overflow = "drop-oldest", onClose } = options;
    this.#capacity = capacity;
    this.#overflow = overflow;
    this.#onClose = onClose;
  }

  /** Ends with the reason of a signal, which may have aborted already. */
  obey(signal: AbortSignal): void {
    if (this.#closed) return;
    this.#signal = signal;
    this.#forget = onAbort(signal, (reason) => this.fail(reason));
  }

  /** How many items wait in the buffer. */
  get length(): number {
    return this.#buffer.length;
  }

  /** How many items were dropped because the consumer was slow. */
  get dropped(): number {
    return this.#dropped;
  }

  push(item: T): void {
    if (this.#closed) return;
    const wait = this.#waits.shift();
    if (wait !== undefined) {
      wait.resolve(this.deliver(item));
      return;
    }
    if (this.#buffer.length >= this.#capacity) {
      this.#dropped++;
      if (this.#overflow === "drop-newest") return;
      if (this.#overflow !== "drop-oldest") {
        this.#failure = { reason: this.#overflow() };
        this.end();
        return;
      }
      this.#buffer.shift();
    }
    this.#buffer.push(item);
  }

  /** Discards what is in the buffer. */
  clear(): void {
    this.#buffer.clear();
  }

  /** Ends it after the items that are in the buffer. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forget?.();
    this.#onClose();
    this.#settle((wait) => wait.resolve({ done: true, value: undefined }));
  }

  /** Ends it at once: the next `next()` rejects, the buffer is gone. */
  fail(reason: unknown): void {
    if (this.#closed) return;
    this.clear();
    if (this.#waits.length === 0) this.#failure = { reason };
    this.#settle((wait) => wait.reject(reason));
    this.end();
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#closed && this.length > 0 && this.#signal?.aborted) {
      // The signal was no longer watched, but the consumer still obeys it.
      this.clear();
      this.#failure = { reason: this.#signal.reason };
    }
    const item = this.#buffer.shift();
    if (item !== undefined) return Promise.resolve(this.deliver(item));
    if (this.#failure !== undefined) {
      const { reason } = this.#failure;
      this.#failure = undefined;
      return Promise.reject(reason);
    }
    if (this.#closed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) =>
      this.#waits.push(new Wait(resolve, reject, {}))
    );
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.clear();
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

  /** Called when the consumer gets an item. */
  protected deliver(item: T): IteratorYieldResult<T> {
    return { done: false, value: item };
  }

  #settle(settle: (wait: Wait<IteratorResult<T, undefined>>) => void): void {
    for (
      let wait = this.#waits.shift();
      wait !== undefined;
      wait = this.#waits.shift()
    ) settle(wait);
  }
}
