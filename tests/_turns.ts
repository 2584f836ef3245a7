// Copyright 2026 the Longrun authors. MIT license.

/** Lets promises settle: more turns of the microtask queue than any test needs. */
export async function turns(count = 100): Promise<void> {
  for (let turn = 0; turn < count; turn++) await undefined;
}
