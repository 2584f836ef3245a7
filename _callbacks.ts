// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { callHook } from "./_hooks.ts";
import { onAbort } from "./cancellation.ts";

interface Entry<T> {
  readonly callback: (value: T) => unknown;
  /** How many calls there were before it came. */
  readonly since: number;
  forget: (() => void) | undefined;
}

interface Call<T> {
  readonly value: T;
  /** How many calls there were, with this one. */
  readonly count: number;
}

/**
 * Callbacks that are called with values, in the order they came, and that may
 * add, remove and call each other: all of them see the same values in the same
 * order.
 */
export class Callbacks<T> {
  readonly #onFailure: (error: unknown) => void;
  readonly #entries: Set<Entry<T>> = new Set();
  #count = 0;
  /** What is being told, and what comes after it. */
  #calls: Call<T>[] | undefined = undefined;
  #isClosed = false;

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Adds a callback for the calls to come; returns what removes it. */
  add(
    callback: (value: T) => unknown,
    signal: AbortSignal | undefined,
  ): () => void {
    const entry: Entry<T> = { callback, since: this.#count, forget: undefined };
    const leave = (): void => {
      this.#entries.delete(entry);
      entry.forget?.();
    };
    this.#entries.add(entry);
    if (signal !== undefined) entry.forget = onAbort(signal, leave);
    return leave;
  }

  /** Calls all, or will do so when those called now have returned. */
  call(value: T): void {
    if (this.#entries.size === 0) return;
    const call = { value, count: ++this.#count };
    if (this.#calls !== undefined) this.#calls.push(call);
    else this.#work(this.#calls = [call]);
  }

  /** Removes all, after the calls there were. */
  close(): void {
    this.#isClosed = true;
    if (this.#calls === undefined) this.#removeAll();
  }

  #work(calls: Call<T>[]): void {
    try {
      for (const { value, count } of calls) {
        for (const { callback, since } of this.#entries) {
          if (since < count) callHook(() => callback(value), this.#onFailure);
        }
      }
    } finally {
      this.#calls = undefined;
      if (this.#isClosed) this.#removeAll();
    }
  }

  #removeAll(): void {
    for (const { forget } of this.#entries) forget?.();
    this.#entries.clear();
  }
}
