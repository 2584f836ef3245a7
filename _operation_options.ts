// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkCommon,
  checkCount,
  checkFunction,
  checkHeaders,
  checkNonNegative,
  checkOneOf,
  checkOptions,
  checkPositive,
  checkPositiveFinite,
  checkRestartPolicy,
  checkType,
  copyOptions,
  isRestartPolicy,
} from "./_arguments.ts";
import type { OperationResponse } from "./_operation_request.ts";
import {
  type FinalRequest,
  type OperationShape,
  urlOfName,
} from "./_operation_tracking.ts";
import { backoff, type RestartPolicy } from "./backoff.ts";
import { type Clock, systemClock } from "./clock.ts";
import { defaultLogger, type Logger } from "./logger.ts";

/** How an operation has ended, or that nobody knows. */
export type OperationEnd = "succeeded" | "failed" | "canceled" | "unknown";

/** What an operation is at. */
export type OperationStatus = "running" | OperationEnd;

/** What is new about an operation. */
export interface OperationUpdate {
  /** What it is at. */
  readonly status: OperationStatus;
  /** The same in the word of the server, such as `"PreparingDisk"`. */
  readonly stage: string | undefined;
  /** How far it is, as a rule from 0 to 100. */
  readonly progress: number | undefined;
  /** The body that told it, as decoded from JSON. */
  readonly body: unknown;
  /**
   * What went wrong when the server was asked; `undefined` if nothing did. The
   * operation goes on.
   */
  readonly error: unknown;
  /** When it was learnt, on the scale of the clock, in milliseconds. */
  readonly time: number;
}

/** How an operation has ended, well or badly. */
export interface OperationResult<R = unknown> {
  /**
   * How it has ended. All but `"unknown"` is what the server has said;
   * `"unknown"` is everything that kept this client from seeing the end.
   */
  readonly status: OperationEnd;
  /** The result of an operation that has succeeded; `undefined` for none. */
  readonly value: R | undefined;
  /** Why it has not succeeded, `undefined` if it has. */
  readonly error: unknown;
  /** The error in words; empty if there is none. */
  readonly message: string;
  /** The last word of the server, `undefined` if there was none. */
  readonly stage: string | undefined;
  /** The last answer of the server, `undefined` if there was none. */
  readonly response: OperationResponse | undefined;
}

/** What has happened on the way so far. */
export interface OperationCounters {
  /** How many answers the server has given, the first one not counted. */
  readonly asked: number;
  /** How often asking has failed. */
  readonly failed: number;
  /** How often the server has said that it is asked too often, or is busy. */
  readonly throttled: number;
}

