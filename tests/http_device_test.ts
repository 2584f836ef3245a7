// Copyright 2026 the Longrun authors. MIT license.

/** The client without sockets, over a way that breaks. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import { backoff } from "../backoff.ts";
import { DeviceError, ResultCode, TaskStatus } from "../device_proxy.ts";
import { HttpDevice, type HttpDeviceOptions } from "../http_device.ts";
import { DeviceHandler } from "../lrc_http.ts";
import { LongRunningCommand } from "../long_running_command.ts";
import {
  attachLrc,
  CallbackScheduler,
  CommandError,
  invokeLrc,
} from "../lrc.ts";
import { CountingController } from "./_listeners.ts";
import { collect, reasonsOf, valuesOf } from "./_lrc_device_rig.ts";
import { BASE, HttpRig } from "./_lrc_http_rig.ts";
import { Way } from "./_lrc_http_way.ts";

const EVENTS = "GET /events?attribute=level";

/** A device, and a client of it by a way that may break. */
class ClientRig extends HttpRig {
  readonly way: Way = new Way((request) => this.handler.fetch(request));

  override client(options: HttpDeviceOptions = {}): HttpDevice {
    return super.client({ fetch: this.way.fetch, ...options });
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    assertEquals(this.way.streams, 0, "streams of clients left");
  }
}

/** The first wait of all that do not end by themselves. */
const restart = backoff({ limit: Infinity, initial: 100, factor: 1 });

test("HttpDevice is a device like the one it stands for", async () => {
  await using rig = new ClientRig();
  const client = rig.client();
  const controller = new CountingController();
  const { signal } = controller;
  assertEquals(client.name, rig.device.name);
  assertEquals(
    await client.attributeNames({ signal }),
    await rig.device.attributeNames(),
  );
  assertEquals([controller.most, controller.listeners], [1, 0]);
  const names = ["LEVEL", "lrcProtocolVersions", "lrcQueue"];
  assertEquals(
    await client.readAttributes(names),
    await rig.device.readAttributes(names),
  );
  assertEquals(await client.readAttributes([]), []);
  assertEquals(await client.command("add", [1, 2]), 3);
  assertEquals(await client.command("Refused"), [
    [ResultCode.REJECTED],
    ["Not today"],
  ]);
  const nothing = await client.command("AbortCommands");
  assertEquals(nothing, [[ResultCode.STARTED], ["Aborting commands"]]);
  for (const [name, argument] of [["Nope"], ["Fail"], ["Abort", 1]] as const) {
    const tell = async (device: typeof rig.device | HttpDevice) => {
      try {
        const [[code]] = await device.command(name, argument) as [[number]];
        return code;
      } catch (error) {
        assertInstanceOf(error, DeviceError);
        return error.errors;
      }
    };
    const told = await tell(client);
    await rig.pass();
    assertEquals(told, await tell(rig.device));
    await rig.pass();
  }
});

test("HttpDevice takes an address of its own or that of the handler", () => {
  const device = `${BASE}/lab/devices/a%2Fb%2F1`;
  for (
    const made of [
      new HttpDevice(device),
      new HttpDevice(`${device}/`),
      new HttpDevice(new URL(`${BASE}/lab/`), { name: "a/b/1" }),
      new HttpDevice(`${BASE}/lab`, { name: "a/b/1" }),
    ]
  ) {
    assertEquals([made.name, made.url], ["a/b/1", device]);
  }
});

