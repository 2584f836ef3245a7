// Copyright 2026 the Longrun authors. MIT license.

import { ManualClock } from "@longrun/tasks/testing";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "@std/testing/bdd";
import type { RestApi } from "../rest_api.ts";
import { RestRig } from "./_rest_rig.ts";
import { SseReader } from "./_sse_reader.ts";

async function listen(
  rig: RestRig,
  query: string = "",
  lastEventId?: string,
): Promise<SseReader> {
  const headers: Record<string, string> = lastEventId === undefined
    ? {}
    : { "last-event-id": lastEventId };
  const response = await rig.ask(`/stream${query}`, { headers });
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "text/event-stream");
  const reader = new SseReader(response);
  await reader.read();
  assertEquals(reader.text, "\n");
  return reader;
}

test("The stream tells state changes as the original does", async () => {
  await using rig = new RestRig();
  await using reader = await listen(rig);
  rig.procedures.bus.publish("procedure.lifecycle.statechange", {
    pid: 3,
    state: "READY",
    time: 1000,
  }, { source: "3" });
  const event = await reader.next();
  const { time, ...data } = event?.data;
  assert(time > 1e9 && time < 1e11);
  assertEquals(data, {
    topic: "procedure.lifecycle.statechange",
    msg_src: "3",
    new_state: "READY",
    pid: 3,
  });
  assertEquals(event?.event, undefined);
  assertMatch(event?.id ?? "", /^[0-9a-f]{8}-1$/);
  assertMatch(reader.text, /^\nid: [0-9a-f]{8}-1\ndata: \{[^\n]*\}\n\n$/);
});

test("The stream tells summaries with the address that was asked", async () => {
  await using rig = new RestRig();
  await rig.prepare();
  const [summary] = rig.procedures.summarise();
  assert(summary !== undefined);
  const hosts = ["localhost", "127.0.0.1:99", "a.localhost"];
  const readers = await Promise.all(hosts.map(async (host) => {
    const reader = new SseReader(await rig.ask(`http://${host}/api/v1/stream`));
    await reader.read();
    return reader;
  }));
  const publish = (topic: "procedure.lifecycle.ready") =>
    rig.procedures.bus.publish(topic, summary, { requestId: "r1" });
  publish("procedure.lifecycle.ready");
  for (const [index, reader] of readers.entries()) {
    const { data } = await reader.next() ?? {};
    const json = await (await rig.ask(
      `http://${hosts[index]}/api/v1/procedures/1`,
    )).json();
    assertEquals(data.result, json);
    assertEquals(data.request_id, "r1");
    await reader[Symbol.asyncDispose]();
  }
  assertEquals(rig.api.streams, 0);
});

test("The stream tells requests, replies and topics of scripts", async () => {
  await using rig = new RestRig();
  await rig.prepare();
  const [summary] = rig.procedures.summarise();
  assert(summary !== undefined);
  await using reader = await listen(rig);
  const { bus } = rig.procedures;
  const script = summary.script;
  bus.publish("request.procedure.create", { script }, { requestId: "q" });
  bus.publish("request.procedure.start", { pid: 1 });
  bus.publish("request.procedure.stop", { pid: 1, runAbort: true });
  bus.publish("request.procedure.stop", { pid: 1 });
  bus.publish("request.procedure.list", {});
  bus.publish("procedure.reply.created", { ok: true, value: summary });
  const error = { name: "E", message: "no", stack: "secret" };
  bus.publish("procedure.reply.started", { ok: false, error });
  bus.publish("procedure.pool.list", { ok: true, value: [summary] });
  bus.publish("procedure.lifecycle.removed", { pid: 1 });
  bus.publish("procedure.lifecycle.stacktrace", { pid: 1, stacktrace: "s" });
  bus.publish("script.output", {
    pid: 1,
    stream: "stderr",
    text: "a\nb\u2028",
    dropped: 2,
  });
  bus.publish("activity.lifecycle.statechange", {
    id: 1,
    state: "RUNNING",
    time: 1,
  });
  bus.publish("sb.lifecycle.started", { sbiId: "sbi" });
  bus.publish("operator.wait_for_qa_ready.enable", {});
  bus.publish("weather.wind", { speed: 3 });
  const events = await reader.take(15);
  const json = await (await rig.ask("/procedures/1")).json();
  const envelope = ["topic", "msg_src", "time"];
  const payload = (data: Record<string, unknown>) =>
    Object.fromEntries(
      Object.entries(data).filter(([name]) => !envelope.includes(name)),
    );
  assertEquals(events.map(({ data }) => payload(data)), [
    {
      request_id: "q",
      cmd: {
        script: json.script,
        script_args: { init: { args: [], kwargs: {} } },
      },
    },
    {
      cmd: {
        pid: 1,
        fn: "main",
        args: { args: [], kwargs: {} },
        force_start: false,
      },
    },
    { cmd: { pid: 1, run_abort: true } },
    { cmd: { pid: 1, run_abort: false } },
    { pids: null },
    { request_id: null, result: json },
    { error: { name: "E", message: "no" } },
    { request_id: null, result: [json] },
    { pid: 1 },
    { pid: 1, stacktrace: "s" },
    { pid: 1, stream: "stderr", text: "a\nb\u2028", dropped: 2 },
    { id: 1, new_state: "RUNNING" },
    { sbi_id: "sbi" },
    {},
    { data: { speed: 3 } },
  ]);
});

