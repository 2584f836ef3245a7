// Copyright 2026 the Longrun authors. MIT license.

/**
 * Imports what its arguments name, in a project that has only the package.
 */

for (const name of process.argv.slice(2)) {
  const names = Object.keys(await import(name));
  console.log(`${name}: ${names.join(", ")}`);
}
