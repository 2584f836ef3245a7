// Copyright 2026 the Longrun authors. MIT license.

import {
  checkBoolean,
  checkNames,
  checkOptions,
  checkPositive,
} from "./_arguments.ts";
import type { ScriptGrants } from "./script_policy.ts";

/** Checks what a script may do. */
export function checkGrants(
  action: string,
  grants: ScriptGrants | undefined,
): void {
  if (grants === undefined) return;
  checkOptions(action, grants);
  for (const name of ["read", "write", "env", "run", "sys"] as const) {
    if (grants[name] !== undefined) checkNames(action, name, grants[name]);
  }
  if (grants.net !== undefined && grants.net !== true) {
    checkNames(action, "net", grants.net);
  }
  checkBoolean(action, "import", grants.import);
  if (grants.memory !== undefined) {
    checkPositive(action, "memory", grants.memory);
  }
}

/** Whether a path begins at the root of a disk. */
export function isAbsolute(path: string): boolean {
  return path.startsWith("/") || /^[a-zA-Z]:[\\/]/.test(path);
}
