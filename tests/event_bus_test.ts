// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { sleep } from "../cancellation.ts";
import {
  type BusEvent,
  type BusReply,
  BusReplyError,
  type BusSubscription,
  EventBus,
} from "../event_bus.ts";
import { ManualClock } from "../testing.ts";
import { TopicOverflowError } from "../topic.ts";
import { CountingController } from "./_listeners.ts";
import { RecordingLogger } from "./_recording_logger.ts";
import { turns } from "./_turns.ts";
import { unhandledDuring } from "./_unhandled.ts";

const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

interface Topics {
  "request.procedure.create": { script: string };
  "procedure.lifecycle.created": BusReply<{ id: number }>;
  "procedure.lifecycle.failed": { reason: string };
  "dome.moved": number;
  "dome": string;
}

/** The data of what is queued. */
async function takeQueued(
  subscription: BusSubscription<BusEvent>,
): Promise<unknown[]> {
  const data: unknown[] = [];
  while (subscription.length > 0) {
    data.push((await subscription.next()).value?.data);
  }
  return data;
}

// Publishing and subscribing.

test("EventBus gives each subscriber what its pattern matches, in order", async () => {
  const bus = new EventBus();
  const exact = bus.subscribe("dome.moved");
  const prefix = bus.subscribe("dome.*");
  const several = bus.subscribe(["dome.moved", "dome.*", "camera", "*"]);
  for (
    const topic of [
      "dome",
      "dome.moved",
      "dome.moved.far",
      "domes.moved",
      "camera",
    ]
  ) bus.publish(topic, topic);
  assertEquals(await takeQueued(exact), ["dome.moved"]);
  assertEquals(await takeQueued(prefix), ["dome.moved", "dome.moved.far"]);
  assertEquals(await takeQueued(several), [
    "dome",
    "dome.moved",
    "dome.moved.far",
    "domes.moved",
    "camera",
  ]);
});

test("EventBus publishes frozen events that all subscribers share", async () => {
  const clock = new ManualClock();
  const bus = new EventBus<Topics>({ name: "night", clock, timeOrigin: 1000 });
  const subscription = bus.subscribe("*");
  const seen: unknown[] = [];
  bus.onEvent("dome.*", (event) => seen.push(event));
  await clock.advance(5);
  const event = bus.publish("dome.moved", 90);
  assertEquals(event, {
    topic: "dome.moved",
    data: 90,
    source: "night",
    time: 1005,
  });
  assert(Object.isFrozen(event));
  assertStrictEquals(seen[0], event);
  assertStrictEquals((await subscription.next()).value, event);
  assertEquals(
    bus.publish("dome.moved", 91, { source: "hand", requestId: "7" }),
    {
      topic: "dome.moved",
      data: 91,
      source: "hand",
      time: 1005,
      requestId: "7",
    },
  );
});

test("EventBus tells the time of the epoch by default", () => {
  const before = Date.now();
  const { time } = new EventBus().publish("a", 1);
  assert(Math.abs(time - before) < 60_000);
});

test("EventBus calls callbacks in the order of registration, whatever their patterns", () => {
  const bus = new EventBus();
  const calls: string[] = [];
  for (const pattern of ["*", "a.b", "a.*", "a.b", "a.b.*", "*"]) {
    bus.onEvent(pattern, () => calls.push(pattern));
  }
  bus.publish("a.b", 1);
  assertEquals(calls, ["*", "a.b", "a.*", "a.b", "*"]);
});

test("EventBus takes topics that are the names of what all objects have", async () => {
  const bus = new EventBus();
  for (const topic of ["__proto__", "constructor", "toString.x", "then"]) {
    bus.publish(topic, 0);
    const subscription = bus.subscribe(topic);
    const calls: unknown[] = [];
    bus.onEvent(topic, ({ data }) => calls.push(data));
    bus.publish(topic, 1);
    assertEquals(await takeQueued(subscription), [1]);
    assertEquals(calls, [1]);
  }
  const created = bus.respond("constructor.a", "__proto__.b", () => "made");
  assertEquals(await bus.request("constructor.a", 0, "__proto__.b"), "made");
  created.close();
});

test("EventBus lets nobody hear of an event before the one whose callback has published it", async () => {
  const bus = new EventBus();
  const first: unknown[] = [];
  const last: unknown[] = [];
  bus.onEvent("*", ({ data }) => first.push(data));
  bus.onEvent("a", ({ data }) => {
    if (Number(data) < 3) bus.publish("a", Number(data) + 1);
  });
  bus.onEvent("*", ({ data }) => last.push(data));
  const subscription = bus.subscribe("a");
  bus.publish("a", 0);
  assertEquals(first, [0, 1, 2, 3]);
  assertEquals(last, first);
  assertEquals(await takeQueued(subscription), first);
});

