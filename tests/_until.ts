// Copyright 2026 the Longrun authors. MIT license.

import { assert } from "@std/assert";

/** Longer than anything takes on the slowest machine. */
export const AGES = 20_000;

// Whoever fakes time waits in the genuine time of the platform.
const { setTimeout } = globalThis;

/**
 * Waits until something holds, but not for ever.
 *
 * @param what What is waited for, for the error when it does not come.
 */
export async function until(
  holds: () => boolean,
  what: string = "what was waited for",
): Promise<void> {
  const end = performance.now() + AGES;
  while (!holds()) {
    assert(performance.now() < end, `It has not come: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
