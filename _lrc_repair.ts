// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  EVENT_ATTRIBUTES,
  isFinalStatus,
  type LrcChange,
  parseMessages,
  parseProgress,
  parseTaskStatus,
} from "./_lrc_messages.ts";
import { isUnknownCommand } from "./_lrc_errors.ts";
import type { LrcInput, LrcSource } from "./_lrc_state.ts";
import { abortable, timeout } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import { type DeviceProxy, TaskStatus } from "./device_proxy.ts";

/** A command in one of the tables `lrcQueue`, `lrcExecuting`, `lrcFinished`. */
export interface LrcTableEntry {
  /** The id of the command. */
  readonly commandId: string;
  /** Its name. */
  readonly command: string | undefined;
  /** Its status: that of the table, if it has none of its own. */
  readonly status: TaskStatus;
  /** What it is at. */
  readonly progress: number | string | undefined;
  /** Its result. */
  readonly result: unknown;
  /** When it came, was begun and has ended, in the words of the device. */
  readonly times: {
    readonly submitted: string | undefined;
    readonly started: string | undefined;
    readonly finished: string | undefined;
  };
}

// A command only ever moves forward: read in this order it is always in one.
const TABLES: readonly (readonly [string, TaskStatus])[] = [
  ["lrcQueue", TaskStatus.QUEUED],
  ["lrcExecuting", TaskStatus.IN_PROGRESS],
  ["lrcFinished", TaskStatus.COMPLETED],
];

const CHECK = "CheckLongRunningCommandStatus";

/**
 * How long a device may take to answer what nobody but this client has asked,
 * in milliseconds: an answer that got lost must not be waited for.
 */
export const PATIENCE = 30_000;

