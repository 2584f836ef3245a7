// Copyright 2026 the Longrun authors. MIT license.

import {
  checkBoolean,
  checkFiniteCount,
  checkName,
  checkNames,
  checkOptions,
  checkType,
} from "./_arguments.ts";
import type { ScriptGrants, ScriptPolicy } from "./script_policy.ts";

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
    checkFiniteCount(action, "memory", grants.memory, 1);
  }
}

/** Checks which scripts may be executed. */
export function checkPolicy(policy: ScriptPolicy): void {
  const action = "apply policy";
  checkOptions(action, policy);
  for (const { path, grants } of policy.roots ?? []) {
    checkName(action, "path", path);
    checkType(isAbsolute(path), action, "path", "an absolute path", path);
    checkGrants(action, grants);
  }
  for (const { url, grants } of policy.repositories ?? []) {
    checkName(action, "url", url);
    checkGrants(action, grants);
  }
}

/** Whether a path begins at the root of a disk. */
export function isAbsolute(path: string): boolean {
  return path.startsWith("/") || /^[a-zA-Z]:[\\/]/.test(path);
}
