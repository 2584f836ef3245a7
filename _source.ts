// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { checkType } from "./_arguments.ts";

/** Whatever items can be pulled from. */
export type ItemSource<T> =
  | AsyncIterable<T>
  | Iterable<T | PromiseLike<T>>
  | AsyncIterator<T>
  | Iterator<T | PromiseLike<T>>
  | ReadableStream<T>;

/** The asynchronous face of any source. */
export interface PulledSource<T> {
  next(): PromiseLike<IteratorResult<T>>;
  return?(): PromiseLike<unknown>;
}

type Method = (...args: unknown[]) => unknown;

function methodOf(value: unknown, key: PropertyKey): Method | undefined {
  if (value === null || value === undefined) return undefined;
  const method = (value as Record<PropertyKey, unknown>)[key];
  return typeof method === "function" ? method as Method : undefined;
}

/** Checks that items can be pulled from a value, without pulling. */
export function checkSource(action: string, name: string, value: unknown) {
  checkType(
    methodOf(value, Symbol.asyncIterator) !== undefined ||
      methodOf(value, Symbol.iterator) !== undefined ||
      methodOf(value, "next") !== undefined ||
      methodOf(value, "getReader") !== undefined,
    action,
    name,
    "an iterable, an iterator or a ReadableStream",
    value,
  );
}

/** Pulls from an iterator that may be synchronous, and may give promises. */
class SyncSource<T> implements PulledSource<T> {
  readonly #iterator: Iterator<T | PromiseLike<T>>;
  #isClosed = false;

  constructor(iterator: Iterator<T | PromiseLike<T>>) {
    this.#iterator = iterator;
  }

  async next(): Promise<IteratorResult<T>> {
    // An iterator of unknown kind may give the promise of a result.
    const result = await this.#iterator.next();
    checkResult(result);
    if (result.done) return result;
    try {
      return { done: false, value: await result.value };
    } catch (error) {
      // As the language does: closes it without waiting, this error wins.
      this.return().catch(() => {});
      throw error;
    }
  }

  async return(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#iterator.return?.();
  }
}

/**
 * Pulls from a stream. Its own iterator is not used: the `return()` of that
 * waits for a read that may never settle, where `cancel()` ends the read.
 */
class StreamSource<T> implements PulledSource<T> {
  readonly #reader: ReadableStreamDefaultReader<T>;

  constructor(stream: ReadableStream<T>) {
    this.#reader = stream.getReader();
  }

  async next(): Promise<IteratorResult<T>> {
    try {
      const { done, value } = await this.#reader.read();
      if (!done) return { done, value };
    } catch (error) {
      this.#reader.releaseLock();
      throw error;
    }
    this.#reader.releaseLock();
    return { done: true, value: undefined };
  }

  async return(): Promise<void> {
    const cancelled = this.#reader.cancel();
    this.#reader.releaseLock();
    await cancelled;
  }
}

/**
 * Pulls from what can be destroyed, such as a `Readable` of `node:stream`: its
 * iterator cannot be closed while it waits for data.
 */
class DestroyableSource<T> implements PulledSource<T> {
  readonly #source: AsyncIterable<T>;
  readonly #iterator: AsyncIterator<T>;
  #isClosed = false;

  constructor(source: AsyncIterable<T>) {
    this.#source = source;
    this.#iterator = source[Symbol.asyncIterator]();
  }

  async next(): Promise<IteratorResult<T>> {
    try {
      return await this.#iterator.next();
    } catch (error) {
      // The echo of its destruction.
      if (this.#isClosed) return { done: true, value: undefined };
      throw error;
    }
  }

  async return(): Promise<void> {
    this.#isClosed = true;
    methodOf(this.#source, "destroy")?.call(this.#source);
    await this.#iterator.return?.();
  }
}

/** Opens a source: from here on somebody must pull it to its end or close it. */
export function openSource<T>(source: ItemSource<T>): PulledSource<T> {
  if (methodOf(source, "getReader") !== undefined) {
    return new StreamSource(source as ReadableStream<T>);
  }
  const asynchronous = methodOf(source, Symbol.asyncIterator);
  if (asynchronous !== undefined) {
    if (methodOf(source, "destroy") !== undefined) {
      return new DestroyableSource(source as AsyncIterable<T>);
    }
    return asynchronous.call(source) as PulledSource<T>;
  }
  const synchronous = methodOf(source, Symbol.iterator);
  return new SyncSource(
    (synchronous?.call(source) ?? source) as Iterator<T | PromiseLike<T>>,
  );
}

/** Checks what a source gave, as the language does. */
export function checkResult(result: unknown): void {
  checkType(
    typeof result === "object" && result !== null,
    "take an item",
    "result",
    "an object",
    result,
  );
}
