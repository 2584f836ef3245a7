// Copyright 2026 the Longrun authors. MIT license.

/**
 * Writes the fixtures: what PyTango and real servers say to each other, and
 * what PyTango made of it. Run it where Tango is installed:
 *
 *     deno run -A --node-modules-dir=none \
 *       --import-map compat/import_map.json tango/tests/capture.ts
 *
 * @module
 */

import { DeviceError } from "@longrun/tasks/device-proxy";
import { Buffer } from "node:buffer";
import { writeFile } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { beside, freePort, pause } from "./_child.ts";
import {
  Oracle,
  type OracleEvents,
  type OracleEventType,
  toOracle,
} from "./_oracle.ts";
import { startDatabase, TangoServer } from "./_tango_process.ts";
import { join, WireProxy } from "./_wire_proxy.ts";

/** A request and its reply, as fixtures have them. */
interface Exchange {
  /** The object that was asked. */
  key: string;
  operation: string;
  /** Base64: one message of GIOP and the fragments that follow it. */
  request: string;
  reply: string;
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

/** Takes a stream of GIOP apart. */
function messagesOf(bytes: Uint8Array): Buffer[] {
  const messages: Buffer[] = [];
  const buffer = Buffer.from(bytes);
  let start = 0;
  while (start + 12 <= buffer.length) {
    const isLittle = ((buffer[start + 6] ?? 0) & 1) === 1;
    const size = isLittle
      ? buffer.readUInt32LE(start + 8)
      : buffer.readUInt32BE(start + 8);
    messages.push(buffer.subarray(start, start + 12 + size));
    start += 12 + size;
  }
  return messages;
}

const REQUEST = 0;
const REPLY = 1;
const FRAGMENT = 7;

/** The messages of a type by the ids of their requests, with fragments. */
function byRequest(bytes: Uint8Array, type: number): Map<number, Buffer[]> {
  const found = new Map<number, Buffer[]>();
  for (const message of messagesOf(bytes)) {
    const id = message.length < 16 ? -1 : message.readUInt32LE(12);
    if (message[7] === type) found.set(id, [message]);
    else if (message[7] === FRAGMENT) found.get(id)?.push(message);
  }
  return found;
}

function exchangesOf(proxy: WireProxy): Exchange[] {
  const exchanges: Exchange[] = [];
  const connections = new Set(proxy.chunks.map((chunk) => chunk.connection));
  for (const connection of connections) {
    const requests = byRequest(proxy.bytes("up", connection), REQUEST);
    const replies = byRequest(proxy.bytes("down", connection), REPLY);
    for (const [id, request] of requests) {
      const reply = replies.get(id);
      const [head] = request;
      if (reply === undefined || head === undefined) continue;
      const keyLength = head.readUInt32LE(24);
      const key = head.toString("latin1", 28, 28 + keyLength);
      const start = Math.ceil((28 + keyLength) / 4) * 4;
      const length = head.readUInt32LE(start);
      exchanges.push({
        key,
        operation: head.toString("latin1", start + 4, start + 3 + length),
        request: toBase64(join(request)),
        reply: toBase64(join(reply)),
      });
    }
  }
  return exchanges;
}

/** Takes down what goes over the wire while the oracle does something. */
class Capture {
  readonly #proxy: WireProxy;
  readonly cases: unknown[] = [];

  constructor(proxy: WireProxy) {
    this.#proxy = proxy;
  }

