// Copyright 2026 the Longrun authors. MIT license.

import {
  FileSystemScriptLoader,
  GitScriptLoader,
  type GitScriptLoaderOptions,
} from "../script_loader.ts";
import type { ScriptPolicy } from "../script_policy.ts";
import type { ScriptLoaders } from "../script_worker_pool.ts";

/** What brings the scripts of a pool. */
export type Sources = Partial<Omit<GitScriptLoaderOptions, "policy">>;

/** The loaders of what a policy allows. */
export function loadersOf(
  policy: ScriptPolicy,
  { git, environments }: Sources = {},
): ScriptLoaders {
  return {
    filesystem: new FileSystemScriptLoader(policy),
    ...(git && { git: new GitScriptLoader({ policy, git, environments }) }),
  };
}
