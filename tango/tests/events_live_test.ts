// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { timeout } from "@longrun/tasks/cancellation";
import { DeviceError } from "@longrun/tasks/device-proxy";
import type {
  EventType,
  TangoEvent,
  TangoSubscription,
} from "../device_event.ts";
import { DeviceProxy } from "../device_proxy.ts";
import { type DevEncoded, DevState } from "../tango_types.ts";
import { pause } from "./_child.ts";
import {
  Oracle,
  type OracleEvent,
  type OracleEvents,
  type OracleEventType,
  toOracle,
} from "./_oracle.ts";
import { TangoServer, tangoTest } from "./_tango_server.ts";

async function next(events: TangoSubscription): Promise<TangoEvent> {
  const { done, value } = await timeout(events.next(), 15_000);
  if (done) throw new Error("The subscription has ended");
  return value;
}

const STATES = new Map(
  Object.entries(DevState).map(([name, value]) => [value, name]),
);

/** What both clients can tell of an event. */
function ours(event: TangoEvent, isState = false): unknown {
  if ("errors" in event) return event.errors.map(({ reason }) => reason);
  const { value } = event;
  if (isState) return STATES.get(value as DevState);
  if (value instanceof Uint8Array) return Array.from(value);
  if (typeof value === "object" && value !== null && "format" in value) {
    const { format, data } = value as DevEncoded;
    return toOracle([format, data]);
  }
  return toOracle(value);
}

function theirs(event: OracleEvent): unknown {
  if (event.errors !== undefined) {
    return event.errors.map(({ reason }) => reason);
  }
  return toOracle(event.counter ?? event.value);
}

/** Without those that come twice: their times are the same. */
function distinct(events: readonly OracleEvent[]): OracleEvent[] {
  return events.filter((event, index) =>
    event.time === undefined || event.time !== events[index - 1]?.time
  );
}

interface Pair {
  readonly mine: TangoSubscription;
  readonly other: OracleEvents;
}

tangoTest("DeviceProxy tells the events that PyTango tells", async () => {
  await using server = await TangoServer.start("types");
  await using oracle = new Oracle();
  await using proxy = await DeviceProxy.connect(server.url);

  async function subscribe(
    type: EventType,
    oracleType: OracleEventType,
    name: string,
  ): Promise<Pair> {
    const mine = await proxy.subscribe(name, { type });
    return {
      mine,
      other: await oracle.subscribe(server.url, oracleType, name),
    };
  }

  const kinds = [
    ["change", "change", "PushChange"],
    ["archive", "archive", "PushArchive"],
    ["user", "user_event", "PushUser"],
  ] as const;
  for (const [type, oracleType, command] of kinds) {
    const { mine, other } = await subscribe(type, oracleType, "Pushed");
    await proxy.command(command, 3);
    // The beginning is the same value, read twice.
    const told = [await next(mine)];
    while (told.length < 4) told.push(await next(mine));
    const heard: OracleEvent[] = [];
    while (distinct(heard).length < 4) heard.push(await other.next());
    assertEquals(told.map((one) => ours(one)), distinct(heard).map(theirs));
    await mine.return();
    await other.end();
  }

  const { mine, other } = await subscribe("change", "change", "Pushed");
  await proxy.command("PushError", ["Pushed", "Test_Event", "Oh"]);
  await next(mine);
  await other.next();
  const error = await next(mine);
  assertEquals(ours(error), ["Test_Event"]);
  assertEquals(ours(error), theirs(await other.next()));
  await mine.return();
  await other.end();
});

tangoTest(
  "DeviceProxy tells numbers of data, and another interface",
  async () => {
    await using server = await TangoServer.start("types");
    await using proxy = await DeviceProxy.connect(server.url);
    const ready = await proxy.subscribe("Pushed", { type: "data-ready" });
    for (const count of [1, 2, 3]) await proxy.command("PushDataReady", count);
    const counts: unknown[] = [];
    while (counts.at(-1) !== 3) counts.push(ours(await next(ready)));
    // Without a database they are not counted: the first one may come twice.
    assertEquals([...new Set(counts)], [1, 2, 3]);

    const changes = await proxy.subscribe("", { type: "interface-change" });
    await proxy.command("AddAttribute", "Added");
    const event = await next(changes);
    assert("value" in event);
    const { attributes, commands } = event.value as {
      attributes: { name: string }[];
      commands: { name: string }[];
    };
    assert(attributes.some(({ name }) => name === "Added"));
    assert(commands.some(({ name }) => name === "AddAttribute"));
  },
);

