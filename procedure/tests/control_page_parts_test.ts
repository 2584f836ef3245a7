// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertGreater,
  assertStringIncludes,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import { findApi, problemText } from "../control_page_client.js";
import {
  readActivityForm,
  readHash,
  readJson,
  readPrepareForm,
  readStartForm,
} from "../control_page_forms.js";
import { backoff, createParser, follow } from "../control_page_stream.js";

test("The parser reads events whatever the pieces", () => {
  const text = '\uFEFF\n: heart beat\nid: a-1\ndata: {"topic":"a"}\n\n' +
    'id: a-2\r\ndata: {"topic":\r\ndata: "b"}\r\n\r\n' +
    'retry: 10\rdata:{"topic":"c","text":"é"}\r\rdata: no json\n\n' +
    'id: a-3\ndata: [1]\n\ndata: {"topic":1}\n\n';
  fc.assert(fc.property(
    fc.array(fc.nat({ max: text.length })),
    (cuts) => {
      const parser = createParser();
      const at = [0, ...cuts.sort((a, b) => a - b), text.length];
      const events = at.flatMap((from, index) =>
        parser.push(text.slice(from, at[index + 1] ?? text.length))
      );
      assertEquals(events, [
        { topic: "a" },
        { topic: "b" },
        { topic: "c", text: "é" },
      ]);
      assertEquals(parser.lastId(), "a-3");
      assertEquals(parser.retry(), 10);
    },
  ));
});

test("The parser takes an event for seen when it is whole", () => {
  const parser = createParser("a-0");
  assertEquals(parser.push('id: a-1\ndata: {"topic":"a"}\n'), []);
  assertEquals(parser.lastId(), "a-0");

  assertEquals(parser.push("\nid: a-2\n"), [{ topic: "a" }]);
  assertEquals(parser.lastId(), "a-1");
});

test("The parser refuses an event that never ends", () => {
  const parser = createParser();
  const piece = "x".repeat(1_000_000);
  let failure: unknown;
  try {
    for (let count = 0; count < 100; count++) parser.push(piece);
  } catch (error) {
    failure = error;
  }

  assert(failure instanceof RangeError);
});

test("The page waits longer after each try, and never too long", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 10_000 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    (attempt, random) => {
      const wait = backoff(attempt, random);
      assert(wait >= 250 && wait <= 15_000);
    },
  ));
  assertGreater(backoff(5, 0), backoff(1, 1));
});

function streamOf(text: string): Response {
  return new Response(text, {
    headers: { "Content-Type": "text/event-stream" },
  });
}

test("The page goes on after the last event when the stream ends", async () => {
  const controller = new AbortController();
  const asked: (string | null)[] = [];
  const topics: string[] = [];
  const told: string[] = [];
  await follow({
    signal: controller.signal,
    open(lastId) {
      asked.push(lastId);
      if (asked.length === 2) return Promise.reject(new Error("refused"));
      const number = asked.length;
      return Promise.resolve(
        streamOf(`id: x-${number}\ndata: {"topic":"t${number}"}\n\n`),
      );
    },
    onEvents: (events) => topics.push(...events.map(({ topic }) => topic)),
    onLive: () => told.push("live"),
    onLost: (reason) => told.push(reason),
    wait() {
      if (asked.length === 3) controller.abort();
      return Promise.resolve();
    },
  });

  assertEquals(asked, [null, "x-1", "x-1"]);
  assertEquals(topics, ["t1", "t3"]);
  const ended = "the service ended the stream";
  assertEquals(told, ["live", ended, "refused", "live", ended]);
});

test("The page stops following when a token is needed", async () => {
  let tries = 0;
  await follow({
    signal: new AbortController().signal,
    open() {
      tries++;
      return Promise.reject(Object.assign(new Error("no"), { status: 401 }));
    },
    onEvents() {},
    onLive() {},
    onLost() {},
    wait: () => Promise.resolve(),
  });

  assertEquals(tries, 1);
});

test("The page takes a stream without a sign of life for dead", async () => {
  const controller = new AbortController();
  const told: string[] = [];
  await follow({
    signal: controller.signal,
    quiet: 30,
    open(_lastId, signal) {
      const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
        start(own) {
          signal.addEventListener("abort", () => own.error(signal.reason));
        },
      });
      return Promise.resolve(new Response(body));
    },
    onEvents() {},
    onLive() {},
    onLost: (reason) => told.push(reason),
    wait() {
      controller.abort();
      return Promise.resolve();
    },
  });

  assertEquals(told, ["no sign of life"]);
});

