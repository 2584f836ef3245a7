// Copyright 2026 the Longrun authors. MIT license.

/**
 * Lists that keep their size: the first item and the latest ones.
 *
 * @module
 */

/** How many states a summary keeps. */
export const STATES_KEPT = 200;

/** What is kept of a list, and how many items after the first are not. */
export interface FirstAndLatest<T> {
  readonly items: readonly T[];
  readonly dropped: number;
}

/** A list with one item more. */
export function append<T>(
  items: readonly T[],
  item: T,
  limit: number,
  dropped: number = 0,
): FirstAndLatest<T> {
  const excess = Math.max(0, items.length + 1 - limit);
  return {
    items: [...items.slice(0, 1), ...items.slice(1 + excess), item],
    dropped: dropped + excess,
  };
}
