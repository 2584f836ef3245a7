// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Wait, type WaitLimits } from "./_wait.ts";

class Sleep extends Wait<void> {
  override expire(): void {
    this.resolve();
  }
}

/** Waits until the time of the limits is over, at most until they abort. */
export function sleepWithin(limits: WaitLimits): Promise<void> {
  return new Promise((resolve, reject) => {
    new Sleep(resolve, reject, limits);
  });
}
