// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import process from "node:process";
import {
  bridge,
  type BridgeOptions,
  type BusEmitterPort,
  type BusEvent,
  type BusPort,
  type BusPortListener,
  BusReplyError,
  EventBus,
} from "../event_bus.ts";
import type { WorkerTopics } from "./_event_bus_worker.ts";
import { CountingController } from "./_listeners.ts";
import { RecordingLogger } from "./_recording_logger.ts";

function named(...names: string[]): EventBus[] {
  return names.map((name) => new EventBus({ name }));
}

/** The data of all events of a bus, from now on. */
function record(bus: EventBus): unknown[] {
  const seen: unknown[] = [];
  bus.onEvent("*", ({ data }) => seen.push(data));
  return seen;
}

/** One end of a channel that tells at once, with copies or without. */
class TestPort implements BusPort {
  readonly listeners: Set<BusPortListener> = new Set();
  readonly sent: unknown[] = [];
  other: TestPort | undefined = undefined;

  static pair(): [TestPort, TestPort] {
    const [one, other] = [new TestPort(), new TestPort()];
    [one.other, other.other] = [other, one];
    return [one, other];
  }

  postMessage(message: unknown): void {
    const data = structuredClone(message);
    this.sent.push(data);
    this.other?.tell(data);
  }

  tell(data: unknown): void {
    for (const listener of this.listeners) listener({ data });
  }

  addEventListener(_: "message", listener: BusPortListener): void {
    this.listeners.add(listener);
  }

  removeEventListener(_: "message", listener: BusPortListener): void {
    this.listeners.delete(listener);
  }
}

function joinByPort(
  a: EventBus,
  b: EventBus,
  options: BridgeOptions = {},
): [TestPort, TestPort] {
  const [one, other] = TestPort.pair();
  bridge(a, one, options);
  bridge(b, other, options);
  return [one, other];
}

test("bridge lets two buses share the same events, both ways", () => {
  const [a, b] = named("a", "b") as [EventBus, EventBus];
  const way = bridge(a, b);
  const events: BusEvent[] = [];
  for (const bus of [a, b]) bus.onEvent("*", (event) => events.push(event));
  const one = a.publish("x", 1, { requestId: "7" });
  const two = b.publish("x", 2);
  assertEquals(events.map(({ data }) => data), [1, 1, 2, 2]);
  assert(events.every((event) => event === one || event === two));
  assertEquals(events.map(({ source }) => source), ["a", "a", "b", "b"]);
  way.close();
  assert(way.isClosed);
  a.publish("x", 3);
  b.publish("x", 4);
  assertEquals(events.slice(4).map(({ data }) => data), [3, 4]);
});

test("bridge gives each bus of a ring or a diamond an event once", () => {
  for (const join of [bridge, joinByPort]) {
    const buses = named("a", "b", "c", "d");
    const seen = buses.map(record);
    for (const one of buses) {
      // All pairs, in both directions, and twice.
      for (const other of buses) if (one !== other) join(one, other);
    }
    for (const bus of buses) bus.publish("x", bus.name);
    for (const each of seen) assertEquals(each, ["a", "b", "c", "d"]);
  }
});

test("bridge tells of a cascade in the same order on every bus", () => {
  const buses = named("a", "b", "c");
  const [a, b, c] = buses as [EventBus, EventBus, EventBus];
  const early = buses.map(record);
  bridge(a, b);
  bridge(b, c);
  bridge(c, a);
  b.onEvent("question", () => b.publish("answer", "b"));
  c.onEvent("question", () => c.publish("answer", "c"));
  const late = buses.map(record);
  a.publish("question", "a");
  assertEquals(early.map(([first]) => first), ["a", "a", "a"]);
  for (const [n, seen] of early.entries()) {
    assertEquals(seen.toSorted(), ["a", "b", "c"]);
    assertEquals(late[n], seen);
  }
});

