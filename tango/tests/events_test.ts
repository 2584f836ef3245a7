// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { timeout } from "@longrun/tasks/cancellation";
import type { Clock } from "@longrun/tasks/clock";
import { DeviceError } from "@longrun/tasks/device-proxy";
import { ManualClock } from "@longrun/tasks/testing";
import { test } from "@std/testing/bdd";
import { SETTLING } from "../_event_channel.ts";
import { ANSWER } from "../_event_link.ts";
import { connections } from "../_connection_pool.ts";
import { CdrWriter } from "../_cdr_writer.ts";
import type { TangoSubscription } from "../device_event.ts";
import { DeviceProxy } from "../device_proxy.ts";
import { CmdArgType } from "../tango_types.ts";
import { freePort } from "./_child.ts";
import { runModule } from "./_run_module.ts";
import { ZmtpPublisher } from "./_zmtp_publisher.ts";
import { errors, EventServer, until } from "./_event_server.ts";

/** What a subscription tells next: a value, or the reason of an error. */
async function next(events: TangoSubscription): Promise<unknown> {
  const { done, value } = await timeout(events.next(), 20_000);
  if (done) return "end";
  return "errors" in value ? value.errors[0]?.reason : value.value;
}

/** So many of them. */
async function take(
  events: TangoSubscription,
  count: number,
): Promise<unknown[]> {
  const all: unknown[] = [];
  while (all.length < count) all.push(await next(events));
  return all;
}

/** Waits until an attempt to recover is so far off. */
function waits(clock: ManualClock, ms: number): Promise<void> {
  const isMeant = ({ deadline }: { deadline: number }): boolean =>
    deadline === clock.now() + ms;
  return until(() => clock.pending.some(isMeant), `a pause of ${ms} ms`);
}

interface Bench extends AsyncDisposable {
  readonly server: EventServer;
  readonly clock: ManualClock;
  /** The clock of the proxies. */
  readonly time: Clock;
  readonly proxy: DeviceProxy;
}

/** How long a server has to take a topic. */
const REAL: readonly number[] = [SETTLING, ANSWER];

/** Virtual time, but for that in which a server takes a topic. */
function mostly(clock: ManualClock): Clock {
  return {
    now: () => clock.now(),
    setTimer(callback, delay, options) {
      if (!REAL.includes(delay)) {
        return clock.setTimer(callback, delay, options);
      }
      const timer = setTimeout(callback, delay);
      return () => clearTimeout(timer);
    },
  };
}

