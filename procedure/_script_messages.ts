// Copyright 2026 the Longrun authors. MIT license.

import type { ErrorValue } from "./_script_error_value.ts";

/** What the main thread of the child is told on its standard input. */
export interface ChildSetup {
  /** Where the parent listens, on the loopback. */
  readonly port: number;
  /** Proves to the parent who connects. */
  readonly token: string;
  /** Ends the output of a call. The Worker must not know it. */
  readonly marker: string;
  /** The number of the procedure. */
  readonly pid: number;
  /** The permissions of the Worker. */
  readonly permissions: Readonly<Record<string, boolean | readonly string[]>>;
  /** The kinds of permissions that may be granted without a limit. */
  readonly unlimited: readonly string[];
  /** Megabytes of memory of the whole process. */
  readonly residentLimit: number;
}

/** A call of a function. */
export interface CallMessage {
  readonly type: "run";
  readonly id: number;
  readonly fn: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly context: Readonly<Record<string, unknown>>;
}

/** An event of the bus. */
export interface EventMessage {
  readonly type: "event";
  readonly topic: string;
  readonly data: unknown;
  readonly source: string;
  readonly time: number;
  /** How many were lost before it. */
  readonly dropped: number;
}

/** What the parent says to the child. */
export type ToChild =
  | { readonly type: "load"; readonly url: string }
  | CallMessage
  | EventMessage
  /** So many events of the script have been taken. */
  | { readonly type: "taken"; readonly count: number }
  | { readonly type: "abort" };

/** What the Worker says to the main thread, which hands most of it on. */
export type FromRunner =
  | { readonly type: "loaded"; readonly names: readonly string[] }
  | { readonly type: "notLoaded"; readonly error: ErrorValue }
  | { readonly type: "returned"; readonly id: number }
  | { readonly type: "threw"; readonly id: number; readonly error: ErrorValue }
  | { readonly type: "log"; readonly text: string }
  | { readonly type: "publish"; readonly topic: string; readonly data: unknown }
  | { readonly type: "subscribe"; readonly patterns: readonly string[] }
  /** The script has seen that it is to end. */
  | { readonly type: "noticed" }
  /** The Worker ends, and with it the process. */
  | {
    readonly type: "gone";
    readonly reason: string;
    readonly error?: ErrorValue;
  };

/** What the child says to the parent. */
export type FromChild =
  | { readonly type: "up"; readonly token: string }
  | FromRunner;

/** What the main thread says to the Worker. */
export type ToRunner = CallMessage | EventMessage | { readonly type: "abort" };

/** What the Worker is told first. */
export interface RunnerSetup {
  readonly pid: number;
  readonly port: MessagePort;
  readonly board: SharedArrayBuffer;
  readonly unlimited: readonly string[];
}

/** The places of the memory that main thread and Worker share. */
export const BOARD = {
  /** Whether the script is to end. */
  ABORTED: 0,
  /** Messages of the Worker that the parent has not got yet. */
  OUTGOING: 1,
  /** Events that the Worker has not got yet. */
  INCOMING: 2,
  LENGTH: 3,
} as const;

/** So many events and log lines may be on their way to the parent. */
export const OUTGOING_LIMIT = 64;
/** So many events may wait for the Worker. */
export const INCOMING_LIMIT = 1_000;
/** A frame, and so a message, has at most so many bytes. */
export const FRAME_LIMIT = 4 * 1_024 * 1_024;
/** An event of a script, and a log line, has at most so many bytes. */
export const EVENT_LIMIT = 1_024 * 1_024;
/** So many patterns a script may have subscribed to. */
export const PATTERNS_LIMIT = 1_000;
/** Topics that belong to the service. */
const RESERVED =
  /^(procedure|activity|request|operator|script|sb|stream)(\.|$)/;
const TOPIC = /^[^\s.*]+(\.[^\s.*]+)*$/;
const PATTERN = /^(\*|[^\s.*]+(\.[^\s.*]+)*(\.\*)?)$/;

/** Whether a script may publish on a topic. */
export function isScriptTopic(topic: unknown): topic is string {
  return typeof topic === "string" && topic.length <= 1_000 &&
    TOPIC.test(topic) && !RESERVED.test(topic);
}

/** Whether a pattern can be subscribed to. */
export function isPattern(pattern: unknown): pattern is string {
  return typeof pattern === "string" && pattern.length <= 1_000 &&
    PATTERN.test(pattern);
}

/** Whether a script may subscribe to all of these. */
export function arePatterns(patterns: unknown): patterns is string[] {
  return Array.isArray(patterns) && patterns.length <= PATTERNS_LIMIT &&
    patterns.every(isPattern);
}

const JSON_FRAME = 0;
const CLONE_FRAME = 1;
const HEADER = 5;

/** Copies values as `structuredClone` does, into bytes. */
export interface Cloner {
  serialize(value: unknown): Uint8Array;
  deserialize(bytes: Uint8Array): unknown;
}

/**
 * Turns a message into a frame. Those that hold values of the script need a
 * cloner, whose module takes the child longer to load than all the rest.
 */
export function encodeFrame(message: unknown, cloner?: Cloner): Uint8Array {
  const body = cloner === undefined
    ? new TextEncoder().encode(JSON.stringify(message))
    : cloner.serialize(message);
  const frame = new Uint8Array(HEADER + body.length);
  new DataView(frame.buffer).setUint32(0, body.length);
  frame[4] = cloner === undefined ? JSON_FRAME : CLONE_FRAME;
  frame.set(body, HEADER);
  return frame;
}

/** A frame that has come. */
export interface Frame {
  readonly cloned: boolean;
  readonly body: Uint8Array;
}

/** The message in a frame. */
export function decodeFrame(frame: Frame, cloner: Cloner | undefined): unknown {
  if (!frame.cloned) return JSON.parse(new TextDecoder().decode(frame.body));
  return cloner?.deserialize(frame.body);
}

/**
 * Reads frames, one after the other. It holds one frame, and what came with it.
 *
 * @throws {RangeError} If a frame is longer than allowed.
 */
export async function* readFrames(
  connection: { read(bytes: Uint8Array): Promise<number | null> },
  limit: number = FRAME_LIMIT,
): AsyncGenerator<Frame, void> {
  let held = new Uint8Array(65_536);
  let start = 0;
  let end = 0;
  for (;;) {
    while (end - start >= HEADER) {
      const view = new DataView(held.buffer, start, HEADER);
      const size = view.getUint32(0);
      if (size > limit) throw new RangeError(`A frame has ${size} bytes`);
      if (end - start < HEADER + size) break;
      const cloned = view.getUint8(4) === CLONE_FRAME;
      // A copy, as nobody knows how long the reader holds it.
      const body = held.slice(start + HEADER, start + HEADER + size);
      start += HEADER + size;
      yield { cloned, body };
    }
    const wanted = end - start >= HEADER
      ? HEADER + new DataView(held.buffer, start, HEADER).getUint32(0)
      : HEADER;
    const size = Math.max(65_536, wanted);
    if (start > 0 || held.length < size) {
      const next = held.length >= size && held.length <= 2 * size
        ? held
        : new Uint8Array(size);
      next.set(held.subarray(start, end));
      held = next;
      end -= start;
      start = 0;
    }
    const count = await connection.read(held.subarray(end));
    if (count === null) return;
    end += count;
  }
}

/** Writes all of some bytes. */
export async function writeAll(
  connection: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += await connection.write(bytes.subarray(done));
  }
}
