// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * A device that executes long-running commands: the side that does the work, in
 * this process. It speaks the protocol of `ska_tango_base`, in both of its
 * versions, to whatever holds it as a `DeviceProxy`.
 *
 * ```ts
 * import { LrcDevice } from "@longrun/tasks/lrc-device";
 * import { ResultCode } from "@longrun/tasks/device-proxy";
 * import { assertEquals } from "@std/assert";
 *
 * await using device = new LrcDevice({
 *   name: "lab/stage/1",
 *   commands: {
 *     Home: async ({ progress, sleep }) => {
 *       progress(50);
 *       await sleep(1);
 *       return [ResultCode.OK, "Home is found"];
 *     },
 *   },
 * });
 *
 * const results = await device.subscribe("longRunningCommandResult");
 * await results.next(); // the value at the moment
 * const [[code], [id]] = await device.command("Home", undefined) as [
 *   [number],
 *   [string],
 * ];
 * assertEquals(code, ResultCode.QUEUED);
 * const { value } = await results.next();
 * assertEquals(value, {
 *   attribute: "longrunningcommandresult",
 *   value: [id, '[0,"Home is found"]'],
 * });
 * ```
 *
 * @module
 */

import {
  checkOptions,
  checkSignal,
  checkStrings,
  checkType,
} from "./_arguments.ts";
import { DeviceAttributes } from "./_lrc_device_attributes.ts";
import {
  argumentRefused,
  commandNotFound,
  commandThrew,
  deviceStopped,
} from "./_lrc_device_errors.ts";
import {
  type AnyCommand,
  checkName,
  CREATE,
  type LrcCommand,
  type LrcCommands,
  type LrcDeviceOptions,
  type LrcExecution,
  type LrcFunction,
  type QuickCommand,
  type QuickExecution,
  settingsOf,
} from "./_lrc_device_options.ts";
import { describeValue } from "./_lrc_device_values.ts";
import { LrcQueue } from "./_lrc_queue.ts";
import type { QueuedCommand } from "./_lrc_queue_job.ts";
import { LrcTables } from "./_lrc_tables.ts";
import { checkStopOptions } from "./_run.ts";
import { abortable, CancelScope, onAbort } from "./cancellation.ts";
import {
  DeviceError,
  type DeviceOptions,
  type DeviceProxy,
  type DeviceSubscription,
  ResultCode,
} from "./device_proxy.ts";
import type { Logger } from "./logger.ts";
import type { StopOptions, StopOutcome } from "./run_state.ts";

export type {
  LrcCommand,
  LrcCommands,
  LrcDeviceOptions,
  LrcExecution,
  LrcFunction,
  QuickCommand,
  QuickExecution,
};

type Command = (argument: unknown, signal: AbortSignal | undefined) => unknown;

/** Calls a function at once; what it throws is a rejection. */
function attempt<T>(call: () => T | Promise<T>): Promise<T> {
  return new Promise((resolve) => resolve(call()));
}

function checkString(doing: string, name: string, value: unknown): void {
  checkType(typeof value === "string", doing, name, "a string", value);
}

/**
 * A device with long-running commands: requests are queued, executed in order,
 * aborted together, and told of by attributes.
 *
 * Each command is announced by `STAGING`, then by `QUEUED` and `IN_PROGRESS`,
 * and ends with a result and one of these:
 *
 * - `COMPLETED` when its code has returned, also after an abort that came too
 *   late. Whether it went well is in the result.
 * - `ABORTED` when its code has thrown the reason of its signal, or has returned
 *   `undefined` or a result with `ResultCode.ABORTED`, after an abort; when it
 *   was aborted in the queue; and when it was abandoned.
 * - `FAILED` when its code has thrown anything else.
 * - `REJECTED` when it was not executed: the queue was full or being aborted,
 *   or one of the command's own checks was against it.
 *
 * Besides its own commands a device has `Abort`, `AbortCommands` (the same
 * without a command to follow) and `CheckLongRunningCommandStatus`. `Abort`
 * aborts everything that is queued or executed; until that has ended all
 * requests are rejected, another `Abort` too. A command that does not end
 * within the grace is abandoned: it counts as aborted, its place is free, and
 * what it does later is ignored and logged. The result of `Abort` is
 * `ResultCode.FAILED` then.
 *
 * **Gotchas.** The events of a command come before the answer that contains its
 * id. An attribute has a new event when it is set to another value, not when
 * its value is changed in place. An argument is handed on as it is, not as a
 * copy: what is changed in it while its command is queued, the command sees.
 *
 * @typeParam C The types of the arguments of the commands. They are taken on
 * trust unless there is a `parse`.
 * @typeParam A The types of the attributes.
 *
 * @example An argument that is checked, an attribute that follows
 * ```ts
 * import { LrcDevice } from "@longrun/tasks/lrc-device";
 * import { DeviceError } from "@longrun/tasks/device-proxy";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * await using device = new LrcDevice({
 *   name: "lab/filter/1",
 *   attributes: { position: 0 },
 *   commands: {
 *     Move: {
 *       parse: (argument: unknown): number => {
 *         if (typeof argument !== "number") throw new TypeError("No number");
 *         return argument;
 *       },
 *       execute: ({ argument }) => {
 *         device.setAttribute("position", argument);
 *       },
 *     },
 *   },
 * });
 *
 * await assertRejects(() => device.command("Move", "far"), DeviceError);
 *
 * const position = await device.subscribe("position");
 * assertEquals((await position.next()).value, {
 *   attribute: "position",
 *   value: 0,
 * });
 * await device.command("Move", 3);
 * assertEquals((await position.next()).value, {
 *   attribute: "position",
 *   value: 3,
 * });
 * ```
 */
