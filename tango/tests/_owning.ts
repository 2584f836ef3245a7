// Copyright 2026 the Longrun authors. MIT license.

import { test } from "@std/testing/bdd";

/** Takes a resource to dispose of it later; gives it back. */
export type Own = <T extends AsyncDisposable>(resource: T) => T;

/**
 * Runs a function and disposes of what it has taken, the last first, as
 * `await using` would, which Node 22 does not know.
 */
export async function owning<T>(run: (own: Own) => Promise<T>): Promise<T> {
  const resources: AsyncDisposable[] = [];
  try {
    return await run((resource) => {
      resources.push(resource);
      return resource;
    });
  } finally {
    for (const resource of resources.toReversed()) {
      await resource[Symbol.asyncDispose]();
    }
  }
}

/** Registers a test that owns what it takes. */
export function owningTest(
  name: string,
  body: (own: Own) => Promise<void>,
): void {
  test(name, () => owning(body));
}
