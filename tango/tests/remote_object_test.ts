// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { systemClock } from "@longrun/tasks/clock";
import { DeviceError } from "@longrun/tasks/device-proxy";
import { ManualClock } from "@longrun/tasks/testing";
import { test } from "@std/testing/bdd";
import type { CdrReader } from "../_cdr_reader.ts";
import type { CdrWriter } from "../_cdr_writer.ts";
import { ConnectionPool } from "../_connection_pool.ts";
import type {
  Endpoint,
  GiopConnection,
  GiopConnectionOptions,
} from "../_giop_connection.ts";
import { MessageType, ReplyStatus } from "../_giop_message.ts";
import type { ObjectReference } from "../_object_reference.ts";
import { RemoteObject } from "../_remote_object.ts";
import { SystemException } from "../_system_exception.ts";
import { encodeText } from "../_text.ts";
import { GiopServer, message, reply } from "./_giop_server.ts";

const options = { timeout: 10_000 };

function referenceTo(...endpoints: Endpoint[]): ObjectReference {
  return { endpoints, objectKey: encodeText("a/b/c") };
}

function objectAt(
  resolve: () => ObjectReference | Promise<ObjectReference>,
  pool = new ConnectionPool(),
): RemoteObject {
  return new RemoteObject(async () => await resolve(), {
    pool,
    clock: systemClock,
    maxMessage: 100_000,
  });
}

function ask(
  object: RemoteObject,
  name = "ask",
  isRepeatable = false,
): Promise<string> {
  return object.call({ name, read: (from) => from.string(), isRepeatable }, {
    ...options,
  });
}

/** A server that says its name. */
function named(name: string, port = 0): Promise<GiopServer> {
  return GiopServer.start(
    ({ id, client }) => client.send(reply(id, (to) => to.string(name))),
    port,
  );
}

/** A port where nobody listens. */
async function deadEndpoint(): Promise<Endpoint> {
  const server = await named("dead");
  const { endpoint } = server;
  await server.close();
  return endpoint;
}

function writeReference(
  to: CdrWriter,
  { endpoints: [endpoint], objectKey }: ObjectReference,
): void {
  to.string("IDL:Tango/Device_5:1.0").unsignedLong(1).unsignedLong(0)
    .encapsulation((profile) =>
      profile.octet(1).octet(2).string(endpoint?.host ?? "")
        .unsignedShort(endpoint?.port ?? 0).octets(objectKey).unsignedLong(0)
    );
}

test("RemoteObject shares one connection with others of its server", async () => {
  const pool = new ConnectionPool();
  await using server = await named("here");
  const objects = Array.from(
    { length: 3 },
    () => objectAt(() => referenceTo(server.endpoint), pool),
  );
  await Promise.all(objects.flatMap((one) => [ask(one), ask(one)]));
  assertEquals([server.clients.length, pool.size], [1, 1]);
  const [first, ...others] = objects;
  for (const one of others) one.close();
  assertEquals(pool.size, 1);
  first?.close();
  assertEquals(pool.size, 0);
});

test("RemoteObject closes a connection that nobody waits for any more", async () => {
  const pool = new ConnectionPool();
  await using server = await named("here");
  const object = objectAt(() => referenceTo(server.endpoint), pool);
  const signal = AbortSignal.timeout(0);
  const call = object.call({ name: "x", read: () => {} }, {
    timeout: 10_000,
    signal,
  });
  object.close();
  assertEquals(pool.size, 0);
  await call.catch(() => {});
});

