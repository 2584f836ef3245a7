// Copyright 2026 the Longrun authors. MIT license.

/**
 * Who answers what: a handler for each route. Those of procedures and of
 * activities are elsewhere; those of the service itself are here.
 *
 * @module
 */

import type { EventStreamHub } from "./_event_stream.ts";
import { Problem } from "./_problem.ts";
import { decodeContext, encodeContext } from "./_procedure_json.ts";
import { ActivityRoutes } from "./_rest_activities.ts";
import {
  type CallSettings,
  jsonResponse,
  RestCall,
  type RoutedRequest,
} from "./_rest_call.ts";
import { readTopics } from "./_rest_parameters.ts";
import { ProcedureRoutes } from "./_rest_procedures.ts";
import type { RouteId } from "./_rest_routes.ts";
import type { ActivityRunner, ProcedureService } from "./procedure_service.ts";
import { isFinal } from "./procedure_state.ts";

/** What the handlers need. */
export interface HandlerSettings extends CallSettings {
  readonly procedures: ProcedureService;
  readonly activities: ActivityRunner | undefined;
  readonly hub: EventStreamHub;
  /** The document of the interface, as JSON. */
  readonly document: string;
}

type Handler = (call: RestCall) => Response | Promise<Response>;

/** Answers what is asked, each route by a handler. */
export class Handlers {
  readonly #settings: HandlerSettings;
  readonly #handlers: Readonly<Record<RouteId, Handler>>;

  constructor(settings: HandlerSettings) {
    this.#settings = settings;
    const procedures = new ProcedureRoutes(
      settings.procedures,
      settings.compat,
    );
    const activities = new ActivityRoutes(settings.activities);
    this.#handlers = {
      listProcedures: (call) => procedures.list(call),
      getProcedure: (call) => procedures.get(call),
      createProcedure: (call) => procedures.create(call),
      updateProcedure: (call) => procedures.update(call),
      getOutput: (call) => procedures.output(call),
      listActivities: (call) => activities.list(call),
      getActivity: (call) => activities.get(call),
      runActivity: (call) => activities.run(call),
      stream: (call) => this.#stream(call),
      getContext: () => this.#context(),
      updateContext: (call) => this.#updateContext(call),
      overrideQa: () => this.#overrideQa(),
      openApi: () => this.#openApi(),
      health: () => this.#health(),
    };
  }

  /** Answers a request that has been let through. */
  async answer(routed: RoutedRequest): Promise<Response> {
    const { route } = routed;
    const call = new RestCall(routed, this.#settings);
    await call.admit(route.scopes);
    return await this.#handlers[route.id](call);
  }

  #stream({ request, url, root }: RestCall): Response {
    const { searchParams } = url;
    const patterns = readTopics(searchParams);
    const headers = {
      "content-type": "text/event-stream",
      "x-accel-buffering": "no",
    };
    if (request.method === "HEAD") return new Response(null, { headers });
    const lastEventId = request.headers.get("last-event-id") ??
      searchParams.get("last_event_id") ?? undefined;
    const body = this.#settings.hub.open({
      patterns,
      root,
      lastEventId: lastEventId === "" ? undefined : lastEventId,
    });
    return new Response(body, { headers });
  }

  #context(): Response {
    return jsonResponse(encodeContext(this.#settings.procedures.context));
  }

  async #updateContext(call: RestCall): Promise<Response> {
    const body = await call.body<Record<string, unknown>>();
    const { procedures } = this.#settings;
    const changes = decodeContext(body);
    try {
      procedures.setContext(changes);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new Problem(422, "invalid-request", error.message);
    }
    // Others show it, too.
    const isOn = changes.waitForQaReady;
    if (isOn !== undefined) {
      const what = isOn ? "enable" : "disable";
      const topic = `operator.wait_for_qa_ready.${what}` as const;
      procedures.bus.publish(topic, {}, { source: "rest" });
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
    return new Response(this.#settings.document, {
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
