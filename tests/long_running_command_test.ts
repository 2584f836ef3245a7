// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import {
  DeviceError,
  type DeviceProxy,
  ResultCode,
  TaskStatus,
} from "../device_proxy.ts";
import {
  LongRunningCommand,
  type LongRunningCommandOptions,
} from "../long_running_command.ts";
import { CommandError, ResultCodeError } from "../lrc.ts";
import { answer, type Told } from "./_lrc_fake.ts";
import { LrcRig } from "./_lrc_rig.ts";
import { unhandledDuring } from "./_unhandled.ts";

const { STAGING, IN_PROGRESS, COMPLETED, FAILED, ABORTED, REJECTED } =
  TaskStatus;

function ending(...all: Told[]): LrcRig {
  const rig = new LrcRig();
  rig.device.accepts("Scan", (id) => {
    for (const told of all) rig.device.tell(id, told);
  });
  return rig;
}

const scan = <R = unknown>(
  rig: LrcRig,
  options: LongRunningCommandOptions<R> = {},
): LongRunningCommand<R> =>
  new LongRunningCommand<R>("Scan", {
    clock: rig.clock,
    scheduler: rig.scheduler,
    ...options,
  });

test("LongRunningCommand sends nothing when it is made", () => {
  const rig = ending();
  assertEquals(scan(rig).command, "Scan");
  assertEquals(rig.device.calls, []);
});

test("LongRunningCommand sends its command with each execution", async () => {
  const result = [0, "scanned"];
  const rig = ending({ status: IN_PROGRESS }, { status: COMPLETED, result });
  const { device } = rig;
  const command = scan(rig);
  const seen: unknown[] = [];
  const send = device.command.bind(device);
  device.command = (name, argument) => {
    seen.push(argument);
    return send(name, argument);
  };
  for (let time = 0; time < 2; time++) {
    const done = await command.execute(device, { band: 2 });
    assertEquals(done.command, "Scan");
    assertEquals(done.device, "test/fake/1");
    assertEquals(done.resultCode, ResultCode.OK);
    assertEquals(done.result, result);
    assertEquals(done.message, "scanned");
    assertEquals(done.exception, undefined);
    assertEquals(done.status, COMPLETED);
    assertEquals(done.taskStatusEvents, [STAGING, IN_PROGRESS, COMPLETED]);
    assert(done.commandId?.endsWith("_Scan"));
  }
  assertEquals(seen, [{ band: 2 }, { band: 2 }]);
  assertEquals(device.subscribers, 0);
});

for (
  const [what, told, code] of [
    ["completed badly", { status: COMPLETED, result: [3, "bad"] }, 3],
    ["completed with a name", { status: COMPLETED, result: ["OK", ""] }, 0],
    ["completed without a result", { status: COMPLETED }, 4],
    ["completed with something else", { status: COMPLETED, result: {} }, 4],
    ["completed with an unknown code", { status: COMPLETED, result: [99] }, 4],
    ["failed", { status: FAILED, result: [3, "bug"] }, 3],
    ["failed, saying OK", { status: FAILED, result: [0, "fine"] }, 3],
    ["failed without a result", { status: FAILED }, 3],
    ["aborted", { status: ABORTED, result: [7, "aborted"] }, 7],
    ["aborted without a result", { status: ABORTED }, 7],
    ["aborted, saying OK", { status: ABORTED, result: [0, "fine"] }, 7],
    ["rejected", { status: REJECTED, result: [6, "not allowed"] }, 6],
    ["rejected without a result", { status: REJECTED }, 5],
  ] as [string, Told, ResultCode][]
) {
  test(`LongRunningCommand that has ${what} has the code ${code}`, async () => {
    const rig = ending(told);
    const done = await scan(rig).execute(rig.device);
    assertEquals(done.resultCode, code);
    assertEquals(done.status, told.status);
    assertEquals(done.exception, undefined);
    assertEquals(done.result, told.result);
  });
}

test("LongRunningCommand gives errors of the way as values", async () => {
  const rig = ending();
  const { device } = rig;
  device.answers.set("Scan", () => answer(ResultCode.REJECTED, "busy"));
  const rejected = await scan(rig).execute(device);
  assertInstanceOf(rejected.exception, CommandError);
  assertEquals(rejected.resultCode, ResultCode.REJECTED);
  assertEquals(rejected.commandId, undefined);
  assertEquals(rejected.taskStatusEvents, []);

  device.answers.set("Scan", () => answer(ResultCode.NOT_ALLOWED, "no"));
  const unexpected = await scan(rig).execute(device);
  assertInstanceOf(unexpected.exception, ResultCodeError);
  assertEquals(unexpected.resultCode, ResultCode.NOT_ALLOWED);

  device.answers.set("Scan", () => answer(ResultCode.OK, "done"));
  assertEquals((await scan(rig).execute(device)).resultCode, ResultCode.FAILED);

  device.answers.delete("Scan");
  const failed = await scan(rig).execute(device);
  assertInstanceOf(failed.exception, DeviceError);
  assertEquals(failed.resultCode, ResultCode.FAILED);
  assertEquals(device.subscribers, 0);
});

