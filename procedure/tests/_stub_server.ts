// Copyright 2026 the Longrun authors. MIT license.

/**
 * A server for tests of the control page: the page, and a REST interface that
 * does as it is told.
 *
 * @module
 */

import { controlPage } from "../control_page.ts";

/** A server of the control page. */
export interface PageServer {
  /** Where the page is. */
  readonly url: string;
  /** Ends the server and all that it does. */
  close(): Promise<void>;
}

/** A request that was made. */
export interface StubRequest {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly lastEventId: string | null;
}

interface StubProcedure {
  readonly id: number;
  readonly script: Record<string, unknown>;
  readonly calls: Record<string, unknown>[];
  readonly states: [string, number][];
  readonly output: Record<string, unknown>[];
  stacktrace: string | null;
}

/** A server that plays a service. */
export interface StubServer extends PageServer {
  /** The requests so far, without those for the page. */
  readonly requests: StubRequest[];
  /** How many streams are open. */
  readonly streams: number;
  /** What answers instead of the interface, by method and path. */
  readonly answers: Map<string, () => Response | Promise<Response>>;
  /** The token that is asked for; `null` for none. */
  token: string | null;
  /** Adds a procedure and tells of it. */
  add(
    states: readonly string[],
    options?: { uri?: string; seconds?: number; kwargs?: object },
  ): number;
  /** Moves a procedure and tells of it. */
  move(id: number, state: string, stacktrace?: string): void;
  /** Forgets a procedure and tells of it. */
  remove(id: number): void;
  /** Writes lines to the output of a procedure. */
  write(id: number, texts: readonly string[], stream?: string): void;
  /** Sends events. */
  emit(events: readonly Record<string, unknown>[]): void;
  /** Ends all streams. */
  breakStreams(): void;
  /** Forgets the procedures and begins anew, as after a restart. */
  restart(): void;
}

/** Options of {@linkcode startStubServer}. */
export interface StubServerOptions {
  /** @default {null} */
  token?: string | null;
  /** Whether there are activities and a context. @default {true} */
  complete?: boolean;
  /** Where the interface is. @default {"/api/v1"} */
  basePath?: string;
}

