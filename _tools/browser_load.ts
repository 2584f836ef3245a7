// Copyright 2026 the Longrun authors. MIT license.

/**
 * Loads every entry point where the globals of Deno and Node are missing and
 * timers are numbers, as in a browser.
 *
 * @module
 */

import { configuration } from "./files.ts";

const { exports } = configuration();

const { setTimeout } = globalThis;
Object.assign(globalThis, {
  setTimeout: (...args: Parameters<typeof setTimeout>) =>
    Number(setTimeout(...args)),
});
for (
  const name of [
    "Buffer",
    "Deno",
    "clearImmediate",
    "global",
    "process",
    "setImmediate",
  ]
) {
  if (!Reflect.deleteProperty(globalThis, name)) {
    throw new Error(`${name} cannot be taken away`);
  }
}

for (const path of Object.values(exports)) {
  const names = Object.keys(await import(`.${path}`));
  console.log(`${path}: ${names.join(", ")}`);
}
