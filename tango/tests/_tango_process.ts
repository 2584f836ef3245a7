// Copyright 2026 the Longrun authors. MIT license.

/**
 * Real Tango servers for tests and examples, on ports of this machine, with and
 * without a database. They end with this process, whatever happens to it.
 *
 * @module
 */

import { execFile, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { beside, Child, freePort, PYTHON } from "./_child.ts";

const TANGO_TEST = "/usr/lib/tango/TangoTest";
const DATABASE = "/usr/lib/tango/DataBaseds";
const SCHEMA = "/usr/share/dbconfig-common/data/tango-db/install/mysql";
const MARIADB = "/usr/sbin/mariadbd";

/** The server executables that can be started. */
const SERVERS = {
  /** Long-running commands: lrc_device.py. */
  lrc: {
    program: PYTHON,
    args: [beside("lrc_device.py")],
    name: "lrc_device",
    className: "LrcDevice",
    device: "test/lrc/1",
  },
  /** All types: types_device.py. */
  types: {
    program: PYTHON,
    args: [beside("types_device.py")],
    name: "types_device",
    className: "TypesDevice",
    device: "test/types/1",
  },
  /** Tango's own server for tests, in C++. */
  TangoTest: {
    program: TANGO_TEST,
    args: [],
    name: "TangoTest",
    className: "TangoTest",
    device: "sys/tg_test/1",
  },
} as const;

/** The name of a server that can be started. */
export type TangoServerName = keyof typeof SERVERS;

function findMissing(): string | undefined {
  if (!existsSync(PYTHON)) return "there is no Python of Debian";
  const { status } = spawnSync(PYTHON, ["-c", "import tango"], {
    stdio: "ignore",
  });
  if (status !== 0) return "python3-tango is not installed";
  if (!existsSync(TANGO_TEST)) return "tango-test is not installed";
  return undefined;
}

/** What is missing for tests with Tango, `undefined` for nothing. */
export const missingTango: string | undefined = findMissing();

/** What is missing for tests with a database, `undefined` for nothing. */
export const missingDatabase: string | undefined = missingTango ??
  (existsSync(DATABASE) && existsSync(SCHEMA)
    ? existsSync(MARIADB) ? undefined : "mariadb-server is not installed"
    : "tango-db is not installed");

/** Options of {@linkcode TangoServer.start}. */
export interface TangoServerOptions {
  /** Variables of its environment. */
  env?: Record<string, string>;
  /** The names of its devices, instead of the usual one. */
  devices?: readonly string[];
  /** The instance of the server, `"test"` unless given. */
  instance?: string;
  /** The database where the server and its devices are written down. */
  database?: TangoDatabase;
  /** Its port, a free one unless given. */
  port?: number;
  /** The port that clients are told by way of a database: that of a proxy. */
  publishedPort?: number;
  /**
   * Whether it may outlive a test and end with the process: for a server that
   * a module starts for all of its tests.
   */
  isShared?: boolean;
}

/** A server with devices, a process of its own. */
export class TangoServer implements AsyncDisposable {
  /** The port for requests. */
  readonly port: number;
  /** The names of its devices. */
  readonly devices: readonly string[];
  /** The name of its administrative device. */
  readonly admin: string;
  readonly #start: () => Child;
  readonly #hasDatabase: boolean;
  readonly #isShared: boolean;
  #child: Child;

  /** Starts a server and waits until it is ready. */
  static async start(
    name: TangoServerName,
    options: TangoServerOptions = {},
  ): Promise<TangoServer> {
    const { device, className, name: executable } = SERVERS[name];
    const { devices = [device], instance = "test", database } = options;
    await database?.register(`${executable}/${instance}`, className, devices);
    for (let attempt = 1;; attempt++) {
      const port = options.port ?? await freePort();
      const server = new TangoServer(name, port, options);
      try {
        await server.#ready();
        return server;
      } catch (error) {
        await server.stop();
        // Somebody else may have taken the port meanwhile.
        if (attempt === 3 || options.port !== undefined) throw error;
      }
    }
  }

  private constructor(
    name: TangoServerName,
    port: number,
    options: TangoServerOptions,
  ) {
    const server = SERVERS[name];
    const { instance = "test", database, devices = [server.device] } = options;
    this.port = port;
    this.devices = devices;
    this.admin = `dserver/${server.name}/${instance}`;
    this.#hasDatabase = database !== undefined;
    this.#isShared = options.isShared ?? false;
    const args = [
      ...server.args,
      instance,
      ...(database === undefined ? ["-nodb", "-dlist", devices.join()] : []),
      "-ORBendPoint",
      `giop:tcp:127.0.0.1:${port}`,
      ...(options.publishedPort === undefined ? [] : [
        "-ORBendPointPublish",
        `giop:tcp:127.0.0.1:${options.publishedPort}`,
      ]),
    ];
    const env = database === undefined
      ? options.env
      : { ...options.env, TANGO_HOST: database.host };
    this.#start = () =>
      new Child(server.program, args, env === undefined ? {} : { env });
    this.#child = this.#start();
  }

  /** The address of its first device. */
  get url(): string {
    return this.urlOf(this.devices[0] ?? "");
  }

  /** The address of a device, by way of a proxy if a port is given. */
  urlOf(device: string, port: number = this.port): string {
    return this.#hasDatabase
      ? device
      : `tango://127.0.0.1:${port}/${device}#dbase=no`;
  }

  /** The number of its process. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** How it has ended, `undefined` while it runs. */
  get exit(): string | undefined {
    return this.#child.exit;
  }

  /** What it has printed, for failures. */
  get output(): string {
    return this.#child.output;
  }

  /** Ends it and waits for its end. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.#child.end(signal);
  }

  /** Makes it deaf: it is there and does not answer. */
  freeze(): void {
    this.#child.signal("SIGSTOP");
  }

  /** Makes it go on. */
  thaw(): void {
    this.#child.signal("SIGCONT");
  }

  /** Starts it again on its port, after its end. */
  async restart(): Promise<void> {
    await this.kill();
    for (let attempt = 1;; attempt++) {
      this.#child = this.#start();
      try {
        return await this.#ready();
      } catch (error) {
        await this.kill();
        if (attempt === 3) throw error;
      }
    }
  }

  /** Ends it. */
  async stop(): Promise<void> {
    await this.kill();
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #ready(): Promise<void> {
    if (this.#isShared) this.#child.unref();
    await this.#child.printed("Ready to accept request");
  }
}

function execute(
  program: string,
  args: readonly string[],
  env?: Record<string, string>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(
      program,
      [...args],
      { env: { ...process.env, ...env }, timeout: 60_000 },
      (error, stdout, stderr) => {
        if (error === null) {
          resolve();
        } else {
          const text = `${program} has failed:\n${stdout}${stderr}`;
          reject(new Error(text, { cause: error }));
        }
      },
    );
  });
}

