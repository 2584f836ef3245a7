// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertRejects } from "@std/assert";
import { DeviceError } from "@longrun/tasks/device-proxy";
import { test } from "@std/testing/bdd";
import { Buffer } from "node:buffer";
import { readAnswer, writeArgument } from "../_command_value.ts";
import { CdrWriter } from "../_cdr_writer.ts";
import type { Endpoint } from "../_giop_connection.ts";
import { encodeText } from "../_text.ts";
import { DeviceProxy } from "../device_proxy.ts";
import type { TangoSubscription } from "../device_event.ts";
import { CmdArgType } from "../tango_types.ts";
import { EventServer } from "./_event_server.ts";
import { GiopServer, reply } from "./_giop_server.ts";

/** What is known of an attribute `X`, a whole number that can be written. */
function writeShortAttribute(to: CdrWriter): void {
  const texts = (count: number) => {
    for (let n = 0; n < count; n++) to.string("");
  };
  to.unsignedLong(1).string("X").unsignedLong(3).unsignedLong(0)
    .long(CmdArgType.DevShort).boolean(false).boolean(false).long(1).long(0);
  texts(9);
  to.unsignedLong(0);
  texts(1);
  to.unsignedLong(0);
  for (const count of [6, 2, 1, 3]) {
    texts(count);
    to.unsignedLong(0);
  }
  to.unsignedLong(0).unsignedLong(0);
}

/** A device with one command, which gives back what it gets. */
class Echo implements AsyncDisposable {
  /** The type of what it gets. */
  inType: CmdArgType = CmdArgType.DevShort;
  /** Whether it answers. */
  isHanging = false;
  readonly asked: string[] = [];
  readonly #server: GiopServer;

  private constructor(start: (echo: Echo) => GiopServer) {
    this.#server = start(this);
  }

  static async start(): Promise<Echo> {
    let echo: Echo | undefined;
    const server = await GiopServer.start(({ id, client, operation, body }) => {
      echo?.asked.push(operation);
      if (echo === undefined || echo.isHanging) return;
      const { inType } = echo;
      if (operation === "command_inout_4") {
        body.string();
        const value = readAnswer(body);
        client.send(reply(id, (to) => writeArgument(to, inType, value)));
      } else if (operation === "command_list_query_2") {
        client.send(
          reply(
            id,
            (to) =>
              to.unsignedLong(1).string("Echo").unsignedLong(0).long(0)
                .long(inType).long(inType).string("").string(""),
          ),
        );
      } else if (operation === "get_attribute_config_5") {
        client.send(reply(id, writeShortAttribute));
      } else {
        client.send(reply(id));
      }
    });
    return echo = new Echo(() => server);
  }

  get url(): string {
    return `tango://127.0.0.1:${this.#server.endpoint.port}/a/b/c#dbase=no`;
  }

