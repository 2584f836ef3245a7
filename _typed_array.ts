// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * A typed array as a list: JSON would make an object of it, with a member for
 * each place. Anything else as it is.
 */
export function listOfTypedArray(value: unknown): unknown {
  return ArrayBuffer.isView(value) && !(value instanceof DataView)
    ? Array.from(value as unknown as ArrayLike<unknown>)
    : value;
}