test("HttpDevice checks its arguments", async () => {
  const device = `${BASE}/devices/a`;
  for (
    const url of [
      "nonsense",
      "ftp://localhost/devices/a",
      `${BASE}/`,
      `${BASE}/devices/%ff`,
      `${device}?x`,
      `${device}#x`,
      "http://user:word@localhost/devices/a",
    ]
  ) {
    assertThrows(() => new HttpDevice(url), TypeError, "'url'");
  }
  for (
    const options of [
      null,
      { name: "" },
      { headers: 1 },
      { headers: null },
      { headers: { "no name": "a" } },
      { fetch: 1 },
      { dateNow: 1 },
      { restart: {} },
      { clock: {} },
      { logger: 1 },
    ]
  ) {
    const given = options as HttpDeviceOptions;
    assertThrows(() => new HttpDevice(device, given), TypeError);
  }
  for (
    const options of [
      { timeout: 0 },
      { silence: NaN },
      { eventCapacity: 0 },
      { maxBody: -1 },
    ]
  ) {
    assertThrows(() => new HttpDevice(device, options), RangeError);
  }
  const client = new HttpDevice(device);
  const one = 1 as unknown as string;
  await assertRejects(() => client.command(one), TypeError, "'name'");
  await assertRejects(() => client.subscribe(one), TypeError, "'attribute'");
  await assertRejects(() => client.readAttributes([one]), TypeError, "'names'");
  const signal = {} as AbortSignal;
  await assertRejects(() => client.attributeNames({ signal }), TypeError);
});

test("HttpDevice sends its headers, made anew each time if they are a function", async () => {
  await using rig = new ClientRig();
  const seen: (string | null)[] = [];
  rig.way.instead = ({ headers }) => {
    seen.push(headers.get("authorization"));
    return undefined;
  };
  let count = 0;
  const headers = (): Record<string, string> => ({
    authorization: `token ${++count}`,
  });
  const client = rig.client({ headers });
  await client.attributeNames();
  await (await client.subscribe("level")).return();
  await rig.client({ headers: { authorization: "same" } }).command("Abort");
  assertEquals(seen, ["token 1", "token 2", "same"]);
});

test("HttpDevice keeps the headers that it was given, whatever becomes of them", async () => {
  await using rig = new ClientRig();
  const seen: (string | null)[] = [];
  rig.way.instead = ({ headers }) => {
    seen.push(headers.get("authorization"));
    return undefined;
  };
  const headers = { authorization: "mine" };
  const client = rig.client({ headers });
  headers.authorization = "of another device";
  await client.attributeNames();
  assertEquals(seen, ["mine"]);
});

test("HttpDevice tells a failure of the way as one of the device", async () => {
  await using rig = new ClientRig();
  const client = rig.client({ timeout: 1000, maxBody: 1000 });
  rig.way.isDown = true;
  const lost = ["API_CommunicationFailed", "API_CantConnectToDevice"];
  assertEquals(await reasonsOf(client.attributeNames()), lost);
  assertEquals(await reasonsOf(client.command("Hold")), lost);
  assertEquals(await reasonsOf(client.subscribe("level")), lost);
  rig.way.isDown = false;
  for (
    const [response, reason] of [
      [new Response("{}"), "API_CommunicationFailed"],
      [new Response("nonsense"), "API_CommunicationFailed"],
      [new Response("x".repeat(1001)), "API_CommunicationFailed"],
      [new Response("gone", { status: 410 }), "HTTP_410"],
      [new Response(null, { status: 502 }), "HTTP_502"],
    ] as const
  ) {
    rig.way.instead = () => response.clone();
    const [first] = await reasonsOf(client.attributeNames());
    assertEquals(first, reason);
  }
  rig.way.instead = () => new Response("[]");
  assertEquals(await reasonsOf(client.subscribe("level")), [
    "API_CommunicationFailed",
  ]);
  assertEquals(client.subscriptions, 0);
});

test("HttpDevice does not wait for ever, nor longer than its signal", async () => {
  await using rig = new ClientRig();
  const never = (): Promise<Response> => new Promise(() => {});
  const client = rig.client({ fetch: never, timeout: 1000 });
  const late = reasonsOf(client.command("Hold"));
  const lateEvents = reasonsOf(client.subscribe("level"));
  await rig.pass(1000);
  assertEquals(await late, ["API_DeviceTimedOut", "API_CantConnectToDevice"]);
  assertEquals(await lateEvents, ["API_EventTimeout"]);

  const controller = new CountingController();
  const { signal } = controller;
  const asks = [
    client.attributeNames({ signal }),
    client.readAttributes(["level"], { signal }),
    client.command("Hold", undefined, { signal }),
    client.subscribe("level", { signal }),
  ];
  await rig.pass();
  const ends = Promise.allSettled(asks);
  controller.abort("enough");
  for (const end of await ends) {
    assertEquals(end, { status: "rejected", reason: "enough" });
  }
  assertEquals([controller.listeners, client.subscriptions], [0, 0]);
  for (const ask of ["attributeNames", "subscribe"] as const) {
    const given = { signal } as never;
    const asking = ask === "subscribe"
      ? client.subscribe("level", given)
      : client.attributeNames(given);
    assertEquals(await asking.catch((reason) => reason), "enough");
  }
});

