// Copyright 2026 the Longrun authors. MIT license.

/**
 * Which scripts may be executed, and what they may do. Nothing is allowed that
 * is not named.
 *
 * @module
 */

import { checkName } from "./_arguments.ts";
import { checkPolicy } from "./_script_grants.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { FileSystemScript } from "./script.ts";

/**
 * What a script may do beside computing: the permissions of Deno. A script
 * without grants can read, write and connect to nothing.
 */
export interface ScriptGrants {
  /** Files and folders it may read. */
  readonly read?: readonly string[];
  /** Files and folders it may write. */
  readonly write?: readonly string[];
  /** Hosts it may connect to; `true` for all. */
  readonly net?: readonly string[] | true;
  /** Variables of the environment it may see. */
  readonly env?: readonly string[];
  /**
   * Programs it may run. These can do whatever the service can: a script that
   * may run any is as good as unlimited.
   */
  readonly run?: readonly string[];
  /** What it may know of the machine, by the names that Deno has for it. */
  readonly sys?: readonly string[];
  /**
   * Whether modules may be fetched while it runs. That is a way out for data.
   *
   * @default {false}
   */
  readonly import?: boolean;
  /** The heap it may have, in megabytes. */
  readonly memory?: number;
}

/** A folder whose scripts may be executed. */
export interface ScriptRoot {
  /**
   * Its absolute path. Whoever may write in it decides what its scripts do, and
   * by links to other folders what they import.
   */
  readonly path: string;
  /** What its scripts may do. */
  readonly grants?: ScriptGrants;
}

/** A repository, or several, whose scripts may be executed. */
export interface ScriptRepository {
  /** The address; one that ends in `/` or `/*` is the beginning of addresses. */
  readonly url: string;
  /** What its scripts may do. */
  readonly grants?: ScriptGrants;
}

/** Which scripts may be executed. */
export interface ScriptPolicy {
  /** The folders whose scripts may be executed. */
  readonly roots?: readonly ScriptRoot[];
  /** The repositories whose scripts may be executed. */
  readonly repositories?: readonly ScriptRepository[];
}

function refuse(why: string, cause?: unknown): ProcedureError {
  return new ProcedureError(
    "script-refused",
    why,
    cause === undefined ? {} : { cause },
  );
}