  /**
   * Takes down one case.
   *
   * @param operations Those that belong to it, others are left out.
   */
  async take(
    description: string,
    operations: RegExp,
    action: () => Promise<unknown>,
  ): Promise<void> {
    await pause(5);
    this.#proxy.clear();
    let outcome: Record<string, unknown>;
    try {
      outcome = { expected: toOracle(await action()) };
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      outcome = { errors: error.errors };
    }
    await pause(5);
    const exchanges = exchangesOf(this.#proxy).filter(({ operation }) =>
      operations.test(operation)
    );
    if (exchanges.length === 0) {
      const all = exchangesOf(this.#proxy).map(({ operation }) => operation);
      throw new Error(`${description}: nothing but ${all.join()}`);
    }
    this.cases.push({ description, ...outcome, exchanges });
  }

  async write(file: string, about: string): Promise<void> {
    await writeFixture(file, { about, cases: this.cases.splice(0) });
  }
}

async function writeFixture(file: string, content: unknown): Promise<void> {
  const text = JSON.stringify(content, undefined, 1);
  await writeFile(beside(`fixtures/${file}.json`), `${text}\n`);
  console.log(`${file}: ${text.length} bytes`);
}

const LONGS = [-(2 ** 31), 0, 2 ** 31 - 1];
const LONG64S = [-(2n ** 63n), 2n ** 53n + 1n, 2n ** 63n - 1n];
const ULONG64S = [0n, 2n ** 53n + 1n, 2n ** 64n - 1n];
const DOUBLES = [-0, 0.1, NaN, Infinity, 5e-324];
const STRINGS = ["", "one", "d\u00e9j\u00e0 vu"];

/** What is echoed. */
const ARGUMENTS: [type: string, ...values: unknown[]][] = [
  ["DevVoid", undefined],
  ["DevBoolean", true, false],
  ["DevShort", -32768],
  ["DevLong", -(2 ** 31)],
  ["DevFloat", -1.5, Infinity],
  ["DevDouble", 0.1, NaN, -0],
  ["DevUShort", 65535],
  ["DevULong", 2 ** 32 - 1],
  ["DevString", "", "a text", "d\u00e9j\u00e0 vu"],
  ["DevVarCharArray", [0, 127, 255], []],
  ["DevVarShortArray", [-32768, 32767]],
  ["DevVarLongArray", LONGS, []],
  ["DevVarFloatArray", [-1.5, 0.5]],
  ["DevVarDoubleArray", DOUBLES],
  ["DevVarUShortArray", [0, 65535]],
  ["DevVarULongArray", [0, 2 ** 32 - 1]],
  ["DevVarStringArray", STRINGS, []],
  ["DevVarLongStringArray", [LONGS, STRINGS], [[], []]],
  ["DevVarDoubleStringArray", [[0.1, -2.5], STRINGS], [[], []]],
  ["DevState", "FAULT"],
  ["DevVarBooleanArray", [true, false, true]],
  ["DevUChar", 255],
  ["DevLong64", -(2n ** 63n)],
  ["DevULong64", 2n ** 64n - 1n],
  ["DevVarLong64Array", LONG64S],
  ["DevVarULong64Array", ULONG64S],
  ["DevEncoded", ["raw", new Uint8Array([0, 1, 255])]],
  ["DevVarStateArray", ["ON", "UNKNOWN"]],
];

/** What is written, to the attributes of these types. */
const WRITTEN: [type: string, values: unknown[]][] = [
  ["DevBoolean", [false, true, true]],
  ["DevUChar", [255, 0, 1]],
  ["DevShort", [-32768, 1, 32767]],
  ["DevUShort", [65535, 0, 1]],
  ["DevLong", LONGS],
  ["DevULong", [2 ** 32 - 1, 0, 1]],
  ["DevLong64", LONG64S],
  ["DevULong64", ULONG64S],
  ["DevFloat", [-1.5, 0.5, 0]],
  ["DevDouble", [-0, 0.1, 5e-324]],
  ["DevString", STRINGS],
  ["DevEnum", [1, 0, 2]],
];

async function captureBasics(
  capture: Capture,
  oracle: Oracle,
  device: string,
): Promise<void> {
  const ask = (what: string, operations: RegExp) =>
    capture.take(what, operations, () => oracle.ask(what, { device }));
  // The first of all connects.
  await capture.take(
    "connecting",
    /./,
    () => oracle.ask("state", { device }),
  );
  await ask("ping", /^ping$/);
  await ask("state", /state/);
  await ask("status", /status/);
  await ask("info", /^info/);
  await ask("admin", /adm_name/);
  await ask("commands", /^command_list_query/);
  await capture.take(
    "config",
    /^get_attribute_config/,
    () =>
      oracle.ask("config", {
        device,
        names: [
          "Limited",
          "DevEnumScalar",
          "DevStringImage",
          "Polled",
          "State",
        ],
      }),
  );
  await capture.write("basics", "What every device is asked.");
}

async function captureCommands(
  capture: Capture,
  oracle: Oracle,
  device: string,
): Promise<void> {
  for (const [type, ...values] of ARGUMENTS) {
    for (const value of values) {
      await capture.take(
        `Echo${type}`,
        /^command_inout/,
        () => oracle.command(device, `Echo${type}`, value),
      );
    }
  }
  const strings = Array.from({ length: 700 }, (_, index) => `text ${index}`);
  await capture.take(
    "EchoDevVarStringArray, long",
    /^command_inout/,
    () => oracle.command(device, "EchoDevVarStringArray", strings),
  );
  await capture.write(
    "commands",
    "Each command answers what it is given; argument and answer are 'expected'.",
  );
}

async function captureReads(
  capture: Capture,
  oracle: Oracle,
  device: string,
): Promise<void> {
  const names = await oracle.ask("attributes", { device }) as string[];
  const read = (description: string, ...names: string[]) =>
    capture.take(
      description,
      /^read_attributes/,
      () => oracle.read(device, ...names),
    );
  for (const name of names) {
    // Too big, or with the path of a file in the error.
    if (!/^(Huge|Many|Failing$)/.test(name)) await read(name, name);
  }
  await read("several", "State", "FailingTwice", "DevLongScalar", "NoSuch");
  await capture.write("reads", "Attributes are read.");
}

async function captureWrites(
  capture: Capture,
  oracle: Oracle,
  device: string,
): Promise<void> {
  const write = (name: string, value: unknown) =>
    capture.take(`${name}: written`, /^write_/, async () => {
      await oracle.write(device, name, value);
      return value;
    });
  for (const [type, values] of WRITTEN) {
    await write(`${type}Scalar`, values[0]);
    await write(`${type}Spectrum`, values);
    await write(`${type}Image`, [values, values.toReversed()]);
  }
  await write("DevLongSpectrum", []);
  await write("DevEncodedScalar", ["gray", new Uint8Array([9, 8, 7])]);
  await write("Limited", 11);
  await write("Nan", 1);
  await capture.write("writes", "Attributes are written: 'expected' is what.");
}

/** A device that the database knows, and the server not any more. */
const GONE = "test/gone/1";

async function captureErrors(
  capture: Capture,
  oracle: Oracle,
  device: string,
): Promise<void> {
  await capture.take(
    "Fail",
    /^command_inout/,
    () =>
      oracle.command(device, "Fail", [
        "Test_Inner",
        "Test_Middle",
        "Test_Outer",
      ]),
  );
  await capture.take(
    "an unknown command",
    /^command_/,
    () => oracle.ask("command_blindly", { device, name: "NoSuch" }),
  );
  await capture.take(
    "an object that is not there",
    /./,
    () => oracle.ask("ping", { device: GONE }),
  );
  await capture.write(
    "errors",
    "Failures; what PyTango adds to the reasons comes last.",
  );
}

/** A subscriber of ZMTP that knows no more than how to begin. */
class Subscriber {
  readonly #socket: Socket;
  readonly #chunks: Uint8Array[] = [];

