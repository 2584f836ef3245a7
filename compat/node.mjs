// Copyright 2026 the Longrun authors. MIT license.

/**
 * Lets Node resolve the names that Deno reads from deno.json:
 * `node --import ./compat/node.mjs`. Names of npm packages are left to Node.
 */

import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";

const map = new URL("./import_map.json", import.meta.url);
const { imports } = JSON.parse(readFileSync(map, "utf8"));

registerHooks({
  resolve(specifier, context, nextResolve) {
    const target = Object.hasOwn(imports, specifier) ? imports[specifier] : "";
    return nextResolve(
      target.startsWith(".") ? new URL(target, map).href : specifier,
      context,
    );
  },
});
