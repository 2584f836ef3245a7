// Copyright 2026 the Longrun authors. MIT license.

/**
 * A service of procedures from afar: everything that its REST interface can do,
 * in the types of this package.
 *
 * ```ts
 * import { fileSystemScript, ProcedureClient } from "@longrun/procedure";
 *
 * async function observe(client: ProcedureClient): Promise<void> {
 *   await using events = client.stream({ topics: ["procedure.*"] });
 *   await events.connect();
 *   const { id } = await client.create({
 *     script: fileSystemScript("file:///scripts/observe.ts"),
 *   });
 *   for await (const { topic, data } of events) {
 *     console.log(topic, data);
 *     if (topic === "procedure.lifecycle.ready") await client.start({ pid: id });
 *     if (topic === "procedure.lifecycle.complete") break;
 *   }
 * }
 * ```
 *
 * @module
 */

import { backoff, type RestartPolicy } from "@longrun/tasks/backoff";
import { type Clock, systemClock } from "@longrun/tasks/clock";
import { defaultLogger, type Logger } from "@longrun/tasks/logger";
import {
  checkCommon,
  checkFiniteCount,
  checkFunction,
  checkOptions,
  checkPositive,
  checkScript,
  checkString,
  checkType,
} from "./_arguments.ts";
import { ProcedureClientError } from "./_client_error.ts";
import { type HttpCall, HttpCaller } from "./_client_http.ts";
import { EventStream, type ProcedureEvents } from "./_client_stream.ts";
import {
  type OutputPage,
  readActivities,
  readActivity,
  readOutput,
  readProcedure,
  readProcedures,
  type RemoteActivity,
  type RemoteProcedure,
  writeRun,
} from "./_client_wire.ts";
import { encodeScript } from "./_script_json.ts";
import type { RunActivityCommand } from "./activity.ts";
import type {
  PrepareProcessCommand,
  ProcedureInput,
  StopProcessCommand,
} from "./procedure.ts";
import type { OutputOptions, WaitOptions } from "./procedure_service.ts";

export {
  ProcedureClientError,
  type ProcedureClientErrorCode,
  type ProcedureClientErrorOptions,
} from "./_client_error.ts";
export type { ProcedureEvents } from "./_client_stream.ts";
export type {
  OutputPage,
  RemoteActivity,
  RemoteEvent,
  RemoteProcedure,
} from "./_client_wire.ts";

/** Where a service is if nobody says otherwise. */
const DEFAULT_URL = "http://127.0.0.1:5000/api/v1";

/** Options of {@linkcode ProcedureClient}. */
export interface ProcedureClientOptions {
  /**
   * The address of the REST interface. One without a path stands for its
   * `/api/v1`.
   *
   * @default {"http://127.0.0.1:5000/api/v1"}
   */
  url?: string;
  /** Shown with every request. It is sent to no other origin. */
  token?: string;
  /**
   * How long an answer may take, in milliseconds.
   *
   * @default {30_000}
   */
  timeout?: number;
  /**
   * Sends the requests.
   *
   * @default {fetch}
   */
  fetch?: (request: Request) => Promise<Response>;
  /**
   * When a stream of events that has broken is opened again.
   *
   * @default {backoff({ limit: Infinity, initial: 250, maximum: 10_000, jitter: 0.2 })}
   */
  restart?: RestartPolicy;
  /**
   * After how many milliseconds without so much as a heartbeat a stream of
   * events counts as broken.
   *
   * @default {45_000}
   */
  silence?: number;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /** Told when streams break and stand again. */
  logger?: Logger;
}

/** What {@linkcode ProcedureClient.start} is asked for. */
export interface RemoteStartCommand {
  /** The number of the procedure. */
  readonly pid: number;
  /** What `main` is called with. */
  readonly args?: ProcedureInput;
}

/** Options of {@linkcode ProcedureClient.stream}. */
export interface StreamOptions extends WaitOptions {
  /**
   * Which topics: `name`, `prefix.*` or `*`.
   *
   * @default {["*"]}
   */
  topics?: readonly string[];
  /** The event after which the stream begins, if the service remembers it. */
  lastEventId?: string;
}

function addressOf(url: string): string {
  let address: URL | null = null;
  try {
    address = new URL(url);
  } catch {
    // Refused below.
  }
  checkType(
    address !== null && /^https?:$/.test(address.protocol) &&
      address.username === "" && address.password === "" &&
      address.search === "" && address.hash === "",
    "create ProcedureClient",
    "url",
    "an address of http or https without a password, query and fragment",
    url,
  );
  const { origin, pathname } = address as URL;
  return origin + (pathname === "/" ? "/api/v1" : pathname.replace(/\/+$/, ""));
}

/**
 * A service of procedures from afar.
 *
 * ### When to use
 * In whatever controls procedures and is not the service itself. A browser that
 * only looks needs no more than `EventSource`.
 *
 * ### Gotchas
 * - A call that is aborted ends only the wait: what the service was asked for
 *   may happen all the same.
 * - A call that fails with `"unreachable"` or `"timeout"` may have been heard.
 *   Nothing is sent twice: look at {@linkcode ProcedureClient.list} first.
 *
 * @example Usage
 * ```ts
 * import { ProcedureClient } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * const client = new ProcedureClient({
 *   url: "http://telescope:5000/api/v1",
 *   fetch: () => Promise.resolve(Response.json([])),
 * });
 * assertEquals(await client.list(), []);
 * ```
 */
