// Copyright 2026 the Longrun authors. MIT license.

import type { Endpoint } from "./_giop_connection.ts";

/** What the name of a device says. */
export interface DeviceName {
  /** The name in its server: `domain/family/member`, in lower case. */
  readonly device: string;
  /** The server, or the database, that was named with it. */
  readonly endpoint: Endpoint | undefined;
  /** Whether a database knows where the device is. */
  readonly hasDatabase: boolean;
}

const NAME =
  /^(?:tango:)?(?:\/\/([^/:]+|\[[0-9a-f:]+\]):(\d+)\/)?([^/#:\s]+\/[^/#:\s]+\/[^/#:\s]+)(?:#dbase=(yes|no))?$/i;

const HOST = /^\s*([^:\s]+|\[[0-9a-f:]+\]):(\d+)\s*$/i;

const MAX_PORT = 65_535;

function endpointOf(host: string, port: string): Endpoint | undefined {
  const number = Number(port);
  return number > 0 && number <= MAX_PORT
    ? { host: host.replace(/^\[|\]$/g, ""), port: number }
    : undefined;
}

/** Reads the name of a device; `undefined` if it is none. */
export function parseDeviceName(name: string): DeviceName | undefined {
  const [, host, port, device, database] = NAME.exec(name) ?? [];
  if (device === undefined) return undefined;
  const hasDatabase = database?.toLowerCase() !== "no";
  const endpoint = host === undefined || port === undefined
    ? undefined
    : endpointOf(host, port);
  // A device without a database is nowhere unless its server is named.
  if (endpoint === undefined && (host !== undefined || !hasDatabase)) {
    return undefined;
  }
  return { device: device.toLowerCase(), endpoint, hasDatabase };
}

/** Reads `host:port,host:port`; `undefined` if it is none. */
export function parseTangoHost(text: string): readonly Endpoint[] | undefined {
  const endpoints: Endpoint[] = [];
  for (const part of text.split(",")) {
    const [, host = "", port = ""] = HOST.exec(part) ?? [];
    const endpoint = endpointOf(host, port);
    if (endpoint === undefined) return undefined;
    endpoints.push(endpoint);
  }
  return endpoints;
}
