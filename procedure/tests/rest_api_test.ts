// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "@std/testing/bdd";
import { ProcedureError } from "../procedure_errors.ts";
import { NOW, RestRig } from "./_rest_rig.ts";

const file = { script_type: "filesystem", script_uri: "file:///test.ts" };
const git = {
  script_type: "git",
  script_uri: "git://test.ts",
  git_args: { git_repo: "https://example.org/scripts.git" },
};

const put = (json: unknown) => ({ method: "PUT", json });

test("GET /procedures gives an empty list without procedures", async () => {
  await using rig = new RestRig();
  const response = await rig.ask("/procedures");
  assertEquals(response.status, 200);
  assertEquals(await response.json(), []);
  assertEquals(response.headers.get("cache-control"), "no-store");
  assertEquals(response.headers.get("x-content-type-options"), "nosniff");
  assertEquals(response.headers.get("access-control-allow-origin"), null);
});

test("GET /procedures gives the summaries of all", async () => {
  await using rig = new RestRig();
  await rig.prepare();
  await rig.prepare();
  const all = await (await rig.ask("/procedures/")).json();
  assertEquals(all.map(({ id }: { id: number }) => id), [1, 2]);
  assertEquals(all[0], await (await rig.ask("/procedures/1")).json());
});

test("A summary has the names, the times and the address of the original", async () => {
  await using rig = new RestRig();
  const id = await rig.prepare();
  const kwargs = { subarray_id: 7, n: { deep: [1, null, "ü"] } };
  await rig.ask(
    `/procedures/${id}`,
    put({ state: "RUNNING", script_args: { main: { args: [1], kwargs } } }),
  );
  const response = await rig.ask("https://localhost:8443/api/v1/procedures/1");
  const at = NOW / 1000;
  assertEquals(await response.json(), {
    id: 1,
    script: { script_type: "filesystem", script_uri: "file:///a.ts" },
    script_args: {
      init: { args: [], kwargs: {} },
      main: { args: [1], kwargs },
    },
    calls: [
      { fn: "init", args: [], kwargs: {}, time: at },
      { fn: "main", args: [1], kwargs, time: at + 1 },
    ],
    history: {
      process_states: [["CREATING", at], ["READY", at], ["RUNNING", at + 1]],
      stacktrace: null,
    },
    state: "RUNNING",
    uri: "https://localhost:8443/api/v1/procedures/1",
  });
});

test("GET of a procedure that is not there is 404 in the words of the original", async () => {
  await using rig = new RestRig();
  const response = await rig.ask("/procedures/7");
  assertEquals(response.status, 404);
  assertEquals(
    response.headers.get("content-type"),
    "application/problem+json",
  );
  assertEquals(await response.json(), {
    type: "about:blank",
    title: "Not Found",
    status: 404,
    detail: "No information available for PID=7",
    code: "procedure-not-found",
  });
});

test("Ids that are no positive integers are 422", async () => {
  await using rig = new RestRig();
  const ids = ["0", "-1", "1.5", "x", "1e3", "%31x", "%zz", "9".repeat(30)];
  for (const id of ids) {
    for (const path of [`/procedures/${id}`, `/activities/${id}`]) {
      const response = await rig.ask(path);
      assertEquals(response.status, 422, path);
      const { errors } = await response.json();
      assertEquals(errors[0].place, "id");
    }
  }
});

test("POST /procedures prepares a script of a file, and says where it is", async () => {
  await using rig = new RestRig();
  const response = await rig.ask("/procedures", {
    json: {
      script: file,
      script_args: { init: { args: [1, 2], kwargs: { a: "b" } } },
    },
  });
  assertEquals(response.status, 201);
  const summary = await response.json();
  assertEquals(response.headers.get("location"), summary.uri);
  assertEquals(summary.script, file);
  assertEquals(summary.script_args.init, { args: [1, 2], kwargs: { a: "b" } });
  assertEquals(rig.procedures.prepared, [{
    script: { type: "filesystem", uri: "file:///test.ts" },
    initArgs: { args: [1, 2], kwargs: { a: "b" } },
  }]);
});

test("POST /procedures prepares a script of a repository", async () => {
  await using rig = new RestRig();
  const script = {
    ...git,
    git_args: {
      ...git.git_args,
      git_branch: "main",
      git_commit: "a".repeat(40),
    },
    create_env: true,
  };
  const response = await rig.ask("/procedures", { json: { script } });
  assertEquals(response.status, 201);
  assertEquals((await response.json()).script, script);
  assertEquals(rig.procedures.prepared[0]?.script, {
    type: "git",
    uri: "git://test.ts",
    git: {
      repo: "https://example.org/scripts.git",
      branch: "main",
      commit: "a".repeat(40),
    },
    createEnv: true,
  });
});

