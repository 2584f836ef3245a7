// Copyright 2026 the Longrun authors. MIT license.

import type { ProcedureErrorCode } from "./procedure_errors.ts";

/**
 * Says which error it is, for programs: one of the service's own, or
 *
 * - `"unreachable"`: there was no answer.
 * - `"timeout"`: there was none in time.
 * - `"unauthorized"`: the service wants a token, or another one.
 * - `"forbidden"`: the token does not allow this.
 * - `"invalid-request"`: the service does not understand what was asked for.
 * - `"server-error"`: the service has failed.
 * - `"bad-answer"`: the answer is none of a service of procedures.
 */
export type ProcedureClientErrorCode =
  | ProcedureErrorCode
  | "unreachable"
  | "timeout"
  | "unauthorized"
  | "forbidden"
  | "invalid-request"
  | "server-error"
  | "bad-answer";

/** What is known of an answer that is an error. */
export interface ProcedureClientErrorOptions extends ErrorOptions {
  /**
   * The status of the answer; 0 if there was none.
   *
   * @default {0}
   */
  status?: number;
  /** The body of the answer, if it is JSON. */
  body?: unknown;
  /**
   * When to come again, in milliseconds from now.
   *
   * @default {0}
   */
  retryAfter?: number;
}

/**
 * The error of every call of a {@linkcode ProcedureClient} that did not succeed.
 *
 * @example Usage
 * ```ts
 * import { ProcedureClientError } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new ProcedureClientError("procedure-not-found", "No PID 7", {
 *   status: 404,
 * });
 * assertEquals(error.status, 404);
 * ```
 */
export class ProcedureClientError extends Error {
  /** The name of the class. */
  override readonly name: string = "ProcedureClientError";
  /** Which error it is. */
  readonly code: ProcedureClientErrorCode;
  /** The status of the answer; 0 if there was none. */
  readonly status: number;
  /** The body of the answer, if it is JSON. */
  readonly body: unknown;
  /** When to come again, in milliseconds from now. */
  readonly retryAfter: number;

  /**
   * Creates an error.
   *
   * @param code Which error it is.
   * @param message What happened, for people.
   * @param options What is known of the answer.
   */
  constructor(
    code: ProcedureClientErrorCode,
    message: string,
    options: ProcedureClientErrorOptions = {},
  ) {
    super(message, options);
    this.code = code;
    this.status = options.status ?? 0;
    this.body = options.body;
    this.retryAfter = options.retryAfter ?? 0;
  }

  /** Whether the same request would be answered in the same way again. */
  get isFinal(): boolean {
    const { status } = this;
    return status >= 400 && status < 500 && status !== 408 && status !== 425 &&
      status !== 429;
  }
}

const CODES: readonly ProcedureClientErrorCode[] = [
  "procedure-not-found",
  "activity-not-found",
  "invalid-state",
  "another-running",
  "too-many-procedures",
  "startup-failed",
  "abort-failed",
  "abort-refused",
  "script-refused",
  "script-not-found",
  "function-not-found",
  "scheduling-block-not-found",
  "activity-not-defined",
  "arguments-refused",
  "git-failed",
  "environment-failed",
  "closed",
  "timeout",
  "unauthorized",
  "forbidden",
  "invalid-request",
  "server-error",
];

function codeOf(
  said: unknown,
  status: number,
  path: string,
): ProcedureClientErrorCode {
  const code = CODES.find((one) => one === said);
  if (code !== undefined) return code;
  switch (status) {
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 404:
      if (/^\/procedures\/\d/.test(path)) return "procedure-not-found";
      if (/^\/activities\/\d/.test(path)) return "activity-not-found";
      return "bad-answer";
    case 409:
      return "invalid-state";
    case 429:
      return "too-many-procedures";
    case 504:
      return "timeout";
  }
  return status >= 500 ? "server-error" : "invalid-request";
}

/** The words of a `detail`: text, `{ Message }`, or FastAPI's list of places. */
function wordsOf(detail: unknown): string | undefined {
  if (typeof detail === "string") return detail === "" ? undefined : detail;
  if (Array.isArray(detail)) {
    const words = detail.map((each) => {
      const { loc, msg } = Object(each) as { loc?: unknown; msg?: unknown };
      return [Array.isArray(loc) ? loc.join(".") : "", msg]
        .filter((word) => typeof word === "string" && word !== "").join(": ");
    }).filter((text) => text !== "");
    return words.length > 0 ? words.join("; ") : undefined;
  }
  if (typeof detail !== "object" || detail === null) return undefined;
  const { Message: message } = detail as { Message?: unknown };
  return typeof message === "string" ? message : JSON.stringify(detail);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The error that an answer is: of problem+json or of the original's shape. */
export function errorOfAnswer(
  response: Response,
  text: string,
  path: string,
): ProcedureClientError {
  const { status, statusText, headers } = response;
  const body = parse(text);
  const { code, detail, title } = Object(body) as Record<string, unknown>;
  const words = wordsOf(detail) ?? wordsOf(title) ??
    `The service has answered ${status} ${statusText}`.trimEnd();
  const wait = headers.get("retry-after") ?? "";
  return new ProcedureClientError(codeOf(code, status, path), words, {
    status,
    body,
    retryAfter: /^\d{1,6}$/.test(wait) ? Number(wait) * 1000 : 0,
  });
}
