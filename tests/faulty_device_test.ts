// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertGreater,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import {
  DeviceError,
  type DeviceEvent,
  type DeviceProxy,
} from "../device_proxy.ts";
import { FaultyDevice, type FaultyDeviceOptions } from "../testing.ts";
import { CountingController } from "./_listeners.ts";
import {
  ask,
  collect,
  Held,
  LrcRig,
  reasonsOf,
  turnOn,
  valuesOf,
} from "./_lrc_device_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

type Rig = LrcRig<
  Record<string, unknown>,
  { angle: number; shutter: string }
>;

function makeRig(): Rig {
  const held = new Held();
  return new LrcRig<
    Record<string, unknown>,
    { angle: number; shutter: string }
  >({
    commands: { On: turnOn, Hold: held.execute },
    attributes: { angle: 0, shutter: "closed" },
  });
}

function faulty(rig: Rig, options: FaultyDeviceOptions = {}): FaultyDevice {
  return new FaultyDevice(rig.device, { clock: rig.timers, ...options });
}

/** Turns the real device to angles from 1 on. */
function turn(rig: Rig, count: number): void {
  const angle = rig.device.getAttribute("angle");
  for (let step = 1; step <= count; step++) {
    rig.device.setAttribute("angle", angle + step);
  }
}

const range = (first: number, end: number): number[] =>
  Array.from({ length: end - first }, (_, index) => first + index);

test("FaultyDevice without faults is as the device", async () => {
  await using rig = makeRig();
  const device: DeviceProxy = faulty(rig);
  assertEquals(device.name, "test/lrc/1");
  assertEquals(
    await device.attributeNames(),
    await rig.device.attributeNames(),
  );
  assertEquals(await device.readAttributes(["Angle", "shutter"]), [
    0,
    "closed",
  ]);
  const events = collect(await device.subscribe("_lrcEvent"));
  const same = collect(await rig.device.subscribe("_lrcEvent"));
  assertEquals((await ask(device, "On"))[0], 2);
  await rig.pass(200);
  assertEquals(events, same);
  assertEquals(events.length, 7);
  assertEquals(await reasonsOf(device.command("Off", undefined)), [
    "API_CommandNotFound",
    "API_CommandFailed",
  ]);
  assertEquals(await reasonsOf(device.subscribe("Off")), ["API_AttrNotFound"]);
});

test("FaultyDevice answers late, when the events have come", async () => {
  await using rig = makeRig();
  const device = faulty(rig, { answerDelay: 150 });
  const events = collect(await device.subscribe("_lrcEvent"));
  let answer: unknown;
  ask(device, "On").then(([code]) => answer = code);
  await rig.pass(149);
  assertEquals([events.length, answer], [6, undefined]);
  await rig.pass(1);
  assertEquals(answer, 2);
});

test("FaultyDevice gives the first change twice, but not the first read, and no others", async () => {
  await using rig = makeRig();
  const device = faulty(rig, { duplicateFirst: true });
  const events = collect(await device.subscribe("angle"));
  await rig.pass();
  turn(rig, 3);
  await rig.pass();
  assertEquals(valuesOf(events), [0, 1, 1, 2, 3]);
  assertEquals(device.counts.duplicated, 1);
});

test("FaultyDevice duplicates, drops and malforms as many as it should, but never what is read first", async () => {
  await using rig = makeRig();
  for (const fault of ["duplicate", "drop", "malform"] as const) {
    for (const part of [0, 0.3, 1]) {
      const device = faulty(rig, { [fault]: part });
      const value = rig.device.getAttribute("shutter");
      await using subscription = await device.subscribe("shutter");
      const events = collect(subscription);
      for (let count = 0; count < 500; count++) {
        rig.device.setAttribute("shutter", `ab${count % 2}`);
      }
      await rig.pass();
      assertEquals(events[0], { attribute: "shutter", value });
      const { dropped, duplicated, malformed } = device.counts;
      const hit = { duplicate: duplicated, drop: dropped, malform: malformed }[
        fault
      ];
      assert(Math.abs(hit - part * 500) < 60, `${fault}: ${hit} of 500`);
      assertEquals(dropped + duplicated + malformed, hit);
      assertEquals(events.length, 501 + duplicated - dropped);
      assertEquals(
        valuesOf(events).slice(1).filter((value) => value === "a").length,
        malformed,
      );
    }
  }
});