/** An operation that was begun, and all that is known of it. */
export interface OperationHandle<R = unknown>
  extends AsyncIterable<OperationUpdate>, Disposable, AsyncDisposable {
  /** The address that is asked, `undefined` as long as it is not known. */
  readonly url: string | undefined;
  /** The form in which the server tells, `undefined` until it is known. */
  readonly shape: OperationShape | undefined;
  /** What it is at. */
  readonly status: OperationStatus;
  /** The same in the word of the server, `undefined` before the first. */
  readonly stage: string | undefined;
  /** How far it is, `undefined` before it tells. */
  readonly progress: number | undefined;
  /** What has happened on the way so far. */
  readonly counters: OperationCounters;
  /** Whether nothing more will come. */
  readonly ended: boolean;
  /**
   * Resolves when it is known where to ask, or that there is nothing to ask.
   * From then on {@linkcode OperationHandle.serialize} works. Never rejects.
   */
  readonly ready: Promise<void>;
  /** How it has ended. Never rejects: failures are values. */
  readonly done: Promise<OperationResult<R>>;
  /**
   * Asks the server to cancel the operation. Only AIP-151 says how. Whether it
   * does so is seen in how the operation ends.
   *
   * @param options What ends the wait for the answer.
   * @returns Whether the server was asked and has agreed to try; `false` also
   * if there is no way to ask, or nothing left to cancel.
   * @throws {TypeError} If an option is of the wrong type. Nothing was asked.
   */
  cancel(options?: { signal?: AbortSignal }): Promise<boolean>;
  /**
   * Ends the interest in the operation, which itself goes on; `done` resolves
   * with the status `"unknown"`. Does nothing when the operation has ended.
   *
   * @returns A promise that resolves when nothing is asked any more.
   */
  unsubscribe(): Promise<void>;
  /**
   * A text to follow the operation with after a restart. It has no headers in
   * it, but addresses, which may have keys in them.
   *
   * @throws {Error} If it is not known yet where to ask.
   */
  serialize(): string;
  /**
   * What is known now, if anything is, and what comes, to the end. If it is
   * read so slowly that more than 1000 updates wait, the oldest are lost.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<OperationUpdate, undefined>;
}

/** Headers, or what gives them anew for each request. */
export type OperationHeaders =
  | HeadersInit
  | ((url: URL) => HeadersInit | Promise<HeadersInit>);

/** Options of `followOperation`. */
export interface FollowOperationOptions<R = unknown> {
  /** Ends the interest in the operation, which itself goes on. */
  signal?: AbortSignal;
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
   * Told of headers that were held back, and of policies that fail.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
  /**
   * Sends the requests.
   *
   * @default {globalThis.fetch}
   */
  fetch?: typeof globalThis.fetch;
  /**
   * Headers of the requests, such as `authorization`. A function is called for
   * each request, so that it can give a fresh token. They are sent to the
   * origin of the first request and to `trustedOrigins`, and to nobody else.
   *
   * @default {none}
   */
  headers?: OperationHeaders;
  /**
   * Further origins that the headers are sent to, such as
   * `"https://status.example"`.
   *
   * @default {[]}
   */
  trustedOrigins?: Iterable<string | URL>;
  /**
   * The address of the first request, where the response does not know it.
   *
   * @default {the `url` of the response}
   */
  url?: string | URL;
  /**
   * The method of the first request: where the result is depends on it.
   *
   * @default {taken from what the answer is like}
   */
  method?: string;
  /**
   * The form in which the server tells, where it cannot be taken from the
   * first answer.
   *
   * @default {taken from the headers, or else the body}
   */
  shape?: OperationShape;
  /**
   * Where the result is if the last answer does not have it: at the address of
   * `Location`, at that of the first request, or nowhere.
   *
   * @default {"auto"}
   */
  final?: FinalRequest;
  /**
   * Gives the address of an operation of AIP-151 that has only a name.
   *
   * @default {the name below the version of the first address}
   */
  urlOf?: (name: string, first: string) => string | URL;
  /**
   * The time between an answer and the next question, in milliseconds, if the
   * server does not say; or a policy, whose attempts count the answers
   * without news.
   *
   * @default {from 1 s to 30 s, by a factor of 1.5, with jitter}
   */
  interval?: number | RestartPolicy;
  /**
   * When to ask again after asking has failed: no answer, 408, 425, 429, 5xx,
   * or a body that cannot be understood. If it gives up the end is unknown. A
   * 429 or 503 with `Retry-After` does not count.
   *
   * @default {8 times in a row, from 1 s to 30 s, with jitter}
   */
  retry?: RestartPolicy;
  /**
   * The shortest time that `Retry-After` is taken for, in milliseconds.
   *
   * @default {100}
   */
  shortestRetryAfter?: number;
  /**
   * The longest time that `Retry-After` is taken for, in milliseconds.
   *
   * @default {600_000}
   */
  longestRetryAfter?: number;
  /**
   * How long everything may take, in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number;
  /**
   * How long one answer may take with its body, in milliseconds.
   *
   * @default {60_000}
   */
  requestTimeout?: number;
  /**
   * How long a body may be, in bytes.
   *
   * @default {16_777_216}
   */
  maxBody?: number;
  /**
   * Makes a typed value of the result. If it throws, the end counts as unknown
   * with that error.
   *
   * @default {the result as it came}
   */
  parse?: (value: unknown, response: OperationResponse) => R | Promise<R>;
}

/** The options with their defaults. */
export interface OperationSettings<R> {
  readonly signal: AbortSignal | undefined;
  readonly clock: Clock;
  readonly dateNow: () => number;
  readonly logger: Logger;
  readonly fetch: typeof globalThis.fetch;
  readonly headers: OperationHeaders | undefined;
  readonly trusted: ReadonlySet<string>;
  readonly url: string | undefined;
  readonly method: string | undefined;
  readonly shape: OperationShape | undefined;
  readonly final: FinalRequest;
  readonly urlOf: (name: string, first: string) => string | URL;
  readonly interval: RestartPolicy;
  readonly retry: RestartPolicy;
  readonly shortestRetryAfter: number;
  readonly longestRetryAfter: number;
  readonly timeout: number;
  readonly requestTimeout: number;
  readonly maxBody: number;
  readonly parse:
    | ((value: unknown, response: OperationResponse) => R | Promise<R>)
    | undefined;
}

const INTERVAL: RestartPolicy = backoff({
  limit: Infinity,
  initial: 1000,
  factor: 1.5,
  maximum: 30_000,
  jitter: 0.2,
});

const RETRY: RestartPolicy = backoff({
  limit: 8,
  initial: 1000,
  maximum: 30_000,
  jitter: 0.2,
});

const SHAPES: readonly OperationShape[] = [
  "status",
  "location",
  "aip-151",
  "resource",
];

const FINALS: readonly FinalRequest[] = [
  "auto",
  "location",
  "resource",
  "none",
];

/** Checks an address of the web and completes it. */
export function checkUrl(doing: string, name: string, value: unknown): string {
  let url: URL | undefined;
  try {
    const { location } = globalThis as { location?: { href: string } };
    url = new URL(String(value), location?.href);
  } catch {
    // The check below says it.
  }
  checkType(
    url !== undefined && /^https?:$/.test(url.protocol) &&
      url.username === "" && url.password === "",
    doing,
    name,
    "an address of the web without a password",
    value,
  );
  return String(url);
}

function checkInterval(doing: string, value: unknown): void {
  const name = "interval";
  if (isRestartPolicy(value)) return;
  checkType(
    typeof value === "number",
    doing,
    name,
    "a number or a RestartPolicy",
    value,
  );
  checkPositiveFinite(doing, name, value);
}

/** Checks the options and completes them. */
export function settingsOf<R>(
  doing: string,
  given: FollowOperationOptions<R>,
): OperationSettings<R> {
  checkOptions(doing, given);
  const options = copyOptions(given);
  checkCommon(doing, options);
  const {
    signal,
    clock = systemClock,
    dateNow = Date.now,
    logger = defaultLogger,
    fetch = (input, init) => globalThis.fetch(input, init),
    headers,
    trustedOrigins = [],
    url,
    method,
    shape,
    final = "auto",
    urlOf = urlOfName,
    interval = INTERVAL,
    retry = RETRY,
    shortestRetryAfter = 100,
    longestRetryAfter = 600_000,
    timeout = Infinity,
    requestTimeout = 60_000,
    maxBody = 16 * 2 ** 20,
    parse,
  } = options;
  checkFunction(doing, "dateNow", dateNow);
  checkFunction(doing, "fetch", fetch);
  if (headers !== undefined) checkHeaders(doing, headers);
  checkType(
    typeof trustedOrigins === "object" && trustedOrigins !== null &&
      Symbol.iterator in trustedOrigins,
    doing,
    "trustedOrigins",
    "an iterable",
    trustedOrigins,
  );
  const trusted = new Set(
    [...trustedOrigins].map((each) =>
      new URL(checkUrl(doing, "trustedOrigins", each)).origin
    ),
  );
  checkType(
    method === undefined || typeof method === "string",
    doing,
    "method",
    "a string",
    method,
  );
  if (shape !== undefined) checkOneOf(doing, "shape", shape, SHAPES);
  checkOneOf(doing, "final", final, FINALS);
  checkFunction(doing, "urlOf", urlOf);
  checkInterval(doing, interval);
  checkRestartPolicy(doing, "retry", retry);
  checkNonNegative(doing, "shortestRetryAfter", shortestRetryAfter);
  checkNonNegative(doing, "longestRetryAfter", longestRetryAfter);
  checkNonNegative(doing, "timeout", timeout);
  checkPositive(doing, "requestTimeout", requestTimeout);
  checkCount(doing, "maxBody", maxBody, 1);
  if (parse !== undefined) checkFunction(doing, "parse", parse);
  return {
    signal,
    clock,
    dateNow,
    logger,
    fetch,
    headers: headers === undefined || typeof headers === "function"
      ? headers
      : new Headers(headers),
    trusted,
    url: url === undefined ? undefined : checkUrl(doing, "url", url),
    method: method?.toUpperCase(),
    shape,
    final,
    urlOf,
    interval: typeof interval === "number"
      ? { delay: () => interval }
      : interval,
    retry,
    shortestRetryAfter,
    longestRetryAfter: Math.max(shortestRetryAfter, longestRetryAfter),
    timeout,
    requestTimeout,
    maxBody,
    parse,
  };
}
