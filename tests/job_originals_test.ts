// Copyright 2026 the Longrun authors. MIT license.

/**
 * What the original's own tests ask of its task executor, with one worker as
 * there; and what hangs it.
 */

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { ResultCode } from "../device_proxy.ts";
import {
  call,
  deviceCommand,
  type Job,
  parallel,
  runJob,
  sequential,
} from "../job.ts";
import { LrcDevice } from "../lrc_device.ts";
import { failuresOf, JobRig } from "./_job_rig.ts";

/** Jobs that note their names, on devices that note their commands. */
class Notes {
  readonly log: string[] = [];
  readonly rig: JobRig = new JobRig({ limit: 1 });

  step(name: string): Job<number> {
    return call(() => this.log.push(name));
  }

  broken(name: string): Job<never> {
    return call(() => {
      this.log.push(name);
      throw new Error(name);
    });
  }

  device(name: string, code: ResultCode = ResultCode.OK): LrcDevice {
    const command = (command: string) => () => {
      this.log.push(`${name} ${command}`);
      return [code, name];
    };
    return new LrcDevice({
      name,
      clock: this.rig.clock,
      logger: this.rig.logger,
      commands: { Configure: command("Configure"), Scan: command("Scan") },
    });
  }
}

test("Jobs do what configures a scan in order, with one worker", async () => {
  const notes = new Notes();
  const [beam, receiver, disk] = ["beam", "receiver", "disk"]
    .map((name) => notes.device(name)) as [LrcDevice, LrcDevice, LrcDevice];
  const configure = sequential(
    notes.step("validate"),
    parallel([
      sequential(
        deviceCommand(receiver, "Configure"),
        notes.step("received"),
      ),
      deviceCommand(disk, "Configure"),
    ]),
    deviceCommand([beam, receiver], "Scan"),
    notes.step("end"),
  );
  const run = await notes.rig.finish(configure);
  await run.done;
  assertEquals(notes.log, [
    "validate",
    "receiver Configure",
    "received",
    "disk Configure",
    "beam Scan",
    "receiver Scan",
    "end",
  ]);
  notes.rig.assertNothingLeft();
});

for (
  const [name, group] of [
    ["sequential()", (jobs: Job[]) => sequential(...jobs)],
    ["parallel()", (jobs: Job[]) => parallel(jobs)],
  ] as const
) {
  test(`${name} with one worker begins nothing after a failure`, async () => {
    const notes = new Notes();
    const run = await notes.rig.finish(
      group([notes.broken("a"), notes.step("b"), notes.step("c")]),
    );
    assertEquals(await failuresOf(run), [["0", "a"]]);
    assertEquals(notes.log, ["a"]);
  });
}

test("deviceCommand() of many with one worker begins nothing after a failure", async () => {
  const notes = new Notes();
  const devices = ["a", "b"].map((name) =>
    notes.device(name, ResultCode.FAILED)
  );
  const run = await notes.rig.finish(deviceCommand(devices, "Scan"));
  assertEquals(
    (await failuresOf(run)).map(([where]) => where),
    ["0:a/Scan"],
  );
  assertEquals(notes.log, ["a Scan"]);
  notes.rig.assertNothingLeft();
});

const one = call(() => 1);

function nest(depth: number, wrap: (job: Job) => Job): Job {
  let job: Job = one;
  for (let level = 0; level < depth; level++) job = wrap(job);
  return job;
}

const hanging: Record<string, Job> = {
  "an empty group": parallel([]),
  "a sequence in a sequence": sequential(sequential(one, one), one),
  "groups ten deep": nest(10, (job) => parallel([job, job])),
  "groups ten deep with limits": nest(
    10,
    (job) => parallel([job, job], { limit: 1 }),
  ),
  "sequences and groups in turn": nest(
    8,
    (job) => sequential(parallel([job, sequential()], { limit: 1 }), one),
  ),
};

for (const [name, job] of Object.entries(hanging)) {
  test(`Jobs run to their end with one worker: ${name}`, async () => {
    await runJob(job, { limit: 1 });
  });
}

test("Two sequences in a group run side by side", async () => {
  const rig = new JobRig();
  const pair = (name: string) =>
    sequential(rig.takes(100, `${name}1`), rig.takes(100, `${name}2`));
  const run = rig.submit(parallel([pair("a"), pair("b")]));
  const done = rig.watch(run.done);
  await rig.clock.runAll();
  assertEquals(done.settled?.at, 200);
});
