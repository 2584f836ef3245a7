// Copyright 2026 the Longrun authors. MIT license.

import { onAbort } from "@longrun/tasks/cancellation";
import type { Logger } from "@longrun/tasks/logger";
import { resolve } from "node:path";
import {
  readConfig,
  readToken,
  type ServeConfig,
  type ServeGrants,
  type ServeScope,
  type ServeToken,
} from "./_cli_config.ts";
import {
  CommandError,
  EXIT,
  type ExitStatus,
  UsageError,
} from "./_cli_exit.ts";
import { isLoopback } from "./_rest_access.ts";
import { suggestion } from "./_cli_parse.ts";
import { optionOf, printJson, type Session } from "./_cli_session.ts";
import { harmless } from "./_cli_terminal.ts";

/** What `longrun serve` starts the service with. */
export interface ServeRequest {
  /** Where it listens. */
  hostname: string;
  /** Where it listens; 0 stands for any port that is free. */
  port: number;
  /** Which scripts may run, and what they may do. */
  policy: {
    readonly roots: readonly { path: string; grants?: ServeGrants }[];
    readonly repositories: readonly { url: string; grants?: ServeGrants }[];
  };
  /** Who may ask for what. Without any it is for this machine alone. */
  tokens: readonly ServeToken[];
  /** The file in which procedures are remembered. */
  database?: string;
  /** The folder of the scheduling blocks. */
  blocks?: string;
  /** The folder of checkouts and environments. */
  cache?: string;
  /** The address of the script that runs after a stop with an abort: `file://`. */
  abortScript?: string;
  /** How many procedures are remembered. */
  historyLimit?: number;
  /** How many procedures may run at a time. */
  maxRunning?: number;
  /** How many procedures may live at a time. */
  maxLive?: number;
  /** Whether it answers as `ska_oso_oet` does. */
  compat: boolean;
  /** Ends the service. */
  signal: AbortSignal;
  /** Told what happens. */
  logger: Logger;
}

/** A service that runs. */
export interface Served {
  /** Where the service is: `http://127.0.0.1:5000`. */
  readonly url: string;
  /** Where its control page is: `http://127.0.0.1:5000/ui`. */
  readonly page: string;
  /** Stops all procedures and ends the service. */
  close(): Promise<void>;
  /** Resolves when the service has ended, rejects when it has failed. */
  readonly finished: Promise<void>;
}

/** Starts the service. */
export type Serve = (options: ServeRequest) => Promise<Served>;

const SCOPES: readonly ServeScope[] = ["view", "run", "stop"];
const LISTS = ["read", "write", "env", "run", "sys"] as const;
const GRANTS = [...LISTS, "net", "import", "memory"];
const GRANT = new RegExp(`:(?=(?:${GRANTS.join("|")})(?:[=:]|$))`);

/** A folder and what its scripts may do: `PATH:read=A,B:net`. */
export function rootOf(word: string): { path: string; grants?: ServeGrants } {
  const [path = "", ...parts] = word.split(GRANT);
  const [, unknown] = /:([a-z]+)=/.exec(path) ?? [];
  if (unknown !== undefined) {
    throw new UsageError(
      `There is no grant '${unknown}'${suggestion(unknown, GRANTS)}`,
      ["serve"],
    );
  }
  if (path === "") throw new UsageError("'--root' needs a path", ["serve"]);
  const grants: ServeGrants = {};
  for (const part of parts) {
    const at = part.indexOf("=");
    const name = at < 0 ? part : part.slice(0, at);
    const values = at < 0
      ? []
      : part.slice(at + 1).split(",").filter((one) => one !== "");
    const list = LISTS.find((one) => one === name);
    if (list !== undefined) {
      if (values.length === 0) {
        throw new UsageError(`The grant '${name}' needs values: ${name}=A,B`, [
          "serve",
        ]);
      }
      const isPath = list === "read" || list === "write";
      grants[list] = [
        ...grants[list] ?? [],
        ...(isPath ? values.map((one) => resolve(one)) : values),
      ];
    } else if (name === "net") {
      grants.net = at < 0 || grants.net === true
        ? true
        : [...grants.net ?? [], ...values];
    } else if (name === "import") {
      if (at >= 0) {
        throw new UsageError("The grant 'import' takes no value", ["serve"]);
      }
      grants.import = true;
    } else {
      const [value = ""] = values;
      if (values.length !== 1 || !/^[1-9]\d{0,6}$/.test(value)) {
        throw new UsageError("The grant 'memory' needs a number of megabytes", [
          "serve",
        ]);
      }
      grants.memory = Number(value);
    }
  }
  return {
    path: resolve(path),
    ...(parts.length > 0 ? { grants } : {}),
  };
}

function portOf(word: string): number {
  const port = /^\d{1,5}$/.test(word) ? Number(word) : NaN;
  if (port <= 65_535) return port;
  throw new UsageError(`'${word}' is no port`, ["serve"]);
}