test("EventBus calls a callback from the next event on and not after its end", () => {
  const bus = new EventBus();
  const calls: string[] = [];
  const ends: (() => void)[] = [];
  bus.onEvent("*", () => {});
  bus.onEvent("a", () => {
    if (calls.push("first") > 1) return;
    bus.onEvent("a", () => calls.push("late"));
    bus.onEvent("*", () => calls.push("late too"));
    ends[0]?.();
    bus.publish("a", 2);
  });
  ends.push(bus.onEvent("a", () => calls.push("ended")));
  bus.publish("a", 1);
  assertEquals(calls, ["first", "first", "late", "late too"]);
  assertEquals(bus.subscribers, 4);
});

test("EventBus tells a callback nothing that was published before it came", () => {
  const bus = new EventBus();
  const calls: unknown[] = [];
  bus.onEvent("a", () => {
    bus.publish("b", 1);
    bus.onEvent("b", ({ data }) => calls.push(data));
    bus.publish("b", 2);
  });
  bus.onEvent("b", () => {});
  bus.publish("a", 0);
  assertEquals(calls, [2]);
});

test("EventBus reports a callback that throws or rejects, and goes on", async () => {
  const logger = new RecordingLogger();
  const bus = new EventBus({ name: "night", logger });
  const calls: unknown[] = [];
  bus.onEvent("a", () => {
    throw new Error("broken");
  });
  bus.onEvent("a", () => Promise.reject(new Error("late")));
  bus.onEvent("a", ({ data }) => calls.push(data));
  const unhandled = await unhandledDuring(() => {
    bus.publish("a", 1);
    bus.publish("a", 2);
  });
  assertEquals(unhandled, []);
  assertEquals(calls, [1, 2]);
  assertEquals(logger.lines.toSorted(), [
    "error A callback of bus 'night' has failed at 'a': Error: broken",
    "error A callback of bus 'night' has failed at 'a': Error: broken",
    "error A callback of bus 'night' has failed at 'a': Error: late",
    "error A callback of bus 'night' has failed at 'a': Error: late",
  ]);
});

test("EventBus keeps no more for a slow subscriber than it may", async () => {
  const bus = new EventBus();
  const oldest = bus.subscribe("*", { capacity: 2 });
  const newest = bus.subscribe("*", { capacity: 2, overflow: "drop-newest" });
  const strict = bus.subscribe(["a", "b.*"], {
    capacity: 2,
    overflow: "error",
  });
  for (const data of [1, 2, 3]) bus.publish("a", data);
  assertEquals([oldest.dropped, newest.dropped], [1, 1]);
  assertEquals(await takeQueued(oldest), [2, 3]);
  assertEquals(await takeQueued(newest), [1, 2]);
  assertEquals(await takeQueued(strict), [1, 2]);
  await assertRejects(
    () => strict.next(),
    TopicOverflowError,
    "Topic 'a, b.*' was more than 2 values ahead of a subscriber",
  );
  bus.publish("a", 4);
  oldest.clear();
  assertEquals([oldest.length, oldest.dropped], [0, 1]);
});

test("EventBus ends subscriptions and callbacks with their signals", async () => {
  const controller = new CountingController();
  const { signal } = controller;
  const bus = new EventBus();
  const subscription = bus.subscribe("*", { signal });
  const calls: unknown[] = [];
  bus.onEvent("*", ({ data }) => calls.push(data), { signal });
  bus.publish("a", 1);
  controller.abort("dawn");
  bus.publish("a", 2);
  assertEquals(calls, [1]);
  assertEquals(await subscription.next().catch((reason) => reason), "dawn");
  assertEquals(bus.subscribers, 0);
  assertEquals(controller.listeners, 0);
  const late = bus.subscribe("*", { signal });
  assertEquals(await late.next().catch((reason) => reason), "dawn");
  bus.onEvent("*", ({ data }) => calls.push(data), { signal });
  bus.publish("a", 3);
  assertEquals(calls, [1]);
});

test("EventBus holds no signal of a callback that has ended", () => {
  const bus = new EventBus();
  for (const how of ["callback", "bus"]) {
    const controller = new CountingController();
    const end = bus.onEvent("a", () => {}, controller);
    assertEquals(controller.listeners, 1);
    if (how === "callback") end();
    else bus.close();
    assertEquals(controller.listeners, 0);
  }
});