test("FaultyDevice drops and malforms what it is told to", async () => {
  await using rig = makeRig();
  const isEnd = (event: DeviceEvent): boolean =>
    "value" in event && JSON.stringify(event.value).includes("result");
  const dropping = faulty(rig, { drop: isEnd });
  const malforming = faulty(rig, { malform: isEnd });
  const [dropped, malformed] = [
    collect(await dropping.subscribe("_lrcEvent")),
    collect(await malforming.subscribe("_lrcEvent")),
  ];
  await ask(rig.device, "On");
  await rig.pass(200);
  assertEquals(dropped.length, 6);
  assertEquals(malformed.length, 7);
  const [, json] = valuesOf(malformed)[6] as [string, string];
  assertThrows(() => JSON.parse(json), SyntaxError);
  assertEquals(malforming.counts.malformed, 1);
});

test("FaultyDevice malforms names too, and leaves what has no text", async () => {
  await using rig = makeRig();
  const device = faulty(rig, { malform: 1 });
  const statuses = collect(await device.subscribe("longRunningCommandStatus"));
  const angles = collect(await device.subscribe("angle"));
  turn(rig, 1);
  await ask(device, "On");
  await rig.pass();
  const last = valuesOf(statuses).map((list) => (list as string[]).at(-1));
  assertEquals(last, [undefined, "STA", "QUE", "IN_PR"]);
  assertEquals(valuesOf(angles), [0, 1]);
});

test("FaultyDevice delays events in their order", async () => {
  await using rig = makeRig();
  const device = faulty(rig, { eventDelay: 50 });
  const events = collect(await device.subscribe("angle"));
  await rig.pass();
  turn(rig, 2);
  await rig.pass(49);
  assertEquals(valuesOf(events), [0]);
  await rig.pass(1);
  assertEquals(valuesOf(events), [0, 1, 2]);

  const shaky = faulty(rig, { eventDelay: [10, 100] });
  const late = collect(await shaky.subscribe("angle"));
  await rig.pass();
  turn(rig, 50);
  await rig.pass(9);
  assertEquals(late.length, 1);
  await rig.pass(91);
  assertEquals(valuesOf(late), range(2, 53));
});

test("FaultyDevice lets events overtake each other, and loses none by that", async () => {
  await using rig = makeRig();
  const device = faulty(rig, { eventDelay: [0, 100], reorder: true });
  const events = collect(await device.subscribe("angle"));
  await rig.pass();
  turn(rig, 50);
  await rig.pass(100);
  const values = valuesOf(events) as number[];
  assertEquals(values[0], 0);
  assertNotEquals(values, range(0, 51));
  assertEquals(values.toSorted((one, other) => one - other), range(0, 51));
});

test("FaultyDevice repeats its faults for the same seed", async () => {
  const run = async (seed: number): Promise<unknown> => {
    await using rig = makeRig();
    const device = faulty(rig, {
      seed,
      duplicate: 0.2,
      drop: 0.2,
      malform: 0.2,
      eventDelay: [0, 20],
      reorder: true,
    });
    const all = [
      collect(await device.subscribe("angle")),
      collect(await device.subscribe("angle")),
    ];
    await rig.pass();
    for (let step = 0; step < 50; step++) {
      turn(rig, 1);
      await rig.pass(1);
    }
    await rig.pass(100);
    assertNotEquals(all[0], all[1]);
    return [all, device.counts];
  };
  assertEquals(await run(7), await run(7));
  assertNotEquals(await run(7), await run(8));
  assertNotEquals(await run(0), await run(1));
});

test("FaultyDevice hides attributes, and has no events of some", async () => {
  await using rig = makeRig();
  const device = faulty(rig, {
    missing: ["lrcProtocolVersions"],
    eventless: ["ANGLE"],
  });
  const names = await device.attributeNames();
  assert(names.includes("angle") && !names.includes("lrcProtocolVersions"));
  assertEquals(
    await reasonsOf(device.readAttributes(["angle", "LRCprotocolVersions"])),
    ["API_AttrNotFound"],
  );
  assertEquals(await reasonsOf(device.subscribe("lrcProtocolVersions")), [
    "API_AttrNotFound",
  ]);
  assertEquals(await reasonsOf(device.subscribe("angle")), [
    "API_AttributePollingNotStarted",
  ]);
  assertEquals(await device.readAttributes(["angle"]), [0]);
  await (await device.subscribe("shutter")).return();
  const deaf = faulty(rig, { eventless: "all" });
  assertEquals(await reasonsOf(deaf.subscribe("shutter")), [
    "API_AttributePollingNotStarted",
  ]);
});

