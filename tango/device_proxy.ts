// Copyright 2026 the Longrun authors. MIT license.

/**
 * A Tango device, as those see it who use it.
 *
 * @module
 */

import { CancelScope } from "@longrun/tasks/cancellation";
import { type Clock, systemClock } from "@longrun/tasks/clock";
import { DeviceError, type DeviceOptions } from "@longrun/tasks/device-proxy";
import process from "node:process";
import {
  checkChoice,
  checkCommon,
  checkFiniteCount,
  checkName,
  checkNames,
  checkOptions,
  checkPositive,
  checkType,
  complain,
} from "./_arguments.ts";
import { connections } from "./_connection_pool.ts";
import { Database } from "./_database.ts";
import { devError, deviceFailure, whileDoing } from "./_device_failure.ts";
import {
  type DeviceName,
  parseDeviceName,
  parseTangoHost,
} from "./_device_name.ts";
import * as operations from "./_device_operations.ts";
import { channelOf } from "./_event_channels.ts";
import type { EventChannel, EventSource } from "./_event_channel.ts";
import { EventQueue } from "./_event_queue.ts";
import { type Listener, readingEvent } from "./_event_feed.ts";
import { EVENT_NAMES } from "./_event_message.ts";
import type { Endpoint } from "./_giop_connection.ts";
import { readingWithNumbers, withNumbers } from "./_int64.ts";
import {
  type Operation,
  RemoteObject,
  type RemoteObjectOptions,
} from "./_remote_object.ts";
import { ValueMismatch } from "./_scalar.ts";
import { encodeText } from "./_text.ts";
import type {
  EventType,
  TangoEvent,
  TangoSubscription,
} from "./device_event.ts";
import {
  type AttributeInfo,
  type AttributeReading,
  type CommandInfo,
  type DeviceInfo,
  DevSource,
  type DevState,
} from "./tango_types.ts";

/** Options of a call of a device. */
export interface CallOptions extends DeviceOptions {
  /**
   * How long to wait for the answer, in milliseconds.
   *
   * @default {the timeout of the proxy}
   */
  timeout?: number;
}

/** Options of {@linkcode DeviceProxy.connect}. */
export interface ConnectOptions extends CallOptions {
  /**
   * How long to wait for each answer, in milliseconds.
   *
   * @default {3000}
   */
  timeout?: number;
  /**
   * Where the database is: `"host:port"`, more of them separated by commas.
   *
   * @default {the environment variable TANGO_HOST}
   */
  tangoHost?: string;
  /**
   * Where the values of attributes come from.
   *
   * @default {DevSource.CACHE_DEV}
   */
  source?: DevSource;
  /**
   * What integers of 64 bits become. Numbers are easier to use, but those
   * beyond 2^53 are rounded.
   *
   * @default {"bigint"}
   */
  int64?: "bigint" | "number";
  /**
   * How many bytes an answer, or an event, may have; one that has more closes
   * the connection.
   *
   * @default {268_435_456}
   */
  maxMessage?: number;
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
}

/** Options of {@linkcode DeviceProxy.subscribe}. */
export interface SubscribeOptions extends DeviceOptions {
  /**
   * The kind of events.
   *
   * @default {"change"}
   */
  type?: EventType;
  /**
   * How many events are kept for a slow subscriber. When there are more, the
   * oldest are dropped and an event with the reason `API_MissedEvents` says so.
   *
   * @default {10_000}
   */
  capacity?: number;
}

const CONNECT = "connect to device";

/** An object, and how all that it needs is let go. */
interface Reachable {
  readonly object: RemoteObject;
  close(): void;
}

/** Whether an error is why a signal has aborted: it stays what it is. */
function isReason(error: unknown, { signal }: DeviceOptions): boolean {
  return signal?.aborted === true && error === signal.reason;
}

function closed(doing: string): Error {
  return new Error(`Cannot ${doing} as the proxy is closed`);
}

interface Settings {
  readonly timeout: number;
  readonly int64: "bigint" | "number";
  readonly source: DevSource;
}

function databaseEndpoints(
  { endpoint }: DeviceName,
  tangoHost: string | undefined,
): readonly Endpoint[] {
  if (endpoint !== undefined) return [endpoint];
  const text = tangoHost ?? process.env.TANGO_HOST;
  checkType(
    typeof text === "string",
    CONNECT,
    "tangoHost",
    "given, or in the environment as TANGO_HOST",
    text,
  );
  const endpoints = parseTangoHost(text ?? "");
  if (endpoints !== undefined) return endpoints;
  throw new TypeError(
    complain(CONNECT, "tangoHost", "'host:port,host:port'", text),
  );
}

