// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { sleep } from "../cancellation.ts";
import type { Clock } from "../clock.ts";
import {
  DeviceError,
  type DeviceProxy,
  type DeviceSubscription,
  ResultCode,
} from "../device_proxy.ts";
import {
  CommandRefusedError,
  deviceCommand,
  type FollowCommand,
  type Job,
  JobError,
  parallel,
  sequential,
  type StartedCommand,
} from "../job.ts";
import { LrcDevice } from "../lrc_device.ts";
import { failuresOf, JobRig, statusesOf } from "./_job_rig.ts";

type Answer = (argument: unknown, signal: AbortSignal) => unknown;

/** A device that answers as it is told, and remembers what it was asked. */
class FakeDevice implements DeviceProxy {
  readonly name: string;
  readonly asked: unknown[] = [];
  readonly #answer: Answer;

  constructor(name: string, answer: Answer) {
    this.name = name;
    this.#answer = answer;
  }

  attributeNames(): Promise<readonly string[]> {
    return Promise.resolve([]);
  }

  readAttributes(): Promise<readonly unknown[]> {
    return Promise.resolve([]);
  }

  async command(
    name: string,
    argument: unknown,
    options?: { signal?: AbortSignal },
  ): Promise<unknown> {
    this.asked.push([name, argument]);
    const { signal } = options ?? {};
    assert(signal !== undefined);
    return await this.#answer(argument, signal);
  }

  subscribe(): Promise<DeviceSubscription> {
    return Promise.reject(new DeviceError([]));
  }
}

const answers = (code: number, text: string): Answer => () => [[code], [text]];

const slow = (clock: Clock, ms: number, answer: unknown): Answer =>
async (
  _,
  signal,
) => {
  await sleep(ms, { clock, signal });
  return answer;
};

async function reasonOf(job: Job): Promise<unknown> {
  const run = await new JobRig().finish(job);
  const error = await run.done.catch((reason) => reason);
  assertInstanceOf(error, JobError);
  return error.cause;
}

test("deviceCommand() gives what one device answers", async () => {
  const device = new FakeDevice("dish", (argument) => `at ${argument}`);
  const rig = new JobRig();
  const job = deviceCommand(device, "Slew", 90);
  assertEquals([job.name, job.size, job.kind], ["dish/Slew", 1, "call"]);
  const run = await rig.finish(job);
  assertEquals(await run.done, "at 90");
  assertEquals(device.asked, [["Slew", 90]]);
});

test("deviceCommand() asks several devices side by side", async () => {
  const rig = new JobRig();
  const devices = [30, 10, 20].map((ms) =>
    new FakeDevice(`dish ${ms}`, slow(rig.clock, ms, ms))
  );
  const job = deviceCommand(devices, "Stow");
  assertEquals([job.name, job.size, job.kind], ["Stow", 3, "parallel"]);
  const run = await rig.finish(job);
  assertEquals(await run.done, [30, 10, 20]);
  assertEquals(rig.clock.now(), 30);
  assertEquals(devices.map(({ asked }) => asked), [
    [["Stow", undefined]],
    [["Stow", undefined]],
    [["Stow", undefined]],
  ]);
});

test("deviceCommand() of no devices completes at once", async () => {
  const run = await new JobRig().finish(deviceCommand([], "Stow"));
  assertEquals(await run.done, []);
});

test("deviceCommand() of one device in a list gives a list", async () => {
  const device = new FakeDevice("dish", () => "stowed");
  const run = await new JobRig().finish(deviceCommand([device], "Stow"));
  assertEquals(await run.done, ["stowed"]);
});

test("deviceCommand() takes the options of a parallel job", async () => {
  const rig = new JobRig();
  const devices = ["a", "b", "c"].map((name) =>
    new FakeDevice(
      name,
      name === "a"
        ? () => Promise.reject(new DeviceError([]))
        : slow(rig.clock, 10, name),
    )
  );
  const run = rig.submit(
    deviceCommand(devices, "Stow", undefined, {
      limit: 1,
      onFailure: "wait",
    }),
  );
  void run.done;
  await rig.clock.runAll();
  assertEquals(rig.clock.now(), 20);
  assertEquals(statusesOf(run.results), [
    "failed",
    "failed",
    "completed",
    "completed",
  ]);
  assertEquals(await failuresOf(run), [["0:a/Stow", "The device has failed"]]);
});

test("deviceCommand() fails fast and ends the other waits", async () => {
  const rig = new JobRig();
  const run = await rig.finish(deviceCommand([
    new FakeDevice("a", slow(rig.clock, 10, [[ResultCode.FAILED], ["no"]])),
    new FakeDevice("b", slow(rig.clock, 1e6, "late")),
  ], "Stow"));
  assertEquals(await failuresOf(run), [
    ["0:a/Stow", "Device 'a' has answered FAILED to 'Stow': no"],
  ]);
  assertEquals(rig.clock.now(), 10);
});

