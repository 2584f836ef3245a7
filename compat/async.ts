// Copyright 2026 the Longrun authors. MIT license.

/**
 * The part of `@std/async` that the tests use.
 *
 * @module
 */

/** Options of {@linkcode delay} and {@linkcode deadline}. */
export interface AbortOptions {
  signal?: AbortSignal;
}

export function delay(ms: number, options: AbortOptions = {}): Promise<void> {
  const { signal } = options;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (signal?.aborted) {
    reject(signal.reason);
    return promise;
  }
  const timer = setTimeout(() => {
    signal?.removeEventListener("abort", abort);
    resolve();
  }, ms);
  function abort(): void {
    clearTimeout(timer);
    reject(signal?.reason);
  }
  signal?.addEventListener("abort", abort, { once: true });
  return promise;
}

export async function deadline<T>(
  promise: Promise<T>,
  ms: number,
  options: AbortOptions = {},
): Promise<T> {
  const late = new AbortController();
  // Not `AbortSignal.timeout`: it would not keep Node alive.
  const timer = setTimeout(() => {
    late.abort(new DOMException("Signal timed out.", "TimeoutError"));
  }, ms);
  const signal = options.signal === undefined
    ? late.signal
    : AbortSignal.any([late.signal, options.signal]);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([aborted, promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
