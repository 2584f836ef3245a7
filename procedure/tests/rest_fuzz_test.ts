// Copyright 2026 the Longrun authors. MIT license.

import fc from "fast-check";
import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { readActivity, readProcedure } from "../_client_wire.ts";
import { encodeActivity, encodeProcedure } from "../_procedure_json.ts";
import { procedureInput } from "../procedure.ts";
import { PROCEDURE_STATES } from "../procedure_state.ts";
import { fileSystemScript, gitScript } from "../script.ts";
import { RestRig } from "./_rest_rig.ts";

const paths = fc.oneof(
  fc.constantFrom(
    "/procedures",
    "/procedures/1",
    "/procedures/1/",
    "/procedures/1/output",
    "/procedures/7",
    "/activities",
    "/activities/1",
    "/context",
    "/operator/wait_for_qa_ready/override",
    "/health",
    "/openapi.json",
  ),
  fc.string({ unit: "binary", maxLength: 20 }).map((text) => `/${text}`),
  fc.string({ maxLength: 10 }).map((text) => `/procedures/${text}`),
  fc.string({ maxLength: 10 }).map((text) => `/stream?topics=${text}`),
  fc.string({ maxLength: 10 }).map((text) => `/procedures/1/output?${text}`),
);

const nearly = fc.letrec((tie) => ({
  input: fc.oneof(
    fc.record({ args: tie("any"), kwargs: tie("any") }, { requiredKeys: [] }),
    tie("any"),
  ),
  any: fc.oneof(
    { maxDepth: 3 },
    fc.jsonValue(),
    fc.dictionary(
      fc.constantFrom("__proto__", "constructor", "toString", "a", ""),
      tie("any"),
    ),
  ),
  uri: fc.oneof(
    fc.constantFrom("file:///a.ts", "git://a.ts", "file://", "\0"),
    tie("any"),
  ),
  script: fc.oneof(
    fc.record({
      script_type: fc.oneof(fc.constantFrom("filesystem", "git"), tie("any")),
      script_uri: tie("uri"),
      git_args: fc.oneof(
        fc.record({ git_repo: tie("any"), git_branch: tie("any") }),
        tie("any"),
      ),
      create_env: tie("any"),
    }, { requiredKeys: [] }),
    tie("any"),
  ),
  body: fc.oneof(
    fc.record({
      script: tie("script"),
      script_args: fc.oneof(
        fc.record({ init: tie("input"), main: tie("input") }, {
          requiredKeys: [],
        }),
        tie("any"),
      ),
      state: fc.oneof(fc.constantFrom("RUNNING", "STOPPED"), tie("any")),
      abort: tie("any"),
      wait_for_qa_ready: tie("any"),
      sbd_id: tie("any"),
      activity_name: tie("any"),
    }, { requiredKeys: [] }),
    tie("any"),
  ),
}));

test("Whatever is asked is answered, and never with 500", async () => {
  for (const compat of [false, true]) {
    await using rig = new RestRig({ compat });
    await rig.prepare();
    await fc.assert(
      fc.asyncProperty(
        paths,
        fc.constantFrom("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"),
        fc.oneof(
          nearly.body.map((body) => JSON.stringify(body)),
          fc.string({ unit: "binary", maxLength: 50 }),
        ),
        async (path, method, body) => {
          const hasBody = method !== "GET" && method !== "HEAD";
          const response = await rig.ask(path, {
            method,
            ...(hasBody ? { body } : {}),
            headers: { "content-type": "application/json" },
          });
          assert(response.status < 500, `${response.status} ${path} ${body}`);
          assert(response.headers.has("cache-control"));
          if (response.headers.get("content-type") === "text/event-stream") {
            await response.body?.cancel();
          } else if (method !== "HEAD" && response.status !== 204) {
            await response.json();
          }
          assertEquals(rig.logger.lines, []);
          assertEquals(rig.api.requests, 0);
          assertEquals(Object.keys(Object.prototype), []);
        },
      ),
      { numRuns: 200 },
    );
  }
});

test("Whatever arguments are sent come back as they were", async () => {
  const kwargs = fc.dictionary(
    fc.string().filter((name) => name !== "__proto__"),
    fc.jsonValue({ maxDepth: 4, noUnicodeString: false }),
  );
  const plain = (value: unknown) => JSON.parse(JSON.stringify(value));
  const isPlain = (value: unknown) =>
    !JSON.stringify(value).includes('"__proto__"');
  await using rig = new RestRig();
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.jsonValue()).filter(isPlain),
      kwargs.filter(isPlain),
      async (args, kwargs) => {
        const script = { script_type: "filesystem", script_uri: "file:///a" };
        const response = await rig.ask("/procedures", {
          json: { script, script_args: { init: { args, kwargs } } },
        });
        assertEquals(response.status, 201);
        const { script_args } = await response.json();
        assertEquals(script_args.init, plain({ args, kwargs }));
        const given = rig.procedures.prepared.at(-1)?.initArgs;
        assertEquals(plain(given), plain({ args, kwargs }));
      },
    ),
    { numRuns: 100 },
  );
});

test("Summaries that have travelled are as they were", () => {
  const time = fc.integer({ min: 0, max: 4e12 });
  const input = fc.record({
    args: fc.array(fc.jsonValue()).map((value) =>
      JSON.parse(JSON.stringify(value))
    ),
    kwargs: fc.dictionary(
      fc.string().filter((name) => name !== "__proto__"),
      fc.integer(),
      { noNullPrototype: true },
    ),
  }).map(({ args, kwargs }) => procedureInput(kwargs, args));
  const script = fc.oneof(
    fc.string().map((path) => fileSystemScript(`file:///${path}`)),
    fc.record({
      repo: fc.string({ minLength: 1 }),
      branch: fc.option(fc.string(), { nil: undefined }),
      commit: fc.option(fc.string(), { nil: undefined }),
      createEnv: fc.boolean(),
    }).map((options) => gitScript("git://a.ts", options)),
  );
  const state = fc.constantFrom(...PROCEDURE_STATES);
  const summary = fc.record({
    id: fc.nat(),
    script,
    calls: fc.array(
      fc.record({ fn: fc.string(), input, time }, { noNullPrototype: true }),
    ),
    history: fc.record({
      states: fc.array(fc.tuple(state, time)),
      stacktrace: fc.option(fc.string()),
    }, { noNullPrototype: true }),
    state,
  }, { noNullPrototype: true });
  const travel = <T>(value: T): T => JSON.parse(JSON.stringify(value));
  fc.assert(
    fc.property(summary, (summary) => {
      const json = travel(encodeProcedure(summary, "http://localhost"));
      assertEquals(readProcedure(json), { ...summary, uri: json.uri });
    }),
  );
  const activity = fc.record({
    id: fc.nat(),
    procedureId: fc.option(fc.nat()),
    sbdId: fc.string(),
    sbiId: fc.string(),
    name: fc.string(),
    prepareOnly: fc.boolean(),
    scriptArgs: fc.dictionary(
      fc.string().filter((name) => name !== "__proto__"),
      input,
      { noNullPrototype: true },
    ),
    state: fc.constantFrom("REQUESTED" as const, "FAILED" as const),
    states: fc.array(fc.tuple(fc.constant("RUNNING" as const), time)),
  }, { noNullPrototype: true });
  fc.assert(
    fc.property(activity, (summary) => {
      const json = travel(encodeActivity(summary, "http://localhost"));
      assertEquals(readActivity(json), { ...summary, uri: json.uri });
    }),
  );
});