  constructor(endpoint: string, topics: readonly string[]) {
    const { hostname, port } = new URL(endpoint.replace("tcp:", "http:"));
    this.#socket = createConnection({ host: hostname, port: Number(port) });
    this.#socket.setNoDelay(true);
    let isReady = false;
    this.#socket.on("data", (data: Uint8Array) => {
      this.#chunks.push(new Uint8Array(data));
      // A server takes no subscription before it has sent its READY.
      if (isReady || !Buffer.from(this.bytes).includes("READY")) return;
      isReady = true;
      for (const topic of topics) this.#subscribe(topic);
    });
    const greeting = Buffer.alloc(64);
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting.write("NULL", 12);
    const ready = Buffer.from("\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB");
    this.#socket.write(Buffer.concat([greeting, ready]));
  }

  get bytes(): Uint8Array {
    return join(this.#chunks);
  }

  close(): void {
    this.#socket.destroy();
  }

  #subscribe(topic: string): void {
    const body = Buffer.from(`\x01${topic}`);
    this.#socket.write(Buffer.concat([Buffer.from([0, body.length]), body]));
  }
}

/** What is subscribed to: the event, the attribute, and how to cause events. */
const EVENTS: {
  type: OracleEventType;
  name: string;
  cause?: [command: string, argument: unknown][];
}[] = [
  {
    type: "change",
    name: "Pushed",
    cause: [["PushChange", 3], ["PushError", ["Pushed", "Test_Event", "Oh"]]],
  },
  { type: "archive", name: "Pushed", cause: [["PushArchive", 2]] },
  { type: "user_event", name: "Pushed", cause: [["PushUser", 2]] },
  { type: "data_ready", name: "Pushed", cause: [["PushDataReady", 42]] },
  ...[
    "DevStringSpectrum",
    "DevDoubleImage",
    "DevEnumScalar",
    "DevStateScalar",
    "DevULong64Scalar",
    "DevBooleanSpectrum",
    "DevEncodedScalar",
    "DevLongEmpty",
  ].map((name) => ({
    type: "change" as const,
    name,
    cause: [["PushValue", name]] as [string, unknown][],
  })),
  { type: "change", name: "Invalid", cause: [["PushInvalid", undefined]] },
  { type: "periodic", name: "Polled" },
];

interface Subscription {
  description: string;
  cause: [command: string, argument: unknown][];
  endpoint: string;
  heartbeatEndpoint: string;
  topic: string;
  heartbeatTopic: string;
  events: OracleEvents;
  subscriber: Subscriber;
}

