// Copyright 2026 the Longrun authors. MIT license.

import { createParser } from "eventsource-parser";

/** An event as a test looks at it. */
export interface SeenEvent {
  readonly id: string | undefined;
  readonly event: string | undefined;
  // deno-lint-ignore no-explicit-any
  readonly data: any;
}

/** Reads a stream of server-sent events, one after the other. */
export class SseReader implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  readonly #events: SeenEvent[] = [];
  readonly #parser = createParser({
    onEvent: ({ id, event, data }) =>
      void this.#events.push({ id, event, data: JSON.parse(data) }),
  });
  /** All that has come. */
  text = "";
  isDone = false;

  constructor(response: Response) {
    if (response.body === null) throw new TypeError("There is no body");
    this.#reader = response.body.getReader();
  }

  /** Reads one piece. @returns Whether there was any. */
  async read(): Promise<boolean> {
    const { done, value } = await this.#reader.read();
    if (done) {
      this.isDone = true;
      return false;
    }
    const text = this.#decoder.decode(value, { stream: true });
    this.text += text;
    this.#parser.feed(text);
    return true;
  }

  /** The next event; `undefined` at the end. */
  async next(): Promise<SeenEvent | undefined> {
    while (this.#events.length === 0) if (!await this.read()) return undefined;
    return this.#events.shift();
  }

  /** So many events, or all there are to the end. */
  async take(count: number): Promise<SeenEvent[]> {
    const events: SeenEvent[] = [];
    while (events.length < count) {
      const event = await this.next();
      if (event === undefined) break;
      events.push(event);
    }
    return events;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}