test("FaultyDevice that is away fails at everything, tells so again and again, and loses events", async () => {
  await using rig = makeRig();
  const device = faulty(rig, { errorPeriod: 1000 });
  const subscription = await device.subscribe("Angle");
  const events = collect(subscription);
  await rig.pass();
  device.disconnect();
  device.disconnect();
  assert(device.isDown);
  turn(rig, 3);
  for (
    const call of [
      () => device.attributeNames(),
      () => device.readAttributes(["angle"]),
      () => device.command("On", undefined),
      () => device.subscribe("angle"),
    ]
  ) {
    assertEquals(await reasonsOf(call()), [
      "API_CorbaException",
      "API_ServerNotRunning",
    ]);
  }
  assertEquals(await rig.read("longRunningCommandStatus"), []);
  await rig.pass(999);
  assertEquals(events.length, 1);
  await rig.pass(2001);
  assertEquals(valuesOf(events).slice(1), [
    "API_EventTimeout",
    "API_EventTimeout",
    "API_EventTimeout",
  ]);
  assertEquals(device.counts.lost, 3);

  device.reconnect();
  device.reconnect();
  turn(rig, 1);
  await rig.pass(5000);
  assertEquals(events.slice(4), [
    { attribute: "angle", value: 3 },
    { attribute: "angle", value: 4 },
  ]);
  turn(rig, 1);
  await rig.pass();
  assertEquals(valuesOf(events).slice(6), [5]);
  assertEquals(await device.readAttributes(["angle"]), [5]);
});

test("FaultyDevice that comes back gives what can be read, which is nothing of the second protocol", async () => {
  await using rig = makeRig();
  const device = faulty(rig);
  const events = collect(await device.subscribe("_lrcEvent"));
  const statuses = collect(await device.subscribe("longRunningCommandStatus"));
  const [, id] = await ask(device, "On");
  await rig.pass();
  device.disconnect();
  await rig.pass(1000);
  device.reconnect();
  await rig.pass();
  assertEquals(valuesOf(events).at(-1), []);
  assertEquals(valuesOf(statuses).at(-1), [id, "COMPLETED"]);
  assertEquals(device.counts.lost, 2 + 1);
});

test("FaultyDevice loses what is on its way when it goes, also the answer", async () => {
  await using rig = makeRig();
  const device = faulty(rig, { eventDelay: 10, answerDelay: 10 });
  const events = collect(await device.subscribe("angle"));
  await rig.pass();
  turn(rig, 2);
  const answer = reasonsOf(device.command("Hold", undefined));
  await rig.pass();
  device.disconnect();
  assertEquals(await answer, ["API_CorbaException", "API_ServerNotRunning"]);
  assertEquals(rig.device.executing, 1);
  assertEquals(device.counts.lost, 2);
  device.reconnect();
  await rig.pass(10);
  assertEquals(valuesOf(events), [0, 2]);
});

test("FaultyDevice that is away does not ask the device", async () => {
  await using rig = makeRig();
  const device = faulty(rig);
  let asked = 0;
  rig.device.command = () => Promise.resolve(++asked);
  device.disconnect();
  await reasonsOf(device.command("On", undefined));
  assertEquals(asked, 0);
});

test("FaultyDevice that goes again while it reads gives the value later", async () => {
  await using rig = makeRig();
  const device = faulty(rig);
  const events = collect(await device.subscribe("angle"));
  await rig.pass();
  device.disconnect();
  device.reconnect();
  device.disconnect();
  turn(rig, 1);
  await rig.pass();
  assertEquals(valuesOf(events), [0]);
  device.reconnect();
  await rig.pass();
  assertEquals(valuesOf(events), [0, 1]);
});

