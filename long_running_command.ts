// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * A long-running command of a device as something to execute and wait for.
 *
 * @module
 */

import {
  checkName,
  checkProxy,
  type InvokeLrcOptions,
  settingsOf,
} from "./_lrc_client_options.ts";
import { execute } from "./_lrc_invoke.ts";
import type { LrcResult } from "./_lrc_outcome.ts";
import { checkOptions, copyOptions } from "./_arguments.ts";
import type { DeviceProxy } from "./device_proxy.ts";

export type { LrcResult } from "./_lrc_outcome.ts";

/** Options of {@linkcode LongRunningCommand}. */
export interface LongRunningCommandOptions<R = unknown>
  extends Omit<InvokeLrcOptions<R>, "signal" | "raw"> {}

/** Options of {@linkcode LongRunningCommand.execute}. */
export interface ExecuteOptions {
  /** Ends the wait; the command itself goes on. */
  signal?: AbortSignal;
  /**
   * How long everything may take, in milliseconds.
   *
   * @default {that of the command}
   */
  timeout?: number;
}

/**
 * A long-running command by its name: the `LongRunningCommand` of
 * `ska_pst.lmc.util`. Making one sends nothing; each
 * {@linkcode LongRunningCommand.execute} sends it and waits for the end.
 *
 * However it ends, the end is a value, an {@linkcode LrcResult}. What the
 * original leaves open is decided like this:
 *
 * | what happened                        | `resultCode`                      | `exception`       |
 * | ------------------------------------ | --------------------------------- | ----------------- |
 * | completed, with a code in the result | that code                         |                   |
 * | completed, without one               | `UNKNOWN`; `OK` by a `parseResult` |                  |
 * | failed, aborted or rejected later    | that of the result, never `OK`    |                   |
 * | rejected at once                     | `REJECTED`                        | `CommandError`    |
 * | an answer that means something else  | that code, `FAILED` if it is `OK` | `ResultCodeError` |
 * | the device fails                     | `FAILED`                          | `DeviceError`     |
 * | it takes too long                    | `FAILED`                          | `TimeoutError`    |
 * | the signal aborts                    | `UNKNOWN`                         | its reason        |
 * | the device has forgotten the command | `UNKNOWN`                         |                   |
 *
 * @typeParam R What `parseResult` makes of the result.
 *
 * @example Usage
 * ```ts
 * import { ResultCode } from "@longrun/tasks/device-proxy";
 * import { LongRunningCommand } from "@longrun/tasks/long-running-command";
 * import { LrcDevice } from "@longrun/tasks/lrc-device";
 * import { assertEquals } from "@std/assert";
 *
 * await using device = new LrcDevice({
 *   name: "low/beam/1",
 *   commands: { ConfigureScan: () => [ResultCode.OK, "Configured"] },
 * });
 *
 * const configureScan = new LongRunningCommand("ConfigureScan");
 * const result = await configureScan.execute(device, { band: 2 }, {
 *   timeout: 60_000,
 * });
 * if (result.resultCode !== ResultCode.OK) console.error(result.message);
 * assertEquals(result.message, "Configured");
 * ```
 */
export class LongRunningCommand<R = unknown> {
  readonly #command: string;
  readonly #options: LongRunningCommandOptions<R>;

  /**
   * Names a command. Nothing is sent.
   *
   * @param command The name of the command.
   * @param options How it is followed, at each execution.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(command: string, options: LongRunningCommandOptions<R> = {}) {
    const doing = "create LongRunningCommand";
    checkName(doing, "command", command);
    settingsOf(doing, options);
    this.#command = command;
    this.#options = copyOptions(options);
  }

  /** The name of the command. */
  get command(): string {
    return this.#command;
  }

  /**
   * Sends the command and waits for its end.
   *
   * @param proxy The device.
   * @param argument The argument of the command, `undefined` for none.
   * @param options What ends the wait.
   * @returns How it has ended, whatever happened.
   * @throws {TypeError} If an argument is of the wrong type. Nothing was sent.
   * @throws {RangeError} If an option is out of range. Nothing was sent.
   */
  async execute(
    proxy: DeviceProxy,
    argument?: unknown,
    options: ExecuteOptions = {},
  ): Promise<LrcResult<R>> {
    const doing = "execute LongRunningCommand";
    checkProxy(doing, proxy);
    checkOptions(doing, options);
    const { signal, timeout = this.#options.timeout } = options;
    const settings = settingsOf<R>(doing, {
      ...this.#options,
      signal,
      timeout,
    });
    const command = this.#command;
    return await execute({
      callback: null,
      proxy,
      command,
      argument,
      settings,
    });
  }
}