test("EventBus that is closed ends its subscriptions after what they have, and publishes nothing", async () => {
  const bus = new EventBus();
  const subscription = bus.subscribe("a");
  const waiting = bus.subscribe("b").next();
  const calls: unknown[] = [];
  bus.onEvent("a", ({ data }) => {
    if (calls.push(data) > 1) return;
    bus.publish("a", 2);
    bus.close();
    assertEquals(bus.publish("a", 3).data, 3);
  });
  bus.onEvent("a", ({ data }) => calls.push(data));
  bus.publish("a", 1);
  assertEquals(calls, [1, 1, 2, 2]);
  assertEquals(await waiting, END);
  assertEquals(await takeQueued(subscription), [1, 2]);
  assertEquals(await subscription.next(), END);
  assertEquals(await bus.subscribe("a").next(), END);
  bus.onEvent("a", ({ data }) => calls.push(data))();
  bus[Symbol.dispose]();
  assertEquals(bus.subscribers, 0);
});

test("EventBus gives each of a thousand subscribers every event", async () => {
  const bus = new EventBus();
  const all = Array.from(
    { length: 1000 },
    (_, n) => bus.subscribe(n % 2 === 0 ? "a.*" : `other.${n}`),
  );
  for (const data of [1, 2, 3]) bus.publish("a.b", data);
  for (const [n, subscription] of all.entries()) {
    assertEquals(await takeQueued(subscription), n % 2 === 0 ? [1, 2, 3] : []);
    await subscription.return();
  }
  assertEquals(bus.subscribers, 0);
});

test("EventBus refuses what is no topic and no pattern", () => {
  const bus = new EventBus();
  const bad = ["", ".", "a.", ".a", "a..b", "a b", "a.*", "*", "a*", "a\n", 7];
  for (const topic of bad as string[]) {
    assertThrows(
      () => bus.publish(topic, 1),
      TypeError,
      "Cannot publish as 'topic' must be words separated by dots",
    );
  }
  for (
    const pattern of ["", "a.*.b", "*.a", "a*", ".*", "**", 7, undefined]
  ) {
    const bad = pattern as string;
    assertThrows(
      () => bus.subscribe(bad),
      TypeError,
      "Cannot subscribe as 'pattern' must be a topic, a prefix",
    );
    assertThrows(() => bus.onEvent([bad], () => {}), TypeError);
  }
});

test("EventBus checks its arguments", () => {
  const bus = new EventBus();
  const wrong = (value: unknown): never => value as never;
  const cases: [() => unknown, string][] = [
    [() => new EventBus(wrong(1)), "Cannot create EventBus as 'options'"],
    [() => new EventBus({ name: wrong(1) }), "'name'"],
    [() => new EventBus({ clock: wrong({}) }), "'clock'"],
    [() => new EventBus({ timeOrigin: wrong("0") }), "'timeOrigin'"],
    [() => bus.publish("a", 1, { source: wrong(1) }), "'source'"],
    [() => bus.publish("a", 1, { requestId: wrong(1) }), "'requestId'"],
    [() => bus.subscribe("a", { signal: wrong(1) }), "'signal'"],
    [() => bus.subscribe("a", { overflow: wrong("no") }), "'overflow'"],
    [() => bus.onEvent("a", wrong(1)), "'callback'"],
    [() => bus.respond("a", "b", wrong(1)), "'handler'"],
    [() => bus.respond("a", "a", () => 1), "'replyTopic'"],
    [() => bus.respond("*", "a", () => 1), "'topic'"],
  ];
  for (const [call, message] of cases) assertThrows(call, TypeError, message);
  assertThrows(() => bus.subscribe("a", { capacity: 0 }), RangeError);
  assertThrows(
    () => bus.respond("a", "b", () => 1, { concurrency: 0 }),
    RangeError,
  );
  assertEquals(bus.subscribers, 0);
});

// Requests and replies.

const CREATE = "request.procedure.create";
const CREATED = "procedure.lifecycle.created";

test("EventBus matches each reply with its request", async () => {
  const bus = new EventBus<Topics>({ name: "oet" });
  const ids: (string | undefined)[] = [];
  bus.onEvent([CREATE, CREATED], ({ requestId }) => ids.push(requestId));
  bus.respond(CREATE, CREATED, async ({ script }, { event, signal }) => {
    assertEquals(event.source, script === "a" ? "ui" : "oet");
    assert(!signal.aborted);
    await turns(script === "a" ? 20 : 1);
    return { id: script.charCodeAt(0) };
  });
  const slow = bus.request(CREATE, { script: "a" }, CREATED, { source: "ui" });
  const fast = bus.request(CREATE, { script: "b" }, CREATED);
  bus.publish(CREATED, { ok: true, value: { id: 0 } });
  bus.publish(CREATED, { ok: true, value: { id: 0 } }, { requestId: "other" });
  assertEquals(await fast, { id: 98 });
  assertEquals(await slow, { id: 97 });
  assertEquals(ids[0], ids[5]);
  assertEquals(ids[1], ids[4]);
  assert(ids[0] !== ids[1]);
});