test("POST /procedures fills in what a script of a repository leaves out", async () => {
  await using rig = new RestRig();
  const response = await rig.ask("/procedures", { json: { script: git } });
  assertEquals((await response.json()).script, {
    ...git,
    git_args: { ...git.git_args, git_branch: null, git_commit: null },
    create_env: false,
  });
  assertEquals(rig.procedures.prepared[0]?.script, {
    type: "git",
    uri: "git://test.ts",
    git: { repo: "https://example.org/scripts.git" },
    createEnv: false,
  });
});

test("POST /procedures without arguments of init works", async () => {
  await using rig = new RestRig();
  for (const script_args of [undefined, {}, { init: {} }]) {
    const json = { script: file, script_args };
    const response = await rig.ask("/procedures", { json });
    assertEquals(response.status, 201);
  }
  assertEquals(rig.procedures.prepared.map(({ initArgs }) => initArgs), [
    { args: [], kwargs: {} },
    { args: [], kwargs: {} },
    { args: [], kwargs: {} },
  ]);
});

const refused: [string, unknown, string][] = [
  ["no script", {}, "/script"],
  [
    "no address",
    { script: { script_type: "filesystem" } },
    "/script/script_uri",
  ],
  ["another type", { script: { ...file, script_type: "x" } }, "/script"],
  ["no type", { script: { script_uri: "file:///a.ts" } }, "/script"],
  [
    "a wrong prefix",
    { script: { ...file, script_uri: "git://a" } },
    "/script/script_uri",
  ],
  [
    "a prefix alone",
    { script: { ...file, script_uri: "file://" } },
    "/script/script_uri",
  ],
  [
    "no repository",
    { script: { ...git, git_args: {} } },
    "/script/git_args/git_repo",
  ],
  [
    "no git_args",
    { script: { ...git, git_args: undefined } },
    "/script/git_args",
  ],
  [
    "arguments that are no object",
    { script: file, script_args: "x" },
    "/script_args",
  ],
  [
    "init that is no object",
    { script: file, script_args: { init: [1] } },
    "/script_args/init",
  ],
  ["kwargs that are a list", {
    script: file,
    script_args: { init: { kwargs: [] } },
  }, "/script_args/init/kwargs"],
  ["args that are an object", {
    script: file,
    script_args: { init: { args: {} } },
  }, "/script_args/init/args"],
  ["an unknown member", { script: file, scriptargs: {} }, "/scriptargs"],
  ["a list", [], ""],
  ["a text", "x", ""],
  ["null", null, ""],
];
for (const [what, json, place] of refused) {
  test(`POST /procedures refuses ${what}, and says where`, async () => {
    await using rig = new RestRig();
    const response = await rig.ask("/procedures", { json });
    assertEquals(response.status, 422);
    const problem = await response.json();
    assertEquals(problem.code, "invalid-request");
    const places = problem.errors.map((each: { place: string }) => each.place);
    assert(places.includes(place), JSON.stringify(problem));
    assertEquals(rig.procedures.prepared, []);
  });
}

test("PUT starts main with its arguments and gives the summary", async () => {
  await using rig = new RestRig();
  await rig.prepare();
  const main = { args: [1], kwargs: { a: true } };
  const response = await rig.ask(
    "/procedures/1/",
    put({ state: "RUNNING", script_args: { main } }),
  );
  assertEquals(response.status, 200);
  assertEquals((await response.json()).state, "RUNNING");
  assertEquals(rig.procedures.started, [{ pid: 1, fn: "main", args: main }]);
});

test("PUT starts main without script_args", async () => {
  await using rig = new RestRig();
  await rig.prepare();
  const response = await rig.ask("/procedures/1", put({ state: "RUNNING" }));
  assertEquals(response.status, 200);
  const args = { args: [], kwargs: {} };
  assertEquals(rig.procedures.started, [{ pid: 1, fn: "main", args }]);
});

test("PUT stops, with and without the abort script", async () => {
  await using rig = new RestRig();
  await rig.prepare("RUNNING");
  await rig.prepare("READY");
  const first = await rig.ask(
    "/procedures/1",
    put({ state: "STOPPED", abort: true }),
  );
  assertEquals(await first.json(), {
    abort_message:
      "Successfully stopped script with ID 1 and aborted subarray activity",
  });
  const second = await rig.ask("/procedures/2", put({ state: "STOPPED" }));
  assertEquals(await second.json(), {
    abort_message: "Successfully stopped script with ID 2",
  });
  assertEquals(rig.procedures.stopped, [
    { pid: 1, runAbort: true },
    { pid: 2, runAbort: false },
  ]);
});