test("A subscription that is left or aborted closes its stream at once", async () => {
  await using rig = new ClientRig({ linger: 0 });
  const client = rig.client();
  const controller = new CountingController();
  const { signal } = controller;
  const left = await client.subscribe("level");
  const aborted = await client.subscribe("level", { signal });
  assertEquals([client.subscriptions, rig.handler.streams], [2, 2]);
  await left.return();
  controller.abort("enough");
  assertEquals(await aborted.next().catch((reason) => reason), "enough");
  await rig.pass();
  assertEquals([client.subscriptions, controller.listeners], [0, 0]);
  assertEquals([rig.way.streams, rig.handler.streams], [0, 0]);
  assertEquals(rig.device.subscriptions, 0);
});

test("A subscription notices nothing of a connection that breaks and is made again", async () => {
  await using rig = new ClientRig();
  const subscription = await rig.client({ restart }).subscribe("level");
  const events = collect(subscription);
  rig.device.setAttribute("level", 1);
  await rig.pass();
  rig.way.cut();
  rig.device.setAttribute("level", 2);
  rig.device.setAttribute("level", 3);
  await rig.pass(99);
  assertEquals(rig.way.streams, 0);
  await rig.pass(1);
  assertEquals(rig.way.streams, 1);
  rig.device.setAttribute("level", 4);
  await rig.pass();
  assertEquals(valuesOf(events), [0, 1, 2, 3, 4]);
  assertEquals(rig.way.requests, [EVENTS, EVENTS]);
  await subscription.return();
});

test("A subscription tells an outage once, and the present value after it", async () => {
  await using rig = new ClientRig({ linger: 100 });
  const subscription = await rig.client({ restart }).subscribe("level");
  const events = collect(subscription);
  await rig.pass();
  rig.way.cut(true);
  await rig.pass(99);
  assertEquals(valuesOf(events), [0]);
  await rig.pass(301);
  assertEquals(valuesOf(events), [0, "API_EventTimeout"]);
  assertEquals(rig.way.requests.length, 5);
  rig.way.isDown = false;
  await rig.pass(100);
  assertEquals(valuesOf(events), [
    0,
    "API_EventTimeout",
    "API_MissedEvents",
    0,
  ]);
  await subscription.return();
});

test("A subscription tells a gap when the server has started anew", async () => {
  await using rig = new ClientRig({ retryAfter: 1000 });
  const subscription = await rig.client({ restart }).subscribe("level");
  const events = collect(subscription);
  await rig.pass();
  await rig.restart();
  rig.device.setAttribute("level", 5);
  await rig.pass(1099);
  assertEquals(rig.way.streams, 0, "it heeds the advice of the server");
  await rig.pass(1);
  assertEquals(valuesOf(events), [0, "API_MissedEvents", 5]);
  await subscription.return();
});

