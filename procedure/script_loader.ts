// Copyright 2026 the Longrun authors. MIT license.

/**
 * Where scripts come from: one loader for each kind.
 *
 * @module
 */

import { checkFunction, checkOptions } from "./_arguments.ts";
import { configIn } from "./_deno_install.ts";
import { hasCode } from "./_error_code.ts";
import { checkPolicy } from "./_script_grants.ts";
import type { EnvironmentManager } from "./environment_manager.ts";
import type { GitManager } from "./git_manager.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { WaitOptions } from "./procedure_service.ts";
import type { ProcedureState } from "./procedure_state.ts";
import type { FileSystemScript, GitScript } from "./script.ts";
import {
  allowRepository,
  resolveFileScript,
  type ScriptGrants,
  type ScriptPolicy,
} from "./script_policy.ts";

/** A script that is on this machine, and what its process is started with. */
export interface LoadedScript {
  /** The address of its module: `file://` and an absolute path. */
  readonly url: string;
  /** The folders whose modules it may import: absolute paths, without links. */
  readonly roots: readonly string[];
  /** What it may do. */
  readonly grants: ScriptGrants;
  /** The `deno.json` that says what its imports mean. */
  readonly configPath?: string;
  /** The flags by which `deno run` finds its modules. */
  readonly flags?: readonly string[];
  /** Variables of the environment of its process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Called once, when the process has ended. */
  release?(): void;
}

/** Options of {@linkcode ScriptLoader.load}. */
export interface LoadScriptOptions {
  /** Ends it. */
  readonly signal: AbortSignal;
  /**
   * Told of states on the way: PREP_ENV, and IDLE afterwards, if there is
   * something to be installed; then LOADING.
   */
  readonly onState: (state: ProcedureState) => void;
}

/** Brings scripts of one kind to this machine. */
export interface ScriptLoader<Script> {
  /**
   * Looks whether a script may be executed at all, before there is a procedure.
   *
   * @throws {ProcedureError} `"script-refused"`.
   */
  check(script: Script, options: WaitOptions): Promise<void> | void;
  /**
   * Brings a script to this machine.
   *
   * @throws {ProcedureError} `"script-refused"`, `"script-not-found"`,
   * `"git-failed"`, `"environment-failed"`.
   * @throws {AbortSignal["reason"]} If the signal aborts.
   */
  load(script: Script, options: LoadScriptOptions): Promise<LoadedScript>;
}

/**
 * Loads scripts that are in files of this machine.
 *
 * @example Usage
 * ```ts
 * import { FileSystemScriptLoader, fileSystemScript } from "@longrun/procedure";
 * import { assertRejects } from "@std/assert";
 *
 * const loader = new FileSystemScriptLoader({ roots: [] });
 * await assertRejects(
 *   () => loader.check(fileSystemScript("file:///scripts/observe.ts")),
 *   Error,
 *   "is in no folder of the policy",
 * );
 * ```
 */
export class FileSystemScriptLoader implements ScriptLoader<FileSystemScript> {
  readonly #policy: ScriptPolicy;

  /**
   * Creates a loader.
   *
   * @param policy Which scripts may be executed, and what they may do.
   * @throws {TypeError} If the policy is none.
   * @throws {RangeError} If a number in it is out of its range.
   */
  constructor(policy: ScriptPolicy) {
    checkPolicy(policy);
    this.#policy = policy;
  }