test("Values that JSON does not know do not end the stream", async () => {
  await using rig = new RestRig();
  await using reader = await listen(rig);
  const { bus } = rig.procedures;
  const cycle: Record<string, unknown> = { name: "cycle" };
  cycle.self = cycle;
  let deep: unknown = 1;
  for (let i = 0; i < 5000; i++) deep = [deep];
  const values = [
    { big: 2n ** 70n, f: () => {}, none: undefined },
    cycle,
    new Error("told", { cause: 1n }),
    {
      get trap() {
        throw new TypeError("no");
      },
    },
    new Map([["a", new Set([1])]]),
    new Uint8Array([1, 2]),
    [NaN, new Date(0), new Date(NaN), Symbol("s")],
    deep,
    JSON.parse('{"__proto__":{"a":1}}'),
    "x".repeat(2 * 1024 * 1024),
    undefined,
  ];
  for (const value of values) bus.publish("user.value", value);
  // Not what this topic is for.
  bus.publish("procedure.lifecycle.ready", { pid: 1n } as never);
  bus.publish("procedure.lifecycle.statechange", { pid: 1n } as never);
  bus.publish("procedure.reply.created", null as never);
  const events = await reader.take(14);
  const data = events.map((event) => event.data.data);
  assertEquals(data[0], { big: String(2n ** 70n) });
  assertEquals(data[1], { name: "cycle", self: "[circular]" });
  assertEquals(data[2], { name: "Error", message: "told", cause: "1" });
  assertEquals(data[3], "[TypeError]");
  assertEquals(data[4], [["a", [1]]]);
  assertEquals(data[5], [1, 2]);
  assertEquals(data[6], [null, "1970-01-01T00:00:00.000Z", null, null]);
  assert(JSON.stringify(data[7]).includes("…"));
  assertEquals(JSON.stringify(data[8]), '{"__proto__":{"a":1}}');
  assertMatch(events[9]?.data.error, /characters/);
  assertEquals(data[10], null);
  assertEquals(data[11], { pid: "1" });
  assertEquals(events[12]?.data.pid, "1");
  assertEquals(data[13], null);
});

test("Topics are filtered by names and prefixes", async () => {
  await using rig = new RestRig();
  await using reader = await listen(
    rig,
    "?topics=weather.*,dome.moved&topics=sky",
  );
  const { bus } = rig.procedures;
  const topics = [
    "weather",
    "weather.wind",
    "weather.wind.gust",
    "weathered.x",
    "dome.moved",
    "dome.moved.far",
    "sky",
  ];
  for (const topic of topics) bus.publish(topic, 1);
  const seen = (await reader.take(4)).map(({ data }) => data.topic);
  assertEquals(seen, [
    "weather.wind",
    "weather.wind.gust",
    "dome.moved",
    "sky",
  ]);
  for (const wrong of ["a..b", "a*", "*.a", "a b", "a.*.b"]) {
    const query = `?topics=${encodeURIComponent(wrong)}`;
    assertEquals((await rig.ask(`/stream${query}`)).status, 422, wrong);
  }
  const many = Array.from({ length: 101 }, (_, i) => `t${i}`).join(",");
  assertEquals((await rig.ask(`/stream?topics=${many}`)).status, 422);
});