test("A subscription comes again when the server has said, by seconds or a date", async () => {
  const dateNow = () => Date.UTC(2026, 10, 21, 12);
  const all: Record<string, string>[] = [
    { "retry-after": "5" },
    { "retry-after": "Sat, 21 Nov 2026 12:00:05 GMT" },
    { "retry-after": "Saturday, 21-Nov-26 12:00:05 GMT" },
    { "retry-after": "Sat Nov 21 12:00:05 2026" },
    // By the clock of the server, which need not be that of here.
    {
      "retry-after": "Tue, 01 Jan 2030 00:00:05 GMT",
      date: "Tue, 01 Jan 2030 00:00:00 GMT",
    },
  ];
  for (const headers of all) {
    await using rig = new ClientRig();
    const subscription = await rig.client({ restart, dateNow })
      .subscribe("level");
    const events = collect(subscription);
    await rig.pass();
    rig.way.instead = () => new Response(null, { status: 503, headers });
    rig.way.cut();
    await rig.pass(100);
    assertEquals(rig.way.requests.length, 2);
    rig.way.instead = undefined;
    await rig.pass(5099);
    assertEquals(rig.way.requests.length, 2, headers["retry-after"]);
    await rig.pass(1);
    assertEquals(rig.way.requests.length, 3, headers["retry-after"]);
    assertEquals(valuesOf(events).at(-1), 0);
    await subscription.return();
  }
});

test("A subscription does not wait for a date that is past or none, nor long for one far away", async () => {
  for (
    const [text, ms] of [
      ["Sat, 21 Nov 2026 11:00:00 GMT", 0],
      ["Sun, 21 Nov 2027 12:00:00 GMT", 60_000],
      ["soon", 0],
    ] as const
  ) {
    await using rig = new ClientRig();
    const dateNow = () => Date.UTC(2026, 10, 21, 12);
    const subscription = await rig.client({ restart, dateNow })
      .subscribe("level");
    await rig.pass();
    const headers = { "retry-after": text };
    rig.way.instead = () => new Response(null, { status: 503, headers });
    rig.way.cut();
    await rig.pass(100);
    rig.way.instead = undefined;
    await rig.pass(ms + 99);
    assertEquals(rig.way.requests.length, 2, text);
    await rig.pass(1);
    assertEquals(rig.way.requests.length, 3, text);
    await subscription.return();
  }
});

test("A subscription gives up a stream that is silent", async () => {
  await using rig = new ClientRig({ heartbeat: 100 });
  const client = rig.client({ restart, silence: 250 });
  const subscription = await client.subscribe("level");
  await rig.pass(1000);
  assertEquals(rig.way.requests, [EVENTS], "signs of life are signs of life");
  await subscription.return();

  let isLeft = false;
  const silent = new ReadableStream<Uint8Array>({
    start(controller) {
      const text = 'id: a-1\nevent: present\ndata: {"value":1}\n\n';
      controller.enqueue(new TextEncoder().encode(text));
    },
    cancel() {
      isLeft = true;
      return new Promise(() => {});
    },
  });
  const headers = { "content-type": "text/event-stream" };
  rig.way.instead = () => new Response(silent, { headers });
  const other = await client.subscribe("level");
  rig.way.instead = undefined;
  assertEquals((await other.next()).value, { attribute: "level", value: 1 });
  await rig.pass(350);
  assert(isLeft);
  assertEquals(valuesOf([(await other.next()).value ?? fail()]), [
    "API_MissedEvents",
  ]);
  await other.return();
});

function fail(): never {
  throw new Error("There is nothing");
}

test("A subscription ends with the device, and fails when it is refused for good", async () => {
  const rig = new ClientRig();
  const client = rig.client({ restart });
  const ended = await client.subscribe("level");
  await ended.next();
  const next = ended.next();
  await rig.device.stop();
  assertEquals((await next).done, true);
  await rig[Symbol.asyncDispose]();

  await using other = new ClientRig();
  const refused = await other.client({ restart }).subscribe("level");
  await refused.next();
  const failing = reasonsOf(refused.next());
  other.way.instead = () => new Response(null, { status: 403 });
  other.way.cut();
  await other.pass(100);
  assertEquals(await failing, ["HTTP_403"]);

  const limited = backoff({ limit: 2, initial: 100, factor: 1 });
  other.way.instead = undefined;
  const given = await other.client({ restart: limited }).subscribe("level");
  const events = collect(given);
  other.way.cut(true);
  await other.pass(500);
  assertEquals(valuesOf(events), [0, "API_EventTimeout"]);
  assertEquals(await given.next().then(({ done }) => done), true);
});

