// Copyright 2026 the Longrun authors. MIT license.

/** The way to the handle: order, errors, early events. */

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import {
  DeviceError,
  type DeviceProxy,
  ResultCode,
  TaskStatus,
} from "../device_proxy.ts";
import {
  type AttachLrcOptions,
  CommandError,
  invokeLrc,
  type LrcCallback,
  ProtocolVersionError,
  ResultCodeError,
} from "../lrc.ts";
import { negotiate } from "../_lrc_negotiation.ts";
import { answer, deviceError } from "./_lrc_fake.ts";
import { LrcRig } from "./_lrc_rig.ts";
import { turns } from "./_turns.ts";
import { unhandledDuring } from "./_unhandled.ts";

const { STAGING, QUEUED, IN_PROGRESS, COMPLETED } = TaskStatus;

/** Nothing is left of a command. */
function assertLeft(rig: LrcRig): void {
  assertEquals(rig.device.subscribers, 0);
  assertEquals(rig.scheduler.devices, 0);
  assertEquals(rig.clock.pending, []);
}

test("invokeLrc speaks the newest version that both sides speak", () => {
  for (
    const [versions, version] of [
      [[1, 1], 1],
      [[1, 2], 2],
      [[2, 2], 2],
      [[2, 3], 2],
      [["1", "2"], 2],
      [[1n, 2n], 2],
      [new BigInt64Array([1n, 2n]), 2],
      [new Int32Array([1, 1]), 1],
    ] as const
  ) {
    assertEquals(negotiate("test/fake/1", versions), version);
  }
});

test("invokeLrc understands an answer with a typed array", async () => {
  const rig = new LrcRig([1, 2]);
  rig.device.answers.set("Scan", () => {
    const id = rig.device.stage("Scan");
    return Promise.resolve([new Int32Array([ResultCode.QUEUED]), [id]]);
  });
  const handle = await rig.start();
  assertEquals(handle.commandId.endsWith("_Scan"), true);
  handle.unsubscribe();
});

for (const versions of [[3, 4], [0, 0], [2, 1], [], [NaN, 1]]) {
  test(`invokeLrc refuses a device that speaks versions ${JSON.stringify(versions)}`, async () => {
    const rig = new LrcRig(versions);
    rig.device.accepts("On");
    const error = await assertRejects(
      () => rig.invoke("On"),
      ProtocolVersionError,
      "Device 'test/fake/1' speaks versions",
    );
    assertInstanceOf(error, RangeError);
    assert(!rig.device.calls.includes("On"));
    assertLeft(rig);
  });
}

test("invokeLrc takes a device that does not tell its versions for one of version 1", async () => {
  const rig = new LrcRig();
  Object.assign(rig.device, { versions: undefined });
  const handle = await rig.start();
  assertEquals(handle.protocolVersion, 1);
  await handle.unsubscribe();
  assertLeft(rig);
});

test("invokeLrc subscribes first and sends then", async () => {
  for (
    const [most, subscriptions] of [
      [
        1,
        ["Status", "Progress", "Result"].map((x) => `longRunningCommand${x}`),
      ],
      [2, ["_lrcEvent"]],
    ] as const
  ) {
    const rig = new LrcRig([1, most]);
    const handle = await rig.start("On");
    assertEquals(rig.device.calls, [
      "attributeNames",
      "read lrcProtocolVersions",
      ...subscriptions.map((name) => `subscribe ${name}`),
      "On",
    ]);
    await handle.unsubscribe();
  }
});

test("invokeLrc refuses arguments of the wrong type before it sends anything", async () => {
  const rig = new LrcRig();
  const { device, options } = rig;
  const upstream = (_status: unknown, _progress: unknown): void => {};
  const check = async (
    message: string,
    ...[callback, proxy, command, given = {}]: [
      unknown,
      unknown,
      unknown,
      object?,
    ]
  ): Promise<void> => {
    await assertRejects(
      () =>
        invokeLrc(
          callback as LrcCallback,
          proxy as DeviceProxy,
          command as string,
          undefined,
          { ...options, ...given },
        ),
      Error,
      `Cannot invoke long-running command as ${message}`,
    );
  };
  await check("'callback' must be null or a function", 1, device, "On");
  await check("'callback' must be null or a function", upstream, device, "On");
  await check("'callback' must be null or a function", undefined, device, "On");
  await check("'proxy' must be a DeviceProxy", null, {}, "On");
  await check("'proxy' must be a DeviceProxy", null, null, "On");
  await check("'command' must be a string that is not empty", null, device, "");
  await check("'command' must be a string that is not empty", null, device, 1);
  const bad: [keyof AttachLrcOptions, unknown][] = [
    ["timeout", -1],
    ["timeout", "1"],
    ["idleTimeout", 0],
    ["firstEventTimeout", NaN],
    ["extendOnProgress", -1],
    ["silence", 0],
    ["poll", "yes"],
    ["poll", null],
    ["raw", 1],
    ["abortOnTimeout", 1],
    ["parseResult", "json"],
    ["signal", {}],
    ["clock", {}],
    ["logger", {}],
    ["scheduler", {}],
  ];
  for (const [key, value] of bad) {
    await check(`'${key}' must be`, null, device, "On", { [key]: value });
  }
  assertEquals(device.calls, []);
});