test("PUT without a state changes nothing", async () => {
  await using rig = new RestRig();
  await rig.prepare();
  const response = await rig.ask("/procedures/1", put({}));
  assertEquals(response.status, 200);
  assertEquals((await response.json()).state, "READY");
  assertEquals(rig.procedures.started, []);
});

test("PUT refuses a transition with 409", async () => {
  await using rig = new RestRig();
  await rig.prepare("LOADING");
  await rig.prepare("COMPLETE");
  const start = await rig.ask("/procedures/1", put({ state: "RUNNING" }));
  assertEquals(start.status, 409);
  assertEquals((await start.json()).code, "invalid-state");
  const stop = await rig.ask("/procedures/2", put({ state: "STOPPED" }));
  assertEquals(stop.status, 409);
  const { detail } = await stop.json();
  assertEquals(detail, "Cannot stop PID 2 with state COMPLETE");
});

test("PUT refuses a second procedure that would run", async () => {
  await using rig = new RestRig();
  await rig.prepare("RUNNING");
  await rig.prepare("READY");
  const response = await rig.ask("/procedures/2", put({ state: "RUNNING" }));
  assertEquals(response.status, 409);
  const { detail, code } = await response.json();
  assertEquals(detail, "Cannot start PID 2: PID #1 is RUNNING");
  assertEquals(code, "another-running");
});

test("PUT is 404 without a procedure and 422 without a body", async () => {
  await using rig = new RestRig();
  const missing = await rig.ask("/procedures/1", put({ state: "RUNNING" }));
  assertEquals(missing.status, 404);
  await rig.prepare();
  const bodiless = await rig.ask("/procedures/1", { method: "PUT" });
  assertEquals(bodiless.status, 422);
  for (const json of [{ state: "READY" }, { script_args: "x" }, { abort: 1 }]) {
    const response = await rig.ask("/procedures/1", put(json));
    assertEquals(response.status, 422);
  }
});

test("GET /output gives lines, and where to go on", async () => {
  await using rig = new RestRig();
  await rig.prepare();
  for (let i = 1; i <= 5; i++) rig.procedures.write(1, `line ${i}`);
  const first = await rig.ask("/procedures/1/output?limit=2");
  assertEquals(await first.json(), {
    lines: [1, 2].map((line) => ({
      line,
      time: NOW / 1000,
      stream: "stdout",
      text: `line ${line}`,
      dropped: 0,
    })),
    next: 2,
  });
  const rest = await (await rig.ask("/procedures/1/output?after=4")).json();
  assertEquals(rest.next, 5);
  assertEquals(rest.lines.length, 1);
  const none = await (await rig.ask("/procedures/1/output?after=5")).json();
  assertEquals(none, { lines: [], next: 5 });
  assertEquals((await rig.ask("/procedures/9/output")).status, 404);
  for (const query of ["after=-1", "after=x", "limit=0", "limit=10001"]) {
    const response = await rig.ask(`/procedures/1/output?${query}`);
    assertEquals(response.status, 422, query);
  }
});

test("Activities are run, listed and described", async () => {
  await using rig = new RestRig();
  assertEquals(await (await rig.ask("/activities/")).json(), []);
  const response = await rig.ask("/activities", {
    json: {
      sbd_id: "sbd-1",
      activity_name: "allocate",
      prepare_only: true,
      script_args: { main: { kwargs: { a: 1 } } },
    },
  });
  assertEquals(response.status, 201);
  const summary = await response.json();
  assertEquals(summary, {
    id: 1,
    pid: 11,
    procedure_id: 11,
    sbd_id: "sbd-1",
    activity_name: "allocate",
    prepare_only: true,
    script_args: { main: { args: [], kwargs: { a: 1 } } },
    activity_states: [["REQUESTED", NOW / 1000]],
    state: "REQUESTED",
    sbi_id: "sbi-1",
    uri: "http://localhost/api/v1/activities/1",
  });
  assertEquals(response.headers.get("location"), summary.uri);
  assertEquals(rig.activities.commands, [{
    name: "allocate",
    sbdId: "sbd-1",
    prepareOnly: true,
    createEnv: false,
    args: { main: { args: [], kwargs: { a: 1 } } },
  }]);
  assertEquals(await (await rig.ask("/activities")).json(), [summary]);
  assertEquals(await (await rig.ask("/activities/1")).json(), summary);
});

