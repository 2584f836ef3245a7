// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * What follows a round that took too long: policies are values, and each is a
 * pure function from the grid and the time to the next deadline.
 *
 * The rounds of a period of 100 ms, when the third takes 250 ms (`X` marks
 * the end of it):
 *
 * ```text
 * grid       0    100   200   300   400   500   600   700
 *            |     |     |     |     |     |     |     |
 * Immediate  #     #     #############X #     #     #      the grid moves
 * Skip       #     #     #############X #  #     #     #   at once, then the grid
 * Align      #     #     #############X    #     #     #   waits for the grid
 * Burst      #     #     #############X##  #     #     #   replays every round
 * Terminate  #     #     #############X                    ends
 * ```
 *
 * @module
 */

/**
 * What follows a round that has taken its whole period or more.
 *
 * `Immediate`, `Skip` and `Terminate` are those of `QMI_LoopTask`, as they
 * behave; `Align` is what its documentation says of `SKIP`.
 */
export const MissedLoopPolicy = {
  /** The next round at once; the grid begins anew with it. */
  Immediate: "immediate",
  /** The next round at once; the one after it on the old grid. */
  Skip: "skip",
  /** No further round. */
  Terminate: "terminate",
  /** The next round at the next place of the grid. */
  Align: "align",
  /** Every round that was missed, one at once after the other. */
  Burst: "burst",
} as const;

/** One of the values of {@linkcode MissedLoopPolicy}. */
export type MissedLoopPolicy =
  typeof MissedLoopPolicy[keyof typeof MissedLoopPolicy];

/**
 * A place on a grid: `origin + (index - first) * period`. A grid begins anew
 * by another `origin` and `first`, so that indices only ever grow.
 */
export interface Grid {
  /** When the place `first` is. */
  readonly origin: number;
  /** The index of the first place. */
  readonly first: number;
  /** The distance of the places, in milliseconds. */
  readonly period: number;
}

/** When the next round is due. */
export interface Deadline {
  /** The grid from now on. */
  readonly grid: Grid;
  /** The index of the round. */
  readonly index: number;
  /** When it is due. */
  readonly scheduled: number;
  /** How many rounds are lost before it. */
  readonly missed: number;
  /** Whether the round before has taken its whole period or more. */
  readonly overrun: boolean;
}

/** When a place of a grid is. */
export function placeOf(grid: Grid, index: number): number {
  return grid.origin + (index - grid.first) * grid.period;
}

/** How many whole periods fit in between the place of an index and a time. */
function wholePeriods(grid: Grid, index: number, now: number): number {
  let count = Math.max(
    Math.floor((now - placeOf(grid, index)) / grid.period),
    0,
  );
  // The quotient may be off by one either way.
  if (count > 0 && placeOf(grid, index + count) > now) count--;
  else if (placeOf(grid, index + count + 1) <= now) count++;
  return count;
}

/**
 * The round after `index` when that has ended at `now`.
 *
 * @returns The deadline, or `undefined` when there is no further round.
 */
export function nextDeadline(
  policy: MissedLoopPolicy,
  grid: Grid,
  index: number,
  now: number,
): Deadline | undefined {
  const next = index + 1;
  const due = placeOf(grid, next);
  if (now < due) {
    return { grid, index: next, scheduled: due, missed: 0, overrun: false };
  }
  const lost = wholePeriods(grid, next, now);
  switch (policy) {
    case "immediate":
      return {
        grid: { ...grid, origin: now, first: next },
        index: next,
        scheduled: due,
        missed: lost,
        overrun: true,
      };
    case "skip":
      return {
        grid,
        index: next + lost,
        scheduled: due,
        missed: lost,
        overrun: true,
      };
    case "burst":
      return { grid, index: next, scheduled: due, missed: 0, overrun: true };
    case "align": {
      const isOnGrid = placeOf(grid, next + lost) === now;
      const missed = isOnGrid ? lost : lost + 1;
      return {
        grid,
        index: next + missed,
        scheduled: placeOf(grid, next + missed),
        missed,
        overrun: true,
      };
    }
    case "terminate":
      return undefined;
  }
}