test("A subscription waits as long as a server without room wants", async () => {
  await using rig = new ClientRig({ maxStreams: 1 });
  const client = rig.client({ restart });
  const subscription = await client.subscribe("level");
  const events = collect(subscription);
  assertEquals(await reasonsOf(client.subscribe("level")), ["HTTP_503"]);
  rig.way.cut();
  await rig.pass();
  const other = await rig.events("level");
  await rig.pass(100);
  assertEquals(valuesOf(events), [0, "API_EventTimeout"]);
  await other.leave();
  await rig.pass(1099);
  assertEquals(rig.way.streams, 0);
  await rig.pass(1);
  assertEquals(valuesOf(events), [0, "API_EventTimeout", 0]);
  await subscription.return();
});

test("A subscription heeds no advice that would make it deaf, and no id that is none", async () => {
  await using rig = new ClientRig();
  const ids: (string | null)[] = [];
  const fetch = (request: Request): Promise<Response> => {
    ids.push(request.headers.get("last-event-id"));
    const text = `retry: ${"9".repeat(20)}\nid: \u2603\nevent: present\n` +
      `data: {"attribute":"level","value":${ids.length}}\n\n`;
    const headers = { "content-type": "text/event-stream" };
    return Promise.resolve(new Response(text, { headers }));
  };
  const client = rig.client({ fetch, restart });
  const subscription = await client.subscribe("level");
  const events = collect(subscription);
  await rig.pass(60_099);
  assertEquals(valuesOf(events), [1]);
  await rig.pass(1);
  assertEquals(valuesOf(events), [1, 2]);
  assertEquals(ids, [null, null]);
  await subscription.return();
});

test("HttpDevice lets go of a response that comes when nobody waits any more", async () => {
  await using rig = new ClientRig();
  const coming = Promise.withResolvers<Response>();
  const client = rig.client({ fetch: () => coming.promise });
  const gone = new AbortController();
  const subscribing = client.subscribe("level", { signal: gone.signal });
  await rig.pass();
  gone.abort("gone");
  assertEquals(await subscribing.catch((reason) => reason), "gone");
  let isLeft = false;
  const body = new ReadableStream({ cancel: () => void (isLeft = true) });
  const headers = { "content-type": "text/event-stream" };
  coming.resolve(new Response(body, { headers }));
  await rig.pass();
  assert(isLeft);
});

test("A subscription whose first stream breaks off fails with a DeviceError", async () => {
  await using rig = new ClientRig();
  const client = (text: string) =>
    rig.client({
      maxBody: 10,
      fetch: () => {
        const headers = { "content-type": "text/event-stream" };
        return Promise.resolve(new Response(text, { headers }));
      },
    });
  for (const text of ["", ":\n\n", "x".repeat(11)]) {
    const subscribing = client(text).subscribe("level");
    const error = await assertRejects(() => subscribing, DeviceError);
    assertEquals(error.errors[0]?.reason, "API_CommunicationFailed");
    assertInstanceOf(error.cause, Error);
  }
});

test("HttpDevice reads any number of attributes, a hundred in one request", async () => {
  await using rig = new ClientRig();
  const sizes: number[] = [];
  const client = rig.client({
    fetch: (request) => {
      sizes.push(new URL(request.url).searchParams.size);
      return rig.handler.fetch(request);
    },
  });
  const names = Array.from(
    { length: 201 },
    (_, at) => at % 2 === 0 ? "level" : "lrcProtocolVersions",
  );
  assertEquals(
    await client.readAttributes(names),
    await rig.device.readAttributes(names),
  );
  assertEquals(sizes, [100, 100, 1]);
});

test("HttpDevice follows no redirect, which would take its headers along", async () => {
  await using rig = new ClientRig();
  const seen: string[] = [];
  const client = rig.client({
    headers: { "x-key": "secret" },
    fetch: (request) => {
      seen.push(request.redirect);
      return rig.handler.fetch(request);
    },
  });
  await client.readAttributes(["level"]);
  const subscription = await client.subscribe("level");
  await client.command("add", [1, 2]);
  assertEquals(seen, ["error", "error", "error"]);
  await subscription.return();
});