  /**
   * Looks whether a script is in a folder of the policy. That its file is there
   * is another question: one that is not fails when it is loaded.
   *
   * @param script The script.
   * @throws {ProcedureError} `"script-refused"`.
   */
  async check(script: FileSystemScript): Promise<void> {
    try {
      await resolveFileScript(this.#policy, script);
    } catch (error) {
      if (!hasCode(error, "script-not-found")) throw error;
    }
  }

  /**
   * Finds a script, and the `deno.json` of its folder of the policy.
   *
   * @param script The script.
   * @param options Who is told of LOADING.
   * @returns A promise of where it is.
   * @throws {ProcedureError} `"script-refused"`, `"script-not-found"`.
   */
  async load(
    script: FileSystemScript,
    { onState }: LoadScriptOptions,
  ): Promise<LoadedScript> {
    onState("LOADING");
    const { url, root, grants } = await resolveFileScript(this.#policy, script);
    const configPath = await configIn(root);
    return { url, roots: [root], grants, configPath };
  }
}

/** Options of {@linkcode GitScriptLoader}. */
export interface GitScriptLoaderOptions {
  /** Which repositories there are, and what their scripts may do. */
  policy: ScriptPolicy;
  /** Checks them out. */
  git: GitManager;
  /** Installs what they need; without it scripts that need it are refused. */
  environments?: EnvironmentManager;
}

function fileUrl(path: string): string {
  const url = new URL("file:///");
  url.pathname = path.replaceAll("%", "%25");
  return url.href;
}

/**
 * Loads scripts of git repositories.
 *
 * @example Usage
 * ```ts
 * import { GitManager, gitScript, GitScriptLoader } from "@longrun/procedure";
 * import { assertThrows } from "@std/assert";
 *
 * await using git = new GitManager();
 * const loader = new GitScriptLoader({ policy: {}, git });
 * const repo = "https://example.org/scripts.git";
 * assertThrows(
 *   () => loader.check(gitScript("git://observe.ts", { repo })),
 *   Error,
 *   "is not named by the policy",
 * );
 * ```
 */
export class GitScriptLoader implements ScriptLoader<GitScript> {
  readonly #policy: ScriptPolicy;
  readonly #git: GitManager;
  readonly #environments: EnvironmentManager | undefined;

  /**
   * Creates a loader.
   *
   * @param options What may be executed, and who fetches it.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If a number in the policy is out of its range.
   */
  constructor(options: GitScriptLoaderOptions) {
    const action = "create GitScriptLoader";
    checkOptions(action, options);
    checkPolicy(options.policy);
    checkFunction(action, "git.checkout", options.git?.checkout);
    const { environments } = options;
    if (environments !== undefined) {
      checkFunction(action, "environments.get", environments?.get);
    }
    this.#policy = options.policy;
    this.#git = options.git;
    this.#environments = options.environments;
  }

  /**
   * Looks whether the repository of a script is named by the policy.
   *
   * @param script The script.
   * @throws {ProcedureError} `"script-refused"`.
   */
  check({ git, createEnv }: GitScript): void {
    allowRepository(this.#policy, git.repo);
    if (createEnv) this.#needEnvironments();
  }

  /**
   * Checks a script out and, if it wants that, installs what it needs.
   *
   * @param script The script.
   * @param options What ends it, and who is told of the states.
   * @returns A promise of where it is.
   * @throws {ProcedureError} `"script-refused"`, `"script-not-found"`,
   * `"git-failed"`, `"environment-failed"`.
   * @throws {AbortSignal["reason"]} If the signal aborts.
   */
  async load(
    { git, uri, createEnv }: GitScript,
    { signal, onState }: LoadScriptOptions,
  ): Promise<LoadedScript> {
    const grants = allowRepository(this.#policy, git.repo);
    if (!createEnv) {
      onState("LOADING");
      const checkout = await this.#git.checkout(git, { signal });
      return await this.#placeIn(checkout, uri, { grants });
    }
    onState("PREP_ENV");
    const environment = await this.#needEnvironments().get(git, { signal });
    onState("IDLE");
    onState("LOADING");
    const { flags, env } = environment;
    return await this.#placeIn(environment, uri, { grants, flags, env });
  }

  #needEnvironments(): EnvironmentManager {
    if (this.#environments !== undefined) return this.#environments;
    throw new ProcedureError("script-refused", "There are no environments");
  }

  async #placeIn(
    held: { readonly directory: string; release(): void },
    uri: string,
    rest: Pick<LoadedScript, "grants" | "flags" | "env">,
  ): Promise<LoadedScript> {
    try {
      const path = await this.#git.scriptPath(held, uri);
      return {
        ...rest,
        url: fileUrl(path),
        roots: [held.directory],
        release: () => held.release(),
      };
    } catch (error) {
      held.release();
      throw error;
    }
  }
}
