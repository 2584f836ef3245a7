// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  errorOf,
  fieldsOf,
  isAipOperation,
  meaningOf,
  progressOf,
  provisioningOf,
  resultOf,
  textOf,
  type Word,
} from "./_operation_body.ts";
import { OperationError } from "./_operation_error.ts";
import { HopelessError, type OperationResponse } from "./_operation_request.ts";
import type { Tracking } from "./_operation_tracking.ts";

/** What an answer says. */
export type Reading =
  | {
    readonly kind: "running" | "succeeded";
    readonly stage: string | undefined;
    readonly progress: number | undefined;
    /** The result, as far as this answer has it. */
    readonly value?: unknown;
  }
  | {
    readonly kind: "failed" | "canceled";
    readonly stage: string | undefined;
    readonly progress: number | undefined;
    readonly error: OperationError;
  }
  | {
    /** It says nothing of the operation. */
    readonly kind: "unreadable";
    readonly error: OperationError;
  };

/** Answers that say no more than "not now". */
const LATER: readonly number[] = [408, 425, 429];

/** Answers that are about the one who asks, or the address, as it may be. */
const ABOUT_ASKING: readonly number[] = [401, 403, 404, 405, 406, 407, 410];

const isGood = (status: number): boolean => status >= 200 && status < 300;

/** What went wrong, in the words of the server if there are any. */
function errorFrom(
  answer: OperationResponse,
  otherwise: string,
): OperationError {
  const { body } = answer;
  const said = errorOf(body);
  const details = said ?? body;
  const code = fieldsOf(said)?.code ?? fieldsOf(said)?.status;
  const message = typeof said === "string"
    ? said
    : textOf(said, "message") ?? textOf(body, "detail") ??
      textOf(body, "title") ?? textOf(body, "message");
  return new OperationError(message ?? otherwise, {
    code: typeof code === "string" || typeof code === "number"
      ? code
      : undefined,
    details,
    httpStatus: answer.status,
  });
}

function unreadable(answer: OperationResponse, isHopeless: boolean): Reading {
  const { status, url } = answer;
  const error = errorFrom(answer, `${url} has answered with ${status}`);
  if (!isHopeless) return { kind: "unreadable", error };
  const { message, code, details, httpStatus } = error;
  return {
    kind: "unreadable",
    error: new HopelessError(message, { code, details, httpStatus }),
  };
}

function read(
  answer: OperationResponse,
  kind: Word,
  stage: string | undefined,
  value: unknown,
): Reading {
  const progress = progressOf(answer.body);
  if (kind === "running") return { kind, stage, progress };
  if (kind === "succeeded") return { kind, stage, progress, value };
  const what = kind === "failed" ? "has failed" : "was canceled";
  const error = errorFrom(answer, `The operation ${what}`);
  return { kind, stage, progress, error };
}

function readStatus(answer: OperationResponse): Reading {
  const { body, status } = answer;
  const stage = textOf(body, "status") ?? provisioningOf(body);
  if (stage === undefined) {
    return status === 202
      ? read(answer, "running", undefined, undefined)
      : unreadable(answer, false);
  }
  // Each API has words of its own for what goes on, but not for the ends.
  const meaning = meaningOf(stage) ?? "running";
  const isDenied = meaning === "succeeded" && errorOf(body) !== undefined;
  return read(answer, isDenied ? "failed" : meaning, stage, resultOf(body));
}

const CANCELLED = 1;

function readAip(answer: OperationResponse): Reading {
  const { body } = answer;
  const { done, response } = fieldsOf(body) ?? {};
  if (!isAipOperation(body) && typeof done !== "boolean") {
    return unreadable(answer, false);
  }
  const stage = textOf(fieldsOf(body)?.metadata, "state");
  if (done !== true) return read(answer, "running", stage, undefined);
  const error = errorOf(body);
  if (error === undefined) return read(answer, "succeeded", stage, response);
  const { code } = fieldsOf(error) ?? {};
  const isCanceled = code === CANCELLED || code === "CANCELLED";
  return read(answer, isCanceled ? "canceled" : "failed", stage, undefined);
}

