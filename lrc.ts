// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * The client of long-running commands: sends a command to a device and follows
 * it to its end, over any transport that is a {@linkcode DeviceProxy}.
 *
 * It speaks versions 1 and 2 of the protocol of `ska_tango_base`, and takes the
 * way of `invoke_lrc()`: it subscribes, sends, and tells what comes. Events are
 * not believed to be complete: whatever may have been lost is asked for.
 *
 * ```text
 * subscribe --> send --> id --> STAGING --> QUEUED --> IN_PROGRESS --> COMPLETED
 *                         |                                  |
 *                  early events are kept          silence, errors, gaps:
 *                  until the id is known          the device is asked
 * ```
 *
 * @module
 */

import {
  checkCommon,
  checkFunction,
  checkOptions,
  checkType,
} from "./_arguments.ts";
import {
  type AttachLrcOptions,
  checkCallback,
  checkName,
  checkProxy,
  type InvokeLrcOptions,
  type LrcCallback,
  type LrcHandle,
  type LrcUpdate,
  settingsOf,
} from "./_lrc_client_options.ts";
import { isUnknownCommand } from "./_lrc_errors.ts";
import { attach, begin, execute } from "./_lrc_invoke.ts";
import { listOf, parseResultCode } from "./_lrc_messages.ts";
import { codeOfError, failureOf, type LrcResult } from "./_lrc_outcome.ts";
import { type LrcTableEntry, parseTable, tablesOf } from "./_lrc_repair.ts";
import {
  type CallbackScheduler,
  checkScheduler,
  globalScheduler,
  keepLease,
  lease,
  takeLease,
} from "./_lrc_scheduler.ts";
import { UNKNOWN_STATE } from "./_lrc_state.ts";
import { abortable, timeout } from "./cancellation.ts";
import { type Clock, systemClock } from "./clock.ts";
import {
  type DeviceOptions,
  type DeviceProxy,
  ResultCode,
} from "./device_proxy.ts";
import { defaultLogger, type Logger } from "./logger.ts";

export type {
  AttachLrcOptions,
  InvokeLrcOptions,
  LrcCallback,
  LrcHandle,
  LrcHandleCounters,
  LrcUpdate,
} from "./_lrc_client_options.ts";
export {
  CommandError,
  ProtocolVersionError,
  ResultCodeError,
} from "./_lrc_errors.ts";
export {
  isFinalStatus,
  parseResultCode,
  parseTaskStatus,
} from "./_lrc_messages.ts";
export type { LrcResult } from "./_lrc_outcome.ts";
export type { LrcTableEntry } from "./_lrc_repair.ts";
export {
  CallbackScheduler,
  type CallbackSchedulerOptions,
} from "./_lrc_scheduler.ts";
export type { LrcCounters, LrcHistoryEntry, LrcSource } from "./_lrc_state.ts";

