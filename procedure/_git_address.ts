// Copyright 2026 the Longrun authors. MIT license.

import { createHash } from "node:crypto";
import { checkType } from "./_arguments.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { GitArgs } from "./script.ts";

/** A way in which git reaches repositories. */
export type GitProtocol = "https" | "ssh" | "http" | "git" | "file";

/** All that {@linkcode GitProtocol} may be. */
export const GIT_PROTOCOLS: readonly GitProtocol[] = [
  "https",
  "ssh",
  "http",
  "git",
  "file",
];

// Control characters, spaces and backslashes, in addresses and in paths.
// deno-lint-ignore no-control-regex
const UNPRINTABLE = /[\u0000-\u0020\u007f-\u009f\u2028\u2029\\]/;
// deno-lint-ignore no-control-regex
const NOT_IN_BRANCHES = /[\u0000-\u0020\u007f-\u009f\u2028\u2029~^:?*[\\]/;
const HASH = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/i;
const SSH_PLACE = /^([A-Za-z0-9_][\w.-]*)@([A-Za-z0-9][A-Za-z0-9.-]*):(.+)$/;
const LONGEST = 2048;

function refuse(what: string, why: string): never {
  throw new ProcedureError(
    "script-refused",
    `The ${what} of the script is refused: ${why}`,
  );
}

/** Whether a path goes up, or would when somebody decodes it. */
function goesUp(path: string): boolean {
  return path.split("/").some((part) => /^(?:\.|%2e){1,2}$/i.test(part));
}

/** What an address names, in parts. */
export interface RepositoryAddress {
  readonly protocol: GitProtocol;
  /** The path, without the slashes around it and without `.git`. */
  readonly path: string;
}

function readAddress(repo: string): RepositoryAddress {
  if (repo.length > LONGEST) refuse("repository", "its address is too long");
  if (UNPRINTABLE.test(repo)) {
    refuse("repository", "its address has spaces or control characters");
  }
  const place = SSH_PLACE.exec(repo);
  if (place !== null && !repo.includes("://")) {
    return { protocol: "ssh", path: trimPath(place[3] ?? "") };
  }
  const match = /^([a-z]+):\/\/([^/]*)\/(.+)$/.exec(repo);
  const protocol = GIT_PROTOCOLS.find((known) => known === match?.[1]);
  if (match === null || protocol === undefined) {
    refuse(
      "repository",
      "its address is none of https://, ssh://, http://, git:// or file://",
    );
  }
  const authority = match[2] ?? "";
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  if (protocol === "file") {
    if (authority !== "") refuse("repository", "a file is on no other host");
  } else if (!/^[A-Za-z0-9[]/.test(host) || /^[-%]/.test(authority)) {
    refuse("repository", "its address has no host");
  }
  return { protocol, path: trimPath(match[3] ?? "") };
}

function trimPath(path: string): string {
  const trimmed = path.replace(/^\/+|\/+$/g, "").replace(/\.git$/, "");
  if (trimmed === "" || path.startsWith("-")) {
    refuse("repository", "its address has no path");
  }
  if (goesUp(trimmed)) refuse("repository", "its path has '.' or '..' in it");
  return trimmed;
}

/** The parts of the address of a repository. */
export function repositoryAddress(
  action: string,
  repo: unknown,
): RepositoryAddress {
  checkType(typeof repo === "string", action, "repo", "a string", repo);
  return readAddress(repo as string);
}

/** Whether git takes a name for one of a branch, and for nothing else. */
function isBranch(branch: string): boolean {
  return branch !== "" && branch.length <= 255 &&
    !branch.startsWith("-") && !branch.endsWith(".") &&
    !NOT_IN_BRANCHES.test(branch) && !branch.includes("..") &&
    !branch.includes("@{") && branch !== "@" &&
    branch.split("/").every((part) =>
      part !== "" && !part.startsWith(".") && !part.endsWith(".lock")
    );
}

/** What may be asked of git, checked. */
export interface CheckedGitArgs {
  readonly repo: string;
  readonly address: RepositoryAddress;
  readonly branch: string | undefined;
  /** In small letters. */
  readonly commit: string | undefined;
}

/** Checks that there is something that says which commit. */
export function checkIsGit(action: string, git: unknown): void {
  checkType(
    typeof git === "object" && git !== null,
    action,
    "git",
    "an object",
    git,
  );
}

/** Refuses whatever git could take for something else than what it is. */
export function checkGitArgs(
  action: string,
  git: GitArgs,
  protocols: readonly GitProtocol[],
): CheckedGitArgs {
  checkIsGit(action, git);
  const { repo, branch, commit } = git;
  const address = repositoryAddress(action, repo);
  for (const [name, value] of [["branch", branch], ["commit", commit]]) {
    checkType(
      value === undefined || typeof value === "string",
      action,
      `git.${name}`,
      "a string",
      value,
    );
  }
  if (!protocols.includes(address.protocol)) {
    refuse("repository", `${address.protocol}:// is not allowed`);
  }
  if (branch !== undefined && !isBranch(branch)) {
    refuse("branch", "git knows no branches with such names");
  }
  if (commit !== undefined && !HASH.test(commit)) {
    refuse("commit", "it is not a full hash of 40 or 64 hexadecimal digits");
  }
  return { repo, address, branch, commit: commit?.toLowerCase() };
}

/** The name under which a commit of a repository is kept. */
export function keyOf(repo: string, project: string, commit: string): string {
  const name = project.replaceAll(/[^\w-]/g, "_").slice(-60);
  // The same commit of another repository has to be asked for there.
  const place = createHash("sha256").update(repo).digest("hex").slice(0, 16);
  return `${name}-${place}-${commit}`;
}

/** The commit of a key. */
export function commitOf(key: string): string {
  return key.slice(key.lastIndexOf("-") + 1);
}

/** The path in a repository that an address of a script names. */
export function pathOfScript(uri: unknown): string {
  const prefix = "git://";
  checkType(
    typeof uri === "string" && uri.startsWith(prefix) &&
      uri.length > prefix.length,
    "find script",
    "uri",
    `an address that begins with '${prefix}'`,
    uri,
  );
  const path = (uri as string).slice(prefix.length).replace(/^\/+/, "");
  // deno-lint-ignore no-control-regex
  if (path === "" || /[\u0000-\u001f\u007f-\u009f\\]/.test(path)) {
    refuse("path", "it is empty or has control characters");
  }
  if (path.split("/").some((part) => part === "..")) {
    refuse("path", "it has '..' in it");
  }
  return path;
}

/** A text of git for a message: no control characters, no passwords. */
export function presentable(text: string): string {
  return text
    .replaceAll(/(\w+:\/\/)[^\s/]+@/g, "$1***@")
    // deno-lint-ignore no-control-regex
    .replaceAll(/\u001b\[[\d;]*[A-Za-z]/g, "")
    // deno-lint-ignore no-control-regex
    .replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, " ")
    .split("\n").map((line) => line.trim()).filter((line) => line !== "")
    .slice(-8).join("; ").slice(-1000);
}
