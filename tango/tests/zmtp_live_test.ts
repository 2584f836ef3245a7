// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { createServer } from "node:net";
import { sleep } from "@longrun/tasks/cancellation";
import { ZmtpError } from "../_zmtp_codec.ts";
import { ZmtpSubscriber } from "../_zmtp_subscriber.ts";
import { Awaited } from "./_awaited.ts";
import { type Own, owningTest } from "./_owning.ts";
import { hasPython, PythonProgram } from "./_python.ts";
import { textOf } from "./_zmtp_publisher.ts";

const HOST = "127.0.0.1";

function testIf(
  isPossible: boolean,
  without: string,
  name: string,
  body: (own: Own) => Promise<void>,
): void {
  if (isPossible) owningTest(name, body);
  else test.skip(`${name} (skipped: there is no ${without})`, () => {});
}

const hasZmq = hasPython("zmq");
const hasTango = hasPython("tango");

const zmqTest = (name: string, body: (own: Own) => Promise<void>): void =>
  testIf(hasZmq, "python3-zmq", name, body);

/** Messages as they come. */
class Inbox {
  readonly messages: Uint8Array[][] = [];
  readonly #changes: Awaited = new Awaited();

  readonly onMessage = (frames: Uint8Array[]): void => {
    this.messages.push(frames);
    this.#changes.notify();
  };

  async received(count: number): Promise<void> {
    await this.#changes.until(
      () => this.messages.length >= count,
      () => `${count} messages, of which ${this.messages.length} came`,
    );
  }
}

async function zmqPublisher(
  own: Own,
  ...args: string[]
): Promise<{ program: PythonProgram; port: number }> {
  const program = own(new PythonProgram("./_zmq_publisher.py", ...args));
  const line = await program.printed(/^port /);
  return { program, port: Number(line.slice(5)) };
}

zmqTest("ZmtpSubscriber gets an answer of ZeroMQ", async (own) => {
  const { port } = await zmqPublisher(own, "PUB");
  const subscriber = own(new ZmtpSubscriber(new Inbox()));
  await subscriber.connect(HOST, port);
  for (let times = 0; times < 3; times++) {
    assert(await subscriber.ping({ timeout: 20_000 }));
  }
});

zmqTest(
  "ZmtpSubscriber receives from ZeroMQ in order, in any size",
  async (own) => {
    const { program, port } = await zmqPublisher(own, "XPUB");
    const inbox = new Inbox();
    const subscriber = own(new ZmtpSubscriber(inbox));
    subscriber.subscribe("a");
    await subscriber.connect(HOST, port);
    await program.printed(/^\+a$/);
    program.tell("20000 a 1 29 80");
    program.tell("10 other 5");
    program.tell("3 all 0 255 256 70000 5000000");
    await inbox.received(20_003);
    inbox.messages.forEach((frames, index) => {
      const [topic, number, ...contents] = frames;
      const isSmall = index < 20_000;
      const sizes = isSmall ? [1, 29, 80] : [0, 255, 256, 70_000, 5_000_000];
      assert(topic !== undefined && number !== undefined);
      assertEquals(textOf(topic), isSmall ? "a" : "all");
      const view = new DataView(number.buffer, number.byteOffset);
      assertEquals(view.getUint32(0), isSmall ? index : index - 20_000);
      assertEquals(contents.map(({ length }) => length), sizes);
      assert(
        contents.every((content) =>
          content.every((byte) => byte === content.length % 251)
        ),
      );
    });
  },
);

zmqTest("ZmtpSubscriber subscribes and unsubscribes at ZeroMQ", async (own) => {
  const { program, port } = await zmqPublisher(own, "XPUB");
  const inbox = new Inbox();
  const subscriber = own(new ZmtpSubscriber(inbox));
  await subscriber.connect(HOST, port);
  const long = "tango://".padEnd(400, "x");
  for (const topic of ["a", "b", long]) subscriber.subscribe(topic);
  await program.printed(/^\+tango:/);
  program.tell(`1 ${long}`);
  await inbox.received(1);
  subscriber.unsubscribe("a");
  subscriber.unsubscribe(long);
  await program.printed(/^-tango:/);
  assertEquals(program.lines.slice(1), [
    "+a",
    "+b",
    `+${long}`,
    "-a",
    `-${long}`,
  ]);
  program.tell("1 a");
  program.tell(`1 ${long}`);
  program.tell("1 b");
  await inbox.received(2);
  assertEquals(inbox.messages.map(([topic]) => topic && textOf(topic)), [
    long,
    "b",
  ]);
  await subscriber.close();
  await program.printed(/^-b$/);
});

zmqTest("ZmtpSubscriber answers the heartbeats of ZeroMQ", async (own) => {
  const { program, port } = await zmqPublisher(own, "PUB", "heartbeat");
  const inbox = new Inbox();
  const subscriber = own(new ZmtpSubscriber(inbox));
  subscriber.subscribe("");
  await subscriber.connect(HOST, port);
  // Three times as long as the publisher waits for an answer.
  await sleep(600);
  program.tell("1 a");
  await inbox.received(1);
  assert(subscriber.isReady);
});

zmqTest("ZmtpSubscriber refuses a ZeroMQ publisher with CURVE", async (own) => {
  const { port } = await zmqPublisher(own, "PUB", "curve");
  const subscriber = own(new ZmtpSubscriber(new Inbox()));
  await assertRejects(
    () => subscriber.connect(HOST, port),
    ZmtpError,
    `Cannot connect to ${HOST}:${port}: `,
  );
});

zmqTest(
  "ZmtpSubscriber notices the death of a ZeroMQ publisher",
  async (own) => {
    const { program, port } = await zmqPublisher(own, "PUB");
    const subscriber = own(new ZmtpSubscriber(new Inbox()));
    await subscriber.connect(HOST, port);
    await program[Symbol.asyncDispose]();
    assertInstanceOf(await subscriber.closed, ZmtpError);
    assertFalse(subscriber.isReady);
  },
);

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  assert(typeof address === "object" && address !== null);
  return address.port;
}

testIf(
  hasTango,
  "python3-tango",
  "ZmtpSubscriber receives the events of a Tango server",
  async (own) => {
    const port = await freePort();
    own(
      new PythonProgram(
        "./_event_device.py",
        ..."test -nodb -dlist test/event/1 -ORBendPoint".split(" "),
        `giop:tcp:${HOST}:${port}`,
      ),
    );
    const ports = own(new PythonProgram("./_event_ports.py", `${port}`));
    const [heartbeats, events, topic, heartbeatTopic]: string[] = JSON.parse(
      await ports.printed(/^\[/),
    );
    const connect = async (
      subscriber: ZmtpSubscriber,
      endpoint = "",
    ): Promise<void> => {
      const { hostname, port } = new URL(endpoint.replace("tcp:", "http:"));
      await subscriber.connect(hostname, Number(port));
    };
    const inbox = new Inbox();
    const subscriber = own(new ZmtpSubscriber(inbox));
    subscriber.subscribe(`${topic}`);
    await connect(subscriber, events);
    const watcher = own(new ZmtpSubscriber(new Inbox()));
    watcher.subscribe(`${heartbeatTopic}`);
    await connect(watcher, heartbeats);
    await inbox.received(10);
    for (const frames of inbox.messages) {
      assertEquals(frames.length, 4);
      assertEquals(textOf(frames[0] ?? new Uint8Array(0)), topic);
      assertEquals(frames[1]?.length, 1);
      assertEquals(
        Array.from(frames[3]?.subarray(0, 4) ?? []),
        [0xc0, 0xde, 0xc0, 0xde],
      );
    }
  },
);