async function tokensOf(
  session: Session,
  config: ServeConfig,
  own: string | undefined,
): Promise<ServeToken[]> {
  const tokens: ServeToken[] = [];
  if (own !== undefined) tokens.push({ token: own, scopes: SCOPES });
  for (const each of config.tokens ?? []) {
    const { token, tokenFile = "", scopes = SCOPES, name } = each;
    tokens.push({
      token: token ?? await readToken(tokenFile),
      scopes,
      ...(name === undefined ? {} : { name }),
    });
  }
  if (tokens.some(({ token }) => token.length < 16)) {
    await session.terminal.complain(
      "A token is shorter than 16 characters: it can be guessed",
    );
  }
  return tokens;
}

/** What the command line and the file of `--config` ask for. */
async function serveOptionsOf(
  session: Session,
  token: string | undefined,
): Promise<ServeRequest> {
  const { line, signal, terminal } = session;
  const file = optionOf(session, "config");
  const config: ServeConfig = file === undefined ? {} : await readConfig(file);
  const port = optionOf(session, "port");
  const words = (name: string) => line.values.get(name) ?? [];
  const roots = [...config.roots ?? [], ...words("root").map(rootOf)];
  for (const { path } of roots) {
    const isFolder = await Deno.stat(path).then(
      ({ isDirectory }) => isDirectory,
      () => false,
    );
    if (!isFolder) {
      throw new CommandError(EXIT.usage, `There is no folder ${path}`);
    }
  }
  const hostname = optionOf(session, "hostname") ?? config.hostname ??
    "127.0.0.1";
  const tokens = await tokensOf(session, config, token);
  if (!isLoopback(hostname) && tokens.length === 0) {
    throw new CommandError(
      EXIT.usage,
      `Others could reach ${hostname}: it needs a token, by --token-file, ` +
        "LONGRUN_TOKEN or the file of --config",
    );
  }
  const path = (name: "database" | "blocks" | "cache") => {
    const given = optionOf(session, name);
    const value = given === undefined ? config[name] : resolve(given);
    return value === undefined ? {} : { [name]: value };
  };
  const { history, running, live } = config.limits ?? {};
  const abortScript = optionOf(session, "abort-script") ?? config.abortScript;
  const say = (level: string) => (message: string): void => {
    terminal.tell(`${level}: ${harmless(message)}`);
  };
  return {
    hostname,
    port: port === undefined ? config.port ?? 5000 : portOf(port),
    policy: {
      roots,
      repositories: [
        ...config.repositories ?? [],
        ...words("repository").map((url) => ({ url })),
      ],
    },
    tokens,
    ...path("database"),
    ...path("blocks"),
    ...path("cache"),
    ...(abortScript === undefined ? {} : { abortScript }),
    ...(history === undefined ? {} : { historyLimit: history }),
    ...(running === undefined ? {} : { maxRunning: running }),
    ...(live === undefined ? {} : { maxLive: live }),
    compat: line.switches.has("compat") || config.compat === true,
    signal,
    logger: {
      debug(): void {},
      info: say("info"),
      warn: say("warning"),
      error: (message, details) =>
        say("error")(
          details?.error === undefined
            ? message
            : `${message}: ${details.error}`,
        ),
    },
  };
}

/** `serve` */
export async function runServe(
  session: Session,
  token: string | undefined,
  serve: Serve,
): Promise<ExitStatus> {
  const { terminal, signal } = session;
  const options = await serveOptionsOf(session, token);
  const { roots, repositories } = options.policy;
  if (roots.length === 0 && repositories.length === 0) {
    await terminal.tell(
      "No script may run: allow some with --root or --repository",
    );
  }
  let served: Served;
  try {
    served = await serve(options);
  } catch (cause) {
    signal.throwIfAborted();
    throw new CommandError(
      EXIT.failed,
      `The service cannot be started: ${(cause as Error).message}`,
      { cause },
    );
  }
  const closed = Promise.withResolvers<void>();
  closed.promise.catch(() => {});
  const close = (): void => {
    served.close().then(closed.resolve, closed.reject);
  };
  // Before anybody knows of the service, who may then interrupt it.
  session.onInterrupt(() => {
    terminal.tell("Stopping; once more ends it at once");
    close();
  });
  const forget = onAbort(signal, close);
  const { url, page } = served;
  if (session.isJson) await printJson(session, { url, page });
  else await terminal.print(page);
  try {
    await Promise.race([closed.promise, served.finished]);
    signal.throwIfAborted();
    return EXIT.ok;
  } catch (cause) {
    signal.throwIfAborted();
    throw new CommandError(
      EXIT.failed,
      `The service has failed: ${(cause as Error).message}`,
      { cause },
    );
  } finally {
    forget();
  }
}
