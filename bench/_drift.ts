// Copyright 2026 the Longrun authors. MIT license.

/**
 * How far something periodic leaves its grid.
 *
 * @module
 */

/** So many rounds stand together for where the grid is. */
const TOGETHER = 10;

/** Where rounds are between two points of the grid: the mean on a circle. */
function phaseOf(times: readonly number[], period: number): number {
  let [x, y] = [0, 0];
  for (const time of times) {
    const angle = time / period * 2 * Math.PI;
    x += Math.cos(angle);
    y += Math.sin(angle);
  }
  return Math.atan2(y, x) / (2 * Math.PI);
}

/**
 * By how many milliseconds rounds have left their grid from the first to the
 * last. A round that is late by itself is no drift, and neither are rounds that
 * were left out: so it is not enough to look at the last one, nor to add up what
 * each interval is beside a number of periods, for a late round in the middle
 * between two points would count for the wrong one.
 */
export function driftOf(times: readonly number[], period: number): number {
  let drift = 0;
  let before: number | undefined;
  for (let at = 0; at + TOGETHER <= times.length; at += TOGETHER) {
    const phase = phaseOf(times.slice(at, at + TOGETHER), period);
    if (before !== undefined) {
      const turned = phase - before;
      drift += turned - Math.round(turned);
    }
    before = phase;
  }
  return drift * period;
}