/** The entries of a table. What cannot be understood is left out. */
export function parseTable(
  value: unknown,
  statusOfTable: TaskStatus,
): LrcTableEntry[] {
  const entries: LrcTableEntry[] = [];
  for (const text of Array.isArray(value) ? value : []) {
    const entry = parseEntry(text, statusOfTable);
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

function parseEntry(
  text: unknown,
  statusOfTable: TaskStatus,
): LrcTableEntry | undefined {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(String(text));
  } catch {
    return undefined;
  }
  if (typeof fields?.uid !== "string") return undefined;
  const status = parseTaskStatus(fields.status);
  const isFinished = isFinalStatus(statusOfTable);
  // A finished one without a status may have ended in any way.
  if (isFinished && (status === undefined || !isFinalStatus(status))) {
    return undefined;
  }
  return {
    commandId: fields.uid,
    command: textOf(fields.name),
    status: isFinished ? status ?? statusOfTable : statusOfTable,
    progress: parseProgress(fields.progress),
    result: fields.result,
    times: {
      submitted: textOf(fields.submitted_time),
      started: textOf(fields.started_time),
      finished: textOf(fields.finished_time),
    },
  };
}

const textOf = (value: unknown): string | undefined =>
  typeof value === "string" ? value : undefined;

/** The tables that a device has. */
export function tablesOf(
  attributes: ReadonlySet<string>,
): (readonly [string, TaskStatus])[] {
  return TABLES.filter(([name]) => attributes.has(name.toLowerCase()));
}

/** What all commands of a device are at, as far as its attributes tell. */
type Picture = ReadonlyMap<string, LrcChange>;

/** Asks a device what commands are at. */
export class Repair {
  readonly #proxy: DeviceProxy;
  readonly #names: readonly string[];
  readonly #signal: AbortSignal;
  readonly #clock: Clock;
  #canCheck = true;
  #reading: Promise<Picture> | undefined = undefined;
  #next: Promise<Picture> | undefined = undefined;

  /**
   * @param attributes The names of the attributes of the device, in lower case.
   * @param signal Ends all that is asked.
   */
  constructor(
    proxy: DeviceProxy,
    attributes: ReadonlySet<string>,
    version: 1 | 2,
    signal: AbortSignal,
    clock: Clock,
  ) {
    this.#proxy = proxy;
    this.#signal = signal;
    this.#clock = clock;
    const tables = tablesOf(attributes).map(([name]) => name);
    const isOld = version === 1 || !attributes.has("lrcfinished");
    const old = isOld ? EVENT_ATTRIBUTES[1] : [];
    this.#names = [
      ...tables,
      ...old.filter((name) => attributes.has(name.toLowerCase())),
    ];
  }

  /**
   * Asks for a command.
   *
   * @throws {DeviceError} If the device cannot be asked.
   */
  async ask(
    id: string,
    source: LrcSource,
    signal: AbortSignal,
  ): Promise<LrcInput> {
    const seen = (await this.#read(signal)).get(id);
    if (seen?.status !== undefined) {
      return { kind: "found", change: seen, source };
    }
    const status = await this.#check(id, signal);
    if (status === TaskStatus.NOT_FOUND) return { kind: "unknown", source };
    if (status === undefined) {
      if (this.#names.length === 0) return { kind: "unable", source };
      return { kind: "missing", change: seen ?? {}, source };
    }
    if (!isFinalStatus(status)) {
      return { kind: "found", change: { ...seen, status }, source };
    }
    // It has ended since the tables were read.
    const ended = (await this.#read(signal)).get(id);
    return { kind: "found", change: { ...seen, ...ended, status }, source };
  }

  async #check(
    id: string,
    signal: AbortSignal,
  ): Promise<TaskStatus | undefined> {
    if (!this.#canCheck) return undefined;
    try {
      const answer = await timeout(
        (signal) => this.#proxy.command(CHECK, id, { signal }),
        PATIENCE,
        { signal, clock: this.#clock },
      );
      return parseTaskStatus(answer);
    } catch (error) {
      if (!isUnknownCommand(error)) throw error;
      this.#canCheck = false;
      return undefined;
    }
  }

  /** Reads what all can share who wait for a reading that begins from now on. */
  #read(signal: AbortSignal): Promise<Picture> {
    const start = (): Promise<Picture> => this.#start();
    // In a turn of its own: those who come in this one share it.
    const before = this.#reading ?? Promise.resolve();
    this.#next ??= before.then(start, start);
    return abortable(this.#next, signal);
  }

  #start(): Promise<Picture> {
    this.#next = undefined;
    const reading = this.#readAll();
    this.#reading = reading;
    const end = (): void => {
      this.#reading = undefined;
    };
    reading.then(end, end);
    return reading;
  }

  async #readAll(): Promise<Picture> {
    const picture = new Map<string, LrcChange>();
    if (this.#names.length === 0) return picture;
    const values = await timeout(
      (signal) => this.#proxy.readAttributes(this.#names, { signal }),
      PATIENCE,
      { signal: this.#signal, clock: this.#clock },
    );
    for (const [index, name] of this.#names.entries()) {
      const table = TABLES.find(([each]) => each === name);
      const told = table === undefined
        ? changesOf(name, values[index])
        : parseTable(values[index], table[1]).map(entryChange);
      for (const [id, change] of told) {
        picture.set(id, merge(picture.get(id), change));
      }
    }
    return picture;
  }
}

function changesOf(name: string, value: unknown): [string, LrcChange][] {
  const changes: [string, LrcChange][] = [];
  for (const message of parseMessages(name, value)) {
    if (message.kind === "change") changes.push([message.id, message.change]);
  }
  return changes;
}

function entryChange(entry: LrcTableEntry): [string, LrcChange] {
  const { commandId, status, progress, result } = entry;
  return [commandId, {
    status,
    ...(progress === undefined ? {} : { progress }),
    ...(result === undefined ? {} : { result }),
  }];
}

/** What is told in several places: the later status is the true one. */
function merge(one: LrcChange | undefined, other: LrcChange): LrcChange {
  if (one?.status === undefined || other.status === undefined) {
    return { ...one, ...other };
  }
  const status = one.status > other.status ? one.status : other.status;
  return { ...one, ...other, status };
}
