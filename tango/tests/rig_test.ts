// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DeviceError } from "@longrun/tasks/device-proxy";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { beside, pause } from "./_child.ts";
import { asLatin1, Oracle } from "./_oracle.ts";
import {
  databaseTest,
  startDatabase,
  TangoServer,
  tangoTest,
} from "./_tango_server.ts";
import { WireProxy } from "./_wire_proxy.ts";

tangoTest(
  "a server starts and the oracle reads a value through the wire proxy",
  async () => {
    await using server = await TangoServer.start("types");
    await using proxy = await WireProxy.start(server.port);
    await using oracle = new Oracle();
    const device = server.urlOf("test/types/1", proxy.port);

    const [scalar, spectrum, text, failing] = await oracle.read(
      device,
      "DevULong64Scalar",
      "Floats",
      "Utf8",
      "Failing",
    );
    assertEquals(scalar?.value, 2n ** 64n - 1n);
    assertEquals(spectrum?.value, [NaN, Infinity, -Infinity, -0, 0.1]);
    assertEquals(text?.value, asLatin1("Танго ✓"));
    assertEquals(failing?.errors?.[0]?.reason, "PyDs_PythonError");

    assertEquals(
      await oracle.command(device, "EchoDevVarLongStringArray", [[1, -2], [
        "a",
      ]]),
      [[1, -2], ["a"]],
    );
    await oracle.write(device, "DevLong64Spectrum", [-(2n ** 63n)]);
    const [written] = await oracle.read(device, "DevLong64Spectrum");
    assertEquals(written?.value, [-(2n ** 63n)]);
    const error = await assertRejects(
      () => oracle.command(device, "Fail", ["Inner", "Outer"]),
      DeviceError,
    );
    assertEquals(error.errors.slice(0, 2).map(({ reason }) => reason), [
      "Inner",
      "Outer",
    ]);
    const magic = new TextDecoder().decode(proxy.bytes("down").subarray(0, 4));
    assertEquals(magic, "GIOP");
  },
);

tangoTest(
  "the wire proxy splits, merges and delays without a loss",
  async () => {
    await using server = await TangoServer.start("TangoTest");
    await using proxy = await WireProxy.start(server.port);
    await using oracle = new Oracle();
    const device = server.urlOf("sys/tg_test/1", proxy.port);

    await oracle.ask("ping", { device });
    proxy.mode("up", { kind: "split" });
    proxy.mode("down", { kind: "split", size: 3 });
    assertEquals(await oracle.command(device, "DevString", "split"), "split");
    proxy.mode("up", { kind: "delay", ms: 20 });
    proxy.mode("down", { kind: "merge" });
    const answer = oracle.ask("ping", { device });
    proxy.clear();
    while (proxy.bytes("down").length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    proxy.flush("down");
    proxy.mode("down", { kind: "forward" });
    assert(typeof await answer === "number");
  },
);

tangoTest("a server that was killed starts again on its port", async () => {
  await using server = await TangoServer.start("lrc", {
    env: { LONGRUN_LRC_VERSIONS: "2,2" },
  });
  await using oracle = new Oracle();
  const attributes = await oracle.ask("attributes", { device: server.url });
  assert(!(attributes as string[]).includes("longRunningCommandStatus"));
  assert((attributes as string[]).includes("_lrcEvent"));

  await server.kill("SIGKILL");
  assertEquals(server.exit, "SIGKILL");
  await server.restart();
  await using other = new Oracle();
  assertEquals(await other.ask("state", { device: server.url }), "OFF");
});

tangoTest("the oracle hears of a long-running command", async () => {
  await using server = await TangoServer.start("lrc");
  await using oracle = new Oracle();
  const events = await oracle.subscribe(server.url, "change", "_lrcEvent");
  const first = await events.next();
  assertEquals(first.errors, undefined);
  const [[code], [id]] = await oracle.command(server.url, "On") as [
    [number],
    [string],
  ];
  assertEquals(code, 2);
  for (;;) {
    const { value } = await events.next();
    const [of, json] = value as [string, string];
    assertEquals(of, id);
    const { status, result } = JSON.parse(json);
    if (status !== 5) continue;
    assertEquals(result, [0, "On command completed OK"]);
    break;
  }
});

databaseTest("a server is found by way of a database", async () => {
  await using database = await startDatabase();
  await using server = await TangoServer.start("lrc", { database });
  await using oracle = new Oracle({ TANGO_HOST: database.host });
  assertEquals(server.url, "test/lrc/1");
  assertEquals(await oracle.ask("state", { device: server.url }), "OFF");
});

/** Runs a module on the runtime of the test until it prints a line. */
async function runUntilLine(
  file: string,
): Promise<[string, () => Promise<void>]> {
  const root = beside("../..");
  const args = "Deno" in globalThis
    ? [
      "run",
      "-A",
      "--no-check",
      "--node-modules-dir=none",
      `--import-map=${root}/compat/import_map.json`,
      file,
    ]
    : "Bun" in globalThis
    ? ["run", file]
    : [`--import=${root}/compat/node.mjs`, file];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  child.stdout.on("data", (data) => resolve(String(data)));
  const closed = new Promise((resolve) => child.once("close", resolve));
  child.once("close", () => reject(new Error("The program has ended")));
  const line = await promise;
  return [line, async () => {
    child.kill("SIGKILL");
    await closed;
  }];
}

async function isAlive(pid: string): Promise<boolean> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "latin1");
    // Nobody may be there to bury it.
    return !/\) Z /.test(stat);
  } catch {
    return false;
  }
}

tangoTest("a server ends when the process of its test is killed", async () => {
  const [line, kill] = await runUntilLine(beside("_orphan_program.ts"));
  const pid = /^pid (\d+)/.exec(line)?.[1] ?? "";
  assert(await isAlive(pid));
  await kill();
  for (let round = 0; await isAlive(pid); round++) {
    assert(round < 200, "the server lives on");
    await pause(50);
  }
});