test("EventBus hears a reply that comes within publish", async () => {
  const bus = new EventBus<Topics>();
  bus.onEvent(CREATE, ({ requestId }) => {
    bus.publish(CREATED, { ok: true, value: { id: 1 } }, {
      ...requestId !== undefined && { requestId },
    });
  });
  assertEquals(await bus.request(CREATE, { script: "a" }, CREATED), { id: 1 });
});

test("EventBus rejects with the error of the handler, as far as a plain value tells of it", async () => {
  const bus = new EventBus<Topics>();
  const replies: unknown[] = [];
  bus.onEvent(CREATED, ({ data }) => replies.push(data));
  bus.respond(CREATE, CREATED, ({ script }) => {
    const cause = new TypeError("No such file");
    const error = new RangeError("Cannot load", { cause });
    if (script === "sync") throw error;
    return Promise.reject(error);
  });
  for (const script of ["sync", "async"]) {
    const error = await assertRejects(
      () => bus.request(CREATE, { script }, CREATED),
      BusReplyError,
      `Request '${CREATE}' has failed: RangeError: Cannot load`,
    );
    assertEquals(error.topic, CREATE);
    assertEquals(error.remoteName, "RangeError");
    assert(error.remoteStack?.includes("event_bus_test"));
    assertInstanceOf(error.cause, Error);
    assertEquals(error.cause.name, "RangeError");
    assertInstanceOf(error.cause.cause, Error);
    assertEquals(error.cause.cause.message, "No such file");
  }
  assertEquals(JSON.parse(JSON.stringify(replies)), replies);
  assertEquals(structuredClone(replies), replies);
});

test("EventBus makes a plain value of whatever a handler throws", async () => {
  const bus = new EventBus();
  const circle = new Error("circle");
  circle.cause = circle;
  const things: [unknown, string][] = [
    ["clouds", "Error: clouds"],
    [undefined, "Error: undefined"],
    [circle, "Error: circle"],
    [Object.create(null), "Error: something that cannot be shown (object)"],
    [new DOMException("Stopped", "AbortError"), "AbortError: Stopped"],
  ];
  for (const [thing, message] of things) {
    const responder = bus.respond("a", "b", () => {
      throw thing;
    });
    const error = await assertRejects(
      () => bus.request("a", 0, "b"),
      BusReplyError,
      message,
    );
    assert(error.message.endsWith(message));
    responder.close();
  }
});

test("EventBus rejects a request that has no reply in time, or whose signal aborts", async () => {
  const clock = new ManualClock();
  const bus = new EventBus({ clock });
  const controller = new CountingController();
  const { signal } = controller;
  const request = bus.request("a", 0, "b", { signal });
  const failed = request.catch((error) => error);
  await clock.advance(30_000);
  const error = await failed;
  assertInstanceOf(error, DOMException);
  assertEquals(error.name, "TimeoutError");
  assertEquals(
    error.message,
    "Request 'a' had no reply at 'b' after 30000 ms",
  );
  assertEquals(controller.listeners, 0);

  const aborted = bus.request("a", 0, "b", { signal, timeout: Infinity })
    .catch((reason) => reason);
  controller.abort("dawn");
  assertEquals(await aborted, "dawn");
  const published: unknown[] = [];
  bus.onEvent("a", (event) => published.push(event));
  await assertRejects(() =>
    bus.request("a", 0, "b", { signal }).catch((reason) => {
      throw new Error(reason);
    })
  );
  assertEquals(published, []);
  assertEquals(controller.listeners, 0);
  await assertRejects(
    () => bus.request("a", 0, "b", { timeout: -1 }),
    RangeError,
  );
  await assertRejects(() => bus.request("a.*", 0, "b"), TypeError);
  await assertRejects(() => bus.request("a", 0, "a"), TypeError);
});

