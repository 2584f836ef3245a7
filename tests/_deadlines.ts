// Copyright 2026 the Longrun authors. MIT license.

import { assert } from "@std/assert";
import type { Clock } from "../clock.ts";

/**
 * Sets timers one after the other, and checks that they come in the order of
 * their deadlines. Between two of them time may pass: a deadline is known as
 * well as the moment at which its timer was set.
 */
export async function comeInOrder(
  clock: Clock,
  delays: readonly number[],
): Promise<void> {
  const come: number[] = [];
  let last = -Infinity;
  await Promise.all(delays.map((delay) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const earliest = clock.now() + delay;
    let latest = Infinity;
    let isInOrder = true;
    clock.setTimer(() => {
      come.push(delay);
      isInOrder = latest >= last;
      last = Math.max(last, earliest);
      resolve();
    }, delay);
    latest = clock.now() + delay;
    return promise.then(() => assert(isInOrder, `${come}`));
  }));
}
