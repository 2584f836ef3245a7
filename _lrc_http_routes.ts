// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { badRequest, notFound, Problem } from "./_lrc_http_problem.ts";
import type { DeviceAccess } from "./_lrc_http_options.ts";
import type { DeviceProxy } from "./device_proxy.ts";

/** What a request is for. */
export type Route =
  & { readonly access: DeviceAccess }
  & (
    | { readonly kind: "list" | "missing" }
    | {
      readonly kind: "events";
      readonly device: DeviceProxy;
      readonly names: readonly string[];
    }
    | {
      readonly kind: "describe" | "read";
      readonly device: DeviceProxy;
      readonly names: readonly string[];
    }
    | {
      readonly kind: "readOne" | "operation" | "command";
      readonly device: DeviceProxy;
      readonly name: string;
    }
  );

/** How many attributes may be asked for at a time. */
const MOST_NAMES = 100;

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw badRequest("The address is not encoded as it should be");
  }
}

function namesIn(url: URL, key: string): readonly string[] {
  const names = url.searchParams.getAll(key);
  for (const other of url.searchParams.keys()) {
    if (other !== key) throw badRequest(`Nobody knows what '${other}' means`);
  }
  if (names.length === 0 || names.includes("")) {
    throw badRequest(`Name what you want: ?${key}=...`);
  }
  if (names.length > MOST_NAMES) {
    throw badRequest(`No more than ${MOST_NAMES} names at a time`);
  }
  return names;
}

function allow(method: string, methods: readonly string[]): void {
  if (methods.includes(method)) return;
  const allowed = methods.join(", ");
  throw new Problem(405, "method-not-allowed", `Allowed is ${allowed}`, {
    headers: { allow: allowed },
  });
}

const READING = ["GET", "HEAD"];

/**
 * Finds out what a request is for.
 *
 * @throws {Problem} If it is for nothing that there is.
 */
export function routeOf(
  method: string,
  url: URL,
  base: string,
  devices: ReadonlyMap<string, DeviceProxy>,
): Route {
  const { pathname } = url;
  const nowhere = (): Problem => notFound(`There is nothing at ${pathname}`);
  if (!pathname.startsWith(`${base}/devices`)) throw nowhere();
  const [first, ...segments] = pathname.slice(base.length + 1).split("/").map(
    decode,
  );
  if (first !== "devices" || segments.length > 3) throw nowhere();
  const [deviceName, part, name] = segments;
  if (deviceName === undefined) {
    allow(method, READING);
    const access = { device: undefined, action: "list", names: [] } as const;
    return { kind: "list", access };
  }
  const device = devices.get(deviceName.toLowerCase());
  if (device === undefined) {
    // Not everybody may know which devices there are.
    const access = {
      device: deviceName,
      action: "describe",
      names: [],
    } as const;
    return { kind: "missing", access };
  }
  const accessTo = (
    action: DeviceAccess["action"],
    names: readonly string[],
  ): DeviceAccess => ({ device: device.name, action, names });
  if (part === undefined) {
    allow(method, READING);
    return {
      kind: "describe",
      device,
      names: [],
      access: accessTo("describe", []),
    };
  }
  if (name === "") throw nowhere();
  switch (part) {
    case "attributes": {
      allow(method, READING);
      if (name !== undefined) {
        return {
          kind: "readOne",
          device,
          name,
          access: accessTo("read", [name]),
        };
      }
      const names = namesIn(url, "name");
      return { kind: "read", device, names, access: accessTo("read", names) };
    }
    case "events": {
      if (name !== undefined) break;
      allow(method, ["GET"]);
      const names = dedupe(namesIn(url, "attribute"));
      return {
        kind: "events",
        device,
        names,
        access: accessTo("events", names),
      };
    }
    case "operations":
      if (name === undefined) break;
      allow(method, READING);
      return {
        kind: "operation",
        device,
        name,
        access: accessTo("operation", [name]),
      };
    case "commands":
      if (name === undefined) break;
      allow(method, ["POST"]);
      return {
        kind: "command",
        device,
        name,
        access: accessTo("command", [name]),
      };
  }
  throw nowhere();
}

/** The names without those that differ from an earlier one in case only. */
function dedupe(names: readonly string[]): string[] {
  const found = new Map<string, string>();
  for (const name of names) {
    const key = name.toLowerCase();
    if (!found.has(key)) found.set(key, name);
  }
  return [...found.values()];
}