test("HttpDevice takes no answer that has another number of values", async () => {
  await using rig = new ClientRig();
  const fetch = () => Promise.resolve(Response.json({ values: [1] }));
  const client = rig.client({ fetch });
  assertEquals(await client.readAttributes(["a"]), [1]);
  for (const names of [["a", "b"], ["a", "b", "c"]]) {
    const reading = client.readAttributes(names);
    assertEquals(await reasonsOf(reading), ["API_CommunicationFailed"]);
  }
});

test("A subscriber that is slow is told what was dropped", async () => {
  await using rig = new ClientRig();
  const client = rig.client({ eventCapacity: 3 });
  const subscription = await client.subscribe("level");
  for (let level = 1; level <= 5; level++) {
    rig.device.setAttribute("level", level);
    await rig.pass();
  }
  const seen = [];
  for (let n = 0; n < 4; n++) seen.push((await subscription.next()).value);
  assertEquals(
    valuesOf(seen.map((event) => event ?? fail())),
    ["API_MissedEvents", 3, 4, 5],
  );
  await subscription.return();
});

test("An event that is too long or no JSON does not end the subscription", async () => {
  await using rig = new ClientRig();
  const client = rig.client({ restart, maxBody: 1000 });
  const subscription = await client.subscribe("level");
  const events = collect(subscription);
  await rig.pass();
  rig.device.setAttribute("level", "x".repeat(2000));
  await rig.pass();
  rig.device.setAttribute("level", 1);
  rig.way.instead = ({ headers }) => {
    rig.way.instead = undefined;
    const id = headers.get("last-event-id");
    const text = `id: ${id}\nevent: change\ndata: {\n\n`;
    return new Response(text, {
      headers: { "content-type": "text/event-stream" },
    });
  };
  await rig.pass(100);
  assertEquals(valuesOf(events), [0, "LRC_MalformedEvent"]);
  await subscription.return();
});

test("Commands over HTTP come to the end that they come to in the process", async () => {
  for (const versions of [[1, 1], [1, 2], [2, 2]] as const) {
    await using rig = new ClientRig({ linger: 0 }, {
      protocolVersions: versions,
    });
    const { clock } = rig;
    const scheduler = new CallbackScheduler();
    const options = { clock, scheduler };
    const client = rig.client();
    const handle = await invokeLrc(null, client, "Hold", 5, options);
    assertEquals(rig.held.last.execution.argument, 5);
    rig.held.last.execution.progress(30);
    await rig.pass();
    assertEquals(handle.progress, 30);
    const found = await attachLrc(null, client, handle.serialize(), options);
    rig.held.last.end([ResultCode.OK, "held"]);
    await rig.pass();
    assertEquals((await handle.done).message, "held");
    assertEquals(handle.counters.repairs, 0);
    assertEquals((await found.done).resultCode, ResultCode.OK);
    assertEquals(handle.history.map(({ status }) => status), [
      TaskStatus.STAGING,
      TaskStatus.QUEUED,
      TaskStatus.IN_PROGRESS,
      TaskStatus.COMPLETED,
    ]);

    const error = await invokeLrc(null, client, "Refused", 1, options)
      .catch((error) => error);
    assertInstanceOf(error, CommandError);
    assertEquals(error.reason, "Not today");
    const failed = await new LongRunningCommand("Fail", options)
      .execute(client);
    assertInstanceOf(failed.exception, DeviceError);
    await rig.pass();
    assertEquals([client.subscriptions, rig.handler.streams], [0, 0]);
  }
});

