// Copyright 2026 the Longrun authors. MIT license.

/**
 * A Tango device, as those see it who use it.
 *
 * @module
 */

import { systemClock } from "@longrun/tasks/clock";
import type { DeviceError } from "@longrun/tasks/device-proxy";
import {
  checkChoice,
  checkCommon,
  checkFiniteCount,
  checkName,
  checkNames,
  checkOptions,
  checkPositive,
  complain,
} from "./_arguments.ts";
import { connections } from "./_connection_pool.ts";
import { type CallSettings, DeviceCalls, isReason } from "./_device_calls.ts";
import { devError, whileDoing } from "./_device_failure.ts";
import { parseDeviceName } from "./_device_name.ts";
import * as operations from "./_device_operations.ts";
import { DeviceRoute } from "./_device_route.ts";
import { DeviceSubscriptions } from "./_device_subscriptions.ts";
import { snapshot } from "./_scalar.ts";
import { TypeCache } from "./_type_cache.ts";
import type { TangoSubscription } from "./device_event.ts";
import type {
  CallOptions,
  ConnectOptions,
  SubscribeOptions,
} from "./device_options.ts";
import {
  type AttributeInfo,
  type AttributeReading,
  type CommandInfo,
  type DeviceInfo,
  DevSource,
  type DevState,
} from "./tango_types.ts";

const CONNECT = "connect to device";

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
    checkFiniteCount(CONNECT, "maxMessage", maxMessage, 1);
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
      parsed.device,
      DeviceRoute.to(parsed, options.tangoHost, shared, CONNECT),
      { timeout, source, int64 },
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
  readonly #calls: DeviceCalls;
  readonly #types: TypeCache;
  readonly #subscriptions: DeviceSubscriptions;

  private constructor(
    name: string,
    route: DeviceRoute,
    settings: CallSettings,
  ) {
    this.name = name;
    this.#calls = new DeviceCalls(name, route.reach(name), settings);
    this.#types = new TypeCache(this.#calls);
    this.#subscriptions = new DeviceSubscriptions(name, route, this.#calls);
  }

  /** Asks whether the device is there. */
  ping(options: CallOptions = {}): Promise<void> {
    return this.#calls.call("ping device", operations.ping, options);
  }

  /** The state of the device. */
  state(options: CallOptions = {}): Promise<DevState> {
    return this.#calls.call("get state", operations.state, options);
  }

  /** The state of the device in words. */
  status(options: CallOptions = {}): Promise<string> {
    return this.#calls.call("get status", operations.status, options);
  }

  /** What is known of the device. */
  info(options: CallOptions = {}): Promise<DeviceInfo> {
    return this.#calls.call("get info", operations.info, options);
  }

  /** What is known of its commands. */
  commandList(options: CallOptions = {}): Promise<readonly CommandInfo[]> {
    return this.#calls.call("list commands", operations.commandList, options);
  }

  /** What is known of its attributes. */
  attributeList(options: CallOptions = {}): Promise<readonly AttributeInfo[]> {
    return this.#calls.call(
      "list attributes",
      operations.attributeList(),
      options,
    );
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
    const given = snapshot(argument);
    try {
      const { inType } = await this.#types.command(name, options);
      const { source } = this.#calls.settings;
      const answer = await this.#calls.call(
        doing,
        operations.command(name, inType, given, source),
        options,
      );
      return this.#calls.narrow(answer);
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
      throw reading ?? this.#calls.unexpected();
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
    const given = Array.isArray(names) ? [...names] : names;
    checkNames(doing, "names", given);
    checkOptions(doing, options);
    checkCommon(doing, options);
    if (given.length === 0) return [];
    const readings = await this.#calls.read(given, options);
    return readings.map((reading, index) =>
      reading instanceof Error
        ? this.#failedTo("read", given[index], reading) as DeviceError
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
    const given = snapshot(value);
    try {
      const info = await this.#types.attribute(name, options);
      await this.#calls.call(
        doing,
        operations.writeAttribute(info, given),
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
   * the value at that moment is told. In place of an event that cannot be read
   * there is one with the reason `API_WrongEventData`.
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
    return await this.#subscriptions.subscribe(attribute, options);
  }

  /**
   * Ends the subscriptions, and closes the connection unless others need it.
   * Calls that wait fail.
   */
  close(): Promise<void> {
    this.#subscriptions.end();
    this.#calls.close();
    return Promise.resolve();
  }

  /** Closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
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
}