export class ProcedureClient {
  /** Where the REST interface is. */
  readonly url: string;
  readonly #caller: HttpCaller;
  readonly #restart: RestartPolicy;
  readonly #silence: number;
  readonly #clock: Clock;
  readonly #logger: Logger;

  /**
   * Creates a client. It asks for nothing yet.
   *
   * @param options Where the service is, and how it is asked.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(options: ProcedureClientOptions = {}) {
    const action = "create ProcedureClient";
    checkOptions(action, options);
    checkCommon(action, options);
    const {
      url = DEFAULT_URL,
      token,
      timeout = 30_000,
      fetch = (request) => globalThis.fetch(request),
      restart = backoff({
        limit: Infinity,
        initial: 250,
        maximum: 10_000,
        jitter: 0.2,
      }),
      silence = 45_000,
      clock = systemClock,
      logger = defaultLogger,
    } = options;
    checkString(action, "url", url);
    checkType(
      token === undefined ||
        typeof token === "string" && /^[\x21-\x7e]+$/.test(token),
      action,
      "token",
      "printable characters without spaces",
      typeof token === "string" ? "…" : token,
    );
    checkPositive(action, "timeout", timeout);
    checkFunction(action, "fetch", fetch);
    checkPositive(action, "silence", silence);
    this.url = addressOf(url);
    this.#restart = restart;
    this.#silence = silence;
    this.#clock = clock;
    this.#logger = logger;
    this.#caller = new HttpCaller({
      url: this.url,
      token,
      fetch,
      clock,
      timeout,
    });
  }

  /**
   * All procedures that the service remembers.
   *
   * @throws {ProcedureClientError} If the service does not answer, or refuses.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async list(options: WaitOptions = {}): Promise<readonly RemoteProcedure[]> {
    return readProcedures(await this.#get("/procedures/", options));
  }

  /**
   * A procedure.
   *
   * @param pid Its number.
   * @throws {ProcedureClientError} `"procedure-not-found"`, and as
   * {@linkcode ProcedureClient.list}.
   */
  async get(pid: number, options: WaitOptions = {}): Promise<RemoteProcedure> {
    checkFiniteCount("get procedure", "pid", pid, 1);
    return readProcedure(await this.#get(`/procedures/${pid}`, options));
  }

  /**
   * Prepares a procedure. Resolves as soon as there is one: READY comes later.
   *
   * @param command The script, and what its `init` is called with.
   * @throws {TypeError} If it is no script. Which kinds there are the service says.
   * @throws {ProcedureClientError} `"script-refused"`,
   * `"too-many-procedures"`, and as {@linkcode ProcedureClient.list}.
   */
  async create(
    command: PrepareProcessCommand,
    options: WaitOptions = {},
  ): Promise<RemoteProcedure> {
    checkOptions("create procedure", command);
    const { script, initArgs: init } = command;
    checkScript("create procedure", "script", script);
    const body = {
      script: encodeScript(script, undefined),
      ...(init === undefined ? {} : { script_args: { init } }),
    };
    return readProcedure(
      await this.#send("POST", "/procedures/", body, options),
    );
  }

  /**
   * Calls `main` of a procedure that is READY. Resolves when it has begun.
   *
   * @param command Which procedure, and what `main` is called with.
   * @throws {ProcedureClientError} `"procedure-not-found"`,
   * `"invalid-state"`, `"another-running"`, and as
   * {@linkcode ProcedureClient.list}.
   */
  async start(
    command: RemoteStartCommand,
    options: WaitOptions = {},
  ): Promise<RemoteProcedure> {
    checkOptions("start procedure", command);
    const { pid, args: main } = command;
    checkFiniteCount("start procedure", "pid", pid, 1);
    const body = {
      state: "RUNNING",
      ...(main === undefined ? {} : { script_args: { main } }),
    };
    const started = readProcedure(
      await this.#send("PUT", `/procedures/${pid}`, body, options),
    );
    // A service that is compatible refuses without a word. What has just begun
    // has not ended, and main is called once.
    const { calls, state } = started;
    const isBegun = calls.some(({ fn }) => fn === "main");
    if (!isBegun || state === "COMPLETE" || state === "STOPPED") {
      throw new ProcedureClientError(
        "invalid-state",
        `PID #${pid} unrunnable in state ${state}`,
        { status: 200 },
      );
    }
    return started;
  }

  /**
   * Stops a procedure. Resolves when its process has ended.
   *
   * @param command Which procedure, and whether the abort script runs then.
   * @returns What the service says of it.
   * @throws {ProcedureClientError} `"procedure-not-found"`,
   * `"invalid-state"`, `"abort-failed"`, and as {@linkcode ProcedureClient.list}.
   */
  async stop(
    command: StopProcessCommand,
    options: WaitOptions = {},
  ): Promise<string> {
    checkOptions("stop procedure", command);
    const { pid, runAbort: abort = false } = command;
    checkFiniteCount("stop procedure", "pid", pid, 1);
    const body = { state: "STOPPED", abort };
    const answer = await this.#send(
      "PUT",
      `/procedures/${pid}`,
      body,
      options,
    );
    const { abort_message } = Object(answer) as { abort_message?: unknown };
    const message = typeof abort_message === "string" ? abort_message : "";
    // A service that is compatible refuses with a success.
    if (message.startsWith("Cannot stop")) {
      throw new ProcedureClientError("invalid-state", message, { status: 200 });
    }
    return message;
  }

