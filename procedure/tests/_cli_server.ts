// Copyright 2026 the Longrun authors. MIT license.

import type { ProcedureState } from "../procedure_state.ts";

type Json = Record<string, unknown>;

/** A procedure of the stub, as it travels. */
interface StubProcedure extends Json {
  id: number;
  script: Json;
  script_args: Record<string, { args: unknown[]; kwargs: Json }>;
  calls: Json[];
  history: {
    process_states: [string, number][];
    dropped_states?: number;
    stacktrace: string | null;
  };
  state: ProcedureState;
  uri: string;
}

/** An activity of the stub, as it travels. */
interface StubActivity extends Json {
  activity_states: [string, number][];
  dropped_states?: number;
}

/** Options of {@linkcode startStub}. */
export interface StubOptions {
  /** What requests have to show. */
  token?: string;
  /** Whether it answers as the original does. */
  isCompatible?: boolean;
  /** The first port that is tried is this one; any by default. */
  port?: number;
  /** Happens each time before somebody is told of one procedure. */
  onProcedure?(): Promise<void>;
  /** Happens each time before somebody is given output. */
  onOutput?(): Promise<void>;
}

/** A service that runs no scripts: what they do is in their names. */
export interface Stub {
  /** The address of the service. */
  readonly url: string;
  close(): Promise<void>;
  /** All requests: `PUT /procedures/1 {...}`. */
  readonly requests: string[];
  readonly procedures: StubProcedure[];
  readonly activities: StubActivity[];
  /** How many streams stand. */
  readonly streams: number;
  /** Moves a procedure on. */
  move(pid: number, state: ProcedureState, stacktrace?: string): void;
  /** Writes a line of output. */
  write(pid: number, text: string, stream?: "stdout" | "stderr"): void;
  /** Publishes an event. */
  publish(topic: string, source: string, data?: Json): void;
  /** Breaks all streams. */
  cut(): void;
  /** Forgets all events: the next stream is told of a gap instead. */
  forget(): void;
  /** So many attempts to open a stream are refused from now on. */
  refuseStreams(count: number): void;
}

const seconds = (): number => Date.now() / 1000;
const FINAL = ["COMPLETE", "FAILED", "STOPPED", "UNKNOWN"];

/**
 * Starts a stub of the service.
 *
 * What becomes of a procedure is in the address of its script: `ok` writes a
 * line and completes, `fail` fails, `hang` runs until it is stopped,
 * `broken` fails before it is READY. `hold` does nothing: the test moves it.
 */
