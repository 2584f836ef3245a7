// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { invocationError, ProtocolVersionError } from "./_lrc_errors.ts";
import { listOf } from "./_lrc_messages.ts";
import { timeout } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type { DeviceProxy } from "./device_proxy.ts";

const newestVersion = 2;

/** The newest version of the protocol that both sides speak. */
export function negotiate(device: string, versions: unknown): 1 | 2 {
  const [least, most] = listOf(versions).map(Number);
  if (least === undefined || most === undefined) {
    throw new ProtocolVersionError(device, versions);
  }
  const version = Math.min(most, newestVersion);
  if (!(version >= Math.max(least, 1)) || version !== 1 && version !== 2) {
    throw new ProtocolVersionError(device, versions);
  }
  return version;
}

/** What a device speaks, and what can be asked of it. */
export interface Learnt {
  readonly version: 1 | 2;
  /** The names of its attributes, in lower case. */
  readonly attributes: ReadonlySet<string>;
}

/**
 * Asks a device for its attributes and for the versions that it speaks.
 *
 * @param ms How long it may take, in milliseconds.
 * @throws {ProtocolVersionError} If there is none that both sides speak.
 * @throws {DeviceError} If the device cannot be asked.
 */
export async function learn(
  proxy: DeviceProxy,
  ms: number,
  limits: { signal: AbortSignal; clock: Clock },
): Promise<Learnt> {
  try {
    return await timeout((signal) => ask(proxy, signal), ms, limits);
  } catch (error) {
    if (limits.signal.aborted || error instanceof ProtocolVersionError) {
      throw error;
    }
    throw invocationError(error, "Asking for the attributes failed.");
  }
}

async function ask(proxy: DeviceProxy, signal: AbortSignal): Promise<Learnt> {
  const names = await proxy.attributeNames({ signal });
  const attributes = new Set(names.map((name) => name.toLowerCase()));
  if (!attributes.has("lrcprotocolversions")) return { version: 1, attributes };
  signal.throwIfAborted();
  const [versions] = await proxy.readAttributes(["lrcProtocolVersions"], {
    signal,
  });
  return { version: negotiate(proxy.name, versions), attributes };
}