test("Who comes again goes on where it was", async () => {
  await using rig = new RestRig();
  const { bus } = rig.procedures;
  const first = await listen(rig);
  for (let i = 1; i <= 5; i++) bus.publish("count", i);
  const [, , third] = await first.take(5);
  await first[Symbol.asyncDispose]();
  bus.publish("count", 6);
  for (const form of ["header", "query"]) {
    await using again = form === "header"
      ? await listen(rig, "", third?.id)
      : await listen(rig, `?last_event_id=${third?.id}`);
    const data = (await again.take(3)).map((event) => event.data.data);
    assertEquals(data, [4, 5, 6]);
  }
  await using fresh = await listen(rig);
  bus.publish("count", 7);
  assertEquals((await fresh.next())?.data.data, 7);
});

test("What is not kept any more is told as a gap", async () => {
  await using rig = new RestRig({ stream: { replay: 3 } });
  const { bus } = rig.procedures;
  const first = await listen(rig);
  bus.publish("count", 1);
  const { id } = await first.next() ?? {};
  await first[Symbol.asyncDispose]();
  for (let i = 2; i <= 6; i++) bus.publish("count", i);
  await using again = await listen(rig, "", id);
  const [gap, ...rest] = await again.take(4);
  assertEquals(gap?.data, {
    topic: "stream.gap",
    dropped: 2,
    reason: "expired",
  });
  assertEquals(gap?.id, undefined);
  assertEquals(rest.map(({ data }) => data.data), [4, 5, 6]);
});

test("Another life of the service is told as a gap, with what there is", async () => {
  await using rig = new RestRig();
  rig.procedures.bus.publish("count", 1);
  for (const id of ["00000000-1", "nonsense", "12", "é"]) {
    await using reader = await listen(
      rig,
      `?last_event_id=${encodeURIComponent(id)}`,
    );
    const [gap, event] = await reader.take(2);
    assertEquals(gap?.data, {
      topic: "stream.gap",
      dropped: null,
      reason: "restarted",
    });
    assertEquals(event?.data.data, 1);
  }
});

test("A slow reader loses the oldest, is told how many, and harms no other", async () => {
  await using rig = new RestRig({ stream: { replay: 10 } });
  const { bus } = rig.procedures;
  await using slow = await listen(rig, "?topics=count");
  await using fast = await listen(rig, "?topics=count");
  const seen: number[] = [];
  for (let i = 1; i <= 50; i++) {
    bus.publish("count", i);
    if (i % 2 === 0) bus.publish("other", i);
    if (i % 5 === 0) {
      const events = await fast.take(5);
      seen.push(...events.map(({ data }) => data.data));
    }
  }
  assertEquals(seen, Array.from({ length: 50 }, (_, i) => i + 1));
  const events: { data: { topic: string; dropped: number; data: number } }[] =
    [];
  while (events.at(-1)?.data.data !== 50) {
    const event = await slow.next();
    assert(event !== undefined);
    events.push(event);
  }
  const lost = events.filter(({ data }) => data.topic === "stream.gap")
    .map(({ data }) => data.dropped);
  const told = events.filter(({ data }) => data.topic === "count").length;
  assertEquals(lost.reduce((sum, each) => sum + each, 0) + told, 50);
  assert(told < 20);
});

test("The events that are kept are bounded by bytes", async () => {
  await using rig = new RestRig({ stream: { replayBytes: 10_000 } });
  const { bus } = rig.procedures;
  await using reader = await listen(rig);
  for (let i = 1; i <= 20; i++) bus.publish("big", "ü".repeat(1000));
  const [gap, ...rest] = await reader.take(5);
  assertEquals(gap?.data.dropped, 16);
  assertEquals(rest.length, 4);
});

test("A sign of life has the place, so that it does not grow old", async () => {
  const clock = new ManualClock();
  await using rig = new RestRig({ clock, stream: { replay: 2 } });
  const { bus } = rig.procedures;
  await using reader = await listen(rig, "?topics=never");
  for (let i = 0; i < 5; i++) bus.publish("count", i);
  await clock.advance(15_000);
  await reader.read();
  assertMatch(reader.text, /^\n:\nid: [0-9a-f]{8}-5\n\n$/);
  assertEquals(clock.pending.length, 1);
});

test("A reader that takes nothing is given up", async () => {
  const clock = new ManualClock();
  await using rig = new RestRig({ clock });
  const response = await rig.ask("/stream");
  for (let i = 0; i < 5; i++) await clock.advance(15_000);
  assertEquals(rig.api.streams, 0);
  assertEquals(clock.pending.length, 0);
  await response.body?.cancel();
});

