// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { timeout } from "@longrun/tasks/cancellation";
import { ManualClock } from "@longrun/tasks/testing";
import type { TangoSubscription } from "../device_event.ts";
import { DeviceProxy } from "../device_proxy.ts";
import { freePort, pause } from "./_child.ts";
import {
  databaseTest,
  startDatabase,
  TangoServer,
  tangoTest,
} from "./_tango_server.ts";
import { WireProxy } from "./_wire_proxy.ts";

async function next(events: TangoSubscription): Promise<unknown> {
  const { done, value } = await timeout(events.next(), 20_000);
  if (done) return "end";
  return "errors" in value ? value.errors[0]?.reason : value.value;
}

/** A server behind wire proxies: for calls, for events and for heartbeats. */
class Behind implements AsyncDisposable {
  readonly server: TangoServer;
  readonly calls: WireProxy;
  readonly events: WireProxy;
  readonly heartbeats: WireProxy;

  private constructor(
    server: TangoServer,
    wires: [WireProxy, WireProxy, WireProxy],
  ) {
    this.server = server;
    [this.calls, this.events, this.heartbeats] = wires;
  }

  static async start(): Promise<Behind> {
    const server = await TangoServer.start("types");
    const address = `tango://127.0.0.1:${server.port}/${server.admin}#dbase=no`;
    await using admin = await DeviceProxy.connect(address);
    const [, texts] = await admin.command("ZmqEventSubscriptionChange", [
      "test/types/1",
      "Pushed",
      "subscribe",
      "change",
      "5",
    ]) as [unknown, string[]];
    const ports = texts.slice(0, 2).map((text) => text.split(":")[2] ?? "");
    const wires = await Promise.all(
      ports.map(async (port) => {
        // As many digits as the true one: it takes its place in messages.
        let own = await freePort();
        while (String(own).length !== port.length) own = await freePort();
        return await WireProxy.start(Number(port), own);
      }),
    );
    const [heartbeats, events] = wires;
    assert(heartbeats !== undefined && events !== undefined);
    const calls = await WireProxy.start(server.port);
    const change = (bytes: Uint8Array): Uint8Array => {
      let text = String.fromCharCode(...bytes);
      ports.forEach((port, index) =>
        text = text.replaceAll(
          `tcp://127.0.0.1:${port}`,
          `tcp://127.0.0.1:${wires[index]?.port}`,
        )
      );
      return Uint8Array.from(text, (char) => char.charCodeAt(0));
    };
    calls.mode("down", { kind: "change", change });
    return new Behind(server, [calls, events, heartbeats]);
  }

  get url(): string {
    return this.server.urlOf("test/types/1", this.calls.port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const wire of [this.calls, this.events, this.heartbeats]) {
      await wire.stop();
    }
    await this.server.stop();
  }
}

tangoTest("DeviceProxy puts events together however they are cut", async () => {
  await using behind = await Behind.start();
  await using proxy = await DeviceProxy.connect(behind.url, {
    int64: "number",
  });
  const { events: wire } = behind;
  wire.mode("up", { kind: "split" });
  const events = await proxy.subscribe("Pushed");
  await pause(300);
  assertEquals(await next(events), 0);
  let last = 0;
  for (
    const mode of [
      { kind: "split", size: 7 },
      { kind: "delay", ms: 20 },
      { kind: "merge" },
    ] as const
  ) {
    wire.mode("down", mode);
    await proxy.command("PushChange", 10);
    if (mode.kind === "merge") {
      await pause(100);
      wire.flush("down");
    }
    const end = last + 10;
    while (last < end) assertEquals(await next(events), ++last);
  }
});

