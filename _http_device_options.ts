// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkCommon,
  checkFiniteCount,
  checkFunction,
  checkHeaders,
  checkOptions,
  checkPositive,
  checkRestartPolicy,
  checkType,
} from "./_arguments.ts";
import { DEFAULT_EVENTS } from "./_lrc_device_events.ts";
import { DEFAULT_HEARTBEAT } from "./_lrc_http_wire.ts";
import { backoff, type RestartPolicy } from "./backoff.ts";
import { type Clock, systemClock } from "./clock.ts";
import { defaultLogger, type Logger } from "./logger.ts";

/** Headers, in any of the ways that `fetch` takes them. */
export type HttpHeaders =
  | Headers
  | Readonly<Record<string, string>>
  | readonly (readonly [name: string, value: string])[];

/** Options of `HttpDevice`. */
export interface HttpDeviceOptions {
  /**
   * The name of the device; the address is that of the whole handler then.
   *
   * @default {the last part of the address}
   */
  name?: string;
  /** Headers of all requests, or what makes them each time. */
  headers?: HttpHeaders | (() => HttpHeaders | Promise<HttpHeaders>);
  /**
   * Sends a request.
   *
   * @default {globalThis.fetch}
   */
  fetch?: (request: Request) => Promise<Response>;
  /**
   * How long an answer may take, and a subscription until it stands, in
   * milliseconds.
   *
   * @default {30_000}
   */
  timeout?: number;
  /**
   * How long a stream of events may be silent, in milliseconds, before it is
   * given up and opened again. More than the `heartbeat` of the handler.
   *
   * @default {45_000}
   */
  silence?: number;
  /**
   * When a stream that has broken is opened again. A policy that gives up makes
   * the subscription fail.
   *
   * @default {250 ms at first, at most 30 s, without end}
   */
  restart?: RestartPolicy;
  /**
   * How many events are kept for a slow subscriber. When there are more, the
   * oldest are dropped and an event with the reason `API_MissedEvents` says so.
   *
   * @default {10_000}
   */
  eventCapacity?: number;
  /**
   * How many bytes an answer may have, and how many characters an event.
   *
   * @default {16_777_216}
   */
  maxBody?: number;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * The date of today in milliseconds since 1970, for a `Retry-After` with a
   * date in an answer without one.
   *
   * @default {Date.now}
   */
  dateNow?: () => number;
  /**
   * Told of streams that break.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
}

/** The options that have a default, with it where they were not given. */
export interface HttpDeviceSettings {
  /** The address of the device, without a slash at its end. */
  readonly url: string;
  readonly name: string;
  readonly headers: () => HttpHeaders | Promise<HttpHeaders>;
  readonly fetch: (request: Request) => Promise<Response>;
  readonly timeout: number;
  readonly silence: number;
  readonly restart: RestartPolicy;
  readonly eventCapacity: number;
  readonly maxBody: number;
  readonly clock: Clock;
  readonly dateNow: () => number;
  readonly logger: Logger;
}

const CREATE = "create HttpDevice";

function checkUrl(url: unknown): URL {
  let parsed: URL | undefined;
  try {
    parsed = new URL(String(url));
  } catch {
    // The check below says it.
  }
  const isGood = parsed !== undefined && /^https?:$/.test(parsed.protocol) &&
    parsed.search === "" && parsed.hash === "" && parsed.username === "" &&
    parsed.password === "";
  checkType(
    isGood,
    CREATE,
    "url",
    "an address of HTTP, without a query or a password",
    url,
  );
  return parsed ?? new URL(String(url));
}

function nameIn(path: string): string | undefined {
  try {
    return decodeURIComponent(/\/devices\/([^/]+)$/.exec(path)?.[1] ?? "");
  } catch {
    return undefined;
  }
}

function addressOf(
  given: string | URL,
  name: string | undefined,
): { url: string; name: string } {
  const parsed = checkUrl(given);
  const path = parsed.pathname.replace(/\/+$/, "");
  if (name !== undefined) {
    checkType(name !== "", CREATE, "name", "a string that is not empty", name);
    const device = encodeURIComponent(name);
    return { url: `${parsed.origin}${path}/devices/${device}`, name };
  }
  const found = nameIn(path);
  checkType(
    found !== undefined && found !== "",
    CREATE,
    "url",
    "the address of a device, .../devices/{name}, if there is no 'name'",
    String(given),
  );
  return { url: `${parsed.origin}${path}`, name: found ?? "" };
}

const none = (): HttpHeaders => ({});

/** The same headers each time, whatever becomes of those that were given. */
function always(headers: HttpHeaders): () => HttpHeaders {
  const copy = new Headers(headers as HeadersInit);
  return () => copy;
}

/** Checks the arguments of an `HttpDevice`. */
export function settingsOf(
  url: string | URL,
  options: HttpDeviceOptions,
): HttpDeviceSettings {
  checkOptions(CREATE, options);
  checkCommon(CREATE, options);
  const {
    headers = none,
    // Looked up each time: whoever fakes it replaces it.
    fetch = (request: Request): Promise<Response> => globalThis.fetch(request),
    timeout = 30_000,
    silence = 3 * DEFAULT_HEARTBEAT,
    restart = backoff({
      limit: Infinity,
      initial: 250,
      maximum: 30_000,
      jitter: 0.5,
      resetAfter: 10_000,
    }),
    eventCapacity = DEFAULT_EVENTS,
    maxBody = 16 * 1024 * 1024,
    clock = systemClock,
    dateNow = Date.now,
    logger = defaultLogger,
  } = options;
  checkHeaders(CREATE, headers);
  checkFunction(CREATE, "fetch", fetch);
  checkFunction(CREATE, "dateNow", dateNow);
  checkPositive(CREATE, "timeout", timeout);
  checkPositive(CREATE, "silence", silence);
  checkRestartPolicy(CREATE, "restart", restart);
  checkFiniteCount(CREATE, "eventCapacity", eventCapacity, 1);
  checkFiniteCount(CREATE, "maxBody", maxBody, 1);
  return {
    ...addressOf(url, options.name),
    headers: typeof headers === "function" ? headers : always(headers),
    fetch,
    timeout,
    silence,
    restart,
    eventCapacity,
    maxBody,
    clock,
    dateNow,
    logger,
  };
}