test("Events after the first are gathered", async () => {
  const clock = new ManualClock();
  await using rig = new RestRig({ clock });
  const { bus } = rig.procedures;
  await using reader = await listen(rig);
  bus.publish("count", 1);
  assertEquals((await reader.next())?.data.data, 1);
  const before = reader.text;
  const reading = reader.read();
  for (let i = 2; i <= 4; i++) {
    bus.publish("count", i);
    await new Promise((resolve) => setTimeout(resolve));
  }
  assertEquals(reader.text, before);
  await clock.advance(10);
  assert(await reading);
  const events = await reader.take(3);
  assertEquals(events.map(({ data }) => data.data), [2, 3, 4]);
  assertEquals(reader.text.slice(before.length).split("\n\n").length, 4);
});

test("There are no more streams than may be", async () => {
  await using rig = new RestRig({ maxStreams: 2 });
  const one = await listen(rig);
  await using _two = await listen(rig);
  const refused = await rig.ask("/stream");
  assertEquals(refused.status, 503);
  assertEquals(refused.headers.get("retry-after"), "1");
  await one[Symbol.asyncDispose]();
  await using _three = await listen(rig);
  assertEquals(rig.api.streams, 2);
});

test("There is one listener on the bus, however many read", async () => {
  const rig = new RestRig();
  assertEquals(rig.procedures.bus.subscribers, 1);
  await using _one = await listen(rig);
  await using _two = await listen(rig);
  assertEquals(rig.procedures.bus.subscribers, 1);
  await rig.api.close();
  assertEquals(rig.procedures.bus.subscribers, 0);
});

test("Closing ends the streams after what is left to tell", async () => {
  await using rig = new RestRig();
  const readers = await Promise.all([1, 2, 3].map(() => listen(rig)));
  for (let i = 1; i <= 3; i++) rig.procedures.bus.publish("count", i);
  await rig.api.close();
  for (const reader of readers) {
    assertEquals((await reader.take(9)).map(({ data }) => data.data), [
      1,
      2,
      3,
    ]);
  }
  assertEquals(rig.api.streams, 0);
  assertEquals((await rig.ask("/stream")).status, 503);
});

async function serving(
  rig: { api: RestApi },
): Promise<AsyncDisposable & { url: string }> {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    rig.api.fetch,
  );
  await Promise.resolve();
  return {
    url: `http://127.0.0.1:${server.addr.port}/api/v1`,
    async [Symbol.asyncDispose]() {
      await rig.api.close();
      await server.shutdown();
    },
  };
}

test("A reader that has gone leaves nothing behind", async () => {
  await using rig = new RestRig();
  await using server = await serving(rig);
  const controller = new AbortController();
  const { signal } = controller;
  const response = await fetch(`${server.url}/stream`, { signal });
  await response.body?.getReader().read();
  assertEquals(rig.api.streams, 1);
  controller.abort();
  const deadline = Date.now() + 10_000;
  while (rig.api.streams > 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assertEquals(rig.api.streams, 0);
});

test("500 readers that keep up lose none of 2,000 events", async () => {
  await using rig = new RestRig({ stream: { heartbeat: 600_000 } });
  await using server = await serving(rig);
  const readers = 500;
  const events = 2000;
  const script = new URL("./_stream_readers.ts", import.meta.url);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-config",
      "--allow-net=127.0.0.1",
      script.href,
      `${server.url}/stream`,
      String(readers),
      String(events),
    ],
    stdout: "piped",
  }).spawn();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (output !== "open\n") continue;
    for (let i = 1; i <= events; i++) {
      rig.procedures.bus.publish("count", i);
      if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve));
    }
  }
  assert((await child.status).success);
  const all = Array.from({ length: events }, (_, i) => i + 1).join(",");
  assertEquals(JSON.parse(output.slice("open\n".length)), [[all, readers]]);
});

test("A reader that does not read does not hold up the others", async () => {
  await using rig = new RestRig({ stream: { replay: 100 } });
  await using server = await serving(rig);
  const stuck = await fetch(`${server.url}/stream`);
  const response = await fetch(`${server.url}/stream`);
  await using fast = new SseReader(response);
  await fast.read();
  const filler = "x".repeat(50_000);
  for (let i = 1; i <= 200; i++) {
    rig.procedures.bus.publish("count", { i, filler });
    const event = await fast.next();
    assertEquals(event?.data.data.i, i);
  }
  await using slow = new SseReader(stuck);
  let told = 0;
  let lost = 0;
  while (told + lost < 200) {
    const event = await slow.next();
    assert(event !== undefined);
    if (event.data.topic === "stream.gap") lost += event.data.dropped;
    else told++;
  }
  assertEquals(told + lost, 200);
  assert(lost > 0);
});
