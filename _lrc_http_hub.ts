// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  Channel,
  type ChannelSettings,
  type Counter,
} from "./_lrc_http_channel.ts";
import { unavailable } from "./_lrc_http_problem.ts";
import { EventStream } from "./_lrc_http_stream.ts";
import { type Position, randomId } from "./_lrc_http_wire.ts";
import { abortable } from "./cancellation.ts";
import type { DeviceProxy } from "./device_proxy.ts";

/** What limits the streams of a handler. */
export interface HubSettings extends ChannelSettings {
  readonly maxStreams: number;
  readonly heartbeat: number;
  readonly retryAfter: number;
}

/** The streams of a handler, and the subscriptions that they share. */
export class EventHub {
  readonly #settings: HubSettings;
  // Another life of the server counts from the beginning.
  readonly #counter: Counter = { epoch: randomId(), sequence: 0 };
  readonly #channels: Map<DeviceProxy, Map<string, Channel>> = new Map();
  readonly #streams: Set<EventStream> = new Set();
  #opening = 0;
  #cancelBeat: (() => void) | undefined = undefined;

  constructor(settings: HubSettings) {
    this.#settings = settings;
  }

  /** How many streams there are. */
  get streams(): number {
    return this.#streams.size;
  }

  /** How many attributes are subscribed to. */
  get subscriptions(): number {
    let count = 0;
    for (const channels of this.#channels.values()) count += channels.size;
    return count;
  }

  /**
   * Opens a stream, which stands when this resolves.
   *
   * @throws {Problem} If there are too many.
   * @throws {DeviceError} If one of the attributes cannot be subscribed to.
   */
  async open(
    device: DeviceProxy,
    attributes: readonly string[],
    position: Position | undefined,
    signal: AbortSignal,
  ): Promise<EventStream> {
    const { maxStreams, retryAfter } = this.#settings;
    if (this.#streams.size + this.#opening >= maxStreams) {
      throw unavailable(
        `There are ${maxStreams} streams of events already`,
        retryAfter,
      );
    }
    const channels = attributes.map((name) => this.#channelOf(device, name));
    const hold = (): void => {};
    for (const channel of channels) channel.join(hold);
    this.#opening++;
    try {
      await abortable(
        Promise.all(channels.map(({ opened }) => opened)),
        signal,
      );
      signal.throwIfAborted();
      const stream = new EventStream(
        channels,
        this.#counter,
        position,
        (stream) => this.#remove(stream),
      );
      this.#streams.add(stream);
      if (this.#streams.size === 1) this.#beatLater();
      return stream;
    } finally {
      this.#opening--;
      for (const channel of channels) channel.leave(hold);
    }
  }

  /** Ends all streams and leaves all devices. */
  async close(): Promise<void> {
    const { retryAfter } = this.#settings;
    for (const stream of [...this.#streams]) stream.close(retryAfter);
    const all = [...this.#channels.values()];
    const channels = all.flatMap((channels) => [...channels.values()]);
    await Promise.all(channels.map((channel) => channel.close()));
  }

  #channelOf(device: DeviceProxy, attribute: string): Channel {
    let channels = this.#channels.get(device);
    if (channels === undefined) {
      this.#channels.set(device, channels = new Map());
    }
    const joined = channels;
    const name = attribute.toLowerCase();
    const found = joined.get(name);
    if (found !== undefined) return found;
    const channel: Channel = new Channel(
      device,
      attribute,
      this.#counter,
      this.#settings,
      () => {
        if (joined.get(name) === channel) joined.delete(name);
      },
    );
    joined.set(name, channel);
    return channel;
  }

  #remove(stream: EventStream): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    this.#cancelBeat?.();
    this.#cancelBeat = undefined;
  }

  #beatLater(): void {
    const { clock, heartbeat } = this.#settings;
    this.#cancelBeat = clock.setTimer(
      () => {
        for (const stream of [...this.#streams]) stream.beat();
        if (this.#streams.size > 0) this.#beatLater();
      },
      heartbeat,
      { ref: false },
    );
  }
}
