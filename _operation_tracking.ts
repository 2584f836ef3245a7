// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  isAipOperation,
  meaningOf,
  provisioningOf,
  textOf,
} from "./_operation_body.ts";
import { type OperationResponse, resolveUrl } from "./_operation_request.ts";

/**
 * The form in which a server tells what an operation is at.
 *
 * - `"status"`: a body with a `status`, at the address that
 *   `Operation-Location` or `Azure-AsyncOperation` has given.
 * - `"location"`: the status of the response, at the address that `Location`
 *   has given: 202 as long as it runs, then the result.
 * - `"aip-151"`: a body with `name`, `done`, and `error` or `response`.
 * - `"resource"`: the resource itself, with a `provisioningState`.
 */
export type OperationShape = "status" | "location" | "aip-151" | "resource";

/** All that is needed to follow an operation. */
export interface Tracking {
  /** The form, `undefined` if the first body is to tell. */
  readonly shape: OperationShape | undefined;
  /** The address that is asked. */
  readonly url: string;
  /** The origins that may be trusted: what the user has begun with. */
  readonly origins: readonly string[];
  /** The address of the first request, `undefined` if nobody knows it. */
  readonly first: string | undefined;
  /** The method of the first request, `undefined` if nobody knows it. */
  readonly method: string | undefined;
  /** The address that `Location` has given beside that of the status. */
  readonly location: string | undefined;
  /** Whether the first request was answered with the resource that it made. */
  readonly hasMade: boolean;
}

/** What is known of the first request. */
export interface Beginning {
  /** Its address, `undefined` if nobody knows it. */
  readonly first: string | undefined;
  /** Its method, `undefined` if nobody knows it. */
  readonly method: string | undefined;
  /** The origins that may be trusted. */
  readonly origins: readonly string[];
  /** What addresses in the answer are relative to: redirects lead elsewhere. */
  readonly base: string | undefined;
}

/**
 * What the first answer and the user tell of the first request. Where an answer
 * comes from that was redirected is nothing that the user has trusted.
 */
export function beginningOf(
  answer: Response,
  url: string | undefined,
  method: string | undefined,
): Beginning {
  const came = answer.url === "" ? undefined : answer.url;
  const first = url ?? came;
  const known = url ?? (answer.redirected ? undefined : came);
  const origins = known === undefined ? [] : [new URL(known).origin];
  return { first, method, origins, base: came ?? url };
}

const isGood = (status: number): boolean => status >= 200 && status < 300;

/** Redirects after which the next request is a GET; 307 would be sent anew. */
const SEEN_ELSEWHERE: readonly number[] = [301, 302, 303];

/** What the headers alone tell about where to ask. */
export function trackHeaders(
  status: number,
  headers: Headers,
  { base, ...beginning }: Beginning,
): Tracking | undefined {
  const at = (name: string): string | undefined => {
    const text = headers.get(name);
    return text === null ? undefined : resolveUrl(text, base);
  };
  const monitor = at("operation-location") ?? at("azure-asyncoperation");
  const isOpen = status === 202 || SEEN_ELSEWHERE.includes(status);
  const location = monitor !== undefined || isOpen ? at("location") : undefined;
  const url = monitor ?? location;
  if (url === undefined || !(isGood(status) || isOpen)) return undefined;
  const shape = monitor !== undefined ? "status" : "location";
  const hasMade = status === 201;
  return { ...beginning, shape, url, location, hasMade };
}

/** Adds what the body of the first answer tells beside the headers. */
export function heedBody(
  tracking: Tracking,
  answer: OperationResponse,
): Tracking {
  const isResource = provisioningOf(answer.body) !== undefined;
  return { ...tracking, hasMade: tracking.hasMade || isResource };
}

/** The version of an API at the beginning of a path, with what is before it. */
const VERSION = /^(?:\/[^/]+)*?\/v\d+[^/]*\//;

/** The address of an operation that has a name, as AIP-151 has it. */
export function urlOfName(name: string, first: string): string {
  const { pathname } = new URL(first);
  const prefix = VERSION.exec(pathname)?.[0] ?? "/";
  const isAbsolute = /^https?:\/\//i.test(name);
  // The name of an operation may have the version itself.
  const path = isAbsolute || `/${name}`.startsWith(prefix)
    ? name
    : prefix.slice(1) + name;
  return resolveUrl(path, new URL("/", first).href);
}

/** What the first answer tells about where to ask, if its headers do not. */
export function trackBody(
  answer: OperationResponse,
  { base, ...beginning }: Beginning,
  shape: OperationShape | undefined,
  urlOf: (name: string, first: string) => string | URL,
): Tracking | undefined {
  const { body, status, headers } = answer;
  const { first } = beginning;
  if (!isGood(status) || first === undefined) return undefined;
  const rest = { ...beginning, location: undefined, hasMade: false };
  if (isAipOperation(body)) {
    const url = resolveUrl(
      String(urlOf(String(textOf(body, "name")), first)),
      first,
    );
    return { ...rest, shape: "aip-151", url };
  }
  const selfLink = textOf(body, "selfLink");
  if (
    selfLink !== undefined && /#operation$/.test(textOf(body, "kind") ?? "")
  ) {
    return { ...rest, shape: "status", url: resolveUrl(selfLink, base) };
  }
  const location = headers.get("location");
  const at = location === null ? undefined : resolveUrl(location, base);
  const stage = provisioningOf(body);
  if (stage !== undefined && (meaningOf(stage) ?? "running") === "running") {
    return { ...rest, shape: "resource", url: at ?? first };
  }
  const isJob = meaningOf(textOf(body, "status") ?? "") === "running";
  if (isJob && at !== undefined) {
    return { ...rest, shape: "status", url: at };
  }
  return shape === undefined ? undefined : { ...rest, shape, url: at ?? first };
}

/** Where to ask from now on, as the server may move it. */
export function trackNext(
  tracking: Tracking,
  answer: OperationResponse,
): Tracking {
  const { headers, url, status, body } = answer;
  const shape = tracking.shape ?? shapeOf(body);
  const given = shape === "status"
    ? headers.get("operation-location") ?? headers.get("azure-asyncoperation")
    : (shape ?? "location") === "location" && status === 202
    ? headers.get("location")
    : null;
  if (given === null) return { ...tracking, shape };
  try {
    return { ...tracking, shape, url: resolveUrl(given, url) };
  } catch {
    // The address that was good so far may be so still.
    return { ...tracking, shape };
  }
}

function shapeOf(body: unknown): OperationShape | undefined {
  if (isAipOperation(body)) return "aip-151";
  if (textOf(body, "status") !== undefined) return "status";
  if (provisioningOf(body) !== undefined) return "resource";
  return undefined;
}

/** Which of its addresses has the result. */
export type FinalRequest = "auto" | "location" | "resource" | "none";

/** Where the result is if the last answer does not have it. */
export function resultUrl(
  tracking: Tracking,
  answer: OperationResponse,
  final: FinalRequest,
): string | undefined {
  const { shape, first, location, method, hasMade } = tracking;
  if (final === "location") return location;
  if (final === "resource") return first;
  if (final === "none") return undefined;
  const said = textOf(answer.body, "resourceLocation");
  if (shape === "aip-151" || shape === "resource") return undefined;
  if (said !== undefined && textOf(answer.body, "status") !== undefined) {
    return resolveUrl(said, answer.url);
  }
  if (shape !== "status") return undefined;
  switch (method) {
    case "PUT":
      return first;
    case "PATCH":
      return location ?? first;
    case "DELETE":
    case "GET":
      return undefined;
    default:
      return location ?? (hasMade ? first : undefined);
  }
}
