// Copyright 2026 the Longrun authors. MIT license.

import { systemClock } from "@longrun/tasks/clock";
import type { ChildSetup } from "./_script_messages.ts";
import { decodeFrame, readFrames } from "./_script_messages.ts";
import { sealDenoDir } from "./_script_deno_dir.ts";
import { locateChild } from "./_script_sources.ts";
import type { ScriptGrants } from "./script_policy.ts";

/** What is needed to start the process of a script. */
export interface ProcessOptions {
  readonly pid: number;
  readonly roots: readonly string[];
  readonly grants: ScriptGrants;
  readonly configPath?: string | undefined;
  readonly importMap?: string | undefined;
  readonly flags?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly denoDir?: string | undefined;
  readonly cwd?: string | undefined;
  readonly memory: number;
}

/** The heap is not all of a process: this much more it may have. */
const BESIDE_THE_HEAP = 384;
/** The first message holds a token and nothing else. */
const GREETING_LIMIT = 256;
/** How long whoever connects may take to say who it is, in milliseconds. */
const GREETING_TIMEOUT = 2_000;

const KINDS = ["read", "write", "net", "env", "run", "sys"] as const;

function listOf(grant: readonly string[] | true | undefined) {
  return grant === true || (grant !== undefined && grant.length > 0)
    ? grant
    : undefined;
}

/**
 * The permissions of the Worker: what is granted and nothing else. What is
 * imported is decided by those of the main thread.
 */
function workerPermissions(
  grants: ScriptGrants,
): ChildSetup["permissions"] {
  const permissions: Record<string, boolean | readonly string[]> = {
    ffi: false,
    import: true,
  };
  for (const kind of KINDS) permissions[kind] = listOf(grants[kind]) ?? false;
  return permissions;
}

function flag(kind: string, values: readonly string[] | true | undefined) {
  if (values === undefined) return [];
  // A comma would part a path in two, so it is written twice.
  return values === true
    ? [`--allow-${kind}`]
    : [`--allow-${kind}=${
      values.map((value) => value.replaceAll(",", ",,")).join(",")
    }`];
}

/** How modules are found, where nothing else is said. */
function moduleFlags(options: ProcessOptions): readonly string[] {
  const { configPath, importMap, grants } = options;
  return [
    "--no-lock",
    ...(configPath === undefined ? ["--no-config"] : [
      `--config=${configPath}`,
      // The configuration could allow scripts of packages, for which no
      // permission holds. A name that nobody can foresee allows none.
      `--allow-scripts=npm:none-${crypto.randomUUID()}`,
    ]),
    ...(importMap === undefined ? [] : [`--import-map=${importMap}`]),
    // An address to import from is a way out for data, and so is its name.
    ...(grants.import === true ? [] : ["--cached-only"]),
  ];
}

function commandLine(
  options: ProcessOptions,
  modules: readonly string[],
  port: number,
): string[] {
  const { grants, memory, roots } = options;
  const net = listOf(grants.net);
  return [
    "run",
    "--quiet",
    "--no-prompt",
    "--no-check",
    ...options.flags ?? moduleFlags(options),
    "--unstable-worker-options",
    `--v8-flags=--max-old-space-size=${memory}`,
    "--allow-import",
    ...flag("read", [...modules, ...roots, ...(grants.read ?? [])]),
    ...flag("net", net === true ? net : [`127.0.0.1:${port}`, ...(net ?? [])]),
    ...flag("write", listOf(grants.write)),
    ...flag("env", listOf(grants.env)),
    ...flag("run", listOf(grants.run)),
    ...flag("sys", listOf(grants.sys)),
  ];
}

/** A variable of the environment, `undefined` where it may not be read. */
function variable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch {
    return undefined;
  }
}

/** The folder that a variable names. To Deno an empty one is none. */
function folderOf(name: string): string | undefined {
  return variable(name) || undefined;
}

/** Where the cache of modules is: all that Deno wants of the environment. */
function defaultDenoDir(): string | undefined {
  const given = folderOf("DENO_DIR");
  if (given !== undefined) return given;
  const [base, rest] = Deno.build.os === "windows"
    ? [folderOf("LOCALAPPDATA"), "deno"]
    : Deno.build.os === "darwin"
    ? [folderOf("HOME"), "Library/Caches/deno"]
    : folderOf("XDG_CACHE_HOME") !== undefined
    ? [folderOf("XDG_CACHE_HOME"), "deno"]
    : [folderOf("HOME"), ".cache/deno"];
  return base === undefined ? undefined : `${base}/${rest}`;
}