test("bridge lets through what its patterns and filters admit", () => {
  const cases: [BridgeOptions, unknown[], unknown[]][] = [
    [{ patterns: "dome.*" }, ["b dome.x", "b dome.x.y"], [
      "a dome.x",
      "a dome.x.y",
    ]],
    [{ patterns: ["dome", "cam"] }, ["b dome"], ["a dome"]],
    [{ outgoing: ({ topic }) => topic === "dome", incoming: () => false }, [], [
      "a dome",
    ]],
  ];
  for (const join of [bridge, joinByOnePort]) {
    for (const [options, toA, toB] of cases) {
      const [a, b] = named("a", "b") as [EventBus, EventBus];
      join(a, b, options);
      const [seenA, seenB] = [record(a), record(b)];
      for (const topic of ["dome", "dome.x", "dome.x.y", "domes.x"]) {
        a.publish(topic, `a ${topic}`);
        b.publish(topic, `b ${topic}`);
      }
      const of = (seen: unknown[], name: string): unknown[] =>
        seen.filter((data) => String(data).startsWith(name));
      assertEquals(of(seenA, "b"), toA);
      assertEquals(of(seenB, "a"), toB);
    }
  }
});

/** Only the first bridge has the options. */
function joinByOnePort(a: EventBus, b: EventBus, options: BridgeOptions): void {
  const [one, other] = TestPort.pair();
  bridge(a, one, options);
  bridge(b, other);
}

test("bridge reports a filter that throws, and lets nothing through", () => {
  const logger = new RecordingLogger();
  const a = new EventBus({ name: "a", logger });
  const b = new EventBus();
  const seen = record(b);
  bridge(a, b, {
    outgoing: () => {
      throw new Error("broken");
    },
  });
  a.publish("x", 1);
  assertEquals(seen, []);
  assertEquals(logger.lines, [
    "error A bridge of bus 'a' has a filter that has failed at 'x': Error: broken",
  ]);
});

test("bridge ends with its signal, and with each of its buses", () => {
  for (const end of ["signal", "a", "b", "close"]) {
    const [a, b] = named("a", "b") as [EventBus, EventBus];
    const [port] = TestPort.pair();
    const controller = new CountingController();
    const { signal } = controller;
    const ways = [bridge(a, b, { signal }), bridge(a, port, { signal })];
    if (end === "signal") controller.abort();
    if (end === "a") a.close();
    if (end === "b") b.close();
    if (end === "close") { for (const way of ways) way.close(); }
    assertEquals(ways.map(({ isClosed }) => isClosed), [true, end !== "b"]);
    assertEquals(port.listeners.size, end === "b" ? 1 : 0);
    assertEquals(controller.listeners, end === "b" ? 1 : 0);
    a.publish("x", 1);
    assertEquals(port.sent.length, end === "b" ? 1 : 0);
    const late = bridge(a, b, { signal });
    assertEquals(late.isClosed, end !== "close");
  }
});

test("bridge lets the last replies of a bus cross that closes", async () => {
  const [a, b] = named("a", "b") as [EventBus, EventBus];
  bridge(a, b);
  b.respond("x", "y", () => new Promise(() => {}));
  const request = a.request("x", 0, "y");
  b.close();
  await assertRejects(() => request, BusReplyError, "AbortError");
});

test("bridge ignores messages that are no events, with one warning", () => {
  const logger = new RecordingLogger();
  const bus = new EventBus({ name: "a", logger });
  const [port] = TestPort.pair();
  const way = bridge(bus, port);
  const seen = record(bus);
  const good = {
    type: "busEvent",
    topic: "x",
    data: 1,
    source: "b",
    time: 0,
    origin: "o",
    number: 1,
  };
  const bad = [
    undefined,
    null,
    7,
    "text",
    {},
    { longrun: null },
    { longrun: 1 },
    { longrun: { ...good, type: "run" } },
    { longrun: { ...good, topic: "x.*" } },
    { longrun: { ...good, source: 1 } },
    { longrun: { ...good, time: NaN } },
    { longrun: { ...good, requestId: 1 } },
    { longrun: { ...good, origin: undefined } },
    { longrun: { ...good, number: 0 } },
    { longrun: { ...good, number: 1.5 } },
  ];
  for (const message of bad) port.tell(message);
  assertEquals(seen, []);
  port.tell({ longrun: good });
  port.tell({ longrun: good });
  assertEquals(seen, [1]);
  assertEquals(port.sent, []);
  assertEquals(logger.lines, [
    "warn A bridge of bus 'a' ignores messages that are no events",
  ]);
  way.close();
});

