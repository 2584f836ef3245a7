// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { badRequest, notFound, Problem } from "./_lrc_http_problem.ts";
import type { DeviceAccess } from "./_lrc_http_options.ts";
import { MOST_NAMES } from "./_lrc_http_wire.ts";
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

/** What a request wants of a device, whichever it is. */
type Wish =
  & { readonly access: Omit<DeviceAccess, "device"> }
  & (
    | {
      readonly kind: "describe" | "read" | "events";
      readonly names: readonly string[];
    }
    | {
      readonly kind: "readOne" | "operation" | "command";
      readonly name: string;
    }
  );

function wishOf(
  method: string,
  url: URL,
  part: string | undefined,
  name: string | undefined,
): Wish | undefined {
  if (part === undefined) {
    allow(method, READING);
    const access = { action: "describe", names: [] } as const;
    return { kind: "describe", names: [], access };
  }
  if (name === "") return undefined;
  switch (part) {
    case "attributes": {
      allow(method, READING);
      if (name !== undefined) {
        const access = { action: "read", names: [name] } as const;
        return { kind: "readOne", name, access };
      }
      const names = namesIn(url, "name");
      return { kind: "read", names, access: { action: "read", names } };
    }
    case "events": {
      if (name !== undefined) return undefined;
      allow(method, ["GET"]);
      const names = dedupe(namesIn(url, "attribute"));
      return { kind: "events", names, access: { action: "events", names } };
    }
    case "operations": {
      if (name === undefined) return undefined;
      allow(method, READING);
      const access = { action: "operation", names: [name] } as const;
      return { kind: "operation", name, access };
    }
    case "commands": {
      if (name === undefined) return undefined;
      allow(method, ["POST"]);
      const access = { action: "command", names: [name] } as const;
      return { kind: "command", name, access };
    }
  }
}

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
  // Before the device is looked up: not everybody may know which there are.
  const wish = wishOf(method, url, part, name);
  if (wish === undefined) throw nowhere();
  const device = devices.get(deviceName.toLowerCase());
  if (device === undefined) {
    return { kind: "missing", access: { device: deviceName, ...wish.access } };
  }
  return { ...wish, device, access: { device: device.name, ...wish.access } };
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
