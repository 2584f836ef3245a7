// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import {
  type Bridge,
  bridge,
  type BusPort,
  type BusPortListener,
  type BusSubscription,
  EventBus,
} from "../event_bus.ts";
import type { BusEvent } from "../event_bus.ts";

const TOPICS = ["a", "b", "a.x", "a.y", "a.x.z"];
const PATTERNS = ["*", "a", "a.*", "a.x", "a.x.*", "b", "nobody"];

/** What the patterns mean, said in another way. */
function matches(patterns: readonly string[], topic: string): boolean {
  return patterns.some((pattern) => {
    const source = pattern.replaceAll(".", "\\.").replace("*", ".+");
    return new RegExp(`^${source}$`).test(topic);
  });
}

const busIndex = fc.nat(4);
const patterns = fc.uniqueArray(fc.constantFrom(...PATTERNS), {
  minLength: 1,
  maxLength: 3,
});

type Step =
  | { type: "publish"; bus: number; topic: string }
  | { type: "subscribe"; bus: number; patterns: string[] }
  | { type: "listen"; bus: number; patterns: string[] }
  | { type: "bridge"; bus: number; other: number; patterns: string[] }
  | { type: "end"; index: number }
  | { type: "unbridge"; index: number }
  | { type: "close"; bus: number };

const topic = fc.constantFrom(...TOPICS);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      type: fc.constant("publish" as const),
      bus: busIndex,
      topic,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constantFrom("subscribe" as const, "listen" as const),
      bus: busIndex,
      patterns,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant("bridge" as const),
      bus: busIndex,
      other: busIndex,
      patterns,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.oneof(
      fc.record({ type: fc.constant("end" as const), index: fc.nat(20) }),
      fc.record({ type: fc.constant("unbridge" as const), index: fc.nat(8) }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("close" as const),
      bus: busIndex,
    }),
  },
);

interface ModelWay {
  readonly ends: readonly [number, number];
  readonly patterns: readonly string[];
  isOpen: boolean;
  readonly real: Bridge;
}

interface ModelSubscriber {
  readonly bus: number;
  readonly patterns: readonly string[];
  isOpen: boolean;
  /** The buffer of an iterator is gone when it ends; a list stays. */
  readonly expected: number[];
  readonly subscription: BusSubscription<BusEvent> | undefined;
  readonly seen: number[];
  readonly end: () => void;
}

/** The buses to which an event of a topic comes. */
function reached(
  from: number,
  topic: string,
  ways: readonly ModelWay[],
): Set<number> {
  const found = new Set([from]);
  for (const bus of found) {
    for (const way of ways) {
      if (!way.isOpen || !way.ends.includes(bus)) continue;
      if (matches(way.patterns, topic)) {
        for (const end of way.ends) found.add(end);
      }
    }
  }
  return found;
}

async function takeAll(
  subscription: BusSubscription<BusEvent>,
): Promise<number[]> {
  const seen: number[] = [];
  while (subscription.length > 0) {
    seen.push(Number((await subscription.next()).value?.data));
  }
  return seen;
}

test("Every subscriber sees the events that match since it came, in order and once, whatever bridges there are", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60, size: "max" }),
      async (steps) => {
        const buses = Array.from({ length: 5 }, () => new EventBus());
        const closed = new Set<number>();
        const ways: ModelWay[] = [];
        const subscribers: ModelSubscriber[] = [];
        const busAt = (index: number): EventBus =>
          buses[index] ?? new EventBus();
        let count = 0;
        for (const step of steps) {
          if (step.type === "publish") {
            const data = count++;
            busAt(step.bus).publish(step.topic, data);
            if (closed.has(step.bus)) continue;
            const where = reached(step.bus, step.topic, ways);
            for (const each of subscribers) {
              if (each.isOpen && where.has(each.bus)) {
                if (matches(each.patterns, step.topic)) {
                  each.expected.push(data);
                }
              }
            }
          } else if (step.type === "subscribe" || step.type === "listen") {
            const bus = busAt(step.bus);
            const seen: number[] = [];
            const subscription = step.type === "subscribe"
              ? bus.subscribe(step.patterns)
              : undefined;
            const end = subscription === undefined
              ? bus.onEvent(
                step.patterns,
                ({ data }) => seen.push(Number(data)),
              )
              : () => void subscription.return();
            subscribers.push({
              bus: step.bus,
              patterns: step.patterns,
              isOpen: !closed.has(step.bus),
              expected: [],
              subscription,
              seen,
              end,
            });
          } else if (step.type === "bridge") {
            if (step.bus === step.other) continue;
            const ends = [step.bus, step.other] as const;
            ways.push({
              ends,
              patterns: step.patterns,
              isOpen: !ends.some((end) => closed.has(end)),
              real: bridge(busAt(step.bus), busAt(step.other), {
                patterns: step.patterns,
              }),
            });
          } else if (step.type === "end") {
            const subscriber = subscribers[step.index];
            if (subscriber === undefined) continue;
            subscriber.end();
            subscriber.isOpen = false;
            if (subscriber.subscription) subscriber.expected.length = 0;
          } else if (step.type === "unbridge") {
            const way = ways[step.index];
            if (way === undefined) continue;
            way.real.close();
            way.isOpen = false;
          } else {
            busAt(step.bus).close();
            closed.add(step.bus);
            for (const each of subscribers) {
              if (each.bus === step.bus) each.isOpen = false;
            }
            for (const way of ways) {
              if (way.ends.includes(step.bus)) way.isOpen = false;
            }
          }
        }
        for (const { subscription, seen, expected } of subscribers) {
          const found = subscription ? await takeAll(subscription) : seen;
          assertEquals(found, expected);
        }
        for (const { isOpen, real } of ways) {
          assertEquals(real.isClosed, !isOpen);
        }
        for (const bus of buses) bus.close();
        assertEquals(buses.map((bus) => bus.subscribers), [0, 0, 0, 0, 0]);
      },
    ),
    { numRuns: 300 },
  );
});