test("bridge reports an event that cannot be copied, and makes an error of such a reply", async () => {
  const logger = new RecordingLogger();
  const a = new EventBus({ name: "a", logger });
  const b = new EventBus({ name: "b", logger });
  joinByPort(a, b);
  const [seenA, seenB] = [record(a), record(b)];
  const secret = () => {};
  a.publish("x", secret);
  a.publish("x", 2);
  assertEquals(seenA, [secret, 2]);
  assertEquals(seenB, [2]);
  assertEquals(logger.lines.length, 1);
  assert(
    logger.lines[0]?.startsWith(
      "error A bridge of bus 'a' could not send an event of 'x': DataCloneError",
    ),
  );
  const asked: unknown[] = [];
  b.onEvent("ask", ({ data }) => asked.push(data));
  a.publish("ask", { secret }, { requestId: "7" });
  assertEquals(asked, []);
  const trap = {
    get ok() {
      throw new Error("a trap");
    },
  };
  a.publish("trap", trap, { requestId: "8" });
  assertEquals(seenA.at(-1), trap);
  assertEquals(logger.lines.length, 3);
  b.respond("get", "got", () => secret);
  await assertRejects(
    () => a.request("get", 0, "got"),
    BusReplyError,
    "DataCloneError",
  );
});

test("bridge lets nothing through from the moment when it is closed", () => {
  const [a, b, c] = [new EventBus(), new EventBus(), new EventBus()];
  const [seenB, seenC] = [record(b), record(c)];
  const outgoing = (): boolean => {
    second.close();
    return true;
  };
  bridge(a, b, { outgoing });
  const second = bridge(a, c);
  a.publish("x", 1);
  assertEquals([seenB, seenC], [[1], []]);
});

test("bridge lets go of a port of Node when it ends", () => {
  const listeners = new Set<(message: unknown) => void>();
  const bridging = bridge(new EventBus(), {
    postMessage() {},
    on: (_, listener) => listeners.add(listener),
    off: (_, listener) => listeners.delete(listener),
  });
  assertEquals(listeners.size, 1);
  bridging.close();
  assertEquals(listeners.size, 0);
});

test("bridge survives a port that always throws", async () => {
  const logger = new RecordingLogger();
  const bus = new EventBus({ name: "a", logger });
  const [port] = TestPort.pair();
  port.postMessage = () => {
    throw new Error("gone");
  };
  bridge(bus, port);
  bus.respond("x", "y", () => 1);
  assertEquals(await bus.request("x", 0, "y"), 1);
  bus.publish("y", { ok: true, value: 1 }, { requestId: "7" });
  assertEquals(logger.lines.length, 3);
  assert(logger.lines.every((line) => line.endsWith("Error: gone")));
});

test("bridge remembers a bounded number of events and origins", () => {
  const bus = new EventBus();
  const [port] = TestPort.pair();
  bridge(bus, port);
  const seen = record(bus);
  const tell = (origin: string, number: number): void =>
    port.tell({
      longrun: {
        type: "busEvent",
        topic: "x",
        data: `${origin}${number}`,
        source: "b",
        time: 0,
        origin,
        number,
      },
    });
  // Out of order, each once; what is too far behind counts as seen.
  for (const number of [5, 3, 5, 4, 3, 20_000, 5, 3616, 3617, 3617, 16_389]) {
    tell("o", number);
  }
  assertEquals(seen, ["o5", "o3", "o4", "o20000", "o3617", "o16389"]);
  tell("o", Number.MAX_SAFE_INTEGER);
  tell("o", Number.MAX_SAFE_INTEGER - 1);
  tell("o", Number.MAX_SAFE_INTEGER - 1);
  assertEquals(seen.length, 8);
  for (let n = 0; n < 5000; n++) tell(`p${n}-`, 1);
  assertEquals(seen.length, 5008);
  tell("p4999-", 1);
  tell("p3976-", 1);
  assertEquals(seen.length, 5008);
});

