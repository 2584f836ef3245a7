// Copyright 2026 the Longrun authors. MIT license.

/**
 * What it costs to publish an event: to nobody, to one callback, to a hundred,
 * and to one among ten thousand others that want other topics; and what it costs
 * to take one from a subscription. Times per event, and how often slower than
 * the bare map.
 *
 * @module
 */

import Emittery from "emittery";
import { EventEmitter } from "eventemitter3";
import * as mittModule from "mitt";
import { EventBus } from "../event_bus.ts";
import { Topic } from "../topic.ts";
import { alternate, type Case, exit, report } from "./_harness.ts";

const TABLE = "event_bus";
const EVENTS = 20_000;
const ROUNDS = 9;
const TOPIC = "dome.moved";
const BARE = "bare map of callbacks";

interface Mitt {
  on(topic: string, listener: Listener): void;
  emit(topic: string, data: number): void;
}

// Its types are those of a module of another kind than its code.
const mitt = mittModule.default as unknown as () => Mitt;

/** How many callbacks hear of the topic, and how many of others. */
const columns: Record<string, [heard: number, others: number]> = {
  "nobody, ns": [0, 0],
  "1 callback, ns": [1, 0],
  "100 callbacks, ns": [100, 0],
  "1 of 10,000, ns": [1, 10_000],
};

type Listener = (data: number) => unknown;

interface Candidate {
  on(topic: string, listener: Listener): void;
  publish(topic: string, data: number): unknown;
}

function bare(): Candidate {
  const listeners = new Map<string, Set<Listener>>();
  return {
    on(topic, listener) {
      const own: Listener = (data) => listener(data);
      const set = listeners.get(topic);
      if (set === undefined) listeners.set(topic, new Set([own]));
      else set.add(own);
    },
    publish(topic, data) {
      const set = listeners.get(topic);
      if (set !== undefined) { for (const listener of set) listener(data); }
    },
  };
}

function longrun(pattern: (topic: string) => string): Candidate {
  const bus = new EventBus();
  return {
    on: (topic, listener) =>
      bus.onEvent(pattern(topic), ({ data }) => listener(Number(data))),
    publish: (topic, data) => bus.publish(topic, data),
  };
}

const candidates: Record<string, () => Candidate> = {
  [BARE]: bare,
  "longrun EventBus": () => longrun((topic) => topic),
  "longrun EventBus, prefixes": () =>
    longrun((topic) => topic.replace(/\.\w+$/, ".*")),
  "longrun Topic, one for each": () => {
    const topics = new Map<string, Topic<number>>();
    const topicOf = (name: string): Topic<number> => {
      const topic = topics.get(name) ?? new Topic<number>();
      topics.set(name, topic);
      return topic;
    };
    return {
      on: (topic, listener) => topicOf(topic).onPublish(listener),
      publish: (topic, data) => topicOf(topic).publish(data),
    };
  },
  "mitt": () => {
    const emitter = mitt();
    return {
      on: (topic, listener) => emitter.on(topic, listener),
      publish: (topic, data) => emitter.emit(topic, data),
    };
  },
  "eventemitter3": () => {
    const emitter = new EventEmitter<Record<string, [number]>>();
    return {
      on: (topic, listener) => emitter.on(topic, listener),
      publish: (topic, data) => emitter.emit(topic, data),
    };
  },
  "emittery, asynchronous": () => {
    const emitter = new Emittery<Record<string, number>>();
    return {
      // It wraps the data in an event since its second version.
      on: (topic, listener) => {
        emitter.on(topic, ({ data }) => {
          listener(data);
        });
      },
      publish: (topic, data) => emitter.emit(topic, data),
    };
  },
};

async function measureOne(
  make: () => Candidate,
  [heard, others]: [number, number],
): Promise<number> {
  const candidate = make();
  let calls = 0;
  const listener = (): void => {
    calls++;
  };
  for (let n = 0; n < others; n++) candidate.on(`other${n}.moved`, listener);
  for (let n = 0; n < heard; n++) candidate.on(TOPIC, listener);
  const count = heard > 1 ? EVENTS / 20 : EVENTS;
  const since = performance.now();
  let last: unknown;
  for (let n = 0; n < count; n++) last = candidate.publish(TOPIC, n);
  await last;
  const time = performance.now() - since;
  if (calls !== heard * count) throw new Error(`${calls} calls`);
  return time * 1e6 / count;
}

async function measureTaking(): Promise<number> {
  const bus = new EventBus();
  const subscription = bus.subscribe(TOPIC, { capacity: EVENTS });
  const since = performance.now();
  for (let n = 0; n < EVENTS; n++) bus.publish(TOPIC, n);
  bus.close();
  let count = 0;
  for await (const _ of subscription) count++;
  if (count !== EVENTS) throw new Error(`${count} events`);
  return (performance.now() - since) * 1e6 / EVENTS;
}

const cases: Case[] = Object.entries(candidates).map(([name, make]) => ({
  name,
  async measure() {
    const figures: Record<string, number> = {};
    for (const [column, counts] of Object.entries(columns)) {
      figures[column] = await measureOne(make, counts);
    }
    if (name === "longrun EventBus") {
      figures["subscription, ns"] = await measureTaking();
    }
    return figures;
  },
}));

const results = await alternate(cases, ROUNDS);
const base = results.get(BARE)?.median ?? {};
for (const [name, { median }] of results) {
  const values: Record<string, number | string> = {};
  for (const [column, time] of Object.entries(median)) {
    values[column] = Math.round(time);
    const bareTime = base[column];
    if (bareTime === undefined || name === BARE) continue;
    values[column.replace(", ns", ", ratio")] = Number(
      (time / bareTime).toFixed(1),
    );
  }
  report(TABLE, name, values);
}
exit();
