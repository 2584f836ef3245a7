// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import type { AccessScope } from "../rest_api.ts";
import { RestRig, type Wish } from "./_rest_rig.ts";

const script = { script_type: "filesystem", script_uri: "file:///a.ts" };
const tokens = [
  { token: "looker-0123456789", scopes: ["view"] as AccessScope[] },
  { token: "runner-0123456789", scopes: ["view", "run"] as AccessScope[] },
  { token: "stopper-012345678", scopes: ["stop"] as AccessScope[] },
];
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

test("Each route needs its scope", async () => {
  await using rig = new RestRig({ tokens });
  const start = { method: "PUT", json: { state: "RUNNING" } };
  const stop = { method: "PUT", json: { state: "STOPPED" } };
  const activity = { json: { sbd_id: "a", activity_name: "b" } };
  const override = "/operator/wait_for_qa_ready/override";
  // What looker, runner and stopper get.
  const table: [string, Wish, number[]][] = [
    ["/procedures", { json: { script } }, [403, 201, 403]],
    ["/procedures", {}, [200, 200, 403]],
    ["/procedures/1", {}, [200, 200, 403]],
    ["/procedures/1/output", {}, [200, 200, 403]],
    ["/procedures/1", { method: "PUT", json: {} }, [403, 200, 200]],
    ["/procedures/1", start, [403, 200, 403]],
    ["/procedures/1", stop, [403, 403, 200]],
    ["/activities", {}, [200, 200, 403]],
    ["/activities", activity, [403, 201, 403]],
    ["/activities/1", {}, [200, 200, 403]],
    ["/context", {}, [200, 200, 403]],
    ["/context", { method: "PUT", json: {} }, [403, 200, 403]],
    [override, { method: "POST" }, [403, 202, 403]],
    ["/stream", { method: "HEAD" }, [200, 200, 403]],
    ["/health", {}, [200, 200, 200]],
    ["/openapi.json", {}, [200, 200, 200]],
  ];
  for (const [path, wish, statuses] of table) {
    for (const [index, status] of statuses.entries()) {
      const headers = bearer(tokens[index]?.token ?? "");
      const response = await rig.ask(path, { ...wish, headers });
      const what = `${wish.method} ${path} of ${index}`;
      assertEquals(response.status, status, what);
      if (status !== 403) continue;
      assert(
        response.headers.get("www-authenticate")?.includes(
          'error="insufficient_scope"',
        ),
      );
    }
    const open = path === "/health" || path === "/openapi.json";
    const response = await rig.ask(path, wish);
    assertEquals(response.status, open ? 200 : 401, path);
  }
});

test("Who may stop may have the abort script run, which is not his choice", async () => {
  await using rig = new RestRig({ tokens });
  rig.procedures.prepares = "RUNNING";
  const runner = bearer("runner-0123456789");
  await rig.ask("/procedures", { json: { script }, headers: runner });
  const response = await rig.ask("/procedures/1", {
    method: "PUT",
    json: { state: "STOPPED", abort: true },
    headers: bearer("stopper-012345678"),
  });
  assertEquals(response.status, 200);
  assertEquals(rig.procedures.stopped, [{ pid: 1, runAbort: true }]);
});

test("Whoever has no token is told that one is needed, and which was wrong", async () => {
  await using rig = new RestRig({ tokens });
  const none = await rig.ask("/procedures");
  assertEquals(none.status, 401);
  assertEquals(
    none.headers.get("www-authenticate"),
    'Bearer realm="longrun"',
  );
  const wrong = [
    "Bearer nonsense",
    "Bearer",
    "Basic looker-0123456789",
    "Bearer looker-012345678",
    "Bearer looker-0123456789x",
    "Bearer looker-0123456789 x",
    "looker-0123456789",
  ];
  for (const authorization of wrong) {
    const response = await rig.ask("/procedures", {
      headers: { authorization },
    });
    assertEquals(response.status, 401, authorization);
    assert(response.headers.get("www-authenticate")?.includes("invalid_token"));
    assertEquals((await response.json()).code, "unauthorized");
  }
  const loud = { authorization: "BEARER  looker-0123456789" };
  const response = await rig.ask("/procedures", { headers: loud });
  assertEquals(response.status, 200);
});

test("A body is not read before it is known who asks", async () => {
  await using rig = new RestRig({ tokens });
  let isRead = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      isRead = true;
      controller.close();
    },
  }, { highWaterMark: 0 });
  const headers = { "content-type": "application/json" };
  const wish = { method: "POST", headers, body };
  assertEquals((await rig.ask("/procedures", wish)).status, 401);
  assert(!isRead);
});

