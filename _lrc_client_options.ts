// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkBoolean,
  checkCommon,
  checkFunction,
  checkNonNegative,
  checkOptions,
  checkPositive,
  checkType,
  copyOptions,
  isRestartPolicy,
} from "./_arguments.ts";
import type { LrcResult } from "./_lrc_outcome.ts";
import {
  type CallbackScheduler,
  checkScheduler,
  globalScheduler,
  loggerOf,
} from "./_lrc_scheduler.ts";
import type { LrcCounters, LrcHistoryEntry, LrcSource } from "./_lrc_state.ts";
import { backoff, type RestartPolicy } from "./backoff.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { DevError, DeviceProxy, TaskStatus } from "./device_proxy.ts";
import type { Logger } from "./logger.ts";

/**
 * What is new about a command. Any of the keys may come together; one that is
 * missing tells nothing. A result of `null` is there, with the value `null`.
 */
export interface LrcUpdate {
  /** The status. */
  readonly status?: TaskStatus;
  /** What it is at: a number, as a rule from 0 to 100, or a text. */
  readonly progress?: number | string;
  /** The result, as decoded from JSON; by convention `[code, message]`. */
  readonly result?: unknown;
  /** What went wrong with the events. The command goes on. */
  readonly errors?: readonly DevError[];
  /** What a newer device tells that this version does not know. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** How it was learnt. */
  readonly source: LrcSource;
  /** When it was learnt, on the scale of the clock, in milliseconds. */
  readonly time: number;
}

/** Told of what is new about a command. */
export type LrcCallback = (update: LrcUpdate) => unknown;

/** What has happened on the way so far; zero where all went well. */
export interface LrcHandleCounters extends LrcCounters {
  /** How often the device was asked. */
  readonly asked: number;
}

