// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { DeviceError, type ResultCode } from "./device_proxy.ts";

/**
 * The device has rejected a command. It was not begun.
 *
 * @example Usage
 * ```ts
 * import { CommandError } from "@longrun/tasks/lrc";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new CommandError("On", "Device is already in ON state.");
 * assertEquals(
 *   error.message,
 *   "On command rejected: Device is already in ON state.",
 * );
 * ```
 */
export class CommandError extends Error {
  /** The name of the class. */
  override readonly name: string = "CommandError";
  /** The name of the command. */
  readonly command: string;
  /** Why, in the words of the device. */
  readonly reason: string;

  /**
   * Creates an error.
   *
   * @param command The name of the command.
   * @param reason Why, in the words of the device.
   */
  constructor(command: string, reason: string) {
    super(`${command} command rejected: ${reason}`);
    this.command = command;
    this.reason = reason;
  }
}

/**
 * The device has answered something that no long-running command answers. What
 * it has begun, if anything, is unknown.
 *
 * @example Usage
 * ```ts
 * import { ResultCode } from "@longrun/tasks/device-proxy";
 * import { ResultCodeError } from "@longrun/tasks/lrc";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new ResultCodeError("Scan", ResultCode.OK, [[0], ["done"]]);
 * assertEquals(error.resultCode, ResultCode.OK);
 * ```
 */
export class ResultCodeError extends Error {
  /** The name of the class. */
  override readonly name: string = "ResultCodeError";
  /** The name of the command. */
  readonly command: string;
  /** The code, `undefined` if there is none in the answer. */
  readonly resultCode: ResultCode | undefined;
  /** The answer as it came. */
  readonly answer: unknown;

  /**
   * Creates an error.
   *
   * @param command The name of the command.
   * @param resultCode The code, `undefined` if there is none in the answer.
   * @param answer The answer as it came.
   */
  constructor(
    command: string,
    resultCode: ResultCode | undefined,
    answer: unknown,
  ) {
    super(
      resultCode === undefined
        ? `Unexpected answer to ${command} command: ${show(answer)}`
        : `Unexpected result code for ${command} command: ${resultCode}`,
    );
    this.command = command;
    this.resultCode = resultCode;
    this.answer = answer;
  }
}

/**
 * The device speaks no version of the protocol that the client speaks.
 *
 * @example Usage
 * ```ts
 * import { ProtocolVersionError } from "@longrun/tasks/lrc";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(new ProtocolVersionError("mid/dish/1", [3, 4]).versions, [3, 4]);
 * ```
 */
export class ProtocolVersionError extends RangeError {
  /** The name of the class. */
  override readonly name: string = "ProtocolVersionError";
  /** What the device has given for the versions it speaks. */
  readonly versions: unknown;

  /**
   * Creates an error.
   *
   * @param device The name of the device.
   * @param versions What it has given for the versions it speaks.
   */
  constructor(device: string, versions: unknown) {
    super(
      `Device '${device}' speaks versions ${show(versions)} of the protocol ` +
        `of long-running commands, this client versions [1,2]`,
    );
    this.versions = versions;
  }
}

/** A value as part of a sentence. */
export function show(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/** An error as reasons of a device: its own, or one made of it. */
export function reasonsOf(error: unknown): DeviceError["errors"] {
  if (error instanceof DeviceError) return error.errors;
  const desc = error instanceof Error ? error.message : show(error);
  return [{
    reason: "API_CommunicationFailed",
    desc,
    severity: "ERR",
    origin: "lrc",
  }];
}

/** Whether a device has failed because it has no such command. */
export function isUnknownCommand(error: unknown): boolean {
  return error instanceof DeviceError &&
    error.errors.some(({ reason }) => reason === "API_CommandNotFound");
}

/** The error with one more reason: what was wanted when it came. */
export function invocationError(error: unknown, desc: string): DeviceError {
  const reason = {
    reason: "SKA_InvokeLrcFailed",
    desc,
    severity: "ERR",
    origin: "invokeLrc",
  } as const;
  return new DeviceError([...reasonsOf(error), reason], { cause: error });
}