test("FaultyDevice tells of an attribute that cannot be read when it comes back, and ends with the device", async () => {
  await using rig = makeRig();
  const device = faulty(rig, { eventDelay: 10 });
  const subscription = await device.subscribe("angle");
  await rig.pass();
  device.disconnect();
  rig.device.readAttributes = () =>
    Promise.reject(
      new DeviceError([{
        reason: "API_AttrNotAllowed",
        desc: "not now",
        severity: "ERR",
        origin: "test",
      }]),
    );
  device.reconnect();
  await rig.pass();
  turn(rig, 1);
  const stopping = rig.device.stop();
  const seen = collect(subscription);
  await rig.pass(9);
  assertEquals(valuesOf(seen), [0, "API_AttrNotAllowed"]);
  await rig.pass(1);
  assertEquals(valuesOf(seen), [0, "API_AttrNotAllowed", 1]);
  assertEquals((await subscription.next()).done, true);
  await stopping;
  assertEquals(device.subscriptions, 0);
});

test("FaultyDevice fails with what its device or a verdict fails with", async () => {
  await using rig = makeRig();
  const broken = new Error("by design");
  const device = faulty(rig, {
    drop: () => {
      throw broken;
    },
  });
  const subscription = await device.subscribe("angle");
  await subscription.next();
  turn(rig, 1);
  assertEquals(await subscription.next().catch((error) => error), broken);
  assertEquals(device.subscriptions, 0);

  const away = faulty(rig);
  const gone = await away.subscribe("angle");
  await gone.next();
  away.disconnect();
  rig.device.readAttributes = () => Promise.reject(broken);
  away.reconnect();
  assertEquals(await gone.next().catch((error) => error), broken);
});

test("FaultyDevice is left, however its device takes it", async () => {
  await using rig = makeRig();
  for (
    const leave of [() => undefined, () => {
      throw new Error("by design");
    }]
  ) {
    const device = faulty(rig);
    const subscribe = rig.device.subscribe;
    rig.device.subscribe = async (attribute) => {
      const inner = await subscribe.call(rig.device, attribute);
      return Object.assign(inner, { return: leave as () => never });
    };
    const subscription = await device.subscribe("angle");
    rig.device.subscribe = subscribe;
    assertEquals((await subscription.return()).done, true);
    assertEquals(device.subscriptions, 0);
  }
});

test("FaultyDevice obeys signals, and leaves neither timers nor listeners behind", async () => {
  const unhandled = await unhandledDuring(async () => {
    await using rig = makeRig();
    const device = faulty(rig, { eventDelay: 100, answerDelay: 100 });
    const controller = new CountingController();
    const { signal } = controller;
    const left = await device.subscribe("angle");
    const aborted = await device.subscribe("angle", { signal });
    for (const subscription of [left, aborted]) await subscription.next();
    const answer = device.command("On", undefined, { signal });
    await rig.pass();
    turn(rig, 5);
    await rig.pass();
    const next = aborted.next();
    controller.abort("enough");
    assertEquals(await next.catch((reason) => reason), "enough");
    assertEquals(await answer.catch((reason) => reason), "enough");
    assertEquals(controller.listeners, 0);
    for (
      const call of [
        () => device.subscribe("angle", { signal }),
        () => device.command("On", undefined, { signal }),
        () => device.readAttributes(["angle"], { signal }),
        () => device.attributeNames({ signal }),
      ]
    ) {
      assertEquals(await call().catch((reason) => reason), "enough");
    }
    assertEquals([device.subscriptions, rig.device.subscriptions], [1, 1]);
    assertEquals(rig.clock.pending.length, 5 + 1, "events, and On");
    device.disconnect();
    device.reconnect();
    turn(rig, 5);
    await rig.pass();
    await left.return();
    assertEquals((await left.next()).done, true);
    assertEquals([device.subscriptions, rig.device.subscriptions], [0, 0]);
    assertEquals(rig.clock.pending.length, 1, "On");
    const last = await device.subscribe("angle");
    device.disconnect();
    assertEquals(rig.clock.pending.length, 2, "errors to tell");
    await last.return();
    assertEquals(rig.clock.pending.length, 1, "nobody to tell");
  });
  assertEquals(unhandled, []);
});

