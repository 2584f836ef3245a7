// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { SseParser } from "../_lrc_http_sse.ts";
import {
  LrcDevice,
  type LrcDeviceOptions,
  type LrcExecution,
} from "../lrc_device.ts";
import {
  DeviceHandler,
  type DeviceHandlerOptions,
  HttpDevice,
  type HttpDeviceOptions,
} from "../lrc_http.ts";
import { ManualClock } from "../testing.ts";
import { CountingClock } from "./_counting_clock.ts";
import { Held } from "./_lrc_device_rig.ts";
import { RecordingLogger } from "./_recording_logger.ts";

/** Where the handler is, for those who reach it without a socket. */
export const BASE = "http://localhost:8080";

/** An event as it was sent. */
export interface SentEvent {
  readonly event: string;
  readonly id: string;
  readonly data: { attribute: string; value?: unknown; errors?: unknown[] };
}

/** Reads the events of a response, one at a time. */
export class SentEvents {
  readonly response: Response;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #events: SentEvent[] = [];
  readonly #parser: SseParser;
  /** The text as it came. */
  text = "";
  done = false;

  constructor(response: Response) {
    assert(response.body !== null);
    this.response = response;
    this.#reader = response.body.getReader();
    this.#parser = new SseParser(10_000_000, ({ event, id, data }) => {
      this.#events.push({ event, id, data: JSON.parse(data) });
    });
  }

  get retry(): number | undefined {
    return this.#parser.retry;
  }

  /** The next piece, whatever is in it. */
  async read(): Promise<boolean> {
    const { done, value } = await this.#reader.read();
    if (done) return !(this.done = true);
    const text = new TextDecoder().decode(value);
    this.text += text;
    this.#parser.push(text);
    return true;
  }

  /** The next event; `undefined` if there is none any more. */
  async next(): Promise<SentEvent | undefined> {
    while (this.#events.length === 0 && await this.read());
    return this.#events.shift();
  }

  /** So many events, as kinds and values. */
  async take(count: number): Promise<unknown[][]> {
    const taken: unknown[][] = [];
    while (taken.length < count) {
      const sent = await this.next();
      if (sent === undefined) break;
      const { event, data } = sent;
      taken.push([
        event,
        "errors" in data ? reasonOf(data.errors) : data.value,
      ]);
    }
    return taken;
  }

  async leave(): Promise<void> {
    await this.#reader.cancel();
  }
}

function reasonOf(errors: unknown[] = []): unknown {
  return (errors[0] as { reason?: unknown })?.reason;
}

/** The JSON of a response, and its status. */
export async function answerOf(response: Response): Promise<unknown[]> {
  return [response.status, JSON.parse(await response.text())];
}

/** A device behind a handler, in virtual time and without sockets. */
export class HttpRig implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly timers: CountingClock = new CountingClock(this.clock);
  readonly logger = new RecordingLogger();
  readonly held = new Held();
  readonly device: LrcDevice<Record<string, unknown>, { level: unknown }>;
  handler: DeviceHandler;
  readonly #options: DeviceHandlerOptions;

  constructor(
    options: DeviceHandlerOptions = {},
    more: Partial<LrcDeviceOptions<Record<string, unknown>, never>> = {},
  ) {
    const { timers: clock, logger } = this;
    this.device = new LrcDevice({
      name: "test/http/1",
      clock,
      logger,
      attributes: { level: 0 },
      ...more,
      commands: {
        Hold: this.held.execute,
        Add: {
          answer: ({ argument }: { argument: unknown }) => {
            const [a, b] = argument as [number, number];
            return a + b;
          },
        },
        Fail: {
          answer: () => {
            throw new Error("no");
          },
        },
        Refused: {
          execute: (_: LrcExecution) => {},
          refuse: () => "Not today",
        },
        ...more.commands,
      },
    });
    this.#options = { clock, logger, ...options };
    this.handler = new DeviceHandler(this.device, this.#options);
  }

  /** Another handler of the same device, as after a restart. */
  async restart(): Promise<void> {
    await this.handler.close();
    this.handler = new DeviceHandler(this.device, this.#options);
  }

  pass(ms = 0): Promise<void> {
    return this.clock.advance(ms);
  }

  get(path: string, init: RequestInit = {}): Promise<Response> {
    return this.handler.fetch(
      new Request(`${BASE}/devices/test%2Fhttp%2F1${path}`, init),
    );
  }

  post(
    command: string,
    body: unknown = {},
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return this.get(`/commands/${command}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  }

  /** Opens a stream of events. */
  async events(
    query: string,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<SentEvents> {
    const response = await this.get(`/events?attribute=${query}`, {
      headers,
      ...(signal === undefined ? {} : { signal }),
    });
    assertEquals(response.status, 200);
    return new SentEvents(response);
  }

  /** A client of the handler that is there at the time. */
  client(options: HttpDeviceOptions = {}): HttpDevice {
    const { timers: clock, logger } = this;
    return new HttpDevice(BASE, {
      name: "test/http/1",
      clock,
      logger,
      fetch: (request) => this.handler.fetch(request),
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handler.close();
    const stopping = this.device.stop({ grace: 0 });
    await this.pass();
    await stopping;
    assertEquals(this.handler.streams, 0, "streams left");
    assertEquals(this.handler.subscriptions, 0, "subscriptions left");
    assertEquals(this.handler.requests, 0, "requests left");
    assertEquals(this.device.subscriptions, 0, "subscriptions of the device");
    assertEquals(this.timers.timers, 0, "timers left");
  }
}