  /**
   * What the script of a procedure wrote.
   *
   * @param pid The number of the procedure.
   * @param options Which lines.
   * @throws {ProcedureClientError} `"procedure-not-found"`, and as
   * {@linkcode ProcedureClient.list}.
   */
  async output(
    pid: number,
    options: OutputOptions & WaitOptions = {},
  ): Promise<OutputPage> {
    checkFiniteCount("get output", "pid", pid, 1);
    checkOptions("get output", options);
    const { after = 0, limit = 1000 } = options;
    checkFiniteCount("get output", "after", after, 0);
    checkFiniteCount("get output", "limit", limit, 1);
    const path = `/procedures/${pid}/output?after=${after}&limit=${limit}`;
    return readOutput(await this.#get(path, options), pid);
  }

  /**
   * All activities that the service remembers.
   *
   * @throws {ProcedureClientError} As {@linkcode ProcedureClient.list}.
   */
  async activities(
    options: WaitOptions = {},
  ): Promise<readonly RemoteActivity[]> {
    return readActivities(await this.#get("/activities/", options));
  }

  /**
   * An activity.
   *
   * @param id Its number.
   * @throws {ProcedureClientError} `"activity-not-found"`, and as
   * {@linkcode ProcedureClient.list}.
   */
  async activity(
    id: number,
    options: WaitOptions = {},
  ): Promise<RemoteActivity> {
    checkFiniteCount("get activity", "id", id, 1);
    return readActivity(await this.#get(`/activities/${id}`, options));
  }

  /**
   * Runs an activity of a scheduling block.
   *
   * @param command Which activity, and how.
   * @throws {ProcedureClientError} `"scheduling-block-not-found"`,
   * `"activity-not-defined"`, and as {@linkcode ProcedureClient.create}.
   */
  async run(
    command: RunActivityCommand,
    options: WaitOptions = {},
  ): Promise<RemoteActivity> {
    checkOptions("run activity", command);
    return readActivity(
      await this.#send("POST", "/activities/", writeRun(command), options),
    );
  }

  /**
   * The events of the service. A connection that breaks is opened again where
   * it was; what was lost all the same is told by an event with the topic
   * `stream.gap`. Events are read only as fast as they are asked for: a slow
   * reader is told of a gap, too.
   *
   * @param options Which events.
   * @returns The events. `connect()` makes sure that none is missed from then
   * on.
   *
   * @example Usage
   * ```ts
   * import { ProcedureClient } from "@longrun/procedure";
   * import { assertEquals } from "@std/assert";
   *
   * const client = new ProcedureClient({
   *   fetch: () =>
   *     Promise.resolve(
   *       new Response('id: 1-1\ndata: {"topic":"dome.open"}\n\n', {
   *         headers: { "content-type": "text/event-stream" },
   *       }),
   *     ),
   * });
   * for await (const { topic } of client.stream()) {
   *   assertEquals(topic, "dome.open");
   *   break;
   * }
   * ```
   */
  stream(options: StreamOptions = {}): ProcedureEvents {
    const action = "open stream";
    checkOptions(action, options);
    checkCommon(action, options);
    const { topics = ["*"], lastEventId = "", signal } = options;
    checkType(
      Array.isArray(topics) && topics.length > 0 &&
        topics.every((topic) => /^[^\s,]+$/.test(topic)),
      action,
      "topics",
      "an array of patterns of topics",
      topics,
    );
    checkString(action, "lastEventId", lastEventId);
    const query = topics.includes("*")
      ? ""
      : `?topics=${topics.map(encodeURIComponent).join(",")}`;
    return new EventStream({
      caller: this.#caller,
      path: `/stream${query}`,
      lastEventId,
      restart: this.#restart,
      silence: this.#silence,
      clock: this.#clock,
      logger: this.#logger,
      signal,
    });
  }

  #get(path: string, options: WaitOptions): Promise<unknown> {
    return this.#ask({ method: "GET", path }, options);
  }

  #send(
    method: "POST" | "PUT",
    path: string,
    body: unknown,
    options: WaitOptions,
  ): Promise<unknown> {
    return this.#ask({ method, path, body }, options);
  }

  #ask(call: HttpCall, options: WaitOptions): Promise<unknown> {
    checkOptions("ask the service", options);
    checkCommon("ask the service", options);
    return this.#caller.ask({ ...call, signal: options.signal });
  }
}
