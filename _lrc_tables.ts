// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { DeviceAttributes } from "./_lrc_device_attributes.ts";
import type { Clock } from "./clock.ts";
import { TaskStatus } from "./device_proxy.ts";

/** What a device knows of a command. */
export interface LrcRecord {
  readonly id: string;
  readonly name: string;
  readonly submittedTime: string;
  status: TaskStatus;
  startedTime: string | undefined;
  finishedTime: string | undefined;
  progress: number | string | undefined;
  /** As JSON can carry it, `undefined` for none. */
  result: unknown;
}

/** What changes about a command at one moment. */
export interface LrcUpdate {
  status?: TaskStatus;
  progress?: number | string;
  /** As JSON can carry it, `undefined` for none. */
  result?: unknown;
}

/** Settings of {@linkcode LrcTables}. */
export interface LrcTablesOptions {
  protocolVersions: readonly [least: number, most: number];
  clock: Clock;
  /** What the clock's zero is, in milliseconds since 1970. */
  timeOrigin: number;
  /** How many commands the lists of the first protocol hold. */
  capacity: number;
  /** How many finished commands are kept. */
  retention: number;
  /** How long the first protocol shows what has finished. */
  removalTime: number;
}

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(TaskStatus).map(([name, status]) => [status, name]),
);

/** The name of a status. */
export function statusName(status: TaskStatus): string {
  return NAMES.get(status) ?? String(status);
}

function isTerminal(status: TaskStatus): boolean {
  return status === TaskStatus.ABORTED || status === TaskStatus.COMPLETED ||
    status === TaskStatus.REJECTED || status === TaskStatus.FAILED;
}

/** A random number of 48 bits. */
function randomNumber(): number {
  const [high = 0, middle = 0, low = 0] = crypto.getRandomValues(
    new Uint16Array(3),
  );
  return (high * 0x10000 + middle) * 0x10000 + low;
}

function firstOf<T>(values: Iterable<T>): T | undefined {
  for (const value of values) return value;
  return undefined;
}

function queueRow({ id, name, submittedTime }: LrcRecord): string {
  return JSON.stringify({ uid: id, name, submitted_time: submittedTime });
}

function executingRow(record: LrcRecord): string {
  return JSON.stringify({
    uid: record.id,
    name: record.name,
    submitted_time: record.submittedTime,
    started_time: record.startedTime,
    progress: record.progress,
  });
}

function finishedRow(record: LrcRecord): string {
  return JSON.stringify({
    uid: record.id,
    name: record.name,
    submitted_time: record.submittedTime,
    started_time: record.startedTime,
    finished_time: record.finishedTime,
    status: statusName(record.status),
    result: record.result,
  });
}

/**
 * The commands of a device, from the first moment until they are forgotten,
 * and the attributes that tell of them in both protocols.
 */
export class LrcTables {
  readonly #attributes: DeviceAttributes;
  readonly #clock: Clock;
  readonly #timeOrigin: number;
  readonly #capacity: number;
  readonly #retention: number;
  readonly #removalTime: number;
  readonly #queued: Map<string, LrcRecord> = new Map();
  readonly #executing: Map<string, LrcRecord> = new Map();
  readonly #finished: Map<string, LrcRecord> = new Map();
  /** Those among the finished that never got into the queue. */
  readonly #refused: Set<string> = new Set();
  /** What has finished lately, and when the first protocol stops showing it. */
  readonly #recent: Map<LrcRecord, number> = new Map();
  #lastResult: readonly [id: string, json: string] = ["", ""];
  #cancelRemoval: (() => void) | undefined = undefined;

  constructor(attributes: DeviceAttributes, options: LrcTablesOptions) {
    this.#attributes = attributes;
    this.#clock = options.clock;
    this.#timeOrigin = options.timeOrigin;
    this.#capacity = options.capacity;
    this.#retention = options.retention;
    this.#removalTime = options.removalTime;
    this.#define(options.protocolVersions);
  }

