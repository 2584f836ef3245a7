// Copyright 2026 the Longrun authors. MIT license.

import type { Clock } from "@longrun/tasks/clock";
import type { Logger } from "@longrun/tasks/logger";
import type { EventStreamHub } from "./_event_stream.ts";
import {
  noActivity,
  noProcedure,
  Problem,
  unavailable,
  unprocessable,
} from "./_problem.ts";
import {
  type ActivityCreateJson,
  decodeActivityCommand,
  decodeContext,
  decodeInput,
  encodeActivity,
  encodeContext,
  encodeOutput,
  encodeProcedure,
  type ScriptArgsJson,
} from "./_procedure_json.ts";
import { decodeScript, type ScriptJson } from "./_script_json.ts";
import type { Gate } from "./_rest_access.ts";
import { readJson } from "./_rest_body.ts";
import type { BodySchemas } from "./_rest_body_schemas.ts";
import { MOST_LINES, type Route, type RouteId } from "./_rest_routes.ts";
import type { ProcedureSummary } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { ActivityRunner, ProcedureService } from "./procedure_service.ts";
import { isFinal } from "./procedure_state.ts";

/** What the handlers need. */
export interface HandlerSettings {
  readonly procedures: ProcedureService;
  readonly activities: ActivityRunner | undefined;
  readonly basePath: string;
  readonly compat: boolean;
  readonly maxBodySize: number;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** A request, with what is known of it. */
export interface Call {
  readonly request: Request;
  readonly url: URL;
  readonly route: Route;
  /** The `{id}` of the path. */
  readonly id: string | undefined;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** What the request waits for, for the problem that a timeout is. */
  readonly onPhase: (phase: "body" | "service") => void;
}

type Handler = (call: Call) => Response | Promise<Response>;

interface ProcedureCreateJson {
  script: ScriptJson;
  script_args?: ScriptArgsJson | null;
}

interface ProcedureUpdateJson {
  state?: string | null;
  script_args?: ScriptArgsJson | null;
  abort?: boolean | null;
}

/** An answer in JSON. */
function jsonResponse(
  body: unknown,
  status: number = 200,
  headers: Record<string, string> = {},
): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}

const MOST_PATTERNS = 100;
const PATTERN = /^(\*|[^\s.*]+(\.[^\s.*]+)*(\.\*)?)$/;

function numberIn(
  place: string,
  text: string | null | undefined,
  part: "path" | "query",
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  const number = /^\d{1,16}$/.test(text ?? "") ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  const range = most === Number.MAX_SAFE_INTEGER
    ? `of at least ${least}`
    : `from ${least} to ${most}`;
  const message = `must be an integer ${range}`;
  throw unprocessable([{ place, message, part, rule: "int_parsing" }]);
}

function idOf(call: Call): number {
  return numberIn("id", call.id, "path", 1);
}

