// Copyright 2026 the Longrun authors. MIT license.

/**
 * Procedures over HTTP: a `fetch` handler with the routes of the REST interface
 * of `ska_oso_oet`, a stream of events, and an OpenAPI document.
 *
 * ```text
 * POST /procedures            prepare     CREATING ... READY
 * PUT  /procedures/1          start, stop
 * GET  /procedures/1/output   what it wrote
 * GET  /stream                what happens, as it happens
 * ```
 *
 * @module
 */

import { CancelScope, onAbort, timeout } from "@longrun/tasks/cancellation";
import { type Clock, systemClock } from "@longrun/tasks/clock";
import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import { Hono } from "hono";
import { EventStreamHub } from "./_event_stream.ts";
import { harmlessLogger } from "./_harmless_logger.ts";
import { openApiDocument } from "./_open_api.ts";
import {
  methodNotAllowed,
  notFound,
  Problem,
  problemOf,
  tooSlow,
  unavailable,
} from "./_problem.ts";
import { encodeEvent } from "./_event_json.ts";
import {
  type AccessScope,
  type AccessToken,
  type Authorize,
  Gate,
} from "./_rest_access.ts";
import { BodySchemas } from "./_rest_body_schemas.ts";
import { Handlers } from "./_rest_handlers.ts";
import {
  checkRestOptions,
  type RestApiOptions,
  type RestStreamOptions,
} from "./_rest_options.ts";
import { type Route, ROUTES } from "./_rest_routes.ts";
import { restSchemas } from "./_rest_schemas.ts";

export type {
  AccessScope,
  AccessToken,
  Authorize,
  RestApiOptions,
  RestStreamOptions,
};

interface Bindings {
  readonly answer: (route: Route, id: string | undefined) => Promise<Response>;
}

const PAGE_POLICY = "default-src 'self'; frame-ancestors 'none'; " +
  "base-uri 'none'; form-action 'self'";

/**
 * Serves procedures over HTTP: a `fetch` handler for `Deno.serve` and whatever
 * else has requests and responses.
 *
 * **When to use.** For operators, pages and programs of other machines. Within
 * one program call the service itself.
 *
 * **Gotchas.** Without tokens let the server listen on 127.0.0.1: the handler
 * refuses names that are not of this machine, which keeps web pages out, and
 * foreign addresses if the server tells it where a request comes from. Whoever
 * may prepare procedures may execute programs.
 *
 * @example Usage
 * ```ts
 * import {
 *   type ProcedureBus,
 *   RestApi,
 *   ScriptExecutionService,
 *   ScriptWorkerPool,
 * } from "@longrun/procedure";
 * import { EventBus } from "@longrun/tasks/event-bus";
 * import { assertEquals } from "@std/assert";
 *
 * const bus: ProcedureBus = new EventBus();
 * const pool = new ScriptWorkerPool({ bus });
 * await using procedures = new ScriptExecutionService({ bus, pool });
 * await using api = new RestApi({ procedures });
 * await using server = Deno.serve(
 *   { hostname: "127.0.0.1", port: 0, onListen: () => {} },
 *   api.fetch,
 * );
 * const url = `http://127.0.0.1:${server.addr.port}/api/v1/procedures`;
 * assertEquals(await (await fetch(url)).json(), []);
 * ```
 */