test("invokeLrc sends nothing when its signal has aborted", async () => {
  const reason = new Error("dawn");
  const rig = new LrcRig([1, 2], { signal: AbortSignal.abort(reason) });
  assertStrictEquals(
    await rig.invoke("On").catch((error) => error),
    reason,
  );
  assertEquals(rig.device.calls, []);
});

test("invokeLrc sends nothing when its signal aborts before, however late", async () => {
  for (let late = 0; late < 20; late++) {
    const controller = new AbortController();
    const rig = new LrcRig([1, 2], { signal: controller.signal });
    const { device } = rig;
    const subscribe = device.subscribe.bind(device);
    device.subscribe = async (attribute) => {
      const subscription = await subscribe(attribute);
      turns(late).then(() => controller.abort("dawn"));
      return subscription;
    };
    const wasAborted: boolean[] = [];
    device.command = () => {
      wasAborted.push(controller.signal.aborted);
      return Promise.resolve(answer(ResultCode.REJECTED, "no"));
    };
    await rig.invoke("On").catch(() => {});
    assertFalse(wasAborted.includes(true), `${late} turns late`);
    assertLeft(rig);
  }
});

test("invokeLrc says why a device could not be subscribed to and leaves what it had", async () => {
  const rig = new LrcRig([1, 1]);
  const failure = deviceError("API_EventSupplierNotConstructed");
  rig.device.failure = (what) =>
    what === "subscribe longRunningCommandResult" ? failure : undefined;
  const error = await assertRejects(() => rig.invoke("On"), DeviceError);
  assertEquals(error.errors.map(({ reason }) => reason), [
    "API_EventSupplierNotConstructed",
    "SKA_InvokeLrcFailed",
  ]);
  assertEquals(
    error.errors[1]?.desc,
    "Subscribing to 'longRunningCommandResult' change event failed.",
  );
  assertStrictEquals(error.cause, failure);
  await rig.clock.advance(0);
  assertLeft(rig);
  rig.device.failure = undefined;
  await (await rig.start("On")).unsubscribe();
});

test("invokeLrc says why a command could not be sent", async () => {
  const rig = new LrcRig();
  const error = await assertRejects(
    () => rig.invoke("DummyCmd", [1]),
    DeviceError,
  );
  assertEquals(error.errors.map(({ reason, desc }) => [reason, desc]), [
    ["API_CommandNotFound", "Command DummyCmd not found"],
    ["SKA_InvokeLrcFailed", "Invocation of command 'DummyCmd' failed with [1]"],
  ]);
  assertLeft(rig);
});

test("invokeLrc makes a DeviceError of what else a proxy throws", async () => {
  for (const what of ["attributeNames", "subscribe _lrcEvent", "On"]) {
    const rig = new LrcRig();
    const failure = new TypeError("fetch failed");
    rig.device.accepts("On");
    rig.device.failure = (each) => each === what ? failure : undefined;
    const error = await rig.invoke("On").catch((error) => error);
    assertInstanceOf(error, DeviceError);
    assertEquals(error.errors.at(-1)?.reason, "SKA_InvokeLrcFailed");
    assertStrictEquals(error.cause, failure);
    assertLeft(rig);
  }
});

test("invokeLrc refuses answers that no long-running command gives", async () => {
  for (
    const [given, code] of [
      [answer(ResultCode.OK, "done"), ResultCode.OK],
      [answer(ResultCode.FAILED, "done"), ResultCode.FAILED],
      [[["NOT_ALLOWED"], ["no"]], ResultCode.NOT_ALLOWED],
      [[[99], ["x"]], undefined],
      [[[2], [""]], undefined],
      [[[2], []], undefined],
      [[[2]], undefined],
      [[], undefined],
      [[2, "id"], undefined],
      [undefined, undefined],
      ["id", undefined],
      [{ lvalue: [2], svalue: ["id"] }, undefined],
    ] as const
  ) {
    const rig = new LrcRig();
    rig.device.answers.set("On", () => given);
    const error = await assertRejects(() => rig.invoke("On"), ResultCodeError);
    assertEquals(error.resultCode, code);
    assertLeft(rig);
  }
});

