// Copyright 2026 the Longrun authors. MIT license.

import { bridge, EventBus } from "../../event_bus.ts";
import { CountingController } from "../_listeners.ts";
import { check, checkEnd, checkNone, heap, inRounds } from "./_watch.ts";

const COUNT = 5_000;
const EVENTS = 200_000;
const checkRounds = inRounds(COUNT, 20);
const checkEvents = inRounds(EVENTS, 1);

const app = new CountingController();
const { signal } = app;
const bus = new EventBus();
const ignore = (): void => {};

function checkLeft(name: string): void {
  checkNone(`${name}, subscribers`, bus.subscribers);
  checkNone(`${name}, listeners`, app.listeners);
}

await checkRounds("subscriptions and callbacks that come and go", async () => {
  for (let n = 0; n < COUNT; n++) {
    const topic = `a.n${n}`;
    const subscription = bus.subscribe([topic, "a.*"], { signal });
    const end = bus.onEvent(`${topic}.*`, ignore, { signal });
    bus.publish(topic, n);
    end();
    for await (const _ of subscription) break;
  }
});
checkLeft("subscriptions and callbacks");

await checkRounds("requests answered, failed and aborted", async () => {
  const responder = bus.respond("ask", "answer", (data) => {
    if (Number(data) % 2 === 1) throw "odd";
    return data;
  }, { signal });
  for (let n = 0; n < COUNT; n++) {
    await bus.request("ask", n, "answer", { signal }).catch(ignore);
    const controller = new AbortController();
    const wait = bus.request("nobody", n, "answer", {
      signal: controller.signal,
    });
    controller.abort();
    await wait.catch(ignore);
  }
  responder.close();
});
checkLeft("requests");

await checkRounds("responders closed while they work", async () => {
  for (let n = 0; n < COUNT; n++) {
    const responder = bus.respond("ask", "answer", () => new Promise(ignore), {
      signal,
    });
    const wait = bus.request("ask", n, "answer", { signal }).catch(ignore);
    responder.close();
    await wait;
  }
});
checkLeft("responders");

await checkRounds("bridges that come and go", async () => {
  for (let n = 0; n < COUNT; n++) {
    const other = new EventBus();
    const way = bridge(bus, other, { signal });
    other.publish("a", n);
    if (n % 2 === 0) way.close();
    else other.close();
  }
  await Promise.resolve();
});
checkLeft("bridges");

const other = new EventBus();
const third = new EventBus();
const ways = [bridge(bus, other), bridge(other, third), bridge(third, bus)];
const fast = other.subscribe("*");
const slow = third.subscribe("*");
await checkEvents(
  "events on a ring of buses, to a subscriber and a full buffer",
  async () => {
    for (let n = 0; n < EVENTS; n++) {
      bus.publish("a.b", n);
      await fast.next();
    }
  },
);
check("events, a full buffer", slow.length === 10_000, `${slow.length}`);
for (const way of ways) way.close();

const before = await heap();
const buses = Array.from({ length: COUNT }, () => new EventBus());
const each = (await heap() - before) / buses.length;
check("a bus without subscribers", each <= 4000, `${each.toFixed(0)} bytes`);

checkEnd();