/** A channel whose messages come when the test says so. */
class SlowPort implements BusPort {
  readonly #listeners: Set<BusPortListener> = new Set();
  readonly messages: unknown[] = [];
  other: SlowPort | undefined = undefined;

  postMessage(message: unknown): void {
    this.other?.messages.push(structuredClone(message));
  }

  /** Tells of the oldest message; returns whether there was one. */
  deliver(): boolean {
    if (this.messages.length === 0) return false;
    const data = this.messages.shift();
    for (const listener of this.#listeners) listener({ data });
    return true;
  }

  addEventListener(_: "message", listener: BusPortListener): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_: "message", listener: BusPortListener): void {
    this.#listeners.delete(listener);
  }
}

function joinSlowly(a: EventBus, b: EventBus): SlowPort[] {
  const [one, other] = [new SlowPort(), new SlowPort()];
  [one.other, other.other] = [other, one];
  bridge(a, one);
  bridge(b, other);
  return [one, other];
}

const pairs = fc.array(fc.tuple(fc.nat(4), fc.nat(4)), { maxLength: 8 });

test("Every event crosses slow ports to each bus once, whatever comes first", () => {
  fc.assert(
    fc.property(
      pairs,
      fc.boolean(),
      fc.array(fc.oneof(busIndex, fc.nat(15).map((port) => ~port)), {
        maxLength: 60,
        size: "max",
      }),
      (pairs, isTree, steps) => {
        const buses = Array.from({ length: 5 }, () => new EventBus());
        const seen = buses.map((bus) => {
          const list: [number, number][] = [];
          bus.onEvent("*", ({ data }) => list.push(data as [number, number]));
          return list;
        });
        const links = isTree
          ? [1, 2, 3, 4].map((n) => [n, (pairs[n]?.[0] ?? 0) % n] as const)
          : pairs.filter(([one, other]) => one !== other);
        const ports = links.flatMap(([one, other]) => {
          const [a, b] = [buses[one], buses[other]];
          return a && b ? joinSlowly(a, b) : [];
        });
        const ways = links.map((ends): ModelWay => ({
          ends: [ends[0], ends[1]],
          patterns: ["*"],
          isOpen: true,
          real: bridge(new EventBus(), new EventBus()),
        }));
        const expected: string[][] = buses.map(() => []);
        let count = 0;
        for (const step of steps) {
          if (step < 0) {
            ports[~step % Math.max(1, ports.length)]?.deliver();
            continue;
          }
          const data = [step, count++];
          buses[step]?.publish("a", data);
          for (const bus of reached(step, "a", ways)) {
            expected[bus]?.push(String(data));
          }
        }
        while (ports.filter((port) => port.deliver()).length > 0);
        for (const [n, list] of seen.entries()) {
          assertEquals(list.map(String).toSorted(), expected[n]?.toSorted());
          // Where there is one way only the order of each origin is kept.
          for (const origin of isTree ? [0, 1, 2, 3, 4] : []) {
            const numbers = list.filter(([from]) => from === origin)
              .map(([, number]) => number);
            assertEquals(numbers, numbers.toSorted((a, b) => a - b));
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});
