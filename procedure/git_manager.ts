// Copyright 2026 the Longrun authors. MIT license.

/**
 * Commits of git repositories as folders.
 *
 * @module
 */

import { CancelScope } from "@longrun/tasks/cancellation";
import type { Logger } from "@longrun/tasks/logger";
import { join } from "node:path";
import {
  checkCommon,
  checkName,
  checkOptions,
  checkPositive,
  checkRecord,
  checkType,
} from "./_arguments.ts";
import { isInside, removeOutwardLinks } from "./_file_tree.ts";
import { FolderCache } from "./_folder_cache.ts";
import {
  folderCacheSettings,
  type KeptFolderOptions,
} from "./_folder_cache_options.ts";
import {
  type CheckedGitArgs,
  checkGitArgs,
  GIT_PROTOCOLS,
  type GitProtocol,
  keyOf,
  pathOfScript,
  presentable,
  repositoryAddress,
} from "./_git_address.ts";
import { GitProgram } from "./_git_program.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { WaitOptions } from "./procedure_service.ts";
import type { GitArgs } from "./script.ts";

export type { KeptFolderOptions } from "./_folder_cache_options.ts";
export type { GitProtocol } from "./_git_address.ts";

/** Options of {@linkcode GitManager}. */
export interface GitManagerOptions extends KeptFolderOptions {
  /**
   * How long each command of git may take, in milliseconds.
   *
   * @default {300_000}
   */
  timeout?: number;
  /**
   * The program.
   *
   * @default {"git"}
   */
  git?: string;
  /**
   * How repositories may be reached. With `"file"` those on this machine are
   * allowed too.
   *
   * @default {["https", "ssh", "http", "git"]}
   */
  protocols?: readonly GitProtocol[];
  /**
   * Added to the environment of git, of which it gets little: no configuration
   * of the user or the system, no terminal to ask at. `GIT_ASKPASS` and
   * `GIT_SSH_COMMAND` are for repositories that ask who you are.
   *
   * @default {{}}
   */
  env?: Readonly<Record<string, string>>;
}

/** A commit as a folder. It is not removed until it is released. */
export interface Checkout extends Disposable {
  /** The folder: the files of the commit and nothing else, no `.git`. */
  readonly directory: string;
  /** The full hash of the commit. */
  readonly commit: string;
  /** The name of the project, see {@linkcode GitManager.projectName}. */
  readonly project: string;
  /** Ends the use. Later calls do nothing. */
  release(): void;
}

/**
 * Keeps commits of git repositories as folders. `GitManager` of
 * `ska_oso_oet`.
 *
 * A checkout is fetched alone, without its history, into a folder that is
 * renamed when it is whole. Those who ask for a commit while it is fetched, in
 * any process that shares the directory, wait for the same one. A failure is
 * not remembered.
 *
 * Repositories are not trusted: no hooks, no filters, no submodules, none of
 * the configuration of the user, and nothing of the arguments is taken for an
 * option. Which repositories may be used at all is decided elsewhere.
 *
 * ### Gotchas
 *
 * - Links that lead out of the repository, or to nothing, are left out: through
 *   them a script could import what it may not read.
 * - The password of an address can be seen in the list of processes. Use `env`.
 * - The server has to speak version 2 of git's protocol, as all have since
 *   2018, for a commit that is not the head of a branch.
 *
 * @example Usage
 * ```ts no-assert
 * import { GitManager } from "@longrun/procedure";
 *
 * async function whereIs(repo: string): Promise<string> {
 *   await using manager = new GitManager();
 *   using checkout = await manager.checkout({ repo, branch: "main" });
 *   return await manager.scriptPath(checkout, "git://scripts/observe.ts");
 * }
 * ```
 */
export class GitManager implements AsyncDisposable {
  readonly #directory: string;
  readonly #protocols: readonly GitProtocol[];
  readonly #program: GitProgram;
  readonly #cache: FolderCache;
  readonly #logger: Logger;
  readonly #closing: CancelScope = new CancelScope();
  /** What asks a remote for a commit. */
  readonly #searches: Set<Promise<string>> = new Set();

