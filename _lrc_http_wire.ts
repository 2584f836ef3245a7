// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { listOfTypedArray } from "./_typed_array.ts";
import type { DevError, DeviceEvent } from "./device_proxy.ts";

/** The kinds of events, none of which an `EventSource` knows by itself. */
export const EventKind = {
  /** The value at the moment, as read. */
  PRESENT: "present",
  /** A change, or an error of the device's own events. */
  CHANGE: "change",
  /** Events were lost. */
  GAP: "gap",
  /** There are no more events, for good. */
  END: "end",
} as const;

/** The header of a request that must not be executed twice. */
export const KEY_HEADER = "idempotency-key";

/** The media type of what is sent, but for events and problems. */
export const JSON_TYPE = "application/json";

/** That of errors. */
export const PROBLEM_TYPE = "application/problem+json";

/** That of events. */
export const EVENTS_TYPE = "text/event-stream";

/** How many attributes may be asked for at a time. */
export const MOST_NAMES = 100;

/** How much time is between two signs of life, in milliseconds. */
export const DEFAULT_HEARTBEAT = 15_000;

/** The media type of a message, without its parameters. */
export function mediaTypeOf(headers: Headers): string {
  const [type = ""] = (headers.get("content-type") ?? "").split(";");
  return type.trim().toLowerCase();
}

/** What JSON has no words for, in the words it has. */
function replace(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") {
    const number = Number(value);
    const isExact = Number.isFinite(number) && BigInt(number) === value;
    return isExact ? number : String(value);
  }
  return listOfTypedArray(value);
}

/**
 * A value as JSON.
 *
 * @throws {TypeError} If it contains itself.
 */
export function encodeJson(value: unknown): string {
  return JSON.stringify(value, replace) ?? "null";
}

/** The body that says that something has failed. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isReason(value: unknown): value is DevError {
  return isRecord(value) && typeof value.reason === "string" &&
    typeof value.desc === "string";
}

/** The reasons in what has come, `undefined` if they are none. */
export function readReasons(value: unknown): readonly DevError[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || !value.every(isReason)) {
    return undefined;
  }
  return value.map(({ reason, desc, severity, origin }) => ({
    reason,
    desc,
    severity: severity === "WARN" || severity === "PANIC" ? severity : "ERR",
    origin: typeof origin === "string" ? origin : "",
  }));
}

/** Reads the data of an event. */
export function readEvent(
  data: string,
  attribute: string,
): DeviceEvent | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(data);
  } catch {
    return undefined;
  }
  if (!isRecord(fields)) return undefined;
  const name = typeof fields.attribute === "string"
    ? fields.attribute
    : attribute;
  const errors = readReasons(fields.errors);
  return errors === undefined
    ? { attribute: name, value: fields.value }
    : { attribute: name, errors };
}

/** Where in the events of which life of a server a reader is. */
export interface Position {
  readonly epoch: string;
  readonly sequence: number;
}

/** A position as the id of an event. */
export function formatId({ epoch, sequence }: Position): string {
  return `${epoch}-${sequence}`;
}

/** The position that an id stands for, `undefined` if it is none of ours. */
export function parseId(id: string): Position | undefined {
  const match = /^([0-9a-z]{1,32})-(\d{1,15})$/.exec(id);
  const [, epoch, sequence] = match ?? [];
  return epoch === undefined
    ? undefined
    : { epoch, sequence: Number(sequence) };
}

/** A text that nobody else makes. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}