/**
 * A Tango device, reached over the network. All proxies of the devices of one
 * server share one connection, over which any number of calls may wait.
 *
 * ## Gotchas
 *
 * A signal or a timeout ends the wait for an answer, not what the device does.
 * When the connection breaks while a command waits, nobody knows whether it was
 * executed; it is not sent again.
 *
 * @example Usage
 * ```ts ignore
 * import { DeviceProxy } from "@longrun/tango";
 *
 * const device = await DeviceProxy.connect(
 *   "tango://127.0.0.1:11000/sys/tg_test/1#dbase=no",
 * );
 * console.log(await device.command("DevString", "hello"));
 * await device.close();
 * ```
 */
export class DeviceProxy implements AsyncDisposable {
  /**
   * Connects to a device: looks for it, in the database or where its name says,
   * and asks whether it is there.
   *
   * @param name `"domain/family/member"`, with `"tango://host:port/"` before it
   * for a certain database, or for the server itself with `"#dbase=no"` after
   * it.
   * @param options What ends the wait, and what the proxy is like.
   * @returns The proxy.
   * @throws {TypeError} If the name is none, or an option is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   * @throws {DeviceError} If the device is not there.
   *
   * @example A device that is not there
   * ```ts
   * import { DeviceError, DeviceProxy } from "@longrun/tango";
   * import { assertEquals, assertRejects } from "@std/assert";
   *
   * const error = await assertRejects(
   *   () => DeviceProxy.connect("tango://127.0.0.1:1/sys/tg_test/1#dbase=no"),
   *   DeviceError,
   * );
   * assertEquals(error.errors.at(-1)?.reason, "API_ServerNotRunning");
   * ```
   *
   * @example By way of a database
   * ```ts ignore
   * const device = await DeviceProxy.connect("sys/tg_test/1", {
   *   tangoHost: "control:10000,spare:10000",
   *   signal: AbortSignal.timeout(10_000),
   * });
   * ```
   */
  static async connect(
    name: string,
    options: ConnectOptions = {},
  ): Promise<DeviceProxy> {
    checkName(CONNECT, "name", name);
    checkOptions(CONNECT, options);
    checkCommon(CONNECT, options);
    const {
      timeout = 3000,
      source = DevSource.CACHE_DEV,
      int64 = "bigint",
      maxMessage = 268_435_456,
      clock = systemClock,
    } = options;
    checkPositive(CONNECT, "timeout", timeout);
    checkPositive(CONNECT, "maxMessage", maxMessage);
    const sources = Object.values(DevSource);
    checkChoice(CONNECT, "source", "a DevSource", sources, source);
    const kinds = ["bigint", "number"];
    checkChoice(CONNECT, "int64", '"bigint" or "number"', kinds, int64);
    const parsed = parseDeviceName(name);
    if (parsed === undefined) {
      throw new TypeError(
        complain(CONNECT, "name", "the name of a device", name),
      );
    }
    const shared = { pool: connections, clock, maxMessage };
    const proxy = new DeviceProxy(
      parsed,
      { timeout, source, int64 },
      shared,
      parsed.hasDatabase
        ? databaseEndpoints(parsed, options.tangoHost)
        : undefined,
    );
    try {
      await proxy.ping(options);
      return proxy;
    } catch (error) {
      await proxy.close();
      throw error;
    }
  }

  /** The name of the device, in lower case. */
  readonly name: string;
  readonly #endpoint: Endpoint | undefined;
  readonly #databases: readonly Endpoint[] | undefined;
  readonly #settings: Settings;
  readonly #shared: RemoteObjectOptions;
  readonly #object: Reachable;
  /** What is known of commands and attributes, by their names in lower case. */
  readonly #commands = new Map<string, CommandInfo>();
  readonly #attributes = new Map<string, AttributeInfo>();
  /** The connection over which that was said. */
  #saidBy: object | undefined = undefined;
  readonly #subscriptions = new Set<EventQueue>();
  #isClosed = false;

  private constructor(
    { device, endpoint }: DeviceName,
    settings: Settings,
    shared: RemoteObjectOptions,
    databases: readonly Endpoint[] | undefined,
  ) {
    this.name = device;
    this.#endpoint = endpoint;
    this.#databases = databases;
    this.#settings = settings;
    this.#shared = shared;
    this.#object = this.#reach(device);
  }

  /** Asks whether the device is there. */
  ping(options: CallOptions = {}): Promise<void> {
    return this.#call("ping device", operations.ping, options);
  }

