// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Devices with long-running commands over HTTP: the side that serves them,
 * {@linkcode DeviceHandler}, and the side that uses them, {@linkcode HttpDevice}.
 *
 * ```text
 *            POST .../commands/Scan          202, the id, Location
 * HttpDevice ------------------------> DeviceHandler ----> LrcDevice
 *            <------------------------               <----
 *            GET .../events: STAGING, QUEUED, IN_PROGRESS, COMPLETED
 * ```
 *
 * @module
 */

import { Answers } from "./_lrc_http_answers.ts";
import { checkGate, preflight } from "./_lrc_http_gate.ts";
import { EventHub } from "./_lrc_http_hub.ts";
import type { LrcOperation } from "./_lrc_http_operations.ts";
import {
  type Authorize,
  type DeviceAccess,
  type DeviceHandlerOptions,
  devicesOf,
  type HandlerSettings,
  settingsOf,
} from "./_lrc_http_options.ts";
import { deviceProblem, Problem, unavailable } from "./_lrc_http_problem.ts";
import { routeOf } from "./_lrc_http_routes.ts";
import {
  encodeJson,
  EVENTS_TYPE,
  JSON_TYPE,
  parseId,
} from "./_lrc_http_wire.ts";
import { report } from "./_report.ts";
import { abortable, CancelScope } from "./cancellation.ts";
import type { DeviceProxy } from "./device_proxy.ts";

export {
  HttpDevice,
  type HttpDeviceOptions,
  type HttpHeaders,
} from "./http_device.ts";
export type { Authorize, DeviceAccess, DeviceHandlerOptions, LrcOperation };

/**
 * Serves devices over HTTP: a `fetch` handler for `Deno.serve`, `Bun.serve` and
 * whatever else has requests and responses.
 *
 * Below the `base`, with the name of the device encoded as one segment
 * (`mid%2Fdish%2F1`):
 *
 * | request                                    | gives                              |
 * | ------------------------------------------ | ---------------------------------- |
 * | `GET /devices`                             | the names of the devices           |
 * | `GET /devices/{name}`                      | its attributes and commands        |
 * | `GET /devices/{name}/attributes/{name}`    | a value                            |
 * | `GET /devices/{name}/attributes?name=...`  | values                             |
 * | `POST /devices/{name}/commands/{name}`     | the answer to a command            |
 * | `GET /devices/{name}/operations/{id}`      | what a long-running command is at  |
 * | `GET /devices/{name}/events?attribute=...` | events, as server-sent events      |
 *
 * **Gotchas.** A handler cannot see where a request comes from. Without `hosts`
 * or `authorize` it answers only those that call it by a name of this machine,
 * such as `localhost`; that keeps web pages out, but whoever reaches the port
 * can claim any name: let the server listen on 127.0.0.1, too. Disposing of the
 * handler leaves the devices as they are.
 *
 * @example Usage
 * ```ts
 * import { ResultCode } from "@longrun/tasks/device-proxy";
 * import { LongRunningCommand } from "@longrun/tasks/long-running-command";
 * import { LrcDevice } from "@longrun/tasks/lrc-device";
 * import { DeviceHandler, HttpDevice } from "@longrun/tasks/lrc-http";
 * import { assertEquals } from "@std/assert";
 *
 * await using device = new LrcDevice({
 *   name: "lab/stage/1",
 *   commands: { Home: () => [ResultCode.OK, "Home is found"] },
 * });
 * await using handler = new DeviceHandler(device);
 * // Deno.serve({ hostname: "127.0.0.1", port: 8080 }, handler.fetch);
 *
 * const stage = new HttpDevice("http://127.0.0.1:8080", {
 *   name: "lab/stage/1",
 *   fetch: handler.fetch, // only here, where there is no server
 * });
 * const home = new LongRunningCommand("Home");
 * const { message } = await home.execute(stage, undefined, { timeout: 60_000 });
 * assertEquals(message, "Home is found");
 * ```
 */
export class DeviceHandler implements AsyncDisposable {
  readonly #devices: ReadonlyMap<string, DeviceProxy>;
  readonly #settings: HandlerSettings;
  readonly #scope: CancelScope = new CancelScope();
  readonly #hub: EventHub;
  readonly #answers: Answers;
  #requests = 0;
  #closing: Promise<void> | undefined = undefined;

  /**
   * Creates a handler.
   *
   * @param devices The device or the devices. They may be anywhere: over
   * devices that are reached by another way the handler is a gateway.
   * @param options Its limits, and who may ask.
   * @throws {TypeError} If an argument is of the wrong type, or two devices
   * have the same name.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    devices: DeviceProxy | Iterable<DeviceProxy>,
    options: DeviceHandlerOptions = {},
  ) {
    this.#devices = devicesOf(devices);
    const settings = this.#settings = settingsOf(options);
    this.#hub = new EventHub(settings);
    this.#answers = new Answers(this.#devices, settings, this.#scope.signal);
  }

  /** How many streams of events there are. */
  get streams(): number {
    return this.#hub.streams;
  }

