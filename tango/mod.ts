// Copyright 2026 the Longrun authors. MIT license.

/**
 * A client of Tango Controls devices: speaks to their servers over the network
 * by itself, on Deno, Node and Bun.
 *
 * @example Usage
 * ```ts ignore
 * import { DeviceProxy } from "@longrun/tango";
 * import { LongRunningCommand } from "@longrun/tasks/long-running-command";
 *
 * const device = await DeviceProxy.connect("low/beam/1");
 * console.log(await device.readAttributes(["State", "pointing"]));
 * console.log(await new LongRunningCommand("Scan").execute(device, "Vela"));
 * await device.close();
 * ```
 *
 * @module
 */

export type { Clock, TimerOptions } from "@longrun/tasks/clock";
export {
  type DevError,
  DeviceError,
  type DeviceEvent,
  type DeviceOptions,
  type DeviceSubscription,
} from "@longrun/tasks/device-proxy";
export type {
  EventType,
  InterfaceChange,
  TangoEvent,
  TangoSubscription,
} from "./device_event.ts";
export type {
  CallOptions,
  ConnectOptions,
  SubscribeOptions,
} from "./device_options.ts";
export { DeviceProxy } from "./device_proxy.ts";
export * from "./tango_types.ts";
