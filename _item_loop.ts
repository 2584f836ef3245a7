// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Latch } from "./_latch.ts";
import { DEFAULT_GRACE } from "./_run.ts";
import {
  type CancelScope,
  isCancellation,
  onAbort,
  timeout,
} from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import { type ItemSource, TimeoutIterator } from "./timeout_iterator.ts";

/** What an {@linkcode ItemLoop} needs to know of its owner. */
export interface ItemLoopOptions<T> {
  /** Handles an item. */
  onItem: (item: T, signal: AbortSignal) => void | PromiseLike<void>;
  /** Told of an error. Returns whether the loop goes on. */
  onError: (error: unknown) => Promise<boolean>;
  /** Told that an item has not come in time, before `onError`. */
  onStall: () => void;
  /** Told of an error after the one that has ended the loop. */
  onLateError: (error: unknown) => void;
  timeout: number;
  concurrency: number;
  clock: Clock;
  logger: Logger | undefined;
}

/** One pass over a stream: pulls items and has them handled, in bounds. */
export class ItemLoop<T> {
  readonly #options: ItemLoopOptions<T>;
  /** Aborts when the loop is stopped, or with the error that ends it. */
  readonly #scope: CancelScope;
  readonly #slot: Latch = new Latch();
  readonly #items: TimeoutIterator<T>;
  #closing: Promise<unknown> | undefined = undefined;
  #busy = 0;
  #failure: { isStall: boolean } | undefined = undefined;

  constructor(
    source: ItemSource<T>,
    scope: CancelScope,
    options: ItemLoopOptions<T>,
  ) {
    const { timeout, clock, logger } = options;
    this.#options = options;
    this.#scope = scope;
    this.#items = new TimeoutIterator(source, {
      timeout,
      clock,
      logger,
      // Until the handler has decided, which may take its time.
      onTimeout: () => {
        const message = `No item within ${timeout} ms`;
        options.onStall();
        this.#judge(new DOMException(message, "TimeoutError"), true);
        return "continue";
      },
      // Whoever stops the loop has a grace of his own.
      grace: Infinity,
    });
  }

  /** Runs to the end of the stream, a stop or an error. */
  async run(): Promise<void> {
    // Not left to the iterator, which would not tell how the closing went.
    const forget = onAbort(this.#scope.signal, () => this.#close());
    try {
      await this.#pull();
      await this.#finish();
    } finally {
      forget();
    }
    if (this.#scope.aborted) throw this.#scope.reason;
  }

  #close(): Promise<unknown> {
    if (this.#closing === undefined) {
      this.#closing = this.#items.return();
      // Looked at later.
      this.#closing.catch(() => {});
    }
    return this.#closing;
  }

  async #pull(): Promise<void> {
    const { signal } = this.#scope;
    try {
      for (;;) {
        while (this.#busy >= this.#options.concurrency) {
          await this.#slot.wait({ signal });
        }
        const result = await this.#items.next();
        if (result.done) return;
        this.#handle(result.value);
      }
    } catch (error) {
      // An error of the loop's own has been judged before it ended the scope.
      if (this.#scope.aborted) return;
      await this.#options.onError(error);
      this.#fail(error, false);
    }
  }

  #fail(error: unknown, isStall: boolean): void {
    if (this.#scope.aborted) {
      this.#options.onLateError(error);
      return;
    }
    this.#failure = { isStall };
    this.#scope.abort(error);
  }

  /** Waits for the handlers, then for the source, which may hang. */
  async #finish(): Promise<void> {
    while (this.#busy > 0) await this.#slot.wait();
    const closing = this.#close();
    if (this.#failure === undefined) {
      await closing;
    } else if (this.#failure.isStall) {
      closing.catch(this.#options.onLateError);
    } else {
      const { clock } = this.#options;
      await timeout(closing, DEFAULT_GRACE, { clock })
        .catch(this.#options.onLateError);
    }
  }

  async #handle(item: T): Promise<void> {
    this.#busy++;
    try {
      await this.#options.onItem(item, this.#scope.signal);
    } catch (error) {
      if (!isCancellation(error, this.#scope.signal)) {
        await this.#judge(error, false);
      }
    } finally {
      this.#busy--;
      this.#slot.pulse();
    }
  }

  /** Ends the loop with an error, unless its owner wants to go on. */
  async #judge(error: unknown, isStall: boolean): Promise<void> {
    if (await this.#options.onError(error)) return;
    this.#fail(error, isStall);
  }
}
