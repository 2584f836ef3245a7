// Copyright 2026 the Longrun authors. MIT license.

import type { Clock } from "@longrun/tasks/clock";
import { dirname } from "node:path";
import { pickEnv } from "./_cache_directory.ts";
import { type GitProtocol, presentable } from "./_git_address.ts";
import { ProgramTimeoutError, runProgram } from "./_program.ts";
import { ProcedureError } from "./procedure_errors.ts";

/** What a {@linkcode GitProgram} is made of. */
export interface GitProgramOptions {
  git: string;
  timeout: number;
  protocols: readonly GitProtocol[];
  env: Readonly<Record<string, string>>;
  clock: Clock;
}

/** Where git runs, and what ends it. */
export interface GitRun {
  cwd: string;
  /** The folders of git itself and of the files, where there are any. */
  env?: Readonly<Record<string, string>>;
  signal: AbortSignal | undefined;
}

const INHERITED = [
  "ALL_PROXY",
  "CURL_CA_BUNDLE",
  "GIT_SSL_CAINFO",
  "HOME",
  "HTTPS_PROXY",
  "HTTP_PROXY",
  "NO_PROXY",
  "PATH",
  "SSH_AUTH_SOCK",
  "SSL_CERT_DIR",
  "SSL_CERT_FILE",
  "SystemRoot",
  "TMPDIR",
  "USERPROFILE",
  "all_proxy",
  "http_proxy",
  "https_proxy",
  "no_proxy",
];

// Nothing that a repository or a user has configured runs, and nobody is asked.
const SETTINGS = [
  "advice.detachedHead=false",
  "core.askPass=",
  "core.attributesFile=/dev/null",
  "core.autocrlf=false",
  "core.fsmonitor=false",
  "core.hooksPath=/dev/null",
  "credential.helper=",
  "fetch.recurseSubmodules=false",
  "filter.lfs.process=",
  "filter.lfs.required=false",
  "filter.lfs.smudge=",
  "gc.auto=0",
  "http.lowSpeedLimit=1",
  "http.lowSpeedTime=60",
  "maintenance.auto=false",
  "protocol.version=2",
  "submodule.recurse=false",
].flatMap((setting) => ["-c", setting]);

/** Git as it comes, without what anybody has configured. */
export class GitProgram {
  readonly #options: GitProgramOptions;

  constructor(options: GitProgramOptions) {
    this.#options = options;
  }

  /**
   * Runs a command of git.
   *
   * @returns What it printed.
   * @throws {ProcedureError} `"git-failed"`.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async run(args: readonly string[], run: GitRun): Promise<string> {
    const { git, timeout, clock } = this.#options;
    const { cwd, signal } = run;
    const env = this.#env(run);
    const limits = { cwd, env, timeout, clock, signal };
    const command = `git ${args[0] ?? ""}`;
    let result;
    try {
      result = await runProgram(git, [...SETTINGS, ...args], limits);
    } catch (error) {
      signal?.throwIfAborted();
      const why = error instanceof ProgramTimeoutError
        ? `it took longer than ${timeout} ms`
        : `'${git}' cannot be run`;
      throw new ProcedureError("git-failed", `${command} failed: ${why}`, {
        cause: error,
      });
    }
    if (result.code === 0) return result.stdout;
    const why = presentable(result.stderr) || `code ${result.code}`;
    throw new ProcedureError("git-failed", `${command} failed: ${why}`);
  }

  #env({ cwd, env }: GitRun): Record<string, string> {
    return {
      ...pickEnv(INHERITED),
      GIT_ALLOW_PROTOCOL: this.#options.protocols.join(":"),
      GIT_ATTR_NOSYSTEM: "1",
      // A repository around the folder says nothing here.
      GIT_CEILING_DIRECTORIES: dirname(cwd),
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_LFS_SKIP_SMUDGE: "1",
      GIT_SSH_COMMAND: "ssh -oBatchMode=yes",
      GIT_SSH_VARIANT: "ssh",
      GIT_TERMINAL_PROMPT: "0",
      LC_ALL: "C",
      ...this.#options.env,
      ...env,
    };
  }
}
