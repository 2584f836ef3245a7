// Copyright 2026 the Longrun authors. MIT license.

/** The streams of a handler: what they replay, lose and hold. */

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import {
  DeviceError,
  type DeviceEvent,
  type DeviceSubscription,
} from "../device_proxy.ts";
import { DeviceHandler } from "../lrc_http.ts";
import { deviceError, FakeDevice } from "./_lrc_fake.ts";
import { turns } from "./_turns.ts";
import { unhandledDuring } from "./_unhandled.ts";
import { BASE, HttpRig, SentEvents } from "./_lrc_http_rig.ts";

test("A stream begins with the present value and goes on with the changes", async () => {
  await using rig = new HttpRig();
  const events = await rig.events("level");
  const { headers } = events.response;
  assertEquals(headers.get("content-type"), "text/event-stream");
  assertEquals(headers.get("cache-control"), "no-store");
  assertEquals(await events.take(1), [["present", 0]]);
  rig.device.setAttribute("level", 1);
  rig.device.setAttribute("level", undefined);
  assertEquals(await events.take(1), [["change", 1]]);
  assertEquals((await events.next())?.data, { attribute: "level" });
  await events.leave();
});

test("Streams share the subscription of an attribute, which lingers after them", async () => {
  await using rig = new HttpRig({ linger: 1000 });
  const one = await rig.events("level");
  const other = await rig.events("LEVEL");
  assertEquals([rig.handler.streams, rig.handler.subscriptions], [2, 1]);
  assertEquals(rig.device.subscriptions, 1);
  await one.leave();
  await other.leave();
  await rig.pass(999);
  assertEquals([rig.handler.streams, rig.device.subscriptions], [0, 1]);
  const again = await rig.events("level");
  await rig.pass(1000);
  assertEquals(rig.device.subscriptions, 1);
  await again.leave();
  await rig.pass(1000);
  assertEquals([rig.handler.subscriptions, rig.device.subscriptions], [0, 0]);
});

test("A stream replays what came after the last event of its reader", async () => {
  await using rig = new HttpRig();
  const first = await rig.events("level");
  rig.device.setAttribute("level", 1);
  await first.take(1);
  const seen = await first.next();
  assertEquals(seen?.event, "change");
  await first.leave();
  for (const level of [2, 3]) rig.device.setAttribute("level", level);
  await rig.pass();
  const id = seen?.id ?? "";
  const second = await rig.events("level", { "last-event-id": id });
  rig.device.setAttribute("level", 4);
  await rig.pass();
  assertEquals(await second.take(4), [
    ["change", 2],
    ["change", 3],
    ["change", 4],
    ["present", 4],
  ]);
  await second.leave();
});

test("A stream of several attributes replays them in their common order", async () => {
  await using rig = new HttpRig({}, { attributes: { a: 0, b: 0 } as never });
  const device = rig.device as unknown as {
    setAttribute(name: string, value: number): void;
  };
  const first = await rig.events("a&attribute=b&attribute=A");
  assertEquals(await first.take(2), [["present", 0], ["present", 0]]);
  const id = first.text.match(/id: (.*)/)?.[1] ?? "";
  await first.leave();
  for (const n of [1, 2, 3, 4]) device.setAttribute(n % 2 ? "a" : "b", n);
  await rig.pass();
  const second = await rig.events("a&attribute=b", { "last-event-id": id });
  assertEquals(await second.take(6), [
    ["change", 1],
    ["change", 2],
    ["change", 3],
    ["change", 4],
    ["present", 3],
    ["present", 4],
  ]);
  await second.leave();
});

