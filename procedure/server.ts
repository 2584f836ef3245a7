// Copyright 2026 the Longrun authors. MIT license.

/**
 * The whole service: procedures and activities behind a REST interface, with a
 * control page.
 *
 * @module
 */

import { onAbort } from "@longrun/tasks/cancellation";
import { EventBus } from "@longrun/tasks/event-bus";
import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import {
  checkCommon,
  checkFiniteCount,
  checkName,
  checkOptions,
  complain,
} from "./_arguments.ts";
import { listen } from "./_http_listener.ts";
import { harmlessLogger } from "./_harmless_logger.ts";
import { isLoopback } from "./_rest_access.ts";
import { ActivityService } from "./activity_service.ts";
import { controlPage } from "./control_page.ts";
import { EnvironmentManager } from "./environment_manager.ts";
import { GitManager, type GitManagerOptions } from "./git_manager.ts";
import { recoverProcedures } from "./procedure_recovery.ts";
import type { ProcedureBus } from "./procedure_service.ts";
import {
  InMemoryProcedureStore,
  type ProcedureStore,
} from "./procedure_store.ts";
import { serveActivities, serveProcedures } from "./procedure_workers.ts";
import { RestApi, type RestApiOptions } from "./rest_api.ts";
import {
  InMemorySchedulingBlockStore,
  type SchedulingBlockStore,
} from "./scheduling_block_store.ts";
import {
  ScriptExecutionService,
  type ScriptExecutionServiceOptions,
} from "./script_execution_service.ts";
import { FileSystemScriptLoader, GitScriptLoader } from "./script_loader.ts";
import type { ScriptPolicy } from "./script_policy.ts";
import type { StopPolicy } from "./script_worker_options.ts";
import { type ScriptLoaders, ScriptWorkerPool } from "./script_worker_pool.ts";
import { SqliteProcedureStore } from "./sqlite_procedure_store.ts";