function readLocation(answer: OperationResponse): Reading {
  const { body, status } = answer;
  const stage = textOf(body, "status");
  if (status === 202) return read(answer, "running", stage, undefined);
  if (isAipOperation(body)) return readAip(answer);
  // Some answer with 200 all the time, and tell in the body what it is at.
  const meaning = stage === undefined ? undefined : meaningOf(stage);
  if (meaning === undefined) return read(answer, "succeeded", undefined, body);
  if (meaning !== "succeeded") return read(answer, meaning, stage, undefined);
  return read(answer, meaning, stage, body);
}

function readResource(answer: OperationResponse): Reading {
  const { body, status } = answer;
  const stage = provisioningOf(body);
  if (stage === undefined && status === 202) {
    return read(answer, "running", undefined, undefined);
  }
  const meaning = stage === undefined
    ? "succeeded"
    : meaningOf(stage) ?? "running";
  return read(answer, meaning, stage, body);
}

function readBare(answer: OperationResponse): Reading {
  return textOf(answer.body, "status") !== undefined
    ? readStatus(answer)
    : provisioningOf(answer.body) !== undefined
    ? readResource(answer)
    : readLocation(answer);
}

/** Reads the answer of a server that was asked what the operation is at. */
export function readAnswer(
  tracking: Tracking,
  answer: OperationResponse,
): Reading {
  const { shape, method } = tracking;
  const { status } = answer;
  if (isGood(status)) {
    switch (shape) {
      case "status":
        return readStatus(answer);
      case "aip-151":
        return readAip(answer);
      case "resource":
        return readResource(answer);
      case "location":
        return readLocation(answer);
      default:
        return readBare(answer);
    }
  }
  if (LATER.includes(status) || status >= 500) return unreadable(answer, false);
  if (shape === "resource" && method === "DELETE" && status === 404) {
    return read(answer, "succeeded", undefined, undefined);
  }
  // What `Location` gives in the end is the answer to the first request.
  const isEnd = shape === "location" && !ABOUT_ASKING.includes(status);
  if (!isEnd) return unreadable(answer, true);
  const error = errorFrom(answer, `The operation has ended with ${status}`);
  return { kind: "failed", stage: undefined, progress: undefined, error };
}

/** Reads the answer of a server that was asked for the result. */
export function readResult(answer: OperationResponse): Reading {
  const { status, body } = answer;
  if (status === 202) return read(answer, "running", undefined, undefined);
  if (isGood(status)) return read(answer, "succeeded", undefined, body);
  // What was made just now may be there a moment later.
  const isLater = LATER.includes(status) || status === 404 || status >= 500;
  return unreadable(answer, !isLater);
}

/** Servers that break down may have begun it before, or hidden redirects. */
const mayHaveBegun = (status: number): boolean =>
  status === 0 || status === 408 ||
  (status >= 500 && ![501, 503, 505].includes(status));

/**
 * What the first answer says if it tells of nowhere to ask: the operation has
 * not begun, it has ended, or it is lost.
 */
export function readFirst(answer: OperationResponse): Reading {
  const { status, body } = answer;
  if (!isGood(status)) {
    const error = errorFrom(answer, `The server has answered with ${status}`);
    if (mayHaveBegun(status)) return { kind: "unreadable", error };
    return { kind: "failed", stage: undefined, progress: undefined, error };
  }
  const reading = provisioningOf(body) === undefined
    ? readLocation(answer)
    : readResource(answer);
  if (reading.kind !== "running") return reading;
  return {
    kind: "unreadable",
    error: new HopelessError(
      "The operation goes on, but the answer does not tell where to ask",
      { details: body, httpStatus: status },
    ),
  };
}