  /** How many attributes are subscribed to, for the streams. */
  get subscriptions(): number {
    return this.#hub.subscriptions;
  }

  /** How many requests wait for their answers. */
  get requests(): number {
    return this.#requests;
  }

  /**
   * Answers a request. Can be passed on without its handler. Never rejects.
   *
   * @param request The request.
   * @param info What the server tells besides, for `authorize`.
   * @returns The response; an error is one, too.
   */
  readonly fetch = async (
    request: Request,
    info?: unknown,
  ): Promise<Response> => {
    this.#requests++;
    const scope = new CancelScope(request.signal, this.#scope.signal);
    let more: Record<string, string> = {};
    try {
      const url = new URL(request.url);
      more = checkGate(request, url, this.#settings);
      const response = await this.#respond(request, url, info, scope.signal);
      return withHeaders(response, more);
    } catch (error) {
      return withHeaders(this.#responseTo(error, scope.signal), more);
    } finally {
      scope.dispose();
      this.#requests--;
    }
  };

  /**
   * Ends all streams, which advises their readers when to come again, and
   * leaves the devices. Whatever is asked from now on is unavailable.
   *
   * @returns A promise that resolves when the devices were left.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** Closes the handler. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#scope.abort(this.#closed());
    this.#answers.clear();
    await this.#hub.close();
  }

  #closed(): Problem {
    return unavailable("The server is closing", this.#settings.retryAfter);
  }

  #responseTo(error: unknown, signal: AbortSignal): Response {
    try {
      return this.#problemOf(error, signal).toResponse();
    } catch (failure) {
      // A device may fail with, or reject with, what JSON cannot carry.
      return this.#problemOf(failure, signal).toResponse();
    }
  }

  #problemOf(error: unknown, signal: AbortSignal): Problem {
    if (error instanceof Problem) return error;
    // Nobody is there any more to read it.
    if (signal.aborted) return this.#closed();
    const problem = deviceProblem(error, this.#settings.retryAfter);
    if (problem.status === 500) {
      const sentence = "A request to a device has failed";
      report(this.#settings.logger, "warn", sentence, { error });
    }
    return problem;
  }

  async #respond(
    request: Request,
    url: URL,
    info: unknown,
    signal: AbortSignal,
  ): Promise<Response> {
    signal.throwIfAborted();
    const { method } = request;
    if (method === "OPTIONS") return preflight();
    const { base } = this.#settings;
    const route = routeOf(method, url, base, this.#devices);
    const refusal = await this.#refusalOf(request, route.access, info, signal);
    if (refusal !== undefined) return refusal;
    if (route.kind === "events") {
      return await this.#stream(request, route.device, route.names, signal);
    }
    const { status, headers, body } = await this.#answers.answer(
      request,
      route,
      signal,
    );
    return new Response(method === "HEAD" ? null : encodeJson(body), {
      status,
      headers: { "content-type": JSON_TYPE, ...headers },
    });
  }

  async #refusalOf(
    request: Request,
    access: DeviceAccess,
    info: unknown,
    signal: AbortSignal,
  ): Promise<Response | undefined> {
    const { authorize, logger } = this.#settings;
    if (authorize === undefined) return undefined;
    let verdict: boolean | Response;
    try {
      const asking = Promise.resolve(authorize(request, access, info));
      verdict = await abortable(asking, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      report(logger, "error", "Nobody knows who may ask", { error });
      throw new Problem(500, "not-authorized", "Nobody knows who may ask");
    }
    if (verdict instanceof Response && verdict.status >= 200) return verdict;
    if (verdict === true) return undefined;
    throw new Problem(403, "forbidden", "You may not do this");
  }

  async #stream(
    request: Request,
    device: DeviceProxy,
    names: readonly string[],
    signal: AbortSignal,
  ): Promise<Response> {
    const id = request.headers.get("last-event-id");
    const position = id === null || id === ""
      ? undefined
      : parseId(id) ?? { epoch: "", sequence: 0 };
    const stream = await this.#hub.open(device, names, position, signal);
    stream.obey(request.signal);
    return new Response(stream.body, {
      headers: { "content-type": EVENTS_TYPE, "x-accel-buffering": "no" },
    });
  }
}

/** The response with the headers that all have, and more. */
function withHeaders(
  response: Response,
  more: Readonly<Record<string, string>>,
): Response {
  // One that came from elsewhere may not let itself be changed.
  const changed = new Response(response.body, response);
  const all = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...more,
  };
  for (const [name, value] of Object.entries(all)) {
    changed.headers.set(name, value);
  }
  return changed;
}