  /** The state of the device. */
  state(options: CallOptions = {}): Promise<DevState> {
    return this.#call("get state", operations.state, options);
  }

  /** The state of the device in words. */
  status(options: CallOptions = {}): Promise<string> {
    return this.#call("get status", operations.status, options);
  }

  /** What is known of the device. */
  info(options: CallOptions = {}): Promise<DeviceInfo> {
    return this.#call("get info", operations.info, options);
  }

  /** What is known of its commands. */
  commandList(options: CallOptions = {}): Promise<readonly CommandInfo[]> {
    return this.#call("list commands", operations.commandList, options);
  }

  /** What is known of its attributes. */
  attributeList(options: CallOptions = {}): Promise<readonly AttributeInfo[]> {
    return this.#call("list attributes", operations.attributeList(), options);
  }

  /** The names of its attributes. */
  async attributeNames(
    options: CallOptions = {},
  ): Promise<readonly string[]> {
    const attributes = await this.attributeList(options);
    return attributes.map(({ name }) => name);
  }

  /**
   * Has a command executed.
   *
   * Numbers have to be in the range of the command's type; integers of 64 bits
   * may be numbers or bigints. Arrays may be typed arrays. Numbers together
   * with strings are `[numbers, strings]`.
   *
   * @param name The name of the command, in any case.
   * @param argument Its argument, `undefined` for none.
   * @param options What ends the wait for the answer. The command goes on.
   * @returns The answer: arrays of numbers as typed arrays, numbers together
   * with strings as `[numbers, strings]`.
   * @throws {TypeError} If the argument is of the wrong type.
   * @throws {RangeError} If it is out of range.
   * @throws {DeviceError} If there is no such command, it fails, or the device
   * does not answer.
   *
   * @example Usage
   * ```ts ignore
   * await device.command("On");
   * const sum = await device.command("Add", [1, 2.5], { timeout: 10_000 });
   * const both = await device.command("Both", [[1, 2], ["one", "two"]]);
   * ```
   */
  async command(
    name: string,
    argument?: unknown,
    options: CallOptions = {},
  ): Promise<unknown> {
    const doing = "execute command";
    checkName(doing, "name", name);
    checkOptions(doing, options);
    checkCommon(doing, options);
    try {
      const { inType } = await this.#commandInfo(name, options);
      return this.#narrow(
        await this.#call(
          doing,
          operations.command(name, inType, argument, this.#settings.source),
          options,
        ),
      );
    } catch (error) {
      if (isReason(error, options)) throw error;
      throw whileDoing(
        error,
        devError(
          "API_CommandFailed",
          `Failed to execute command ${name} of device ${this.name}`,
        ),
      );
    }
  }

  /**
   * Reads an attribute, with all that belongs to its value.
   *
   * @param name Its name, in any case.
   * @param options What ends the wait for the answer.
   * @returns What was read.
   * @throws {DeviceError} If it cannot be read.
   *
   * @example Usage
   * ```ts ignore
   * const { value, quality, time } = await device.readAttribute("current");
   * if (quality === AttrQuality.VALID) console.log(value, new Date(time));
   * ```
   */
  async readAttribute(
    name: string,
    options: CallOptions = {},
  ): Promise<AttributeReading> {
    checkName("read attribute", "name", name);
    const [reading] = await this.readEach([name], options);
    if (reading === undefined || reading instanceof Error) {
      throw reading ?? this.#unexpected();
    }
    return reading;
  }

  /**
   * Reads the values of attributes.
   *
   * @param names Their names, in any case.
   * @param options What ends the wait for the answer.
   * @returns The values, in the order of the names; `undefined` where there is
   * none.
   * @throws {DeviceError} If one of them cannot be read.
   *
   * @example Usage
   * ```ts ignore
   * const [state, current] = await device.readAttributes(["State", "current"]);
   * ```
   */
  async readAttributes(
    names: readonly string[],
    options: CallOptions = {},
  ): Promise<readonly unknown[]> {
    const readings = await this.readEach(names, options);
    return readings.map((reading) => {
      if (reading instanceof Error) throw reading;
      return reading.value;
    });
  }

  /**
   * Reads attributes, each with all that belongs to its value.
   *
   * @param names Their names, in any case.
   * @param options What ends the wait for the answer.
   * @returns What was read, or why it could not be, in the order of the names.
   * @throws {DeviceError} If the device does not answer.
   *
   * @example Usage
   * ```ts ignore
   * for (const reading of await device.readEach(["current", "voltage"])) {
   *   if (reading instanceof DeviceError) console.warn(reading.message);
   *   else console.log(reading.name, reading.value);
   * }
   * ```
   */
  async readEach(
    names: readonly string[],
    options: CallOptions = {},
  ): Promise<readonly (AttributeReading | DeviceError)[]> {
    const doing = "read attributes";
    checkNames(doing, "names", names);
    checkOptions(doing, options);
    checkCommon(doing, options);
    if (names.length === 0) return [];
    const readings = await this.#read(names, options);
    return readings.map((reading, index) =>
      reading instanceof Error
        ? this.#failedTo("read", names[index], reading) as DeviceError
        : reading
    );
  }

  /**
   * Writes an attribute.
   *
   * @param name Its name, in any case.
   * @param value The value: of a spectrum an array, of an image an array of
   * rows; integers of 64 bits may be numbers or bigints.
   * @param options What ends the wait for the answer.
   * @throws {TypeError} If the value is of the wrong type.
   * @throws {RangeError} If it is out of range.
   * @throws {DeviceError} If it cannot be written.
   *
   * @example Usage
   * ```ts ignore
   * await device.writeAttribute("current", 3.5);
   * await device.writeAttribute("image", [[1, 2], [3, 4]]);
   * ```
   */
  async writeAttribute(
    name: string,
    value: unknown,
    options: CallOptions = {},
  ): Promise<void> {
    const doing = "write attribute";
    checkName(doing, "name", name);
    checkOptions(doing, options);
    checkCommon(doing, options);
    try {
      const info = await this.#attributeInfo(name, options);
      await this.#call(
        doing,
        operations.writeAttribute(info, value),
        options,
        "value",
      );
    } catch (error) {
      if (isReason(error, options)) throw error;
      throw this.#failedTo("write", name, error);
    }
  }

  /**
   * Subscribes to events of an attribute. The first event is the value at the
   * moment, where the events are of values.
   *
   * When the server is gone, an event with the reason `API_EventTimeout` says
   * so. The subscription goes on: when the server is back, it is made anew, and
   * the value at that moment is told.
   *
   * @param attribute The name of the attribute, in any case; of no meaning for
   * `"interface-change"`.
   * @param options The kind of events, and what ends the subscription, with the
   * signal's reason.
   * @returns The events, once the subscription stands.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If `capacity` is not a positive integer.
   * @throws {DeviceError} If there is no such attribute, or no events of it.
   *
   * @example Usage
   * ```ts ignore
   * await using changes = await device.subscribe("current");
   * for await (const event of changes) {
   *   if ("errors" in event) console.warn(event.errors[0]?.reason);
   *   else console.log(event.value);
   * }
   * ```
   */
  async subscribe(
    attribute: string,
    options: SubscribeOptions = {},
  ): Promise<TangoSubscription> {
    const doing = "subscribe";
    checkOptions(doing, options);
    checkCommon(doing, options);
    const { signal, type = "change", capacity = 10_000 } = options;
    const types = Object.keys(EVENT_NAMES);
    checkChoice(doing, "type", "a kind of events", types, type);
    checkFiniteCount(doing, "capacity", capacity, 1);
    const ofDevice = type === "interface-change";
    if (!ofDevice) checkName(doing, "attribute", attribute);
    const name = ofDevice ? "" : attribute;
    const admin = await this.#call(doing, operations.adminName, options);
    if (signal?.aborted) throw signal.reason;
    if (this.#isClosed) throw closed(doing);
    const channel = this.#channel(admin.toLowerCase());
    const source: EventSource = { device: this.name, attribute: name, type };
    const scope = new CancelScope(signal);
    const queue: EventQueue = new EventQueue(name, {
      capacity,
      signal,
      onClose: () => {
        this.#subscriptions.delete(queue);
        scope.abort(signal?.aborted ? signal.reason : closed(doing));
        channel.remove(source, listener);
      },
    });
    const listener: Listener = {
      queue,
      read: () => this.#readEvent(name, type, scope.signal),
      int64: this.#settings.int64,
    };
    this.#subscriptions.add(queue);
    try {
      await channel.add(source, listener, scope.signal);
      return queue;
    } catch (error) {
      queue.end();
      if (isReason(error, options)) throw error;
      throw deviceFailure(error, { subject: `device ${this.name}` });
    }
  }

  /**
   * Ends the subscriptions, and closes the connection unless others need it.
   * Calls that wait fail.
   */
  close(): Promise<void> {
    this.#isClosed = true;
    for (const subscription of [...this.#subscriptions]) subscription.end();
    this.#object.close();
    return Promise.resolve();
  }

  /** Closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** An object of the server, or of another that the database knows. */
  #reach(name: string): Reachable {
    const objectKey = encodeText(name);
    const shared = this.#shared;
    const database = this.#databases && new Database(this.#databases, shared);
    const direct = {
      endpoints: this.#endpoint === undefined ? [] : [this.#endpoint],
      objectKey,
    };
    const object = new RemoteObject(
      (options) =>
        database?.importDevice(name, options) ?? Promise.resolve(direct),
      shared,
    );
    return {
      object,
      close() {
        object.close();
        database?.close();
      },
    };
  }

  #channel(admin: string): EventChannel {
    const { clock, maxMessage } = this.#shared;
    const { timeout } = this.#settings;
    const { object, close } = this.#reach(admin);
    const where = this.#databases ?? [this.#endpoint];
    const server = `${JSON.stringify(where)} ${admin} ${maxMessage}`;
    const options = { admin: object, clock, timeout, maxMessage };
    return channelOf(server, options, close);
  }

  /** The value at the moment, as an event, where the events are of values. */
  async #readEvent(
    attribute: string,
    type: EventType,
    signal: AbortSignal,
  ): Promise<TangoEvent | undefined> {
    if (type === "data-ready" || type === "interface-change") return undefined;
    try {
      const [reading] = await this.#read([attribute], { signal });
      if (reading instanceof Error) throw reading;
      return reading && readingEvent(attribute, reading);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      return { attribute, errors: error.errors };
    }
  }

  async #read(
    names: readonly string[],
    options: CallOptions,
  ): Promise<readonly (AttributeReading | DeviceError)[]> {
    const readings = await this.#call(
      "read attributes",
      operations.readAttributes(names, this.#settings.source),
      options,
    );
    if (readings.length !== names.length) throw this.#unexpected();
    if (this.#settings.int64 === "bigint") return readings;
    return readings.map((reading) =>
      reading instanceof Error ? reading : readingWithNumbers(reading)
    );
  }

  #narrow(value: unknown): unknown {
    return this.#settings.int64 === "bigint" ? value : withNumbers(value);
  }

  #failedTo(
    what: string,
    attribute: string | undefined,
    error: unknown,
  ): unknown {
    return whileDoing(
      error,
      devError(
        "API_AttributeFailed",
        `Failed to ${what} attribute ${attribute} of device ${this.name}`,
      ),
    );
  }

  #unexpected(): DeviceError {
    return new DeviceError([
      devError(
        "API_CommunicationFailed",
        `Device ${this.name} has answered something else`,
      ),
    ]);
  }

  /** After a restart of the server the types may be others. */
  #forgetTypes(): void {
    if (this.#object.object.connection === this.#saidBy) return;
    this.#commands.clear();
    this.#attributes.clear();
  }

  async #commandInfo(
    name: string,
    options: CallOptions,
  ): Promise<CommandInfo> {
    const key = name.toLowerCase();
    this.#forgetTypes();
    const known = this.#commands.get(key);
    if (known !== undefined) return known;
    const list = await this.commandList(options);
    this.#saidBy = this.#object.object.connection;
    for (const info of list) this.#commands.set(info.name.toLowerCase(), info);
    const info = this.#commands.get(key);
    if (info !== undefined) return info;
    throw new DeviceError([
      devError(
        "API_CommandNotFound",
        `Command ${name} not found`,
      ),
    ]);
  }

  async #attributeInfo(
    name: string,
    options: CallOptions,
  ): Promise<AttributeInfo> {
    const key = name.toLowerCase();
    this.#forgetTypes();
    const known = this.#attributes.get(key);
    if (known !== undefined) return known;
    const [info] = await this.#call(
      "write attribute",
      operations.attributeList([name]),
      options,
    );
    if (info === undefined) throw this.#unexpected();
    this.#saidBy = this.#object.object.connection;
    this.#attributes.set(key, info);
    return info;
  }

  async #call<T>(
    doing: string,
    operation: Operation<T>,
    options: CallOptions,
    argument = "argument",
  ): Promise<T> {
    checkOptions(doing, options);
    checkCommon(doing, options);
    const { signal, timeout = this.#settings.timeout } = options;
    checkPositive(doing, "timeout", timeout);
    if (this.#isClosed) {
      throw closed(doing);
    }
    try {
      return await this.#object.object.call(operation, { signal, timeout });
    } catch (error) {
      if (isReason(error, options)) throw error;
      if (error instanceof ValueMismatch) {
        const { expected, value, isOutOfRange } = error;
        const message = complain(doing, argument, expected, value);
        throw isOutOfRange ? new RangeError(message) : new TypeError(message);
      }
      throw deviceFailure(error, { subject: `device ${this.name}` });
    }
  }
}
