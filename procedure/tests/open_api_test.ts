// Copyright 2026 the Longrun authors. MIT license.

import { Ajv } from "ajv";
import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { RestRig, type Wish } from "./_rest_rig.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

function* refsIn(value: Json): Generator<string> {
  if (typeof value !== "object" || value === null) return;
  if (typeof value.$ref === "string") yield value.$ref;
  for (const member of Object.values(value)) yield* refsIn(member);
}

function resolve(document: Json, ref: string): Json {
  assert(ref.startsWith("#/"), ref);
  return ref.slice(2).split("/").reduce((at, name) => at?.[name], document);
}

const METHODS = ["get", "post", "put"];
const tokens = [{ token: "t", scopes: ["view" as const] }];

for (const options of [{}, { compat: true }, { tokens }]) {
  const what = JSON.stringify(options);
  test(`The document is whole with ${what}`, async () => {
    await using rig = new RestRig(options);
    const document: Json = rig.api.openApi();
    assertEquals(await (await rig.ask("/openapi.json")).json(), document);
    const root = await rig.ask("http://localhost/openapi.json");
    assertEquals(await root.json(), document);
    assertEquals(document.openapi, "3.1.0");
    assertEquals(typeof document.info.title, "string");
    assertEquals(typeof document.info.version, "string");
    assertEquals(document.servers, [{ url: "/api/v1" }]);
    for (const ref of refsIn(document)) {
      assert(resolve(document, ref) !== undefined, ref);
    }
    const used = new Set(refsIn(document));
    const own = Object.keys(document.components.schemas)
      .filter((name) => name !== "Event")
      .map((name) => `#/components/schemas/${name}`);
    assertEquals(own.filter((name) => !used.has(name)), []);
    const ids = new Set<string>();
    for (const [path, item] of Object.entries<Json>(document.paths)) {
      assert(path.startsWith("/") && !path.endsWith("/"), path);
      for (const [method, operation] of Object.entries<Json>(item)) {
        assert(METHODS.includes(method));
        assert(!ids.has(operation.operationId));
        ids.add(operation.operationId);
        assert(Object.keys(operation.responses).length > 0);
        for (const response of Object.values<Json>(operation.responses)) {
          assertEquals(typeof response.description, "string");
        }
        const named = operation.parameters.filter((each: Json) =>
          each.in === "path"
        ).map((each: Json) => each.name);
        const inPath = [...path.matchAll(/{(\w+)}/g)].map(([, name]) => name);
        assertEquals(named, inPath);
        for (const requirement of operation.security) {
          for (const name of Object.keys(requirement)) {
            assert(document.components.securitySchemes[name] !== undefined);
          }
        }
      }
    }
    assertEquals(ids.size, 14);
  });
}

test("The document is a copy each time", async () => {
  await using rig = new RestRig();
  const document = rig.api.openApi();
  document.openapi = "0";
  assertEquals(rig.api.openApi().openapi, "3.1.0");
});

test("Each answer of each route is as the document says", async () => {
  for (const compat of [false, true]) {
    for (const tokens of [[], [{ token: "t", scopes: [] }]]) {
      await using rig = new RestRig({ compat, tokens });
      await checkRun(rig, tokens.length === 0);
    }
  }
});

async function checkRun(rig: RestRig, isOpen: boolean): Promise<void> {
  const document: Json = rig.api.openApi();
  const ajv = new Ajv({ strict: false, discriminator: true });
  ajv.addSchema({ ...document, $id: "document" });
  const seen = new Set<string>();
  const check = async (template: string, path: string, wish: Wish) => {
    const response = await rig.ask(path, wish);
    const method = (wish.method ?? (wish.json === undefined ? "get" : "post"))
      .toLowerCase();
    const where = `${method} ${template} ${response.status}`;
    seen.add(where);
    const answer = document.paths[template][method].responses[response.status];
    assert(answer !== undefined, where);
    const type = response.headers.get("content-type") ?? "";
    const schema = answer.content[type]?.schema;
    assert(schema !== undefined, `${where} ${type}`);
    if (type === "text/event-stream") return await response.body?.cancel();
    const body = await response.json();
    const ref = { $ref: `document${schema.$ref}` };
    const validate = ajv.compile(ref);
    assert(validate(body), `${where}: ${ajv.errorsText(validate.errors)}`);
    if (response.status === 201) assert(response.headers.has("location"));
  };
  const script = { script_type: "filesystem", script_uri: "file:///a.ts" };
  const git = {
    script_type: "git",
    script_uri: "git://a.ts",
    git_args: { git_repo: "r" },
  };
  const init = { args: [1n].map(String), kwargs: { a: null } };
  const put = (json: unknown) => ({ method: "PUT", json });
  const many = "/procedures";
  const one = "/procedures/{id}";
  const output = "/procedures/{id}/output";
  const text = { "content-type": "text/plain" };
  const jsonType = { "content-type": "application/json" };
  await check(many, many, { json: { script, script_args: { init } } });
  await check(many, many, { json: { script: git } });
  await check(many, many, { json: {} });
  await check(many, many, { method: "POST", body: "x", headers: text });
  await check(many, many, { method: "POST", body: "{", headers: jsonType });
  await check(many, many, {
    method: "POST",
    body: "{}",
    headers: { ...jsonType, "content-length": "9999999" },
  });
  rig.procedures.failure = new Error("unknown");
  await check(many, many, { json: { script } });
  rig.procedures.failure = undefined;
  if (isOpen) {
    rig.procedures.write(1, "a line");
    rig.procedures.move(2, "FAILED", "Error: no");
  }
  await check(many, many, {});
  for (const id of ["1", "2", "99", "x"]) {
    await check(one, `/procedures/${id}`, {});
    await check(output, `/procedures/${id}/output`, {});
    for (const state of ["RUNNING", "STOPPED", "STOPPED"]) {
      await check(one, `/procedures/${id}`, put({ state }));
    }
  }
  await check(one, "/procedures/1", put({ state: 1 }));
  const activities = "/activities";
  const block = { sbd_id: "a", activity_name: "b" };
  const script_args = { main: { kwargs: { a: 1 } } };
  await check(activities, activities, { json: { ...block, script_args } });
  await check(activities, activities, {
    json: { ...block, activity_name: "missing" },
  });
  await check(activities, activities, { json: {} });
  await check(activities, activities, {});
  for (const id of ["1", "99", "x"]) {
    await check("/activities/{id}", `/activities/${id}`, {});
  }
  await check("/stream", "/stream", {});
  await check("/stream", "/stream?topics=a..b", {});
  await check("/context", "/context", {});
  await check("/context", "/context", put({ wait_for_qa_ready: false, a: 1 }));
  await check("/context", "/context", put({ wait_for_qa_ready: 1 }));
  const override = "/operator/wait_for_qa_ready/override";
  await check(override, override, { method: "POST" });
  await check(override, override, {
    method: "POST",
    headers: { origin: "http://evil.example" },
  });
  await check("/openapi.json", "/openapi.json", {});
  await check("/health", "/health", {});
  await check(
    "/health",
    "http://evil.example/health".replace(
      isOpen ? "x" : "evil.example",
      isOpen ? "x" : "localhost",
    ),
    {},
  );
  await rig.api.close();
  await check("/health", "/health", {});
  for (const [path, item] of Object.entries<Json>(document.paths)) {
    for (const method of Object.keys(item)) {
      const where = `${method} ${path} `;
      assert([...seen].some((each) => each.startsWith(where)), where);
    }
  }
}