tangoTest("DeviceProxy recovers from a cut of each connection", async () => {
  await using behind = await Behind.start();
  await using proxy = await DeviceProxy.connect(behind.url, {
    int64: "number",
  });
  const events = await proxy.subscribe("Pushed");
  assertEquals(await next(events), 0);
  let last = 0;
  for (const wire of [behind.events, behind.heartbeats]) {
    for (const reset of [false, true]) {
      wire.cut({ reset });
      assertEquals(await next(events), "API_EventTimeout");
      await proxy.command("PushChange", 3);
      last += 3;
      assertEquals(await next(events), last);
      await proxy.command("PushChange", 1);
      assertEquals(await next(events), ++last);
    }
  }
  // Calls have a connection of their own.
  behind.calls.cut();
  await pause(50);
  await proxy.command("PushChange", 1);
  assertEquals(await next(events), ++last);
});

tangoTest("DeviceProxy notices a connection that swallows all", async () => {
  await using behind = await Behind.start();
  const clock = new ManualClock();
  await using proxy = await DeviceProxy.connect(behind.url, {
    int64: "number",
    clock,
  });
  const subscribing = proxy.subscribe("Pushed");
  let isDone = false;
  subscribing.finally(() => isDone = true);
  while (!isDone) {
    await pause(5);
    await clock.advance(10);
  }
  const events = await subscribing;
  assertEquals(await next(events), 0);
  behind.events.mode("down", { kind: "swallow" });
  behind.heartbeats.mode("down", { kind: "swallow" });
  await clock.advance(11_000);
  assertEquals(await next(events), "API_EventTimeout");
  behind.events.mode("down", { kind: "forward" });
  behind.heartbeats.mode("down", { kind: "forward" });
  const value = next(events);
  let isBack = false;
  value.finally(() => isBack = true);
  while (!isBack) {
    await pause(5);
    await clock.advance(10);
  }
  assertEquals(await value, 0);
});

tangoTest("DeviceProxy finds a server again that was killed", async () => {
  await using server = await TangoServer.start("types");
  await using proxy = await DeviceProxy.connect(server.url, {
    int64: "number",
  });
  const [pushed, polled] = [
    await proxy.subscribe("Pushed"),
    await proxy.subscribe("Polled", { type: "periodic" }),
  ];
  await proxy.command("PushChange", 2);
  assertEquals([await next(pushed), await next(pushed), await next(pushed)], [
    0,
    1,
    2,
  ]);
  await server.kill();
  assertEquals(await next(pushed), "API_EventTimeout");
  await server.restart();
  assertEquals(await next(pushed), 0);
  await proxy.command("PushChange", 1);
  assertEquals(await next(pushed), 1);
  while (await next(polled) !== "API_EventTimeout");
  for (let n = 0; n < 5; n++) {
    assertEquals(typeof await next(polled), "number");
  }
});

// 15 s, as a server is really silent so long.
tangoTest(
  "DeviceProxy hears again of a server that was stopped for 15 s",
  async () => {
    await using server = await TangoServer.start("types");
    await using proxy = await DeviceProxy.connect(server.url, {
      int64: "number",
    });
    const events = await proxy.subscribe("Pushed");
    assertEquals(await next(events), 0);
    server.freeze();
    await pause(15_000);
    server.thaw();
    assertEquals(await next(events), "API_EventTimeout");
    assertEquals(await next(events), 0);
    await proxy.command("PushChange", 1);
    assertEquals(await next(events), 1);
  },
);

databaseTest(
  "DeviceProxy finds a server on another port by the database",
  async () => {
    await using database = await startDatabase();
    const first = await TangoServer.start("types", { database });
    await using proxy = await DeviceProxy.connect(first.url, {
      tangoHost: database.host,
      int64: "number",
    });
    const events = await proxy.subscribe("Pushed");
    assertEquals(await next(events), 0);
    await first.stop();
    assertEquals(await next(events), "API_EventTimeout");
    await using second = await TangoServer.start("types", { database });
    assert(second.port !== first.port);
    assertEquals(await next(events), 0);
    await proxy.command("PushChange", 1);
    assertEquals(await next(events), 1);
  },
);