  /**
   * Creates a manager. Nothing is done before something is asked for.
   *
   * @param options Where the checkouts are kept, and how git is run.
   * @throws {TypeError} If an option is of the wrong type, or there is neither
   * a `directory` nor a cache folder.
   * @throws {RangeError} If a number is out of its range.
   */
  constructor(options: GitManagerOptions = {}) {
    const action = "create GitManager";
    const settings = folderCacheSettings(action, "checkouts", options);
    const {
      timeout = 300_000,
      git = "git",
      protocols = ["https", "ssh", "http", "git"],
      env = {},
    } = options;
    checkPositive(action, "timeout", timeout);
    checkName(action, "git", git);
    checkType(
      Array.isArray(protocols) &&
        protocols.every((each) => GIT_PROTOCOLS.includes(each)),
      action,
      "protocols",
      `an array of some of ${GIT_PROTOCOLS.join(", ")}`,
      protocols,
    );
    checkRecord(action, "env", env);
    this.#logger = settings.logger;
    this.#directory = settings.directory;
    this.#protocols = [...protocols];
    this.#program = new GitProgram({
      git,
      timeout,
      protocols: this.#protocols,
      env: { ...env },
      clock: settings.clock,
    });
    this.#cache = new FolderCache({
      ...settings,
      code: "git-failed",
      what: "checkout",
    });
  }

  /**
   * The commit that is asked for: the one named; without it the one at the head
   * of exactly this branch; without a branch the one at `HEAD` of the remote.
   * Branches are looked up each time.
   *
   * @param git The repository, and what of it.
   * @param options What ends the wait.
   * @returns The full hash, in small letters.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {ProcedureError} `"script-refused"` if an argument is not what it
   * should be, or the protocol is not allowed; `"git-failed"` if git fails or
   * there is no such branch; `"closed"`.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async resolveCommit(
    git: GitArgs,
    options: WaitOptions = {},
  ): Promise<string> {
    const action = "resolve commit";
    checkOptions(action, options);
    checkCommon(action, options);
    const checked = checkGitArgs(action, git, this.#protocols);
    options.signal?.throwIfAborted();
    return await this.#resolve(checked, options.signal);
  }

  /**
   * A commit as a folder, fetched where it is not there yet.
   *
   * @param git The repository, and what of it.
   * @param options What ends the wait. The fetch ends when nobody waits.
   * @returns The folder: release it.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {ProcedureError} As {@linkcode GitManager.resolveCommit}.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async checkout(git: GitArgs, options: WaitOptions = {}): Promise<Checkout> {
    const action = "check out";
    checkOptions(action, options);
    checkCommon(action, options);
    const { signal } = options;
    const checked = checkGitArgs(action, git, this.#protocols);
    signal?.throwIfAborted();
    const commit = await this.#resolve(checked, signal);
    const project = this.projectName(checked.repo);
    const held = await this.#cache.acquire(
      keyOf(checked.repo, project, commit),
      (folder, signal) => this.#fetch(checked.repo, commit, folder, signal),
      signal,
    );
    const release = (): void => held.release();
    return {
      directory: join(held.folder, "files"),
      commit,
      project,
      release,
      [Symbol.dispose]: release,
    };
  }

  /**
   * The name of the project of a repository: the path of its address, with `-`
   * for each `/` and without `.git`.
   *
   * @param repo The address of the repository.
   * @returns The name.
   * @throws {TypeError} If the address is no string.
   * @throws {ProcedureError} `"script-refused"` if it is no address.
   *
   * @example Usage
   * ```ts
   * import { GitManager } from "@longrun/procedure";
   * import { assertEquals } from "@std/assert";
   *
   * const manager = new GitManager({ directory: "checkouts" });
   * assertEquals(
   *   manager.projectName("https://example.org/observatory/scripts.git"),
   *   "observatory-scripts",
   * );
   * ```
   */
  projectName(repo: string): string {
    return repositoryAddress("name project", repo).path.replaceAll("/", "-");
  }

  /**
   * The path of a script in a checkout, or in the folder of an environment.
   *
   * @param checkout What holds the script.
   * @param uri `git://` and the path in the repository.
   * @returns The path with all links followed.
   * @throws {TypeError} If the address begins with something else.
   * @throws {ProcedureError} `"script-refused"` if it leads out of the folder,
   * `"script-not-found"` if there is no such file.
   */
  async scriptPath(
    checkout: Pick<Checkout, "directory">,
    uri: string,
  ): Promise<string> {
    const path = pathOfScript(uri);
    const root = await Deno.realPath(checkout.directory);
    let script;
    try {
      script = await Deno.realPath(join(root, path));
      if (isInside(root, script) && (await Deno.stat(script)).isFile) {
        return script;
      }
    } catch (cause) {
      throw new ProcedureError(
        "script-not-found",
        `No script '${path}' in the repository`,
        { cause },
      );
    }
    if (isInside(root, script)) {
      const message = `'${path}' of the repository is no file`;
      throw new ProcedureError("script-not-found", message);
    }
    throw new ProcedureError(
      "script-refused",
      `'${path}' leads out of the repository`,
    );
  }

  /** Ends all that git does, and waits until it has ended. */
  async close(): Promise<void> {
    const message = "The checkouts are closed";
    this.#closing.abort(new ProcedureError("closed", message));
    await this.#cache.close();
    await Promise.allSettled(this.#searches);
  }

  /** The same as {@linkcode GitManager.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #resolve(
    { repo, branch, commit }: CheckedGitArgs,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    if (commit !== undefined) return commit;
    const name = branch === undefined ? "HEAD" : `refs/heads/${branch}`;
    await Deno.mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const answer = await this.#search(repo, name, signal);
    for (const line of answer.split("\n")) {
      const [hash = "", ref] = line.split("\t");
      // The name is a pattern to git: it also finds those that end with it.
      if (ref === name && /^[0-9a-f]{40,64}$/.test(hash)) return hash;
    }
    throw new ProcedureError(
      "git-failed",
      `No ${branch === undefined ? "HEAD" : `branch '${branch}'`} in ${
        presentable(repo)
      }`,
    );
  }

  async #search(
    repo: string,
    name: string,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const scope = new CancelScope(signal, this.#closing.signal);
    const search = this.#program.run(
      ["ls-remote", "--quiet", "--", repo, name],
      { cwd: this.#directory, signal: scope.signal },
    );
    this.#searches.add(search);
    try {
      return await search;
    } finally {
      this.#searches.delete(search);
      scope.dispose();
    }
  }

  async #fetch(
    repo: string,
    commit: string,
    folder: string,
    signal: AbortSignal,
  ): Promise<void> {
    const own = join(folder, "git");
    const files = join(folder, "files");
    await Deno.mkdir(files);
    const env = { GIT_DIR: own, GIT_WORK_TREE: files };
    const git = (...args: string[]): Promise<string> =>
      this.#program.run(args, { cwd: folder, env, signal });
    const format = commit.length === 64 ? "sha256" : "sha1";
    await git("init", "--quiet", "--template=", `--object-format=${format}`);
    await git(
      "fetch",
      "--quiet",
      "--depth=1",
      "--no-tags",
      "--no-write-fetch-head",
      "--no-recurse-submodules",
      "--",
      repo,
      commit,
    );
    const kind = (await git("cat-file", "-t", commit)).trim();
    if (kind !== "commit") {
      const message = `${commit} is a ${kind}, not a commit`;
      throw new ProcedureError("git-failed", message);
    }
    await git("checkout", "--quiet", "--detach", "--force", commit, "--");
    await Deno.remove(own, { recursive: true });
    const removed = await removeOutwardLinks(files, signal);
    if (removed.length > 0) {
      this.#logger.warn(
        "Links that lead out of the repository are not in its checkout",
        { repo: presentable(repo), commit, links: removed.slice(0, 20) },
      );
    }
  }
}