test("An activity that is not there is 404, one that is not defined 422", async () => {
  await using rig = new RestRig();
  const missing = await rig.ask("/activities/3");
  assertEquals(missing.status, 404);
  const { detail } = await missing.json();
  assertEquals(detail, "No information available for ID=3");
  const json = { sbd_id: "s", activity_name: "missing" };
  const undefinedOne = await rig.ask("/activities", { json });
  assertEquals(undefinedOne.status, 422);
  const problem = await undefinedOne.json();
  assertEquals(problem.code, "activity-not-defined");
});

test("Without a runner there are no activities", async () => {
  await using rig = new RestRig({ activities: undefined });
  assertEquals(await (await rig.ask("/activities")).json(), []);
  assertEquals((await rig.ask("/activities/1")).status, 404);
  const json = { sbd_id: "s", activity_name: "a" };
  assertEquals((await rig.ask("/activities", { json })).status, 503);
});

test("The operator sees and changes what holds", async () => {
  await using rig = new RestRig();
  const before = await (await rig.ask("/context")).json();
  assertEquals(before, { wait_for_qa_ready: true });
  const json = { wait_for_qa_ready: false, gain: [1] };
  const response = await rig.ask("/context", put(json));
  assertEquals(response.status, 200);
  assertEquals(await response.json(), json);
  assertEquals(rig.procedures.context, { waitForQaReady: false, gain: [1] });
  for (const wrong of [{ wait_for_qa_ready: 1 }, { waitForQaReady: 1 }, []]) {
    assertEquals((await rig.ask("/context", put(wrong))).status, 422);
  }
  rig.procedures.setContext = () => {
    throw new RangeError("It must have at most 65536 characters");
  };
  const full = await rig.ask("/context", put({ notes: "" }));
  assertEquals(full.status, 422);
  const { detail } = await full.json();
  assertEquals(detail, "It must have at most 65536 characters");
});

test("Who has switched the wait for QA on or off tells all others", async () => {
  await using rig = new RestRig();
  const topics: string[] = [];
  rig.procedures.bus.onEvent("operator.*", ({ topic }) => topics.push(topic));
  await rig.ask("/context", put({ wait_for_qa_ready: false }));
  await rig.ask("/context", put({ gain: 1 }));
  await rig.ask("/context", put({ wait_for_qa_ready: true }));
  assertEquals(topics, [
    "operator.wait_for_qa_ready.disable",
    "operator.wait_for_qa_ready.enable",
  ]);
});

test("An override is told on the bus", async () => {
  await using rig = new RestRig();
  const topics: string[] = [];
  rig.procedures.bus.onEvent("operator.*", ({ topic }) => topics.push(topic));
  const path = "/operator/wait_for_qa_ready/override";
  const response = await rig.ask(path, { method: "POST" });
  assertEquals(response.status, 202);
  assertEquals(await response.json(), {});
  assertEquals(topics, ["operator.wait_for_qa_ready.override"]);
});

test("GET /health counts, at the root too", async () => {
  await using rig = new RestRig();
  for (const state of ["READY", "RUNNING", "COMPLETE"] as const) {
    await rig.prepare(state);
  }
  for (const path of ["/health", "http://localhost/health"]) {
    const response = await rig.ask(path);
    assertEquals(await response.json(), { status: "ok", live: 2, running: 1 });
  }
});

test("Unknown addresses are 404, unknown methods 405 with what is allowed", async () => {
  await using rig = new RestRig();
  for (const path of ["", "/x", "/procedures/1/x", "http://localhost/ui"]) {
    const response = await rig.ask(path);
    assertEquals(response.status, 404, path);
    assertEquals((await response.json()).code, "not-found");
  }
  const wrong = await rig.ask("/procedures", { method: "DELETE" });
  assertEquals(wrong.status, 405);
  assertEquals(wrong.headers.get("allow"), "GET, HEAD, POST, OPTIONS");
  assertEquals((await wrong.json()).code, "method-not-allowed");
  const options = await rig.ask("/procedures/1", { method: "OPTIONS" });
  assertEquals(options.status, 204);
  assertEquals(options.headers.get("allow"), "GET, HEAD, PUT, OPTIONS");
});

