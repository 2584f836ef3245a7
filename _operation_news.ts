// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { show } from "./_lrc_errors.ts";
import type { OperationStatus, OperationUpdate } from "./_operation_options.ts";
import type { Reading } from "./_operation_reading.ts";
import type { OperationResponse } from "./_operation_request.ts";
import { Subscription } from "./_subscription.ts";
import type { Clock } from "./clock.ts";

/** How many updates are kept for an iterator. */
const MOST_UPDATES = 1000;

/** What is known of an operation, and all who want to be told of it. */
export class OperationNews {
  readonly #clock: Clock;
  readonly #onNews: () => void;
  readonly #iterators: Set<Subscription<OperationUpdate>> = new Set();
  #status: OperationStatus = "running";
  #stage: string | undefined = undefined;
  #progress: number | undefined = undefined;
  #response: OperationResponse | undefined = undefined;
  #update: OperationUpdate | undefined = undefined;
  /** What was told last, to notice what is new. */
  #told = "";

  constructor(clock: Clock, onNews: () => void) {
    this.#clock = clock;
    this.#onNews = onNews;
  }

  get status(): OperationStatus {
    return this.#status;
  }

  get stage(): string | undefined {
    return this.#stage;
  }

  get progress(): number | undefined {
    return this.#progress;
  }

  /** The answer that was heeded last. */
  get response(): OperationResponse | undefined {
    return this.#response;
  }

  get ended(): boolean {
    return this.#status !== "running";
  }

  /** What was seen last, in words; empty if nothing was. */
  get seen(): string {
    return [
      ...(this.#stage === undefined ? [] : [this.#stage]),
      ...(this.#progress === undefined ? [] : [`progress ${this.#progress}`]),
    ].join(", ");
  }

  /** Takes note of what an answer says. */
  heed(reading: Reading, answer: OperationResponse): void {
    this.#response = answer;
    if (reading.kind === "unreadable") return;
    this.#stage = reading.stage ?? this.#stage;
    this.#progress = reading.progress ?? this.#progress;
    // The end is told when it is certain, with the result.
    if (reading.kind === "running") this.tell(undefined);
  }

  /** Takes note of the answer that has the result. */
  heedResult(answer: OperationResponse): void {
    this.#response = answer;
  }

  /** Tells what is new, if only that something went wrong. */
  tell(error: unknown): void {
    const status = this.#status;
    const stage = this.#stage;
    const progress = this.#progress;
    const body = this.#response?.body;
    if (error === undefined) {
      // Bytes as a text would be many times as large as they are.
      const content = body instanceof Uint8Array ? body.byteLength : body;
      const told = show([status, stage, progress, content]);
      const isNew = told !== this.#told;
      // That asking works again is told, too, but is no news of the operation.
      if (!isNew && this.#update?.error === undefined) return;
      this.#told = told;
      if (isNew) this.#onNews();
    }
    const time = this.#clock.now();
    const update = { status, stage, progress, body, error, time };
    this.#update = update;
    for (const iterator of this.#iterators) iterator.push(update);
  }

  /** Tells the end, after which there is nothing more to tell. */
  end(status: OperationStatus, error: unknown): void {
    this.#status = status;
    this.tell(error);
    for (const iterator of this.#iterators) iterator.end();
  }

  /** What is known, and then what is new, to the end. */
  subscribe(): AsyncIterableIterator<OperationUpdate, undefined> {
    const iterators = this.#iterators;
    const iterator: Subscription<OperationUpdate> = new Subscription({
      capacity: MOST_UPDATES,
      onClose: () => iterators.delete(iterator),
    });
    if (this.#update !== undefined) iterator.push(this.#update);
    if (this.ended) iterator.end();
    else iterators.add(iterator);
    return iterator;
  }
}
