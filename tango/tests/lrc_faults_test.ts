// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { ResultCode, TaskStatus } from "@longrun/tasks/device-proxy";
import { invokeLrc, type LrcHandle, type LrcUpdate } from "@longrun/tasks/lrc";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeviceProxy } from "../device_proxy.ts";
import { pause } from "./_child.ts";
import { TangoServer, tangoTest } from "./_tango_server.ts";
import { WiredServer } from "./_wired_server.ts";

const options = { timeout: 60_000 };

/** A server that is started on a busy machine may be slow to answer. */
const patient = { timeout: 20_000 };

/** A file that vanishes with its block. */
class TemporaryFile implements AsyncDisposable {
  readonly path: string;
  readonly #folder: string;

  static async make(): Promise<TemporaryFile> {
    return new TemporaryFile(await mkdtemp(join(tmpdir(), "longrun-lrc-")));
  }

  private constructor(folder: string) {
    this.#folder = folder;
    this.path = join(folder, "state.json");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const environment = (versions: string, path = ""): Record<string, string> => ({
  LONGRUN_LRC_VERSIONS: versions,
  LONGRUN_LRC_STATE: path,
});

/** A scan whose result is no other's. */
const scan = (seconds: number, seen: string): string =>
  JSON.stringify({ seconds, steps: 4, result: [ResultCode.OK, seen] });

/** Waits until a device knows how a command has ended. */
async function ended(url: string, { commandId }: LrcHandle): Promise<void> {
  await using proxy = await DeviceProxy.connect(url, patient);
  const check = (): Promise<unknown> =>
    proxy.command("CheckLongRunningCommandStatus", commandId);
  while (await check() !== "COMPLETED") await pause(20);
}

function reasons(updates: readonly LrcUpdate[]): unknown[] {
  return updates.flatMap(({ errors = [] }) =>
    errors.map(({ reason }) => reason)
  );
}

for (const versions of ["1,1", "2,2"]) {
  const version = `in version ${versions[0]}`;
  const attribute = versions === "2,2"
    ? "_lrcEvent"
    : "longRunningCommandStatus";

  tangoTest(
    `a command goes on in a server that was killed, to its true end, ${version}`,
    async () => {
      await using state = await TemporaryFile.make();
      await using server = await TangoServer.start("lrc", {
        env: environment(versions, state.path),
      });
      await using proxy = await DeviceProxy.connect(server.url, patient);
      const updates: LrcUpdate[] = [];
      const handle = await invokeLrc(
        (update) => void updates.push(update),
        proxy,
        "Scan",
        scan(2, "Has seen Vela"),
        options,
      );
      while (handle.progress === undefined) await pause(10);
      await server.kill();
      while (reasons(updates).length === 0) await pause(10);
      assert(!handle.ended);
      await server.restart();
      const { resultCode, message, status } = await handle.done;
      assertEquals([resultCode, message, status], [
        ResultCode.OK,
        "Has seen Vela",
        TaskStatus.COMPLETED,
      ]);
      assert(reasons(updates).includes("API_EventTimeout"));
    },
  );

  tangoTest(
    `a command that a killed server could not end has failed, ${version}`,
    async () => {
      await using state = await TemporaryFile.make();
      await using server = await TangoServer.start("lrc", {
        env: environment(versions, state.path),
      });
      await using proxy = await DeviceProxy.connect(server.url, patient);
      const handle = await invokeLrc(null, proxy, "Stubborn", 60, options);
      while (handle.status !== TaskStatus.IN_PROGRESS) await pause(10);
      await server.kill();
      await server.restart();
      const { resultCode, message, status } = await handle.done;
      assertEquals([resultCode, message, status], [
        ResultCode.FAILED,
        "The server has ended during Stubborn",
        TaskStatus.FAILED,
      ]);
    },
  );

  tangoTest(
    `a result that nobody heard is found after the server was killed, ${version}`,
    async () => {
      await using state = await TemporaryFile.make();
      await using wired = await WiredServer.start("lrc", {
        attribute,
        env: environment(versions, state.path),
      });
      const { server } = wired;
      await using proxy = await DeviceProxy.connect(wired.url, patient);
      const handle = await invokeLrc(
        null,
        proxy,
        "Scan",
        scan(1, "Has seen Orion"),
        options,
      );
      while (handle.progress === undefined) await pause(10);
      wired.events.mode("down", { kind: "swallow" });
      await ended(server.url, handle);
      assert(!handle.ended);
      await server.kill();
      await server.restart();
      const { resultCode, message } = await handle.done;
      assertEquals([resultCode, message], [ResultCode.OK, "Has seen Orion"]);
    },
  );

  tangoTest(
    `a command that ends while its events are away has its result, ${version}`,
    async () => {
      await using wired = await WiredServer.start("lrc", {
        attribute,
        env: environment(versions),
      });
      await using proxy = await DeviceProxy.connect(wired.url, patient);
      const updates: LrcUpdate[] = [];
      const handle = await invokeLrc(
        (update) => void updates.push(update),
        proxy,
        "Scan",
        scan(1, "Has seen Sirius"),
        options,
      );
      while (handle.progress === undefined) await pause(10);
      const wires = [wired.events, wired.heartbeats];
      await Promise.all(wires.map((wire) => wire.refuse()));
      for (const wire of wires) wire.cut();
      await ended(wired.server.url, handle);
      await Promise.all(wires.map((wire) => wire.accept()));
      const { resultCode, message } = await handle.done;
      assertEquals([resultCode, message], [ResultCode.OK, "Has seen Sirius"]);
      assert(reasons(updates).includes("API_EventTimeout"));
      // The events are back, too.
      const next = await invokeLrc(null, proxy, "Off", undefined, options);
      assertEquals((await next.done).resultCode, ResultCode.OK);
    },
  );
}
