// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { reasonsOf } from "./_lrc_errors.ts";
import { encodeJson, PROBLEM_TYPE } from "./_lrc_http_wire.ts";
import { DeviceError } from "./device_proxy.ts";

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  408: "Request Timeout",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** What a problem has besides its status. */
export interface ProblemDetails {
  /** Headers of the answer. */
  readonly headers?: Readonly<Record<string, string>>;
  /** More members of the body. */
  readonly members?: Readonly<Record<string, unknown>>;
}

/** A request that is answered by a problem, in the sense of RFC 9457. */
export class Problem extends Error {
  readonly status: number;
  /** A word for programs. */
  readonly code: string;
  readonly details: ProblemDetails;

  constructor(
    status: number,
    code: string,
    detail: string,
    details: ProblemDetails = {},
  ) {
    super(detail);
    this.status = status;
    this.code = code;
    this.details = details;
  }

  toResponse(): Response {
    const { status, code, message: detail, details } = this;
    const { headers, members } = details;
    const title = TITLES[status] ?? "Error";
    const body = encodeJson({ title, status, code, detail, ...members });
    return new Response(body, {
      status,
      headers: { "content-type": PROBLEM_TYPE, ...headers },
    });
  }
}

/** There is nothing at this address. */
export function notFound(detail: string): Problem {
  return new Problem(404, "not-found", detail);
}

/** The request is not what it should be. */
export function badRequest(detail: string): Problem {
  return new Problem(400, "bad-request", detail);
}

/** Advises to come again, in seconds as the header has them. */
export function retryHeader(ms: number): Record<string, string> {
  return { "retry-after": String(Math.max(1, Math.ceil(ms / 1000))) };
}

/** Not now. */
export function unavailable(detail: string, retryAfter: number): Problem {
  const headers = retryHeader(retryAfter);
  return new Problem(503, "unavailable", detail, { headers });
}

const STATUSES: ReadonlyMap<string, number> = new Map([
  ["API_CommandNotFound", 404],
  ["API_AttrNotFound", 404],
  ["API_IncompatibleCmdArgumentType", 422],
  ["API_AttributePollingNotStarted", 409],
  ["API_DeviceNotExported", 503],
  ["API_ServerNotRunning", 503],
  ["API_CommunicationFailed", 503],
]);

/** The device has failed, or the way to it. */
export function deviceProblem(error: unknown, retryAfter: number): Problem {
  const errors = reasonsOf(error);
  const known = errors.map(({ reason }) => STATUSES.get(reason));
  const status = error instanceof DeviceError
    ? known.find((status) => status !== undefined) ?? 500
    : 500;
  const detail = error instanceof Error ? error.message : "The device failed";
  return new Problem(status, "device-failed", detail, {
    headers: status === 503 ? retryHeader(retryAfter) : {},
    members: { errors },
  });
}