test("bridge checks its arguments", () => {
  const bus = new EventBus();
  const wrong = (value: unknown): never => value as never;
  const cases: [() => unknown, string][] = [
    [() => bridge(wrong({}), bus), "Cannot bridge as 'a' must be an EventBus"],
    [() => bridge(bus, bus), "'b' must be another EventBus or a port"],
    [() => bridge(bus, wrong({ postMessage() {} })), "'b'"],
    [() => bridge(bus, wrong(undefined)), "'b'"],
    [() => bridge(bus, new EventBus(), { patterns: "a*" }), "'patterns'"],
    [() => bridge(bus, new EventBus(), { outgoing: wrong(1) }), "'outgoing'"],
    [() => bridge(bus, new EventBus(), { signal: wrong(1) }), "'signal'"],
  ];
  for (const [call, message] of cases) assertThrows(call, TypeError, message);
});

test("bridge joins buses by a MessageChannel and by a BroadcastChannel", async () => {
  const channel = new MessageChannel();
  const casts = [1, 2].map(() => new BroadcastChannel("longrun event bus"));
  const pairs: [BusPort | undefined, BusPort | undefined][] = [
    [channel.port1, channel.port2],
    [casts[0], casts[1]],
  ];
  for (const [one, other] of pairs) {
    assert(one !== undefined && other !== undefined);
    const [a, b] = named("a", "b") as [EventBus, EventBus];
    bridge(a, one);
    bridge(b, other);
    b.respond("double", "doubled", (data) => Number(data) * 2);
    const subscription = b.subscribe("x");
    for (let n = 0; n < 100; n++) a.publish("x", new Map([[n, n]]));
    assertEquals(await a.request("double", 21, "doubled"), 42);
    assertEquals(subscription.length, 100);
    const { value } = await subscription.next();
    assertEquals(value?.data, new Map([[0, 0]]));
    assert(Object.isFrozen(value));
    a.close();
    b.close();
  }
  channel.port1.close();
  for (const cast of casts) cast.close();
});

const { Worker: NodeWorker } = process.getBuiltinModule("node:worker_threads");
const module = new URL("./_event_bus_worker.ts", import.meta.url);

interface TestWorker {
  readonly port: BusPort | BusEmitterPort;
  terminate(): unknown;
}

function startNode(): TestWorker {
  const worker = new NodeWorker(module);
  return { port: worker, terminate: () => worker.terminate() };
}

function startWeb(): TestWorker {
  const worker = new Worker(module, { type: "module" });
  return { port: worker, terminate: () => worker.terminate() };
}

test("bridge joins the buses of two threads", async () => {
  const starts = [startNode];
  if (typeof Worker === "function") starts.push(startWeb);
  for (const start of starts) {
    const { port, terminate } = start();
    const bus = new EventBus<WorkerTopics>({ name: "main" });
    const ready = bus.subscribe("worker.ready");
    const echoes = bus.subscribe("worker.echo");
    bridge(bus, port);
    const { value: first } = await ready.next();
    assertEquals([first?.data, first?.source], [true, "worker"]);
    for (let n = 0; n < 100; n++) bus.publish("main.said", n);
    for (let n = 0; n < 100; n++) {
      assertEquals((await echoes.next()).value?.data, n);
    }
    assertEquals(await bus.request("main.add", [1, 2], "worker.added"), 3);
    await assertRejects(
      () => bus.request("main.add", [NaN, 2], "worker.added"),
      BusReplyError,
      "RangeError: No number",
    );
    await assertRejects(
      () => bus.request("main.add", [1, Infinity], "worker.added"),
      BusReplyError,
      "DataCloneError",
    );
    assertEquals(echoes.length, 0);
    bus.publish("main.leave", null);
    assertEquals((await ready.next()).value?.data, false);
    bus.close();
    await terminate();
  }
});
