// Copyright 2026 the Longrun authors. MIT license.

import { join } from "node:path";
import { pickEnv } from "./_cache_directory.ts";
import { presentable } from "./_git_address.ts";
import { runProgram } from "./_program.ts";
import { ProcedureError } from "./procedure_errors.ts";

/** What an installation is made with. */
export interface DenoInstallOptions {
  deno: string;
  env: Readonly<Record<string, string>>;
}

/** Where an installation goes, and what ends it. */
export interface DenoInstallTarget {
  folder: string;
  denoDir: string;
  signal: AbortSignal;
}

const INHERITED = [
  "ALL_PROXY",
  "DENO_CERT",
  "DENO_TLS_CA_STORE",
  "HTTPS_PROXY",
  "HTTP_PROXY",
  "JSR_URL",
  "NO_PROXY",
  "NPM_CONFIG_REGISTRY",
  "PATH",
  "SSL_CERT_DIR",
  "SSL_CERT_FILE",
  "SystemRoot",
  "TMPDIR",
  "all_proxy",
  "http_proxy",
  "https_proxy",
  "no_proxy",
];

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The configuration of Deno in a folder. */
export async function configIn(folder: string): Promise<string | undefined> {
  for (const name of ["deno.json", "deno.jsonc"]) {
    const path = join(folder, name);
    if (await isFile(path)) return path;
  }
  return undefined;
}

function lockIn(folder: string): string {
  return join(folder, "deno.lock");
}

const NO_CONFIG = "--no-config";

/** What a command of Deno is told of the configuration in a folder. */
async function configFlags(folder: string): Promise<string[]> {
  const config = await configIn(folder);
  return [config === undefined ? NO_CONFIG : `--config=${config}`];
}

/**
 * Makes a configuration for a `package.json` that is alone. Deno looks for one
 * from the program that it runs, which is elsewhere, and can only be told of
 * its own.
 */
async function completeConfig(folder: string): Promise<void> {
  if (await configIn(folder) !== undefined) return;
  if (!await isFile(join(folder, "package.json"))) return;
  await Deno.writeTextFile(join(folder, "deno.json"), "{}\n");
}

/**
 * Where the packages of npm are. A repository cannot say that it has them
 * itself, for then a script could read those of all others on the machine.
 */
async function packageFlags(folder: string): Promise<string[]> {
  const config = await configIn(folder);
  const isFolderWanted = await isFile(join(folder, "package.json")) ||
    (config !== undefined &&
      (await Deno.readTextFile(config)).includes('"nodeModulesDir"'));
  return [`--node-modules-dir=${isFolderWanted ? "auto" : "none"}`];
}

/** The flags that every command of Deno needs that sees such a folder. */
async function folderFlags(folder: string): Promise<string[]> {
  return [
    ...await configFlags(folder),
    ...await packageFlags(folder),
    // The configuration could allow scripts of packages, and the folder itself
    // is one. A name that nobody can foresee allows none.
    `--allow-scripts=npm:none-${crypto.randomUUID()}`,
  ];
}

/** The flags of a `deno run` that takes all from the environment. */
export async function runFlags(folder: string): Promise<readonly string[]> {
  const lock = lockIn(folder);
  return [
    ...await folderFlags(folder),
    ...(await isFile(lock) ? [`--lock=${lock}`, "--frozen"] : ["--no-lock"]),
    "--cached-only",
  ];
}

/** The variables of a `deno run` that takes all from the environment. */
export function runEnv(
  denoDir: string,
  env: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  // What was downloaded is kept under the address that it came from.
  const names = ["JSR_URL", "NPM_CONFIG_REGISTRY"];
  const given = Object.entries(env).filter(([name]) => names.includes(name));
  return {
    ...pickEnv(names),
    ...Object.fromEntries(given),
    DENO_DIR: denoDir,
  };
}

/**
 * Downloads what a folder names, and runs none of it.
 *
 * @throws {ProcedureError} `"environment-failed"`.
 * @throws {AbortSignal["reason"]} If the signal aborts first.
 */
export async function denoInstall(
  target: DenoInstallTarget,
  options: DenoInstallOptions,
): Promise<void> {
  const { folder, denoDir, signal } = target;
  const { deno } = options;
  await completeConfig(folder);
  const flags = await folderFlags(folder);
  if (flags.includes(NO_CONFIG)) return;
  const lock = lockIn(folder);
  const args = [
    "install",
    "--no-prompt",
    ...flags,
    // The configuration could name a lock anywhere.
    `--lock=${lock}`,
    ...(await isFile(lock) ? ["--frozen"] : []),
  ];
  // Little of this process's: the `.npmrc` of a repository can send variables
  // to wherever it likes.
  const env = {
    // As git, it trusts whom the system trusts.
    DENO_TLS_CA_STORE: "mozilla,system",
    ...pickEnv(INHERITED),
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
    ...options.env,
    DENO_DIR: denoDir,
  };
  let result;
  try {
    const limits = { cwd: folder, env, timeout: Infinity, signal };
    result = await runProgram(deno, args, limits);
  } catch (error) {
    signal.throwIfAborted();
    const message = `The installation failed: '${deno}' cannot be run`;
    throw new ProcedureError("environment-failed", message, { cause: error });
  }
  if (result.code === 0) return;
  const why = presentable(result.stderr) || `code ${result.code}`;
  const message = `The installation failed: ${why}`;
  throw new ProcedureError("environment-failed", message);
}
