// Copyright 2026 the Longrun authors. MIT license.

/**
 * Commits of git repositories with what they depend on.
 *
 * @module
 */

import { timeout as withTimeout } from "@longrun/tasks/cancellation";
import type { Clock } from "@longrun/tasks/clock";
import { join } from "node:path";
import {
  checkCommon,
  checkFunction,
  checkName,
  checkOptions,
  checkPositive,
  checkRecord,
  checkType,
} from "./_arguments.ts";
import { within } from "./_bounded_wait.ts";
import { configIn, denoInstall, runEnv, runFlags } from "./_deno_install.ts";
import { copyTree } from "./_file_tree.ts";
import { FolderCache } from "./_folder_cache.ts";
import {
  folderCacheSettings,
  type KeptFolderOptions,
} from "./_folder_cache_options.ts";
import { checkIsGit, commitOf, keyOf } from "./_git_address.ts";
import type { GitManager } from "./git_manager.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { WaitOptions } from "./procedure_service.ts";
import type { GitArgs } from "./script.ts";

export type { KeptFolderOptions } from "./_folder_cache_options.ts";

/** How long an installation that was told to end is waited for. */
const PATIENCE = 1000;

/** What an installation is told. */
export interface InstallContext {
  /** Aborts when nobody waits for it, or when it takes too long. */
  readonly signal: AbortSignal;
  /** The folder that becomes the environment's `DENO_DIR`. */
  readonly denoDir: string;
}

/** Puts what a folder depends on into it, and into its `DENO_DIR`. */
export type Install = (
  folder: string,
  context: InstallContext,
) => Promise<void>;

/** Options of {@linkcode EnvironmentManager}. */
export interface EnvironmentManagerOptions extends KeptFolderOptions {
  /** Where the commits come from. It is not closed with this manager. */
  git: Pick<GitManager, "resolveCommit" | "checkout" | "projectName">;
  /**
   * Installs. By default it is `deno install`, see
   * {@linkcode EnvironmentManager}.
   */
  install?: Install;
  /**
   * The program that installs by default.
   *
   * @default {Deno.execPath()}
   */
  deno?: string;
  /**
   * Added to the environment of the installation, of which it gets little. A
   * repository can find out whatever is in there.
   *
   * @default {{}}
   */
  env?: Readonly<Record<string, string>>;
  /**
   * How long an installation may take, in milliseconds.
   *
   * @default {600_000}
   */
  timeout?: number;
}

/** A commit with what it depends on. It is not removed until it is released. */
export interface Environment extends Disposable {
  /** The full hash of the commit. */
  readonly id: string;
  /** The folder: the files of the commit, and what was installed beside them. */
  readonly directory: string;
  /** The configuration of Deno in the folder, where there is one. */
  readonly configPath?: string;
  /** What `DENO_DIR` has to be for whoever runs a script of it. */
  readonly denoDir: string;
  /**
   * The flags of a `deno run` of a script of it: its configuration and its
   * lock, nothing from the network, no scripts of packages. Without them
   * `deno run` runs those scripts where the repository allows it, and no
   * permission holds for them.
   */
  readonly flags: readonly string[];
  /**
   * What a `deno run` of a script of it needs in its environment: `DENO_DIR`,
   * and the registry where it is not the usual one.
   */
  readonly env: Readonly<Record<string, string>>;
  /** Ends the use. Later calls do nothing. */
  release(): void;
}

/** What is known of an environment that is kept. */
export interface EnvironmentInfo {
  /** The full hash of the commit. */
  readonly id: string;
  /** Its folder. */
  readonly directory: string;
  /** What it takes, in bytes. */
  readonly size: number;
  /** When it was taken or released last, in milliseconds since the epoch. */
  readonly usedAt: number;
  /** Whether it is in use in this process. */
  readonly inUse: boolean;
}

/**
 * Keeps the environments of scripts: a commit with what it depends on, built
 * once for all who use it. `EnvironmentManager` of `ska_oso_oet`.
 *
 * An environment is a copy of the checkout and a `DENO_DIR`. `deno install`
 * runs there: with a `deno.lock` as `--frozen`, so that nothing but what the
 * lock says comes in; without one the lock is written, and holds for as long as
 * the environment is kept. Without a `deno.json`, `deno.jsonc` or
 * `package.json` there is nothing to install; beside a `package.json` alone an
 * empty `deno.json` is written, which Deno can be told of. Nothing of what is
 * downloaded runs, whatever the repository allows.
 *
 * It is built in a folder that is renamed when it is whole. Those who ask for it
 * meanwhile, in any process that shares the directory, wait for the same build,
 * which ends when none of them waits any more. A failure is not remembered.
 *
 * ### Gotchas
 *
 * - What a script imports and no configuration names is not installed.
 * - The same commit of two repositories makes two environments.
 *
 * @example Usage
 * ```ts no-assert
 * import { EnvironmentManager, GitManager } from "@longrun/procedure";
 *
 * async function prepare(repo: string): Promise<string> {
 *   await using git = new GitManager();
 *   await using environments = new EnvironmentManager({ git });
 *   using environment = await environments.get({ repo });
 *   return await git.scriptPath(environment, "git://scripts/observe.ts");
 * }
 * ```
 */
