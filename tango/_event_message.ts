// Copyright 2026 the Longrun authors. MIT license.

import { CdrReader, MarshalError } from "./_cdr_reader.ts";
import {
  ATTRIBUTE_INFO_SIZE,
  COMMAND_INFO_SIZE,
  readAttributeInfo,
  readCommandInfo,
} from "./_idl.ts";
import { decodeText } from "./_text.ts";
import type { EventType, InterfaceChange } from "./device_event.ts";

/** The kinds of events, with the names that Tango has for them. */
export const EVENT_NAMES: Readonly<Record<EventType, string>> = {
  "change": "change",
  "periodic": "periodic",
  "archive": "archive",
  "user": "user_event",
  "data-ready": "data_ready",
  "interface-change": "intr_change",
};

/** How many frames a message of an event has. */
const FRAMES = 4;

/** Comes before the data of most servers. */
const PAD = [0xc0, 0xde, 0xc0, 0xde];

/** What a message says before its data. */
export interface EventHeader {
  readonly topic: string;
  /** Counts the events of the topic; 0 where the server does not count. */
  readonly counter: number;
  /** Whether the data are errors. */
  readonly isFailure: boolean;
  readonly data: CdrReader;
}

function hasPad(data: Uint8Array): boolean {
  return PAD.every((byte, index) => data[index] === byte) ||
    PAD.every((byte, index) => data[PAD.length - 1 - index] === byte);
}

/** The topic of a message. */
export function topicOf(frames: readonly Uint8Array[]): string {
  const [topic] = frames;
  if (topic === undefined) throw new MarshalError("An event has no topic");
  return decodeText(topic);
}

/**
 * Reads a message up to its data.
 *
 * @throws {MarshalError} If it is no event.
 */
export function readEvent(frames: readonly Uint8Array[]): EventHeader {
  const [topic, endian, call, data] = frames;
  if (
    frames.length !== FRAMES || topic === undefined || endian?.length !== 1 ||
    call === undefined || data === undefined
  ) {
    throw new MarshalError(`An event has ${frames.length} frames`);
  }
  const littleEndian = endian[0] === 1;
  const header = new CdrReader(call, littleEndian);
  header.long();
  const counter = header.unsignedLong();
  header.string();
  header.octets();
  return {
    topic: decodeText(topic),
    counter,
    isFailure: header.boolean(),
    // What comes before the data does not count for their alignment.
    data: new CdrReader(
      hasPad(data) ? data.subarray(PAD.length) : data,
      littleEndian,
    ),
  };
}

/** Reads the number of the data that are ready. */
export function readDataReady(data: CdrReader): number {
  data.string();
  data.long();
  return data.long();
}

/** Reads another set of commands and attributes. */
export function readInterfaceChange(data: CdrReader): InterfaceChange {
  return {
    isRestart: data.boolean(),
    commands: data.sequence(() => readCommandInfo(data), COMMAND_INFO_SIZE),
    attributes: data.sequence(
      () => readAttributeInfo(data),
      ATTRIBUTE_INFO_SIZE,
    ),
  };
}
