// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { HttpDeviceSettings } from "./_http_device_options.ts";
import { readText } from "./_lrc_http_body.ts";
import {
  EVENTS_TYPE,
  isRecord,
  JSON_TYPE,
  mediaTypeOf,
  PROBLEM_TYPE,
  readReasons,
} from "./_lrc_http_wire.ts";
import { parseRetryAfter } from "./_retry_after.ts";
import { timeoutError } from "./_wait.ts";
import { abortable, CancelScope } from "./cancellation.ts";
import { type DevError, DeviceError } from "./device_proxy.ts";

/** What is asked for. */
export interface HttpRequest {
  readonly method: "GET" | "POST";
  /** The path below the device; empty for the device itself. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
}

/** The server has answered that it will not, or not now. */
export class HttpDeviceError extends DeviceError {
  readonly status: number;
  /** The body, if it is JSON. */
  readonly body: unknown;
  /** When to come again, in milliseconds from now. */
  readonly retryAfter: number;

  constructor(
    errors: readonly DevError[],
    status: number,
    body: unknown,
    retryAfter: number,
  ) {
    super(errors);
    this.status = status;
    this.body = body;
    this.retryAfter = retryAfter;
  }

  /** Whether asking again would be answered in the same way. */
  get isFinal(): boolean {
    const { status } = this;
    return status >= 400 && status < 500 && status !== 408 && status !== 425 &&
      status !== 429;
  }
}

function reason(name: string, desc: string): DevError {
  return { reason: name, desc, severity: "ERR", origin: "http" };
}

/** Asks the handler of a device, once for each call. */
export class HttpDeviceClient {
  readonly #settings: HttpDeviceSettings;

  constructor(settings: HttpDeviceSettings) {
    this.#settings = settings;
  }

  /**
   * Asks, and waits for the whole answer.
   *
   * @returns The answer, from its JSON.
   * @throws {DeviceError} If there is none, or it is an error.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async ask(request: HttpRequest): Promise<Record<string, unknown>> {
    const { clock, timeout, maxBody, name } = this.#settings;
    const { signal } = request;
    signal?.throwIfAborted();
    const scope = new CancelScope(signal);
    let isLate = false;
    const cancel = timeout === Infinity ? () => {} : clock.setTimer(() => {
      isLate = true;
      scope.abort(timeoutError(timeout));
    }, timeout);
    try {
      const response = await this.#send(request, JSON_TYPE, scope.signal);
      const reading = readText(response.body, maxBody, scope.signal);
      const answer = parse(await abortable(reading, scope.signal));
      if (isRecord(answer)) return answer;
      throw new DeviceError([
        reason("API_CommunicationFailed", "The answer is not understood"),
      ]);
    } catch (error) {
      if (isLate) {
        throw new DeviceError([
          reason("API_DeviceTimedOut", `No answer within ${timeout} ms`),
          this.#failed(name, request),
        ], { cause: error });
      }
      throw this.#translate(error, request);
    } finally {
      cancel();
      scope.dispose();
    }
  }

  /**
   * Opens a stream of events.
   *
   * @throws {DeviceError} If it cannot be opened.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async open(request: HttpRequest): Promise<ReadableStream<Uint8Array>> {
    const { signal } = request;
    try {
      const response = await this.#send(request, EVENTS_TYPE, signal);
      const { body, headers } = response;
      if (body !== null && mediaTypeOf(headers) === EVENTS_TYPE) return body;
      body?.cancel().catch(() => {});
      throw new DeviceError([
        reason("API_CommunicationFailed", "The answer is no stream of events"),
      ]);
    } catch (error) {
      throw this.#translate(error, request);
    }
  }

  /** Sends; what comes back is well. */
  async #send(
    request: HttpRequest,
    accept: string,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    const { url, fetch, headers: given, maxBody, dateNow } = this.#settings;
    const { method, path, body } = request;
    const headers = new Headers(
      await abortable(Promise.resolve(given()), signal) as HeadersInit,
    );
    headers.set("accept", `${accept}, ${PROBLEM_TYPE}`);
    for (const [name, value] of Object.entries(request.headers ?? {})) {
      headers.set(name, value);
    }
    // Neither commands nor headers go to others than those they are meant for.
    const init: RequestInit = { method, headers, redirect: "error" };
    if (signal !== undefined) init.signal = signal;
    if (body !== undefined) init.body = body;
    const sending = fetch(new Request(url + path, init)).then((response) => {
      // It comes although nobody waits for it any more.
      if (signal?.aborted) response.body?.cancel().catch(() => {});
      return response;
    });
    const response = await abortable(sending, signal);
    if (response.status === 200 || response.status === 202) return response;
    const reading = readText(response.body, maxBody, signal);
    const text = await abortable(reading, signal);
    throw failureOf(response, text, dateNow());
  }

  #translate(error: unknown, request: HttpRequest): unknown {
    if (request.signal?.aborted) return request.signal.reason;
    if (error instanceof DeviceError) return error;
    const desc = error instanceof Error ? error.message : String(error);
    return new DeviceError([
      reason("API_CommunicationFailed", `The request has failed: ${desc}`),
      this.#failed(this.#settings.name, request),
    ], { cause: error });
  }

  #failed(name: string, { method, path }: HttpRequest): DevError {
    const { url } = this.#settings;
    return reason(
      "API_CantConnectToDevice",
      `Device '${name}' cannot be reached: ${method} ${url}${path}`,
    );
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function failureOf(
  response: Response,
  text: string,
  now: number,
): HttpDeviceError {
  const { status, headers } = response;
  const body = parse(text);
  const { errors, title, detail } = isRecord(body) ? body : {};
  const said = [title, detail].filter((each) => typeof each === "string");
  const words = [`The server has answered ${status}`, ...said].join(": ");
  return new HttpDeviceError(
    readReasons(errors) ?? [reason(`HTTP_${status}`, words)],
    status,
    body,
    parseRetryAfter(headers, now) ?? 0,
  );
}
