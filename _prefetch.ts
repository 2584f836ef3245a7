// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { checkResult, type PulledSource } from "./_source.ts";

/** Reads ahead of its consumer, by a bounded number of items. */
export class Prefetch<T> implements PulledSource<T> {
  readonly #source: PulledSource<T>;
  readonly #capacity: number;
  readonly #results: Promise<IteratorResult<T>>[] = [];
  #taker: ((result: Promise<IteratorResult<T>>) => void) | undefined =
    undefined;
  #isPulling = false;
  #isOver = false;

  constructor(source: PulledSource<T>, capacity: number) {
    this.#source = source;
    this.#capacity = capacity;
  }

  next(): Promise<IteratorResult<T>> {
    const result = this.#results.shift();
    if (result !== undefined) {
      this.#pull();
      return result;
    }
    return new Promise((resolve) => {
      this.#taker = resolve;
      this.#pull();
    });
  }

  async return(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#source.return?.();
  }

  async #pull(): Promise<void> {
    if (this.#isPulling) return;
    this.#isPulling = true;
    while (
      !this.#isOver &&
      (this.#taker !== undefined || this.#results.length < this.#capacity)
    ) {
      try {
        const result = await this.#source.next();
        checkResult(result);
        if (result.done) this.#isOver = true;
        this.#give(Promise.resolve(result));
      } catch (error) {
        this.#isOver = true;
        const failure = Promise.reject<IteratorResult<T>>(error);
        // Looked at when it is taken, if it ever is.
        failure.catch(() => {});
        this.#give(failure);
      }
    }
    this.#isPulling = false;
  }

  #give(result: Promise<IteratorResult<T>>): void {
    const taker = this.#taker;
    this.#taker = undefined;
    if (taker === undefined) this.#results.push(result);
    else taker(result);
  }
}
