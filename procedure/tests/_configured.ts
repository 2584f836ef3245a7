// Copyright 2026 the Longrun authors. MIT license.

/**
 * The options with which a program finds the packages: those of the tests where
 * JSR is out of reach, too.
 */
export function configured(): string[] {
  const root = new URL("../..", import.meta.url);
  return [
    "--node-modules-dir=none",
    "--no-prompt",
    "--import-map",
    new URL("compat/import_map.json", root).pathname,
  ];
}
