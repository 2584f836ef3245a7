// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { checkType } from "./_arguments.ts";
import { fieldsOf } from "./_operation_body.ts";
import { checkUrl } from "./_operation_options.ts";
import type { OperationShape, Tracking } from "./_operation_tracking.ts";

/** Goes up when older versions could not read the text any more. */
const VERSION = 1;

const SHAPES: readonly unknown[] = [
  "status",
  "location",
  "aip-151",
  "resource",
  undefined,
];

/** All that is needed to follow an operation, as a text. */
export function writeTracking(tracking: Tracking): string {
  return JSON.stringify({ operation: VERSION, ...tracking });
}

/** Reads what {@linkcode writeTracking} has made. */
export function readTracking(doing: string, text: string): Tracking {
  let fields: Readonly<Record<string, unknown>> = {};
  try {
    fields = fieldsOf(JSON.parse(text)) ?? {};
  } catch {
    // The check below says it.
  }
  const { operation, shape, url, origins, first, method, location, hasMade } =
    fields;
  const isText = (value: unknown): boolean =>
    value === undefined || typeof value === "string";
  checkType(
    operation === VERSION && typeof url === "string" &&
      SHAPES.includes(shape) && Array.isArray(origins) &&
      [first, method, location].every(isText) && typeof hasMade === "boolean",
    doing,
    "from",
    "a response, an address or what serialize() has made",
    text,
  );
  const at = (value: unknown): string | undefined =>
    value === undefined ? undefined : checkUrl(doing, "from", value);
  return {
    shape: shape as OperationShape | undefined,
    url: checkUrl(doing, "from", url),
    origins: (origins as unknown[]).map(String),
    first: at(first),
    method: method as string | undefined,
    location: at(location),
    hasMade: hasMade === true,
  };
}
