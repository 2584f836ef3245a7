// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

let births: object[] | undefined;

/** Notes that a topic has been created. */
export function noteBirth(topic: object): void {
  births?.push(topic);
}

/** Makes something, and tells which topics were created for it. */
export function withBirths<T>(make: () => T): [made: T, born: object[]] {
  const outer = births;
  const born: object[] = births = [];
  try {
    return [make(), born];
  } finally {
    births = outer;
  }
}
