// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { type Channel, type Counter, eventText } from "./_lrc_http_channel.ts";
import { EventKind, formatId, type Position } from "./_lrc_http_wire.ts";
import { reasonsOf } from "./_lrc_errors.ts";
import { formatRetry, HEARTBEAT } from "./_lrc_http_sse.ts";
import { abortable, CancelScope, onAbort } from "./cancellation.ts";
import type { DevError, DeviceEvent } from "./device_proxy.ts";

/** How much is handed to the runtime at a time, in characters. */
const MOST_AT_ONCE = 64 * 1024;

/** A reader that lets so many signs of life lie is given up. */
const MOST_BEATS = 4;

const encoder = new TextEncoder();

function lost(attribute: string): DevError {
  return {
    reason: "API_MissedEvents",
    desc: `Events of attribute '${attribute}' were lost, as they are not ` +
      "kept any more",
    severity: "ERR",
    origin: "subscribe",
  };
}

/**
 * A stream of events on their way to one reader. It has no buffer of its own:
 * it goes along what its channels keep, as fast as its reader takes it, and says
 * so when it was overtaken.
 */
export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #counter: Counter;
  readonly #onLeave: (stream: EventStream) => void;
  readonly #scope: CancelScope = new CancelScope();
  /** Where it is, by channel. */
  readonly #places: Map<Channel, number> = new Map();
  /** The channels whose present value has to be told. */
  readonly #owed: Set<Channel>;
  readonly #ended: Set<Channel> = new Set();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #wakeUp: (() => void) | undefined = undefined;
  #beats = 0;
  #farewell: string | undefined = undefined;
  #hasLeft = false;
  #forget: (() => void) | undefined = undefined;

  /**
   * @param channels Stand already.
   * @param position Where its reader has been before.
   * @param onLeave Called once when it has ended.
   */
  constructor(
    channels: readonly Channel[],
    counter: Counter,
    position: Position | undefined,
    onLeave: (stream: EventStream) => void,
  ) {
    this.#counter = counter;
    this.#onLeave = onLeave;
    this.#owed = new Set(channels);
    const { epoch, sequence } = counter;
    let place = sequence;
    if (position !== undefined) {
      const isKnown = position.epoch === epoch && position.sequence <= sequence;
      place = isKnown ? position.sequence : -1;
    }
    for (const channel of channels) {
      this.#places.set(channel, place);
      channel.join(this.#wake);
    }
    this.body = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: (controller) => this.#pull(controller),
      cancel: () => this.#leave(),
    }, { highWaterMark: 0 });
  }

  /** Ends when a signal aborts: its reader has gone. */
  obey(signal: AbortSignal): void {
    this.#forget = onAbort(signal, () => this.#giveUp());
    if (this.#hasLeft) this.#forget();
  }

  /** Gives a sign of life, or gives up a reader that takes none. */
  beat(): void {
    if (++this.#beats > MOST_BEATS) this.#giveUp();
    else this.#wake();
  }

  /** Ends it after what is left to tell and the advice when to come again. */
  close(retry: number): void {
    this.#farewell = formatRetry(retry);
    this.#wake();
    this.#leave();
  }

  readonly #wake = (): void => {
    this.#wakeUp?.();
  };

  async #pull(
    controller: ReadableStreamDefaultController<Uint8Array>,
  ): Promise<void> {
    const text = await this.#next();
    if (text === undefined) {
      this.#leave();
      controller.close();
    } else {
      controller.enqueue(encoder.encode(text));
    }
  }

  /** What to send next; `undefined` if that was all. */
  async #next(): Promise<string | undefined> {
    for (;;) {
      const text = this.#collect();
      if (text !== "") return text;
      if (this.#farewell === "") return undefined;
      if (this.#farewell !== undefined) {
        const farewell = this.#farewell;
        this.#farewell = "";
        return farewell;
      }
      if (this.#owed.size > 0) {
        const values = await this.#readOwed();
        if (!this.#hasLeft) return values;
        continue;
      }
      if (this.#ended.size === this.#places.size) return undefined;
      if (this.#beats > 0) {
        this.#beats = 0;
        return HEARTBEAT;
      }
      await new Promise<void>((resolve) => this.#wakeUp = resolve);
      this.#wakeUp = undefined;
    }
  }

  /** The events that have come, of all channels in their common order. */
  #collect(): string {
    let text = "";
    while (text.length < MOST_AT_ONCE) {
      text += this.#gaps();
      let next:
        | { channel: Channel; sequence: number; text: string }
        | undefined;
      for (const [channel, place] of this.#places) {
        const entry = channel.after(place);
        if (entry === undefined) {
          text += this.#endOf(channel);
        } else if (next === undefined || entry.sequence < next.sequence) {
          next = { channel, ...entry };
        }
      }
      if (next === undefined) break;
      this.#places.set(next.channel, next.sequence);
      text += next.text;
      this.#beats = 0;
    }
    return text;
  }

  #gaps(): string {
    let text = "";
    for (const [channel, place] of this.#places) {
      if (place >= channel.floor) continue;
      const { attribute } = channel;
      const gap = { attribute, errors: [lost(attribute)] };
      // Without an id: who has read no further has the gap before him still.
      text += eventText(EventKind.GAP, gap, undefined);
      this.#places.set(channel, this.#counter.sequence);
      this.#owed.add(channel);
    }
    return text;
  }

  #endOf(channel: Channel): string {
    if (channel.end === undefined || this.#ended.has(channel)) return "";
    this.#ended.add(channel);
    this.#owed.delete(channel);
    return channel.end;
  }

  /** Reads the present values. All events before them have been told. */
  async #readOwed(): Promise<string> {
    const { epoch, sequence } = this.#counter;
    const owed = [...this.#owed];
    this.#owed.clear();
    for (const channel of owed) this.#places.set(channel, sequence);
    const id = formatId({ epoch, sequence });
    const { signal } = this.#scope;
    const texts = await Promise.all(owed.map(async (channel) => {
      const event = await readPresent(channel, signal);
      return eventText(EventKind.PRESENT, event, id);
    }));
    return texts.join("");
  }

  /** Ends it between two events: if anybody is there, he comes again. */
  #giveUp(): void {
    if (this.#hasLeft) return;
    this.#leave();
    this.#controller?.close();
  }

  #leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#forget?.();
    for (const channel of this.#places.keys()) channel.leave(this.#wake);
    this.#scope.abort();
    this.#onLeave(this);
  }
}

async function readPresent(
  channel: Channel,
  signal: AbortSignal,
): Promise<DeviceEvent> {
  const { device, attribute } = channel;
  try {
    const reading = device.readAttributes([attribute], { signal });
    const [value] = await abortable(reading, signal);
    return { attribute, value };
  } catch (error) {
    return { attribute, errors: reasonsOf(error) };
  }
}