test("deviceCommand() looks at the code of an answer", async () => {
  const ok = new FakeDevice("dish", answers(ResultCode.OK, "done"));
  const run = await new JobRig().finish(deviceCommand(ok, "Stow"));
  assertEquals(await run.done, [[ResultCode.OK], ["done"]]);
  for (
    const [code, name] of [
      [ResultCode.FAILED, "FAILED"],
      [ResultCode.UNKNOWN, "UNKNOWN"],
      [ResultCode.REJECTED, "REJECTED"],
      [ResultCode.NOT_ALLOWED, "NOT_ALLOWED"],
      [ResultCode.ABORTED, "ABORTED"],
      [99, "result code 99"],
    ] as const
  ) {
    const device = new FakeDevice("dish", answers(code, "because"));
    const error = await reasonOf(deviceCommand(device, "Stow"));
    assertInstanceOf(error, CommandRefusedError);
    assertEquals(
      error.message,
      `Device 'dish' has answered ${name} to 'Stow': because`,
    );
    assertEquals(
      [error.device, error.command, error.resultCode],
      ["dish", "Stow", code],
    );
  }
});

test("deviceCommand() reads codes in a typed array, too", async () => {
  const refused = new FakeDevice("dish", () => [
    new Int32Array([ResultCode.REJECTED]),
    ["not now"],
  ]);
  const error = await reasonOf(deviceCommand(refused, "Stow"));
  assertInstanceOf(error, CommandRefusedError);
  assertEquals(
    error.message,
    "Device 'dish' has answered REJECTED to 'Stow': not now",
  );

  const queued = new FakeDevice("dish", () => [
    new Int32Array([ResultCode.QUEUED]),
    ["17_Stow"],
  ]);
  const run = await new JobRig().finish(
    deviceCommand(queued, "Stow", undefined, {
      follow: ({ commandId }) => `end of ${commandId}`,
    }),
  );
  assertEquals(await run.done, "end of 17_Stow");
});

test("deviceCommand() takes what only looks like such an answer as it is", async () => {
  for (
    const answer of [
      undefined,
      null,
      [[3, 3], ["a", "b"]],
      [[3], ["a"], []],
      [[3], [5]],
      [["3"], ["a"]],
      [[], []],
      [3, "a"],
      [[3.5], ["a"]],
    ]
  ) {
    const device = new FakeDevice("dish", () => answer);
    const run = await new JobRig().finish(deviceCommand(device, "Read"));
    assertEquals(await run.done, answer);
  }
});

test("deviceCommand() waits for the end of a long-running command", async () => {
  for (const code of [ResultCode.QUEUED, ResultCode.STARTED]) {
    const rig = new JobRig();
    const seen: StartedCommand[] = [];
    const follow: FollowCommand = async (started, { sleep, progress }) => {
      seen.push(started);
      await sleep(50);
      progress(0.5);
      await sleep(50);
      return "image";
    };
    const device = new FakeDevice("camera", answers(code, "17_Expose"));
    const run = rig.submit(deviceCommand(device, "Expose", 2, { follow }));
    await rig.clock.advance(60);
    assertEquals(run.progress, 0.5);
    await rig.clock.runAll();
    assertEquals(await run.done, "image");
    assertEquals(rig.clock.now(), 100);
    assertEquals(seen, [{
      device,
      command: "Expose",
      argument: 2,
      commandId: "17_Expose",
    }]);
  }
});

test("deviceCommand() follows a long-running command by itself", async () => {
  const rig = new JobRig();
  const camera = new LrcDevice({
    name: "camera",
    clock: rig.clock,
    logger: rig.logger,
    commands: {
      Expose: async ({ argument, sleep, progress }) => {
        progress(150);
        progress(25);
        await sleep(1000);
        return [ResultCode.OK, `exposed for ${argument}`];
      },
      Read: () => ({ pixels: 3 }),
      Warm: () => [ResultCode.FAILED, "no power"],
      Break: () => {
        throw new Error("no shutter");
      },
    },
  });
  const told: number[] = [];
  const run = rig.submit(
    sequential(
      deviceCommand(camera, "Expose", 2),
      deviceCommand([camera], "Read"),
    ),
    { onProgress: (done) => told.push(done) },
  );
  await rig.clock.runAll();
  assertEquals(await run.done, [
    [ResultCode.OK, "exposed for 2"],
    [{ pixels: 3 }],
  ]);
  assertEquals(told.at(-1), 1);
  assertEquals(rig.logger.of("error"), []);
  assertEquals(told.toSorted((a, b) => a - b), told);

  const warm = await rig.finish(deviceCommand(camera, "Warm"));
  assertEquals(await failuresOf(warm), [
    ["", "Device 'camera' has answered FAILED to 'Warm': no power"],
  ]);
  const broken = await rig.finish(deviceCommand(camera, "Break"));
  const [[, message] = []] = await failuresOf(broken);
  assertStringIncludes(String(message), "answered FAILED to 'Break'");
  await camera.stop();
  rig.assertNothingLeft();
});

