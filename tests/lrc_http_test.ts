// Copyright 2026 the Longrun authors. MIT license.

/** The handler without sockets: what it answers, and whom. */

import {
  assert,
  assertEquals,
  assertFalse,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { type DeviceProxy, ResultCode } from "../device_proxy.ts";
import {
  type DeviceAccess,
  DeviceHandler,
  type DeviceHandlerOptions,
} from "../lrc_http.ts";
import { deviceError, FakeDevice } from "./_lrc_fake.ts";
import { answerOf, BASE, HttpRig } from "./_lrc_http_rig.ts";

/** The problem that a response is. */
async function problemOf(response: Response): Promise<[number, unknown]> {
  assertEquals(
    response.headers.get("content-type"),
    "application/problem+json",
  );
  const { status, code, title, detail } = await response.json();
  assertEquals(status, response.status);
  assert(typeof title === "string" && typeof detail === "string");
  return [status, code];
}

test("DeviceHandler lists its devices and says what they have", async () => {
  await using rig = new HttpRig();
  const list = await rig.handler.fetch(new Request(`${BASE}/devices`));
  assertEquals(await answerOf(list), [200, {
    devices: [{ name: "test/http/1" }],
  }]);
  assertEquals(list.headers.get("cache-control"), "no-store");
  assertEquals(list.headers.get("x-content-type-options"), "nosniff");
  assertEquals(list.headers.get("access-control-allow-origin"), null);
  const { name, attributes, commands } = await (await rig.get("")).json();
  assertEquals(name, "test/http/1");
  assert(attributes.includes("level") && commands.includes("Hold"));
});

test("DeviceHandler reads attributes, one or several, in any case", async () => {
  await using rig = new HttpRig();
  rig.device.setAttribute("level", 7n);
  assertEquals(await answerOf(await rig.get("/attributes/LEVEL")), [200, {
    attribute: "LEVEL",
    value: 7,
  }]);
  const several = await rig.get("/attributes?name=level&name=lrcQueue");
  assertEquals(await answerOf(several), [200, { values: [7, []] }]);
  const head = await rig.get("/attributes/level", { method: "HEAD" });
  assertEquals([head.status, await head.text()], [200, ""]);
});

test("DeviceHandler answers quick commands", async () => {
  await using rig = new HttpRig();
  const sum = await rig.post("add", { argument: [1, 2] });
  assertEquals(await answerOf(sum), [200, { answer: 3 }]);
});

test("DeviceHandler accepts a long-running command with 202 and its place", async () => {
  await using rig = new HttpRig();
  const response = await rig.post("Hold", {}, { prefer: "respond-async" });
  const { headers } = response;
  const [status, { answer, operation }] = await answerOf(response) as [
    number,
    { answer: [[number], [string]]; operation: Record<string, unknown> },
  ];
  const [[code], [id]] = answer;
  assertEquals([status, code], [202, ResultCode.QUEUED]);
  assertEquals(operation, {
    id,
    command: "Hold",
    status: "QUEUED",
    done: false,
  });
  assertEquals(headers.get("retry-after"), "1");
  assertEquals(headers.get("preference-applied"), "respond-async");
  const at = `${BASE}/devices/test%2Fhttp%2F1/commands/Hold`;
  const place = new URL(headers.get("location") ?? "", at);
  const path = `/operations/${encodeURIComponent(id)}`;
  assertEquals(place.href, `${BASE}/devices/test%2Fhttp%2F1${path}`);

  rig.held.last.execution.progress(40);
  const running = await rig.get(path);
  assertEquals(running.headers.get("retry-after"), "1");
  assertEquals(await answerOf(running), [200, {
    id,
    command: "Hold",
    status: "IN_PROGRESS",
    done: false,
    progress: 40,
  }]);
  rig.held.last.end([0, "held"]);
  await rig.pass();
  const ended = await rig.get(path);
  assertEquals(ended.headers.get("retry-after"), null);
  assertEquals(await answerOf(ended), [200, {
    id,
    command: "Hold",
    status: "COMPLETED",
    done: true,
    result: [0, "held"],
  }]);
});

test("DeviceHandler learns anew what can be asked of a device that has become another", async () => {
  const device = new FakeDevice([1, 1]);
  await using handler = new DeviceHandler(device);
  const id = device.stage("Scan");
  const read = (): Promise<Response> =>
    handler.fetch(
      new Request(`${BASE}/devices/test%2Ffake%2F1/operations/${id}`),
    );
  assertEquals((await read()).status, 200);

  // After an update it has no attributes of the first protocol any more.
  const { attributeNames } = device;
  device.versions = [2, 2];
  device.attributeNames = async () => {
    const names = await attributeNames.call(device);
    return names.filter((name) => !name.startsWith("longRunning"));
  };
  device.failure = (what) =>
    what.includes("longRunning") ? deviceError("API_AttrNotFound") : undefined;
  await read();
  assertEquals((await read()).status, 200);
});

test("DeviceHandler waits for the end as long as the client wants, and no longer", async () => {
  await using rig = new HttpRig({ maxWait: 5000 });
  const quick = rig.post("Hold", {}, { prefer: "wait=10" });
  await rig.pass(4000);
  rig.held.last.end([0, "held"]);
  await rig.pass();
  const response = await quick;
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("preference-applied"), "wait=5");
  assertEquals((await response.json()).operation.result, [0, "held"]);

  let isSettled = false;
  const slow = rig.post("Hold", {}, { prefer: "respond-async, wait=10" });
  slow.then(() => isSettled = true);
  await rig.pass(4999);
  assertFalse(isSettled);
  await rig.pass(1);
  const accepted = await slow;
  assertEquals(accepted.status, 202);
  assertEquals(
    accepted.headers.get("preference-applied"),
    "respond-async, wait=5",
  );
  const { operation } = await accepted.json();
  assertEquals(operation.status, "IN_PROGRESS");

  const path = `/operations/${operation.id}`;
  const polled = rig.get(path, { headers: { prefer: "wait=2" } });
  await rig.pass(1000);
  rig.held.last.end();
  await rig.pass();
  assertEquals((await (await polled).json()).done, true);
});

