// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { checkFunction, checkNonNegative, checkType } from "./_arguments.ts";
import { CallValue, type JobContext } from "./_job_value.ts";
import { listOf } from "./_lrc_messages.ts";
import { sleep, timeout as withinTime } from "./cancellation.ts";
import { type DeviceProxy, ResultCode } from "./device_proxy.ts";
import { attachLrc, type LrcUpdate } from "./lrc.ts";

/** A long-running command that a device has taken on. */
export interface StartedCommand {
  /** The device. */
  readonly device: DeviceProxy;
  /** The name of the command. */
  readonly command: string;
  /** The argument it was given. */
  readonly argument: unknown;
  /** What the device calls this execution of it. */
  readonly commandId: string;
}

/**
 * Follows a long-running command to its end.
 *
 * @param started What the device has taken on.
 * @param context What a call is handed: a `signal` to end with, `progress()` to
 * pass the progress on to.
 * @returns The result of the command. What it throws fails the job.
 */
export type FollowCommand = (
  started: StartedCommand,
  context: JobContext,
) => unknown;

/** Options of a command as a job. */
export interface CommandOptions {
  follow?: FollowCommand | undefined;
  timeout?: number | undefined;
}

/**
 * A device has refused a command, or has answered that it went wrong.
 *
 * @example Usage
 * ```ts
 * import { CommandRefusedError } from "@longrun/tasks/job";
 * import { ResultCode } from "@longrun/tasks/device-proxy";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new CommandRefusedError(
 *   "mid/dish/1",
 *   "Scan",
 *   ResultCode.REJECTED,
 *   "not on target",
 * );
 * assertEquals(
 *   error.message,
 *   "Device 'mid/dish/1' has answered REJECTED to 'Scan': not on target",
 * );
 * ```
 */
export class CommandRefusedError extends Error {
  /** The name of the class. */
  override readonly name: string = "CommandRefusedError";
  /** The name of the device. */
  readonly device: string;
  /** The name of the command. */
  readonly command: string;
  /** The code of the answer. */
  readonly resultCode: number;

  /**
   * Creates an error.
   *
   * @param device The name of the device.
   * @param command The name of the command.
   * @param resultCode The code of the answer.
   * @param text The text of the answer.
   */
  constructor(
    device: string,
    command: string,
    resultCode: number,
    text: string,
  ) {
    const code = nameOf(resultCode);
    super(`Device '${device}' has answered ${code} to '${command}': ${text}`);
    this.device = device;
    this.command = command;
    this.resultCode = resultCode;
  }
}

function nameOf(resultCode: number): string {
  const found = Object.entries(ResultCode).find(([, code]) =>
    code === resultCode
  );
  return found?.[0] ?? `result code ${resultCode}`;
}

/** Reads `[[code], [text]]`, which not every command answers. */
function readAnswer(
  answer: unknown,
): { code: number; text: string } | undefined {
  if (!Array.isArray(answer) || answer.length !== 2) return undefined;
  const codes = listOf(answer[0]);
  const texts = listOf(answer[1]);
  if (codes.length !== 1 || texts.length !== 1) return undefined;
  const [code] = codes;
  const [text] = texts;
  if (typeof code !== "number" || !Number.isInteger(code)) return undefined;
  return typeof text === "string" ? { code, text } : undefined;
}

/** Follows a command by the events of its device. */
async function followLrc(
  { device, command, commandId }: StartedCommand,
  { signal, clock, logger, progress }: JobContext,
): Promise<unknown> {
  const tell = ({ progress: percent }: LrcUpdate): void => {
    if (typeof percent !== "number" || Number.isNaN(percent)) return;
    progress(Math.min(Math.max(percent / 100, 0), 1));
  };
  const handle = await attachLrc(tell, device, commandId, {
    signal,
    clock,
    logger,
    // A command that has completed has ended well, whatever its result is.
    parseResult: (result) => result,
  });
  const { resultCode, result, message, exception } = await handle.done;
  if (exception !== undefined) throw exception;
  if (resultCode === ResultCode.OK) return result;
  throw new CommandRefusedError(device.name, command, resultCode, message);
}

async function execute(
  device: DeviceProxy,
  command: string,
  argument: unknown,
  follow: FollowCommand,
  context: JobContext,
): Promise<unknown> {
  const { signal } = context;
  const answer = await device.command(command, argument, { signal });
  const read = readAnswer(answer);
  if (read === undefined || read.code === ResultCode.OK) return answer;
  const { code, text } = read;
  if (code !== ResultCode.QUEUED && code !== ResultCode.STARTED) {
    throw new CommandRefusedError(device.name, command, code, text);
  }
  const started = { device, command, argument, commandId: text };
  return await follow(started, context);
}

/** A context whose signal is another. */
function withSignal(context: JobContext, signal: AbortSignal): JobContext {
  const { clock, logger, progress } = context;
  return {
    signal,
    clock,
    logger,
    sleep: (ms) => sleep(ms, { signal, clock }),
    progress,
  };
}

/** A command of one device, as a job. */
export function commandJob(
  device: DeviceProxy,
  command: string,
  argument: unknown,
  { follow = followLrc, timeout }: CommandOptions,
): CallValue {
  const once = (context: JobContext): Promise<unknown> =>
    execute(device, command, argument, follow, context);
  const action = timeout === undefined ? once : (context: JobContext) => {
    const { signal, clock } = context;
    return withinTime(
      (signal) => once(withSignal(context, signal)),
      timeout,
      { signal, clock },
    );
  };
  return new CallValue(action, `${device.name}/${command}`);
}

function isDevice(value: unknown): value is DeviceProxy {
  return typeof value === "object" && value !== null &&
    typeof (value as DeviceProxy).name === "string" &&
    typeof (value as DeviceProxy).command === "function";
}

/** Checks the arguments of a command as a job. */
export function checkCommand(
  devices: unknown,
  command: unknown,
  { follow, timeout }: CommandOptions,
): void {
  const doing = "create device command";
  const list: unknown[] = Array.isArray(devices) ? devices : [devices];
  for (const device of list) {
    checkType(isDevice(device), doing, "devices", "DeviceProxies", device);
  }
  checkType(
    typeof command === "string" && command !== "",
    doing,
    "command",
    "the name of a command",
    command,
  );
  if (follow !== undefined) checkFunction(doing, "follow", follow);
  if (timeout !== undefined) checkNonNegative(doing, "timeout", timeout);
}
