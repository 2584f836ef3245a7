// Copyright 2026 the Longrun authors. MIT license.

import { abortable, CancelScope } from "@longrun/tasks/cancellation";
import type { Clock } from "@longrun/tasks/clock";
import { errorOfAnswer, ProcedureClientError } from "./_client_error.ts";

/** The longest answer that is read, in bytes. */
const MAX_BODY = 64 * 1024 * 1024;

/** What all requests share. */
export interface HttpSettings {
  /** Where the service is, without a slash at the end. */
  readonly url: string;
  readonly token: string | undefined;
  readonly fetch: (request: Request) => Promise<Response>;
  readonly clock: Clock;
  /** How long an answer may take, in milliseconds. */
  readonly timeout: number;
}

/** What is asked for. */
export interface HttpCall {
  readonly method: "GET" | "POST" | "PUT";
  /** The path below the service. */
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** Asks a service, once for each call. */
export class HttpCaller {
  readonly #settings: HttpSettings;

  constructor(settings: HttpSettings) {
    this.#settings = settings;
  }

  /** Asks, and waits for the whole answer: its JSON. */
  ask(call: HttpCall): Promise<unknown> {
    return this.#inTime(call, async (signal) => {
      const response = await this.#send(call, "application/json", signal);
      const text = await textOf(response, signal);
      try {
        return JSON.parse(text);
      } catch (cause) {
        throw new ProcedureClientError(
          "bad-answer",
          `The answer to ${call.method} ${this.#settings.url}${call.path} ` +
            "is no JSON: is this a service of procedures?",
          { status: response.status, cause },
        );
      }
    });
  }

  /**
   * Opens a stream of events. The time limit is that of the first answer; the
   * stream itself ends with the signal.
   */
  async open(call: HttpCall): Promise<ReadableStream<Uint8Array>> {
    const life = new CancelScope(call.signal);
    const opening = { ...call, signal: life.signal };
    try {
      const response = await this.#inTime(
        opening,
        () => this.#send(opening, "text/event-stream", life.signal),
      );
      const { body, headers } = response;
      const type = headers.get("content-type") ?? "";
      if (body !== null && type.startsWith("text/event-stream")) return body;
      body?.cancel().catch(() => {});
      throw new ProcedureClientError(
        "bad-answer",
        `${this.#settings.url}${call.path} is no stream of events`,
        { status: response.status },
      );
    } catch (error) {
      life.abort(error);
      throw error;
    }
  }

  async #inTime<T>(
    call: HttpCall,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { clock, timeout, url } = this.#settings;
    const { signal, method, path } = call;
    signal?.throwIfAborted();
    using scope = new CancelScope(signal);
    let isLate = false;
    const cancel = timeout === Infinity ? () => {} : clock.setTimer(() => {
      isLate = true;
      scope.abort(new DOMException("Timed out", "TimeoutError"));
    }, timeout);
    try {
      return await abortable(work(scope.signal), scope.signal);
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      if (isLate) {
        throw new ProcedureClientError(
          "timeout",
          `No answer to ${method} ${url}${path} within ${timeout} ms`,
          { cause },
        );
      }
      if (cause instanceof ProcedureClientError) throw cause;
      throw new ProcedureClientError(
        "unreachable",
        `Cannot reach the service at ${url}: ${reasonOf(cause)}`,
        { cause },
      );
    } finally {
      cancel();
    }
  }

  /** Sends; what comes back is well. */
  async #send(
    call: HttpCall,
    accept: string,
    signal: AbortSignal,
  ): Promise<Response> {
    const { url, token, fetch } = this.#settings;
    const { method, path, body } = call;
    const headers = new Headers(call.headers);
    headers.set("accept", `${accept}, application/problem+json`);
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
    // Neither commands nor the token go to others than those they are meant for.
    const init: RequestInit = { method, headers, signal, redirect: "error" };
    if (body !== undefined) {
      headers.set("content-type", "application/json");
      init.body = JSON.stringify(body);
    }
    const response = await fetch(new Request(url + path, init));
    // It comes although nobody waits for it any more.
    if (signal.aborted) response.body?.cancel().catch(() => {});
    signal.throwIfAborted();
    if (response.ok) return response;
    throw errorOfAnswer(response, await textOf(response, signal), path);
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  const { message } = cause instanceof Error ? cause : error;
  // What comes first says again what was asked for.
  return message.split(": ").at(-1) ?? message;
}

/** The text of a body; never more than there may be. */
async function textOf(
  response: Response,
  signal: AbortSignal,
): Promise<string> {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await abortable(reader.read(), signal);
      if (done) return text + decoder.decode();
      size += value.length;
      if (size > MAX_BODY) {
        throw new ProcedureClientError(
          "bad-answer",
          `The answer is longer than ${MAX_BODY} bytes`,
          { status: response.status },
        );
      }
      text += decoder.decode(value, { stream: true });
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