export class EnvironmentManager implements AsyncDisposable {
  readonly #git: EnvironmentManagerOptions["git"];
  readonly #install: Install;
  readonly #env: Readonly<Record<string, string>>;
  readonly #timeout: number;
  readonly #clock: Clock;
  readonly #cache: FolderCache;

  /**
   * Creates a manager. Nothing is done before something is asked for.
   *
   * @param options Where the commits come from, where the environments are
   * kept, and how they are installed.
   * @throws {TypeError} If an option is of the wrong type, or there is neither
   * a `directory` nor a cache folder.
   * @throws {RangeError} If a number is out of its range.
   */
  constructor(options: EnvironmentManagerOptions) {
    const action = "create EnvironmentManager";
    const settings = folderCacheSettings(action, "environments", options);
    const {
      git,
      deno = Deno.execPath(),
      env = {},
      timeout = 600_000,
    } = options;
    checkType(
      typeof git?.checkout === "function",
      action,
      "git",
      "a GitManager",
      git,
    );
    checkName(action, "deno", deno);
    checkRecord(action, "env", env);
    checkPositive(action, "timeout", timeout);
    const made = { deno, env: { ...env } };
    const {
      install = (folder, context) => denoInstall({ folder, ...context }, made),
    } = options;
    checkFunction(action, "install", install);
    this.#git = git;
    this.#install = install;
    this.#env = made.env;
    this.#timeout = timeout;
    this.#clock = settings.clock;
    this.#cache = new FolderCache({
      ...settings,
      code: "environment-failed",
      what: "environment",
    });
  }

  /**
   * The environment of a commit, built where it is not there yet.
   *
   * @param git The repository, and what of it.
   * @param options What ends the wait. The build ends when nobody waits.
   * @returns The environment: release it.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {ProcedureError} `"environment-failed"` if the installation fails
   * or takes too long; `"git-failed"` and `"script-refused"` as
   * {@linkcode GitManager.checkout}; `"closed"`.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async get(git: GitArgs, options: WaitOptions = {}): Promise<Environment> {
    const action = "get environment";
    checkOptions(action, options);
    checkCommon(action, options);
    checkIsGit(action, git);
    const { signal } = options;
    const { repo } = git;
    const commit = await this.#git.resolveCommit(git, options);
    const held = await this.#cache.acquire(
      keyOf(repo, this.#git.projectName(repo), commit),
      (folder, signal) => this.#build({ repo, commit }, folder, signal),
      signal,
    );
    const release = (): void => held.release();
    try {
      const directory = join(held.folder, "files");
      const denoDir = join(held.folder, "deno_dir");
      const configPath = await configIn(directory);
      return {
        id: commit,
        directory,
        ...(configPath === undefined ? {} : { configPath }),
        denoDir,
        flags: await runFlags(directory),
        env: runEnv(denoDir, this.#env),
        release,
        [Symbol.dispose]: release,
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  /**
   * Removes what is kept of a commit. If there is nothing, that is fine.
   *
   * @param id The full hash of the commit.
   * @throws {TypeError} If the hash is no string.
   * @throws {ProcedureError} `"invalid-state"` if somebody uses it, in whatever
   * process.
   */
  async delete(id: string): Promise<void> {
    checkName("delete environment", "id", id);
    for (const { key } of await this.#cache.list()) {
      if (commitOf(key) !== id || await this.#cache.remove(key)) continue;
      throw new ProcedureError(
        "invalid-state",
        `The environment ${id} cannot be deleted: it is in use`,
      );
    }
  }

  /**
   * What is kept, the one that was used least recently first.
   *
   * @returns What is known of each.
   */
  async list(): Promise<readonly EnvironmentInfo[]> {
    const folders = await this.#cache.list();
    return folders.map(({ key, folder, size, usedAt, inUse }) => ({
      id: commitOf(key),
      directory: join(folder, "files"),
      size,
      usedAt,
      inUse,
    }));
  }

  /**
   * Ends all builds, and waits until they have ended. What is in use can be
   * used on.
   */
  close(): Promise<void> {
    return this.#cache.close();
  }

  /** The same as {@linkcode EnvironmentManager.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #build(
    git: GitArgs,
    folder: string,
    signal: AbortSignal,
  ): Promise<void> {
    const files = join(folder, "files");
    const denoDir = join(folder, "deno_dir");
    await Deno.mkdir(files);
    await Deno.mkdir(denoDir);
    {
      using checkout = await this.#git.checkout(git, { signal });
      await copyTree(checkout.directory, files, signal);
    }
    let work: Promise<void> = Promise.resolve();
    try {
      await withTimeout(
        (signal) => work = this.#installIn(files, { signal, denoDir }),
        this.#timeout,
        { signal, clock: this.#clock },
      );
    } catch (error) {
      // The folder is removed next: better when nobody writes to it any more.
      await within(PATIENCE, work.catch(() => {}));
      signal.throwIfAborted();
      throw this.#failure(error);
    }
  }

  async #installIn(files: string, context: InstallContext): Promise<void> {
    await this.#install(files, context);
  }

  #failure(error: unknown): unknown {
    if (error instanceof ProcedureError) return error;
    const isLate = error instanceof DOMException &&
      error.name === "TimeoutError";
    const why = isLate
      ? `it took longer than ${this.#timeout} ms`
      : error instanceof Error
      ? error.message
      : String(error);
    return new ProcedureError(
      "environment-failed",
      `The installation failed: ${why}`,
      { cause: error },
    );
  }
}
