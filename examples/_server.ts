// Copyright 2026 the Longrun authors. MIT license.

/**
 * The two ends of the demo's stream: a server on the loopback interface that
 * sends samples as server-sent events, and the function that reads them.
 */

import { onAbort } from "../mod.ts";

/** What the demo measures. */
export interface Sample {
  /** The round of the sampler, from 0. */
  readonly round: number;
  /** How late the round began, in milliseconds. */
  readonly late: number;
  /** The load average of the last minute. */
  readonly load: number;
  /** The memory in use, in bytes. */
  readonly used: number;
  /** All the memory there is, in bytes. */
  readonly total: number;
}

/** A client that does not read is sent nothing beyond this many samples. */
const CAPACITY = 64;

type Client = ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;

/** Sends samples to everybody who asks for them. */
export class SampleServer {
  readonly #clients: Set<Client> = new Set();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #encoder: TextEncoder = new TextEncoder();
  /** The samples that wait for the end of a stall. */
  #held: Sample[] | undefined = undefined;

  constructor(signal: AbortSignal) {
    this.#server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {},
    }, () => this.#respond());
    onAbort(signal, () => {
      for (const client of this.#clients) client.close();
      this.#clients.clear();
      this.#server.shutdown();
    });
  }

  /** Where the samples are. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/samples`;
  }

  /** How many clients are connected. */
  get clients(): number {
    return this.#clients.size;
  }

  /** Settles when the server has closed. */
  get finished(): Promise<void> {
    return this.#server.finished;
  }

  /** Sends a sample, unless the server stalls. */
  publish(sample: Sample): void {
    if (this.#held !== undefined) {
      this.#held.push(sample);
      return;
    }
    const event = `id: ${sample.round}\ndata: ${JSON.stringify(sample)}\n\n`;
    const bytes = this.#encoder.encode(event);
    for (const client of this.#clients) {
      if ((client.desiredSize ?? 0) > 0) client.enqueue(bytes);
    }
  }

  /** From now on nothing is sent: the connection is there, and silent. */
  stall(): void {
    this.#held ??= [];
  }

  /** Sends what has been held back. */
  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const sample of held) this.publish(sample);
  }

  #respond(): Response {
    let client: Client;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        client = controller;
        this.#clients.add(client);
      },
      // The platform's word for "the client has gone".
      cancel: () => {
        this.#clients.delete(client);
      },
    }, { highWaterMark: CAPACITY });
    return new Response(body, {
      headers: {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
      },
    });
  }
}

/**
 * The samples of a response. This knows as much about server-sent events as
 * the server above makes use of; for those of others take a whole parser.
 */
export async function* readSamples(
  url: string,
  signal: AbortSignal,
): AsyncGenerator<Sample> {
  const response = await fetch(url, { signal });
  if (!response.ok || response.body === null) {
    throw new Error(`Cannot read ${url}: status ${response.status}`);
  }
  let text = "";
  for await (
    const chunk of response.body.pipeThrough(new TextDecoderStream())
  ) {
    const events = (text + chunk).split("\n\n");
    text = events.pop() ?? "";
    for (const event of events) {
      for (const line of event.split("\n")) {
        if (line.startsWith("data: ")) yield JSON.parse(line.slice(6));
      }
    }
  }
}