test("With tokens any name and any peer will do", async () => {
  await using rig = new RestRig({ tokens });
  const headers = bearer("looker-0123456789");
  const info = { remoteAddr: { transport: "tcp", hostname: "10.1.2.3" } };
  const response = await rig.ask(
    "https://telescope.example:8443/api/v1/procedures",
    { headers },
    info,
  );
  assertEquals(response.status, 200);
});

test("Without tokens only names of this machine are answered", async () => {
  await using rig = new RestRig({ tokens: [] });
  const good = [
    "localhost",
    "localhost:5000",
    "127.0.0.1",
    "127.9.9.9:1",
    "[::1]:80",
    "pc.localhost",
  ];
  for (const host of good) {
    const response = await rig.ask(`http://${host}/api/v1/procedures`);
    assertEquals(response.status, 200, host);
  }
  const bad = [
    "example.org",
    "localhost.example.org",
    "127.0.0.1.example.org",
    "10.0.0.1",
    "[::2]",
    "0.0.0.0",
  ];
  for (const host of bad) {
    for (const path of ["api/v1/procedures", "health", "x"]) {
      const response = await rig.ask(`http://${host}/${path}`);
      assertEquals(response.status, 421, host);
    }
  }
  const headers = { host: "evil.example" };
  assertEquals((await rig.ask("/procedures", { headers })).status, 421);
});

test("Without tokens only this machine may ask", async () => {
  await using rig = new RestRig();
  const from = (hostname: string) => ({
    remoteAddr: { transport: "tcp", hostname, port: 1 },
  });
  for (const peer of ["127.0.0.1", "::1", "::ffff:127.0.0.1"]) {
    const response = await rig.ask("/procedures", {}, from(peer));
    assertEquals(response.status, 200, peer);
  }
  for (const peer of ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1"]) {
    const response = await rig.ask("/procedures", {}, from(peer));
    assertEquals(response.status, 403, peer);
    assertEquals((await response.json()).code, "not-local");
  }
  for (const info of [undefined, null, 1, {}, { remoteAddr: null }]) {
    const response = await rig.ask("/procedures", {}, info);
    assertEquals(response.status, 200);
  }
});

test("Names that are allowed are answered, and no others", async () => {
  const allowedHosts = ["lab.example"];
  await using rig = new RestRig({ allowedHosts });
  const at = (host: string) => rig.ask(`http://${host}/api/v1/procedures`);
  assertEquals((await at("lab.example:5000")).status, 200);
  assertEquals((await at("localhost")).status, 421);
});

test("A name that is none is refused, and leaves nothing in the log", async () => {
  await using rig = new RestRig();
  const request = new Request("http://localhost/health");
  // As Deno's server has it when the header is "a b".
  Object.defineProperty(request, "url", { value: "http://a b/health" });
  const response = await rig.api.fetch(request);
  assertEquals(response.status, 421);
  assertEquals((await response.json()).code, "wrong-host");
  assertEquals(rig.logger.lines, []);
});

test("Names of this server may be written in any way", async () => {
  for (const name of ["Lab.Example", "fe80::A", "[FE80::a]"]) {
    await using rig = new RestRig({ allowedHosts: [name] });
    const host = name.startsWith("Lab") ? "lab.example" : "[fe80::a]";
    const at = (host: string) => rig.ask(`http://${host}:5000/health`);
    assertEquals((await at(host)).status, 200, name);
    assertEquals((await at("other.example")).status, 421, name);
  }
});

test("Pages of another origin may not ask", async () => {
  await using rig = new RestRig();
  const bad: Record<string, string>[] = [
    { origin: "http://evil.example" },
    { origin: "null" },
    { origin: "http://localhost:81" },
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" },
    { "sec-fetch-site": "same-site" },
  ];
  for (const headers of bad) {
    for (const method of ["GET", "POST", "OPTIONS"]) {
      const path = "/operator/wait_for_qa_ready/override";
      const response = await rig.ask(path, { method, headers });
      assertEquals(response.status, 403, JSON.stringify(headers));
      assertEquals((await response.json()).code, "foreign-origin");
    }
  }
  const good: Record<string, string>[] = [
    { origin: "http://localhost" },
    { "sec-fetch-site": "same-origin" },
    { "sec-fetch-site": "none", "sec-fetch-mode": "navigate" },
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" },
  ];
  for (const headers of good) {
    const response = await rig.ask("/procedures", { headers });
    assertEquals(response.status, 200, JSON.stringify(headers));
    assertEquals(response.headers.get("access-control-allow-origin"), null);
  }
});