/** A command that was sent, and all that is known of it. */
export interface LrcHandle<R = unknown>
  extends AsyncIterable<LrcUpdate>, Disposable, AsyncDisposable {
  /** The name of the device. */
  readonly device: string;
  /** The name of the command; empty if it is not known. */
  readonly command: string;
  /** The id that the device has given it. */
  readonly commandId: string;
  /** The version of the protocol. */
  readonly protocolVersion: number;
  /** The status, `undefined` before the first. */
  readonly status: TaskStatus | undefined;
  /** What it is at, `undefined` before it tells. */
  readonly progress: number | string | undefined;
  /** Its result as it came, `undefined` before it comes. */
  readonly result: unknown;
  /** The statuses that it had, with times, without repetitions. */
  readonly history: readonly LrcHistoryEntry[];
  /** What has happened on the way so far. */
  readonly counters: LrcHandleCounters;
  /** Whether nothing more will come. */
  readonly ended: boolean;
  /** How it has ended. Never rejects: failures are values. */
  readonly done: Promise<LrcResult<R>>;
  /**
   * Ends the interest in the command, which itself goes on. No callback is
   * called any more; `done` resolves at once, with the code `UNKNOWN`. Does
   * nothing when the command has ended.
   *
   * @returns A promise that resolves when the device was left, if it was the
   * last command of the device.
   */
  unsubscribe(): Promise<void>;
  /** A text to find the command again with `attachLrc`, after a restart. */
  serialize(): string;
  /**
   * What is known now, if anything is, and what comes, to the end. If it is
   * read so slowly that more than 1000 updates wait, the oldest are lost.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<LrcUpdate, undefined>;
}

/** Options of `attachLrc`. */
export interface AttachLrcOptions<R = unknown> {
  /**
   * Told of callbacks that fail and of what cannot be told otherwise.
   *
   * @default {that of the scheduler}
   */
  logger?: Logger;
  /**
   * Shares the events of the device.
   *
   * @default {one for all}
   */
  scheduler?: CallbackScheduler;
  /**
   * Ends the interest in the command, which itself goes on. Before it was sent
   * it is not sent.
   */
  signal?: AbortSignal;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * How long everything may take, in milliseconds, with the subscribing.
   *
   * @default {Infinity}
   */
  timeout?: number;
  /**
   * How long it may take from one news to the next, in milliseconds. What
   * repeats what is known is none.
   *
   * @default {Infinity}
   */
  idleTimeout?: number;
  /**
   * How long the first news may take once the command was accepted, in
   * milliseconds.
   *
   * @default {the `idleTimeout`}
   */
  firstEventTimeout?: number;
  /**
   * How much time is left at least after each progress, in milliseconds: it
   * moves the end of the `timeout` away.
   *
   * @default {0}
   */
  extendOnProgress?: number;
  /**
   * How long a device may be silent, in milliseconds, before it is asked. As
   * long as there is no news the times double, up to a minute or half of the
   * `idleTimeout`. It is asked after a second at most when nothing has come at
   * all. `Infinity` never asks because of silence.
   *
   * @default {10_000, or less than half of the `idleTimeout`}
   */
  silence?: number;
  /**
   * Asks the device again and again and subscribes to nothing, for devices
   * without events. `true` stands for 100 ms at first and then more and more,
   * up to 5 s; with news it begins anew. A policy with a limit keeps to its last
   * delay from there on: the asking never ends before the command.
   *
   * @default {false}
   */
  poll?: boolean | RestartPolicy;
  /**
   * Tells all that comes as it comes, with repetitions, and does not make sure
   * of the result before it tells the last status.
   *
   * @default {false}
   */
  raw?: boolean;
  /**
   * Makes a typed result of that of a command that went well. If it throws, or
   * returns a promise, the command counts as failed with that error.
   *
   * @default {the result as it came}
   */
  parseResult?: (result: unknown) => R;
  /**
   * Sends `Abort` when the time is over. This ends **all** commands of the
   * device: the protocol has no other way.
   *
   * @default {false}
   */
  abortOnTimeout?: boolean;
}

/** Options of `invokeLrc`. */
export interface InvokeLrcOptions<R = unknown> extends AttachLrcOptions<R> {}

/** The options with their defaults. */
export interface LrcSettings<R> {
  readonly logger: Logger;
  readonly scheduler: CallbackScheduler;
  readonly signal: AbortSignal | undefined;
  readonly clock: Clock;
  readonly timeout: number;
  readonly idleTimeout: number;
  readonly firstEventTimeout: number;
  readonly extendOnProgress: number;
  /** When to ask a device that is silent. */
  readonly asking: RestartPolicy;
  /** After what time to ask first, when nothing has come. */
  readonly firstAsking: number;
  readonly polls: boolean;
  readonly raw: boolean;
  readonly parseResult: ((result: unknown) => R) | undefined;
  readonly abortOnTimeout: boolean;
}

const POLL: RestartPolicy = backoff({
  limit: Infinity,
  initial: 100,
  factor: 1.5,
  maximum: 5000,
  jitter: 0.2,
});

/** The longest time between two questions to a silent device. */
const MOST_SILENCE = 60_000;

/** A silent device is asked twice before it is idle for too long. */
const LESS_THAN_HALF = 0.45;

/** A device that has told nothing at all is asked after this time. */
const FIRST_ASKING = 1000;

/** Checks the options and completes them. */
export function settingsOf<R>(
  doing: string,
  given: AttachLrcOptions<R>,
): LrcSettings<R> {
  checkOptions(doing, given);
  const options = copyOptions(given);
  checkCommon(doing, options);
  const { idleTimeout = Infinity, firstEventTimeout = idleTimeout } = options;
  const shortest = Math.min(idleTimeout, firstEventTimeout);
  const {
    scheduler = globalScheduler,
    signal,
    clock = systemClock,
    timeout = Infinity,
    extendOnProgress = 0,
    silence = Math.min(10_000, shortest * LESS_THAN_HALF),
    poll = false,
    raw = false,
    parseResult,
    abortOnTimeout = false,
  } = options;
  checkScheduler(doing, scheduler);
  const { logger = loggerOf(scheduler) } = options;
  checkNonNegative(doing, "timeout", timeout);
  checkPositive(doing, "idleTimeout", idleTimeout);
  checkPositive(doing, "firstEventTimeout", firstEventTimeout);
  checkNonNegative(doing, "extendOnProgress", extendOnProgress);
  checkPositive(doing, "silence", silence);
  checkPoll(doing, poll);
  checkBoolean(doing, "raw", raw);
  checkBoolean(doing, "abortOnTimeout", abortOnTimeout);
  if (parseResult !== undefined) {
    checkFunction(doing, "parseResult", parseResult);
  }
  const asking = typeof poll !== "boolean"
    ? poll
    : poll
    ? POLL
    : silence === Infinity
    ? { delay: () => Infinity }
    : backoff({
      limit: Infinity,
      initial: silence,
      maximum: Math.max(silence, Math.min(MOST_SILENCE, shortest / 2)),
      jitter: 0.1,
    });
  return {
    logger,
    scheduler,
    signal,
    clock,
    timeout,
    idleTimeout,
    firstEventTimeout,
    extendOnProgress,
    asking,
    firstAsking: silence === Infinity
      ? Infinity
      : Math.min(silence, FIRST_ASKING),
    polls: poll !== false,
    raw,
    parseResult,
    abortOnTimeout,
  };
}

const METHODS = [
  "attributeNames",
  "readAttributes",
  "command",
  "subscribe",
] as const;

/** Checks what everything begins with. */
export function checkProxy(doing: string, proxy: DeviceProxy): void {
  checkType(
    typeof proxy === "object" && proxy !== null &&
      METHODS.every((method) => typeof proxy[method] === "function"),
    doing,
    "proxy",
    "a DeviceProxy",
    proxy,
  );
}

/** Checks that a name or an id is one. */
export function checkName(doing: string, name: string, value: unknown): void {
  checkType(
    typeof value === "string" && value !== "",
    doing,
    name,
    "a string that is not empty",
    value,
  );
}

/** Checks that a callback takes all in one argument. */
export function checkCallback(doing: string, value: unknown): void {
  checkType(
    value === null || (typeof value === "function" && value.length <= 1),
    doing,
    "callback",
    "null or a function of one argument, the update",
    value,
  );
}

function checkPoll(doing: string, poll: unknown): void {
  checkType(
    typeof poll === "boolean" || isRestartPolicy(poll),
    doing,
    "poll",
    "a boolean or a RestartPolicy",
    poll,
  );
}
