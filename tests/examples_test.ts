// Copyright 2026 the Longrun authors. MIT license.

/** The examples that run on all runtimes, as processes of their own. */

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { kill, platform } from "node:process";
import { fileURLToPath } from "node:url";
import { runFile } from "./_process.ts";

const file = fileURLToPath(
  new URL("../examples/configure_and_scan.ts", import.meta.url),
);

const configured = [
  ...Array.from({ length: 10 }, (_, step) => `Configure: ${step * 10} %`),
  "Configure: OK, Points to Vela",
];

const lines = (text: string): string[] => text.trim().split(/\r?\n/);

test("The example configures, scans and ends by itself", async () => {
  const { code, stdout } = await runFile(file, { args: ["0.1"] });
  assertEquals(code, 0);
  assertEquals(lines(stdout), [
    ...configured,
    ...Array.from({ length: 10 }, (_, step) => `Scan: ${step * 10} %`),
    "Scan: OK, Has seen Vela for 0.1 s",
  ]);
});

test("The example says that a command was refused", async () => {
  const { code, stdout } = await runFile(file, { args: ["-1"] });
  assertEquals(code, 1);
  assertEquals(lines(stdout), [
    ...configured,
    "Scan: REJECTED, A scan takes more than 0 s",
  ]);
});

// There a signal ends a process at once.
const testSignal = platform === "win32" ? test.skip : test;

testSignal(
  "The example tells the true end of a scan that Ctrl-C aborts",
  async () => {
    let isSent = false;
    const { code, stdout } = await runFile(file, {
      args: ["600"],
      onOutput: (text, pid) => {
        if (isSent || pid === undefined || !text.includes("Scan: 0 %")) return;
        isSent = true;
        kill(pid, "SIGINT");
      },
    });
    assertEquals(code, 1);
    assertEquals(lines(stdout), [
      ...configured,
      "Scan: 0 %",
      "Scan: ABORTED, Stopped, 0 % of Vela are kept",
    ]);
  },
);