test("HEAD is GET without its body, and opens no stream", async () => {
  await using rig = new RestRig();
  for (const path of ["/procedures", "/openapi.json", "/stream"]) {
    const response = await rig.ask(path, { method: "HEAD" });
    assertEquals(response.status, 200, path);
    assertEquals(await response.text(), "");
  }
  assertEquals(rig.api.streams, 0);
});

test("Bodies have to be JSON, and say so", async () => {
  await using rig = new RestRig();
  const ask = (body: BodyInit, type?: string) =>
    rig.ask("/procedures", {
      method: "POST",
      body,
      headers: type === undefined ? {} : { "content-type": type },
    });
  assertEquals((await ask("{}")).status, 415);
  assertEquals(
    (await ask("{}", "application/x-www-form-urlencoded")).status,
    415,
  );
  assertEquals((await ask("{", "application/json")).status, 400);
  assertEquals((await ask("", "application/json")).status, 422);
  const bytes = new Uint8Array([0x22, 0xff, 0x22]);
  assertEquals((await ask(bytes, "application/json")).status, 400);
  const good = JSON.stringify({ script: file });
  assertEquals(
    (await ask(good, "Application/JSON; charset=utf-8")).status,
    201,
  );
});

test("Bodies that are too long are 413, whatever they say of themselves", async () => {
  await using rig = new RestRig({ maxBodySize: 100 });
  const headers = { "content-type": "application/json" };
  const told = await rig.ask("/procedures", {
    method: "POST",
    headers: { ...headers, "content-length": "101" },
    body: "{}",
  });
  assertEquals(told.status, 413);
  let isLeft = false;
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(64).fill(32)),
    cancel: () => void (isLeft = true),
  });
  const streamed = await rig.ask("/procedures", {
    method: "POST",
    headers,
    body: endless,
  });
  assertEquals(streamed.status, 413);
  assert(isLeft);
});

test("JSON that plain data cannot be is refused", async () => {
  await using rig = new RestRig();
  const ask = (kwargs: string) =>
    rig.ask("/procedures", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"script":${JSON.stringify(file)},` +
        `"script_args":{"init":{"kwargs":${kwargs}}}}`,
    });
  for (
    const kwargs of [
      '{"__proto__":{"admin":true}}',
      '{"a":[{"__proto__":1}]}',
      '{"a":1e999}',
      `{"a":${"[".repeat(500)}${"]".repeat(500)}}`,
      `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
    ]
  ) assertEquals((await ask(kwargs)).status, 422);
  assertEquals(rig.procedures.prepared, []);
  assertEquals(Reflect.get({}, "admin"), undefined);
  const odd = '{"constructor":1,"toString":2,"hasOwnProperty":3}';
  const response = await ask(odd);
  assertEquals(response.status, 201);
  const { script_args } = await response.json();
  assertEquals(script_args.init.kwargs, JSON.parse(odd));
});

const codes: [
  ConstructorParameters<typeof ProcedureError>[0],
  number,
  number,
][] = [
  ["script-refused", 403, 403],
  ["too-many-procedures", 503, 503],
  ["script-not-found", 422, 500],
  ["startup-failed", 500, 500],
  ["git-failed", 502, 500],
  ["environment-failed", 502, 500],
  ["closed", 503, 503],
];
for (const [code, status, compatStatus] of codes) {
  test(`A service that fails with '${code}' makes ${status}`, async () => {
    for (const compat of [false, true]) {
      await using rig = new RestRig({ compat });
      rig.procedures.failure = new ProcedureError(code, "This is why");
      const response = await rig.ask("/procedures", { json: { script: file } });
      assertEquals(response.status, compat ? compatStatus : status);
      const body = await response.json();
      assertEquals(body.detail, "This is why");
      assertEquals(body.code, compat ? undefined : code);
      assertEquals(
        response.headers.has("retry-after"),
        response.status === 503,
      );
      assertEquals(rig.logger.lines, []);
    }
  });
}

test("An unknown failure is logged once, and not shown", async () => {
  for (const failure of [new Error("secret"), "secret", null]) {
    await using rig = new RestRig();
    rig.procedures.failure = failure ?? Object.create(null);
    const response = await rig.ask("/procedures", { json: { script: file } });
    assertEquals(response.status, 500);
    const body = await response.text();
    assert(!body.includes("secret"));
    const { instance } = JSON.parse(body);
    assertMatch(instance, /^urn:uuid:/);
    assertEquals(rig.logger.lines.length, 1);
    const [level, , details] = rig.logger.lines[0] ?? [];
    assertEquals(level, "error");
    assertEquals(`urn:uuid:${details?.id}`, instance);
  }
});