  /** Closes its connections, as one does that is started anew. */
  async hangUp(): Promise<void> {
    for (const client of [...this.#server.clients]) {
      const isGone = new Promise((resolve) =>
        client.socket.once("close", resolve)
      );
      client.socket.end();
      if (!client.isClosed) await isGone;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
  }
}

test("DeviceProxy rejects with the reason of a signal, whatever that is", async () => {
  await using echo = await Echo.start();
  await using proxy = await DeviceProxy.connect(echo.url);
  await proxy.command("Echo", 1);
  echo.isHanging = true;
  // What made another device fail, maybe.
  const reason = new DeviceError([{
    reason: "Other_Failed",
    desc: "Another device",
    severity: "ERR",
    origin: "there",
  }]);
  const calls = [
    (signal: AbortSignal) => proxy.command("Echo", 1, { signal }),
    (signal: AbortSignal) => proxy.writeAttribute("X", 1, { signal }),
    (signal: AbortSignal) => proxy.readAttribute("X", { signal }),
    (signal: AbortSignal) => proxy.subscribe("X", { signal }),
    (signal: AbortSignal) => DeviceProxy.connect(echo.url, { signal }),
  ];
  for (const call of calls) {
    const controller = new AbortController();
    const count = echo.asked.length;
    const result = call(controller.signal).catch((error) => error);
    while (echo.asked.length === count) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    controller.abort(reason);
    assertEquals(await result === reason, true, String(call));
  }
});

test("DeviceProxy asks for the types again when its connection was lost", async () => {
  await using echo = await Echo.start();
  await using proxy = await DeviceProxy.connect(echo.url);
  assertEquals(await proxy.command("Echo", 1), 1);
  assertEquals(await proxy.command("echo", 2), 2);
  const lists = () => echo.asked.filter((name) => /list/.test(name)).length;
  assertEquals(lists(), 1);
  await assertRejects(() => proxy.command("Echo", "text"), TypeError);
  echo.inType = CmdArgType.DevString;
  await echo.hangUp();
  assertEquals(await proxy.command("Echo", "text"), "text");
  assertEquals(lists(), 2);
});

test("DeviceProxy asks for the types again if its connection is lost while it asks", async () => {
  await using echo = await Echo.start();
  await using proxy = await DeviceProxy.connect(echo.url);
  assertEquals(await proxy.command("Echo", 1), 1);
  // The question for an attribute is asked again over the next connection.
  echo.isHanging = true;
  const write = proxy.writeAttribute("X", 1);
  const asked = () => echo.asked.includes("get_attribute_config_5");
  while (!asked()) await new Promise((resolve) => setTimeout(resolve, 1));
  echo.isHanging = false;
  echo.inType = CmdArgType.DevString;
  await echo.hangUp();
  await write;
  assertEquals(await proxy.command("Echo", "text"), "text");
});

test("DeviceProxy sends what it was given, whatever becomes of it", async () => {
  await using echo = await Echo.start();
  for (
    const [inType, given, change] of [
      [CmdArgType.DevVarShortArray, [1, 2], (to: number[]) => to.push(3)],
      [
        CmdArgType.DevVarShortArray,
        Int16Array.of(1, 2),
        (to: Int16Array) => to.fill(7),
      ],
      [
        CmdArgType.DevVarCharArray,
        Buffer.from([1, 2]),
        (to: Uint8Array) => to.fill(7),
      ],
      [CmdArgType.DevVarLongStringArray, [[1], ["a"]], (to: unknown[][]) => {
        to[1]?.push("b");
      }],
      [CmdArgType.DevEncoded, { format: "x", data: Uint8Array.of(1) }, (
        to: { format: string; data: Uint8Array },
      ) => {
        to.format = "y";
        to.data.fill(7);
      }],
      [CmdArgType.DevEncoded, { format: "x", data: "text" }, (
        to: { format: string; data: string },
      ) => {
        to.format = "y";
        to.data = "other";
      }],
    ] as const
  ) {
    echo.inType = inType;
    await using proxy = await DeviceProxy.connect(echo.url);
    const expected = await proxy.command("Echo", structuredClone(given));
    await echo.hangUp();
    const answer = proxy.command("Echo", given);
    (change as (to: unknown) => void)(given);
    assertEquals(await answer, expected);
  }
});

test("DeviceProxy reads what was named, whatever becomes of the names", async () => {
  await using server = await EventServer.start();
  await using proxy = await DeviceProxy.connect(server.url);
  server.hangUp();
  const names = ["X"];
  const values = proxy.readAttributes(names);
  names.push("Y");
  assertEquals(await values, [0]);
  const sparse: string[] = [];
  sparse[1] = "X";
  await assertRejects(
    () => proxy.readAttributes(sparse),
    TypeError,
    "'names' must be an array of strings",
  );
});

test("DeviceProxy refuses a size of messages that events cannot have", async () => {
  await using server = await EventServer.start();
  for (const maxMessage of [Infinity, 1e6 + 0.5, 0, NaN]) {
    await assertRejects(
      () => DeviceProxy.connect(server.url, { maxMessage }),
      RangeError,
      "Cannot connect to device as 'maxMessage' must be an integer of at least 1",
    );
  }
  await using proxy = await DeviceProxy.connect(server.url, {
    maxMessage: 1e6,
  });
  await using events = await proxy.subscribe("X");
  assertEquals(await next(events), 0);
});

test("DeviceProxy refuses what is no name, and no address of a database", async () => {
  await using echo = await Echo.start();
  await using proxy = await DeviceProxy.connect(echo.url);
  for (
    const call of [
      () => proxy.command("a\0b"),
      () => proxy.readAttribute("a\0b"),
      () => proxy.readAttributes(["X", "a\0b"]),
      () => proxy.writeAttribute("a\0b", 1),
      () => proxy.subscribe("a\0b"),
    ]
  ) {
    await assertRejects(call, TypeError, "without a NUL character");
  }
  const tangoHost = 10_000 as unknown as string;
  await assertRejects(
    () => DeviceProxy.connect("a/b/c", { tangoHost }),
    TypeError,
    "Cannot connect to device as 'tangoHost' must be given",
  );
});

function referenceTo({ host, port }: Endpoint): string {
  const { bytes } = new CdrWriter().octet(1).string("IDL:Tango/Device_5:1.0")
    .unsignedLong(1).unsignedLong(0).encapsulation((profile) =>
      profile.octet(1).octet(2).string(host).unsignedShort(port)
        .octets(encodeText("a/b/c")).unsignedLong(0)
    );
  const digits = Array.from(
    bytes,
    (byte) => byte.toString(16).padStart(2, "0"),
  );
  return `IOR:${digits.join("")}`;
}

async function next(events: TangoSubscription): Promise<unknown> {
  const { done, value } = await events.next();
  if (done) return "end";
  return "errors" in value ? value.errors[0]?.reason : value.value;
}

test("DeviceProxy says of an outage once, whatever a database says", async () => {
  await using server = await EventServer.start();
  let isExported = true;
  let imports = 0;
  await using database = await GiopServer.start(({ id, client }) => {
    imports++;
    client.send(
      reply(id, (to) =>
        writeArgument(to, CmdArgType.DevVarLongStringArray, [
          [isExported ? 1 : 0, 1],
          ["a/b/c", referenceTo(server.endpoint)],
        ])),
    );
  });
  await using proxy = await DeviceProxy.connect("a/b/c", {
    tangoHost: `127.0.0.1:${database.endpoint.port}`,
  });
  await using events = await proxy.subscribe("X");
  assertEquals(await next(events), 0);
  isExported = false;
  server.hangUp();
  server.events.reset();
  assertEquals(await next(events), "API_EventTimeout");
  const asked = imports;
  while (imports === asked) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  isExported = true;
  server.value = 7;
  assertEquals(await next(events), 7);
});