tangoTest("DeviceProxy tells periodic events of what is polled", async () => {
  await using server = await TangoServer.start("types");
  await using proxy = await DeviceProxy.connect(server.url);
  const types = ["periodic", "change", "archive"] as const;
  const all = await Promise.all(
    types.map((type) => proxy.subscribe("Polled", { type })),
  );
  for (const events of all) {
    let last = -1;
    for (let n = 0; n < 4; n++) {
      const event = await next(events);
      assert("value" in event && Number(event.value) >= last);
      last = Number(event.value);
    }
  }
});

tangoTest("DeviceProxy tells values of all types as events", async () => {
  await using server = await TangoServer.start("types");
  await using oracle = new Oracle();
  await using proxy = await DeviceProxy.connect(server.url);
  const attributes = await proxy.attributeNames();
  const names = attributes.filter((name) =>
    /^Dev.*(Scalar|Spectrum)$/.test(name)
  );
  assert(names.length > 20, names.join());
  let compared = 0;
  for (const name of names) {
    let mine: TangoSubscription;
    try {
      mine = await proxy.subscribe(name);
    } catch (error) {
      assert(error instanceof DeviceError);
      continue;
    }
    const other = await oracle.subscribe(server.url, "change", name);
    await proxy.command("PushValue", name);
    await next(mine);
    await other.next();
    const isState = name === "DevStateScalar";
    const [told, heard] = [await next(mine), await other.next()];
    if (!/DevState/.test(name) || isState) {
      assertEquals([name, ours(told, isState)], [name, theirs(heard)]);
    }
    compared++;
    await mine.return();
    await other.end();
  }
  assert(compared > 20, String(compared));
});

tangoTest("DeviceProxy keeps 10,000 events in order", async () => {
  await using server = await TangoServer.start("types");
  await using proxy = await DeviceProxy.connect(server.url, {
    timeout: 30_000,
    int64: "number",
  });
  const events = await proxy.subscribe("Pushed", { capacity: 20_000 });
  assertEquals(ours(await next(events)), 0);
  let last = 0;
  // Below the high-water mark of the server, which is 1000.
  for (let round = 1; round <= 20; round++) {
    await proxy.command("PushChange", 500);
    while (last < 500 * round) assertEquals(ours(await next(events)), ++last);
  }
  // Beyond it the server drops what is not taken in time.
  await proxy.command("PushChange", 10_000);
  await proxy.ping();
  await pause(500);
  await proxy.command("PushChange", 1);
  while (last < 20_001) {
    const value = Number(ours(await next(events)));
    assert(value > last, `${value} after ${last}`);
    last = value;
  }
  assertEquals(events.dropped, 0);
});

tangoTest("DeviceProxy refuses attributes that are unknown", async () => {
  await using server = await TangoServer.start("types");
  await using oracle = new Oracle();
  await using proxy = await DeviceProxy.connect(server.url);
  const mine = await assertRejects(
    () => proxy.subscribe("Unknown"),
    DeviceError,
  );
  const other = await assertRejects(
    () => oracle.subscribe(server.url, "change", "Unknown"),
    DeviceError,
  );
  assertEquals(mine.errors[0]?.reason, other.errors[0]?.reason);
  for (const type of ["periodic", "archive"] as const) {
    const error = await assertRejects(
      () => proxy.subscribe("Invalid", { type }),
      DeviceError,
    );
    const { reason } = error.errors[0] ?? {};
    const same = await assertRejects(
      () => oracle.subscribe(server.url, type, "Invalid"),
      DeviceError,
    );
    assertEquals(reason, same.errors[0]?.reason);
  }
});

tangoTest(
  "DeviceProxy begins with the error of an attribute that cannot be read",
  async () => {
    await using server = await TangoServer.start("types");
    await using oracle = new Oracle();
    await using proxy = await DeviceProxy.connect(server.url);
    const mine = await proxy.subscribe("Failing");
    const other = await oracle.subscribe(server.url, "change", "Failing");
    const told = ours(await next(mine));
    assertEquals(told, ["PyDs_PythonError"]);
    assertEquals(told, theirs(await other.next()));
  },
);