export function startStub(options: StubOptions = {}): Stub {
  const { token, isCompatible = false } = options;
  const requests: string[] = [];
  const procedures: StubProcedure[] = [];
  const activities: StubActivity[] = [];
  const outputs = new Map<number, Json[]>();
  const log: { id: string; text: string }[] = [];
  const clients = new Set<ReadableStreamDefaultController<Uint8Array>>();
  const encoder = new TextEncoder();
  const timers = new Set<ReturnType<typeof setTimeout>>();
  let refusals = 0;
  let forgotten = 0;
  let base = "";

  function publish(topic: string, source: string, data: Json = {}): void {
    const id = `boot-${log.length + 1}`;
    const event = { topic, msg_src: source, time: seconds(), ...data };
    const text = `id: ${id}\ndata: ${JSON.stringify(event)}\n\n`;
    log.push({ id, text });
    for (const client of clients) client.enqueue(encoder.encode(text));
  }

  function later(work: () => void): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      work();
    }, 5);
    timers.add(timer);
  }

  const find = (pid: number): StubProcedure | undefined =>
    procedures.find(({ id }) => id === pid);

  function move(
    pid: number,
    state: ProcedureState,
    stacktrace?: string,
  ): void {
    const procedure = find(pid);
    if (procedure === undefined) return;
    procedure.state = state;
    procedure.history.process_states.push([state, seconds()]);
    if (stacktrace !== undefined) procedure.history.stacktrace = stacktrace;
    publish("procedure.lifecycle.statechange", String(pid), {
      new_state: state,
      pid,
    });
  }

  function write(
    pid: number,
    text: string,
    stream: "stdout" | "stderr" = "stdout",
  ): void {
    const lines = outputs.get(pid) ?? [];
    outputs.set(pid, lines);
    const line = { pid, stream, text, dropped: 0 };
    lines.push({ ...line, line: lines.length + 1, time: seconds() });
    publish("script.output", String(pid), line);
  }

  function prepare(script: Json, init: Json): StubProcedure {
    const id = procedures.length + 1;
    const { args = [], kwargs = {} } = init as {
      args?: unknown[];
      kwargs?: Json;
    };
    const uri = `${base}/procedures/${id}`;
    const procedure: StubProcedure = {
      id,
      script,
      script_args: { init: { args, kwargs } },
      calls: [{ fn: "init", args, kwargs, time: seconds() }],
      history: { process_states: [["CREATING", seconds()]], stacktrace: null },
      state: "CREATING",
      uri,
    };
    procedures.push(procedure);
    const name = String(script.script_uri);
    later(() => {
      for (const state of ["IDLE", "LOADING", "IDLE"] as const) move(id, state);
      if (name.includes("broken")) move(id, "FAILED", "Error: no such file");
      else move(id, "READY");
    });
    return procedure;
  }

  function start(procedure: StubProcedure, main: Json): void {
    const { id, script } = procedure;
    const { args = [], kwargs = {} } = main as {
      args?: unknown[];
      kwargs?: Json;
    };
    procedure.script_args.main = { args, kwargs };
    procedure.calls.push({ fn: "main", args, kwargs, time: seconds() });
    move(id, "RUNNING");
    const name = String(script.script_uri);
    later(() => {
      if (name.includes("hold")) return;
      write(id, "scan 1");
      publish("dome.opened", String(id), { data: { angle: 30 } });
      if (name.includes("hang")) return;
      write(id, "careful", "stderr");
      if (name.includes("fail")) {
        move(id, "FAILED", "Error: no dish\n    at main");
      } else {
        move(id, "READY");
        move(id, "COMPLETE");
      }
    });
  }

  function problem(status: number, code: string, detail: string): Response {
    if (isCompatible) return Response.json({ detail }, { status });
    return Response.json({ type: "about:blank", status, code, detail }, {
      status,
      headers: { "content-type": "application/problem+json" },
    });
  }

  const noProcedure = (id: string): Response =>
    problem(
      404,
      "procedure-not-found",
      `No information available for PID=${id}`,
    );

  function change(procedure: StubProcedure, body: Json): Response {
    const { id, state } = procedure;
    if (body.state === "STOPPED") {
      if (FINAL.includes(state)) {
        const text = `Cannot stop script with ID ${id}: Script is not running`;
        return isCompatible
          ? Response.json({ abort_message: text })
          : problem(409, "invalid-state", text);
      }
      move(id, "STOPPED");
      const more = body.abort ? " and aborted subarray activity" : "";
      return Response.json({
        abort_message: `Successfully stopped script with ID ${id}${more}`,
      });
    }
    if (body.state === "RUNNING") {
      if (state === "READY") {
        const { main = {} } = (body.script_args ?? {}) as { main?: Json };
        start(procedure, main);
      } else if (!isCompatible) {
        return problem(
          409,
          "invalid-state",
          `PID #${id} unrunnable in state ${state}`,
        );
      }
    }
    return Response.json(procedure);
  }

  function stream(request: Request, url: URL): Response {
    if (refusals-- > 0) return problem(503, "closed", "Not now");
    const last = request.headers.get("last-event-id");
    const topics = url.searchParams.get("topics");
    requests.push(`stream ${topics ?? "*"} after ${last ?? "-"}`);
    let mine: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        mine = controller;
        controller.enqueue(encoder.encode("\n"));
        const at = log.findIndex(({ id }) => id === last);
        if (last !== null) {
          if (at + 1 < forgotten) {
            const dropped = forgotten - at - 1;
            const gap = JSON.stringify({ topic: "stream.gap", dropped });
            controller.enqueue(encoder.encode(`data: ${gap}\n\n`));
          }
          for (const { text } of log.slice(Math.max(at + 1, forgotten))) {
            controller.enqueue(encoder.encode(text));
          }
        }
        clients.add(controller);
      },
      cancel: () => void clients.delete(mine),
    });
    return new Response(body, {
      headers: { "content-type": "text/event-stream" },
    });
  }

  async function answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const path = url.pathname.replace(/^\/api\/v1/, "").replace(/\/+$/, "");
    if (
      token !== undefined &&
      request.headers.get("authorization") !== `Bearer ${token}`
    ) {
      return problem(401, "unauthorized", "A token is needed");
    }
    if (path === "/stream") return stream(request, url);
    const text = await request.text();
    requests.push(`${request.method} ${path} ${text}`.trimEnd());
    const body = text === "" ? {} : JSON.parse(text) as Json;
    const [, kind, id, part] = path.split("/");
    if (kind === "procedures") {
      if (id === undefined) {
        if (request.method === "GET") return Response.json(procedures);
        const script = body.script as Json;
        if (String(script.script_uri).includes("refused")) {
          return problem(403, "script-refused", "This script may not run");
        }
        const { init = {} } = (body.script_args ?? {}) as { init?: Json };
        return Response.json(prepare(script, init), { status: 201 });
      }
      const procedure = find(Number(id));
      if (procedure === undefined) return noProcedure(id);
      if (part === "output") {
        await options.onOutput?.();
        const after = Number(url.searchParams.get("after") ?? 0);
        const limit = Number(url.searchParams.get("limit") ?? 1000);
        const lines = (outputs.get(procedure.id) ?? []).slice(after)
          .slice(0, limit);
        return Response.json({ lines, next: after + lines.length });
      }
      if (request.method === "PUT") return change(procedure, body);
      await options.onProcedure?.();
      return Response.json(procedure);
    }
    if (kind === "activities") {
      if (id !== undefined) {
        const activity = activities[Number(id) - 1];
        return activity !== undefined ? Response.json(activity) : problem(
          404,
          "activity-not-found",
          `No information available for ID=${id}`,
        );
      }
      if (request.method === "GET") return Response.json(activities);
      const { activity_name: name, sbd_id, prepare_only } = body;
      if (name === "nope") {
        return problem(404, "activity-not-defined", "No activity 'nope'");
      }
      const uri = `file:///${name}.ts`;
      const pid =
        prepare({ script_type: "filesystem", script_uri: uri }, {}).id;
      const given = (body.script_args ?? {}) as { main?: Json };
      if (!prepare_only) {
        const timer = setInterval(() => {
          const procedure = find(pid);
          if (procedure?.state !== "READY") return;
          clearInterval(timer);
          timers.delete(timer);
          start(procedure, given.main ?? {});
        }, 5);
        timers.add(timer);
      }
      const activity: StubActivity = {
        id: activities.length + 1,
        pid,
        procedure_id: pid,
        sbd_id,
        activity_name: name,
        prepare_only,
        script_args: given,
        activity_states: [["REQUESTED", seconds()]],
        state: "REQUESTED",
        sbi_id: "sbi-1",
        uri: `${base}/activities/${activities.length + 1}`,
      };
      activities.push(activity);
      return Response.json(activity, { status: 201 });
    }
    return problem(404, "not-found", "Not Found");
  }

  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: options.port ?? 0,
    onListen() {},
  }, answer);
  const url = `http://127.0.0.1:${server.addr.port}`;
  base = `${url}/api/v1`;

  function cut(): void {
    for (const client of clients) client.close();
    clients.clear();
  }

  return {
    url,
    requests,
    procedures,
    activities,
    get streams() {
      return clients.size;
    },
    move,
    write,
    publish,
    cut,
    forget: () => forgotten = log.length,
    refuseStreams: (count) => refusals = count,
    async close() {
      for (const timer of timers) clearTimeout(timer);
      cut();
      await server.shutdown();
    },
  };
}