/** The path in an address, which has to be written as plainly as can be. */
function readPath(uri: string): string {
  const given = uri.slice("file://".length);
  if (!uri.startsWith("file://") || !given.startsWith("/")) {
    throw refuse(`'${uri}' is no address of a file of this machine`);
  }
  if (/[?#\\]|%(00|2f|5c)/i.test(given)) {
    throw refuse(`'${uri}' has a character that paths here may not have`);
  }
  let path: string;
  try {
    path = decodeURIComponent(given);
  } catch (error) {
    throw refuse(`'${uri}' is not a well-formed address`, error);
  }
  if (
    path.includes("\0") ||
    path.split("/").some((part) => part === ".." || part === ".")
  ) {
    throw refuse(`'${uri}' goes by '.', '..' or a NUL character`);
  }
  return Deno.build.os === "windows"
    ? path.slice(1).replaceAll("/", "\\")
    : path;
}

const SEPARATOR = Deno.build.os === "windows" ? "\\" : "/";

function isUnder(folder: string, path: string): boolean {
  return path.startsWith(
    folder.endsWith(SEPARATOR) ? folder : folder + SEPARATOR,
  );
}

async function realRoot(root: ScriptRoot) {
  try {
    return { root, path: await Deno.realPath(root.path) };
  } catch {
    // A folder that is not there has no scripts.
    return undefined;
  }
}

function toUrl(path: string): string {
  const parts = path.split(SEPARATOR).map(encodeURIComponent).join("/");
  return Deno.build.os === "windows" ? `file:///${parts}` : `file://${parts}`;
}

/** A script in a file that may be executed. */
export interface AllowedScript {
  /** The real path of the file: no part of it is a link. */
  readonly path: string;
  /** Its address. */
  readonly url: string;
  /** The real path of the folder that allows it. */
  readonly root: string;
  /** What it may do. */
  readonly grants: ScriptGrants;
}

/**
 * Looks whether a script in a file may be executed.
 *
 * Links are followed first, in the path and in the roots, and what counts is
 * where they lead. The answer names no link, so nobody can change later where
 * it leads; whoever may write in the folder can change the file itself.
 *
 * @param policy Which scripts may be executed.
 * @param script The script.
 * @returns Where it is, and what it may do. Of several folders it is the
 * innermost that says so.
 * @throws {ProcedureError} `"script-refused"` if it is in none of the folders,
 * whether it exists or not; `"script-not-found"` if it would be.
 *
 * @example Usage
 * ```ts
 * import { fileSystemScript, resolveFileScript } from "@longrun/procedure";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const folder = await Deno.realPath(await Deno.makeTempDir());
 * await Deno.writeTextFile(`${folder}/scan.ts`, "export function main() {}");
 * const policy = { roots: [{ path: folder, grants: { net: ["tm.local"] } }] };
 *
 * const script = fileSystemScript(`file://${folder}/scan.ts`);
 * const { path, grants } = await resolveFileScript(policy, script);
 * assertEquals(path, `${folder}/scan.ts`);
 * assertEquals(grants, { net: ["tm.local"] });
 * await assertRejects(() => resolveFileScript({}, script));
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function resolveFileScript(
  policy: ScriptPolicy,
  script: FileSystemScript,
): Promise<AllowedScript> {
  checkPolicy(policy);
  const { uri } = script;
  const given = readPath(uri);
  const outside = () => refuse(`'${uri}' is in no folder of the policy`);
  const roots = (await Promise.all((policy.roots ?? []).map(realRoot)))
    .filter((root) => root !== undefined)
    .sort((one, other) => other.path.length - one.path.length);
  let path: string;
  try {
    path = await Deno.realPath(given);
  } catch (error) {
    // Whether there is a file elsewhere is nobody's business.
    const isInside = roots.some(({ root, path }) =>
      isUnder(path, given) || isUnder(root.path, given)
    );
    if (!isInside) throw outside();
    throw new ProcedureError(
      "script-not-found",
      `There is no script '${uri}'`,
      { cause: error },
    );
  }
  const found = roots.find((root) => isUnder(root.path, path));
  if (found === undefined) throw outside();
  // Not through a link: the path is a real one.
  const { isFile } = await Deno.lstat(path);
  if (!isFile) throw refuse(`'${uri}' is no file`);
  return Object.freeze({
    path,
    url: toUrl(path),
    root: found.path,
    grants: found.root.grants ?? {},
  });
}

function matches(allowed: string, repo: string): boolean {
  if (!/\/\*?$/.test(allowed)) return allowed === repo;
  const prefix = allowed.replace(/\*$/, "");
  // What follows must not lead out of what the prefix names.
  const rest = repo.slice(prefix.length);
  return repo.startsWith(prefix) && rest !== "" &&
    !/[?#%\\\s]|\.\.|(^|\/)(\.?\/|\.$)/.test(rest);
}

/**
 * Looks whether scripts of a repository may be executed.
 *
 * @param policy Which scripts may be executed.
 * @param repo The address of the repository. It is compared as it is written.
 * @returns What its scripts may do. An exact address counts before a
 * beginning, and a longer beginning before a shorter one.
 * @throws {ProcedureError} `"script-refused"` if it is not named.
 *
 * @example Usage
 * ```ts
 * import { allowRepository } from "@longrun/procedure";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const policy = {
 *   repositories: [{ url: "https://git.example.org/scripts/*" }],
 * };
 * assertEquals(
 *   allowRepository(policy, "https://git.example.org/scripts/scan.git"),
 *   {},
 * );
 * assertThrows(() => allowRepository(policy, "https://elsewhere.example"));
 * ```
 */
export function allowRepository(
  policy: ScriptPolicy,
  repo: string,
): ScriptGrants {
  checkPolicy(policy);
  checkName("allow repository", "repo", repo);
  const found = (policy.repositories ?? [])
    .filter(({ url }) => matches(url, repo))
    .sort((one, other) => {
      const exact = Number(other.url === repo) - Number(one.url === repo);
      return exact || other.url.length - one.url.length;
    })[0];
  if (found === undefined) {
    throw refuse(`The repository '${repo}' is not named by the policy`);
  }
  return found.grants ?? {};
}
