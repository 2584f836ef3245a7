// Copyright 2026 the Longrun authors. MIT license.

/**
 * What can be executed: a script in a file, or in a git repository.
 *
 * @module
 */

import { checkOptions, checkType } from "./_arguments.ts";

/** Where in a repository a script is. */
export interface GitArgs {
  /** The address of the repository. */
  readonly repo: string;
  /** The branch; without it and a commit, the one that the remote's HEAD is. */
  readonly branch?: string;
  /** The commit, by its full hash. */
  readonly commit?: string;
}

/** A script in a file of the machine that the service runs on. */
export interface FileSystemScript {
  /** What kind of script it is. */
  readonly type: "filesystem";
  /** Its address: `file://` and an absolute path. */
  readonly uri: string;
}

/** A script in a git repository. */
export interface GitScript {
  /** What kind of script it is. */
  readonly type: "git";
  /** `git://` and the path in the repository. */
  readonly uri: string;
  /** Which repository, and what of it. */
  readonly git: GitArgs;
  /** Whether the dependencies that it names are installed first. */
  readonly createEnv: boolean;
}

/**
 * The kinds of scripts, by the names of their types. A program that has loaders
 * for others adds them here, by `declare module`.
 */
export interface ScriptKinds {
  /** In a file. */
  filesystem: FileSystemScript;
  /** In a git repository. */
  git: GitScript;
}

/** A script that can be executed. */
export type ExecutableScript = ScriptKinds[keyof ScriptKinds];

/** Options of {@linkcode gitScript}. */
export interface GitScriptOptions extends GitArgs {
  /**
   * Whether the dependencies that the repository names are installed first.
   *
   * @default {false}
   */
  createEnv?: boolean;
}

function checkPrefix(kind: string, prefix: string, uri: unknown): void {
  checkType(
    typeof uri === "string" && uri.length > prefix.length &&
      uri.startsWith(prefix),
    `create ${kind}`,
    "uri",
    `an address that begins with '${prefix}'`,
    uri,
  );
}

/**
 * A script in a file. `FileSystemScript` of `ska_oso_oet`.
 *
 * @param uri Its address: `file://` and an absolute path.
 * @returns The script.
 * @throws {TypeError} If the address begins with something else.
 *
 * @example Usage
 * ```ts
 * import { fileSystemScript } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(fileSystemScript("file:///scripts/observe.ts"), {
 *   type: "filesystem",
 *   uri: "file:///scripts/observe.ts",
 * });
 * ```
 */
export function fileSystemScript(uri: string): FileSystemScript {
  checkPrefix("FileSystemScript", "file://", uri);
  return Object.freeze({ type: "filesystem", uri });
}

/**
 * A script in a git repository. `GitScript` of `ska_oso_oet`, where a missing
 * branch is called "master": here it is the branch that HEAD of the remote is.
 *
 * @param uri `git://` and the path of the script in the repository.
 * @param options The repository, what of it, and whether to install.
 * @returns The script.
 * @throws {TypeError} If the address begins with something else, or no
 * repository is named.
 *
 * @example Usage
 * ```ts
 * import { gitScript } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * const script = gitScript("git://scripts/observe.ts", {
 *   repo: "https://example.org/scripts.git",
 *   branch: "main",
 * });
 * assertEquals(script.createEnv, false);
 * ```
 */
export function gitScript(uri: string, options: GitScriptOptions): GitScript {
  checkPrefix("GitScript", "git://", uri);
  checkOptions("create GitScript", options);
  const { createEnv = false, repo, branch, commit } = options;
  checkType(
    typeof repo === "string" && repo !== "",
    "create GitScript",
    "repo",
    "the address of a repository",
    repo,
  );
  const git: GitArgs = Object.freeze({
    repo,
    ...(branch === undefined ? {} : { branch }),
    ...(commit === undefined ? {} : { commit }),
  });
  return Object.freeze({ type: "git", uri, git, createEnv });
}