test("DeviceHandler gives a rejected command a status of its own", async () => {
  await using rig = new HttpRig();
  const response = await rig.post("Refused");
  const body = await response.json();
  assertEquals([response.status, body.code], [409, "command-rejected"]);
  assertEquals(body.answer, [[ResultCode.REJECTED], ["Not today"]]);
});

test("DeviceHandler takes no text for an id that is none", async () => {
  await using rig = new HttpRig();
  const response = await rig.post("AbortCommands");
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("location"), null);
});

test("DeviceHandler tells the errors of a device with all their reasons", async () => {
  await using rig = new HttpRig();
  for (
    const [response, status, reasons] of [
      [rig.post("Nope"), 404, ["API_CommandNotFound", "API_CommandFailed"]],
      [rig.post("Fail"), 500, ["API_CommandFailed"]],
      [rig.get("/attributes/nope"), 404, ["API_AttrNotFound"]],
      [rig.get("/events?attribute=nope"), 404, ["API_AttrNotFound"]],
      [
        rig.get("/events?attribute=lrcProtocolVersions"),
        409,
        ["API_AttributePollingNotStarted"],
      ],
      [
        rig.post("CheckLongRunningCommandStatus"),
        422,
        ["API_IncompatibleCmdArgumentType", "API_CommandFailed"],
      ],
    ] as const
  ) {
    const body = await (await response).json();
    assertEquals((await response).status, status);
    assertEquals(
      body.errors.map(({ reason }: { reason: string }) => reason),
      reasons,
    );
    assertEquals(body.code, "device-failed");
  }
  await rig.device.stop();
  const stopped = await rig.get("");
  assertEquals(stopped.status, 503);
  assertEquals(stopped.headers.get("retry-after"), "1");
});