test("RemoteObject keeps no connection to where its server was", async () => {
  const pool = new ConnectionPool();
  let server = await named("0");
  const object = objectAt(() => referenceTo(server.endpoint), pool);
  for (let n = 1; n <= 3; n++) {
    await ask(object);
    const old = server;
    // It listens before the old one ends: the ports are two.
    server = await named(String(n));
    await old.close();
    while (object.connection !== undefined) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  assertEquals(await ask(object), "3");
  assertEquals(pool.size, 1);
  object.close();
  assertEquals(pool.size, 0);
  await server.close();
});

test("RemoteObject ends its own calls when it is closed", async () => {
  const pool = new ConnectionPool();
  const waiting: (() => void)[] = [];
  await using server = await GiopServer.start(({ id, client, operation }) => {
    const answer = () => client.send(reply(id, (to) => to.string("late")));
    if (operation === "ask") answer();
    else waiting.push(answer);
  });
  const [one, other] = [0, 1].map(() =>
    objectAt(() => referenceTo(server.endpoint), pool)
  );
  assert(one !== undefined && other !== undefined);
  await Promise.all([ask(one), ask(other)]);
  const mine = assertRejects(() => ask(one, "wait"), SystemException);
  const theirs = ask(other, "wait");
  await ask(other); // after those before it
  one.close();
  assertEquals((await mine).message, "The connection was closed here");
  await ask(other);
  assertEquals(server.client.cancelled.length, 1);
  for (const answer of waiting) answer();
  assertEquals(await theirs, "late");
  other.close();
  assertEquals(pool.size, 0);
});

test("RemoteObject asks nothing when it was closed while others connected", async () => {
  const pool = new ConnectionPool();
  await using server = await named("here");
  const [one, other] = [0, 1].map(() =>
    objectAt(() => referenceTo(server.endpoint), pool)
  );
  assert(one !== undefined && other !== undefined);
  const mine = assertRejects(() => ask(one), SystemException);
  const theirs = ask(other);
  while (pool.size === 0) await Promise.resolve();
  one.close();
  assertEquals((await mine).message, "The connection was closed here");
  assertEquals(await theirs, "here");
  other.close();
  assertEquals(pool.size, 0);
});

test("RemoteObject opens no connection if it was closed meanwhile", async () => {
  const pool = new ConnectionPool();
  await using server = await named("here");
  const { promise, resolve } = Promise.withResolvers<ObjectReference>();
  const object = objectAt(() => promise, pool);
  const call = assertRejects(() => ask(object), SystemException);
  object.close();
  resolve(referenceTo(server.endpoint));
  assertEquals((await call).message, "The connection was closed here");
  assertEquals([pool.size, server.clients.length], [0, 0]);
});

test("RemoteObject ends its calls when it is closed while it connects", async () => {
  const pool = new ConnectionPool();
  await using server = await named("here");
  const object = objectAt(() => referenceTo(server.endpoint), pool);
  const call = assertRejects(() => ask(object), SystemException);
  while (pool.size === 0) await Promise.resolve();
  object.close();
  assertEquals((await call).message, "The connection was closed here");
  assertEquals(pool.size, 0);
});

test("RemoteObject waits for a connection as long as it was told, not others", async () => {
  const clock = new ManualClock();
  const pool = new ConnectionPool();
  await using server = await named("here");
  const [one, other] = [0, 1].map(() =>
    new RemoteObject(() => Promise.resolve(referenceTo(server.endpoint)), {
      pool,
      clock,
      maxMessage: 1000,
    })
  );
  assert(one !== undefined && other !== undefined);
  const operation = { name: "ask", read: (from: CdrReader) => from.string() };
  const first = assertRejects(
    () => one.call(operation, { timeout: 100 }),
    SystemException,
  );
  const second = other.call(operation, { timeout: 5000 });
  const finite = () =>
    clock.pending.filter(({ deadline }) => deadline < Infinity).length;
  while (finite() < 2) await Promise.resolve();
  // The clock advances before the event loop turns: nothing can have come.
  await clock.advance(100);
  const { port } = server.endpoint;
  assertEquals(
    (await first).message,
    `Connecting to 127.0.0.1:${port} took longer than 100 ms`,
  );
  assertEquals(await second, "here");
  one.close();
  other.close();
  assertEquals([pool.size, clock.pending], [0, []]);
});

test("RemoteObject stops connecting when nobody waits any more", async () => {
  const pool = new ConnectionPool();
  await using server = await named("here");
  const object = objectAt(() => referenceTo(server.endpoint), pool);
  const controller = new AbortController();
  const call = object.call({ name: "x", read: () => {} }, {
    timeout: 10_000,
    signal: controller.signal,
  });
  while (pool.size === 0) await Promise.resolve();
  controller.abort("dusk");
  assertEquals(await call.catch((reason) => reason), "dusk");
  assertEquals(pool.size, 0);
  // It is of use again.
  assertEquals(await ask(object), "here");
  object.close();
});

test("RemoteObject does not try twice to connect to a server that is gone", async () => {
  let looked = 0;
  const server = await named("here");
  const { endpoint } = server;
  const object = objectAt(() => {
    looked++;
    return referenceTo(endpoint);
  });
  assertEquals(await ask(object), "here");
  const { socket } = server.client;
  const isGone = new Promise((resolve) => socket.once("close", resolve));
  await server.close();
  await isGone;
  // The call after the end of a server may still notice it.
  await ask(object, "x", true).catch(() => {});
  looked = 0;
  const error = await assertRejects(
    () => ask(object, "x", true),
    SystemException,
  );
  assertEquals([error.kind, looked], ["TRANSIENT", 1]);
  object.close();
});

test("RemoteObject connects anew after a call to which nothing was said", async () => {
  const clock = new ManualClock();
  let isSilent = false;
  await using server = await GiopServer.start(({ id, client }) => {
    if (!isSilent) client.send(reply(id, (to) => to.string("here")));
  });
  const object = new RemoteObject(
    () => Promise.resolve(referenceTo(server.endpoint)),
    { pool: new ConnectionPool(), clock, maxMessage: 1000 },
  );
  assertEquals(await ask(object), "here");
  isSilent = true;
  const call = assertRejects(() => ask(object, "x", true), SystemException);
  while (clock.pending.length === 0) await Promise.resolve();
  await clock.advance(10_000);
  assertEquals((await call).message, "'x' took longer than 10000 ms");
  isSilent = false;
  assertEquals(await ask(object), "here");
  assertEquals(server.clients.length, 2);
  object.close();
});

test("RemoteObject tries the other addresses of an object", async () => {
  await using server = await named("second");
  const dead = await deadEndpoint();
  const object = objectAt(() => referenceTo(dead, server.endpoint));
  assertEquals(await ask(object), "second");
  object.close();
});

test("RemoteObject tells of the first address if none answers", async () => {
  const [first, second] = [await deadEndpoint(), await deadEndpoint()];
  const object = objectAt(() => referenceTo(first, second));
  const error = await assertRejects(() => ask(object), SystemException);
  assertEquals(error.message, `Cannot connect to 127.0.0.1:${first.port}`);
});

test("RemoteObject looks for its object again when the server is another", async () => {
  const servers = [await named("old"), await named("new")];
  let looked = 0;
  const object = objectAt(() => {
    const server = servers[looked++];
    if (server === undefined) throw new Error("Looked for too often");
    return referenceTo(server.endpoint);
  });
  assertEquals(await ask(object), "old");
  await servers[0]?.close();
  // The call after the end of a server may still notice it.
  const answer = await ask(object).catch(() => ask(object));
  assertEquals([answer, looked], ["new", 2]);
  object.close();
  await servers[1]?.close();
});

test("RemoteObject looks for its object again after an idle loss", async () => {
  await using old = await named("old");
  await using server = await named("new");
  const found = [old, server];
  const object = objectAt(() =>
    referenceTo((found.shift() ?? server).endpoint)
  );
  assertEquals(await ask(object), "old");
  const { socket } = old.client;
  const isGone = new Promise((resolve) => socket.once("close", resolve));
  // It says so, and goes on for others.
  old.client.send(message(MessageType.CLOSE_CONNECTION));
  socket.end();
  await isGone;
  assertEquals(await ask(object), "new");
  object.close();
});

test("RemoteObject looks for its object again when a server does not have it", async () => {
  await using other = await GiopServer.start(({ id, client }) =>
    client.send(
      reply(
        id,
        (to) =>
          to.string("IDL:omg.org/CORBA/OBJECT_NOT_EXIST:1.0")
            .unsignedLong(0x4f4d0001).unsignedLong(1),
        ReplyStatus.SYSTEM_EXCEPTION,
      ),
    )
  );
  await using server = await named("its own");
  const found = [other, server];
  const object = objectAt(() =>
    referenceTo((found.shift() ?? server).endpoint)
  );
  const error = await assertRejects(() => ask(object), SystemException);
  assertEquals(error.kind, "OBJECT_NOT_EXIST");
  assertEquals(await ask(object), "its own");
  object.close();
});

test("RemoteObject leaves time for each address of an object", async () => {
  const timeouts: number[] = [];
  class Pool extends ConnectionPool {
    override async connect(
      endpoint: Endpoint,
      user: object,
      options: GiopConnectionOptions,
    ): Promise<GiopConnection> {
      timeouts.push(options.timeout);
      if (endpoint.port === server.endpoint.port) {
        return await super.connect(endpoint, user, options);
      }
      await clock.advance(options.timeout);
      throw new SystemException("TRANSIENT", "It is silent");
    }
  }
  const clock = new ManualClock();
  await using server = await named("last");
  const silent = { host: "127.0.0.1", port: 1 };
  const reference = referenceTo(silent, silent, server.endpoint);
  const object = new RemoteObject(() => Promise.resolve(reference), {
    pool: new Pool(),
    clock,
    maxMessage: 1000,
  });
  await object.call({ name: "ask", read: (from) => from.string() }, {
    timeout: 3000,
  });
  assertEquals(timeouts, [1000, 1000, 1000]);
  object.close();
});

test("RemoteObject asks again when the server closed before it took the call", async () => {
  let requests = 0;
  await using server = await GiopServer.start(({ id, client }) => {
    if (++requests === 2) {
      client.send(message(MessageType.CLOSE_CONNECTION));
      client.socket.end();
    } else {
      client.send(reply(id, (to) => to.string(`${requests}`)));
    }
  });
  const object = objectAt(() => referenceTo(server.endpoint));
  assertEquals([await ask(object), await ask(object)], ["1", "3"]);
  assertEquals(server.clients.length, 2);
  object.close();
});

for (const isRepeatable of [false, true]) {
  const what = isRepeatable ? "only what may be done twice" : "no command";
  test(`RemoteObject asks again after a loss: ${what}`, async () => {
    let requests = 0;
    await using server = await GiopServer.start(({ id, client }) => {
      if (++requests === 2) client.socket.destroy();
      else client.send(reply(id, (to) => to.string(`${requests}`)));
    });
    const object = objectAt(() => referenceTo(server.endpoint));
    await ask(object);
    const second = ask(object, "x", isRepeatable);
    if (isRepeatable) {
      assertEquals(await second, "3");
    } else {
      const { completed } = await assertRejects(() => second, SystemException);
      assertEquals([completed, requests], ["maybe", 2]);
    }
    object.close();
  });
}

test("RemoteObject does not ask for ever", async () => {
  let requests = 0;
  await using server = await GiopServer.start(({ client }) => {
    requests++;
    client.socket.destroy();
  });
  const object = objectAt(() => referenceTo(server.endpoint));
  await assertRejects(() => ask(object, "x", true), SystemException);
  assertEquals(requests, 2);
  object.close();
});

for (
  const status of [
    ReplyStatus.LOCATION_FORWARD,
    ReplyStatus.LOCATION_FORWARD_PERM,
  ]
) {
  test(`RemoteObject goes where it is sent by status ${status}`, async () => {
    await using target = await named("target");
    await using server = await GiopServer.start(({ id, client }) =>
      client.send(
        reply(
          id,
          (to) => writeReference(to, referenceTo(target.endpoint)),
          status,
        ),
      )
    );
    const object = objectAt(() => referenceTo(server.endpoint));
    assertEquals([await ask(object), await ask(object)], ["target", "target"]);
    assertEquals(server.clients.length, 1);
    object.close();
  });
}

test("RemoteObject does not go in circles", async () => {
  let requests = 0;
  await using server = await GiopServer.start(({ id, client }) => {
    requests++;
    client.send(
      reply(
        id,
        (to) => writeReference(to, referenceTo(server.endpoint)),
        ReplyStatus.LOCATION_FORWARD,
      ),
    );
  });
  const object = objectAt(() => referenceTo(server.endpoint));
  await assertRejects(() => ask(object), SystemException, "in circles");
  assertEquals(requests, 6);
  object.close();
});

test("RemoteObject makes a DeviceError of DevFailed, with all its errors", async () => {
  const write = (to: CdrWriter) =>
    to.string("IDL:Tango/DevFailed:1.0").sequence(
      ["inner", "outer"],
      (reason) =>
        to.string(reason).unsignedLong(2).string(`${reason} text`)
          .string("Stage::move"),
    );
  await using server = await GiopServer.start(({ id, client }) =>
    client.send(reply(id, write, ReplyStatus.USER_EXCEPTION))
  );
  const object = objectAt(() => referenceTo(server.endpoint));
  const { errors } = await assertRejects(() => ask(object), DeviceError);
  assertEquals(
    errors,
    ["inner", "outer"].map((reason) => ({
      reason,
      severity: "PANIC",
      desc: `${reason} text`,
      origin: "Stage::move",
    })),
  );
  object.close();
});

test("RemoteObject tells of the exceptions of the server around the object", async () => {
  const write = (to: CdrWriter) =>
    to.string("IDL:omg.org/CORBA/OBJECT_NOT_EXIST:1.0")
      .unsignedLong(0x4f4d0001).unsignedLong(1);
  await using server = await GiopServer.start(({ id, client }) =>
    client.send(reply(id, write, ReplyStatus.SYSTEM_EXCEPTION))
  );
  const object = objectAt(() => referenceTo(server.endpoint));
  const { kind, minor, completed } = await assertRejects(
    () => ask(object),
    SystemException,
  );
  assertEquals([kind, minor, completed], [
    "OBJECT_NOT_EXIST",
    0x4f4d0001,
    "no",
  ]);
  object.close();
});
