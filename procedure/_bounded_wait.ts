// Copyright 2026 the Longrun authors. MIT license.

import type { Clock } from "@longrun/tasks/clock";

/** Waits for something that never fails, not longer than so many milliseconds. */
export async function waitAtMost(
  ms: number,
  event: Promise<unknown>,
  clock: Clock,
): Promise<void> {
  let cancel = () => {};
  const late = new Promise<void>((resolve) => {
    cancel = clock.setTimer(resolve, ms);
  });
  await Promise.race([event, late]);
  cancel();
}