test("DeviceHandler refuses requests that make no sense", async () => {
  await using rig = new HttpRig({ maxBody: 100 });
  const json = { "content-type": "application/json" };
  const post = (init: RequestInit): Promise<Response> =>
    rig.get("/commands/Add", { method: "POST", ...init });
  const at = (path: string): Promise<Response> =>
    rig.handler.fetch(new Request(BASE + path));
  for (
    const [response, status, code] of [
      [post({ body: "{}" }), 415, "unsupported-media-type"],
      [
        post({ body: "{}", headers: { "content-type": "text/plain" } }),
        415,
        "unsupported-media-type",
      ],
      [
        post({ body: "{}", headers: { ...json, "content-encoding": "gzip" } }),
        415,
        "unsupported-media-type",
      ],
      [post({ headers: json }), 400, "bad-request"],
      [rig.post("Add", "{"), 400, "bad-request"],
      [rig.post("Add", "[1,2]"), 400, "bad-request"],
      [rig.post("Add", "null"), 400, "bad-request"],
      [rig.post("Add", { argument: 1, more: 2 }), 400, "bad-request"],
      [rig.post("Add", { argument: "x".repeat(100) }), 413, "too-large"],
      [
        post({ body: "{}", headers: { ...json, "content-length": "101" } }),
        413,
        "too-large",
      ],
      [rig.get("/attributes"), 400, "bad-request"],
      [rig.get("/attributes?name="), 400, "bad-request"],
      [rig.get("/attributes?names=a"), 400, "bad-request"],
      [rig.get(`/attributes?${"name=a&".repeat(101)}`), 400, "bad-request"],
      [rig.get("/events"), 400, "bad-request"],
      [rig.get("/operations/1_2_Hold"), 404, "operation-not-found"],
      [rig.get("/operations"), 404, "not-found"],
      [rig.get("/commands"), 404, "not-found"],
      [rig.get("/events/level?attribute=level"), 404, "not-found"],
      [rig.get("/attributes/a/b"), 404, "not-found"],
      [rig.get("/attributes/"), 404, "not-found"],
      [rig.get("/nonsense"), 404, "not-found"],
      [at("/"), 404, "not-found"],
      [at("/devicesandmore"), 404, "not-found"],
      [at("/devices/other"), 404, "device-not-found"],
      [at("/devices/%ff"), 400, "bad-request"],
      [rig.get("/commands/Add"), 405, "method-not-allowed"],
      [rig.get("", { method: "DELETE" }), 405, "method-not-allowed"],
    ] as const
  ) {
    const { url } = await response;
    assertEquals(await problemOf(await response), [status, code], url);
  }
  const wrong = await rig.get("/commands/Add");
  assertEquals(wrong.headers.get("allow"), "POST");
});

test("DeviceHandler gives up a body that does not come", async () => {
  await using rig = new HttpRig({ bodyTimeout: 100 });
  let isLeft = false;
  const body = new ReadableStream<Uint8Array>({
    cancel() {
      isLeft = true;
    },
  });
  const response = rig.get("/commands/Add", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    duplex: "half",
  } as RequestInit);
  await rig.pass(100);
  assertEquals(await problemOf(await response), [408, "too-slow"]);
  await rig.pass();
  assert(isLeft);
});

test("DeviceHandler answers by names of this machine only, unless told others", async () => {
  const ask = async (
    options: DeviceHandlerOptions,
    url: string,
    headers: Record<string, string> = {},
  ): Promise<number> => {
    await using rig = new HttpRig(options);
    const request = new Request(`${url}/devices`, { headers });
    return (await rig.handler.fetch(request)).status;
  };
  assertEquals(await ask({}, "http://127.0.0.1:1"), 200);
  assertEquals(await ask({}, "http://[::1]"), 200);
  assertEquals(await ask({}, "http://lab.example"), 421);
  assertEquals(await ask({}, BASE, { host: "lab.example" }), 421);
  assertEquals(await ask({}, BASE, { host: "localhost:8080" }), 200);
  const hosts = ["Lab.example"];
  assertEquals(await ask({ hosts }, "http://lab.example:8000"), 200);
  assertEquals(await ask({ hosts }, BASE), 421);
  const authorize = (): boolean => true;
  assertEquals(await ask({ authorize }, "http://lab.example"), 200);
  assertEquals(await ask({ authorize, hosts }, BASE), 421);
});

