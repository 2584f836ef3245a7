// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * A device that is reached over HTTP, as a `DeviceProxy`: the client of a
 * `DeviceHandler`.
 *
 * @module
 */

import {
  checkOptions,
  checkSignal,
  checkStrings,
  checkType,
} from "./_arguments.ts";
import { HttpDeviceClient, HttpDeviceError } from "./_http_device_client.ts";
import { HttpEvents } from "./_http_device_events.ts";
import {
  type HttpDeviceOptions,
  type HttpDeviceSettings,
  type HttpHeaders,
  settingsOf,
} from "./_http_device_options.ts";
import {
  encodeJson,
  isRecord,
  JSON_TYPE,
  KEY_HEADER,
  MOST_NAMES,
  randomId,
} from "./_lrc_http_wire.ts";
import {
  DeviceError,
  type DeviceOptions,
  type DeviceProxy,
  type DeviceSubscription,
} from "./device_proxy.ts";

export type { HttpDeviceOptions, HttpHeaders };

/**
 * A device behind a `DeviceHandler`. Whatever takes a `DeviceProxy` takes it:
 * `invokeLrc()`, `LongRunningCommand`, another handler.
 *
 * A subscription outlives its connection. When that breaks, or is silent for
 * too long, another takes its place and goes on where the last has ended; the
 * subscriber notices nothing. When it cannot at once, he is told by an event
 * with the reason `API_EventTimeout`, and when events are lost by one with
 * `API_MissedEvents`; after both he is told the value at the moment.
 *
 * A command is sent once. When the answer does not come nobody knows whether
 * the device has taken it.
 *
 * **Gotchas.** Values are JSON: `undefined` in a list and `NaN` become `null`.
 * Each subscription is a connection of its own, of which browsers allow six at
 * a time, unless the server speaks HTTP/2; Bun allows 256 of all
 * (`BUN_CONFIG_MAX_HTTP_REQUESTS`).
 *
 * @example Usage
 * ```ts
 * import { LrcDevice } from "@longrun/tasks/lrc-device";
 * import { DeviceHandler, HttpDevice } from "@longrun/tasks/lrc-http";
 * import { assertEquals } from "@std/assert";
 *
 * await using device = new LrcDevice({
 *   name: "lab/lamp/1",
 *   commands: {},
 *   attributes: { power: 40 },
 * });
 * await using handler = new DeviceHandler(device);
 *
 * const lamp = new HttpDevice("http://localhost/devices/lab%2Flamp%2F1", {
 *   fetch: handler.fetch, // only here, where there is no server
 * });
 * assertEquals(lamp.name, "lab/lamp/1");
 *
 * await using power = await lamp.subscribe("power");
 * await power.next(); // the value at the moment
 * device.setAttribute("power", 60);
 * assertEquals((await power.next()).value, { attribute: "power", value: 60 });
 * ```
 */
export class HttpDevice implements DeviceProxy {
  /** The name of the device. */
  readonly name: string;
  /** Its address. */
  readonly url: string;
  readonly #settings: HttpDeviceSettings;
  readonly #client: HttpDeviceClient;
  #subscriptions = 0;

  /**
   * Names a device. Nothing is sent.
   *
   * @param url The address of the device, `.../devices/{name}`; with the option
   * `name` that of the handler.
   * @param options How it is asked.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(url: string | URL, options: HttpDeviceOptions = {}) {
    const settings = this.#settings = settingsOf(url, options);
    this.name = settings.name;
    this.url = settings.url;
    this.#client = new HttpDeviceClient(settings);
  }

  /** How many subscriptions there are. */
  get subscriptions(): number {
    return this.#subscriptions;
  }

  /**
   * The names of its attributes.
   *
   * @throws {DeviceError} If the device cannot be reached.
   */
  async attributeNames(
    options: DeviceOptions = {},
  ): Promise<readonly string[]> {
    const signal = signalOf("list attributes", options);
    const { attributes } = await this.#client.ask({
      method: "GET",
      path: "",
      signal,
    });
    return listOf(attributes).map(String);
  }

  /**
   * Reads attributes, a hundred in one request.
   *
   * @returns The values, in the order of the names.
   * @throws {DeviceError} If one of them cannot be read.
   */
  async readAttributes(
    names: readonly string[],
    options: DeviceOptions = {},
  ): Promise<readonly unknown[]> {
    const doing = "read attributes";
    checkStrings(doing, "names", names);
    const signal = signalOf(doing, options);
    const asked = [...names];
    const read: unknown[] = [];
    for (let from = 0; from < asked.length; from += MOST_NAMES) {
      const some = asked.slice(from, from + MOST_NAMES);
      const query = some.map((name) => `name=${encodeURIComponent(name)}`);
      const path = `/attributes?${query.join("&")}`;
      const answer = await this.#client.ask({ method: "GET", path, signal });
      read.push(...listOf(answer.values, some.length));
    }
    return read;
  }

  /**
   * Has a command executed. It is sent once, come what may.
   *
   * @param name The name of the command.
   * @param argument Its argument, `undefined` for none.
   * @param options The signal ends the wait for the answer.
   * @returns What it answers; a long-running one `[[code], [text]]`.
   * @throws {DeviceError} If the command is unknown or fails, or there is no
   * answer.
   */
  async command(
    name: string,
    argument?: unknown,
    options: DeviceOptions = {},
  ): Promise<unknown> {
    const doing = "execute command";
    checkType(typeof name === "string", doing, "name", "a string", name);
    const signal = signalOf(doing, options);
    try {
      const { answer } = await this.#client.ask({
        method: "POST",
        path: `/commands/${encodeURIComponent(name)}`,
        headers: {
          "content-type": JSON_TYPE,
          prefer: "respond-async",
          [KEY_HEADER]: randomId(),
        },
        body: encodeJson({ argument }),
        signal,
      });
      return answer;
    } catch (error) {
      const body = error instanceof HttpDeviceError ? error.body : undefined;
      if (isRecord(body) && "answer" in body) return body.answer;
      throw error;
    }
  }

  /**
   * Subscribes to an attribute.
   *
   * @param attribute The name of the attribute.
   * @param options What ends the subscription, with the signal's reason.
   * @returns The events: the value at the moment, then the changes.
   * @throws {DeviceError} If there is no such attribute, or no events of it, or
   * the device cannot be reached.
   */
  async subscribe(
    attribute: string,
    options: DeviceOptions = {},
  ): Promise<DeviceSubscription> {
    const doing = "subscribe";
    checkType(
      typeof attribute === "string",
      doing,
      "attribute",
      "a string",
      attribute,
    );
    const signal = signalOf(doing, options);
    signal?.throwIfAborted();
    const events = new HttpEvents(
      attribute,
      this.#client,
      this.#settings,
      () => this.#subscriptions--,
    );
    this.#subscriptions++;
    if (signal !== undefined) events.outer.obey(signal);
    try {
      return await events.begin();
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw error;
    }
  }
}

function signalOf(
  doing: string,
  options: DeviceOptions,
): AbortSignal | undefined {
  checkOptions(doing, options);
  const { signal } = options;
  checkSignal(doing, signal);
  return signal;
}

function listOf(value: unknown, length?: number): readonly unknown[] {
  if (Array.isArray(value) && value.length === (length ?? value.length)) {
    return value;
  }
  throw new DeviceError([{
    reason: "API_CommunicationFailed",
    desc: "The answer is not understood",
    severity: "ERR",
    origin: "http",
  }]);
}
