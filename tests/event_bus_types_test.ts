// Copyright 2026 the Longrun authors. MIT license.

/**
 * What the types of the event bus say. The function that holds what must not
 * compile is never called.
 */

import { test } from "@std/testing/bdd";
import { assertType, type IsExact } from "@std/testing/types";
import {
  bridge,
  type BusEvent,
  type BusEventOf,
  type BusPattern,
  type BusPort,
  type BusReply,
  type BusReplyTopic,
  type BusSubscription,
  EventBus,
} from "../event_bus.ts";

interface Topics {
  "procedure.started": { id: number };
  "procedure.life.failed": { reason: string };
  "request.create": { script: string };
  "created": BusReply<{ id: number }>;
}

type Started = BusEvent<"procedure.started", { id: number }>;
type Failed = BusEvent<"procedure.life.failed", { reason: string }>;

/** Lets the compiler look at a function that is not called. */
function looksAt(_never: (bus: EventBus<Topics>) => unknown): void {}

test("EventBus knows the events that match a pattern", () => {
  assertType<IsExact<BusEventOf<Topics, "procedure.*">, Started | Failed>>(
    true,
  );
  assertType<IsExact<BusEventOf<Topics, "procedure.life.*">, Failed>>(true);
  assertType<IsExact<BusEventOf<Topics, "procedure.started">, Started>>(true);
  assertType<
    IsExact<
      BusEventOf<Topics, "procedure.life.*" | "procedure.started">,
      Started | Failed
    >
  >(true);
  assertType<
    IsExact<BusEventOf<Topics>["topic"], keyof Topics>
  >(true);
  assertType<
    IsExact<
      BusPattern<Topics>,
      keyof Topics | "*" | "procedure.*" | "procedure.life.*" | "request.*"
    >
  >(true);
  assertType<IsExact<BusReplyTopic<Topics>, "created">>(true);

  const bus = new EventBus<Topics>();
  const one = bus.subscribe("procedure.*");
  assertType<IsExact<typeof one, BusSubscription<Started | Failed>>>(true);
  const two = bus.subscribe(["procedure.life.*", "procedure.started"]);
  assertType<IsExact<typeof two, BusSubscription<Started | Failed>>>(true);
  bus.onEvent("procedure.*", (event) => {
    if (event.topic === "procedure.started") {
      assertType<IsExact<typeof event.data, { id: number }>>(true);
    }
  });
});

test("EventBus without a map of topics takes any", () => {
  type Loose = Record<string, unknown>;
  assertType<IsExact<BusEventOf<Loose, "a.b">, BusEvent<"a.b">>>(true);
  assertType<IsExact<BusEventOf<Loose, "a.*">, BusEvent<`a.${string}`>>>(true);
  assertType<IsExact<BusEventOf<Loose, "*">, BusEvent>>(true);
  assertType<IsExact<BusPattern<Loose>, string>>(true);
});

test("EventBus refuses what its map of topics does not say", () => {
  looksAt(async (bus) => {
    const { id } = await bus.request(
      "request.create",
      { script: "scan" },
      "created",
    );
    assertType<IsExact<typeof id, number>>(true);
    bus.respond("request.create", "created", ({ script }, { event }) => {
      assertType<IsExact<typeof event.topic, "request.create">>(true);
      return Promise.resolve({ id: script.length });
    });
    // @ts-expect-error: no such topic.
    bus.publish("procedure.ended", 1);
    // @ts-expect-error: other data.
    bus.publish("procedure.started", { id: "1" });
    // @ts-expect-error: nothing begins like this.
    bus.subscribe("dome.*");
    // @ts-expect-error: no event of this topic is a reply.
    bus.request("request.create", { script: "scan" }, "procedure.started");
    // @ts-expect-error: another reply.
    bus.respond("request.create", "created", () => "one");
    // @ts-expect-error: events are frozen.
    bus.onEvent("*", (event) => event.source = "me");
  });
});

test("Ports of the platform are ports of a bridge", () => {
  assertType<MessagePort extends BusPort ? true : false>(true);
  assertType<Worker extends BusPort ? true : false>(true);
  assertType<BroadcastChannel extends BusPort ? true : false>(true);
  looksAt((bus) => bridge(bus, new EventBus()));
});