test("DeviceHandler keeps pages of other origins out, unless they are named", async () => {
  await using rig = new HttpRig({ cors: ["https://lab.example"] });
  const add = async (origin: string): Promise<Response> =>
    await rig.post("Add", { argument: [1, 2] }, { origin });
  for (const origin of ["https://evil.example", "null", "http://localhost"]) {
    assertEquals(await problemOf(await add(origin)), [403, "foreign-origin"]);
  }
  const own = await add(BASE);
  assertEquals(own.status, 200);
  assertEquals(own.headers.get("access-control-allow-origin"), null);
  const named = await add("https://lab.example");
  assertEquals(named.status, 200);
  assertEquals(
    named.headers.get("access-control-allow-origin"),
    "https://lab.example",
  );
  assertEquals(named.headers.get("vary"), "Origin");
  const asking = (origin: string): Promise<Response> =>
    rig.get("/commands/Add", { method: "OPTIONS", headers: { origin } });
  const preflight = await asking("https://lab.example");
  assertEquals(preflight.status, 204);
  const allowed = preflight.headers.get("access-control-allow-headers") ?? "";
  assertStringIncludes(allowed, "Last-Event-ID");
  assertEquals((await asking("https://evil.example")).status, 403);
  const look = async (site: string, mode: string): Promise<number> => {
    const headers = { "sec-fetch-site": site, "sec-fetch-mode": mode };
    return (await rig.get("/attributes/level", { headers })).status;
  };
  assertEquals(await look("cross-site", "no-cors"), 403);
  assertEquals(await look("same-site", "no-cors"), 403);
  assertEquals(await look("cross-site", "navigate"), 200);
  assertEquals(await look("same-origin", "cors"), 200);
});

test("DeviceHandler does what authorize says, and nothing if that fails", async () => {
  const seen: unknown[] = [];
  await using rig = new HttpRig({
    authorize: (request, access, info) => {
      seen.push([access, info]);
      switch (request.headers.get("authorization")) {
        case "good":
          return Promise.resolve(true);
        case "odd":
          return "yes" as unknown as boolean;
        case "no response":
          return Response.error();
        case "broken":
          throw new Error("no database");
        case null:
          return new Response(null, {
            status: 401,
            headers: { "www-authenticate": "Bearer" },
          });
        default:
          return false;
      }
    },
  });
  const add = (authorization: string): Promise<Response> =>
    rig.post("Add", { argument: [1, 2] }, { authorization });
  assertEquals((await add("good")).status, 200);
  assertEquals(await problemOf(await add("bad")), [403, "forbidden"]);
  assertEquals(await problemOf(await add("odd")), [403, "forbidden"]);
  assertEquals(await problemOf(await add("broken")), [500, "not-authorized"]);
  assertEquals(await problemOf(await add("no response")), [403, "forbidden"]);
  const other = new Request(`${BASE}/devices/other`);
  assertEquals((await rig.handler.fetch(other)).status, 401);
  assertEquals(rig.logger.of("error").length, 1);
  const nobody = await rig.get("/events?attribute=level");
  assertEquals(nobody.status, 401);
  assertEquals(nobody.headers.get("www-authenticate"), "Bearer");
  assertEquals(rig.handler.streams, 0);
  const request = new Request(`${BASE}/devices`);
  await rig.handler.fetch(request, "info");
  const device = "test/http/1";
  assertEquals(seen.at(0), [
    { device, action: "command", names: ["Add"] },
    undefined,
  ]);
  assertEquals(seen.at(-2), [
    { device, action: "events", names: ["level"] },
    undefined,
  ]);
  assertEquals(seen.at(-1), [
    { device: undefined, action: "list", names: [] },
    "info",
  ]);
});

test("DeviceHandler executes a command with the same key once", async () => {
  await using rig = new HttpRig();
  const key = { "idempotency-key": "k" };
  const [one, other] = await Promise.all([
    rig.post("Hold", {}, key),
    rig.post("Hold", {}, key),
  ]);
  assertEquals(await other.json(), await one.json());
  assertEquals(rig.held.calls.length, 1);
  await rig.post("Hold", {}, { "idempotency-key": "l" });
  assertEquals(rig.device.queued, 1);
});

