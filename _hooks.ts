// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { followPromise, isPromiseLike } from "./_promise_fanout.ts";

/**
 * Calls a hook of the user's. What it throws, or what a promise it returns
 * rejects with, goes to `onFailure` and nowhere else.
 */
export function callHook(
  hook: () => unknown,
  onFailure: (error: unknown) => void,
): void {
  try {
    const result = hook();
    if (isPromiseLike(result)) followPromise(result, () => {}, onFailure);
  } catch (error) {
    onFailure(error);
  }
}