test("A stream says when it cannot replay, and tells the present value", async () => {
  await using rig = new HttpRig({ replay: 2, linger: 1000 });
  const lost = [["gap", "API_MissedEvents"], ["present", 5]];
  const first = await rig.events("level");
  const id = (await first.next())?.id ?? "";
  for (const level of [1, 2, 3, 4, 5]) rig.device.setAttribute("level", level);
  await rig.pass();
  await first.leave();
  const [epoch = "", start = ""] = id.split("-");
  const after = (count: number): string => `${epoch}-${Number(start) + count}`;
  for (const last of [id, `${epoch}-99`, "nonsense", "other-1"]) {
    const events = await rig.events("level", { "last-event-id": last });
    const gap = await events.next();
    assertEquals([gap?.event, gap?.id], ["gap", ""], last);
    assertEquals(await events.take(1), lost.slice(1), last);
    await events.leave();
  }
  const whole = await rig.events("level", { "last-event-id": after(3) });
  assertEquals(await whole.take(3), [
    ["change", 4],
    ["change", 5],
    ["present", 5],
  ]);
  await whole.leave();

  await rig.pass(1000);
  const late = await rig.events("level", { "last-event-id": after(5) });
  assertEquals(await late.take(2), lost, "nobody was subscribed meanwhile");
  await late.leave();

  await rig.restart();
  const other = await rig.events("level", { "last-event-id": after(5) });
  assertEquals(await other.take(2), lost, "another life of the server");
  await other.leave();
});

test("A reader that is too slow is told, and nothing is kept for it alone", async () => {
  await using rig = new HttpRig({ replay: 3 });
  const slow = await rig.events("level");
  assertEquals(await slow.take(1), [["present", 0]]);
  for (let level = 1; level <= 10; level++) {
    rig.device.setAttribute("level", level);
  }
  await rig.pass();
  assertEquals(await slow.take(2), [["gap", "API_MissedEvents"], [
    "present",
    10,
  ]]);
  rig.device.setAttribute("level", 11);
  assertEquals(await slow.take(1), [["change", 11]]);
  await slow.leave();
});

test("Large events are kept up to a number of characters", async () => {
  await using rig = new HttpRig({ replayBytes: 1000 });
  const slow = await rig.events("level");
  await slow.take(1);
  for (const letter of "abc") {
    rig.device.setAttribute("level", letter.repeat(600));
  }
  await rig.pass();
  assertEquals((await slow.take(2)).map(([kind]) => kind), ["gap", "present"]);
  await slow.leave();
});

test("A stream gives signs of life, and gives up a reader that takes none", async () => {
  await using rig = new HttpRig({ heartbeat: 100 });
  const alive = await rig.events("level");
  const dead = await rig.events("level");
  await alive.take(1);
  await dead.take(1);
  for (let beat = 1; beat <= 5; beat++) {
    assertEquals(rig.handler.streams, 2);
    const reading = alive.read();
    await rig.pass(100);
    await reading;
    assertEquals(alive.text.split("\n\n:").length - 1, beat);
  }
  assertEquals(rig.handler.streams, 1);
  assertEquals(await dead.read(), false);
  await alive.leave();
  assertEquals(rig.clock.pending.filter(({ ref }) => ref), []);
});

test("DeviceHandler has room for so many streams", async () => {
  await using rig = new HttpRig({ maxStreams: 2 });
  const responses = await Promise.all(
    [1, 2, 3].map(() => rig.get("/events?attribute=level")),
  );
  const statuses = responses.map(({ status }) => status);
  assertEquals(statuses, [200, 200, 503]);
  assertEquals(responses[2]?.headers.get("retry-after"), "1");
  await responses[0]?.body?.cancel();
  assertEquals((await rig.get("/events?attribute=level")).status, 200);
});

test("A stream whose reader has gone leaves nothing", async () => {
  await using rig = new HttpRig({ linger: 0 });
  const gone = new AbortController();
  const events = await rig.events("level", {}, gone.signal);
  await events.take(1);
  const reading = events.read();
  gone.abort();
  assertEquals(await reading, false);
  assertEquals([rig.handler.streams, rig.device.subscriptions], [0, 0]);
});

test("A stream that is not wanted any more before it stands is none", async () => {
  const device = new FakeDevice();
  let go: () => void = () => {};
  device.delay = () => new Promise((resolve) => go = resolve);
  await using handler = new DeviceHandler(device, { linger: 0 });
  const gone = new AbortController();
  const url = `${BASE}/devices/test%2Ffake%2F1/events?attribute=_lrcEvent`;
  const opening = handler.fetch(new Request(url, { signal: gone.signal }));
  await turns();
  gone.abort();
  assertEquals((await opening).status, 503);
  go();
  await turns();
  assertEquals(
    [handler.streams, handler.subscriptions, device.subscribers],
    [0, 0, 0],
  );
});