export class LrcDevice<
  C = Record<string, unknown>,
  A extends object = Record<string, unknown>,
> implements DeviceProxy, AsyncDisposable {
  /** The name of the device. */
  readonly name: string;
  /** The names of its commands, those that every device has come last. */
  readonly commands: readonly string[];
  readonly #commands: Map<string, Command> = new Map();
  readonly #values: Map<string, unknown> = new Map();
  readonly #attributes: DeviceAttributes;
  readonly #tables: LrcTables;
  readonly #queue: LrcQueue;
  readonly #logger: Logger;
  readonly #grace: number;
  /** Aborts when no more commands are taken. */
  readonly #taking: CancelScope = new CancelScope();
  #forgetSignal: (() => void) | undefined = undefined;
  #isClosed = false;

  /**
   * Creates a device, which works from now on.
   *
   * @param options Its commands and attributes, and its limits.
   * @throws {TypeError} If an option is of the wrong type, or a name is taken.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(options: LrcDeviceOptions<C, A>) {
    const settings = settingsOf(options);
    const { name, commands, logger, grace, maxQueued, maxExecuting } = settings;
    this.name = name;
    this.#logger = logger;
    this.#grace = grace;
    this.#attributes = new DeviceAttributes(name, settings.eventCapacity);
    this.#tables = new LrcTables(this.#attributes, {
      ...settings,
      // Room for all that can be active, and for as many that have ended.
      capacity: 2 * Math.max(maxQueued, 1) + maxExecuting,
    });
    this.#queue = new LrcQueue(this.#tables, settings);
    this.commands = [...Object.keys(commands), ...this.#addCommon()];
    for (const [name, command] of Object.entries(commands)) {
      this.#addOwn(name, command);
    }
    for (const [name, value] of Object.entries(settings.attributes)) {
      this.#addAttribute(name, value);
    }
    const { signal } = options;
    this.#forgetSignal = signal &&
      onAbort(signal, (reason) => void this.stop({ reason }));
  }

  /** How many commands wait for a place. */
  get queued(): number {
    return this.#queue.queued;
  }

  /** How many commands are executed, `Abort` counts too. */
  get executing(): number {
    return this.#queue.executing;
  }

  /** How many subscriptions there are. */
  get subscriptions(): number {
    return this.#attributes.subscriptions;
  }

  /**
   * The names of its attributes.
   *
   * @throws {DeviceError} If the device was stopped.
   */
  attributeNames(options: DeviceOptions = {}): Promise<readonly string[]> {
    return attempt(() => {
      this.#enter("list attributes", options);
      return this.#attributes.names;
    });
  }

  /**
   * Reads attributes.
   *
   * @param names Their names, in any case.
   * @param options The signal, which only counts if it has aborted before.
   * @returns The values, in the order of the names.
   * @throws {DeviceError} If there is no such attribute, or the device was
   * stopped.
   */
  readAttributes(
    names: readonly string[],
    options: DeviceOptions = {},
  ): Promise<readonly unknown[]> {
    return attempt(() => {
      const doing = "read attributes";
      checkStrings(doing, "names", names);
      this.#enter(doing, options);
      return names.map((name) => this.#attributes.read(name));
    });
  }

  /**
   * Has a command executed. A long-running one is queued, and the order of
   * calls is that of the queue; the answer does not wait for it.
   *
   * @param name The name of the command, in any case.
   * @param argument Its argument, `undefined` for none.
   * @param options The signal ends the wait for a quick command.
   * @returns The answer, of a long-running one `[[code], [text]]`: the text is
   * its id if the code is `QUEUED` or `STARTED`, and the reason if it is
   * `REJECTED`.
   * @throws {DeviceError} If there is no such command, its argument is wrong,
   * a quick command fails, or the device was stopped.
   */
  command(
    name: string,
    argument?: unknown,
    options: DeviceOptions = {},
  ): Promise<unknown> {
    return attempt(() => {
      const doing = "execute command";
      checkString(doing, "name", name);
      this.#enter(doing, options);
      if (this.#taking.aborted) throw this.#taking.reason;
      const command = this.#commands.get(name.toLowerCase());
      if (command === undefined) throw commandNotFound(this.name, name);
      return command(argument, options.signal);
    });
  }

  /**
   * Subscribes to an attribute.
   *
   * @param attribute The name of the attribute, in any case.
   * @param options What ends the subscription, with the signal's reason.
   * @returns The events: the value at the moment, then the changes. It ends
   * when the device is stopped.
   * @throws {DeviceError} If there is no such attribute, or no events of it, or
   * the device was stopped.
   */
  subscribe(
    attribute: string,
    options: DeviceOptions = {},
  ): Promise<DeviceSubscription> {
    return attempt(() => {
      const doing = "subscribe";
      checkString(doing, "attribute", attribute);
      this.#enter(doing, options);
      return this.#attributes.subscribe(attribute, options.signal);
    });
  }

  /**
   * The value of one of the device's own attributes.
   *
   * @param name Its name, as it was given.
   * @returns The value.
   * @throws {Error} If there is none of that name.
   */
  getAttribute<K extends keyof A & string>(name: K): A[K] {
    this.#checkOwn("get", name);
    return this.#values.get(name) as A[K];
  }

  /**
   * Sets one of the device's own attributes. If the value is another one, in
   * the sense of `Object.is`, subscribers are told of it.
   *
   * @param name Its name, as it was given.
   * @param value The value.
   * @throws {Error} If there is none of that name.
   */
  setAttribute<K extends keyof A & string>(name: K, value: A[K]): void {
    this.#checkOwn("set", name);
    if (Object.is(this.#values.get(name), value)) return;
    this.#values.set(name, value);
    this.#attributes.publish(name);
  }

  /**
   * Aborts all commands, waits for their ends, and ends the subscriptions after
   * what they have to tell. No command is taken any more.
   *
   * @param options Why, and how long to wait.
   * @returns Whether all that was ever begun has ended.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   */
  async stop(options: StopOptions = {}): Promise<StopOutcome> {
    checkStopOptions("stop", options);
    const { reason, grace = this.#grace } = options;
    this.#forgetSignal?.();
    this.#taking.abort(deviceStopped(this.name));
    const outcome = await this.#queue.stop(reason, grace);
    this.#isClosed = true;
    this.#tables.close();
    this.#attributes.close();
    return outcome;
  }

  /** Stops the device. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #enter(doing: string, options: DeviceOptions): void {
    checkOptions(doing, options);
    const { signal } = options;
    checkSignal(doing, signal);
    if (signal?.aborted) throw signal.reason;
    if (this.#isClosed) throw this.#taking.reason;
  }

  #checkOwn(doing: string, name: string): void {
    if (this.#values.has(name)) return;
    throw new Error(`Cannot ${doing} attribute '${name}' as there is none`);
  }

  #addAttribute(name: string, value: unknown): void {
    checkName("attributes", name);
    checkType(
      !this.#attributes.has(name),
      CREATE,
      "attributes",
      "without a name that is taken",
      name,
    );
    this.#values.set(name, value);
    this.#attributes.define(name, () => this.#values.get(name));
  }

  #add(name: string, command: Command): void {
    checkType(
      !this.#commands.has(name.toLowerCase()),
      CREATE,
      "commands",
      "without a name that is taken",
      name,
    );
    this.#commands.set(name.toLowerCase(), command);
  }

  #addCommon(): readonly string[] {
    this.#add("Abort", () => this.#queue.submitAbort("Abort"));
    this.#add("AbortCommands", () => {
      this.#queue.abort();
      return [[ResultCode.STARTED], ["Aborting commands"]];
    });
    const check = "CheckLongRunningCommandStatus";
    this.#add(check, (id) => {
      if (typeof id === "string") return this.#tables.statusOf(id);
      throw argumentRefused(
        this.name,
        check,
        "The id of a command is a string",
      );
    });
    return ["Abort", "AbortCommands", check];
  }

  #addOwn(name: string, command: AnyCommand): void {
    const { execute, answer, refuse, isAllowed, immediate = false } = command;
    const parse = (argument: unknown): unknown => {
      if (command.parse === undefined) return argument;
      try {
        return command.parse(argument);
      } catch (error) {
        throw argumentRefused(this.name, name, describeValue(error), error);
      }
    };
    if (answer !== undefined) {
      this.#add(
        name,
        (argument, signal) => this.#answer(answer, parse(argument), signal),
      );
    } else if (execute !== undefined) {
      const queued = { name, execute, refuse, isAllowed, immediate };
      this.#add(name, (argument) => this.#submit(queued, parse(argument)));
    }
  }

  #submit(command: QueuedCommand, argument: unknown): unknown {
    try {
      return this.#queue.submit(command, argument);
    } catch (error) {
      throw commandThrew(describeValue(error), error);
    }
  }

  async #answer(
    answer: QuickCommand["answer"],
    argument: unknown,
    parent: AbortSignal | undefined,
  ): Promise<unknown> {
    const scope = new CancelScope(parent, this.#taking.signal);
    const { signal } = scope;
    const logger = this.#logger;
    try {
      const answered = Promise.resolve(answer({ argument, signal, logger }));
      return await abortable(answered, signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw error instanceof DeviceError
        ? error
        : commandThrew(describeValue(error), error);
    } finally {
      scope.dispose();
    }
  }
}
