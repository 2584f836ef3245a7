// Copyright 2026 the Longrun authors. MIT license.

/** A thread with a bus of its own, which answers requests. */

import process from "node:process";
import {
  bridge,
  type BusEmitterPort,
  type BusPort,
  type BusReply,
  EventBus,
} from "../event_bus.ts";

/** What this thread and the first one tell each other. */
export interface WorkerTopics {
  "worker.ready": boolean;
  "worker.echo": unknown;
  "worker.added": BusReply<number | (() => void)>;
  "main.said": unknown;
  "main.add": readonly [number, number];
  "main.leave": null;
}

const { parentPort } = process.getBuiltinModule("node:worker_threads");
const port = parentPort as unknown as BusEmitterPort | null;
const bus = new EventBus<WorkerTopics>({
  name: "worker",
  logger: { debug() {}, info() {}, warn() {}, error() {} },
});
const way = bridge(bus, port ?? globalThis as unknown as BusPort);

bus.onEvent("main.said", ({ data }) => {
  bus.publish("worker.echo", data);
});
bus.respond("main.add", "worker.added", ([one, other]) => {
  if (Number.isNaN(one)) throw new RangeError("No number");
  return other === Infinity ? () => {} : one + other;
});
bus.onEvent("main.leave", () => {
  bus.publish("worker.ready", false);
  way.close();
});
bus.publish("worker.ready", true);