test("The page finds the interface beside itself", () => {
  assertEquals(findApi("/ui", "/api/v1"), "/api/v1");
  assertEquals(findApi("/api/v1/ui", "/api/v1"), "/api/v1");
  assertEquals(findApi("/north/ui", "/api/v1"), "/north/api/v1");
  assertEquals(findApi("/north/api/v1/ui", "/api/v1"), "/north/api/v1");
  assertEquals(findApi("/ui", ""), "");
});

test("The page tells a problem in the words of the service", () => {
  assertEquals(
    problemText({ detail: "PID #7 not found" }, 404),
    "PID #7 not found",
  );
  assertEquals(problemText({ title: "Conflict" }, 409), "Conflict");
  assertEquals(problemText(undefined, 502), "The service answered 502");
  assertEquals(
    problemText({ detail: "Wrong", errors: ["/script: missing"] }, 422),
    "Wrong\n/script: missing",
  );
});

test("A form says where JSON is wrong", () => {
  const { mistake } = readJson('{\n  "a": 1,\n  b: 2\n}', "object");

  assertStringIncludes(mistake ?? "", "line 3, column 3");
  assertStringIncludes(readJson('{"a": ', "object").mistake ?? "", "line 1");
  assertStringIncludes(readJson("[1]", "object").mistake ?? "", "an array");
  assertStringIncludes(readJson("null", "array").mistake ?? "", "null");
  assertEquals(readJson(" ", "array").value, []);
});

test("A form says something of whatever is no JSON", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    const { value, mistake } = readJson(text, "object");
    assertEquals(value === null, mistake !== null);
  }));
});

test("A form becomes a request to prepare a script in a file", () => {
  const { body, mistakes } = readPrepareForm({
    script_type: "filesystem",
    script_uri: " file:///a.ts ",
    git_repo: "left over",
    init_kwargs: '{"subarray_id": 1}',
  });

  assertEquals(mistakes.size, 0);
  assertEquals(body, {
    script: { script_type: "filesystem", script_uri: "file:///a.ts" },
    script_args: { init: { kwargs: { subarray_id: 1 } } },
  });
});

test("A form becomes a request to prepare a script of a repository", () => {
  const { body } = readPrepareForm({
    script_type: "git",
    script_uri: "git://a.ts",
    git_repo: "https://example.org/s.git",
    git_branch: "main",
    git_commit: "",
    create_env: "on",
  });

  assertEquals(body, {
    script: {
      script_type: "git",
      script_uri: "git://a.ts",
      git_args: { git_repo: "https://example.org/s.git", git_branch: "main" },
      create_env: true,
    },
  });
});

test("A form names each mistake at its field", () => {
  const { mistakes } = readPrepareForm({
    script_type: "git",
    script_uri: "file:///a.ts",
    git_repo: " ",
    init_args: "{}",
    init_kwargs: "{",
  });

  assertEquals([...mistakes.keys()].sort(), [
    "git_repo",
    "init_args",
    "init_kwargs",
    "script_uri",
  ]);
});

test("A form becomes a request to run an activity", () => {
  const { body, mistakes } = readActivityForm({
    sbd_id: "sbd-1",
    activity_name: "observe",
    script_args: '{"main": {"kwargs": {"scans": 3}}}',
    prepare_only: "on",
  });

  assertEquals(mistakes.size, 0);
  assertEquals(body, {
    sbd_id: "sbd-1",
    activity_name: "observe",
    script_args: { main: { kwargs: { scans: 3 } } },
    prepare_only: true,
    create_env: false,
  });
  const wrong = readActivityForm({ script_args: '{"main": 1}' });
  assertEquals(wrong.mistakes.size, 3);
});

test("A form becomes a request to start a procedure", () => {
  assertEquals(readStartForm({}).body, { state: "RUNNING" });
  assertEquals(readStartForm({ main_args: "[1]" }).body, {
    state: "RUNNING",
    script_args: { main: { args: [1] } },
  });
});

test("An address names a procedure", () => {
  assertEquals(readHash("#procedure/3"), 3);
  for (const hash of ["", "#procedure/0", "#procedure/3x", "#procedure/-1"]) {
    assertEquals(readHash(hash), null, hash);
  }
});