const REGISTER = `
import sys, tango
database = tango.Database()
server, class_name, *devices = sys.argv[1:]
for device in devices:
    info = tango.DbDevInfo()
    info.server, info._class, info.name = server, class_name, device
    database.add_device(info)
`;

/** A database of Tango, empty at first. */
export class TangoDatabase implements AsyncDisposable {
  /** Its port. */
  readonly port: number;
  readonly #children: Child[];
  readonly #folder: string;

  constructor(port: number, children: Child[], folder: string) {
    this.port = port;
    this.#children = children;
    this.#folder = folder;
  }

  /** What `TANGO_HOST` must be. */
  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** What its processes have printed, for failures. */
  get output(): string {
    return this.#children.map(({ output }) => output).join("\n");
  }

  /** Writes down which devices a server has. */
  async register(
    server: string,
    className: string,
    devices: readonly string[],
  ): Promise<void> {
    const args = ["-c", REGISTER, server, className, ...devices];
    await execute(PYTHON, args, { TANGO_HOST: this.host });
  }

  /** Ends it. */
  async stop(): Promise<void> {
    await endAll(this.#children, this.#folder);
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function endAll(children: Child[], folder: string): Promise<void> {
  for (const child of children.toReversed()) await child.end();
  await rm(folder, { recursive: true, force: true });
}

/** Starts a database of Tango, with a MariaDB of its own. */
export async function startDatabase(): Promise<TangoDatabase> {
  const folder = await mkdtemp(join(tmpdir(), "longrun-tango-"));
  const children: Child[] = [];
  try {
    return await startDatabaseIn(folder, children);
  } catch (error) {
    await endAll(children, folder);
    throw error;
  }
}

async function startDatabaseIn(
  folder: string,
  children: Child[],
): Promise<TangoDatabase> {
  const socket = join(folder, "socket");
  const common = [
    "--no-defaults",
    `--datadir=${join(folder, "data")}`,
    // Of their own: two at a time take each other's files away.
    `--tmpdir=${folder}`,
    // Without it MariaDB refuses to run as root.
    ...(process.getuid?.() === 0 ? ["--user=root"] : []),
  ];
  await execute("/usr/bin/mariadb-install-db", [
    ...common,
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
    "--skip-name-resolve",
  ]);
  const mariadbPort = await freePort();
  const mariadb = new Child(MARIADB, [
    ...common,
    `--socket=${socket}`,
    "--bind-address=127.0.0.1",
    `--port=${mariadbPort}`,
    "--skip-grant-tables",
    "--innodb-flush-log-at-trx-commit=0",
  ]);
  children.push(mariadb);
  await mariadb.printed("ready for connections");
  const script = join(folder, "install.sql");
  await writeFile(
    script,
    `create database tango;\nuse tango;\nsource ${SCHEMA}\n`,
  );
  await execute("/usr/bin/mariadb", [
    "--no-defaults",
    `--socket=${socket}`,
    "-e",
    `source ${script}`,
  ]);
  const port = await freePort();
  const server = new Child(
    DATABASE,
    ["2", "-ORBendPoint", `giop:tcp:127.0.0.1:${port}`],
    {
      env: {
        MYSQL_HOST: `127.0.0.1:${mariadbPort}`,
        MYSQL_USER: "root",
        MYSQL_PASSWORD: "none",
      },
    },
  );
  children.push(server);
  await server.printed("Ready to accept request");
  return new TangoDatabase(port, children, folder);
}