test("deviceCommand() that is stopped lets go of a command that goes on", async () => {
  const rig = new JobRig();
  const camera = new LrcDevice({
    name: "camera",
    clock: rig.clock,
    logger: rig.logger,
    commands: { Expose: ({ sleep }) => sleep(1e6) },
  });
  const run = rig.submit(deviceCommand([camera, camera], "Expose", 2));
  await rig.clock.advance(10);
  assertEquals(run.status, "running");
  const stopped = rig.watch(run.stop({ reason: "dawn" }));
  await rig.clock.advance(0);
  assertEquals(stopped.settled?.value, "stopped");
  assertEquals(await run.done.catch((reason) => reason), "dawn");
  assertEquals(rig.executor.running, 0);

  const late = rig.submit(
    deviceCommand(camera, "Expose", undefined, { timeout: 100 }),
  );
  await rig.clock.advance(100);
  assertEquals(await failuresOf(late), [["", "Timed out after 100 ms"]]);
  await camera.stop();
  rig.assertNothingLeft();
});

test("deviceCommand() does not take a beginning for the end", async () => {
  const device = new FakeDevice("camera", answers(ResultCode.QUEUED, "17"));
  assertInstanceOf(
    await reasonOf(deviceCommand(device, "Expose")),
    Error,
  );
});

test("deviceCommand() fails with what follow() throws", async () => {
  const device = new FakeDevice("camera", answers(ResultCode.STARTED, "17"));
  const rig = new JobRig();
  const run = await rig.finish(deviceCommand(device, "Expose", undefined, {
    follow: () => {
      throw new Error("ABORTED");
    },
  }));
  assertEquals(await failuresOf(run), [["", "ABORTED"]]);
});

test("deviceCommand() has a timeout, for the answer and the end together", async () => {
  const rig = new JobRig();
  let reason: unknown;
  const job = deviceCommand(
    [
      new FakeDevice("slow", () => new Promise(() => {})),
      new FakeDevice(
        "long",
        slow(rig.clock, 60, [[ResultCode.QUEUED], ["17"]]),
      ),
      new FakeDevice("quick", slow(rig.clock, 60, "done")),
    ],
    "Expose",
    undefined,
    {
      timeout: 100,
      onFailure: "wait",
      follow: async (_, { sleep, signal }) => {
        await sleep(1e6).catch((error) => {
          reason = signal.reason;
          throw error;
        });
      },
    },
  );
  const run = await rig.finish(job);
  assertEquals(await failuresOf(run), [
    ["0:slow/Expose", "Timed out after 100 ms"],
    ["1:long/Expose", "Timed out after 100 ms"],
  ]);
  assertEquals((reason as Error).name, "TimeoutError");
  assertEquals(run.results.jobs[2]?.value, "done");
  assertEquals(rig.clock.now(), 100);
  rig.assertNothingLeft();
});

test("deviceCommand() with a timeout stops when its job does", async () => {
  const rig = new JobRig();
  const device = new FakeDevice("dish", () => new Promise(() => {}));
  const run = rig.submit(
    deviceCommand(device, "Stow", undefined, { timeout: 1e6 }),
  );
  await rig.clock.advance(1);
  assertEquals(await run.stop({ reason: "dawn" }), "stopped");
  assertEquals(await run.done.catch((reason) => reason), "dawn");
  rig.assertNothingLeft();
});

test("deviceCommand() nests like any other job", async () => {
  const rig = new JobRig();
  const order: unknown[] = [];
  const device = (name: string) =>
    new FakeDevice(name, (argument) => {
      order.push([name, argument]);
      return argument;
    });
  const csp = device("csp");
  const run = await rig.finish(sequential(
    deviceCommand([csp, device("sdp")], "Configure", 1),
    parallel([deviceCommand(csp, "Scan", 2)], { limit: 1 }),
    deviceCommand(csp, "End"),
  ));
  assertEquals(await run.done, [[1, 1], [2], undefined]);
  assertEquals(order, [["csp", 1], ["sdp", 1], ["csp", 2], ["csp", undefined]]);
});
