// Copyright 2026 the Longrun authors. MIT license.

import type { Clock } from "../clock.ts";

/** Lets promises settle: more turns of the microtask queue than any test needs. */
export async function turns(count = 100): Promise<void> {
  for (let turn = 0; turn < count; turn++) await undefined;
}

/** A clock whose timers do something first, and come so many turns later. */
export function turnsLater(
  clock: Clock,
  first: () => void,
  count: number,
): Clock {
  return {
    now: () => clock.now(),
    setTimer: (callback, delay) =>
      clock.setTimer(async () => {
        first();
        for (let turn = 0; turn < count; turn++) await undefined;
        callback();
      }, delay),
  };
}