test("invokeLrc takes result codes by name as well", async () => {
  const rig = new LrcRig();
  rig.device.answers.set("On", () => [["REJECTED"], ["no"]]);
  await assertRejects(() => rig.invoke("On"), CommandError, "rejected: no");
  rig.device.answers.set("On", () => [["started"], ["1_2_On"]]);
  const handle = await rig.invoke("On");
  assertEquals(handle.commandId, "1_2_On");
  await handle.unsubscribe();
});

for (const versions of [[1, 1], [1, 2]]) {
  test(`invokeLrc keeps the events that come before the id is known, in version ${versions[1]}`, async () => {
    const rig = new LrcRig(versions);
    const { device, clock } = rig;
    const other = device.stage("Other");
    device.accepts("On", (id) => {
      device.tell(id, { status: QUEUED });
      device.tell(other, { status: QUEUED });
      device.tell(id, { status: IN_PROGRESS });
    });
    device.delay = async (what) => {
      if (what !== "On") return;
      // The answer is late, the events are not.
      device.delay = undefined;
      await Promise.resolve();
    };
    const command = device.command.bind(device);
    device.command = async (name, argument) => {
      const value = await command(name, argument);
      await clock.advance(0);
      return value;
    };
    const handle = await rig.invoke("On");
    await clock.advance(0);
    assertEquals(rig.told, [
      { status: STAGING },
      { status: QUEUED },
      { status: IN_PROGRESS },
    ]);
    assertEquals(handle.history.length, 3);
    await handle.unsubscribe();
    assertLeft(rig);
  });
}

test("invokeLrc asks the device when more came before the id than it keeps", async () => {
  const rig = new LrcRig();
  const { device, clock } = rig;
  const other = device.stage("Other");
  device.accepts("On", (id) => {
    device.tell(id, { status: QUEUED });
    for (let progress = 0; progress < 1001; progress++) {
      device.tell(other, { progress });
    }
  });
  const command = device.command.bind(device);
  device.command = async (name, argument) => {
    const value = await command(name, argument);
    if (name === "On") await clock.advance(0);
    return value;
  };
  const handle = await rig.invoke("On");
  await clock.advance(0);
  assertEquals(handle.status, QUEUED);
  assertEquals(handle.counters.gaps, 1);
  assertEquals(handle.counters.asked, 1);
  assertEquals(rig.told, [{ status: QUEUED }]);
  await handle.unsubscribe();
  assertLeft(rig);
});

test("invokeLrc calls back only when whoever awaits it has the handle", async () => {
  const rig = new LrcRig();
  const { device, options, clock } = rig;
  device.accepts("On", (id) => {
    device.tell(id, { status: COMPLETED, result: [0, "ok"] });
  });
  const seen: (string | undefined)[] = [];
  const known: { id?: string } = {};
  const handle = await invokeLrc(
    () => void seen.push(known.id),
    device,
    "On",
    undefined,
    options,
  );
  known.id = handle.commandId;
  await clock.advance(0);
  assert(seen.length > 0);
  assert(seen.every((each) => each === handle.commandId));
});

test("invokeLrc that is aborted while it waits leaves nothing, and says when the command is accepted later", async () => {
  for (const what of ["attributeNames", "subscribe _lrcEvent", "On"]) {
    const controller = new AbortController();
    const rig = new LrcRig([1, 2], { signal: controller.signal });
    const { device, clock, logger } = rig;
    device.accepts("On");
    let release = (): void => {};
    device.delay = (each) =>
      each === what
        ? new Promise((resolve) => release = resolve)
        : Promise.resolve();
    const unhandled = await unhandledDuring(async () => {
      const invoking = rig.invoke("On").catch((error) => error);
      await clock.advance(0);
      controller.abort("dawn");
      assertEquals(await invoking, "dawn");
      assertEquals(rig.scheduler.devices, 0);
      release();
      await clock.advance(0);
    });
    assertEquals(unhandled, []);
    assertLeft(rig);
    assertEquals(logger.of("warn").length, what === "On" ? 1 : 0);
  }
});

test("invokeLrc that is not accepted in time rejects, whatever the device does later", async () => {
  for (const what of ["attributeNames", "subscribe _lrcEvent", "On"]) {
    const rig = new LrcRig([1, 2], { timeout: 100, abortOnTimeout: true });
    const { device, clock } = rig;
    device.accepts("On");
    device.delay = (each) =>
      each === what ? new Promise(() => {}) : Promise.resolve();
    const invoking = rig.invoke("On").catch((error) => error);
    await clock.advance(100);
    const error = await invoking;
    assertInstanceOf(error, DOMException);
    assertEquals(error.name, "TimeoutError");
    assertEquals(
      error.message,
      "Command 'On' of 'test/fake/1' was not accepted within 100 ms",
    );
    assertEquals(device.calls.includes("Abort"), what === "On");
    assertLeft(rig);
  }
});
