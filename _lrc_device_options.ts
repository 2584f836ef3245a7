// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkBoolean,
  checkCommon,
  checkFiniteCount,
  checkFiniteNonNegative,
  checkFunction,
  checkNonNegative,
  checkOptions,
  checkType,
} from "./_arguments.ts";
import { DEFAULT_EVENTS } from "./_lrc_device_events.ts";
import type { QueuedCommand } from "./_lrc_queue_job.ts";
import { DEFAULT_GRACE } from "./_run.ts";
import { type Clock, systemClock } from "./clock.ts";
import { defaultLogger, type Logger } from "./logger.ts";

/**
 * What the code of a command is given.
 *
 * @typeParam T The type of the argument.
 */
export interface LrcExecution<T = unknown> {
  /** The id of the command. */
  readonly id: string;
  /** What it was called with. */
  readonly argument: T;
  /** Aborts when the command should end. */
  readonly signal: AbortSignal;
  /** The logger of the device. */
  readonly logger: Logger;
  /**
   * Tells how far it has come, by convention an integer from 0 to 99. Does
   * nothing once the command is over.
   */
  readonly progress: (value: number) => void;
  /** Waits so many milliseconds, or rejects when the signal aborts. */
  readonly sleep: (ms: number) => Promise<void>;
}

/**
 * The code of a long-running command.
 *
 * What it returns is its result, any JSON value, by convention
 * `[ResultCode, text]`; `undefined` is no result. What it throws makes it fail.
 *
 * @typeParam T The type of the argument.
 */
export type LrcFunction<T = unknown> = (
  execution: LrcExecution<T>,
) => unknown;

/**
 * A long-running command with all that there is to say about it.
 *
 * @typeParam T The type of the argument.
 */
export interface LrcCommand<T = unknown> {
  /** The code. */
  execute: LrcFunction<T>;
  /**
   * Makes the argument from what has come. What it throws goes to the caller
   * as a `DeviceError`; there is no command then.
   *
   * @default {(argument) => argument}
   */
  parse?: (argument: unknown) => T;
  /**
   * Asked before the command is queued: a reason not to, which the caller is
   * given, or `undefined`. What it throws goes to the caller as a
   * `DeviceError`.
   */
  refuse?: (argument: T) => string | undefined;
  /**
   * Asked before the command is executed, when its turn has come. With `false`
   * it is rejected.
   */
  isAllowed?: (argument: T) => boolean;
  /**
   * Whether the command is executed at once or not at all: it never waits in
   * the queue.
   *
   * @default {false}
   */
  immediate?: boolean;
}

/**
 * What the code of a quick command is given.
 *
 * @typeParam T The type of the argument.
 */
export interface QuickExecution<T = unknown> {
  /** What it was called with. */
  readonly argument: T;
  /** Aborts when the caller does not wait any more or the device is stopped. */
  readonly signal: AbortSignal;
  /** The logger of the device. */
  readonly logger: Logger;
}

/**
 * A command that is not long-running: its caller waits for what it returns.
 *
 * @typeParam T The type of the argument.
 */
export interface QuickCommand<T = unknown> {
  /** The code. What it throws goes to the caller as a `DeviceError`. */
  answer: (execution: QuickExecution<T>) => unknown;
  /**
   * Makes the argument from what has come. What it throws goes to the caller
   * as a `DeviceError`.
   *
   * @default {(argument) => argument}
   */
  parse?: (argument: unknown) => T;
}

/**
 * The commands of a device by their names.
 *
 * @typeParam C The types of their arguments.
 */
export type LrcCommands<C> = {
  readonly [K in keyof C]:
    | LrcFunction<C[K]>
    | LrcCommand<C[K]>
    | QuickCommand<C[K]>;
};

/**
 * Options of `LrcDevice`.
 *
 * @typeParam C The types of the arguments of the commands.
 * @typeParam A The types of the attributes.
 */
export interface LrcDeviceOptions<C, A> {
  /** The name of the device, such as `"lab/stage/1"`. */
  name: string;
  /** Its commands by their names, which differ in more than their case. */
  commands: LrcCommands<C>;
  /** Its attributes by their names, with the values they begin with. */
  attributes?: A;
  /**
   * How many commands may wait. One more is rejected.
   *
   * @default {32}
   */
  maxQueued?: number;
  /**
   * How many commands are executed at a time, at least 2. One of the places is
   * kept for `Abort`: with 2 all others are executed one after the other.
   *
   * @default {2}
   */
  maxExecuting?: number;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * What the zero of the clock is, in milliseconds since 1970: ids and times
   * are made from it.
   *
   * @default {Date.now() - clock.now()}
   */
  timeOrigin?: number;
  /**
   * Told of commands that fail or are abandoned, and of odd results.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
  /**
   * The least and the highest version of the protocol that the device speaks.
   * With `[1, 1]` it is an older one without `_lrcEvent`, with `[2, 2]` a later
   * one without the attributes that begin with `longRunningCommand`.
   *
   * @default {[1, 2]}
   */
  protocolVersions?: readonly [least: number, most: number];
  /**
   * How long the first protocol shows a command that has finished, in
   * milliseconds.
   *
   * @default {10_000}
   */
  removalTime?: number;
  /**
   * How many finished commands are kept. Those that were never queued go first.
   *
   * @default {100}
   */
  retention?: number;
  /**
   * How many events are kept for a slow subscriber. When there are more, the
   * oldest are dropped and an event with the reason `API_MissedEvents` says so.
   *
   * @default {10_000}
   */
  eventCapacity?: number;
  /** Stops the device. */
  signal?: AbortSignal;
  /**
   * How long an abort waits for the commands to end, in milliseconds, before
   * they are abandoned.
   *
   * @default {5000}
   */
  grace?: number;
}

