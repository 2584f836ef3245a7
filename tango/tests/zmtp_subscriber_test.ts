// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { systemClock } from "@longrun/tasks/clock";
import { ManualClock } from "@longrun/tasks/testing";
import { CountingClock } from "../../tests/_counting_clock.ts";
import { CountingController } from "../../tests/_listeners.ts";
import {
  concatenate,
  encodeCommand,
  encodeGreeting,
  encodeMessage,
  encodeReady,
  ZmtpError,
} from "../_zmtp_codec.ts";
import {
  ZmtpSubscriber,
  type ZmtpSubscriberOptions,
} from "../_zmtp_subscriber.ts";
import { Awaited } from "./_awaited.ts";
import { type Own, owning, owningTest } from "./_owning.ts";
import {
  bytesOf,
  textOf,
  ZmtpPublisher,
  type ZmtpPublisherOptions,
} from "./_zmtp_publisher.ts";
import { runModule } from "./_run_module.ts";

const HOST = "127.0.0.1";

/** A subscriber that writes down what comes. */
class Reader extends ZmtpSubscriber {
  readonly messages: string[];
  readonly #changes: Awaited;

  constructor(
    onMessage: (message: string) => void = () => {},
    options: Partial<ZmtpSubscriberOptions> = {},
  ) {
    const messages: string[] = [];
    const changes = new Awaited();
    super({
      onMessage: (frames) => {
        const message = frames.map(textOf).join("|");
        messages.push(message);
        changes.notify();
        onMessage(message);
      },
      ...options,
    });
    this.messages = messages;
    this.#changes = changes;
  }

  async received(count: number): Promise<void> {
    await this.#changes.until(
      () => this.messages.length >= count,
      () => `${count} messages in ${JSON.stringify(this.messages)}`,
    );
  }
}

/** A publisher and a subscriber that is connected to it. */
async function connected(
  own: Own,
  ...topics: string[]
): Promise<{ publisher: ZmtpPublisher; reader: Reader }> {
  const publisher = own(await ZmtpPublisher.listen());
  const reader = own(new Reader());
  for (const topic of topics) reader.subscribe(topic);
  await reader.connect(HOST, publisher.port);
  for (const topic of topics) await publisher.logged(`+${topic}`);
  return { publisher, reader };
}

/**
 * Connects to a publisher that does something wrong, disturbs it when its log
 * has a line, and gives the error that the subscriber ends with.
 */
function failureWith(
  options: ZmtpPublisherOptions,
  line = "connect",
  disturb: (publisher: ZmtpPublisher) => void = () => {},
): Promise<ZmtpError> {
  return owning(async (own) => {
    const publisher = own(await ZmtpPublisher.listen(options));
    const clock = new CountingClock(systemClock);
    const controller = new CountingController();
    const reader = own(new Reader());
    const { signal } = controller;
    const connection = reader.connect(HOST, publisher.port, { clock, signal });
    const failure = assertRejects(() => connection, ZmtpError);
    await publisher.logged(line);
    disturb(publisher);
    const error = await failure;
    assertStringIncludes(
      error.message,
      `Cannot connect to 127.0.0.1:${publisher.port}: `,
    );
    assertStrictEquals(await reader.closed, error);
    assert(reader.isClosed);
    assertEquals([clock.timers, controller.listeners], [0, 0]);
    await reader.close();
    await publisher.logged("close");
    return error;
  });
}

const nothing = new Uint8Array(0);

owningTest(
  "ZmtpSubscriber sends the topics told before, and gives messages in order",
  async (own) => {
    const publisher = own(await ZmtpPublisher.listen());
    const reader = own(new Reader());
    reader.subscribe("a");
    reader.subscribe("b");
    assertFalse(reader.isReady);
    await reader.connect(HOST, publisher.port);
    assert(reader.isReady);
    await publisher.logged("+b");
    assertEquals(publisher.log, ["connect", "READY SUB", "+a", "+b"]);
    const expected: string[] = [];
    for (let index = 0; index < 1000; index++) {
      publisher.publish(`${"abc"[index % 3]}/${index}`, "", "x".repeat(index));
      if (index % 3 < 2) {
        expected.push(`${"abc"[index % 3]}/${index}||${"x".repeat(index)}`);
      }
    }
    await reader.received(expected.length);
    assertEquals(reader.messages, expected);
  },
);

