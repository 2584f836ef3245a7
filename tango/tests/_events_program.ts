// Copyright 2026 the Longrun authors. MIT license.

/**
 * Subscribes to a device, by the address that the first argument is, says what
 * comes first, and ends in the way that the second argument names.
 *
 * @module
 */

import process from "node:process";
import { DeviceProxy } from "../device_proxy.ts";

const [url = "", how] = process.argv.slice(2);
const proxy = await DeviceProxy.connect(url);
const events = await proxy.subscribe("X");
const { value } = await events.next();
console.log(value);
if (how === "close") await proxy.close();
else {
  await events.return();
  // The proxy is left open: it keeps no process alive.
}
