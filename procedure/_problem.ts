// Copyright 2026 the Longrun authors. MIT license.

import type { Logger } from "@longrun/tasks/logger";
import { ProcedureError, type ProcedureErrorCode } from "./procedure_errors.ts";

/** The media type of problems. */
export const PROBLEM_TYPE = "application/problem+json";

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** Something in a request that is not as it should be. */
export interface Place {
  /** Where: a JSON pointer into the body, or the name of a parameter. */
  readonly place: string;
  /** What is wrong with it. */
  readonly message: string;
  /** The part of the request. */
  readonly part: "body" | "path" | "query";
  /** The rule that it breaks. */
  readonly rule: string;
}

/** What a problem has besides its status. */
export interface ProblemDetails extends ErrorOptions {
  /** Headers of the answer. */
  readonly headers?: Readonly<Record<string, string>>;
  /** More members of the body. */
  readonly members?: Readonly<Record<string, unknown>>;
  /** What is wrong where. */
  readonly places?: readonly Place[];
  /** The `detail` of the original, if it is another. */
  readonly compatDetail?: unknown;
  /** The status of the original, if it is another. */
  readonly compatStatus?: number;
}

/** A request that is answered by a problem, in the sense of RFC 9457. */
export class Problem extends Error {
  override readonly name: string = "Problem";
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
    super(detail, { cause: details.cause });
    this.status = status;
    this.code = code;
    this.details = details;
  }

  /** @param compat Whether the body is that of the original. */
  toResponse(compat: boolean): Response {
    const { details } = this;
    const status = compat ? details.compatStatus ?? this.status : this.status;
    const body = compat ? this.#compatBody() : this.#body(status);
    const type = compat ? "application/json" : PROBLEM_TYPE;
    return new Response(JSON.stringify(body), {
      status,
      headers: { "content-type": type, ...details.headers },
    });
  }

  #body(status: number): Record<string, unknown> {
    const { code, message: detail, details } = this;
    const { members, places } = details;
    return {
      type: "about:blank",
      title: TITLES[status] ?? "Error",
      status,
      detail,
      code,
      ...(places === undefined ? {} : {
        errors: places.map(({ place, message }) => ({ place, message })),
      }),
      ...members,
    };
  }

  #compatBody(): Record<string, unknown> {
    const { places, compatDetail } = this.details;
    if (places === undefined) return { detail: compatDetail ?? this.message };
    return {
      detail: places.map(({ place, message, part, rule }) => ({
        loc: [part, ...place.split("/").filter((word) => word !== "")],
        msg: message,
        type: rule,
      })),
    };
  }
}

/** There is nothing at this address. */
export function notFound(): Problem {
  return new Problem(404, "not-found", "There is nothing at this address", {
    compatDetail: "Not Found",
  });
}

/** The address has no such method. */
export function methodNotAllowed(allow: string): Problem {
  return new Problem(405, "method-not-allowed", `Allowed is ${allow}`, {
    headers: { allow },
    compatDetail: "Method Not Allowed",
  });
}

/** The request is understood and makes no sense. */
export function unprocessable(places: readonly Place[]): Problem {
  const [first] = places;
  const detail = first === undefined
    ? "The request is not what it should be"
    : `${
      first.place === "" ? `The ${first.part}` : first.place
    } ${first.message}`;
  return new Problem(422, "invalid-request", detail, { places });
}

/** Not now. */
export function unavailable(code: string, detail: string): Problem {
  return new Problem(503, code, detail, { headers: { "retry-after": "1" } });
}

/** A request that took too long, by what it waited for in the end. */
export function tooSlow(phase: "body" | "service", ms: number): Problem {
  if (phase === "body") {
    const detail = `The body did not come within ${ms} ms`;
    return new Problem(408, "slow-body", detail);
  }
  const detail = `The service did not answer within ${ms} ms`;
  return new Problem(504, "timeout", detail, {
    compatDetail: "Timeout waiting for msg",
  });
}

/** There is no procedure of this number. */
export function noProcedure(id: number): Problem {
  const detail = `No information available for PID=${id}`;
  return new Problem(404, "procedure-not-found", detail);
}

/** There is no activity of this number. */
export function noActivity(id: number): Problem {
  const detail = `No information available for ID=${id}`;
  const compatDetail = { type: "ResourceNotFound", Message: detail };
  return new Problem(404, "activity-not-found", detail, { compatDetail });
}

/** The status of an error, and that of the original where it is another. */
const STATUSES: Readonly<
  Record<ProcedureErrorCode, readonly [status: number, compat?: number]>
> = {
  "procedure-not-found": [404],
  "activity-not-found": [404],
  "invalid-state": [409],
  "another-running": [409, 500],
  "too-many-procedures": [503],
  "startup-failed": [500],
  "abort-failed": [500],
  "abort-refused": [409, 500],
  "script-refused": [403],
  "script-not-found": [422, 500],
  "function-not-found": [422, 500],
  "scheduling-block-not-found": [422, 500],
  "activity-not-defined": [422, 500],
  "arguments-refused": [422, 500],
  "git-failed": [502, 500],
  "environment-failed": [502, 500],
  "closed": [503],
};

/**
 * The problem that an error is: one of the service as it is, and any other
 * without its particulars, which go to the logger.
 */
export function problemOf(error: unknown, logger: Logger): Problem {
  if (error instanceof Problem) return error;
  // The error may come from elsewhere, and have a code of its own.
  const known = error instanceof ProcedureError &&
      Object.hasOwn(STATUSES, error.code)
    ? STATUSES[error.code]
    : undefined;
  if (known !== undefined && error instanceof ProcedureError) {
    const [status, compatStatus] = known;
    const headers = status === 503 ? { "retry-after": "1" } : undefined;
    const details = { headers, compatStatus, cause: error };
    return new Problem(status, error.code, error.message, details);
  }
  const id = crypto.randomUUID();
  logger.error("A request has failed", { id, error });
  const detail = `The request has failed; the log has it as ${id}`;
  return new Problem(500, "internal-error", detail, {
    members: { instance: `urn:uuid:${id}` },
    cause: error,
  });
}