owningTest(
  "ZmtpSubscriber counts topics and sends the first and the last call",
  async (own) => {
    const { publisher, reader } = await connected(own, "before", "before");
    reader.subscribe("a");
    reader.subscribe("a");
    reader.unsubscribe("a");
    reader.unsubscribe("never");
    reader.unsubscribe("before");
    reader.subscribe("b");
    reader.unsubscribe("a");
    reader.unsubscribe("a");
    reader.unsubscribe("before");
    reader.subscribe("end");
    await publisher.logged("+end");
    assertEquals(publisher.log.slice(2), [
      "+before",
      "+a",
      "+b",
      "-a",
      "-before",
      "+end",
    ]);
  },
);

owningTest(
  "ZmtpSubscriber sends no topic that was taken back before the handshake",
  async (own) => {
    const publisher = own(await ZmtpPublisher.listen());
    const reader = own(new Reader());
    reader.subscribe("a");
    reader.subscribe("b");
    reader.unsubscribe("a");
    await reader.connect(HOST, publisher.port);
    await publisher.logged("+b");
    assertEquals(publisher.log, ["connect", "READY SUB", "+b"]);
  },
);

owningTest(
  "ZmtpSubscriber waits for a slow handshake, byte by byte",
  async (own) => {
    const publisher = own(await ZmtpPublisher.listen({ greeting: nothing }));
    const reader = own(new Reader());
    reader.subscribe("");
    const connection = reader.connect(HOST, publisher.port);
    await publisher.logged("connect");
    const handshake = concatenate([
      encodeGreeting({ version: [3, 1] }),
      encodeReady({ "Socket-Type": "PUB" }),
    ]);
    for (const byte of handshake) {
      publisher.send(Uint8Array.of(byte));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await connection;
    await publisher.logged("+");
    publisher.publish("hello");
    await reader.received(1);
  },
);

owningTest(
  "ZmtpSubscriber gives up a handshake that takes too long",
  async (own) => {
    const half = encodeGreeting().slice(0, 30);
    const faults: ZmtpPublisherOptions[] = [
      { greeting: nothing },
      { greeting: half },
      { ready: nothing },
      { ready: encodeReady({ "Socket-Type": "PUB" }).slice(0, 9) },
    ];
    for (const fault of faults) {
      const publisher = own(await ZmtpPublisher.listen(fault));
      const clock = new ManualClock();
      const ref = fault.ready === undefined;
      const reader = new Reader(() => {}, { ref });
      const connection = reader.connect(HOST, publisher.port, { clock });
      const failure = assertRejects(
        () => connection,
        ZmtpError,
        "no answer after 3000 ms",
      );
      await publisher.logged("connect");
      assertEquals(clock.pending, [{ deadline: 3000, ref }]);
      await clock.advance(2999);
      assertFalse(reader.isClosed);
      await clock.advance(1);
      const { cause } = await failure;
      assertInstanceOf(cause, DOMException);
      assertEquals(cause.name, "TimeoutError");
      assertEquals(clock.pending, []);
      await publisher.logged("close");
      await reader.close();
    }
  },
);

owningTest(
  "ZmtpSubscriber keeps no timer when it is connected",
  async (own) => {
    const publisher = own(await ZmtpPublisher.listen());
    const reader = own(new Reader());
    const clock = new ManualClock();
    await reader.connect(HOST, publisher.port, { clock, timeout: 10 });
    assertEquals(clock.pending, []);
    const another = own(new Reader());
    await another.connect(HOST, publisher.port, { clock, timeout: Infinity });
    assertEquals(clock.pending, []);
  },
);

owningTest(
  "ZmtpSubscriber obeys a signal while it connects, and not after",
  async (own) => {
    const silent = own(await ZmtpPublisher.listen({ greeting: nothing }));
    const publisher = own(await ZmtpPublisher.listen());
    const controller = new CountingController();
    const { signal } = controller;
    const connectedReader = own(new Reader());
    connectedReader.subscribe("");
    await connectedReader.connect(HOST, publisher.port, { signal });
    assertEquals(controller.listeners, 0);

    const waiting = new Reader();
    const clock = new ManualClock();
    const connection = waiting.connect(HOST, silent.port, { signal, clock });
    await silent.logged("connect");
    controller.abort("dawn");
    assertEquals(await connection.catch((reason) => reason), "dawn");
    assertEquals(await waiting.closed, "dawn");
    assertEquals([controller.listeners, clock.pending], [0, []]);
    await silent.logged("close");
    await waiting.close();

    const late = new Reader();
    const refusal = late.connect(HOST, silent.port, { signal, clock });
    assertEquals(await refusal.catch((reason) => reason), "dawn");
    assertEquals(await late.closed, "dawn");
    assertEquals([controller.listeners, clock.pending], [0, []]);
    await late.close();

    await publisher.logged("+");
    publisher.publish("still");
    await connectedReader.received(1);
  },
);

test("ZmtpSubscriber refuses a peer that is no publisher of ZMTP 3.0 without security", async () => {
  const faults: [ZmtpPublisherOptions, string][] = [
    [{ greeting: { mechanism: "CURVE" } }, "requires the mechanism CURVE"],
    [{ greeting: { version: [1, 0] } }, "older than 3.0 (revision 1)"],
    [{ greeting: bytesOf("220 smtp.example\r\n") }, "does not speak ZMTP 3"],
    [{ ready: encodeReady({ "Socket-Type": "SUB" }) }, 'its type is "SUB"'],
    [{ ready: encodeReady({}) }, 'its type is ""'],
    [{ ready: encodeCommand("ERROR", bytesOf("\x02no")) }, 'refused: "no"'],
    [{ ready: encodeMessage([bytesOf("x")]) }, "message before it was ready"],
  ];
  for (const [fault, part] of faults) {
    const error = await failureWith(fault);
    assertStringIncludes(error.message, part);
    assertInstanceOf(error.cause, ZmtpError);
  }
});

test("ZmtpSubscriber says so when the peer leaves during the handshake", async () => {
  const half = await failureWith(
    { greeting: encodeGreeting().slice(0, 30) },
    "connect",
    (publisher) => publisher.end(),
  );
  assertStringIncludes(half.message, "ended in the middle of the greeting");
  assertInstanceOf(half.cause, ZmtpError);
  const whole = await failureWith(
    { ready: nothing },
    "READY SUB",
    (publisher) => publisher.end(),
  );
  assertStringIncludes(whole.message, "the peer closed the connection");
});

owningTest("ZmtpSubscriber connects to an XPUB, by a name too", async (own) => {
  const ready = encodeReady({ Identity: "me", "socket-TYPE": "XPUB" });
  const publisher = own(await ZmtpPublisher.listen({ ready }));
  const reader = own(new Reader());
  await reader.connect("localhost", publisher.port);
  assert(reader.isReady);
});

test("ZmtpSubscriber says so when nobody listens", async () => {
  const publisher = await ZmtpPublisher.listen();
  const { port } = publisher;
  await publisher[Symbol.asyncDispose]();
  for (const host of [HOST, "localhost"]) {
    const reader = new Reader();
    const clock = new ManualClock();
    const error = await assertRejects(
      () => reader.connect(host, port, { clock }),
      ZmtpError,
      `Cannot connect to ${host}:${port}: `,
    );
    assertStringIncludes(error.message, "ECONNREFUSED");
    assertInstanceOf(error.cause, Error);
    assertStrictEquals(await reader.closed, error);
    assertEquals(clock.pending, []);
    await reader.close();
  }
});

owningTest(
  "ZmtpSubscriber gives what came before the peer closed, and says so",
  async (own) => {
    const { publisher, reader } = await connected(own, "a");
    publisher.publish("a", "last");
    publisher.end();
    const error = await reader.closed;
    assertInstanceOf(error, ZmtpError);
    assertEquals(
      error.message,
      `Lost the connection to ${HOST}:${publisher.port}: the peer closed the connection`,
    );
    assertEquals(reader.messages, ["a|last"]);
    await publisher.logged("close");
  },
);

owningTest(
  "ZmtpSubscriber does not take half a message for one",
  async (own) => {
    const { publisher, reader } = await connected(own, "a");
    const message = encodeMessage([bytesOf("a"), bytesOf("value")]);
    publisher.send(concatenate([message, message.slice(0, -1)]));
    publisher.end();
    const error = await reader.closed;
    assertInstanceOf(error, ZmtpError);
    assertStringIncludes(error.message, "ended in the middle of a frame");
    assertInstanceOf(error.cause, ZmtpError);
    assertEquals(reader.messages, ["a|value"]);
  },
);

owningTest("ZmtpSubscriber says so when the connection breaks", async (own) => {
  const { publisher, reader } = await connected(own, "a");
  publisher.reset();
  const error = await reader.closed;
  assertInstanceOf(error, ZmtpError);
  assertStringIncludes(error.message, "Lost the connection to ");
  await reader.close();
});

owningTest(
  "ZmtpSubscriber ends at garbage, after the messages before it",
  async (own) => {
    const { publisher, reader } = await connected(own, "a");
    publisher.send(concatenate([
      encodeMessage([bytesOf("a")]),
      Uint8Array.of(255, 255),
      encodeMessage([bytesOf("b")]),
    ]));
    const error = await reader.closed;
    assertInstanceOf(error, ZmtpError);
    assertStringIncludes(error.message, "the flags 255");
    assertEquals(reader.messages, ["a"]);
    await publisher.logged("close");
  },
);

owningTest(
  "ZmtpSubscriber ends at a message that is too large",
  async (own) => {
    const publisher = own(await ZmtpPublisher.listen());
    const reader = own(new Reader());
    reader.subscribe("");
    await reader.connect(HOST, publisher.port, { maxMessage: 1000 });
    await publisher.logged("+");
    publisher.publish("a".repeat(1000));
    publisher.publish("a".repeat(1001));
    const error = await reader.closed;
    assertInstanceOf(error, ZmtpError);
    assertStringIncludes(error.message, "a frame of 1001 bytes");
    assertEquals(reader.messages.length, 1);
  },
);

owningTest(
  "ZmtpSubscriber gives no message after its end, not of the same chunk either",
  async (own) => {
    const publisher = own(await ZmtpPublisher.listen());
    const reader = new Reader((message) => {
      if (message === "2") reader.close();
    });
    reader.subscribe("");
    await reader.connect(HOST, publisher.port);
    await publisher.logged("+");
    publisher.send(
      concatenate(
        ["1", "2", "3", "4"].map((text) => encodeMessage([bytesOf(text)])),
      ),
    );
    assertEquals(await reader.closed, undefined);
    await publisher.logged("close");
    await reader.close();
    assertEquals(reader.messages, ["1", "2"]);
  },
);

owningTest("ZmtpSubscriber ends with what its callback throws", async (own) => {
  const publisher = own(await ZmtpPublisher.listen());
  const reasons = [new RangeError("oops"), null, Object.create(null)];
  for (const [index, reason] of reasons.entries()) {
    const reader = own(
      new Reader(() => {
        throw reason;
      }),
    );
    reader.subscribe("");
    await reader.connect(HOST, publisher.port);
    await publisher.logged("+", index + 1);
    publisher.publish("a");
    const error = await reader.closed;
    assertInstanceOf(error, ZmtpError);
    assertStringIncludes(error.message, "Lost the connection");
    assertStrictEquals(error.cause, reason);
    await publisher.logged("close", index + 1);
  }
});

owningTest(
  "ZmtpSubscriber answers a PING and ignores commands it does not know",
  async (own) => {
    const { publisher, reader } = await connected(own, "a");
    publisher.send(concatenate([
      encodeCommand("PING", concatenate([Uint8Array.of(0, 9), bytesOf("1st")])),
      encodeCommand("NEWS", bytesOf("?")),
      encodeCommand("PING", Uint8Array.of(0, 0)),
    ]));
    await publisher.logged("PONG ");
    assertEquals(publisher.log.slice(-2), ["PONG 1st", "PONG "]);
    assert(reader.isReady);
  },
);

owningTest(
  "ZmtpSubscriber knows by an answer that the topics have come",
  async (own) => {
    const { publisher, reader } = await connected(own, "a");
    for (const topic of ["b", "c"]) {
      reader.subscribe(topic);
      assert(await reader.ping({ timeout: 20_000 }));
      assertEquals(publisher.log.at(-1), `+${topic}`);
    }
    publisher.send(encodeCommand("PONG", bytesOf("nobody asked")));
    const answers = [1, 2, 3].map(() => reader.ping({ timeout: 20_000 }));
    assertEquals(await Promise.all(answers), [true, true, true]);
  },
);

owningTest(
  "ZmtpSubscriber does not wait for an answer longer than it is to",
  async (own) => {
    const publisher = own(await ZmtpPublisher.listen({ isOld: true }));
    const reader = own(new Reader());
    const clock = new ManualClock();
    const wrong = { timeout: NaN };
    await assertRejects(() => reader.ping(wrong), RangeError, "'timeout'");
    assertEquals(await reader.ping({ timeout: 1000, clock }), false);
    await reader.connect(HOST, publisher.port);
    const answer = reader.ping({ timeout: 1000, clock });
    await clock.advance(1000);
    assertEquals(await answer, false);

    const app = new CountingController();
    const reason = new Error("enough");
    const asked = reader.ping({ timeout: 1000, clock, signal: app.signal });
    app.abort(reason);
    assertStrictEquals(await assertRejects(() => asked), reason);
    assertEquals(app.listeners, 0);

    const last = reader.ping({ timeout: 1000, clock });
    publisher.reset();
    assertEquals(await last, false);
    assertEquals(clock.pending, []);
  },
);

owningTest(
  "ZmtpSubscriber ends when a peer PINGs and does not read",
  async (own) => {
    const { publisher, reader } = await connected(own, "a");
    publisher.pause();
    const ping = encodeCommand("PING", new Uint8Array(18));
    const pings = concatenate(Array.from({ length: 40_000 }, () => ping));
    for (let round = 0; round < 25; round++) publisher.send(pings);
    const error = await reader.closed;
    assertInstanceOf(error, ZmtpError);
    assertStringIncludes(error.message, "does not read");
  },
);

owningTest("ZmtpSubscriber closes while it connects", async (own) => {
  const publisher = own(await ZmtpPublisher.listen({ ready: nothing }));
  const clock = new ManualClock();
  const reader = new Reader();
  const connection = reader.connect(HOST, publisher.port, { clock });
  const failure = assertRejects(
    () => connection,
    ZmtpError,
    "closed meanwhile",
  );
  await publisher.logged("connect");
  await reader.close();
  await failure;
  assertEquals(await reader.closed, undefined);
  assertEquals(clock.pending, []);
  await publisher.logged("close");
  const early = new Reader();
  const attempt = early.connect(HOST, publisher.port, { clock });
  await Promise.all([
    early.close(),
    assertRejects(() => attempt, ZmtpError, "closed meanwhile"),
  ]);
  assertEquals(clock.pending, []);
});

owningTest(
  "ZmtpSubscriber closes once, whoever calls, and is not used again",
  async (own) => {
    const { publisher, reader } = await connected(own, "a");
    await assertRejects(
      () => reader.connect(HOST, publisher.port),
      ZmtpError,
      "used already",
    );
    assert(reader.isReady);
    await Promise.all([reader.close(), reader.close()]);
    await reader[Symbol.asyncDispose]();
    assertEquals(await reader.closed, undefined);
    reader.subscribe("b");
    reader.unsubscribe("b");
    await assertRejects(() => reader.connect(HOST, publisher.port), ZmtpError);
    await publisher.logged("close");
    const idle = new Reader();
    await idle.close();
    assertEquals(await idle.closed, undefined);
    await assertRejects(() => idle.connect(HOST, 1), ZmtpError);
  },
);

owningTest("ZmtpSubscriber lets go when a clock throws", async (own) => {
  const publisher = own(await ZmtpPublisher.listen());
  const oops = new Error("no time");
  const fail = (): never => {
    throw oops;
  };
  for (const setTimer of [fail, () => fail]) {
    const clock = { now: () => 0, setTimer };
    const controller = new CountingController();
    const reader = new Reader();
    const { signal } = controller;
    const error = await assertRejects(
      () => reader.connect(HOST, publisher.port, { clock, signal }),
      ZmtpError,
      "no time",
    );
    assertStrictEquals(error.cause, oops);
    assertEquals(controller.listeners, 0);
    await reader.close();
  }
});

test("ZmtpSubscriber checks its arguments", async () => {
  const onMessage = (): void => {};
  const wrong = (value: unknown) => value as never;
  assertThrows(
    () => new ZmtpSubscriber({ onMessage: wrong(1) }),
    TypeError,
    "Cannot create ZmtpSubscriber as 'onMessage' must be a function: current value is 1",
  );
  assertThrows(() => new ZmtpSubscriber(wrong(null)), TypeError, "'options'");
  assertThrows(
    () => new ZmtpSubscriber({ onMessage, ref: wrong("yes") }),
    TypeError,
    "'ref'",
  );
  const reader = new ZmtpSubscriber({ onMessage });
  assertThrows(() => reader.subscribe(wrong(1)), TypeError, "'topic'");
  assertThrows(() => reader.unsubscribe(wrong(1)), TypeError, "'topic'");
  const connect = (host: unknown, port: unknown, options?: unknown) => () =>
    reader.connect(wrong(host), wrong(port), wrong(options));
  await assertRejects(connect(1, 1), TypeError, "'host'");
  await assertRejects(connect("", 1), TypeError, "'host'");
  await assertRejects(connect(HOST, "1"), TypeError, "'port'");
  await assertRejects(connect(HOST, 0), RangeError, "'port'");
  await assertRejects(connect(HOST, 65_536), RangeError, "'port'");
  await assertRejects(connect(HOST, 1, null), TypeError, "'options'");
  await assertRejects(connect(HOST, 1, { signal: 1 }), TypeError, "'signal'");
  await assertRejects(connect(HOST, 1, { clock: {} }), TypeError, "'clock'");
  await assertRejects(
    connect(HOST, 1, { timeout: 0 }),
    RangeError,
    "'timeout'",
  );
  await assertRejects(
    connect(HOST, 1, { maxMessage: Infinity }),
    RangeError,
    "'maxMessage'",
  );
  await reader.close();
});

owningTest(
  "ZmtpSubscriber keeps the process alive unless told otherwise",
  async (own) => {
    const publisher = own(await ZmtpPublisher.listen());
    const run = (ref: boolean) =>
      runModule(
        new URL("./_zmtp_program.ts", import.meta.url),
        `${publisher.port}`,
        `${ref}`,
      );
    assertEquals(await run(false), { code: 0, stdout: "ready\n" });
    const staying = run(true);
    await publisher.logged("+true");
    publisher.publish("true", "go");
    assertEquals(await staying, { code: 0, stdout: "ready\ntrue|go\n" });
  },
);
