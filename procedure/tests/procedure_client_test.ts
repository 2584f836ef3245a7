// Copyright 2026 the Longrun authors. MIT license.

import { backoff } from "@longrun/tasks/backoff";
import { ManualClock } from "@longrun/tasks/testing";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import { procedureInput } from "../procedure.ts";
import {
  ProcedureClient,
  ProcedureClientError,
  type ProcedureClientOptions,
} from "../procedure_client.ts";
import { fileSystemScript } from "../script.ts";
import { startStub } from "./_cli_server.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

function answering(
  answer: (request: Request) => Response | Promise<Response>,
  options: ProcedureClientOptions = {},
): ProcedureClient {
  return new ProcedureClient({
    fetch: async (request) => await answer(request),
    logger: silent,
    ...options,
  });
}

async function failureOf(
  work: Promise<unknown>,
): Promise<ProcedureClientError> {
  const error = await assertRejects(() => work);
  assert(error instanceof ProcedureClientError, String(error));
  return error;
}

const encoder = new TextEncoder();

/** A connection of a stream, by hand. */
class Feed {
  controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  isCancelled = false;
  readonly response: Response;

  constructor() {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => void (this.controller = controller),
      cancel: () => void (this.isCancelled = true),
    });
    this.response = new Response(body, {
      headers: { "content-type": "text/event-stream" },
    });
  }

  send(text: string): void {
    this.controller?.enqueue(encoder.encode(text));
  }

  event(id: string, topic: string): void {
    this.send(`id: ${id}\ndata: {"topic":"${topic}","msg_src":"1"}\n\n`);
  }
}

test("ProcedureClient reads what travels in the types of the package", async () => {
  const stub = startStub();
  const client = new ProcedureClient({ url: stub.url });
  const made = await client.create({
    script: fileSystemScript("file:///hold.ts"),
    initArgs: procedureInput({ gain: 2 }, [1]),
  });
  assertEquals(made.id, 1);
  assertEquals(made.script, { type: "filesystem", uri: "file:///hold.ts" });
  assertEquals(made.calls[0]?.input, { args: [1], kwargs: { gain: 2 } });
  const [[state, time] = ["", 0]] = made.history.states;
  assertEquals(state, "CREATING");
  assert(Math.abs(time - Date.now()) < 60_000);
  stub.move(1, "READY");
  assertEquals((await client.start({ pid: 1 })).state, "RUNNING");
  stub.write(1, "hello");
  const { lines, next } = await client.output(1);
  assertEquals([lines[0]?.text, next], ["hello", 1]);
  assert((await client.stop({ pid: 1 })).startsWith("Successfully"));
  assertEquals((await client.list()).map(({ id }) => id), [1]);
  const activity = await client.run({ name: "ok", sbdId: "sbd" });
  assertEquals(activity.procedureId, 2);
  assertEquals((await client.activities()).length, 1);
  assertEquals((await client.activity(1)).sbdId, "sbd");
  await stub.close();
});

test("ProcedureClient tells errors of both shapes apart by their code", async () => {
  const cases: [number, unknown, string, string][] = [
    [
      409,
      { code: "another-running", detail: "PID #1 is RUNNING" },
      "another-running",
      "PID #1 is RUNNING",
    ],
    [
      409,
      { code: "abort-refused", detail: "PID #1 was not stopped" },
      "abort-refused",
      "PID #1 was not stopped",
    ],
    [404, { detail: "No PID" }, "procedure-not-found", "No PID"],
    [
      404,
      {
        detail: { type: "ResourceNotFound", Message: "No ID" },
      },
      "procedure-not-found",
      "No ID",
    ],
    [
      422,
      {
        detail: [{ loc: ["body", "script"], msg: "field required" }],
      },
      "invalid-request",
      "body.script: field required",
    ],
    [401, { title: "Unauthorized" }, "unauthorized", "Unauthorized"],
    [403, {}, "forbidden", "The service has answered 403"],
    [500, "x", "server-error", "The service has answered 500"],
    [504, { detail: "late" }, "timeout", "late"],
  ];
  for (const [status, body, code, message] of cases) {
    const client = answering(() => Response.json(body, { status }));
    const error = await failureOf(client.get(1));
    assertEquals([error.code, error.message, error.status], [
      code,
      message,
      status,
    ]);
  }
});

test("ProcedureClient refuses answers that it does not understand", async () => {
  const bodies = [
    ...[null, 1, "x", [], {}, { id: 1 }, { id: "1", state: "READY" }],
    {
      id: 1,
      state: "SLEEPY",
      script: { script_type: "filesystem", script_uri: "file:///x" },
      history: { process_states: [] },
    },
  ];
  for (const body of bodies) {
    const client = answering(() => Response.json(body));
    assertEquals((await failureOf(client.get(1))).code, "bad-answer");
  }
  const client = answering(() => new Response("<html>"));
  assertEquals((await failureOf(client.list())).code, "bad-answer");
});

test("ProcedureClient sends its token to the service and follows nobody away", async () => {
  const seen: Request[] = [];
  const client = answering((request) => {
    seen.push(request);
    return Response.json([]);
  }, { token: "secret", url: "http://telescope:5000" });
  await client.list();
  const [request] = seen;
  assertEquals(request?.url, "http://telescope:5000/api/v1/procedures/");
  assertEquals(request?.headers.get("authorization"), "Bearer secret");
  assertEquals(request?.redirect, "error");
});

