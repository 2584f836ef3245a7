// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { timeout } from "@longrun/tasks/cancellation";
import { ResultCode, TaskStatus } from "@longrun/tasks/device-proxy";
import { deviceCommand, runJob } from "@longrun/tasks/job";
import { LongRunningCommand } from "@longrun/tasks/long-running-command";
import {
  abortDevice,
  attachLrc,
  invokeAll,
  invokeLrc,
  type LrcUpdate,
} from "@longrun/tasks/lrc";
import { DeviceProxy } from "../device_proxy.ts";
import { pause } from "./_child.ts";
import { Oracle, type OracleEvents } from "./_oracle.ts";
import { TangoServer, tangoTest } from "./_tango_server.ts";

const options = { timeout: 30_000 };

function start(versions: string, port?: number): Promise<TangoServer> {
  return TangoServer.start("lrc", {
    env: { LONGRUN_LRC_VERSIONS: versions },
    ...port === undefined ? {} : { port },
  });
}

/** What a handle has told: the statuses, the progress and the result. */
function transcript(updates: readonly LrcUpdate[]): unknown {
  return {
    statuses: updates.map(({ status }) => status)
      .filter((one) => one !== undefined)
      .filter((one, index, all) => one !== all[index - 1]),
    progress: updates.map(({ progress }) => progress)
      .filter((one) => one !== undefined).map(Number),
    result: updates.findLast(({ result }) => result !== undefined)?.result,
  };
}

/** What PyTango hears of a command, in the same words. */
async function heard(
  oracle: Oracle,
  events: OracleEvents,
  device: string,
  command: string,
  argument?: unknown,
): Promise<unknown> {
  const [, [id]] = await oracle.command(device, command, argument) as [
    [number],
    [string],
  ];
  const updates: LrcUpdate[] = [];
  for (;;) {
    const { value } = await events.next();
    const [of, json] = value as [string, string] ?? [];
    if (of !== id) continue;
    updates.push(JSON.parse(json ?? "{}"));
    if (updates.at(-1)?.result !== undefined) break;
  }
  // Each first event may have come twice.
  return transcript(
    updates.filter((one, index) =>
      JSON.stringify(one) !== JSON.stringify(updates[index - 1])
    ),
  );
}

const commands: [string, unknown][] = [
  ["Scan", JSON.stringify({ seconds: 0.2, steps: 4 })],
  ["Off", undefined],
  ["Reject", "Too cloudy"],
  ["Forbidden", ""],
  ["Boom", "Oh"],
  ["Result", JSON.stringify([3, "Tango"])],
];

tangoTest("invokeLrc hears what PyTango hears", async () => {
  await using server = await start("1,2");
  await using oracle = new Oracle();
  await using proxy = await DeviceProxy.connect(server.url);
  // PyTango crashes when it leaves subscriptions now and then.
  const events = await oracle.subscribe(server.url, "change", "_lrcEvent");
  for (const [command, argument] of commands) {
    if (command === "Reject") {
      // It is refused by its answer: there is no handle.
      const result = await new LongRunningCommand(command)
        .execute(proxy, argument, options);
      assertEquals(result.resultCode, ResultCode.REJECTED);
      continue;
    }
    const updates: LrcUpdate[] = [];
    const handle = await invokeLrc(
      (update) => void updates.push(update),
      proxy,
      command,
      argument,
      options,
    );
    await handle.done;
    // The callback has its own turns.
    while (!updates.some(({ result }) => result !== undefined)) await pause(5);
    assertEquals(
      [command, transcript(updates)],
      [command, await heard(oracle, events, server.url, command, argument)],
    );
  }
});

for (const versions of ["1,1", "2,2"]) {
  tangoTest(
    `long commands work over Tango in version ${versions}`,
    async () => {
      await using server = await start(versions);
      await using proxy = await DeviceProxy.connect(server.url);
      const scan = JSON.stringify({ seconds: 0.3, steps: 3 });

      const progress: unknown[] = [];
      const handle = await invokeLrc(
        (update) => {
          if (update.progress !== undefined) progress.push(update.progress);
        },
        proxy,
        "Scan",
        scan,
        options,
      );
      const { resultCode, message } = await handle.done;
      assertEquals([resultCode, message], [ResultCode.OK, "Scan completed OK"]);
      assertEquals(progress.map(Number), [0, 33, 66]);

      const boom = await new LongRunningCommand("Boom")
        .execute(proxy, "Oh", options);
      assertEquals(boom.resultCode, ResultCode.FAILED);

      const before = await invokeLrc(null, proxy, "Scan", scan, options);
      const text = before.serialize();
      await before.unsubscribe();
      const after = await attachLrc(null, proxy, text, options);
      assertEquals((await after.done).resultCode, ResultCode.OK);

      await using other = await DeviceProxy.connect(server.url);
      const report = await invokeAll([
        { proxy, command: "Scan", argument: scan },
        { proxy: other, command: "Off" },
      ], options);
      assertEquals(report.ok, true);

      const job = deviceCommand([proxy, other], "Scan", scan, options);
      assertEquals((await runJob(job)).length, 2);

      const long = await invokeLrc(
        null,
        proxy,
        "Scan",
        JSON.stringify({ seconds: 60 }),
        options,
      );
      assertEquals(
        (await abortDevice(proxy, options)).resultCode,
        ResultCode.OK,
      );
      assertEquals((await long.done).resultCode, ResultCode.ABORTED);
    },
  );

  tangoTest(
    `a server killed in a command of version ${versions} is survived`,
    async () => {
      await using server = await start(versions);
      await using proxy = await DeviceProxy.connect(server.url);
      const updates: LrcUpdate[] = [];
      const handle = await invokeLrc(
        (update) => void updates.push(update),
        proxy,
        "Scan",
        JSON.stringify({ seconds: 60 }),
        options,
      );
      while (handle.status !== TaskStatus.IN_PROGRESS) await pause(10);
      await server.kill();
      await pause(100);
      assert(!handle.ended);
      await server.restart();
      // The server that is there now knows nothing of the command.
      const result = await timeout(handle.done, 25_000);
      assertEquals(result.resultCode, ResultCode.UNKNOWN);
      assert(
        updates.some(({ errors }) =>
          errors?.[0]?.reason === "API_EventTimeout"
        ),
      );
      const again = await new LongRunningCommand("Off")
        .execute(proxy, undefined, options);
      assertEquals(again.resultCode, ResultCode.OK);
    },
  );
}