test("LongRunningCommand that takes too long has failed with a TimeoutError", async () => {
  for (const accepts of [true, false]) {
    const rig = ending({ status: IN_PROGRESS });
    const { device, clock } = rig;
    if (!accepts) device.delay = () => new Promise(() => {});
    const executing = scan(rig, { timeout: 60_000 }).execute(device, 1, {
      timeout: 1000,
    });
    await clock.advance(1000);
    const done = await executing;
    assertEquals((done.exception as Error).name, "TimeoutError");
    assertEquals(done.resultCode, ResultCode.FAILED);
    assertEquals(done.status, accepts ? IN_PROGRESS : undefined);
    assertEquals(device.subscribers, 0);
  }
});

test("LongRunningCommand whose signal aborts says that it does not know", async () => {
  for (const isEarly of [true, false]) {
    const rig = ending();
    const controller = new AbortController();
    if (isEarly) controller.abort("dawn");
    const { signal } = controller;
    const executing = scan(rig).execute(rig.device, undefined, { signal });
    await rig.clock.advance(0);
    controller.abort("dawn");
    const done = await executing;
    assertEquals(done.exception, "dawn");
    assertEquals(done.message, '"dawn"');
    assertEquals(done.resultCode, ResultCode.UNKNOWN);
    assertEquals(rig.device.subscribers, 0);
  }
});

test("LongRunningCommand gives a typed result", async () => {
  const rig = ending({ status: COMPLETED, result: { frames: 3 } });
  const parseResult = (result: unknown): number =>
    (result as { frames: number }).frames;
  const done = await scan(rig, { parseResult }).execute(rig.device);
  assertEquals(done.result, 3);
  assertEquals(done.resultCode, ResultCode.OK);
});

test("LongRunningCommand with a result that cannot be parsed has failed", async () => {
  const rig = ending({ status: COMPLETED, result: [0, "x"] });
  const failure = new Error("no frames");
  const done = await scan(rig, {
    parseResult: () => {
      throw failure;
    },
  }).execute(rig.device);
  assertEquals(done.resultCode, ResultCode.FAILED);
  assertEquals(done.exception, failure);
  assertEquals(done.result, undefined);
});

test("LongRunningCommand does not take a promise for a parsed result", async () => {
  const rig = ending({ status: COMPLETED, result: [0, "x"] });
  const unhandled = await unhandledDuring(async () => {
    const done = await scan(rig, {
      parseResult: () => Promise.reject(new Error("no frames")),
    }).execute(rig.device);
    assertEquals(done.resultCode, ResultCode.FAILED);
    assertEquals(done.message, "'parseResult' has returned a promise");
  });
  assertEquals(unhandled, []);
});

test("LongRunningCommand keeps options that are inherited", async () => {
  const rig = ending({ status: COMPLETED, result: { frames: 3 } });
  const inherited = { ...rig.options, parseResult: () => "parsed" };
  const command = new LongRunningCommand("Scan", Object.create(inherited));
  assertEquals((await command.execute(rig.device)).result, "parsed");
});

test("LongRunningCommand does not parse what a command that failed has said", async () => {
  const rig = ending({ status: COMPLETED, result: [3, "bad"] });
  const parseResult = (): never => {
    throw new Error("not called");
  };
  const done = await scan(rig, { parseResult }).execute(rig.device);
  assertEquals(done.resultCode, ResultCode.FAILED);
  assertEquals(done.message, "bad");
});

test("LongRunningCommand refuses arguments of the wrong type", async () => {
  const rig = ending();
  assertThrows(() => new LongRunningCommand(""), TypeError, "'command'");
  assertThrows(
    () => new LongRunningCommand("Scan", { timeout: -1 }),
    RangeError,
    "Cannot create LongRunningCommand as 'timeout' must be",
  );
  await assertRejects(
    () => scan(rig).execute({} as DeviceProxy),
    TypeError,
    "Cannot execute LongRunningCommand as 'proxy' must be a DeviceProxy",
  );
  await assertRejects(
    () => scan(rig).execute(rig.device, 1, { timeout: NaN }),
    RangeError,
  );
  assertEquals(rig.device.calls, []);
});
