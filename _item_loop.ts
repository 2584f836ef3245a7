// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Latch } from "./_latch.ts";
import { DEFAULT_GRACE } from "./_run.ts";
import {
  type CancelScope,
  isCancellation,
  onAbort,
  sleep,
  timeout,
} from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import { type ItemSource, TimeoutIterator } from "./timeout_iterator.ts";

/** What an {@linkcode ItemLoop} needs to know of its owner. */
export interface ItemLoopOptions<T> {
  /** Handles an item. */
  onItem: (item: T, signal: AbortSignal) => unknown;
  /** Told of every error, once. Returns whether the loop goes on. */
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

/** Where an error comes from: what can go on after it, and who may hang. */
type Origin = "item" | "stall" | "source";

/** After how many items the loop looks whether others need a turn. */
const ITEMS_BETWEEN_LOOKS = 256;

/** For how long the loop may keep the event loop to itself, in milliseconds. */
const LONGEST_TURN = 50;

/** One pass over a stream: pulls items and has them handled, in bounds. */
export class ItemLoop<T> {
  readonly #options: ItemLoopOptions<T>;
  /** Aborts when the loop is stopped, or when an error ends it. */
  readonly #scope: CancelScope;
  readonly #slot: Latch = new Latch();
  readonly #items: TimeoutIterator<T>;
  #closing: Promise<unknown> | undefined = undefined;
  #busy = 0;
  #isJudgingStall = false;
  #failure: { error: unknown; origin: Origin } | undefined = undefined;

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
      onTimeout: () => {
        this.#stall();
        // Until the handler has decided, which may take its time.
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
    if (this.#failure !== undefined) throw this.#failure.error;
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
    const { clock, concurrency } = this.#options;
    const { signal } = this.#scope;
    let lookedAt = clock.now();
    try {
      for (let count = 1;; count++) {
        while (this.#busy >= concurrency) await this.#slot.wait({ signal });
        const result = await this.#items.next();
        if (result.done) return;
        this.#handle(result.value);
        if (count % ITEMS_BETWEEN_LOOKS !== 0) continue;
        // A source that always has an item ready would keep everybody else
        // from running, and so from stopping it.
        const now = clock.now();
        if (now - lookedAt < LONGEST_TURN) continue;
        await sleep(0, { signal, clock });
        lookedAt = now;
      }
    } catch (error) {
      if (!isCancellation(error, signal)) await this.#judge(error, "source");
    }
  }

  /** Waits for the handlers, then for the source, which may hang. */
  async #finish(): Promise<void> {
    while (this.#busy > 0) await this.#slot.wait();
    const closing = this.#close();
    try {
      if (this.#failure === undefined) {
        await closing;
      } else if (this.#failure.origin !== "stall") {
        const { clock } = this.#options;
        await timeout(closing, DEFAULT_GRACE, { clock });
      } else {
        closing.catch(this.#options.onLateError);
      }
    } catch (error) {
      if (!isCancellation(error, this.#scope.signal)) {
        await this.#judge(error, "source");
      }
    }
  }

  async #handle(item: T): Promise<void> {
    this.#busy++;
    const { signal } = this.#scope;
    try {
      await this.#options.onItem(item, signal);
    } catch (error) {
      if (!isCancellation(error, signal)) await this.#judge(error, "item");
    } finally {
      this.#busy--;
      this.#slot.pulse();
    }
  }

  async #stall(): Promise<void> {
    this.#options.onStall();
    if (this.#isJudgingStall) return;
    this.#isJudgingStall = true;
    const message = `No item within ${this.#options.timeout} ms`;
    await this.#judge(new DOMException(message, "TimeoutError"), "stall");
    this.#isJudgingStall = false;
  }

  /** Ends the loop with an error, unless its owner wants to go on and can. */
  async #judge(error: unknown, origin: Origin): Promise<void> {
    const canGoOn = origin !== "source" && !this.#scope.aborted;
    if (await this.#options.onError(error) && canGoOn) return;
    if (this.#failure !== undefined) {
      this.#options.onLateError(error);
      return;
    }
    // A stop that came while the owner thought about a stall has ended it.
    if (origin === "stall" && this.#scope.aborted) return;
    this.#failure = { error, origin };
    this.#scope.abort(error);
  }
}
