// Copyright 2026 the Longrun authors. MIT license.

/**
 * What calls and events of real Tango devices cost, beside PyTango: both ask
 * the same servers in turn. Needs python3-tango and tango-test.
 *
 * @module
 */

import { DeviceProxy } from "@longrun/tango";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { missingTango, TangoServer } from "../tango/tests/_tango_server.ts";
import { ZmtpPublisher } from "../tango/tests/_zmtp_publisher.ts";
import { CdrWriter } from "../tango/_cdr_writer.ts";
import { EventFeed } from "../tango/_event_feed.ts";
import { EventQueue } from "../tango/_event_queue.ts";
import { ZmtpSubscriber } from "../tango/_zmtp_subscriber.ts";
import { alternate, type Case, exit, report, settle } from "./_harness.ts";

const CALLS = 5000;
const EVENTS = 50_000;
/** Servers keep a thousand events for a client, and drop what is more. */
const BURST = 500;
/** Milliseconds between bursts: fifty thousand events a second. */
const PERIOD = 10;
const ROUNDS = 7;

interface Answer {
  seconds: number;
  received: number;
}

/** PyTango in a process of its own. */
class Peer {
  readonly #child;
  readonly #lines: AsyncIterator<string>;

  constructor(...addresses: string[]) {
    const program = fileURLToPath(new URL("tango_peer.py", import.meta.url));
    this.#child = spawn("/usr/bin/python3", [program, ...addresses], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#lines = createInterface({ input: this.#child.stdout })
      [Symbol.asyncIterator]();
  }

  async ask(what: string, count: number, period = 0): Promise<Answer> {
    const request = { do: what, count, period };
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value } = await this.#lines.next();
    return JSON.parse(value);
  }

  end(): void {
    this.#child.stdin.end();
  }
}

async function repeat(call: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  for (let index = 0; index < CALLS; index++) await call();
  return (performance.now() - began) / CALLS * 1000;
}

async function calls(device: DeviceProxy, peer: Peer): Promise<void> {
  const micros = async (what: string) =>
    (await peer.ask(what, CALLS)).seconds / CALLS * 1e6;
  const cases: Case[] = [
    {
      name: "longrun DeviceProxy",
      measure: async () => ({
        ping: await repeat(() => device.ping()),
        command: await repeat(() => device.command("DevLong", 5)),
        read: await repeat(() => device.readAttribute("long_scalar")),
        atOnce: await atOnce(device),
      }),
    },
    {
      name: "PyTango",
      measure: async () => ({
        ping: await micros("ping"),
        command: await micros("command"),
        read: await micros("read"),
      }),
    },
  ];
  for (const [name, { median, min }] of await alternate(cases, ROUNDS, 1)) {
    report("tango calls", name, {
      ...median,
      ...Object.fromEntries(
        Object.entries(min).map(([column, value]) => [`${column} min`, value]),
      ),
    });
  }
}

/** A hundred commands at a time, on one connection. */
async function atOnce(device: DeviceProxy): Promise<number> {
  const began = performance.now();
  for (let index = 0; index < CALLS; index += 100) {
    await Promise.all(
      Array.from({ length: 100 }, () => device.command("DevLong", 5)),
    );
  }
  return (performance.now() - began) / CALLS * 1000;
}

/**
 * Changes of an attribute: bursts as fast as a server in Python pushes them, or
 * with a period.
 */
async function pushed(device: DeviceProxy, period: number): Promise<Answer> {
  const first = Number(
    await device.readAttribute("Pushed").then((r) => r.value),
  );
  const subscription = await device.subscribe("Pushed");
  const times: number[] = [];
  const counting = (async () => {
    for await (const event of subscription) {
      if (!("value" in event) || Number(event.value) === first) continue;
      times.push(performance.now());
      if (Number(event.value) === first + EVENTS) return;
    }
  })();
  const began = performance.now();
  for (let index = 0; index < EVENTS; index += BURST) {
    const late = performance.now() - began - index / BURST * period;
    if (late < 0) await settle(-late);
    await device.command("PushChange", BURST);
  }
  const patience = new Promise((resolve) => setTimeout(resolve, 5000));
  await Promise.race([counting, patience]);
  await subscription.return();
  const [start = NaN] = times;
  return {
    seconds: ((times.at(-1) ?? NaN) - start) / 1000,
    received: times.length,
  };
}

