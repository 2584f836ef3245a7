// Copyright 2026 the Longrun authors. MIT license.

/**
 * A program that can be killed: a device behind a server. Takes the port, prints
 * the address.
 */

import process from "node:process";
import { LrcDevice } from "../lrc_device.ts";
import { DeviceHandler } from "../lrc_http.ts";
import { HttpServer } from "./_http_server.ts";

const device = new LrcDevice({
  name: "test/net/1",
  commands: {
    Hold: async ({ progress, sleep }) => {
      progress(10);
      await sleep(60_000);
    },
    Quick: () => [0, "quick"],
  },
});
const handler = new DeviceHandler(device);
const port = Number(process.argv[2] ?? 0);
const server = await HttpServer.serve(handler.fetch, port);
console.log(server.url);