test("ProcedureClient calls end with their signal, and with their time", async () => {
  const clock = new ManualClock();
  const client = answering(() => new Promise(() => {}), { clock });
  const controller = new AbortController();
  const calls = [
    client.list({ signal: controller.signal }),
    client.stop({ pid: 1 }, { signal: controller.signal }),
    client.stream({ signal: controller.signal }).next(),
  ];
  const reasons = calls.map((call) => call.catch((reason) => reason));
  controller.abort("dawn");
  assertEquals(await Promise.all(reasons), ["dawn", "dawn", "dawn"]);
  const late = failureOf(client.list());
  await clock.advance(30_000);
  assertEquals((await late).code, "timeout");
});

test("ProcedureClient stream goes on where it was, and tells of gaps", async () => {
  const clock = new ManualClock();
  const feeds: Feed[] = [];
  const asked: (string | null)[] = [];
  const client = answering((request) => {
    asked.push(request.headers.get("last-event-id"));
    const feed = new Feed();
    feeds.push(feed);
    return feed.response;
  }, { clock, restart: backoff({ limit: Infinity, initial: 100 }) });
  await using events = client.stream();
  await events.connect();
  const topicOf = async () => {
    const { value } = await events.next();
    return value?.topic;
  };
  feeds[0]?.event("a-1", "one");
  assertEquals(await topicOf(), "one");
  feeds[0]?.controller?.close();
  let next = topicOf();
  await clock.advance(100);
  feeds[1]?.event("a-2", "two");
  assertEquals(await next, "two");
  feeds[1]?.controller?.error(new Error("reset"));
  next = topicOf();
  await clock.advance(200);
  feeds[2]?.event("b-1", "other boot");
  assertEquals(await next, "stream.gap");
  assertEquals(await topicOf(), "other boot");
  assertEquals(asked, [null, "a-1", "a-2"]);
  assertEquals(events.lastEventId, "b-1");
});

test("ProcedureClient stream goes on elsewhere after what was read, not what came", async () => {
  const feed = new Feed();
  const client = answering(() => feed.response);
  const events = client.stream({ lastEventId: "a-1" });
  feed.send(
    'id: a-2\ndata: {"topic":"two"}\n\nid: a-3\ndata: {"topic":"three"}\n\n' +
      ":\nid: a-9\n\n",
  );
  assertEquals((await events.next()).value?.topic, "two");
  assertEquals(events.lastEventId, "a-2");
  assertEquals((await events.next()).value?.topic, "three");
  assertEquals(events.lastEventId, "a-9");
  await events.return();
  const other = new Feed();
  const left = answering(() => other.response).stream();
  other.send(
    'id: a-2\ndata: {"topic":"two"}\n\nid: a-3\ndata: {"topic":"x"}\n\n',
  );
  await left.next();
  await left.return();
  assertEquals(left.lastEventId, "a-2");
});

test("ProcedureClient stream connects again after a silence", async () => {
  const clock = new ManualClock();
  const feeds: Feed[] = [];
  const client = answering(() => {
    const feed = new Feed();
    feeds.push(feed);
    return feed.response;
  }, { clock, silence: 1000, restart: backoff({ initial: 10 }) });
  await using events = client.stream({ topics: ["dome.*"] });
  const next = events.next();
  await clock.advance(900);
  feeds[0]?.send(": heartbeat\n\n");
  await clock.advance(900);
  assertEquals(feeds.length, 1);
  await clock.advance(200);
  assert(feeds[0]?.isCancelled);
  assertEquals(feeds.length, 2);
  feeds[1]?.event("a-1", "dome.opened");
  // Without an id nobody knows what was lost.
  assertEquals((await next).value?.topic, "stream.gap");
});

test("ProcedureClient stream gives up as its policy says, or is told", async () => {
  const clock = new ManualClock();
  const statuses = [200, 503, 503, 401];
  const client = answering(() => {
    const status = statuses.shift() ?? 401;
    if (status !== 200) return Response.json({ detail: "no" }, { status });
    const feed = new Feed();
    feed.controller?.close();
    return feed.response;
  }, { clock });
  const failure = failureOf(client.stream().next());
  await clock.runAll();
  assertEquals((await failure).code, "unauthorized");
  const first = await failureOf(client.stream().next());
  assertEquals(first.code, "unauthorized");
});

test("ProcedureClient stream ends with return(), whatever it waits for", async () => {
  const feed = new Feed();
  const events = answering(() => feed.response).stream();
  const next = events.next();
  await events.connect();
  await events.return();
  assertEquals(await next, { done: true, value: undefined });
  assert(feed.isCancelled);
  assertEquals((await events.next()).done, true);
  const hanging = answering(() => new Promise(() => {})).stream();
  const waiting = hanging.next();
  await hanging.return();
  assertEquals((await waiting).done, true);
});

test("ProcedureClient sends a script of another kind, and nothing that is none", async () => {
  const sent: unknown[] = [];
  const client = answering(async (request) => {
    sent.push(await request.json());
    return Response.json({ detail: "no" }, { status: 422 });
  });
  const stored = { type: "stored", uri: "observe" };
  const failure = await failureOf(client.create({ script: stored as never }));
  assertEquals(failure.code, "invalid-request");
  const script = { script_type: "stored", script_uri: "observe" };
  assertEquals(sent, [{ script }]);
  for (const wrong of [{}, { script: { type: "git", uri: "git://x" } }]) {
    await assertRejects(
      () => client.create(wrong as never),
      TypeError,
      "Cannot create procedure as 'script' must be a script",
    );
  }
  assertEquals(sent.length, 1);
});

test("ProcedureClient refuses bad arguments by name", () => {
  assertThrows(() => new ProcedureClient({ url: "ftp://x" }), TypeError, "url");
  assertThrows(
    () => new ProcedureClient({ url: "http://a:b@x/" }),
    TypeError,
    "url",
  );
  assertThrows(() => new ProcedureClient({ token: "a b" }), TypeError, "token");
  assertThrows(
    () => new ProcedureClient({ timeout: 0 }),
    RangeError,
    "timeout",
  );
});
