// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { runModule } from "./_run_module.ts";
import { TangoServer, tangoTest } from "./_tango_server.ts";

const example = new URL("../../examples/tango.ts", import.meta.url);

function check(stdout: string): void {
  const lines = stdout.trim().split("\n");
  assertEquals(lines[0], "test/lrc/1: The device is in OFF state.");
  assert(lines.includes("IN_PROGRESS"), stdout);
  assert(lines.includes("90 %"), stdout);
  assertEquals(lines.at(-1), "OK: Scan completed OK");
}

tangoTest("The example starts a server and scans with it", async () => {
  const { code, stdout } = await runModule(example);
  assertEquals(code, 0);
  check(stdout);
});

tangoTest("The example scans with a device that is there", async () => {
  await using server = await TangoServer.start("lrc");
  const { code, stdout } = await runModule(example, server.url);
  assertEquals(code, 0);
  check(stdout);
});
