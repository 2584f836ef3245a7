// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { CommandError, ResultCodeError, show } from "./_lrc_errors.ts";
import { parseResultCode } from "./_lrc_messages.ts";
import type { LrcState } from "./_lrc_state.ts";
import { followPromise, isPromiseLike } from "./_promise_fanout.ts";
import { ResultCode, TaskStatus } from "./device_proxy.ts";

/**
 * How a long-running command has ended, well or badly: the `LrcResult` of
 * `ska_pst.lmc.util`.
 */
export interface LrcResult<R = unknown> {
  /** The name of the device. */
  readonly device: string;
  /** The name of the command. */
  readonly command: string;
  /** Its id, `undefined` if it was never accepted. */
  readonly commandId: string | undefined;
  /** How it has ended: only `OK` is well. */
  readonly resultCode: ResultCode;
  /** Its result, `undefined` if there is none. */
  readonly result: R | undefined;
  /** The result in words, or the error, or nothing. */
  readonly message: string;
  /**
   * What kept the client from seeing the command end well: a rejection, a
   * device that fails, a timeout. `undefined` if the command ended by itself,
   * also if it ended badly.
   */
  readonly exception: unknown;
  /** The last status, `undefined` if there was none. */
  readonly status: TaskStatus | undefined;
  /** The statuses that it had, without repetitions. */
  readonly taskStatusEvents: readonly TaskStatus[];
}

/** What a result is about. */
export interface LrcSubject {
  readonly device: string;
  readonly command: string;
  readonly commandId: string | undefined;
}

/** The code and the words of a result that follows the convention. */
function readResult(
  result: unknown,
): { code: ResultCode; message: string } | undefined {
  if (!Array.isArray(result)) return undefined;
  const code = parseResultCode(result[0]);
  if (code === undefined) return undefined;
  const [, said = ""] = result;
  return { code, message: typeof said === "string" ? said : show(said) };
}

/** The code of a command that ended this way, if its result has none. */
function codeOf(status: TaskStatus | undefined): ResultCode {
  switch (status) {
    case TaskStatus.ABORTED:
      return ResultCode.ABORTED;
    case TaskStatus.REJECTED:
      return ResultCode.REJECTED;
    case TaskStatus.FAILED:
      return ResultCode.FAILED;
    default:
      return ResultCode.UNKNOWN;
  }
}

const TEXTS: Partial<Record<TaskStatus, string>> = {
  [TaskStatus.ABORTED]: "The command was aborted",
  [TaskStatus.REJECTED]: "The command was rejected",
  [TaskStatus.FAILED]: "The command has failed",
  [TaskStatus.COMPLETED]: "The command has ended, nobody knows how",
  [TaskStatus.NOT_FOUND]: "The device does not know the command",
};

/** How a command has ended that has ended by itself. */
export function outcomeOf<R>(
  subject: LrcSubject,
  state: LrcState,
  parseResult: ((result: unknown) => R) | undefined,
): LrcResult<R> {
  const { status, history } = state;
  const value = state.result?.value;
  const read = readResult(value);
  const hasCompleted = status === TaskStatus.COMPLETED;
  // Only a command that has completed can have ended well.
  const isBelieved = read !== undefined &&
    status !== TaskStatus.NOT_FOUND &&
    (hasCompleted || read.code !== ResultCode.OK);
  const result: LrcResult<R> = {
    ...subject,
    resultCode: isBelieved ? read.code : codeOf(status),
    result: value as R | undefined,
    message: read?.message ??
      (typeof value === "string" ? value : TEXTS[status ?? 0] ?? ""),
    exception: undefined,
    status,
    taskStatusEvents: history.map((entry) => entry.status),
  };
  const isFree = read === undefined && state.result !== undefined;
  const isWell = hasCompleted && (read?.code === ResultCode.OK || isFree);
  if (parseResult === undefined || !isWell) return result;
  try {
    const parsed = parseResult(value);
    if (isPromiseLike(parsed)) {
      followPromise(parsed, () => {}, () => {});
      throw new TypeError("'parseResult' has returned a promise");
    }
    return { ...result, resultCode: ResultCode.OK, result: parsed };
  } catch (error) {
    return { ...result, ...failed(error, ResultCode.FAILED) };
  }
}

/** How a command has ended for a client that was kept from seeing its end. */
export function failureOf<R>(
  subject: LrcSubject,
  state: LrcState,
  error: unknown,
  resultCode: ResultCode,
): LrcResult<R> {
  const { status, history } = state;
  return {
    ...subject,
    ...failed(error, resultCode),
    status,
    taskStatusEvents: history.map((entry) => entry.status),
  };
}

function failed(error: unknown, resultCode: ResultCode) {
  const message = error instanceof Error ? error.message : show(error);
  return { resultCode, result: undefined, message, exception: error };
}

/** The code of a command that could not be begun. */
export function codeOfError(
  error: unknown,
  signal: AbortSignal | undefined,
): ResultCode {
  if (signal?.aborted && Object.is(error, signal.reason)) {
    return ResultCode.UNKNOWN;
  }
  if (error instanceof CommandError) return ResultCode.REJECTED;
  if (error instanceof ResultCodeError) {
    const { resultCode = ResultCode.FAILED } = error;
    // It has not ended well if it has not even begun.
    return resultCode === ResultCode.OK ? ResultCode.FAILED : resultCode;
  }
  return ResultCode.FAILED;
}
