// Copyright 2026 the Longrun authors. MIT license.

import { isAbsolute, join } from "node:path";

/** Where the user's programs keep what can be made again. */
function cacheHome(): string | undefined {
  const own = Deno.env.get("XDG_CACHE_HOME");
  if (own !== undefined && isAbsolute(own)) return own;
  const local = Deno.env.get("LOCALAPPDATA");
  if (local !== undefined && local !== "") return local;
  const home = Deno.env.get("HOME");
  if (home !== undefined && home !== "") return join(home, ".cache");
  return undefined;
}

/**
 * The folder of this name among what can be made again. No folder that all
 * users share: another one could be there first.
 */
export function cacheDirectory(action: string, name: string): string {
  const home = cacheHome();
  if (home === undefined) {
    throw new TypeError(
      `Cannot ${action} without 'directory' as this user has no home folder`,
    );
  }
  return join(home, "longrun", name);
}

/** The variables of this process, of these names, that are set. */
export function pickEnv(names: readonly string[]): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of names) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  return env;
}
