// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { show } from "./_lrc_errors.ts";
import { type DevError, ResultCode, TaskStatus } from "./device_proxy.ts";

/** What is told of a command at once; a key that is missing was not told. */
export interface LrcChange {
  readonly status?: TaskStatus;
  readonly progress?: number | string;
  readonly result?: unknown;
  /** The keys that this version does not know. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** A part of an event. */
export type LrcMessage =
  | { readonly kind: "change"; readonly id: string; readonly change: LrcChange }
  | {
    readonly kind: "malformed";
    /** Whose it is, `undefined` if nobody can tell. */
    readonly id: string | undefined;
    readonly errors: readonly DevError[];
  }
  /** All commands that the device lists. */
  | { readonly kind: "list"; readonly ids: ReadonlySet<string> };

/** The attributes whose events tell of commands, by version of the protocol. */
export const EVENT_ATTRIBUTES: Readonly<Record<1 | 2, readonly string[]>> = {
  1: [
    "longRunningCommandStatus",
    "longRunningCommandProgress",
    "longRunningCommandResult",
  ],
  2: ["_lrcEvent"],
};

/** Reads the values of an enumeration, by number or by name. */
function enumParser<T extends number>(
  values: Readonly<Record<string, T>>,
): (value: unknown) => T | undefined {
  const byName = new Map(Object.entries(values));
  const byNumber = new Map<number, T>(
    Object.values(values).map((known) => [known, known]),
  );
  return (value) => {
    if (typeof value === "string") {
      const exact = byName.get(value);
      if (exact !== undefined) return exact;
      const text = value.trim();
      if (!/^\d+$/.test(text)) return byName.get(text.toUpperCase());
      value = Number(text);
    } else if (typeof value === "bigint") {
      value = Number(value);
    }
    return typeof value === "number" ? byNumber.get(value) : undefined;
  };
}

const statusOf = enumParser<TaskStatus>(TaskStatus);
const resultCodeOf = enumParser<ResultCode>(ResultCode);

/**
 * Reads the status of a command, which devices give by number in one place and
 * by name in another.
 *
 * @param value The number, or the name in any case.
 * @returns The status, `undefined` if it is none.
 *
 * @example Usage
 * ```ts
 * import { TaskStatus } from "@longrun/tasks/device-proxy";
 * import { parseTaskStatus } from "@longrun/tasks/lrc";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseTaskStatus(5), TaskStatus.COMPLETED);
 * assertEquals(parseTaskStatus("IN_PROGRESS"), TaskStatus.IN_PROGRESS);
 * assertEquals(parseTaskStatus("DONE"), undefined);
 * ```
 */
export function parseTaskStatus(value: unknown): TaskStatus | undefined {
  return statusOf(value);
}

/**
 * Reads a result code.
 *
 * @param value The number, or the name in any case.
 * @returns The code, `undefined` if it is none.
 *
 * @example Usage
 * ```ts
 * import { ResultCode } from "@longrun/tasks/device-proxy";
 * import { parseResultCode } from "@longrun/tasks/lrc";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseResultCode(0), ResultCode.OK);
 * assertEquals(parseResultCode("NOT_ALLOWED"), ResultCode.NOT_ALLOWED);
 * assertEquals(parseResultCode(99), undefined);
 * ```
 */
export function parseResultCode(value: unknown): ResultCode | undefined {
  return resultCodeOf(value);
}

/**
 * Whether a command with this status has ended, or is unknown to the device:
 * nothing more is told of it.
 *
 * @param status The status.
 * @returns Whether it is the last.
 *
 * @example Usage
 * ```ts
 * import { TaskStatus } from "@longrun/tasks/device-proxy";
 * import { isFinalStatus } from "@longrun/tasks/lrc";
 * import { assert, assertFalse } from "@std/assert";
 *
 * assert(isFinalStatus(TaskStatus.ABORTED));
 * assertFalse(isFinalStatus(TaskStatus.QUEUED));
 * ```
 */
export function isFinalStatus(status: TaskStatus): boolean {
  return status > TaskStatus.IN_PROGRESS;
}

/** The progress as it came, as a number if it is the text of one. */
export function parseProgress(value: unknown): number | string | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  if (typeof value !== "string" || value === "") return undefined;
  return /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}

