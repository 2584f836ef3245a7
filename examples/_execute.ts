// Copyright 2026 the Longrun authors. MIT license.

/** The client's side of a telescope: a command from its sending to its end. */

import {
  abortDevice,
  CommandError,
  type DeviceProxy,
  invokeLrc,
  onAbort,
  ResultCode,
} from "../mod.ts";
import type { TelescopeCommands } from "./_telescope.ts";

/** How a command has ended. */
export interface CommandEnd {
  isWell: boolean;
  /** The name of its code, and what the device says. */
  text: string;
}

function endOf(code: ResultCode, message: string): CommandEnd {
  const [name] = Object.entries(ResultCode)
    .find(([, value]) => value === code) ?? [];
  return { isWell: code === ResultCode.OK, text: `${name}, ${message}` };
}

/**
 * Has a telescope do something, and follows it to its true end. The signal
 * aborts all that the telescope does: it is not given to `invokeLrc()`, where
 * it would end the interest in the command, not the command.
 */
export async function execute<K extends keyof TelescopeCommands>(
  telescope: DeviceProxy,
  command: K,
  argument: TelescopeCommands[K],
  options: { signal: AbortSignal; onProgress: (percent: number) => void },
): Promise<CommandEnd> {
  const { signal, onProgress } = options;
  try {
    const handle = await invokeLrc(null, telescope, command, argument, {
      timeout: 3_600_000,
    });
    // A telescope that refuses has the command end as if nothing was asked.
    const abort = () => void abortDevice(telescope).catch(console.error);
    const forget = onAbort(signal, abort);
    try {
      for await (const { progress } of handle) {
        if (typeof progress === "number") onProgress(progress);
      }
    } finally {
      forget();
    }
    const { resultCode, message } = await handle.done;
    return endOf(resultCode, message);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return endOf(ResultCode.REJECTED, error.reason);
  }
}
