// Copyright 2026 the Longrun authors. MIT license.

/**
 * What can be chosen of a device that is reached over the network.
 *
 * @module
 */

import type { Clock } from "@longrun/tasks/clock";
import type { DeviceOptions } from "@longrun/tasks/device-proxy";
import type { EventType } from "./device_event.ts";
import type { DevSource } from "./tango_types.ts";

/** Options of a call of a device. */
export interface CallOptions extends DeviceOptions {
  /**
   * How long to wait for the answer, in milliseconds.
   *
   * @default {the timeout of the proxy}
   */
  timeout?: number;
}

/** Options of `DeviceProxy.connect`. */
export interface ConnectOptions extends CallOptions {
  /**
   * How long to wait for each answer, in milliseconds.
   *
   * @default {3000}
   */
  timeout?: number;
  /**
   * Where the database is: `"host:port"`, more of them separated by commas.
   *
   * @default {the environment variable TANGO_HOST}
   */
  tangoHost?: string;
  /**
   * Where the values of attributes come from.
   *
   * @default {DevSource.CACHE_DEV}
   */
  source?: DevSource;
  /**
   * What integers of 64 bits become. Numbers are easier to use, but those
   * beyond 2^53 are rounded.
   *
   * @default {"bigint"}
   */
  int64?: "bigint" | "number";
  /**
   * How many bytes an answer, or an event, may have; one that has more closes
   * the connection.
   *
   * @default {268_435_456}
   */
  maxMessage?: number;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
}

/** Options of `DeviceProxy.subscribe`. */
export interface SubscribeOptions extends DeviceOptions {
  /**
   * The kind of events.
   *
   * @default {"change"}
   */
  type?: EventType;
  /**
   * How many events are kept for a slow subscriber. When there are more, the
   * oldest are dropped and an event with the reason `API_MissedEvents` says so.
   *
   * @default {10_000}
   */
  capacity?: number;
}