function patternsIn(url: URL): readonly string[] {
  const patterns = url.searchParams.getAll("topics")
    .flatMap((each) => each.split(","))
    .map((each) => each.trim())
    .filter((each) => each !== "");
  const wrong = patterns.length > MOST_PATTERNS
    ? `must not be more than ${MOST_PATTERNS}`
    : patterns.every((each) => PATTERN.test(each))
    ? undefined
    : "must be topics, or prefixes such as procedure.*";
  if (wrong === undefined) return patterns;
  throw unprocessable([{
    place: "topics",
    message: wrong,
    part: "query",
    rule: "pattern",
  }]);
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof ProcedureError && error.code === code;

/** Answers what is asked, each route by a method. */
export class Handlers {
  readonly #settings: HandlerSettings;
  readonly #gate: Gate;
  readonly #hub: EventStreamHub;
  readonly #schemas: BodySchemas;
  readonly #document: string;
  readonly #handlers: Readonly<Record<RouteId, Handler>> = {
    listProcedures: (call) => this.#listProcedures(call),
    getProcedure: (call) => this.#getProcedure(call),
    createProcedure: (call) => this.#createProcedure(call),
    updateProcedure: (call) => this.#updateProcedure(call),
    getOutput: (call) => this.#getOutput(call),
    listActivities: (call) => this.#listActivities(call),
    getActivity: (call) => this.#getActivity(call),
    runActivity: (call) => this.#runActivity(call),
    stream: (call) => this.#stream(call),
    getContext: () => this.#context(),
    updateContext: (call) => this.#updateContext(call),
    overrideQa: () => this.#overrideQa(),
    openApi: () => this.#openApi(),
    health: () => this.#health(),
  };

  constructor(
    settings: HandlerSettings,
    gate: Gate,
    hub: EventStreamHub,
    schemas: BodySchemas,
    document: string,
  ) {
    this.#settings = settings;
    this.#gate = gate;
    this.#hub = hub;
    this.#schemas = schemas;
    this.#document = document;
  }

  /** Answers a request that has been let through. */
  async answer(call: Call): Promise<Response> {
    const { request, route, signal } = call;
    await this.#gate.admit(request, route.scopes);
    signal.throwIfAborted();
    return await this.#handlers[route.id](call);
  }

  #root(call: Call): string {
    return call.url.origin + this.#settings.basePath;
  }

  async #body<T>(call: Call): Promise<T> {
    const { maxBodySize, compat } = this.#settings;
    const { request, route, signal } = call;
    call.onPhase("body");
    const body = await readJson(request, maxBodySize, compat, signal);
    call.onPhase("service");
    const places = this.#schemas.check(route.body ?? "", body);
    if (places.length > 0) throw unprocessable(places);
    return body as T;
  }

  #summary(id: number): ProcedureSummary {
    try {
      const [summary] = this.#settings.procedures.summarise([id]);
      if (summary !== undefined) return summary;
    } catch (error) {
      if (!hasCode(error, "procedure-not-found")) throw error;
    }
    throw noProcedure(id);
  }

  #listProcedures(call: Call): Response {
    const root = this.#root(call);
    const all = this.#settings.procedures.summarise();
    return jsonResponse(all.map((each) => encodeProcedure(each, root)));
  }

  #getProcedure(call: Call): Response {
    const summary = this.#summary(idOf(call));
    return jsonResponse(encodeProcedure(summary, this.#root(call)));
  }

  async #createProcedure(call: Call): Promise<Response> {
    const body = await this.#body<ProcedureCreateJson>(call);
    const summary = await this.#settings.procedures.prepare({
      script: decodeScript(body.script),
      initArgs: decodeInput(body.script_args?.init),
    }, { signal: call.signal });
    const json = encodeProcedure(summary, this.#root(call));
    return jsonResponse(json, 201, { location: json.uri });
  }

  async #updateProcedure(call: Call): Promise<Response> {
    const id = idOf(call);
    const body = await this.#body<ProcedureUpdateJson>(call);
    const scope = body.state === "RUNNING"
      ? "run"
      : body.state === "STOPPED"
      ? "stop"
      : undefined;
    if (scope !== undefined) await this.#gate.admit(call.request, [scope]);
    call.signal.throwIfAborted();
    const summary = this.#summary(id);
    if (scope === "stop") {
      return await this.#stop(call, summary, body.abort ?? false);
    }
    const changed = scope === "run"
      ? await this.#start(call, summary, body)
      : summary;
    return jsonResponse(encodeProcedure(changed, this.#root(call)));
  }

  async #start(
    call: Call,
    summary: ProcedureSummary,
    body: ProcedureUpdateJson,
  ): Promise<ProcedureSummary> {
    const { procedures, compat } = this.#settings;
    const { id: pid, state } = summary;
    if (compat && state !== "READY") return summary;
    const args = decodeInput(body.script_args?.main);
    try {
      const command = { pid, fn: "main", args };
      return await procedures.start(command, { signal: call.signal });
    } catch (error) {
      if (hasCode(error, "procedure-not-found")) throw noProcedure(pid);
      if (!compat || !hasCode(error, "invalid-state")) throw error;
      return this.#summary(pid);
    }
  }

  async #stop(
    call: Call,
    summary: ProcedureSummary,
    runAbort: boolean,
  ): Promise<Response> {
    const { procedures, compat } = this.#settings;
    const { id: pid, state } = summary;
    try {
      if (isFinal(state)) {
        const detail = `Cannot stop PID ${pid} with state ${state}`;
        throw new ProcedureError("invalid-state", detail);
      }
      await procedures.stop({ pid, runAbort }, { signal: call.signal });
    } catch (error) {
      if (hasCode(error, "procedure-not-found")) throw noProcedure(pid);
      if (!compat || !hasCode(error, "invalid-state")) throw error;
      const reason = `Cannot stop script with ID ${pid}: Script is not running`;
      return jsonResponse({ abort_message: reason });
    }
    const more = runAbort ? " and aborted subarray activity" : "";
    const message = `Successfully stopped script with ID ${pid}${more}`;
    return jsonResponse({ abort_message: message });
  }

  #getOutput(call: Call): Response {
    const id = idOf(call);
    const { searchParams } = call.url;
    const after = numberIn(
      "after",
      searchParams.get("after") ?? "0",
      "query",
      0,
    );
    const limit = numberIn(
      "limit",
      searchParams.get("limit") ?? "1000",
      "query",
      1,
      MOST_LINES,
    );
    this.#summary(id);
    const lines = this.#settings.procedures.output(id, { after, limit });
    return jsonResponse({
      lines: lines.map(encodeOutput),
      next: lines.at(-1)?.line ?? after,
    });
  }

  #runner(): ActivityRunner {
    const { activities } = this.#settings;
    if (activities !== undefined) return activities;
    throw unavailable("no-activities", "This service has no activities");
  }

  #listActivities(call: Call): Response {
    const root = this.#root(call);
    const all = this.#settings.activities?.summarise() ?? [];
    return jsonResponse(all.map((each) => encodeActivity(each, root)));
  }

  #getActivity(call: Call): Response {
    const id = idOf(call);
    try {
      const [summary] = this.#settings.activities?.summarise([id]) ?? [];
      if (summary !== undefined) {
        return jsonResponse(encodeActivity(summary, this.#root(call)));
      }
    } catch (error) {
      if (!hasCode(error, "activity-not-found")) throw error;
    }
    throw noActivity(id);
  }

  async #runActivity(call: Call): Promise<Response> {
    const body = await this.#body<ActivityCreateJson>(call);
    const command = decodeActivityCommand(body);
    const summary = await this.#runner().run(command, { signal: call.signal });
    const json = encodeActivity(summary, this.#root(call));
    return jsonResponse(json, 201, { location: json.uri });
  }

  #stream(call: Call): Response {
    const { request, url } = call;
    const patterns = patternsIn(url);
    const headers = {
      "content-type": "text/event-stream",
      "x-accel-buffering": "no",
    };
    if (request.method === "HEAD") return new Response(null, { headers });
    const lastEventId = request.headers.get("last-event-id") ??
      url.searchParams.get("last_event_id") ?? undefined;
    const body = this.#hub.open({
      patterns,
      root: this.#root(call),
      lastEventId: lastEventId === "" ? undefined : lastEventId,
    });
    return new Response(body, { headers });
  }

  #context(): Response {
    return jsonResponse(encodeContext(this.#settings.procedures.context));
  }

  async #updateContext(call: Call): Promise<Response> {
    const body = await this.#body<Record<string, unknown>>(call);
    try {
      this.#settings.procedures.setContext(decodeContext(body));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new Problem(422, "invalid-request", error.message);
    }
    return this.#context();
  }

  #overrideQa(): Response {
    const { bus } = this.#settings.procedures;
    const topic = "operator.wait_for_qa_ready.override";
    bus.publish(topic, {}, { source: "rest" });
    return jsonResponse({}, 202);
  }

  #openApi(): Response {
    return new Response(this.#document, {
      headers: { "content-type": "application/json" },
    });
  }

  #health(): Response {
    const all = this.#settings.procedures.summarise();
    return jsonResponse({
      status: "ok",
      live: all.filter(({ state }) => !isFinal(state)).length,
      running: all.filter(({ state }) => state === "RUNNING").length,
    });
  }
}

/** The problem that a request is which took too long. */
export function tooSlow(phase: "body" | "service", ms: number): Problem {
  if (phase === "body") {
    const detail = `The body did not come within ${ms} ms`;
    return new Problem(408, "slow-body", detail);
  }
  const detail = `The service did not answer within ${ms} ms`;
  return new Problem(504, "timeout", detail, {
    compatDetail: "Timeout waiting for msg",
  });
}