/**
 * Sends a long-running command and follows it: the `invoke_lrc()` of
 * `ska_tango_base`.
 *
 * The device is subscribed to first, the command sent then. Once this resolves
 * the device has accepted the command; what it became is told to the callback
 * and by the handle. The handle need not be kept.
 *
 * **When to use.** To see what a command is at. To wait for its end and no more
 * take a `LongRunningCommand`.
 *
 * **Gotchas.** The signal and the timeouts end the interest in the command, not
 * the command: only `Abort` does, and ends all others of the device with it. A
 * device that is gone for good leaves the handle waiting: give a `timeout`.
 *
 * @typeParam R What `parseResult` makes of the result.
 * @param callback Told of what is new, with one argument that may hold several
 * news; `null` for none. Called in order, first when this has resolved; a
 * promise it returns is waited for before the next call.
 * @param proxy The device.
 * @param command The name of the command.
 * @param argument Its argument, `undefined` for none.
 * @param options What limits it, and how it is followed.
 * @returns The handle of the command.
 * @throws {TypeError} If an argument is of the wrong type, such as a callback
 * of several parameters. Nothing was sent.
 * @throws {RangeError} If an option is out of range. Nothing was sent.
 * @throws {ProtocolVersionError} If the device speaks no version of the
 * protocol that this client speaks. Nothing was sent.
 * @throws {CommandError} If the device rejects the command.
 * @throws {ResultCodeError} If it answers what no long-running command does.
 * @throws {DeviceError} If the device fails. The last of the reasons is
 * `SKA_InvokeLrcFailed` and says what was tried.
 * @throws {AbortSignal["reason"]} If the signal aborts before the answer.
 * @throws {DOMException & { name: "TimeoutError" }} If the `timeout` is over
 * before the answer.
 *
 * @example Usage
 * ```ts
 * import { ResultCode } from "@longrun/tasks/device-proxy";
 * import { invokeLrc } from "@longrun/tasks/lrc";
 * import { LrcDevice } from "@longrun/tasks/lrc-device";
 * import { assertEquals } from "@std/assert";
 *
 * await using device = new LrcDevice({
 *   name: "lab/stage/1",
 *   commands: {
 *     Home: async ({ progress, sleep }) => {
 *       progress(50);
 *       await sleep(1);
 *       return [ResultCode.OK, "Home is found"];
 *     },
 *   },
 * });
 *
 * const progress: unknown[] = [];
 * const handle = await invokeLrc(
 *   (update) => {
 *     if (update.progress !== undefined) progress.push(update.progress);
 *   },
 *   device,
 *   "Home",
 *   undefined,
 *   { timeout: 60_000 },
 * );
 *
 * const { resultCode, message } = await handle.done;
 * assertEquals(resultCode, ResultCode.OK);
 * assertEquals(message, "Home is found");
 * assertEquals(handle.progress, 50);
 * ```
 */
export async function invokeLrc<R = unknown>(
  callback: LrcCallback | null,
  proxy: DeviceProxy,
  command: string,
  argument?: unknown,
  options: InvokeLrcOptions<R> = {},
): Promise<LrcHandle<R>> {
  const doing = "invoke long-running command";
  checkCallback(doing, callback);
  checkProxy(doing, proxy);
  checkName(doing, "command", command);
  const settings = settingsOf(doing, options);
  return await begin({ callback, proxy, command, argument, settings });
}

/**
 * Follows a command that was sent earlier, maybe by another process: the device
 * is asked what it is at.
 *
 * A command that the device has forgotten ends at once, with the status
 * `NOT_FOUND` and the code `UNKNOWN`.
 *
 * @typeParam R What `parseResult` makes of the result.
 * @param callback Told of what is new; `null` for none.
 * @param proxy The device.
 * @param command The id of the command, or the text that
 * {@linkcode LrcHandle.serialize} has made.
 * @param options What limits it, and how it is followed.
 * @returns The handle of the command.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If an option is out of range.
 * @throws {ProtocolVersionError} If the device speaks no version of the
 * protocol that this client speaks.
 * @throws {DeviceError} If the device cannot be subscribed to.
 * @throws {AbortSignal["reason"]} If the signal aborts first.
 * @throws {DOMException & { name: "TimeoutError" }} If the `timeout` is over
 * before the device was subscribed to.
 *
 * @example Going on after a restart
 * ```ts
 * import { ResultCode } from "@longrun/tasks/device-proxy";
 * import { attachLrc, invokeLrc } from "@longrun/tasks/lrc";
 * import { LrcDevice } from "@longrun/tasks/lrc-device";
 * import { assertEquals } from "@std/assert";
 *
 * await using device = new LrcDevice({
 *   name: "lab/stage/1",
 *   commands: {
 *     Home: async ({ progress, sleep }) => {
 *       progress(50);
 *       await sleep(1);
 *       return [ResultCode.OK, "Home is found"];
 *     },
 *   },
 * });
 *
 * const before = await invokeLrc(null, device, "Home");
 * const text = before.serialize(); // keep it in a file
 * await before.unsubscribe();
 *
 * const after = await attachLrc(null, device, text);
 * assertEquals((await after.done).resultCode, ResultCode.OK);
 * ```
 */
export async function attachLrc<R = unknown>(
  callback: LrcCallback | null,
  proxy: DeviceProxy,
  command: string,
  options: AttachLrcOptions<R> = {},
): Promise<LrcHandle<R>> {
  const doing = "attach to long-running command";
  checkCallback(doing, callback);
  checkProxy(doing, proxy);
  checkName(doing, "command", command);
  const settings = settingsOf(doing, options);
  const { commandId, name } = readSerialized(doing, command);
  return await attach(callback, proxy, commandId, name, settings);
}

