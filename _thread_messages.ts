// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { Packed } from "./_packed.ts";
import type { LoopFigures } from "./task.ts";

/**
 * A message of ours. A task may use the port of its thread for messages of its
 * own, which are not.
 */
export interface Envelope<M> {
  readonly longrun: M;
}

/** The message in an envelope, `undefined` if it is not one of ours. */
export function openEnvelope<M>(envelope: unknown): M | undefined {
  return typeof envelope === "object" && envelope !== null
    ? (envelope as Partial<Envelope<M>>).longrun
    : undefined;
}

/** What a runner says to the thread of its task. */
export type ToThread =
  | {
    readonly type: "make";
    readonly name: string;
    /** The module of the task. */
    readonly url: string;
    readonly exportName: string | undefined;
    readonly args: readonly unknown[];
    readonly board: ArrayBufferLike;
  }
  | { readonly type: "run" }
  | {
    readonly type: "settings";
    readonly settings: unknown;
    /** Counts the settings that were sent. */
    readonly turn: number;
  }
  | { readonly type: "stop"; readonly reason: Packed }
  /** The status sent last has come; there is a newer one. */
  | { readonly type: "seen" };

/** A topic of a task, as it is when the task has been made. */
export interface TopicMessage {
  readonly name: string;
  /** What was published last, if anything was. */
  readonly last: readonly unknown[];
}

/** What the thread of a task says to its runner. */
export type FromThread =
  | {
    readonly type: "made";
    /** The name of its class, and those of the classes that it extends. */
    readonly classNames: readonly string[];
    readonly topics: readonly TopicMessage[];
    readonly settings: unknown;
    readonly status: unknown;
  }
  | { readonly type: "notMade"; readonly error: Packed }
  /** The settings in effect. */
  | { readonly type: "settings"; readonly settings: unknown }
  /** Settings have come, and wait for the task. */
  | { readonly type: "received" }
  | { readonly type: "status"; readonly status: unknown }
  /** The settings of this turn were taken over. */
  | { readonly type: "taken"; readonly turn: number }
  | { readonly type: "topic"; readonly name: string; readonly value: unknown }
  | {
    readonly type: "log";
    readonly level: "debug" | "info" | "warn" | "error";
    readonly message: string;
    readonly details: readonly (readonly [string, Packed])[] | undefined;
  }
  | { readonly type: "stopRequest"; readonly reason: Packed }
  | {
    readonly type: "ended";
    readonly failure: Packed | undefined;
    readonly terminated: boolean;
    /** The board once more, for where it is not shared. */
    readonly board: ArrayBufferLike;
  }
  /** An error that nobody has caught: the task cannot be trusted any more. */
  | { readonly type: "crashed"; readonly error: Packed }
  /** The thread is about to end although the task has not. */
  | { readonly type: "exit"; readonly code: number };

/** Rounds, overruns, misses and the worst lateness. */
const FIGURES = 4;

/** The flags of a {@linkcode Board}. */
const STOP = 0;
const UNSEEN = 1;
const STALE = 2;
const FLAGS = 4;

/**
 * A piece of memory that both threads see, without a turn of the event loop:
 * whether the task is to stop, how its rounds have gone, and whether the status
 * sent last has been seen.
 *
 * Where memory cannot be shared it is a piece for each.
 */
export class Board implements LoopFigures {
  readonly buffer: ArrayBufferLike;
  readonly #flags: Int32Array;
  readonly #figures: Float64Array;

  constructor(buffer?: ArrayBufferLike) {
    this.buffer = buffer ?? Board.#allocate();
    this.#flags = new Int32Array(this.buffer, 0, FLAGS);
    this.#figures = new Float64Array(this.buffer, 4 * FLAGS, FIGURES);
  }

  static #allocate(): ArrayBufferLike {
    const size = 4 * FLAGS + 8 * FIGURES;
    // Browsers share memory only among pages that are isolated from others.
    return typeof SharedArrayBuffer === "function"
      ? new SharedArrayBuffer(size)
      : new ArrayBuffer(size);
  }

  get #isShared(): boolean {
    return typeof SharedArrayBuffer === "function" &&
      this.buffer instanceof SharedArrayBuffer;
  }

  /** Whether the task is to stop. */
  get stopRequested(): boolean {
    return Atomics.load(this.#flags, STOP) === 1;
  }

  requestStop(): void {
    Atomics.store(this.#flags, STOP, 1);
  }

  /**
   * Whether a status may be sent: not as long as the one before is on its way.
   * When it may not, the other side says later that it may.
   */
  admitStatus(): boolean {
    if (!this.#isShared) return true;
    // Marked first, so that the other side cannot miss it.
    Atomics.store(this.#flags, STALE, 1);
    if (Atomics.exchange(this.#flags, UNSEEN, 1) === 1) return false;
    Atomics.store(this.#flags, STALE, 0);
    return true;
  }

  /** The status has come. Returns whether a newer one waits. */
  seeStatus(): boolean {
    Atomics.store(this.#flags, UNSEEN, 0);
    return Atomics.exchange(this.#flags, STALE, 0) === 1;
  }

  get rounds(): number {
    return this.#read(0);
  }

  set rounds(value: number) {
    this.#figures[0] = value;
  }

  get overruns(): number {
    return this.#read(1);
  }

  set overruns(value: number) {
    this.#figures[1] = value;
  }

  get missed(): number {
    return this.#read(2);
  }

  set missed(value: number) {
    this.#figures[2] = value;
  }

  get worstLateness(): number {
    return this.#read(3);
  }

  set worstLateness(value: number) {
    this.#figures[3] = value;
  }

  #read(index: number): number {
    return this.#figures[index] ?? 0;
  }
}