async function events(device: DeviceProxy, peer: Peer): Promise<void> {
  const figures = (fast: Answer, paced: Answer) => ({
    rate: fast.received / fast.seconds,
    lost: EVENTS - fast.received,
    pacedRate: paced.received / paced.seconds,
    pacedLost: EVENTS - paced.received,
  });
  const cases: Case[] = [
    {
      name: "longrun DeviceProxy",
      measure: async () =>
        figures(await pushed(device, 0), await pushed(device, PERIOD)),
    },
    {
      name: "PyTango",
      measure: async () =>
        figures(
          await peer.ask("events", EVENTS),
          await peer.ask("events", EVENTS, PERIOD),
        ),
    },
  ];
  for (const [name, { median }] of await alternate(cases, 3, 1)) {
    report("tango events", name, median);
  }
}

/** A message of a change of an attribute, as servers send it. */
function changeMessage(topic: string, value: number): Uint8Array[] {
  const call = new CdrWriter().long(1).unsignedLong(value).string("")
    .octets(new Uint8Array(0)).boolean(false);
  const data = new CdrWriter().raw(new Uint8Array([0xc0, 0xde, 0xc0, 0xde]))
    .unsignedLong(2).unsignedLong(1).long(value)
    .unsignedLong(0).unsignedLong(0).long(3)
    .long(value).long(0).long(0)
    .string("Pushed").long(1).long(0).long(0).long(0).unsignedLong(0);
  return [
    new TextEncoder().encode(topic),
    new Uint8Array([1]),
    call.bytes,
    data.bytes,
  ];
}

/** Events of a server that is as fast as can be, in this process, too. */
async function received(): Promise<void> {
  const count = 200_000;
  const topic = "tango://here/test/types/1/pushed.idl5_change";
  const publisher = await ZmtpPublisher.listen();
  const feed = new EventFeed({
    device: "test/types/1",
    attribute: "Pushed",
    type: "change",
  });
  const queue = new EventQueue("Pushed", {
    capacity: 10_000,
    onClose: () => {},
  });
  feed.listeners.add({
    queue,
    read: () => Promise.resolve(undefined),
    int64: "bigint",
  });
  const subscriber = new ZmtpSubscriber({
    onMessage: (frames) => feed.take(frames),
  });
  subscriber.subscribe(topic);
  await subscriber.connect("127.0.0.1", publisher.port);
  await publisher.logged(`+${topic}`);
  const messages = Array.from(
    { length: count },
    (_, index) => changeMessage(topic, index + 1),
  );
  let seen = 0;
  const began = performance.now();
  const counting = (async () => {
    for await (const _ of queue) if (++seen === count) return;
  })();
  for (let index = 0; index < count; index += 1000) {
    for (const frames of messages.slice(index, index + 1000)) {
      publisher.publish(...frames);
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await counting;
  const seconds = (performance.now() - began) / 1000;
  report("tango events", "longrun, of a sender in this process", {
    rate: count / seconds,
    lost: count - seen,
  });
  await subscriber.close();
  await publisher[Symbol.asyncDispose]();
}

if (missingTango !== undefined) {
  console.error(`Left out: ${missingTango}.`);
  exit();
}

const requests = await TangoServer.start("TangoTest");
const pushing = await TangoServer.start("types");
const peer = new Peer(requests.url, pushing.url);
const asked = await DeviceProxy.connect(requests.url);
const told = await DeviceProxy.connect(pushing.url);
await calls(asked, peer);
await events(told, peer);
await received();
peer.end();
await Promise.all([asked.close(), told.close()]);
await Promise.all([requests.stop(), pushing.stop()]);
exit();