/** Asks the administrative device for events. */
async function subscribe(
  oracle: Oracle,
  admin: string,
  name: string,
  type: OracleEventType,
  attribute: string,
): Promise<string[]> {
  const answer = await oracle.command(admin, "ZmqEventSubscriptionChange", [
    name,
    attribute,
    "subscribe",
    type,
    "5",
  ]) as [number[], string[]];
  return answer[1];
}

async function captureSubscribing(
  capture: Capture,
  oracle: Oracle,
  server: TangoServer,
): Promise<void> {
  const [name = ""] = server.devices;
  for (
    const [type, attribute] of [
      ["change", "Pushed"],
      ["periodic", "Polled"],
      ["user_event", "DevStringSpectrum"],
      ["data_ready", "Pushed"],
      ["intr_change", "dev_intr_change"],
      ["change", "NoSuch"],
      ["change", "Limited"],
    ] as const
  ) {
    await capture.take(
      `${type} of ${attribute}`,
      /^command_inout/,
      () => subscribe(oracle, server.admin, name, type, attribute),
    );
  }
  await capture.write("subscribing", "The administrative device is asked.");
}

async function captureEvents(): Promise<void> {
  await using server = await TangoServer.start("types");
  await using oracle = new Oracle();
  const [name = ""] = server.devices;
  const device = server.url;
  const admin = server.urlOf(server.admin);
  const begin = async (
    type: OracleEventType,
    attribute: string,
    cause: Subscription["cause"] = [],
  ): Promise<Subscription> => {
    const events = type === "intr_change"
      ? await oracle.subscribe(device, type)
      : await oracle.subscribe(device, type, attribute);
    const [heartbeatEndpoint = "", endpoint = "", topic, heartbeatTopic] =
      await subscribe(oracle, admin, name, type, attribute);
    if (topic === undefined || heartbeatTopic === undefined) {
      throw new Error(`There is no topic for ${type} of ${attribute}`);
    }
    const subscriber = new Subscriber(endpoint, [topic]);
    return {
      description: `${type} of ${attribute}`,
      cause,
      endpoint,
      heartbeatEndpoint,
      topic,
      heartbeatTopic,
      events,
      subscriber,
    };
  };

  const streams: unknown[] = [];
  const listen = async (subscription: Subscription, ms: number) => {
    const { description, cause, topic, events, subscriber } = subscription;
    // A subscription takes a moment to arrive, and is answered by nothing.
    await pause(300);
    const before = events.events.length;
    for (const [command, argument] of cause) {
      await oracle.command(device, command, argument);
    }
    await pause(ms);
    streams.push({
      description,
      topic,
      expected: toOracle(events.events.slice(before)),
      bytes: toBase64(subscriber.bytes),
    });
    subscriber.close();
    await events.end();
  };
  const subscriptions: Subscription[] = [];
  for (const { type, name, cause } of EVENTS) {
    const subscription = await begin(type, name, cause);
    subscriptions.push(subscription);
    await listen(subscription, 600);
  }
  const interfaceChanges = await begin("intr_change", "dev_intr_change", [
    ["AddAttribute", "Added"],
  ]);
  await listen(interfaceChanges, 1500);

  const [first] = subscriptions;
  if (first === undefined) throw new Error("There is no subscription");
  const heartbeat = new Subscriber(
    first.heartbeatEndpoint,
    [first.heartbeatTopic],
  );
  await pause(19_000);
  streams.push({
    description: "heartbeats",
    topic: first.heartbeatTopic,
    expected: [],
    bytes: toBase64(heartbeat.bytes),
  });
  heartbeat.close();
  await writeFixture("events", {
    about: "What a server sends by ZMTP, from the greeting on; 'expected' is " +
      "what PyTango heard, each first event may have come twice.",
    streams,
  });
}

// PyTango speaks GIOP 1.2 to servers it finds by way of a database, and 1.0 to
// those it is told the port of.
await using database = await startDatabase();
const port = await freePort();
await using proxy = await WireProxy.start(port);
{
  await using _gone = await TangoServer.start("types", {
    port,
    database,
    publishedPort: proxy.port,
    instance: "gone",
    devices: [GONE],
  });
}
await using server = await TangoServer.start("types", {
  port,
  database,
  publishedPort: proxy.port,
});
const capture = new Capture(proxy);
{
  await using oracle = new Oracle({ TANGO_HOST: database.host });
  const device = server.url;
  await captureBasics(capture, oracle, device);
  await captureCommands(capture, oracle, device);
  await captureReads(capture, oracle, device);
  await captureWrites(capture, oracle, device);
  await captureErrors(capture, oracle, device);
  await captureSubscribing(capture, oracle, server);
}
await captureEvents();
