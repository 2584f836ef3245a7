// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { systemClock } from "@longrun/tasks/clock";
import { ManualClock } from "@longrun/tasks/testing";
import { test } from "@std/testing/bdd";
import { MarshalError } from "../_cdr_reader.ts";
import { GiopConnection } from "../_giop_connection.ts";
import { MessageType } from "../_giop_message.ts";
import { encodeText } from "../_text.ts";
import { MinorCode } from "../_minor_code.ts";
import { SystemException } from "../_system_exception.ts";
import {
  GiopServer,
  message,
  reply,
  type SeenRequest,
} from "./_giop_server.ts";

const objectKey = encodeText("lab/stage/1");

function open(
  server: GiopServer,
  clock = systemClock,
): Promise<GiopConnection> {
  return GiopConnection.open(server.endpoint, {
    clock,
    timeout: 10_000,
    maxMessage: 100_000,
  });
}

/** Calls an operation that answers with a string. */
function ask(
  connection: GiopConnection,
  operation: string,
  options: { signal?: AbortSignal; timeout?: number } = {},
): Promise<string> {
  return connection.call({
    objectKey,
    operation,
    write: (to) => to.string(`${operation}?`),
    read: ({ body }) => body.string(),
  }, { timeout: 10_000, ...options });
}

/** Waits until something holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
}

async function failureOf(promise: Promise<unknown>): Promise<SystemException> {
  return await assertRejects(() => promise, SystemException);
}

test("GiopConnection calls an operation with its arguments", async () => {
  const seen: string[] = [];
  await using server = await GiopServer.start(({ id, client, ...request }) => {
    seen.push(request.objectKey, request.operation, request.body.string());
    client.send(reply(id, (to) => to.string("ON")));
  });
  const connection = await open(server);
  assertEquals(await ask(connection, "state"), "ON");
  assertEquals(seen, ["lab/stage/1", "state", "state?"]);
  assertEquals(connection.pending, 0);
  connection.close();
});

test("GiopConnection gives each call its own answer, in whatever order", async () => {
  const requests: SeenRequest[] = [];
  await using server = await GiopServer.start((request) => {
    requests.push(request);
    if (requests.length < 100) return;
    for (const { id, operation, client } of requests.reverse()) {
      client.send(reply(id, (to) => to.string(`${operation}!`)));
    }
  });
  const connection = await open(server);
  const names = Array.from({ length: 100 }, (_, index) => `op${index}`);
  assertEquals(
    await Promise.all(names.map((name) => ask(connection, name))),
    names.map((name) => `${name}!`),
  );
  connection.close();
});

test("GiopConnection takes no notice of who has left, and goes on", async () => {
  const requests: SeenRequest[] = [];
  await using server = await GiopServer.start((request) => {
    requests.push(request);
  });
  const connection = await open(server);
  const controller = new AbortController();
  const left = ask(connection, "slow", { signal: controller.signal });
  await until(() => requests.length === 1);
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await left.catch((error) => error), reason);
  assertEquals(connection.pending, 0);

  const next = ask(connection, "next");
  await until(() => requests.length === 2);
  const [first, second] = requests;
  assertEquals(server.client.cancelled, [first?.id]);
  for (const one of [first, second]) {
    if (one === undefined) throw new Error("There is no request");
    server.client.send(reply(one.id, (to) => to.string(one.operation)));
  }
  assertEquals(await next, "next");
  connection.close();
});

test("GiopConnection sends nothing for a signal that has aborted", async () => {
  let requests = 0;
  await using server = await GiopServer.start(() => requests++);
  const connection = await open(server);
  const signal = AbortSignal.abort("over");
  assertEquals(await ask(connection, "x", { signal }).catch((r) => r), "over");
  assertEquals([requests, connection.pending], [0, 0]);
  connection.close();
});

test("GiopConnection limits the time of a call, on the clock given", async () => {
  const clock = new ManualClock();
  await using server = await GiopServer.start(() => {});
  const connection = await open(server, clock);
  const call = failureOf(ask(connection, "hangs", { timeout: 3000 }));
  await clock.advance(2999);
  assertEquals(connection.pending, 1);
  await clock.advance(1);
  const { kind, minor, message } = await call;
  assertEquals([kind, minor], ["TRANSIENT", MinorCode.TRANSIENT_CallTimedout]);
  assertEquals(message, "'hangs' took longer than 3000 ms");
  await until(() => server.client.cancelled.length === 1);
  assertEquals(connection.pending, 0);
  connection.close();
});

test("GiopConnection is not used any more when the server is silent", async () => {
  const clock = new ManualClock();
  await using server = await GiopServer.start(() => {});
  const connection = await open(server, clock);
  const long = failureOf(ask(connection, "long", { timeout: 5000 }));
  const short = failureOf(ask(connection, "short", { timeout: 3000 }));
  await clock.advance(3000);
  await short;
  // Who waits may still get his answer.
  assertEquals([connection.isOpen, connection.pending], [false, 1]);
  await clock.advance(2000);
  assertEquals((await long).minor, MinorCode.TRANSIENT_CallTimedout);
  assertEquals(connection.failure?.kind, "COMM_FAILURE");
  await until(() => server.client.isClosed);
});

test("GiopConnection goes on when a call times out while others are answered", async () => {
  const clock = new ManualClock();
  await using server = await GiopServer.start(({ id, operation, client }) => {
    if (operation !== "hangs") client.send(reply(id, (to) => to.string("yes")));
  });
  const connection = await open(server, clock);
  const hangs = failureOf(ask(connection, "hangs", { timeout: 3000 }));
  await clock.advance(2500);
  assertEquals(await ask(connection, "works"), "yes");
  await clock.advance(500);
  await hangs;
  assertEquals([connection.isOpen, connection.pending], [true, 0]);
  // Nor does one who has little patience end it.
  const impatient = failureOf(ask(connection, "hangs", { timeout: 999 }));
  await clock.advance(999);
  await impatient;
  assertEquals(await ask(connection, "works"), "yes");
  connection.close();
});

test("GiopConnection measures a call by the clock of who calls", async () => {
  const clock = new ManualClock();
  await using server = await GiopServer.start(() => {});
  const connection = await open(server);
  const call = failureOf(connection.call({
    objectKey,
    operation: "hangs",
    read: () => {},
    clock,
  }, { timeout: 3000 }));
  await clock.advance(3000);
  assertEquals((await call).minor, MinorCode.TRANSIENT_CallTimedout);
  connection.close();
});

test("GiopConnection takes no calls when the server says no more", async () => {
  await using server = await GiopServer.start(({ client }) =>
    client.socket.end()
  );
  const connection = await open(server);
  const { kind, completed } = await failureOf(ask(connection, "x"));
  assertEquals([kind, completed], ["COMM_FAILURE", "maybe"]);
  assertEquals(connection.isOpen, false);
  await until(() => server.client.isClosed);
});

test("GiopConnection fails all calls when the server is gone", async () => {
  let requests = 0;
  await using server = await GiopServer.start(({ client }) => {
    if (++requests === 3) client.socket.destroy();
  });
  const connection = await open(server);
  const failures = await Promise.all(
    ["a", "b", "c"].map((name) => failureOf(ask(connection, name))),
  );
  for (const { kind, completed } of failures) {
    assertEquals([kind, completed], ["COMM_FAILURE", "maybe"]);
  }
  assertEquals([connection.isOpen, connection.pending], [false, 0]);
  assertEquals((await failureOf(ask(connection, "d"))).kind, "COMM_FAILURE");
});

test("GiopConnection knows that a server which closes has done nothing", async () => {
  await using server = await GiopServer.start(({ client }) =>
    client.send(message(MessageType.CLOSE_CONNECTION))
  );
  const connection = await open(server);
  const { kind, completed } = await failureOf(ask(connection, "x"));
  assertEquals([kind, completed], ["TRANSIENT", "no"]);
  assertEquals(connection.isOpen, false);
  await until(() => server.client.isClosed);
});

const nonsense: [name: string, bytes: Uint8Array][] = [
  ["another protocol", encodeText("HTTP/1.1 400 Bad Request\r\n\r\n")],
  ["a request", message(MessageType.REQUEST, new Uint8Array(40))],
  ["a message that is too large", message(1, new Uint8Array(100_000))],
  ["a reply that is cut", message(MessageType.REPLY, new Uint8Array(6))],
  ["a reply of another version", message(1, new Uint8Array(12), { minor: 0 })],
];

for (const [name, bytes] of nonsense) {
  test(`GiopConnection closes when ${name} comes`, async () => {
    await using server = await GiopServer.start(({ client }) =>
      client.send(bytes)
    );
    const connection = await open(server);
    const failure = await failureOf(ask(connection, "x"));
    assertEquals(failure.kind, "COMM_FAILURE");
    assertInstanceOf(failure.cause, MarshalError);
    await until(() => server.client.isClosed);
  });
}

test("GiopConnection closes when it was not understood", async () => {
  await using server = await GiopServer.start(({ client }) =>
    client.send(message(MessageType.MESSAGE_ERROR, undefined, { minor: 0 }))
  );
  const connection = await open(server);
  const { message: text } = await failureOf(ask(connection, "x"));
  assertEquals(text.endsWith("has not understood a message"), true);
});

test("GiopConnection fails one call whose answer is cut, and no other", async () => {
  await using server = await GiopServer.start(({ id, operation, client }) =>
    client.send(
      reply(
        id,
        (to) => operation === "bad" ? to.unsignedLong(9) : to.string("good"),
      ),
    )
  );
  const connection = await open(server);
  const bad = assertRejects(() => ask(connection, "bad"), MarshalError);
  assertEquals(await ask(connection, "good"), "good");
  await bad;
  assertEquals(connection.isOpen, true);
  connection.close();
});

test("GiopConnection says goodbye, and fails the calls that wait", async () => {
  await using server = await GiopServer.start(() => {});
  const connection = await open(server);
  const call = failureOf(ask(connection, "x"));
  connection.close();
  connection.close();
  assertEquals((await call).message, "The connection was closed here");
  await until(() => server.client.isClosed);
  assertEquals(server.client.saidGoodbye, true);
});

test("GiopConnection sends nothing when an argument cannot be written", async () => {
  const seen: string[] = [];
  await using server = await GiopServer.start(({ id, operation, client }) => {
    seen.push(operation);
    client.send(reply(id, (to) => to.string("yes")));
  });
  const connection = await open(server);
  const mismatch = new TypeError("no number");
  const call = connection.call({
    objectKey,
    operation: "bad",
    write() {
      throw mismatch;
    },
    read: () => {},
  }, { timeout: 1000 });
  assertEquals(await call.catch((error) => error), mismatch);
  assertEquals(await ask(connection, "good"), "yes");
  assertEquals(seen, ["good"]);
  connection.close();
});

test("GiopConnection says that there is no server", async () => {
  const server = await GiopServer.start(() => {});
  const { endpoint } = server;
  await server.close();
  const { kind, minor, completed, cause } = await failureOf(
    GiopConnection.open(endpoint, {
      clock: systemClock,
      timeout: 10_000,
      maxMessage: 1000,
    }),
  );
  assertEquals([kind, completed], ["TRANSIENT", "no"]);
  assertEquals(minor, MinorCode.TRANSIENT_ConnectFailed);
  assertInstanceOf(cause, Error);
});

test("GiopConnection cannot connect to what is no host", async () => {
  for (const host of ["", "\0", "a b", "::::", "x".repeat(300)]) {
    const { kind } = await failureOf(
      GiopConnection.open({ host, port: 1 }, {
        clock: systemClock,
        timeout: 10_000,
        maxMessage: 1000,
      }),
    );
    assertEquals(kind, "TRANSIENT", host);
  }
});

test("GiopConnection stops connecting when its signal aborts", async () => {
  await using server = await GiopServer.start(() => {});
  const controller = new AbortController();
  const opening = GiopConnection.open(server.endpoint, {
    clock: new ManualClock(),
    timeout: 1000,
    maxMessage: 1000,
    signal: controller.signal,
  });
  controller.abort("dawn");
  assertEquals(await opening.catch((reason) => reason), "dawn");
});

test("GiopConnection limits the time that connecting takes", async () => {
  const clock = new ManualClock();
  await using server = await GiopServer.start(() => {});
  // The clock advances before the event loop turns: nothing can have come.
  const opening = failureOf(GiopConnection.open(server.endpoint, {
    clock,
    timeout: 1000,
    maxMessage: 1000,
  }));
  await clock.advance(1000);
  assertEquals((await opening).minor, MinorCode.TRANSIENT_CallTimedout);
});

test("GiopConnection lets go when a clock throws", async () => {
  const requests: SeenRequest[] = [];
  await using server = await GiopServer.start((request) => {
    requests.push(request);
  });
  const fail = (): never => {
    throw new Error("no time");
  };
  const { now } = systemClock;
  const clocks = [fail, () => fail].map((setTimer) => ({ now, setTimer }));
  for (const clock of clocks) {
    await assertRejects(() => open(server, clock), Error, "no time");
  }
  await until(() => server.clients.some(({ isClosed }) => isClosed));
  const connection = await open(server);
  const other = ask(connection, "other");
  const calls = clocks.map((clock) =>
    connection.call({
      clock,
      objectKey,
      operation: "x",
      write: (to) => to.string("x?"),
      read: () => {},
    }, { timeout: 10_000 })
  );
  const refused = calls.map((call) =>
    assertRejects(() => call, Error, "no time")
  );
  await until(() => requests.length >= 2);
  for (const { id, client } of requests.reverse()) {
    client.send(reply(id, (to) => to.string("ON")));
  }
  await Promise.all(refused);
  assertEquals(await other, "ON");
  assertEquals(connection.pending, 0);
  connection.close();
});