test("A command is found again after the way was down when it ended", async () => {
  for (const versions of [[1, 1], [2, 2]] as const) {
    for (const isFresh of [false, true]) {
      await using rig = new ClientRig({ linger: 1000 }, {
        protocolVersions: versions,
      });
      const { clock } = rig;
      const scheduler = new CallbackScheduler();
      const client = rig.client({ restart });
      const handle = await invokeLrc(null, client, "Hold", undefined, {
        clock,
        scheduler,
      });
      await rig.pass();
      rig.way.cut(true);
      if (isFresh) await rig.restart();
      rig.held.last.end([ResultCode.OK, "held"]);
      await rig.pass(5000);
      assert(!handle.ended);
      rig.way.isDown = false;
      await rig.pass(60_000);
      const { message, status } = await handle.done;
      assertEquals([message, status], ["held", TaskStatus.COMPLETED]);
    }
  }
});

test("A handler over devices of another handler is a gateway", async () => {
  await using rig = new ClientRig({ linger: 0 });
  const { clock, timers, logger } = rig;
  const near = rig.client({ restart });
  const gateway = new DeviceHandler(near, { clock: timers, logger });
  const client = new HttpDevice(BASE, {
    name: near.name,
    clock: timers,
    logger,
    fetch: (request) => gateway.fetch(request),
  });
  const level = await client.subscribe("level");
  const events = collect(level);
  const scheduler = new CallbackScheduler();
  const options = { clock, scheduler };
  const handle = await invokeLrc(null, client, "Hold", undefined, options);
  rig.way.cut(true);
  await rig.restart();
  rig.held.last.end([ResultCode.OK, "held"]);
  rig.device.setAttribute("level", 1);
  await rig.pass(1000);
  rig.way.isDown = false;
  await rig.pass(60_000);
  assertEquals((await handle.done).message, "held");
  assertEquals(valuesOf(events), [
    0,
    "API_EventTimeout",
    "API_MissedEvents",
    1,
  ]);
  assertEquals(
    await reasonsOf(client.command("Nope")),
    await reasonsOf(rig.device.command("Nope")),
  );
  assertEquals(await client.command("Refused"), [[5], ["Not today"]]);
  await level.return();
  await gateway.close();
  assertEquals([gateway.streams, gateway.subscriptions], [0, 0]);
  await rig.pass();
});

test("A command is sent once, however the connection breaks", async () => {
  await using rig = new ClientRig();
  const keys: (string | null)[] = [];
  rig.way.instead = ({ headers }) => {
    keys.push(headers.get("idempotency-key"));
    throw new TypeError("connection reset");
  };
  const client = rig.client();
  await reasonsOf(client.command("Hold"));
  await reasonsOf(client.command("Hold"));
  await rig.pass(100_000);
  assertEquals(rig.way.requests.length, 2);
  assert(keys[0] !== keys[1] && keys[0] !== null);
});

test("Whatever the way does, a subscription has every value or says what it has not", async () => {
  const step = fc.oneof(
    fc.constant("change" as const),
    fc.constant("cut" as const),
    fc.constant("down" as const),
    fc.constant("up" as const),
    fc.constant("restart" as const),
    fc.constant("pass" as const),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 30 }),
      fc.constantFrom(2, 1000),
      async (steps, replay) => {
        await using rig = new ClientRig({ replay, linger: 300 });
        const subscription = await rig.client({ restart }).subscribe("level");
        const events = collect(subscription);
        let level = 0;
        for (const each of steps) {
          if (each === "change") rig.device.setAttribute("level", ++level);
          if (each === "cut") rig.way.cut();
          if (each === "down") rig.way.cut(true);
          if (each === "up") rig.way.isDown = false;
          if (each === "restart") await rig.restart();
          await rig.pass(each === "pass" ? 150 : 0);
        }
        rig.way.isDown = false;
        await rig.pass(5000);
        let known = 0;
        let isBroken = false;
        for (const event of events) {
          if ("errors" in event) isBroken = true;
          else {
            const value = Number(event.value);
            if (!isBroken) {
              assert(value <= known + 1, `${value} > ${known} + 1`);
            }
            isBroken = false;
            known = value;
          }
        }
        assertEquals(known, level);
        assertEquals(rig.way.streams, 1);
        await subscription.return();
        await rig.pass();
      },
    ),
    { numRuns: 60 },
  );
});
