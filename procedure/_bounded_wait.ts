// Copyright 2026 the Longrun authors. MIT license.

import { timeout } from "@longrun/tasks/cancellation";
import { type Clock, systemClock } from "@longrun/tasks/clock";

/**
 * Waits for something of the system, but not for ever.
 *
 * @returns A promise of whether it came in time.
 */
export async function within(
  ms: number,
  event: Promise<unknown>,
  clock: Clock = systemClock,
): Promise<boolean> {
  const none = Symbol();
  const late = (error: unknown): typeof none => {
    if (error instanceof DOMException && error.name === "TimeoutError") {
      return none;
    }
    throw error;
  };
  return await timeout(event, ms, { clock }).catch(late) !== none;
}