test("FaultyDevice ends a subscription that comes when nobody waits for it any more", async () => {
  await using rig = makeRig();
  const device = faulty(rig);
  const slow: DeviceProxy = rig.device;
  const subscribe = rig.device.subscribe.bind(rig.device);
  let inner: AsyncIterator<DeviceEvent> | undefined;
  slow.subscribe = async (attribute) => {
    await new Promise<void>((resolve) => {
      rig.clock.setTimer(resolve, 10);
    });
    return inner = await subscribe(attribute);
  };
  const pending = reasonsOf(device.subscribe("angle"));
  device.disconnect();
  assertEquals((await pending)[0], "API_CorbaException");
  await rig.pass(10);
  assert(inner !== undefined);
  assertEquals((await inner.next()).done, true);
  assertEquals(device.subscriptions, 0);
});

test("FaultyDevice loses only what its counts say, whatever the faults", async () => {
  const faults = fc.record({
    seed: fc.integer(),
    duplicate: fc.constantFrom(0, 0.5, 1),
    drop: fc.constantFrom(0, 0.5, 1),
    duplicateFirst: fc.boolean(),
    reorder: fc.boolean(),
    eventDelay: fc.constantFrom<number | readonly [number, number]>(
      0,
      5,
      [0, 20],
      [20, 5],
    ),
  });
  const steps = fc.array(
    fc.constantFrom(...["turn", "turn", "pass", "away", "back"] as const),
    { maxLength: 30 },
  );
  let rereads = 0;
  await fc.assert(
    fc.asyncProperty(faults, steps, async (options, steps) => {
      await using rig = makeRig();
      const device = faulty(rig, { ...options, errorPeriod: 7 });
      const events = collect(await device.subscribe("angle"));
      await rig.pass();
      let reread = 0;
      for (const step of steps) {
        if (step === "turn") turn(rig, 1);
        else if (step === "pass") await rig.pass(5);
        else if (step === "away") device.disconnect();
        else if (device.isDown) {
          device.reconnect();
          reread++;
        }
        await rig.pass();
      }
      device.reconnect();
      await rig.pass(50);
      rereads += reread;
      const turns = rig.device.getAttribute("angle");
      const { dropped, duplicated, lost } = device.counts;
      const told = events.filter((event) => "value" in event);
      const isBack = steps.lastIndexOf("away") > steps.lastIndexOf("back");
      assertEquals(
        told.length,
        1 + turns + duplicated - dropped - lost + reread + Number(isBack),
      );
    }),
    { numRuns: 200 },
  );
  assertGreater(rereads, 0);
});

test("FaultyDevice checks its arguments", async () => {
  await using rig = makeRig();
  const wrong: [object, typeof TypeError | typeof RangeError, string][] = [
    [{ clock: 7 }, TypeError, "'clock' must be a Clock"],
    [{ seed: 0.5 }, TypeError, "'seed' must be an integer"],
    [{ answerDelay: Infinity }, RangeError, "'answerDelay' must be"],
    [{ eventDelay: -1 }, RangeError, "'eventDelay' must be"],
    [{ eventDelay: [1] }, TypeError, "'eventDelay' must be"],
    [{ eventDelay: { most: 5 } }, TypeError, "'eventDelay' must be a number"],
    [{ reorder: 1 }, TypeError, "'reorder' must be a boolean"],
    [{ duplicateFirst: 1 }, TypeError, "'duplicateFirst' must be a boolean"],
    [{ duplicate: 2 }, RangeError, "'duplicate' must be a number from 0 to 1"],
    [{ drop: "all" }, TypeError, "'drop' must be a number from 0 to 1"],
    [{ malform: NaN }, RangeError, "'malform' must be a number from 0 to 1"],
    [{ errorPeriod: 0 }, RangeError, "'errorPeriod' must be"],
    [{ eventless: "some" }, TypeError, "'eventless' must be an array"],
    [{ missing: [7] }, TypeError, "'missing' must be an array of strings"],
  ];
  for (const [options, kind, message] of wrong) {
    assertThrows(() => faulty(rig, options), kind, message);
  }
  assertThrows(() => new FaultyDevice(undefined as never), TypeError);
  assertThrows(() => new FaultyDevice(rig.device, null as never), TypeError);
  const device = faulty(rig);
  await assertRejects(() => device.subscribe(7 as never), TypeError);
  await assertRejects(
    () => device.subscribe("angle", null as never),
    TypeError,
  );
  await assertRejects(() => device.readAttributes(7 as never), TypeError);
});