export class RestApi implements AsyncDisposable {
  readonly #app: Hono<{ Bindings: Bindings }>;
  readonly #basePath: string;
  readonly #compat: boolean;
  readonly #page: RestApiOptions["page"];
  readonly #requestTimeout: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #gate: Gate;
  readonly #hub: EventStreamHub;
  readonly #handlers: Handlers;
  readonly #document: string;
  readonly #scope: CancelScope = new CancelScope();
  #requests = 0;
  #idle: (() => void) | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  /**
   * Creates a handler. From now on it keeps the events of the bus.
   *
   * @param options The procedures, the limits, and who may ask.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(options: RestApiOptions) {
    checkRestOptions(options);
    const {
      procedures,
      activities,
      basePath = "/api/v1",
      compat = false,
      tokens = [],
      authorize,
      allowedHosts,
      maxBodySize = 1024 * 1024,
      maxStreams = 1000,
      requestTimeout = 30_000,
      stream: { replay = 10_000, replayBytes = 2 ** 25, heartbeat = 15_000 } =
        {},
      page,
      version = "1.0.0",
      clock = systemClock,
    } = options;
    this.#basePath = basePath;
    this.#compat = compat;
    this.#page = page;
    this.#requestTimeout = requestTimeout;
    this.#clock = clock;
    const logger = harmlessLogger(options.logger ?? defaultLogger);
    this.#logger = logger;
    this.#gate = new Gate({ tokens, authorize, allowedHosts });
    this.#document = JSON.stringify(openApiDocument({
      basePath,
      version,
      compat,
      isSecured: !this.#gate.isOpen,
    }));
    this.#hub = new EventStreamHub(procedures.bus, {
      replay,
      replayBytes,
      maxStreams,
      heartbeat,
      clock,
      logger,
      encode: encodeEvent,
    });
    this.#handlers = new Handlers({
      procedures,
      activities,
      basePath,
      compat,
      maxBodySize,
      gate: this.#gate,
      hub: this.#hub,
      schemas: new BodySchemas(restSchemas(compat)),
      document: this.#document,
    });
    this.#app = this.#routes();
  }

  /** How many streams of events there are. */
  get streams(): number {
    return this.#hub.streams;
  }

  /** How many requests wait for their answers. */
  get requests(): number {
    return this.#requests;
  }

  /** The OpenAPI 3.1 document of the interface: a copy. */
  openApi(): Record<string, unknown> {
    return JSON.parse(this.#document);
  }

  /**
   * Answers a request. Can be passed on without its handler. Never rejects.
   *
   * @param request The request.
   * @param info What the server tells besides: where the request comes from.
   * @returns The response; an error is one, too.
   */
  readonly fetch = async (
    request: Request,
    info?: unknown,
  ): Promise<Response> => {
    this.#requests++;
    let phase: "body" | "service" = "service";
    using scope = new CancelScope(this.#scope.signal);
    const forget = watchReader(request, info, scope);
    try {
      const { signal } = scope;
      return await timeout(
        (signal) =>
          this.#respond(request, info, signal, (next) => phase = next),
        this.#requestTimeout,
        { clock: this.#clock, signal },
      );
    } catch (error) {
      return this.#refuse(error, scope.signal, phase);
    } finally {
      forget();
      this.#requests--;
      if (this.#requests === 0) this.#idle?.();
    }
  };

  /**
   * Ends the streams after what is left to tell, and the requests that wait.
   * Whatever is asked from now on is refused. The procedures go on.
   *
   * @returns A promise that resolves when no request waits any more.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** Closes the handler. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#scope.abort(unavailable("closed", "The server is closing"));
    this.#hub.close();
    if (this.#requests === 0) return;
    await new Promise<void>((resolve) => this.#idle = resolve);
  }

  #routes(): Hono<{ Bindings: Bindings }> {
    const app = new Hono<{ Bindings: Bindings }>({ strict: false });
    const methods = new Map<string, string[]>();
    for (const route of ROUTES) {
      const path = route.path.replace("{id}", ":id");
      const paths = [this.#basePath + path];
      if (route.isAtRoot && this.#basePath !== "") paths.push(path);
      for (const each of paths) {
        app.on(
          route.method.toUpperCase(),
          each,
          (context) => context.env.answer(route, context.req.param("id")),
        );
        const known = methods.get(each) ?? [];
        methods.set(each, known);
        if (route.method === "get") known.push("GET", "HEAD");
        else known.push(route.method.toUpperCase());
      }
    }
    for (const [path, known] of methods) {
      const allow = [...known, "OPTIONS"].join(", ");
      app.all(path, (context) => {
        if (context.req.method !== "OPTIONS") throw methodNotAllowed(allow);
        return new Response(null, { status: 204, headers: { allow } });
      });
    }
    app.notFound(() => {
      throw notFound();
    });
    app.onError((error) => {
      throw error;
    });
    return app;
  }

  async #respond(
    request: Request,
    info: unknown,
    signal: AbortSignal,
    onPhase: (phase: "body" | "service") => void,
  ): Promise<Response> {
    try {
      const url = addressOf(request);
      this.#gate.checkSource(request, url, info);
      signal.throwIfAborted();
      const page = await this.#pageAnswer(request, url);
      if (page !== undefined) return withHeaders(page, true);
      const response = await this.#app.fetch(request, {
        answer: (route, id) => {
          const routed = { request, url, route, id, signal, onPhase };
          return this.#handlers.answer(routed);
        },
      });
      return withHeaders(response, false);
    } catch (error) {
      // Whoever asked has gone, or waits no longer: that is told elsewhere.
      if (signal.aborted) throw error;
      const problem = problemOf(error, this.#logger);
      return withHeaders(problem.toResponse(this.#compat), false);
    }
  }

  async #pageAnswer(
    request: Request,
    url: URL,
  ): Promise<Response | undefined> {
    if (this.#page === undefined) return undefined;
    const { pathname } = url;
    const base = this.#basePath;
    const below = base !== "" && pathname.startsWith(`${base}/`)
      ? pathname.slice(base.length)
      : pathname;
    const isRoot = pathname === "/" || pathname === base ||
      pathname === `${base}/`;
    if (!isRoot && below !== "/ui" && !below.startsWith("/ui/")) {
      return undefined;
    }
    const { method } = request;
    const allow = "GET, HEAD, OPTIONS";
    if (method === "OPTIONS") {
      return new Response(null, { status: 204, headers: { allow } });
    }
    if (method !== "GET" && method !== "HEAD") throw methodNotAllowed(allow);
    if (isRoot) {
      const location = pathname === "/" ? "ui" : "/ui";
      return new Response(null, { status: 307, headers: { location } });
    }
    if (below === pathname) return await this.#page(request);
    const moved = new URL(url);
    moved.pathname = below;
    // Without the signal: Deno's server warns whoever looks at it.
    const { headers } = request;
    return await this.#page(new Request(moved, { method, headers }));
  }

  #refuse(
    error: unknown,
    signal: AbortSignal,
    phase: "body" | "service",
  ): Response {
    const isLate = !signal.aborted && error instanceof DOMException &&
      error.name === "TimeoutError";
    const problem = isLate
      ? tooSlow(phase, this.#requestTimeout)
      : this.#scope.aborted
      ? problemOf(this.#scope.reason, this.#logger)
      : signal.aborted
      ? unavailable("aborted", "The request was given up")
      : problemOf(error, this.#logger);
    return withHeaders(problem.toResponse(this.#compat), false);
  }
}

/** The address of a request, whose host may be anything. */
function addressOf(request: Request): URL {
  try {
    return new URL(request.url);
  } catch (cause) {
    const detail = "This server has another name";
    throw new Problem(421, "wrong-host", detail, { cause });
  }
}

/**
 * Aborts the scope when whoever asked has gone.
 *
 * @returns A function that ends the watch.
 */
function watchReader(
  request: Request,
  info: unknown,
  scope: CancelScope,
): () => void {
  const { completed } = (info ?? {}) as { completed?: unknown };
  if (!(completed instanceof Promise)) {
    return onAbort(request.signal, (reason) => scope.abort(reason));
  }
  // Deno's server aborts the signal of every request, and warns of it.
  let isWatching = true;
  completed.catch((reason) => {
    if (isWatching) scope.abort(reason);
  });
  return () => void (isWatching = false);
}

/** The response with the headers that all have, and no others changed. */
function withHeaders(response: Response, isPage: boolean): Response {
  // One that came from elsewhere may not let itself be changed.
  const changed = isPage ? new Response(response.body, response) : response;
  const all = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    ...(isPage ? { "content-security-policy": PAGE_POLICY } : {}),
  };
  for (const [name, value] of Object.entries(all)) {
    if (!changed.headers.has(name)) changed.headers.set(name, value);
  }
  return changed;
}