test("DeviceHandler refuses a command with the same key and another argument", async () => {
  await using rig = new HttpRig();
  const key = { "idempotency-key": "k" };
  const add = (body: unknown) => rig.post("Add", body, key);
  assertEquals(await answerOf(await add({ argument: [1, 2] })), [
    200,
    { answer: 3 },
  ]);
  const other = await add({ argument: [1, 3] });
  assertEquals(other.headers.get("content-type"), "application/problem+json");
  const [status, problem] = await answerOf(other);
  assertEquals(status, 422);
  assertEquals((problem as { code: string }).code, "key-reused");
  // It is the argument that counts, not how it is written.
  const again = await add('{ "argument" : [ 1, 2.0 ] }');
  assertEquals(await answerOf(again), [200, { answer: 3 }]);
  await rig.pass(30_000);
  assertEquals(await answerOf(await add({ argument: [1, 3] })), [
    200,
    { answer: 4 },
  ]);
});

test("DeviceHandler tells arguments under one key apart, long ones and none too", async () => {
  await using rig = new HttpRig();
  const long = "x".repeat(50_000);
  const all = [
    {},
    { argument: null },
    { argument: "" },
    { argument: `${long}a${long}` },
    { argument: `${long}b${long}` },
    { argument: `${long}${long}a` },
  ];
  for (const [index, first] of all.entries()) {
    const key = { "idempotency-key": `k${index}` };
    await rig.post("Hold", first, key);
    for (const other of all) {
      const { status, body } = await rig.post("Hold", other, key);
      await body?.cancel();
      assertEquals(status, other === first ? 202 : 422);
    }
  }
  assertEquals(rig.held.calls.length + rig.device.queued, all.length);
});

test("DeviceHandler answers a command with the same key though who asked first has gone", async () => {
  const sum = Promise.withResolvers<number>();
  let calls = 0;
  await using rig = new HttpRig({}, {
    commands: {
      Sum: {
        answer: ({ signal }: { signal: AbortSignal }) => {
          calls++;
          return Promise.race([
            sum.promise,
            new Promise((_, reject) => {
              signal.addEventListener("abort", () => reject(signal.reason));
            }),
          ]);
        },
      },
    },
  });
  const gone = new AbortController();
  const ask = (signal?: AbortSignal): Promise<Response> =>
    rig.get("/commands/Sum", {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": "k" },
      body: "{}",
      ...(signal === undefined ? {} : { signal }),
    });
  const first = ask(gone.signal);
  await rig.pass();
  gone.abort();
  assertEquals((await first).status, 503);
  const again = ask();
  await rig.pass();
  sum.resolve(3);
  assertEquals(await answerOf(await again), [200, { answer: 3 }]);
  assertEquals(calls, 1);
});

test("DeviceHandler never rejects, whatever its device fails with or answers", async () => {
  const circle: unknown[] = [[ResultCode.REJECTED], ["no"]];
  circle.push(circle);
  const failWith = (reason: unknown, desc: unknown) => () => {
    throw deviceError(reason as string, desc as string);
  };
  await using rig = new HttpRig({}, {
    commands: {
      Constructor: { answer: failWith("constructor", "odd") },
      Circle: { answer: failWith("R", { toString: () => "", circle }) },
      Rejected: { answer: () => circle },
      Huge: { answer: () => 10n ** 400n },
    },
  });
  for (const command of ["Constructor", "Circle", "Rejected"]) {
    const response = await rig.post(command);
    assertEquals(await problemOf(response), [500, "device-failed"], command);
  }
  assertEquals(await answerOf(await rig.post("Huge")), [200, {
    answer: String(10n ** 400n),
  }]);
});

test("DeviceHandler tells nobody which devices there are by the way it refuses", async () => {
  const authorize = (_: Request, { action, names }: DeviceAccess): boolean => {
    seen.push([action, ...names]);
    return false;
  };
  const seen: string[][] = [];
  await using rig = new HttpRig({ authorize });
  const ask = async (device: string, path: string, method: string) => {
    const url = `${BASE}/devices/${device}${path}`;
    return await problemOf(
      await rig.handler.fetch(new Request(url, { method })),
    );
  };
  for (
    const [path, method] of [
      ["", "GET"],
      ["", "DELETE"],
      ["/attributes", "GET"],
      ["/attributes/level", "GET"],
      ["/commands/Add", "GET"],
      ["/commands/Add", "POST"],
      ["/odd", "GET"],
      ["/events", "GET"],
    ] as const
  ) {
    assertEquals(
      await ask("other", path, method),
      await ask("test%2Fhttp%2F1", path, method),
      `${method} ${path}`,
    );
  }
  assertEquals(seen, [
    ["describe"],
    ["describe"],
    ["read", "level"],
    ["read", "level"],
    ["command", "Add"],
    ["command", "Add"],
  ]);
});