/** A command whose types nobody knows any more. */
export interface AnyCommand {
  execute?: QueuedCommand["execute"] | undefined;
  answer?: QuickCommand["answer"] | undefined;
  parse?: ((argument: unknown) => unknown) | undefined;
  refuse?: QueuedCommand["refuse"];
  isAllowed?: QueuedCommand["isAllowed"];
  immediate?: boolean | undefined;
}

/** The options that have a default, with it where they were not given. */
export type LrcDeviceSettings =
  & Required<Omit<LrcDeviceOptions<unknown, object>, "commands" | "signal">>
  & { commands: Record<string, AnyCommand> };

export const CREATE = "create LrcDevice";

/** Checks a name that may not be empty. */
export function checkName(name: string, value: unknown): void {
  checkType(
    typeof value === "string" && value !== "",
    CREATE,
    name,
    "a string that is not empty",
    value,
  );
}

function isGiven(command: object, hook: "execute" | "answer"): boolean {
  return (command as AnyCommand)[hook] !== undefined;
}

/** A hook as a function of its own; `undefined` stands for none. */
function bind<Args extends unknown[], R>(
  hook: ((...args: Args) => R) | undefined,
  owner: AnyCommand,
  path: string,
): ((...args: Args) => R) | undefined {
  if (hook === undefined) return undefined;
  checkFunction(CREATE, path, hook);
  return hook.bind(owner);
}

function checkCommand(name: string, command: unknown): AnyCommand {
  checkName("commands", name);
  const path = `commands.${name}`;
  if (typeof command === "function") {
    return { execute: command as QueuedCommand["execute"] };
  }
  checkType(
    typeof command === "object" && command !== null &&
      isGiven(command, "execute") !== isGiven(command, "answer"),
    CREATE,
    path,
    "a function, or an object with either 'execute' or 'answer'",
    command,
  );
  const given = command as AnyCommand;
  const { immediate } = given;
  checkBoolean(CREATE, `${path}.immediate`, immediate);
  return {
    execute: bind(given.execute, given, `${path}.execute`),
    answer: bind(given.answer, given, `${path}.answer`),
    parse: bind(given.parse, given, `${path}.parse`),
    refuse: bind(given.refuse, given, `${path}.refuse`),
    isAllowed: bind(given.isAllowed, given, `${path}.isAllowed`),
    immediate,
  };
}

function checkVersions(versions: readonly unknown[]): void {
  const [least, most] = Array.isArray(versions) ? versions : [];
  checkType(
    Number.isInteger(least) && Number.isInteger(most) && least >= 1 &&
      most >= least && versions.length === 2,
    CREATE,
    "protocolVersions",
    "two integers of at least 1, the lower one first",
    versions,
  );
}

function checkRecord(name: string, value: unknown): void {
  checkType(
    typeof value === "object" && value !== null,
    CREATE,
    name,
    "an object",
    value,
  );
}

/** Checks the options of an `LrcDevice` and gives them their defaults. */
export function settingsOf<C, A extends object>(
  options: LrcDeviceOptions<C, A>,
): LrcDeviceSettings {
  checkOptions(CREATE, options);
  checkCommon(CREATE, options);
  const {
    name,
    commands,
    attributes = {},
    maxQueued = 32,
    maxExecuting = 2,
    clock = systemClock,
    logger = defaultLogger,
    protocolVersions = [1, 2],
    removalTime = 10_000,
    retention = 100,
    eventCapacity = DEFAULT_EVENTS,
    grace = DEFAULT_GRACE,
  } = options;
  checkName("name", name);
  checkRecord("commands", commands);
  checkRecord("attributes", attributes);
  checkFiniteCount(CREATE, "maxQueued", maxQueued, 0);
  checkFiniteCount(CREATE, "maxExecuting", maxExecuting, 2);
  checkVersions(protocolVersions);
  checkNonNegative(CREATE, "removalTime", removalTime);
  checkFiniteCount(CREATE, "retention", retention, 1);
  checkFiniteCount(CREATE, "eventCapacity", eventCapacity, 1);
  checkNonNegative(CREATE, "grace", grace);
  const { timeOrigin = Math.max(0, Date.now() - clock.now()) } = options;
  checkFiniteNonNegative(CREATE, "timeOrigin", timeOrigin);
  return {
    name,
    commands: Object.fromEntries(
      Object.entries(commands).map((
        [name, command],
      ) => [name, checkCommand(name, command)]),
    ),
    attributes,
    maxQueued,
    maxExecuting,
    clock,
    timeOrigin,
    logger,
    protocolVersions: [...protocolVersions],
    removalTime,
    retention,
    eventCapacity,
    grace,
  };
}
