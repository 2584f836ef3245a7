// Copyright 2026 the Longrun authors. MIT license.

/**
 * A long-running command of a real Tango device, with its progress.
 *
 * Starts a device server on this machine, sends it a command, shows how far it
 * is, and ends by itself. Ctrl-C has the device abort the command. With the
 * address of a device that has the command `Scan` as its argument, it starts
 * no server:
 *
 * ```sh
 * deno run -A examples/tango.ts tango://localhost:10000/lab/scan/1
 * ```
 */

import { ResultCode, TaskStatus } from "@longrun/tasks/device-proxy";
import { abortDevice, invokeLrc } from "@longrun/tasks/lrc";
import process from "node:process";
import { DeviceProxy } from "../tango/mod.ts";
import { missingTango, TangoServer } from "../tango/tests/_tango_process.ts";

function nameOf(values: Readonly<Record<string, number>>, one: unknown) {
  return Object.keys(values).find((name) => values[name] === one) ?? "";
}

async function scan(address: string): Promise<void> {
  await using device = await DeviceProxy.connect(address);
  console.log(`${device.name}: ${await device.status()}`);
  const handle = await invokeLrc(
    ({ status, progress, errors }) => {
      if (status !== undefined) console.log(nameOf(TaskStatus, status));
      if (progress !== undefined) console.log(`${progress} %`);
      if (errors !== undefined) console.log(errors[0]?.desc);
    },
    device,
    "Scan",
    JSON.stringify({ seconds: 2, steps: 10 }),
    { timeout: 60_000 },
  );
  const interrupt = (): void => {
    abortDevice(device).catch((error) => console.error(String(error)));
  };
  process.once("SIGINT", interrupt);
  try {
    const { resultCode, message } = await handle.done;
    console.log(`${nameOf(ResultCode, resultCode)}: ${message}`);
  } finally {
    process.off("SIGINT", interrupt);
  }
}

const [address] = process.argv.slice(2);
if (address !== undefined) {
  await scan(address);
} else if (missingTango !== undefined) {
  console.log(
    `There is no Tango here: ${missingTango}. On Debian and Ubuntu,\n` +
      "  sudo apt install python3-tango tango-test\n" +
      "installs what this example starts. Otherwise give it the address of " +
      "a device.",
  );
} else {
  await using server = await TangoServer.start("lrc");
  await scan(server.url);
}