  /** Begins a command: it is in the state of staging. */
  create(name: string): LrcRecord {
    const seconds = (this.#timeOrigin + this.#clock.now()) / 1000;
    const record: LrcRecord = {
      id: `${seconds}_${randomNumber()}_${name}`,
      name,
      submittedTime: this.#time(),
      status: TaskStatus.STAGING,
      startedTime: undefined,
      finishedTime: undefined,
      progress: undefined,
      result: undefined,
    };
    this.#queued.set(record.id, record);
    this.#pruneRecent();
    this.#publishQueue();
    this.#attributes.publish("longRunningCommandStatus");
    this.#publishEvent(record, { status: record.status });
    return record;
  }

  /** Takes note of a change and tells of it, as the protocols prescribe. */
  update(record: LrcRecord, update: LrcUpdate): void {
    const { status, progress, result } = update;
    const before = record.status;
    if (progress !== undefined) record.progress = progress;
    if (result !== undefined) record.result = result;
    if (status !== undefined) this.#move(record, status);
    if (result !== undefined) {
      this.#lastResult = [record.id, JSON.stringify(result)];
      this.#attributes.publish("longRunningCommandResult");
    }
    if (progress !== undefined) {
      this.#attributes.publish("longRunningCommandProgress");
    }
    if (status !== undefined) {
      this.#attributes.publish("longRunningCommandStatus");
    }
    const wasExecuting = before === TaskStatus.IN_PROGRESS;
    const isExecuting = record.status === TaskStatus.IN_PROGRESS;
    if (wasExecuting !== isExecuting) {
      this.#attributes.publish("longRunningCommandInProgress");
    }
    this.#publishEvent(record, update);
    const wasQueued = before === TaskStatus.QUEUED;
    if (wasQueued !== (record.status === TaskStatus.QUEUED)) {
      this.#attributes.publish("lrcQueue");
    }
    if (wasExecuting || isExecuting) this.#attributes.publish("lrcExecuting");
    if (status !== undefined && isTerminal(status)) {
      this.#attributes.publish("lrcFinished");
    }
  }

  /** The name of the status of a command, or that it is not known. */
  statusOf(id: string): string {
    const record = this.#queued.get(id) ?? this.#executing.get(id) ??
      this.#finished.get(id);
    return statusName(record?.status ?? TaskStatus.NOT_FOUND);
  }

  /** Nobody looks any more. */
  close(): void {
    this.#cancelRemoval?.();
    this.#cancelRemoval = undefined;
  }

  #time(): string {
    return new Date(this.#timeOrigin + this.#clock.now()).toISOString();
  }

  #define([least, most]: readonly [number, number]): void {
    const attributes = this.#attributes;
    attributes.define("lrcProtocolVersions", () => [least, most], false);
    if (least <= 2 && most >= 2) attributes.define("_lrcEvent", () => []);
    if (least === 1) this.#defineFirst();
    attributes.define(
      "lrcQueue",
      () => [...this.#queued.values()].map(queueRow),
    );
    attributes.define(
      "lrcExecuting",
      () => [...this.#executing.values()].map(executingRow),
    );
    attributes.define(
      "lrcFinished",
      () => [...this.#finished.values()].map(finishedRow),
    );
  }

  #defineFirst(): void {
    const attributes = this.#attributes;
    attributes.define(
      "longRunningCommandStatus",
      () => this.#all().flatMap(({ id, status }) => [id, statusName(status)]),
    );
    attributes.define(
      "longRunningCommandProgress",
      () =>
        [...this.#executing.values()].flatMap(({ id, progress }) =>
          progress === undefined ? [] : [id, String(progress)]
        ),
    );
    attributes.define("longRunningCommandResult", () => [...this.#lastResult]);
    attributes.define(
      "longRunningCommandsInQueue",
      () => this.#all().map(({ name }) => name),
    );
    attributes.define(
      "longRunningCommandIDsInQueue",
      () => this.#all().map(({ id }) => id),
    );
    attributes.define(
      "longRunningCommandInProgress",
      () => [...this.#executing.values()].map(({ name }) => name),
    );
  }

  /** What the lists of the first protocol hold. */
  #all(): LrcRecord[] {
    return [
      ...this.#recent.keys(),
      ...this.#executing.values(),
      ...this.#queued.values(),
    ];
  }

  #move(record: LrcRecord, status: TaskStatus): void {
    const wasRefused = record.status === TaskStatus.STAGING &&
      status === TaskStatus.REJECTED;
    record.status = status;
    if (status === TaskStatus.IN_PROGRESS) {
      record.startedTime = this.#time();
      this.#queued.delete(record.id);
      this.#executing.set(record.id, record);
    } else if (isTerminal(status)) {
      record.finishedTime = this.#time();
      this.#queued.delete(record.id);
      this.#executing.delete(record.id);
      this.#finish(record, wasRefused);
    }
  }

  #finish(record: LrcRecord, wasRefused: boolean): void {
    this.#finished.set(record.id, record);
    if (wasRefused) this.#refused.add(record.id);
    if (this.#finished.size > this.#retention) {
      // A flood of requests to a full queue does not push out the results.
      const id = firstOf(this.#refused) ?? firstOf(this.#finished.keys());
      if (id !== undefined) {
        this.#finished.delete(id);
        this.#refused.delete(id);
      }
    }
    this.#recent.set(record, this.#clock.now() + this.#removalTime);
    this.#scheduleRemoval();
  }

  #pruneRecent(): void {
    const active = this.#queued.size + this.#executing.size;
    for (const record of this.#recent.keys()) {
      if (this.#recent.size + active <= this.#capacity) return;
      this.#recent.delete(record);
    }
  }

  #scheduleRemoval(): void {
    if (this.#cancelRemoval !== undefined) return;
    const deadline = firstOf(this.#recent.values());
    if (deadline === undefined || deadline === Infinity) return;
    this.#cancelRemoval = this.#clock.setTimer(
      () => this.#remove(),
      Math.max(0, deadline - this.#clock.now()),
      { ref: false },
    );
  }

  #remove(): void {
    this.#cancelRemoval = undefined;
    const now = this.#clock.now();
    const before = this.#recent.size;
    for (const [record, deadline] of this.#recent) {
      if (deadline > now) break;
      this.#recent.delete(record);
    }
    this.#scheduleRemoval();
    if (this.#recent.size === before) return;
    this.#publishQueue();
    this.#attributes.publish("longRunningCommandStatus");
  }

  #publishQueue(): void {
    this.#attributes.publish("longRunningCommandsInQueue");
    this.#attributes.publish("longRunningCommandIDsInQueue");
  }

  #publishEvent({ id }: LrcRecord, update: LrcUpdate): void {
    this.#attributes.publish("_lrcEvent", () => [id, JSON.stringify(update)]);
  }
}
