// Copyright 2026 the Longrun authors. MIT license.

import {
  type ExecutableScript,
  fileSystemScript,
  gitScript,
} from "./script.ts";

/** A script, as it travels. */
export type ScriptJson =
  | { script_type: "filesystem"; script_uri: string }
  | {
    script_type: "git";
    script_uri: string;
    git_args: {
      git_repo: string;
      git_branch?: string | null;
      git_commit?: string | null;
    };
    create_env?: boolean | null;
  };

/**
 * A script as it travels.
 *
 * @param none What stands where no branch or commit is named: answers say
 * `null`, requests say nothing.
 */
export function encodeScript(
  script: ExecutableScript,
  none: null | undefined,
): ScriptJson {
  if (script.type === "filesystem") {
    return { script_type: "filesystem", script_uri: script.uri };
  }
  if (script.type !== "git") return encodeOther(script);
  const { repo, branch = none, commit = none } = script.git;
  return {
    script_type: "git",
    script_uri: script.uri,
    git_args: { git_repo: repo, git_branch: branch, git_commit: commit },
    create_env: script.createEnv,
  };
}

/** One of a kind that only its loader knows. */
function encodeOther({ type, uri }: { type: string; uri: string }): ScriptJson {
  return { script_type: type as "filesystem", script_uri: uri };
}

/** The script that has travelled, checked already. */
export function decodeScript(json: ScriptJson): ExecutableScript {
  if (json.script_type === "filesystem") {
    return fileSystemScript(json.script_uri);
  }
  const { git_repo, git_branch, git_commit } = json.git_args;
  return gitScript(json.script_uri, {
    repo: git_repo,
    branch: git_branch ?? undefined,
    commit: git_commit ?? undefined,
    createEnv: json.create_env ?? false,
  });
}
