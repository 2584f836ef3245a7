// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** When a round is due. */
export interface Slot {
  /** The latest place on the grid of periods that it stands for, from 0. */
  readonly index: number;
  /** When it was due. */
  readonly scheduled: number;
  /** How many places after the one it was due for went without a round. */
  readonly missed: number;
}

/**
 * The slot after `index` on a grid that never moves: `start + index * period`.
 *
 * ```text
 * grid    |----|----|----|----|----|
 * rounds  ##   ###########-##  ##
 *              ^ overran  ^ at once, late by two periods and one missed
 * ```
 *
 * A round that ends late is followed at once by the next; the places that have
 * passed meanwhile are missed, not replayed, and the round after that is on
 * the grid again. Places are computed from the start by one multiplication, so
 * no error adds up, and the index always grows, so a timer that fires early
 * cannot double a round.
 */
export function nextOnGrid(
  start: number,
  period: number,
  index: number,
  now: number,
): Slot {
  const next = index + 1;
  let latest = Math.max(next, Math.floor((now - start) / period));
  // The quotient may be off by one place either way.
  if (latest > next && start + latest * period > now) latest--;
  else if (start + (latest + 1) * period <= now) latest++;
  return {
    index: latest,
    scheduled: start + next * period,
    missed: latest - next,
  };
}

/** The slot a whole period after the last round has ended. */
export function nextAfterDelay(
  period: number,
  index: number,
  now: number,
): Slot {
  return { index: index + 1, scheduled: now + period, missed: 0 };
}
