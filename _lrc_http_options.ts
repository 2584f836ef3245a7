// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkCommon,
  checkFiniteCount,
  checkFiniteNonNegative,
  checkFunction,
  checkNonNegative,
  checkOptions,
  checkPositive,
  checkStrings,
  checkType,
} from "./_arguments.ts";
import type { GateSettings } from "./_lrc_http_gate.ts";
import type { HubSettings } from "./_lrc_http_hub.ts";
import { DEFAULT_HEARTBEAT } from "./_lrc_http_wire.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { DeviceProxy } from "./device_proxy.ts";
import { defaultLogger, type Logger } from "./logger.ts";

/** What somebody wants of a handler. */
export interface DeviceAccess {
  /** The name of the device; `undefined` for the list of all. */
  readonly device: string | undefined;
  /**
   * What is done with it: `"list"` and `"describe"` give names, `"read"` and
   * `"events"` give attributes, `"operation"` what a command is at, and
   * `"command"` has one executed.
   */
  readonly action:
    | "list"
    | "describe"
    | "read"
    | "events"
    | "operation"
    | "command";
  /** The attributes, the command or the id, as the client has spelled them. */
  readonly names: readonly string[];
}

/**
 * Says whether somebody may have what he wants: `true`, or `false` for the
 * status 403, or the answer that he is given instead, such as one with the
 * status 401.
 *
 * @param request The request, whose body must be left alone.
 * @param access What is wanted.
 * @param info What the server has given besides the request.
 */
export type Authorize = (
  request: Request,
  access: DeviceAccess,
  info: unknown,
) => boolean | Response | Promise<boolean | Response>;

/** Options of `DeviceHandler`. */
export interface DeviceHandlerOptions {
  /**
   * The path below which everything is, such as `"/lab"`.
   *
   * @default {""}
   */
  base?: string;
  /**
   * The host names by which this server may be called, without ports. Others
   * are refused, also by `authorize`'s leave.
   *
   * @default {those of this machine itself; with `authorize` any}
   */
  hosts?: readonly string[];
  /** Asked before anything is done. */
  authorize?: Authorize;
  /**
   * The origins whose pages may ask, such as `"https://lab.example"`.
   *
   * @default {[]}
   */
  cors?: readonly string[];
  /**
   * How many bytes the body of a request may have.
   *
   * @default {1_048_576}
   */
  maxBody?: number;
  /**
   * How long a body may take to come, in milliseconds.
   *
   * @default {10_000}
   */
  bodyTimeout?: number;
  /**
   * How many streams of events there may be at a time.
   *
   * @default {2000}
   */
  maxStreams?: number;
  /**
   * How many events of an attribute are kept for those who come again, or who
   * are slow.
   *
   * @default {1000}
   */
  replay?: number;
  /**
   * How many characters they may have together. The newest is always kept.
   *
   * @default {4_194_304}
   */
  replayBytes?: number;
  /**
   * How long an attribute stays subscribed to when nobody listens, in
   * milliseconds, so that who comes again misses nothing.
   *
   * @default {60_000}
   */
  linger?: number;
  /**
   * How often a stream gives a sign of life, in milliseconds. A reader that
   * has taken none of four is given up.
   *
   * @default {15_000}
   */
  heartbeat?: number;
  /**
   * The longest `wait` that is heeded, in milliseconds.
   *
   * @default {30_000}
   */
  maxWait?: number;
  /**
   * When clients are told to come again, in milliseconds: to ask for a command
   * that goes on, or when there is no room.
   *
   * @default {1000}
   */
  retryAfter?: number;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Told of what fails here and cannot be told to a client.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
}

/** The options that have a default, with it where they were not given. */
export interface HandlerSettings extends GateSettings, HubSettings {
  readonly base: string;
  readonly authorize: Authorize | undefined;
  readonly maxBody: number;
  readonly bodyTimeout: number;
  readonly maxWait: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const CREATE = "create DeviceHandler";

/** Checks the options of a handler and gives them their defaults. */
export function settingsOf(options: DeviceHandlerOptions): HandlerSettings {
  checkOptions(CREATE, options);
  checkCommon(CREATE, options);
  const {
    base = "",
    authorize,
    cors = [],
    maxBody = 1024 * 1024,
    bodyTimeout = 10_000,
    maxStreams = 2000,
    replay = 1000,
    replayBytes = 4 * 1024 * 1024,
    linger = 60_000,
    heartbeat = DEFAULT_HEARTBEAT,
    maxWait = 30_000,
    retryAfter = 1000,
    clock = systemClock,
    logger = defaultLogger,
  } = options;
  checkType(
    typeof base === "string" && /^(\/[^/?#]+)*$/.test(base),
    CREATE,
    "base",
    "a path that begins with a slash and ends without one",
    base,
  );
  if (options.hosts !== undefined) checkStrings(CREATE, "hosts", options.hosts);
  const hosts = options.hosts ?? (authorize === undefined ? [] : undefined);
  if (authorize !== undefined) checkFunction(CREATE, "authorize", authorize);
  checkStrings(CREATE, "cors", cors);
  checkFiniteCount(CREATE, "maxBody", maxBody, 1);
  checkPositive(CREATE, "bodyTimeout", bodyTimeout);
  checkFiniteCount(CREATE, "maxStreams", maxStreams, 0);
  checkFiniteCount(CREATE, "replay", replay, 1);
  checkFiniteCount(CREATE, "replayBytes", replayBytes, 1);
  checkNonNegative(CREATE, "linger", linger);
  checkPositive(CREATE, "heartbeat", heartbeat);
  checkFiniteNonNegative(CREATE, "maxWait", maxWait);
  checkFiniteNonNegative(CREATE, "retryAfter", retryAfter);
  return {
    base,
    hosts: hosts?.map((host) => host.toLowerCase()),
    authorize,
    cors: [...cors],
    maxBody,
    bodyTimeout,
    maxStreams,
    replay,
    replayBytes,
    linger,
    heartbeat,
    maxWait,
    retryAfter,
    clock,
    logger,
  };
}

/** The devices by their names in lower case. */
export function devicesOf(
  devices: DeviceProxy | Iterable<DeviceProxy>,
): Map<string, DeviceProxy> {
  const must = "a device or devices";
  checkType(
    typeof devices === "object" && devices !== null,
    CREATE,
    "devices",
    must,
    devices,
  );
  const all = Symbol.iterator in devices ? [...devices] : [devices];
  const found = new Map<string, DeviceProxy>();
  for (const device of all) {
    checkType(
      typeof device?.name === "string" && device.name !== "" &&
        typeof device.command === "function" &&
        typeof device.subscribe === "function",
      CREATE,
      "devices",
      must,
      device,
    );
    const name = device.name.toLowerCase();
    checkType(
      !found.has(name),
      CREATE,
      "devices",
      "without a name that is taken",
      device.name,
    );
    found.set(name, device);
  }
  return found;
}