test("A handler that closes tells what is left, and when to come again", async () => {
  await using rig = new HttpRig({ retryAfter: 1500 });
  const events = await rig.events("level");
  const idle = await rig.events("level");
  await idle.take(1);
  const waiting = idle.next();
  await events.take(1);
  rig.device.setAttribute("level", 1);
  await rig.pass();
  await rig.handler.close();
  assertEquals(await events.take(2), [["change", 1]]);
  assert(events.done);
  assertEquals(events.retry, 1500);
  assertEquals((await waiting)?.data.value, 1);
  assertEquals([rig.handler.streams, rig.device.subscriptions], [0, 0]);
});

test("A stream ends with the events of the device, or fails with them", async () => {
  await using rig = new HttpRig();
  const events = await rig.events("level&attribute=lrcQueue");
  await events.take(2);
  await rig.device.stop();
  assertEquals(await events.take(3), [["end", undefined], ["end", undefined]]);
  assert(events.done);
  assertEquals([rig.handler.streams, rig.handler.subscriptions], [0, 0]);

  const device = new FakeDevice();
  await using handler = new DeviceHandler(device);
  const url = `${BASE}/devices/test%2Ffake%2F1/events?attribute=_lrcEvent`;
  const failing = new SentEvents(await handler.fetch(new Request(url)));
  await failing.take(1);
  device.cut();
  assertEquals(await failing.take(2), [["end", "API_Cut"]]);
});

test("Errors of the device's events are passed on, and what cannot be sent is one", async () => {
  const device = new FakeDevice();
  await using handler = new DeviceHandler(device);
  const url = `${BASE}/devices/test%2Ffake%2F1/events?attribute=_lrcEvent`;
  const events = new SentEvents(await handler.fetch(new Request(url)));
  await events.take(1);
  device.disturb();
  const circle: unknown[] = [];
  circle.push(circle);
  device.emit("_lrcEvent", circle);
  assertEquals(await events.take(2), [
    ["change", "API_EventTimeout"],
    ["change", "API_CommunicationFailed"],
  ]);
  await events.leave();
});

test("A device that throws where it should reject is asked anew the next time", async () => {
  const device = new FakeDevice();
  const { subscribe } = device;
  await using handler = new DeviceHandler(device);
  const url = `${BASE}/devices/test%2Ffake%2F1/events?attribute=_lrcEvent`;
  device.subscribe = () => {
    throw deviceError("API_AttrNotFound");
  };
  let status: number | undefined;
  const unhandled = await unhandledDuring(async () => {
    ({ status } = await handler.fetch(new Request(url)));
  });
  assertEquals([status, unhandled, handler.subscriptions], [404, [], 0]);
  device.subscribe = subscribe;
  const events = new SentEvents(await handler.fetch(new Request(url)));
  assertEquals((await events.next())?.event, "present");
  await events.leave();
});

test("A device that does not answer is asked anew, however often readers come", async () => {
  await using rig = new HttpRig();
  const { timers: clock, logger } = rig;
  const device = new FakeDevice();
  device.delay = (what) =>
    what.startsWith("subscribe")
      ? new Promise<void>(() => {})
      : Promise.resolve();
  await using handler = new DeviceHandler(device, { clock, logger });
  const url = `${BASE}/devices/test%2Ffake%2F1/events?attribute=_lrcEvent`;
  const gone = new AbortController();
  const { signal } = gone;
  const first = handler.fetch(new Request(url, { signal }));
  await rig.pass(20_000);
  const second = handler.fetch(new Request(url));
  await rig.pass();
  gone.abort();
  assertEquals((await first).status, 503);
  device.delay = undefined;
  await rig.pass(10_000);
  assertEquals((await second).status, 500);
  const events = new SentEvents(await handler.fetch(new Request(url)));
  assertEquals((await events.next())?.event, "present");
  await events.leave();
});