test("EventBus rejects a reply that is none", async () => {
  const bus = new EventBus();
  for (const data of [undefined, null, 7, { ok: "yes" }]) {
    bus.onEvent("a", ({ requestId }) => {
      if (requestId !== undefined) bus.publish("b", data, { requestId });
    }, { signal: AbortSignal.timeout(60_000) });
    await assertRejects(() => bus.request("a", 0, "b"), TypeError, "is none");
  }
  bus.onEvent("c", ({ requestId }) => {
    const data = { ok: false, error: "clouds" };
    if (requestId !== undefined) bus.publish("d", data, { requestId });
  });
  await assertRejects(
    () => bus.request("c", 0, "d"),
    BusReplyError,
    "Request 'c' has failed: Error: clouds",
  );
});

test("EventBus rejects the requests that wait when it is closed", async () => {
  const bus = new EventBus({ name: "night" });
  const request = bus.request("a", 0, "b");
  bus.close();
  for (const each of [request, bus.request("a", 0, "b")]) {
    await assertRejects(() => each, Error, "Bus 'night' was closed");
  }
});

test("A responder handles as many requests at a time as it may", async () => {
  const bus = new EventBus();
  const clock = new ManualClock();
  let running = 0;
  let most = 0;
  const responder = bus.respond("a", "b", async (data) => {
    most = Math.max(most, ++running);
    await sleep(10, { clock });
    running--;
    return data;
  }, { concurrency: 2, capacity: 3 });
  const replies = [1, 2, 3, 4, 5, 6].map((data) =>
    bus.request("a", data, "b").catch((error: Error) => error.message)
  );
  assertEquals([responder.running, responder.waiting], [2, 3]);
  for (let round = 0; round < 3; round++) {
    await clock.advance(10);
    await turns();
  }
  assertEquals(await Promise.all(replies), [
    1,
    2,
    3,
    4,
    5,
    "Request 'a' has failed: RangeError: The responder of 'a' has 3 requests waiting",
  ]);
  assertEquals(most, 2);
});

test("A responder starts ten thousand requests that waited and end at once", async () => {
  const bus = new EventBus();
  const { promise, resolve } = Promise.withResolvers<unknown>();
  bus.respond("a", "b", (data) => data === 0 ? promise : data, {
    concurrency: 1,
  });
  const replies = Array.from(
    { length: 10_000 },
    (_, data) => bus.request("a", data, "b"),
  );
  resolve(0);
  assertEquals((await Promise.all(replies))[9999], 9999);
});

test("A responder that is closed answers each request once, also those that run, wait or arrive", async () => {
  for (const how of ["close", "signal", "bus"]) {
    const controller = new CountingController();
    const bus = new EventBus();
    const replies: unknown[] = [];
    bus.onEvent("b", ({ requestId, data }) => {
      assertEquals((data as BusReply<unknown>).ok, false);
      replies.push(requestId);
    });
    const requests: string[] = [];
    bus.onEvent("a", ({ requestId = "" }) => requests.push(requestId));
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const signals: AbortSignal[] = [];
    const responder = bus.respond("a", "b", (_, { signal }) => {
      signals.push(signal);
      return promise;
    }, { concurrency: 1, signal: controller.signal });
    bus.onEvent("now", () => {
      for (const requestId of ["3", "4"]) bus.publish("a", 0, { requestId });
      if (how === "close") responder.close();
      if (how === "signal") controller.abort("dawn");
      if (how === "bus") bus.close();
      bus.publish("a", 0, { requestId: "5" });
    });
    for (const requestId of ["1", "2"]) bus.publish("a", 0, { requestId });
    bus.publish("now", 0);
    assertEquals(replies, ["1", "2", "3", "4"], how);
    assertEquals([responder.running, responder.waiting], [0, 0]);
    assertEquals(signals.map(({ aborted }) => aborted), [true]);
    assertEquals(
      await unhandledDuring(() => resolve(Promise.reject(new Error("late")))),
      [],
    );
    responder[Symbol.dispose]();
    assertEquals(replies.length, 4);
    assertEquals(controller.listeners, 0);
  }
});

test("A responder ignores events that are no requests, with one warning", () => {
  const logger = new RecordingLogger();
  const bus = new EventBus({ logger });
  bus.respond("a", "b", () => {
    throw new Error("called");
  });
  bus.publish("a", 1);
  bus.publish("a", 2);
  assertEquals(logger.lines, [
    "warn A responder of bus 'bus' ignores events of 'a' that are no requests",
  ]);
});

test("A responder on a closed bus or with an aborted signal does nothing", () => {
  const bus = new EventBus();
  const signal = AbortSignal.abort();
  bus.respond("a", "b", () => 1, { signal }).close();
  assertEquals(bus.subscribers, 0);
  bus.close();
  bus.respond("a", "b", () => 1).close();
});