/** The elements of an array, or of a typed one: what devices give differs. */
export function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return ArrayBuffer.isView(value)
    ? Array.from(value as unknown as ArrayLike<unknown>)
    : [];
}

/** The parts of the value of one of the {@linkcode EVENT_ATTRIBUTES}. */
export function parseMessages(attribute: string, value: unknown): LrcMessage[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) {
    return [malformed(undefined, `${attribute} is not a list: ${show(value)}`)];
  }
  switch (attribute.toLowerCase()) {
    case "_lrcevent":
      return parseEvent(value);
    case "longrunningcommandstatus":
      return [...parsePairs(value, statusChange), {
        kind: "list",
        ids: new Set(value.filter((_, index) => index % 2 === 0)),
      }];
    case "longrunningcommandprogress":
      return parsePairs(value, progressChange);
    case "longrunningcommandresult":
      return parsePairs(value.slice(0, 2), resultChange);
    default:
      return [];
  }
}

type ParseChange = (value: unknown) => LrcChange | string;

/** A list of ids, each with a value after it. */
function parsePairs(
  list: readonly unknown[],
  parse: ParseChange,
): LrcMessage[] {
  const messages: LrcMessage[] = [];
  for (let index = 0; index < list.length; index += 2) {
    const id = list[index];
    if (id === "") continue;
    if (typeof id !== "string") {
      messages.push(malformed(undefined, `Not an id: ${show(id)}`));
      continue;
    }
    const change = index + 1 < list.length
      ? parse(list[index + 1])
      : "Nothing after the id";
    messages.push(
      typeof change === "string"
        ? malformed(id, change)
        : { kind: "change", id, change },
    );
  }
  return messages;
}

const statusChange: ParseChange = (value) => {
  const status = parseTaskStatus(value);
  return status === undefined ? `Not a status: ${show(value)}` : { status };
};

const progressChange: ParseChange = (value) => {
  const progress = parseProgress(value);
  return progress === undefined
    ? `Not a progress: ${show(value)}`
    : { progress };
};

const resultChange: ParseChange = (value) => {
  try {
    return { result: JSON.parse(String(value)) };
  } catch {
    return `Not JSON: ${show(value)}`;
  }
};

function parseEvent(value: readonly unknown[]): LrcMessage[] {
  const [id, json] = value;
  if (value.length === 0 || id === "") return [];
  if (typeof id !== "string") {
    return [malformed(undefined, `Not an id: ${show(id)}`)];
  }
  if (typeof json !== "string") return [malformed(id, "Nothing after the id")];
  try {
    return parseFields(id, JSON.parse(json));
  } catch {
    return [malformed(id, `Not JSON: ${show(json)}`)];
  }
}

function parseFields(id: string, fields: unknown): LrcMessage[] {
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) {
    return [malformed(id, `Not an event: ${show(fields)}`)];
  }
  const messages: LrcMessage[] = [];
  const { status, progress, ...others } = fields as Record<string, unknown>;
  const change: { -readonly [key in keyof LrcChange]: LrcChange[key] } = {};
  for (
    const [told, parse] of [
      [status, statusChange],
      [progress, progressChange],
    ] as const
  ) {
    if (told === undefined || told === null) continue;
    const parsed = parse(told);
    if (typeof parsed === "string") messages.push(malformed(id, parsed));
    else Object.assign(change, parsed);
  }
  const { result, ...extra } = others;
  if ("result" in others) change.result = result;
  if (Object.keys(extra).length > 0) change.extra = extra;
  messages.push({ kind: "change", id, change });
  return messages;
}

function malformed(id: string | undefined, desc: string): LrcMessage {
  const reason = "LRC_MalformedEvent";
  const origin = "lrc";
  return {
    kind: "malformed",
    id,
    errors: [{ reason, desc, severity: "ERR", origin }],
  };
}

/** The name of a command from its id, if that has the usual form. */
export function commandNameOf(id: string): string | undefined {
  return /^[^_]*_[^_]*_(.+)$/s.exec(id)?.[1];
}
