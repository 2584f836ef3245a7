// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { timeout } from "@longrun/tasks/cancellation";
import { ManualClock } from "@longrun/tasks/testing";
import type { TangoSubscription } from "../device_event.ts";
import { DeviceProxy } from "../device_proxy.ts";
import { pause } from "./_child.ts";
import {
  databaseTest,
  startDatabase,
  TangoServer,
  tangoTest,
} from "./_tango_server.ts";
import { WiredServer } from "./_wired_server.ts";

async function next(events: TangoSubscription): Promise<unknown> {
  const { done, value } = await timeout(events.next(), 20_000);
  if (done) return "end";
  return "errors" in value ? value.errors[0]?.reason : value.value;
}

tangoTest("DeviceProxy puts events together however they are cut", async () => {
  await using wired = await WiredServer.start("types", {
    attribute: "Pushed",
  });
  await using proxy = await DeviceProxy.connect(wired.url, {
    int64: "number",
  });
  const { events: wire } = wired;
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
      // What comes later, when the machine is busy, comes as it is.
      wire.mode("down", { kind: "forward" });
    }
    const end = last + 10;
    while (last < end) assertEquals(await next(events), ++last);
  }
});

tangoTest("DeviceProxy recovers from a cut of each connection", async () => {
  await using wired = await WiredServer.start("types", {
    attribute: "Pushed",
  });
  await using proxy = await DeviceProxy.connect(wired.url, {
    int64: "number",
  });
  const events = await proxy.subscribe("Pushed");
  assertEquals(await next(events), 0);
  let last = 0;
  for (const wire of [wired.events, wired.heartbeats]) {
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
  wired.calls.cut();
  await pause(50);
  await proxy.command("PushChange", 1);
  assertEquals(await next(events), ++last);
});

tangoTest("DeviceProxy notices a connection that swallows all", async () => {
  await using wired = await WiredServer.start("types", {
    attribute: "Pushed",
  });
  const clock = new ManualClock();
  await using proxy = await DeviceProxy.connect(wired.url, {
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
  wired.events.mode("down", { kind: "swallow" });
  wired.heartbeats.mode("down", { kind: "swallow" });
  await clock.advance(13_000);
  assertEquals(await next(events), "API_EventTimeout");
  wired.events.mode("down", { kind: "forward" });
  wired.heartbeats.mode("down", { kind: "forward" });
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