/** Options of {@linkcode serve}: its own, and some of its parts. */
export interface ServeOptions extends
  Pick<
    RestApiOptions,
    | "allowedHosts"
    | "authorize"
    | "basePath"
    | "compat"
    | "maxBodySize"
    | "maxStreams"
    | "requestTimeout"
    | "stream"
    | "tokens"
  >,
  Pick<
    ScriptExecutionServiceOptions,
    | "abortArgs"
    | "abortScript"
    | "abortTimeout"
    | "context"
    | "historyLimit"
    | "maxLive"
    | "maxRunning"
  > {
  /**
   * The address to listen at. Any but that of this machine needs `tokens` or
   * `authorize`.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string;
  /**
   * The port to listen at; 0 stands for any that is free.
   *
   * @default {5000}
   */
  port?: number;
  /**
   * Which scripts may be executed, and what they may do.
   *
   * @default {none}
   */
  policy?: ScriptPolicy;
  /**
   * Loaders of scripts of other kinds, or other loaders of these.
   *
   * @default {those of files and of git repositories}
   */
  loaders?: ScriptLoaders;
  /** How long each step of a stop of a script may take. */
  stopPolicy?: StopPolicy;
  /**
   * The file in which procedures, activities and output survive the service.
   *
   * @default {they do not}
   */
  database?: string;
  /**
   * Where the scheduling blocks are.
   *
   * @default {an empty store in memory}
   */
  blocks?: SchedulingBlockStore;
  /**
   * The folder of checkouts and environments.
   *
   * @default {a folder that is removed with the service}
   */
  cache?: string;
  /**
   * How repositories may be reached.
   *
   * @default {["https", "ssh"]}
   */
  protocols?: GitManagerOptions["protocols"];
  /** Ends the service, as `close()` does. */
  signal?: AbortSignal;
  /**
   * Told of what went wrong.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
}

/** A service that serves. */
export interface ProcedureServer extends AsyncDisposable {
  /** The address of the REST interface, without a slash at its end. */
  readonly url: string;
  /** The address of the control page. */
  readonly page: string;
  /** Its procedures. */
  readonly procedures: ScriptExecutionService;
  /** Its activities. */
  readonly activities: ActivityService;
  /** Resolves when it has ended. */
  readonly finished: Promise<void>;
  /**
   * Ends it: takes no more requests, stops all procedures, and resolves when
   * they have ended.
   */
  close(): Promise<void>;
}

/** Checks what is not an option of a part, before anything is opened. */
function checkServe(options: ServeOptions): void {
  const doing = "serve procedures";
  checkOptions(doing, options);
  checkCommon(doing, options);
  const { hostname = "127.0.0.1", port = 0, cache = "." } = options;
  checkName(doing, "hostname", hostname);
  checkFiniteCount(doing, "port", port, 0);
  if (port > 65_535) {
    throw new RangeError(complain(doing, "port", "at most 65535", port));
  }
  checkName(doing, "cache", cache);
  checkExposure(hostname, options);
}

function checkExposure(hostname: string, options: ServeOptions): void {
  const { tokens = [], authorize } = options;
  if (isLoopback(hostname)) return;
  if (tokens.length > 0 || authorize !== undefined) return;
  throw new TypeError(
    `Cannot serve at '${hostname}' without 'tokens' or 'authorize': whoever ` +
      "reaches it could execute programs",
  );
}

async function cacheFolder(
  given: string | undefined,
  stack: AsyncDisposableStack,
): Promise<string> {
  if (given !== undefined) return given;
  const folder = await Deno.makeTempDir({ prefix: "longrun_" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  return folder;
}

async function openStore(
  options: ServeOptions,
  logger: Logger,
  stack: AsyncDisposableStack,
): Promise<ProcedureStore> {
  const { database, signal } = options;
  const store: ProcedureStore = stack.use(
    database === undefined
      ? new InMemoryProcedureStore()
      : new SqliteProcedureStore(database, { logger }),
  );
  await recoverProcedures(store, { logger, signal });
  return store;
}

async function assemble(
  options: ServeOptions,
  stack: AsyncDisposableStack,
): Promise<Omit<ProcedureServer, "finished" | "close" | "page">> {
  const { hostname = "127.0.0.1", port = 5000, policy = {}, logger } = options;
  const store = await openStore(options, logger ?? defaultLogger, stack);
  const bus: ProcedureBus = stack.use(
    new EventBus({ name: "procedures", logger }),
  );
  const cache = await cacheFolder(options.cache, stack);
  const git = stack.use(
    new GitManager({
      directory: `${cache}/git`,
      protocols: options.protocols,
      logger,
    }),
  );
  const environments = stack.use(
    new EnvironmentManager({
      git,
      directory: `${cache}/environments`,
      logger,
    }),
  );
  const { stopPolicy } = options;
  const loaders: ScriptLoaders = {
    filesystem: new FileSystemScriptLoader(policy),
    git: new GitScriptLoader({ policy, git, environments }),
    ...options.loaders,
  };
  const pool = stack.use(
    new ScriptWorkerPool({ bus, loaders, stopPolicy, logger }),
  );
  const procedures = stack.use(
    new ScriptExecutionService({ ...options, pool, bus, store }),
  );
  const activities = stack.use(
    new ActivityService({
      procedures,
      blocks: options.blocks ?? new InMemorySchedulingBlockStore(),
      store,
      logger,
    }),
  );
  stack.use(serveProcedures(bus, procedures));
  stack.use(serveActivities(bus, activities));
  const api = new RestApi({
    ...options,
    procedures,
    activities,
    page: (request) => controlPage(request, { basePath: options.basePath }),
  });
  const { addr } = stack.use(listen(hostname, port, api.fetch));
  // The streams would keep the server from its end.
  stack.use(api);
  // First of all, so that those who listen hear how it ends.
  stack.defer(() => procedures.close());
  const host = addr.hostname.includes(":")
    ? `[${addr.hostname}]`
    : addr.hostname;
  const { basePath = "/api/v1" } = options;
  const url = `http://${host}:${addr.port}${basePath}`;
  return {
    url,
    procedures,
    activities,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/**
 * Serves procedures and activities. What `main` of `ska_oso_oet` puts together
 * from several processes is here one, but for the scripts.
 *
 * **When to use.** `longrun serve` on the command line is this function.
 *
 * **Gotchas.** Without a `policy` every script is refused. A database has one
 * service at a time.
 *
 * @param options Where to listen, what may be executed, and what is kept.
 * @returns A promise of the server, when it listens.
 * @throws {TypeError} If an option is of the wrong type, or everybody could
 * execute programs.
 * @throws {RangeError} If an option is out of range.
 *
 * @example Usage
 * ```ts
 * import { serve } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * const server = await serve({ port: 0 });
 * const response = await fetch(`${server.url}/procedures`);
 * assertEquals(await response.json(), []);
 * await server.close();
 * ```
 */
export async function serve(
  options: ServeOptions = {},
): Promise<ProcedureServer> {
  checkServe(options);
  const { signal, logger = defaultLogger } = options;
  signal?.throwIfAborted();
  const report = (error: unknown): void =>
    harmlessLogger(logger).error(
      `The service has not ended as it should: ${error}`,
      {
        error,
      },
    );
  const stack = new AsyncDisposableStack();
  let parts: Awaited<ReturnType<typeof assemble>>;
  try {
    parts = await assemble(options, stack);
    signal?.throwIfAborted();
  } catch (error) {
    await stack.disposeAsync().catch(report);
    throw error;
  }
  const { promise: finished, resolve, reject } = Promise.withResolvers<void>();
  // Whoever closes it is told; who only waits for the end too.
  finished.catch(() => {});
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    if (closing === undefined) {
      forget?.();
      closing = stack.disposeAsync();
      closing.then(resolve, reject);
    }
    return closing;
  };
  const forget = signal &&
    onAbort(signal, () => void close().catch(report));
  const page = new URL("/ui", parts.url).href;
  return { ...parts, page, finished, close, [Symbol.asyncDispose]: close };
}