function readSerialized(
  doing: string,
  text: string,
): { commandId: string; name: string | undefined } {
  if (!text.startsWith("{")) return { commandId: text, name: undefined };
  let fields: Record<string, unknown> = {};
  try {
    fields = JSON.parse(text);
  } catch {
    // The check below says it.
  }
  const { commandId, command } = fields;
  checkType(
    typeof commandId === "string" && commandId !== "",
    doing,
    "command",
    "an id or what serialize() has made",
    text,
  );
  const name = typeof command === "string" ? command : undefined;
  return { commandId: String(commandId), name };
}

/** A command among others. */
export interface LrcCall {
  /** The device. */
  readonly proxy: DeviceProxy;
  /** The name of the command. */
  readonly command: string;
  /** Its argument, `undefined` for none. */
  readonly argument?: unknown;
}

/** Options of {@linkcode invokeAll}. */
export interface InvokeAllOptions<R = unknown> extends InvokeLrcOptions<R> {
  /** Told of what is new about one of the commands. */
  onUpdate?: (call: LrcCall, update: LrcUpdate) => unknown;
}

/** How several commands have ended. */
export interface LrcReport<R = unknown> {
  /** Whether all have ended well. */
  readonly ok: boolean;
  /** How each has ended, in the order of the calls. */
  readonly results: readonly LrcResult<R>[];
  /** Those that have not ended well. */
  readonly failures: readonly LrcResult<R>[];
  /** Which of them failed and why, in a sentence. */
  readonly message: string;
}

/**
 * Sends commands to any number of devices at once and waits for all of them,
 * with one deadline. One that fails does not end the others.
 *
 * @typeParam R What `parseResult` makes of a result.
 * @param calls The commands.
 * @param options What limits each of them, counted from the same moment.
 * @returns How they have ended; failures are values.
 * @throws {TypeError} If an argument is of the wrong type. Nothing was sent.
 * @throws {RangeError} If an option is out of range. Nothing was sent.
 *
 * @example Usage
 * ```ts
 * import { ResultCode } from "@longrun/tasks/device-proxy";
 * import { invokeAll } from "@longrun/tasks/lrc";
 * import { LrcDevice } from "@longrun/tasks/lrc-device";
 * import { assertEquals } from "@std/assert";
 *
 * const dishes = [1, 2].map((n) =>
 *   new LrcDevice({
 *     name: `mid/dish/${n}`,
 *     commands: {
 *       Slew: () =>
 *         n === 1 ? [ResultCode.OK, "There"] : [ResultCode.FAILED, "Wind"],
 *     },
 *   })
 * );
 * const report = await invokeAll(
 *   dishes.map((proxy) => ({ proxy, command: "Slew" })),
 *   { timeout: 60_000 },
 * );
 * assertEquals(report.ok, false);
 * assertEquals(
 *   report.message,
 *   "1 of 2 commands have failed: mid/dish/2: Slew: Wind",
 * );
 * for (const dish of dishes) await dish.stop();
 * ```
 */
export async function invokeAll<R = unknown>(
  calls: Iterable<LrcCall>,
  options: InvokeAllOptions<R> = {},
): Promise<LrcReport<R>> {
  const doing = "invoke long-running commands";
  checkType(
    typeof (calls as Partial<Iterable<LrcCall>> | null)?.[Symbol.iterator] ===
      "function",
    doing,
    "calls",
    "an iterable",
    calls,
  );
  const settings = settingsOf(doing, options);
  const { onUpdate } = options;
  if (onUpdate !== undefined) checkFunction(doing, "onUpdate", onUpdate);
  const all = [...calls];
  for (const call of all) {
    const isObject = typeof call === "object" && call !== null;
    checkType(isObject, doing, "calls", "an iterable of objects", call);
    checkProxy(doing, call.proxy);
    checkName(doing, "command", call.command);
  }
  const results = await Promise.all(all.map((call) => {
    const { proxy, command, argument } = call;
    const callback = onUpdate === undefined
      ? null
      : (update: LrcUpdate): unknown => onUpdate(call, update);
    return execute({ callback, proxy, command, argument, settings });
  }));
  const failures = results.filter(({ resultCode }) =>
    resultCode !== ResultCode.OK
  );
  return {
    ok: failures.length === 0,
    results,
    failures,
    message: messageOf(results, failures),
  };
}

