// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkCommon,
  checkFiniteCount,
  checkOptions,
  checkType,
} from "./_arguments.ts";
import type { LrcUpdate } from "./_lrc_client_options.ts";
import { LrcStream } from "./_lrc_stream.ts";
import { report } from "./_report.ts";
import { abortable } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type { DeviceProxy } from "./device_proxy.ts";
import { defaultLogger, type Logger } from "./logger.ts";

/** Options of {@linkcode CallbackScheduler}. */
export interface CallbackSchedulerOptions {
  /**
   * A name for messages.
   *
   * @default {"lrc"}
   */
  name?: string;
  /**
   * Told of callbacks that fail, if their command has no logger of its own.
   *
   * @default {a logger that is silent but for errors}
   */
  logger?: Logger;
  /**
   * How many updates of a command wait for a slow callback, before those that
   * come are merged with the newest that waits.
   *
   * @default {100}
   */
  capacity?: number;
}

/** Where the callbacks of a scheduler go through. */
export interface CallbackRules {
  readonly name: string;
  readonly logger: Logger;
  readonly capacity: number;
  pending: number;
  coalesced: number;
}

// What commands need of a scheduler is nobody else's business.
const insides = new WeakMap<CallbackScheduler, Inside>();

/**
 * Shares the events of devices among commands, and calls the callbacks back.
 *
 * A device is subscribed to once, however many commands of this scheduler wait
 * for it, and left with the last of them. The updates of a command come in
 * order, one after the other: a callback that returns a promise is waited for,
 * and holds up nothing but its own command. What waits for it is bounded:
 * progress and statuses that it cannot keep up with are merged into one update,
 * which has the newest of each; the last status and the result always come.
 *
 * **When to use.** There is one for all already. Make your own to keep parts of
 * a program apart, or in tests.
 *
 * **Gotchas.** A device is known by its proxy object: two proxies of one device
 * share nothing.
 *
 * @example Usage
 * ```ts
 * import { CallbackScheduler } from "@longrun/tasks/lrc";
 * import { assertEquals } from "@std/assert";
 *
 * const scheduler = new CallbackScheduler({ name: "dishes", capacity: 10 });
 * assertEquals(scheduler.pending, 0);
 * ```
 */
export class CallbackScheduler {
  /**
   * Creates a scheduler that is connected to nothing.
   *
   * @param options Its name and its limits.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `capacity` is not an integer of at least 1.
   */
  constructor(options: CallbackSchedulerOptions = {}) {
    const doing = "create CallbackScheduler";
    checkOptions(doing, options);
    checkCommon(doing, options);
    const { name = "lrc", logger = defaultLogger, capacity = 100 } = options;
    checkFiniteCount(doing, "capacity", capacity, 1);
    insides.set(this, {
      rules: { name, logger, capacity, pending: 0, coalesced: 0 },
      streams: [new Map(), new Map()],
      leases: new Map(),
    });
  }

  /** How many updates wait for callbacks. */
  get pending(): number {
    return insideOf(this).rules.pending;
  }

  /** How many updates were merged with others. */
  get coalesced(): number {
    return insideOf(this).rules.coalesced;
  }

  /** How many devices it is connected to. */
  get devices(): number {
    const [withEvents, without] = insideOf(this).streams;
    return withEvents.size + without.size;
  }
}

interface Inside {
  readonly rules: CallbackRules;
  /** With events, and without. */
  readonly streams: readonly [
    Map<DeviceProxy, Shared>,
    Map<DeviceProxy, Shared>,
  ];
  /** Of those who connected without a command. */
  readonly leases: Map<DeviceProxy, LrcLease[]>;
}

function insideOf(scheduler: CallbackScheduler): Inside {
  const inside = insides.get(scheduler);
  if (inside === undefined) throw new TypeError("Not a CallbackScheduler");
  return inside;
}

/** The logger of what has none of its own. */
export function loggerOf(scheduler: CallbackScheduler): Logger {
  return insideOf(scheduler).rules.logger;
}

/** Checks that a scheduler is one. */
export function checkScheduler(doing: string, scheduler: unknown): void {
  checkType(
    scheduler instanceof CallbackScheduler,
    doing,
    "scheduler",
    "a CallbackScheduler",
    scheduler,
  );
}

/** The scheduler of everything that is given none. */
export const globalScheduler: CallbackScheduler = new CallbackScheduler();

interface Shared {
  readonly stream: LrcStream;
  users: number;
  hasOpened: boolean;
}

/** A share in the stream of a device. */
export interface LrcLease {
  readonly stream: LrcStream;
  /** Gives it back. Resolves when the device was left, if it was the last. */
  release(): Promise<void>;
}