/** Starts a server on a free port of this machine. */
export function startStubServer(options: StubServerOptions = {}): StubServer {
  const { token = null, complete = true, basePath = "/api/v1" } = options;
  const encoder = new TextEncoder();
  const procedures = new Map<number, StubProcedure>();
  const activities = new Map<number, Record<string, unknown>>();
  const streams = new Set<ReadableStreamDefaultController<Uint8Array>>();
  const requests: StubRequest[] = [];
  const answers = new Map<string, () => Response | Promise<Response>>();
  let waitForQaReady = true;
  let boot = 1;
  let number = 0;
  let added = 0;
  let isClosing = false;

  const now = () => Date.now() / 1000;

  function summary(procedure: StubProcedure): Record<string, unknown> {
    return {
      id: procedure.id,
      script: procedure.script,
      script_args: {},
      calls: procedure.calls,
      history: {
        process_states: procedure.states,
        stacktrace: procedure.stacktrace,
      },
      state: procedure.states.at(-1)?.[0],
      uri: `${basePath}/procedures/${procedure.id}`,
    };
  }

  function emit(events: readonly Record<string, unknown>[]): void {
    let text = "";
    for (const event of events) {
      text += `id: ${boot}-${++number}\ndata: ${
        JSON.stringify({ time: now(), msg_src: "stub", ...event })
      }\n\n`;
    }
    const bytes = encoder.encode(text);
    for (const stream of streams) stream.enqueue(bytes);
  }

  function tellState(procedure: StubProcedure): void {
    const [state, time] = procedure.states.at(-1) ?? [];
    const { id } = procedure;
    const about = { pid: id, msg_src: String(id), time };
    const results: Record<string, string> = {
      RUNNING: "started",
      COMPLETE: "complete",
      FAILED: "failed",
      STOPPED: "stopped",
    };
    const result = results[state ?? ""];
    emit([
      {
        ...about,
        topic: "procedure.lifecycle.statechange",
        new_state: state,
      },
      ...(result === undefined ? [] : [{
        topic: `procedure.lifecycle.${result}`,
        msg_src: String(id),
        request_id: null,
        result: summary(procedure),
      }]),
    ]);
  }

  function get(id: number): StubProcedure {
    const procedure = procedures.get(id);
    if (procedure === undefined) throw new Error(`no procedure ${id}`);
    return procedure;
  }

  function move(id: number, state: string, stacktrace?: string): void {
    const procedure = get(id);
    procedure.states.push([state, now()]);
    tellState(procedure);
    if (stacktrace === undefined) return;
    procedure.stacktrace = stacktrace;
    const topic = "procedure.lifecycle.stacktrace";
    emit([{ topic, pid: id, msg_src: String(id), stacktrace }]);
  }

  function add(
    states: readonly string[],
    { uri = "file:///scripts/observe.ts", seconds = 1, kwargs = {} } = {},
  ): number {
    const id = ++added;
    const first = now() - seconds * (states.length - 1);
    const procedure: StubProcedure = {
      id,
      script: { script_type: "filesystem", script_uri: uri },
      calls: [{ fn: "init", args: [], kwargs, time: first }],
      states: states.map((state, index) => [state, first + index * seconds]),
      output: [],
      stacktrace: null,
    };
    procedures.set(id, procedure);
    emit([{
      topic: "procedure.lifecycle.created",
      msg_src: String(id),
      request_id: null,
      result: summary(procedure),
    }]);
    return id;
  }

  function remove(id: number): void {
    procedures.delete(id);
    emit([{ topic: "procedure.lifecycle.removed", pid: id }]);
  }

  function write(
    id: number,
    texts: readonly string[],
    stream = "stdout",
  ): void {
    const { output } = get(id);
    emit(texts.map((text) => {
      const line = output.length + 1;
      output.push({ line, time: now(), stream, text, dropped: 0 });
      return { topic: "script.output", pid: id, stream, text, dropped: 0 };
    }));
  }

  function problem(status: number, detail: string): Response {
    return Response.json({ type: "about:blank", status, detail }, {
      status,
      headers: { "Content-Type": "application/problem+json" },
    });
  }

  function openStream(): Response {
    let own: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        own = controller;
        controller.enqueue(encoder.encode("\n"));
        // One that comes as late as this would keep the server from its end.
        if (isClosing) controller.close();
        else streams.add(controller);
      },
      cancel() {
        streams.delete(own);
      },
    });
    return new Response(body, {
      headers: { "Content-Type": "text/event-stream" },
    });
  }

  // deno-lint-ignore no-explicit-any
  function change(id: number, body: any): Response {
    const procedure = procedures.get(id);
    if (procedure === undefined) return problem(404, `PID #${id} not found`);
    const state = procedure.states.at(-1)?.[0];
    if (body.state === "STOPPED") {
      move(id, "STOPPED");
      return Response.json({
        abort_message: `Successfully stopped script with ID ${id}${
          body.abort ? " and aborted subarray activity" : ""
        }`,
      });
    }
    if (state !== "READY") return problem(409, `PID #${id} unrunnable`);
    procedure.calls.push({
      fn: "main",
      args: [],
      kwargs: {},
      ...body.script_args?.main,
      time: now(),
    });
    move(id, "RUNNING");
    return Response.json(summary(procedure));
  }

  // deno-lint-ignore no-explicit-any
  function runActivity(body: any): Response {
    const pid = add(["CREATING", "IDLE"]);
    const id = activities.size + 1;
    const activity = {
      id,
      pid,
      procedure_id: pid,
      sbd_id: body.sbd_id,
      activity_name: body.activity_name,
      prepare_only: body.prepare_only,
      script_args: body.script_args ?? {},
      activity_states: [["REQUESTED", now()]],
      state: "REQUESTED",
      sbi_id: `sbi-${id}`,
      uri: `${basePath}/activities/${id}`,
    };
    activities.set(id, activity);
    emit([{ topic: "activity.lifecycle.running", result: activity }]);
    return Response.json(activity, { status: 201 });
  }

  async function answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname.includes("/ui")) {
      return await controlPage(request, { basePath });
    }
    if (!url.pathname.startsWith(`${basePath}/`)) {
      return problem(404, `There is no ${url.pathname}`);
    }
    const path = url.pathname.slice(basePath.length);
    const body = request.method === "GET" ? undefined : await request.json();
    const lastEventId = request.headers.get("Last-Event-ID");
    const { method } = request;
    requests.push({ method, path: path + url.search, body, lastEventId });
    const { token } = server;
    const given = request.headers.get("Authorization");
    if (token !== null && given !== `Bearer ${token}`) {
      return problem(401, "The token is not known");
    }
    const other = answers.get(`${method} ${path}`);
    if (other !== undefined) return await other();
    const [, list, name, more] = path.split("/");
    const id = Number(name);
    switch (`${method} ${list}`) {
      case "GET stream":
        return openStream();
      case "GET procedures": {
        if (name === undefined) {
          return Response.json([...procedures.values()].map(summary));
        }
        const procedure = procedures.get(id);
        if (procedure === undefined) return problem(404, `no PID ${id}`);
        if (more !== "output") return Response.json(summary(procedure));
        const after = Number(url.searchParams.get("after"));
        const limit = Number(url.searchParams.get("limit"));
        const lines = procedure.output.slice(after, after + limit);
        return Response.json({ lines, next: after + lines.length });
      }
      case "POST procedures": {
        const created = add(["CREATING"], {
          uri: body.script.script_uri,
          ...body.script_args?.init,
        });
        return Response.json(summary(get(created)), { status: 201 });
      }
      case "PUT procedures":
        return change(id, body);
    }
    if (complete) {
      switch (`${method} ${path}`) {
        case "GET /activities":
          return Response.json([...activities.values()]);
        case "POST /activities":
          return runActivity(body);
        case "PUT /context":
          waitForQaReady = body.wait_for_qa_ready;
          return Response.json({ wait_for_qa_ready: waitForQaReady });
        case "GET /context":
          return Response.json({ wait_for_qa_ready: waitForQaReady });
        case "POST /operator/wait_for_qa_ready/override":
          return new Response(null, { status: 202 });
      }
    }
    return problem(404, `There is no ${url.pathname}`);
  }

  function breakStreams(): void {
    for (const stream of streams) stream.close();
    streams.clear();
  }

  const http = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    answer,
  );
  const server: StubServer = {
    url: `http://127.0.0.1:${http.addr.port}/ui`,
    async close() {
      isClosing = true;
      breakStreams();
      await http.shutdown();
    },
    requests,
    get streams() {
      return streams.size;
    },
    answers,
    token,
    add,
    move,
    remove,
    write,
    emit,
    breakStreams,
    restart() {
      procedures.clear();
      activities.clear();
      boot++;
      number = 0;
      added = 0;
      breakStreams();
    },
  };
  return server;
}