test("DeviceHandler ends the wait of a quick command whose client has gone", async () => {
  let reason: unknown;
  await using rig = new HttpRig({}, {
    commands: {
      Wait: {
        answer: ({ signal }: { signal: AbortSignal }) =>
          new Promise((_, reject) => {
            signal.addEventListener("abort", () => {
              reason = signal.reason;
              reject(signal.reason);
            });
          }),
      },
    },
  });
  const gone = new AbortController();
  const waiting = rig.get("/commands/Wait", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
    signal: gone.signal,
  });
  await rig.pass();
  gone.abort("gone");
  await waiting;
  assertEquals(reason, "gone");
});

test("DeviceHandler tells a failure that is none of the device's, and logs it", async () => {
  const device = new FakeDevice();
  device.failure = () => new TypeError("broken");
  const lines: string[] = [];
  const logger = { ...console, warn: (line: string) => void lines.push(line) };
  await using handler = new DeviceHandler(device, { logger });
  const url = `${BASE}/devices/test%2Ffake%2F1`;
  const response = await handler.fetch(new Request(url));
  assertEquals(await problemOf(response), [500, "device-failed"]);
  assertEquals(lines, ["A request to a device has failed: TypeError: broken"]);
  device.failure = undefined;
  device.answers.set("Circle", () => {
    const circle: unknown[] = [];
    circle.push(circle);
    return circle;
  });
  const circle = await handler.fetch(
    new Request(`${url}/commands/Circle`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    }),
  );
  assertEquals(circle.status, 500);
});

test("DeviceHandler that is closed is unavailable, with what waits", async () => {
  await using rig = new HttpRig({ retryAfter: 2500 });
  const waiting = rig.post("Hold", {}, { prefer: "wait=20" });
  await rig.pass(10);
  assertEquals(rig.handler.requests, 1);
  await rig.handler.close();
  await rig.handler.close();
  assertEquals((await waiting).status, 202);
  const late = await rig.get("");
  assertEquals(late.headers.get("retry-after"), "3");
  assertEquals(await problemOf(late), [503, "unavailable"]);
});

test("DeviceHandler serves several devices below its base", async () => {
  const devices = ["a/b/1", "a/b/2"].map((name) =>
    Object.assign(new FakeDevice(), { name })
  );
  await using handler = new DeviceHandler(devices, { base: "/lab/x" });
  const get = async (path: string): Promise<number> =>
    (await handler.fetch(new Request(BASE + path))).status;
  assertEquals(await get("/lab/x/devices"), 200);
  assertEquals(await get("/lab/x/devices/A%2Fb%2F2"), 200);
  assertEquals(await get("/devices"), 404);
});

test("DeviceHandler checks its arguments", () => {
  const device = new FakeDevice();
  const make = (options: unknown, devices: unknown = device) => () =>
    new DeviceHandler(
      devices as DeviceProxy,
      options as DeviceHandlerOptions,
    );
  for (
    const options of [
      null,
      { base: "lab" },
      { base: "/lab/" },
      { hosts: "localhost" },
      { cors: [1] },
      { authorize: true },
      { maxBody: "1" },
      { clock: 1 },
      { logger: {} },
    ]
  ) {
    assertThrows(make(options), TypeError, "Cannot create DeviceHandler");
  }
  for (
    const options of [
      { maxBody: 0 },
      { bodyTimeout: 0 },
      { maxStreams: -1 },
      { replay: 0 },
      { replayBytes: 0.5 },
      { linger: -1 },
      { heartbeat: 0 },
      { maxWait: Infinity },
      { retryAfter: NaN },
    ]
  ) {
    assertThrows(make(options), RangeError, "Cannot create DeviceHandler");
  }
  for (const devices of [1, null, "x", {}, [1], [device, device]]) {
    assertThrows(make({}, devices), TypeError, "'devices'");
  }
});