test("authorize decides where no token does", async () => {
  const asked: AccessScope[] = [];
  await using rig = new RestRig({
    tokens,
    authorize: (request, scope) => {
      asked.push(scope);
      return request.headers.get("x-user") === "operator" && scope !== "stop";
    },
  });
  const headers = { "x-user": "operator" };
  assertEquals((await rig.ask("/procedures", { headers })).status, 200);
  assertEquals(
    (await rig.ask("/procedures", { headers, json: { script } })).status,
    201,
  );
  const stop = { method: "PUT", json: { state: "STOPPED" }, headers };
  assertEquals((await rig.ask("/procedures/1", stop)).status, 401);
  assertEquals(asked, ["view", "run", "run", "stop"]);
  asked.length = 0;
  await rig.ask("/procedures", { headers: bearer("looker-0123456789") });
  assertEquals(asked, []);
});

test("authorize alone refuses with 403, and its failure is not shown", async () => {
  await using rig = new RestRig({
    authorize: (_, scope) => {
      if (scope === "view") return false;
      throw new Error("secret");
    },
  });
  assertEquals((await rig.ask("/procedures")).status, 403);
  const response = await rig.ask("/procedures", { json: { script } });
  assertEquals(response.status, 500);
  assert(!(await response.text()).includes("secret"));
});

test("Whatever authorize gives but true is a no", async () => {
  for (const verdict of [undefined, 1, "yes", {}]) {
    await using rig = new RestRig({ authorize: () => verdict as boolean });
    assertEquals((await rig.ask("/procedures")).status, 403);
  }
});

test("Nobody looks at the signal of a request for the page, which Deno warns of", async () => {
  const page = (request: Request) =>
    new Response(new URL(request.url).pathname);
  await using rig = new RestRig({ page });
  const request = new Request("http://localhost/api/v1/ui/a.css", {
    headers: { "if-none-match": "x" },
  });
  let looks = 0;
  Object.defineProperty(request, "signal", { get: () => void looks++ });
  const info = { completed: Promise.resolve() };
  const response = await rig.api.fetch(request, info);
  assertEquals([await response.text(), looks], ["/ui/a.css", 0]);
});

test("The page is served without a token, at the root and below the base", async () => {
  const page = (request: Request) =>
    new Response(new URL(request.url).pathname, {
      headers: { etag: '"1"', "cache-control": "no-cache" },
    });
  await using rig = new RestRig({ tokens, page });
  const at = (path: string, wish: Wish = {}) =>
    rig.ask(`http://lab.example${path}`, wish);
  for (const path of ["/ui", "/ui/", "/ui/control_page.css"]) {
    for (const base of ["", "/api/v1"]) {
      const response = await at(base + path);
      assertEquals(await response.text(), path);
      assertEquals(response.headers.get("cache-control"), "no-cache");
      assert(response.headers.has("content-security-policy"));
      assertEquals(response.headers.get("x-content-type-options"), "nosniff");
    }
  }
  const root = await at("/");
  assertEquals(root.status, 307);
  assertEquals(root.headers.get("location"), "ui");
  assertEquals((await at("/ui", { method: "POST" })).status, 405);
  assertEquals((await at("/uix")).status, 404);
});

test("Arguments that make no sense are refused at the door", () => {
  const make = (options: Record<string, unknown>) =>
    assertThrows(() => new RestRig(options), TypeError);
  make({ tokens: "x" });
  make({ tokens: [{ token: "", scopes: [] }] });
  make({ tokens: [{ token: "a b", scopes: [] }] });
  make({ tokens: [{ token: "a", scopes: ["fly"] }] });
  make({ basePath: "api" });
  make({ basePath: "/api/" });
  make({ basePath: "/:id" });
  make({ authorize: 1 });
  make({ page: 1 });
  make({ compat: "yes" });
  make({ procedures: null });
  make({ allowedHosts: "x" });
  make({ clock: {} });
  const range = (options: Record<string, unknown>) =>
    assertThrows(() => new RestRig(options), RangeError);
  range({ maxBodySize: 0 });
  range({ maxStreams: 0.5 });
  range({ requestTimeout: 0 });
  range({ stream: { replay: 0 } });
  range({ stream: { heartbeat: -1 } });
});