test("Events that end with what cannot be sent end all the same", async () => {
  const circle: unknown[] = [];
  circle.push(circle);
  const device = new FakeDevice();
  const failing = Promise.withResolvers<never>();
  let told = false;
  device.subscribe = () =>
    Promise.resolve({
      next: () => {
        if (told) return failing.promise;
        told = true;
        const value = { attribute: "level", value: 0 };
        return Promise.resolve({ done: false as const, value });
      },
      return: () => Promise.resolve({ done: true as const, value: undefined }),
      [Symbol.asyncIterator]() {
        return this;
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  await using handler = new DeviceHandler(device);
  const url = `${BASE}/devices/test%2Ffake%2F1/events?attribute=_lrcEvent`;
  const events = new SentEvents(await handler.fetch(new Request(url)));
  await events.take(1);
  const unhandled = await unhandledDuring(async () => {
    failing.reject(deviceError("R", circle as unknown as string));
    assertEquals(await events.take(2), [["end", "API_CommunicationFailed"]]);
  });
  assertEquals(unhandled, []);
});

test("A device that cannot be read says so in the place of the present value", async () => {
  const device = new FakeDevice();
  await using handler = new DeviceHandler(device);
  device.failure = (what) =>
    what.startsWith("read") ? new DeviceError([]) : undefined;
  const url = `${BASE}/devices/test%2Ffake%2F1/events?attribute=_lrcEvent`;
  const events = new SentEvents(await handler.fetch(new Request(url)));
  assertEquals((await events.next())?.event, "present");
  await events.leave();
});

test("A subscription that hangs when it is left does not hold up the close", async () => {
  await using rig = new HttpRig();
  const hanging = {
    next: () => new Promise<IteratorResult<DeviceEvent, undefined>>(() => {}),
    return: () => new Promise<IteratorResult<DeviceEvent, undefined>>(() => {}),
  } as unknown as DeviceSubscription;
  const device = Object.assign(new FakeDevice(), {
    subscribe: () => Promise.resolve(hanging),
  });
  const { timers: clock, logger } = rig;
  const handler = new DeviceHandler(device, { clock, logger });
  const url = `${BASE}/devices/test%2Ffake%2F1/events?attribute=State`;
  const opening = handler.fetch(new Request(url));
  await rig.pass();
  const closing = handler.close();
  await rig.pass(5000);
  await closing;
  assertEquals((await opening).status, 503);
  assertEquals(rig.logger.of("warn").length, 1);
});

test("Whoever comes again with his last id has every event, or was told of a gap", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("change" as const) }),
    fc.record({ kind: fc.constant("read" as const) }),
    fc.record({ kind: fc.constant("cut" as const) }),
    fc.record({ kind: fc.constant("pass" as const), ms: fc.nat({ max: 150 }) }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.integer({ min: 1, max: 6 }),
      async (steps, replay) => {
        await using rig = new HttpRig({ replay, linger: 100 });
        let level = 0;
        let known = 0;
        let isOwed = false;
        let id = "";
        let events: SentEvents | undefined;
        const read = async (): Promise<void> => {
          const headers: Record<string, string> = id === ""
            ? {}
            : { "last-event-id": id };
          const isBack = id !== "";
          events ??= await rig.events("level", headers);
          const sent = await events.next();
          assert(sent !== undefined);
          id = sent.id === "" ? id : sent.id;
          const value = Number(sent.data.value);
          switch (sent.event) {
            case "change":
              if (!isOwed) {
                assert(value <= known + 1, `${value} after ${known}`);
              }
              known = Math.max(known, value);
              break;
            case "gap":
              isOwed = true;
              break;
            case "present":
              if (isBack && !isOwed) assertEquals(value, known);
              isOwed = false;
              known = Math.max(known, value);
          }
        };
        for (const each of steps) {
          if (each.kind === "change") rig.device.setAttribute("level", ++level);
          if (each.kind === "pass") await rig.pass(each.ms);
          await rig.pass();
          if (each.kind === "cut") {
            await events?.leave();
            events = undefined;
          }
          if (each.kind === "read" && known < level) await read();
        }
        for (let n = 0; known < level && n < 100; n++) await read();
        assertEquals(known, level);
        await events?.leave();
      },
    ),
    { numRuns: 60 },
  );
});