function messageOf(
  results: readonly LrcResult[],
  failures: readonly LrcResult[],
): string {
  if (failures.length === 0) {
    return `All ${results.length} commands have ended well`;
  }
  const each = failures.map(({ device, command, message }) =>
    `${device}: ${command}: ${message}`
  );
  return `${failures.length} of ${results.length} commands have failed: ${
    each.join("; ")
  }`;
}

/**
 * Ends **all** commands of a device, those that wait in its queue too, whoever
 * has sent them: the protocol has no other way to end one.
 *
 * It sends `Abort` and waits until the device has done it. An old device that
 * does not know this command is sent `AbortCommands`, which says no more than
 * that it has begun: the code is `STARTED` then.
 *
 * @param proxy The device.
 * @param options What limits the wait.
 * @returns How the abort has ended; failures are values.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If an option is out of range.
 *
 * @example Usage
 * ```ts
 * import { ResultCode } from "@longrun/tasks/device-proxy";
 * import { abortDevice, invokeLrc } from "@longrun/tasks/lrc";
 * import { LrcDevice } from "@longrun/tasks/lrc-device";
 * import { assertEquals } from "@std/assert";
 *
 * await using device = new LrcDevice({
 *   name: "lab/stage/1",
 *   commands: { Home: ({ sleep }) => sleep(60_000) },
 * });
 * const handle = await invokeLrc(null, device, "Home");
 * assertEquals((await abortDevice(device)).resultCode, ResultCode.OK);
 * assertEquals((await handle.done).resultCode, ResultCode.ABORTED);
 * ```
 */
export async function abortDevice(
  proxy: DeviceProxy,
  options: InvokeLrcOptions = {},
): Promise<LrcResult> {
  const doing = "abort device";
  checkProxy(doing, proxy);
  const settings = settingsOf(doing, options);
  const { signal, clock } = settings;
  const since = clock.now();
  const result = await execute({
    callback: null,
    proxy,
    command: "Abort",
    argument: undefined,
    settings,
  });
  if (!isUnknownCommand(result.exception)) return result;
  const command = "AbortCommands";
  const left = Math.max(0, settings.timeout - (clock.now() - since));
  try {
    const answer = await timeout(
      (signal) => proxy.command(command, undefined, { signal }),
      left,
      { signal, clock },
    );
    const parts: unknown[] = Array.isArray(answer) ? answer : [];
    const [code, text] = parts.map((part) => listOf(part)[0] ?? part);
    return {
      ...result,
      command,
      resultCode: parseResultCode(code) ?? ResultCode.UNKNOWN,
      message: typeof text === "string" ? text : "",
      exception: undefined,
    };
  } catch (error) {
    const subject = { device: proxy.name, command, commandId: undefined };
    const code = codeOfError(error, signal);
    return failureOf(subject, UNKNOWN_STATE, error, code);
  }
}