async function environment(
  options: ProcessOptions,
): Promise<Record<string, string>> {
  const environment: Record<string, string> = {
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
  };
  Object.assign(environment, options.env);
  const denoDir = options.denoDir ?? options.env?.DENO_DIR ?? defaultDenoDir();
  const names = [...(options.grants.env ?? [])];
  // Windows starts no program without it.
  if (Deno.build.os === "windows") names.push("SystemRoot");
  for (const name of names) {
    const value = variable(name);
    if (value !== undefined) environment[name] = value;
  }
  if (denoDir !== undefined) environment.DENO_DIR = await sealDenoDir(denoDir);
  return environment;
}

/** Sends a signal to a process that may have ended. */
export function kill(
  process: Deno.ChildProcess,
  signal: "SIGTERM" | "SIGKILL",
): void {
  try {
    process.kill(signal);
  } catch {
    // It has ended.
  }
}

/** Ends what the script has started and left behind. */
export function killGroup(process: Deno.ChildProcess): void {
  if (Deno.build.os === "windows") return;
  try {
    Deno.kill(-process.pid, "SIGKILL");
  } catch {
    // Nobody is left.
  }
}

function secret(): string {
  return crypto.randomUUID() + crypto.randomUUID();
}

/** The process of a script, before it is connected. */
export interface Started {
  readonly process: Deno.ChildProcess;
  readonly marker: string;
  /** Resolves when the child has connected. */
  connect(): Promise<Deno.TcpConn>;
  /** Stops to wait for the child. */
  giveUp(): void;
}

async function isFromChild(
  connection: Deno.TcpConn,
  token: string,
): Promise<boolean> {
  const frames = readFrames(connection, GREETING_LIMIT);
  const { value } = await frames.next();
  if (value === undefined || value.cloned) return false;
  const greeting = decodeFrame(value, undefined) as Record<string, unknown>;
  return greeting?.type === "up" && greeting.token === token;
}

/**
 * Waits for the one connection that knows the token. Any program of the
 * machine could connect before.
 */
function acceptChild(
  listener: Deno.TcpListener,
  token: string,
): Promise<Deno.TcpConn> {
  const { promise, resolve, reject } = Promise.withResolvers<Deno.TcpConn>();
  const guests = new Set<Deno.TcpConn>();
  const close = (connection: Deno.TcpConn) => {
    try {
      connection.close();
    } catch {
      // It is closed already.
    }
  };
  const greet = async (connection: Deno.TcpConn) => {
    guests.add(connection);
    const cancel = systemClock.setTimer(
      () => close(connection),
      GREETING_TIMEOUT,
    );
    try {
      if (await isFromChild(connection, token)) {
        guests.delete(connection);
        connection.setNoDelay();
        resolve(connection);
        listener.close();
      }
    } catch {
      // A stranger who says something else.
    } finally {
      cancel();
      if (guests.delete(connection)) close(connection);
    }
  };
  (async () => {
    for await (const connection of listener) void greet(connection);
    for (const guest of guests) close(guest);
    reject(new Error("Nobody waits for the process any more"));
  })().catch(reject);
  return promise;
}

/** Starts the process of a script. Nothing of the script runs yet. */
export async function startProcess(options: ProcessOptions): Promise<Started> {
  const { entry, modules } = await locateChild();
  const env = await environment(options);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const token = secret();
  const marker = `\u0000${secret()}`;
  const setup: ChildSetup = {
    port,
    token,
    marker,
    pid: options.pid,
    permissions: workerPermissions(options.grants),
    unlimited: KINDS.filter((kind) => listOf(options.grants[kind]) === true),
    residentLimit: options.memory + BESIDE_THE_HEAP,
  };
  let process: Deno.ChildProcess;
  try {
    process = new Deno.Command(Deno.execPath(), {
      args: [...commandLine(options, modules, port), entry],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      // A group of its own: Control-C in a terminal is for the service, and what
      // the script has started can be ended with it.
      detached: Deno.build.os !== "windows",
      clearEnv: true,
      env,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    listener.close();
    throw error;
  }
  const connected = acceptChild(listener, token);
  connected.catch(() => {});
  const input = new Blob([JSON.stringify(setup)]).stream();
  input.pipeTo(process.stdin).catch(() => {
    // It has ended already, as its status says.
  });
  return {
    process,
    marker,
    connect: () => connected,
    giveUp() {
      try {
        listener.close();
      } catch {
        // It is closed when the child has come.
      }
    },
  };
}