/** What a stream is made with by the first who wants it. */
export interface StreamSettings {
  readonly hasEvents: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal | undefined;
}

/**
 * Takes part in the stream of a device, which stands when this resolves.
 *
 * @throws {DeviceError} If the device cannot be subscribed to.
 */
export async function lease(
  scheduler: CallbackScheduler,
  proxy: DeviceProxy,
  settings: StreamSettings,
): Promise<LrcLease> {
  const { hasEvents, clock, logger, signal } = settings;
  const map = insideOf(scheduler).streams[hasEvents ? 0 : 1];
  let shared = map.get(proxy);
  if (shared === undefined) {
    const stream = new LrcStream(proxy, hasEvents, clock, logger);
    map.set(proxy, shared = { stream, users: 0, hasOpened: false });
  }
  const joined = shared;
  const { stream } = joined;
  joined.users++;
  let closing: Promise<void> | undefined;
  const release = (): Promise<void> => {
    if (closing !== undefined) return closing;
    closing = Promise.resolve();
    if (--joined.users > 0) return closing;
    if (map.get(proxy) === joined) map.delete(proxy);
    return closing = stream.close();
  };
  try {
    await abortable(stream.opened, signal);
  } catch (error) {
    // Nobody else must join what has failed, or may never stand.
    if (!joined.hasOpened && map.get(proxy) === joined) map.delete(proxy);
    const leaving = release();
    // Who does not wait any more does not wait for this, either.
    if (!signal?.aborted) await leaving;
    throw error;
  }
  joined.hasOpened = true;
  if (!map.has(proxy)) map.set(proxy, joined);
  return { stream, release };
}

/** Remembers a lease that belongs to no command; returns what takes it back. */
export function keepLease(
  scheduler: CallbackScheduler,
  proxy: DeviceProxy,
  kept: LrcLease,
): () => Promise<void> {
  const { leases } = insideOf(scheduler);
  leases.set(proxy, [...leases.get(proxy) ?? [], kept]);
  return () => {
    const left = leases.get(proxy)?.filter((each) => each !== kept) ?? [];
    if (left.length > 0) leases.set(proxy, left);
    else leases.delete(proxy);
    return kept.release();
  };
}

/** Takes back the oldest lease that belongs to no command. */
export function takeLease(
  scheduler: CallbackScheduler,
  proxy: DeviceProxy,
): LrcLease | undefined {
  const { leases } = insideOf(scheduler);
  const [oldest, ...left] = leases.get(proxy) ?? [];
  if (left.length > 0) leases.set(proxy, left);
  else leases.delete(proxy);
  return oldest;
}

/** More turns of the microtask queue than an `await` of the handle takes. */
const TURNS = 10;

/** The updates of one command on their way to its callback. */
export class CallbackQueue {
  readonly #callback: (update: LrcUpdate) => unknown;
  readonly #rules: CallbackRules;
  readonly #logger: Logger;
  readonly #what: string;
  #updates: LrcUpdate[] = [];
  #isBusy = true;

  constructor(
    callback: (update: LrcUpdate) => unknown,
    settings: { scheduler: CallbackScheduler; logger: Logger },
    what: string,
  ) {
    const { scheduler, logger } = settings;
    this.#logger = logger;
    this.#callback = callback;
    this.#rules = insideOf(scheduler).rules;
    this.#what = what;
    this.#begin();
  }

  push(update: LrcUpdate): void {
    const last = this.#updates.at(-1);
    if (last === undefined || this.#updates.length < this.#rules.capacity) {
      this.#updates.push(update);
      this.#rules.pending++;
    } else {
      this.#updates[this.#updates.length - 1] = { ...last, ...update };
      this.#rules.coalesced++;
    }
    if (!this.#isBusy) this.#run();
  }

  /** Discards what waits. */
  clear(): void {
    this.#rules.pending -= this.#updates.length;
    this.#updates = [];
  }

  /** The first call comes when whoever began the command has its handle. */
  async #begin(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) await undefined;
    await this.#run();
  }

  async #run(): Promise<void> {
    this.#isBusy = true;
    for (
      let update = this.#updates.shift();
      update !== undefined;
      update = this.#updates.shift()
    ) {
      this.#rules.pending--;
      try {
        await this.#callback(update);
      } catch (error) {
        const { name: scheduler } = this.#rules;
        const sentence = `The callback of ${this.#what} has failed`;
        report(this.#logger, "error", sentence, { scheduler, error });
      }
    }
    this.#isBusy = false;
  }
}