async function bench(): Promise<Bench> {
  const server = await EventServer.start();
  const clock = new ManualClock();
  const time = mostly(clock);
  const proxy = await DeviceProxy.connect(server.url, { clock: time });
  return {
    server,
    clock,
    time,
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy.close();
      assertEquals(connections.size, 0, "connections are left");
      assertEquals(clock.pending, [], "timers are left");
      await until(() => server.clients === 0, "all clients have gone");
      await until(
        () =>
          [server.events, server.heartbeats].every(({ log }) =>
            log.filter((line) => line === "connect").length ===
              log.filter((line) => line === "close").length
          ),
        "all subscribers have gone",
      );
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Waits until a server has heard of a topic, and so sends it. */
async function subscribed(
  { server }: Bench,
  attribute: string,
  times = 1,
  type?: string,
): Promise<void> {
  await server.events.logged(`+${server.topic(attribute, type)}`, times);
}

test("DeviceProxy begins a subscription with the value, as read", async () => {
  await using all = await bench();
  all.server.value = 5;
  const events = await all.proxy.subscribe("X");
  await subscribed(all, "X");
  all.server.push("X", 6);
  all.server.push("X", 7);
  assertEquals(await take(events, 3), [5, 6, 7]);
});

test("DeviceProxy tells events that come before the value after it", async () => {
  await using all = await bench();
  const { server, proxy } = all;
  server.gate = async (operation) => {
    if (operation !== "read_attributes_5") return;
    await subscribed(all, "X");
    for (let n = 1; n <= 3; n++) server.push("X", n);
    // They are on their way before the answer is; that they have come is seen
    // by what the subscription tells.
    await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const events = await proxy.subscribe("X");
  server.push("X", 4);
  assertEquals(await take(events, 5), [0, 1, 2, 3, 4]);
});

test("DeviceProxy tells a message that comes twice once, and equal values each", async () => {
  await using all = await bench();
  const { server, proxy } = all;
  const events = await proxy.subscribe("X");
  await subscribed(all, "X");
  server.push("X", 1, { times: 2 });
  server.push("X", 1, { times: 2 });
  server.push("X", 2);
  server.push("X", 3, { counter: 1, time: 9 });
  server.push("X", 3, { counter: 2, time: 9 });
  assertEquals(await take(events, 6), [0, 1, 1, 2, 3, 3]);
});

test("DeviceProxy tells numbers of data that repeat", async () => {
  await using all = await bench();
  const { server, proxy } = all;
  const events = await proxy.subscribe("X", { type: "data-ready" });
  await subscribed(all, "X", 1, "data_ready");
  server.pushDataReady("X", 1, {});
  server.pushDataReady("X", 1, {});
  server.pushDataReady("X", 2, { counter: 1, times: 2 });
  server.pushDataReady("X", 2, { counter: 2 });
  assertEquals(await take(events, 4), [1, 1, 2, 2]);
});

test("DeviceProxy tells of a gap in the counter", async () => {
  await using all = await bench();
  const { server, proxy } = all;
  const events = await proxy.subscribe("X");
  await subscribed(all, "X");
  server.push("X", 1, { counter: 7 });
  server.push("X", 2, { counter: 8 });
  server.push("X", 5, { counter: 11 });
  // The server counts from the beginning.
  server.push("X", 6, { counter: 1 });
  assertEquals(await take(events, 6), [0, 1, 2, "API_MissedEvents", 5, 6]);
});

test("DeviceProxy tells a slow subscriber how many events were dropped", async () => {
  await using all = await bench();
  const { server, proxy } = all;
  const events = await proxy.subscribe("X", { capacity: 3 });
  await subscribed(all, "X");
  for (let n = 1; n <= 10; n++) server.push("X", n);
  await until(() => events.dropped === 8);
  assertEquals(await take(events, 4), ["API_MissedEvents", 8, 9, 10]);
  server.push("X", 11);
  assertEquals(await next(events), 11);
});

test("DeviceProxy keeps no more events than the capacity before the value", async () => {
  await using all = await bench();
  const { server, proxy } = all;
  server.gate = async (operation) => {
    if (operation !== "read_attributes_5") return;
    await subscribed(all, "X");
    for (let n = 1; n <= 10; n++) server.push("X", n);
    await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const events = await proxy.subscribe("X", { capacity: 2 });
  assertEquals(await take(events, 3), ["API_MissedEvents", 9, 10]);
  assertEquals(events.dropped, 9);
});

test("DeviceProxy tells errors of a device as events", async () => {
  await using all = await bench();
  const { server, proxy } = all;
  const events = await proxy.subscribe("X");
  await subscribed(all, "X");
  server.push("X", 0, {
    isFailure: true,
    data: errors(new CdrWriter(), "Test_Event").bytes,
  });
  server.push("X", 1);
  assertEquals(await take(events, 3), [0, "Test_Event", 1]);
});

test("DeviceProxy refuses a subscription where there are no events", async () => {
  await using all = await bench();
  all.server.refused.add("X");
  const error = await assertRejects(
    () => all.proxy.subscribe("X"),
    DeviceError,
  );
  assertEquals(error.errors[0]?.reason, "API_AttributePollingNotStarted");
  assertEquals(all.clock.pending, []);
});

test("DeviceProxy refuses a subscription if events cannot be reached", async () => {
  await using all = await bench();
  all.server.port = await freePort();
  const error = await assertRejects(
    () => all.proxy.subscribe("X"),
    DeviceError,
  );
  assertEquals(error.errors[0]?.reason, "API_EventTimeout");
  assertEquals(all.clock.pending, []);
});

test("DeviceProxy shares two connections among proxies and attributes", async () => {
  await using all = await bench();
  const { server, clock, time } = all;
  await using other = await DeviceProxy.connect(server.url, { clock: time });
  const names = Array.from({ length: 20 }, (_, n) => `X${n}`);
  const subscriptions = await Promise.all(
    [...names, ...names].map((name, n) =>
      (n % 2 ? other : all.proxy).subscribe(name)
    ),
  );
  for (const { log } of [server.events, server.heartbeats]) {
    assertEquals(log.filter((line) => line === "connect").length, 1);
  }
  for (const one of subscriptions) await one.return();
  assertEquals(clock.pending, []);
  await server.events.logged("close");
  await server.heartbeats.logged("close");
});

test("DeviceProxy says once that heartbeats are missing, and recovers", async () => {
  await using all = await bench();
  const { server, proxy, clock } = all;
  const [x, y] = [await proxy.subscribe("X"), await proxy.subscribe("Y")];
  assertEquals([await next(x), await next(y)], [0, 0]);
  await clock.advance(12_999);
  assertEquals(server.events.log.includes("close"), false);
  server.gate = (operation) => {
    if (operation === "command_inout_4") throw new Error("unexpected");
  };
  await clock.advance(1);
  assertEquals([await next(x), await next(y)], [
    "API_EventTimeout",
    "API_EventTimeout",
  ]);
  server.gate = () => {};
  server.value = 3;
  await clock.advance(1000);
  assertEquals([await next(x), await next(y)], [3, 3]);
  await subscribed(all, "X", 2);
  server.push("X", 4);
  assertEquals(await next(x), 4);
  server.beat();
  await clock.advance(0);
});

test("DeviceProxy waits longer and longer for a server that is away", async () => {
  await using all = await bench();
  const { server, proxy, clock } = all;
  const events = await proxy.subscribe("X");
  assertEquals(await next(events), 0);
  const { events: old } = server;
  const asked = () => server.asked("X");
  server.refused.add("X");
  old.reset();
  assertEquals(await next(events), "API_EventTimeout");
  let count = asked();
  for (const pause of [1000, 2000, 5000, 10_000, 10_000]) {
    await waits(clock, pause);
    await clock.advance(pause - 1);
    assertEquals(asked(), count);
    await clock.advance(1);
    await until(() => asked() === count + 1, "it asks");
    count++;
    server.beat();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  server.refused.clear();
  server.value = 8;
  await waits(clock, 10_000);
  await clock.advance(10_000);
  // Why it was refused is told once.
  assertEquals(await take(events, 2), ["API_AttributePollingNotStarted", 8]);
});

test("DeviceProxy serves all attributes again though one is refused", async () => {
  await using all = await bench();
  const { server, proxy, clock } = all;
  const [x, y] = [await proxy.subscribe("X"), await proxy.subscribe("Y")];
  await take(x, 1);
  await take(y, 1);
  server.refused.add("X");
  server.events.reset();
  assertEquals(await next(x), "API_EventTimeout");
  assertEquals(await next(y), "API_EventTimeout");
  await clock.advance(1000);
  assertEquals(await next(x), "API_AttributePollingNotStarted");
  assertEquals(await next(y), 0);
  server.push("Y", 1);
  assertEquals(await next(y), 1);
});

test("DeviceProxy serves all attributes again though the server hangs with one", async () => {
  await using all = await bench();
  const { server, proxy, clock } = all;
  const [x, y] = [await proxy.subscribe("X"), await proxy.subscribe("Y")];
  await take(x, 1);
  await take(y, 1);
  const { promise, resolve } = Promise.withResolvers<void>();
  server.gate = (operation) =>
    operation === "command_inout_4" && server.log.at(-1) === "subscribe X"
      ? promise
      : undefined;
  server.value = 1;
  server.events.reset();
  assertEquals(await next(x), "API_EventTimeout");
  assertEquals(await next(y), "API_EventTimeout");
  await clock.advance(1000);
  await until(() => server.asked("X") === 2, "X is asked for again");
  await clock.advance(3000);
  assertEquals(await timeout(next(y), 20_000), 1);
  server.gate = () => {};
  resolve();
  server.value = 2;
  await waits(clock, 2000);
  await clock.advance(2000);
  assertEquals(await timeout(next(x), 20_000), 2);
});

test("DeviceProxy serves the others again if a new subscription finds the server first", async () => {
  await using all = await bench();
  const { server, proxy, clock } = all;
  const x = await proxy.subscribe("X");
  assertEquals(await next(x), 0);
  server.events.reset();
  assertEquals(await next(x), "API_EventTimeout");
  server.value = 1;
  const y = await proxy.subscribe("Y");
  assertEquals(await next(y), 1);
  await clock.advance(1000);
  assertEquals(await next(x), 1);
  await subscribed(all, "X", 2);
  server.push("X", 2);
  assertEquals(await next(x), 2);
});

for (
  const [what, delay] of [["", 0], [", which it notices first", 50]] as const
) {
  test(`DeviceProxy survives a second loss while it recovers${what}`, async () => {
    await using all = await bench();
    const { server, proxy, clock } = all;
    const [x, y] = [await proxy.subscribe("X"), await proxy.subscribe("Y")];
    await take(x, 1);
    await take(y, 1);
    server.events.reset();
    await take(x, 1);
    await take(y, 1);
    let hasReset = false;
    server.gate = (operation) => {
      // X is subscribed again by now, Y is not.
      if (operation === "command_inout_4" && server.asked("Y") === 2) {
        if (!hasReset) server.events.reset();
        hasReset = true;
        return new Promise((resolve) => setTimeout(resolve, delay));
      }
    };
    await clock.advance(1000);
    assertEquals(await next(x), "API_EventTimeout");
    server.value = 4;
    await waits(clock, 2000);
    await clock.advance(2000);
    assertEquals(await next(x), 4);
    // Whether it was lost again depends on what came first.
    for (;;) {
      const event = await next(y);
      if (event === 4) break;
      assertEquals(event, "API_EventTimeout");
    }
    server.push("X", 5);
    server.push("Y", 6);
    assertEquals([await next(x), await next(y)], [5, 6]);
  });
}

test("DeviceProxy keeps the order when the server goes before the value comes", async () => {
  await using all = await bench();
  const { server, proxy, clock } = all;
  const reading = Promise.withResolvers<void>();
  const late = Promise.withResolvers<void>();
  server.gate = async (operation) => {
    if (operation !== "read_attributes_5") return;
    server.gate = () => {};
    await subscribed(all, "X");
    server.push("X", 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    server.events.reset();
    await server.events.logged("close");
    reading.resolve();
    await late.promise;
  };
  const subscribing = proxy.subscribe("X");
  await reading.promise;
  server.value = 5;
  await waits(clock, 1000);
  await clock.advance(1000);
  await subscribed(all, "X", 2);
  await until(() => server.log.filter((one) => /^read/.test(one)).length === 2);
  await new Promise((resolve) => setTimeout(resolve, 20));
  late.resolve();
  const events = await subscribing;
  server.push("X", 6);
  assertEquals(await take(events, 4), [1, "API_EventTimeout", 5, 6]);
});

/** Lets so much time pass, with heartbeats. */
async function pass(
  { server, clock }: Bench,
  ms: number,
  heartbeats = server.heartbeats,
): Promise<void> {
  for (let left = ms; left > 0; left -= 5000) {
    await clock.advance(Math.min(left, 5000));
    server.beat(heartbeats);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test("DeviceProxy asks for its events again every 200 s", async () => {
  await using all = await bench();
  const { server, proxy } = all;
  const events = await proxy.subscribe("X");
  await pass(all, 199_990);
  assertEquals(server.asked("X"), 1);
  await pass(all, 10);
  await until(() => server.asked("X") === 2);
  // The server takes it for a new subscription, and sends the first one twice.
  server.push("X", 1, { times: 2 });
  server.push("X", 2);
  assertEquals(await take(events, 3), [0, 1, 2]);
  await pass(all, 200_000);
  await until(() => server.asked("X") === 3);
  assertEquals(server.events.log.filter((one) => one === "connect").length, 1);
});

test("DeviceProxy keeps its events if the server has no time to renew them", async () => {
  await using all = await bench();
  const { server, proxy } = all;
  const events = await proxy.subscribe("X");
  const { promise, resolve } = Promise.withResolvers<void>();
  server.gate = () => promise;
  await pass(all, 204_000);
  server.push("X", 1);
  assertEquals(await take(events, 2), [0, 1]);
  resolve();
  server.gate = () => {};
  await pass(all, 10_000);
  await until(() => server.asked("X") === 2);
});

test("DeviceProxy finds events by the address of the server if its own is wrong", async () => {
  await using all = await bench();
  const { server, proxy } = all;
  // Nobody listens there.
  server.host = "127.0.0.2";
  const events = await proxy.subscribe("X");
  assertEquals(await next(events), 0);
  await subscribed(all, "X");
  server.push("X", 1);
  assertEquals(await next(events), 1);
  server.events.reset();
  assertEquals(await next(events), "API_EventTimeout");
  await all.clock.advance(1000);
  assertEquals(await next(events), 0);
});

test("DeviceProxy makes numbers of all integers of an event", async () => {
  await using all = await bench();
  const { server } = all;
  await using proxy = await DeviceProxy.connect(server.url, {
    clock: all.time,
    int64: "number",
  });
  const events = await proxy.subscribe("X");
  await subscribed(all, "X");
  const data = new CdrWriter().unsignedLong(3).unsignedLong(2)
    .longLong(4n).longLong(5n)
    .unsignedLong(0).unsignedLong(0).long(CmdArgType.DevLong64)
    .long(1).long(0).long(0).string("X")
    .long(1).long(0).long(1).long(0).unsignedLong(0).bytes;
  server.push("X", 0, { data });
  await next(events);
  const { value: event } = await events.next();
  assert(event !== undefined && "value" in event);
  assertEquals(
    [event.value, event.reading?.value, event.reading?.writeValue],
    [4, 4, 5],
  );
});

/** Has the events come from somewhere else; what was before goes on. */
async function move({ server }: Bench): Promise<AsyncDisposable> {
  const { events, heartbeats } = server;
  server.events = await ZmtpPublisher.listen();
  server.heartbeats = await ZmtpPublisher.listen();
  return {
    async [Symbol.asyncDispose]() {
      await events.logged("close");
      await heartbeats.logged("close");
      await events[Symbol.asyncDispose]();
      await heartbeats[Symbol.asyncDispose]();
    },
  };
}

test("DeviceProxy notices that a server has moved when it asks again", async () => {
  await using all = await bench();
  const { server, proxy, clock } = all;
  const [x, y] = [await proxy.subscribe("X"), await proxy.subscribe("Y")];
  await take(x, 1);
  await take(y, 1);
  const { heartbeats } = server;
  await using _old = await move(all);
  server.value = 9;
  await pass(all, 200_000, heartbeats);
  assertEquals(await next(x), "API_EventTimeout");
  assertEquals(await next(y), "API_EventTimeout");
  await clock.advance(1000);
  assertEquals([await next(x), await next(y)], [9, 9]);
  server.push("X", 10);
  server.push("Y", 11);
  assertEquals([await next(x), await next(y)], [10, 11]);
});

test("DeviceProxy notices that a server has moved by another subscription", async () => {
  await using all = await bench();
  const { server, proxy, clock } = all;
  const [x, y] = [await proxy.subscribe("X"), await proxy.subscribe("Y")];
  await take(x, 1);
  await take(y, 1);
  await using _old = await move(all);
  server.value = 9;
  const z = await proxy.subscribe("Z");
  assertEquals(await next(z), 9);
  await clock.advance(1000);
  assertEquals(await take(x, 2), ["API_EventTimeout", 9]);
  assertEquals(await take(y, 2), ["API_EventTimeout", 9]);
  server.push("X", 10);
  assertEquals(await next(x), 10);
});

const unreadable: [string, (server: EventServer) => void][] = [
  ["an event of three frames", (server) => {
    server.events.publish(server.topic("X"), new Uint8Array([1]), "call");
  }],
  ["a header that is cut", (server) => {
    server.events.publish(server.topic("X"), new Uint8Array([1]), "call", "");
  }],
  ["data that are cut", (server) => {
    server.push("X", 0, { data: new Uint8Array([0xc0, 0xde, 0xc0, 0xde, 1]) });
  }],
  ["a sequence that is too long", (server) => {
    const data = new CdrWriter().unsignedLong(2).unsignedLong(0xffff_ffff);
    server.push("X", 0, { data: data.bytes });
  }],
];

for (const [what, send] of unreadable) {
  test(`DeviceProxy tells of ${what}, and goes on`, async () => {
    await using all = await bench();
    const { server, proxy } = all;
    const [x, y] = [await proxy.subscribe("X"), await proxy.subscribe("Y")];
    await take(y, 1);
    await subscribed(all, "X");
    send(server);
    assertEquals(await take(x, 2), [0, "API_WrongEventData"]);
    server.push("Y", 1);
    assertEquals(await next(y), 1);
    server.push("X", 2);
    assertEquals(await next(x), 2);
  });
}

const hostile: [string, (server: EventServer) => void][] = [
  ["bytes that are no ZMTP", (server) => {
    server.events.send(new Uint8Array(100).fill(0xff));
  }],
  ["heartbeats that are no ZMTP", (server) => {
    server.heartbeats.send(new Uint8Array(100).fill(0xff));
  }],
];

for (const [what, send] of hostile) {
  test(`DeviceProxy recovers from ${what}`, async () => {
    await using all = await bench();
    const { server, proxy, clock } = all;
    const events = await proxy.subscribe("X");
    await subscribed(all, "X");
    await server.heartbeats.logged("READY SUB");
    send(server);
    assertEquals(await take(events, 2), [0, "API_EventTimeout"]);
    await clock.advance(1000);
    assertEquals(await next(events), 0);
    server.push("X", 1);
    assertEquals(await next(events), 1);
  });
}

const steps = [
  "_get_adm_name",
  "command_inout_4",
  "ping",
  "read_attributes_5",
];

for (const step of steps) {
  test(`DeviceProxy lets a subscription be aborted or closed in ${step}`, async () => {
    for (const how of ["abort", "close", "loss"]) {
      await using all = await bench();
      const { server, proxy, clock } = all;
      const controller = new AbortController();
      const { signal } = controller;
      const reached = Promise.withResolvers<void>();
      server.gate = (operation) => {
        if (operation !== step) return;
        reached.resolve();
        return new Promise(() => {});
      };
      const subscribing = proxy.subscribe("X", { signal })
        .then(() => "done", (error: unknown) => error);
      await reached.promise;
      if (how === "abort") controller.abort("enough");
      else if (how === "close") await proxy.close();
      else await clock.advance(3000);
      const error = await subscribing;
      if (how === "abort") assertEquals(error, "enough");
      else if (how === "close") assert(error instanceof Error, String(error));
      else if (step !== "read_attributes_5") {
        assert(error instanceof DeviceError, String(error));
      }
      await proxy.close();
      assertEquals(clock.pending, []);
    }
  });
}

test("DeviceProxy ends a subscription with the reason of its signal", async () => {
  await using all = await bench();
  const controller = new AbortController();
  const { signal } = controller;
  const events = await all.proxy.subscribe("X", { signal });
  assertEquals(await next(events), 0);
  const waiting = events.next();
  controller.abort("enough");
  assertEquals(await waiting.catch((reason: unknown) => reason), "enough");
  assertEquals(all.clock.pending, []);
});

test("DeviceProxy ends its subscriptions when it is closed", async () => {
  await using all = await bench();
  const { proxy, clock } = all;
  const events = await proxy.subscribe("X");
  assertEquals(await next(events), 0);
  const waiting = events.next();
  await proxy.close();
  assertEquals(await waiting, { done: true, value: undefined });
  assertEquals(clock.pending, []);
  await assertRejects(() => proxy.subscribe("X"), Error, "closed");
});

test("DeviceProxy lets a subscription be left by `await using`", async () => {
  await using all = await bench();
  {
    await using events = await all.proxy.subscribe("X");
    assertEquals(await next(events), 0);
  }
  assertEquals(all.clock.pending, []);
  await all.server.events.logged("close");
});

test("DeviceProxy lets a subscription be left while it recovers", async () => {
  await using all = await bench();
  const { server, proxy, clock } = all;
  const events = await proxy.subscribe("X");
  server.events.reset();
  assertEquals(await take(events, 2), [0, "API_EventTimeout"]);
  await events.return();
  assertEquals(clock.pending, []);
  const again = await proxy.subscribe("X");
  assertEquals(await next(again), 0);
});

for (const how of ["close", "return"]) {
  test(`A process with a subscription ends by itself after ${how}()`, async () => {
    await using server = await EventServer.start();
    const { code, stdout } = await runModule(
      new URL("_events_program.ts", import.meta.url),
      server.url,
      how,
    );
    assertEquals(code, 0, stdout);
    assert(stdout.includes("value: 0"), stdout);
  });
}