/** Options of {@linkcode connectLrcInterface}. */
export interface ConnectLrcOptions extends DeviceOptions {
  /**
   * Measures the time until a subscription that broke is made again.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Told of what cannot be told otherwise.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
}

/**
 * Subscribes to the long-running commands of a device for as long as it is
 * wanted, so that each command need not do so.
 *
 * Commands share the subscription anyhow while there are any. Each connect
 * needs a disconnect, by {@linkcode disconnectLrcInterface} or by disposing of
 * what is returned.
 *
 * @param device The device.
 * @param scheduler Whose commands share it; by default the one for all.
 * @param options What ends the wait, and more.
 * @returns What disconnects again when it is disposed of.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {ProtocolVersionError} If the device speaks no version of the
 * protocol that this client speaks.
 * @throws {DeviceError} If the device cannot be subscribed to.
 * @throws {AbortSignal["reason"]} If the signal aborts first.
 *
 * @example Usage
 * ```ts
 * import { ResultCode } from "@longrun/tasks/device-proxy";
 * import { connectLrcInterface, invokeLrc } from "@longrun/tasks/lrc";
 * import { LrcDevice } from "@longrun/tasks/lrc-device";
 * import { assertEquals } from "@std/assert";
 *
 * await using device = new LrcDevice({
 *   name: "lab/stage/1",
 *   commands: {
 *     Home: async ({ progress, sleep }) => {
 *       progress(50);
 *       await sleep(1);
 *       return [ResultCode.OK, "Home is found"];
 *     },
 *   },
 * });
 *
 * await using _connection = await connectLrcInterface(device);
 * for (let time = 0; time < 3; time++) {
 *   const handle = await invokeLrc(null, device, "Home");
 *   assertEquals((await handle.done).resultCode, ResultCode.OK);
 * }
 * ```
 */
export async function connectLrcInterface(
  device: DeviceProxy,
  scheduler: CallbackScheduler = globalScheduler,
  options: ConnectLrcOptions = {},
): Promise<AsyncDisposable> {
  const doing = "connect long-running commands";
  checkProxy(doing, device);
  checkScheduler(doing, scheduler);
  checkOptions(doing, options);
  checkCommon(doing, options);
  const { clock = systemClock, logger = defaultLogger, signal } = options;
  signal?.throwIfAborted();
  const settings = { hasEvents: true, clock, logger, signal };
  const share = await lease(scheduler, device, settings);
  const release = keepLease(scheduler, device, share);
  return { [Symbol.asyncDispose]: release };
}

/**
 * Takes back a {@linkcode connectLrcInterface}. Commands that are under way
 * keep the subscription until they end. Does nothing if there is none.
 *
 * @param device The device.
 * @param scheduler The scheduler that was connected.
 * @returns A promise that resolves when the device was left, if nobody else
 * wants it.
 * @throws {TypeError} If an argument is of the wrong type.
 */
export async function disconnectLrcInterface(
  device: DeviceProxy,
  scheduler: CallbackScheduler = globalScheduler,
): Promise<void> {
  const doing = "disconnect long-running commands";
  checkProxy(doing, device);
  checkScheduler(doing, scheduler);
  await takeLease(scheduler, device)?.release();
}

/**
 * Reads which commands a device has: queued, executing and lately finished.
 *
 * @param proxy The device.
 * @param options What ends the wait.
 * @returns The commands; none if the device has no such tables. What cannot be
 * understood is left out.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {DeviceError} If the device cannot be read.
 * @throws {AbortSignal["reason"]} If the signal aborts first.
 *
 * @example Usage
 * ```ts
 * import { TaskStatus } from "@longrun/tasks/device-proxy";
 * import { invokeLrc, listLrcs } from "@longrun/tasks/lrc";
 * import { LrcDevice } from "@longrun/tasks/lrc-device";
 * import { assertEquals } from "@std/assert";
 *
 * await using device = new LrcDevice({
 *   name: "lab/stage/1",
 *   commands: { Home: ({ sleep }) => sleep(1) },
 * });
 * const handle = await invokeLrc(null, device, "Home");
 * await handle.done;
 * const [entry] = await listLrcs(device);
 * assertEquals(entry?.commandId, handle.commandId);
 * assertEquals(entry?.status, TaskStatus.COMPLETED);
 * ```
 */
export async function listLrcs(
  proxy: DeviceProxy,
  options: DeviceOptions = {},
): Promise<LrcTableEntry[]> {
  const doing = "list long-running commands";
  checkProxy(doing, proxy);
  checkOptions(doing, options);
  checkCommon(doing, options);
  const { signal } = options;
  signal?.throwIfAborted();
  const names = await abortable(proxy.attributeNames(options), signal);
  const tables = tablesOf(new Set(names.map((name) => name.toLowerCase())));
  if (tables.length === 0) return [];
  const wanted = tables.map(([name]) => name);
  const values = await abortable(proxy.readAttributes(wanted, options), signal);
  return tables.flatMap(([, status], index) =>
    parseTable(values[index], status)
  );
}
