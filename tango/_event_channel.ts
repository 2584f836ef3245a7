// Copyright 2026 the Longrun authors. MIT license.

import { abortable, CancelScope, sleep } from "@longrun/tasks/cancellation";
import type { Clock } from "@longrun/tasks/clock";
import { DeviceError } from "@longrun/tasks/device-proxy";
import { MarshalError } from "./_cdr_reader.ts";
import { devError } from "./_device_failure.ts";
import { command, ping } from "./_device_operations.ts";
import { EventFeed, type Listener } from "./_event_feed.ts";
import { topicOf } from "./_event_message.ts";
import type { Endpoint } from "./_giop_connection.ts";
import type { RemoteObject } from "./_remote_object.ts";
import { ZmtpError } from "./_zmtp_codec.ts";
import { ZmtpSubscriber } from "./_zmtp_subscriber.ts";
import type { EventType } from "./device_event.ts";
import { CmdArgType, DevSource } from "./tango_types.ts";

/** After how many milliseconds without a heartbeat a server counts as gone. */
const SILENCE = 11_000;

/** After how many milliseconds a server is told that events are still wanted. */
const RENEWAL = 200_000;

/** How many milliseconds are between the attempts to find a server again. */
const PAUSES = [1000, 2000, 5000, 10_000] as const;

/** What the device that looks after a server says of events. */
interface Address {
  readonly heartbeats: Endpoint;
  readonly events: Endpoint;
  readonly topic: string;
  readonly heartbeatTopic: string;
}

function endpointOf(text: string | undefined): Endpoint {
  const [, host, port] = /^tcp:\/\/\[?([^\]]+)\]?:(\d+)$/.exec(text ?? "") ??
    [];
  if (host !== undefined && port !== undefined) {
    return { host, port: Number(port) };
  }
  throw new MarshalError(`${JSON.stringify(text)} is no address of events`);
}

function addressOf(answer: unknown): Address {
  const strings: unknown = Array.isArray(answer) ? answer[1] : undefined;
  if (!Array.isArray(strings)) {
    throw new MarshalError("A server says nothing of its events");
  }
  // The addresses come in pairs, one for each network of the server.
  const [heartbeats, events] = strings;
  const [topic, heartbeatTopic] = strings.slice(-2);
  return {
    heartbeats: endpointOf(heartbeats),
    events: endpointOf(events),
    topic,
    heartbeatTopic,
  };
}

function isSame(a: Endpoint, b: Endpoint | undefined): boolean {
  return a.host === b?.host && a.port === b.port;
}

function noEvents(cause: unknown): DeviceError {
  return new DeviceError([
    devError("API_ZmqFailed", String(cause)),
    devError(
      "API_EventTimeout",
      "Event channel is not responding anymore, maybe the server or event " +
        "system is down",
    ),
  ], { cause });
}

/** Two connections to a server: one for events, one for its heartbeats. */
interface Link {
  readonly address: Address;
  readonly events: ZmtpSubscriber;
  readonly heartbeats: ZmtpSubscriber;
}

/** Options of {@linkcode EventChannel}. */
export interface EventChannelOptions {
  /** The device that looks after the server. */
  readonly admin: RemoteObject;
  readonly clock: Clock;
  /** How long its answers may take. */
  readonly timeout: number;
  /** How many bytes a message may have. */
  readonly maxMessage: number;
  /** Called when nobody wants events of the server any more. */
  readonly onIdle: () => void;
}

/** The events of a server, for all who want to know of them. */
export class EventChannel {
  readonly #options: EventChannelOptions;
  readonly #scope = new CancelScope();
  readonly #feeds = new Map<string, EventFeed>();
  readonly #byTopic = new Map<string, EventFeed>();
  #link: Promise<Link> | undefined = undefined;
  #linked: Link | undefined = undefined;
  #lastHeard = 0;
  #isRecovering = false;
  #cancelWatch: (() => void) | undefined = undefined;
  #cancelRenewal: (() => void) | undefined = undefined;

  constructor(options: EventChannelOptions) {
    this.#options = options;
  }

  /** How many kinds of events of attributes are wanted. */
  get size(): number {
    return this.#feeds.size;
  }

  /**
   * Begins to tell a listener of events: first the value at the moment, then
   * what comes.
   *
   * @throws {DeviceError} If there are no such events.
   */
  async add(
    device: string,
    attribute: string,
    type: EventType,
    listener: Listener,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const key = `${device}/${attribute}.${type}`.toLowerCase();
    let feed = this.#feeds.get(key);
    if (feed === undefined) {
      feed = new EventFeed(device, attribute, type);
      this.#feeds.set(key, feed);
    }
    feed.listeners.add(listener);
    try {
      await abortable(this.#subscribe(feed), signal);
      // The server has taken the subscription by the time it answers this.
      await this.#options.admin.call(ping, this.#waiting(signal));
      await this.#tellValue(listener);
    } catch (error) {
      this.remove(device, attribute, type, listener);
      throw error instanceof ZmtpError ? noEvents(error) : error;
    }
  }

  /** Stops telling a listener. */
  remove(
    device: string,
    attribute: string,
    type: EventType,
    listener: Listener,
  ): void {
    const key = `${device}/${attribute}.${type}`.toLowerCase();
    const feed = this.#feeds.get(key);
    if (!feed?.listeners.delete(listener) || feed.listeners.size > 0) return;
    this.#feeds.delete(key);
    if (feed.topic !== undefined) {
      this.#byTopic.delete(feed.topic);
      this.#linked?.events.unsubscribe(feed.topic);
    }
    if (this.#feeds.size === 0) this.#close();
  }

  #close(): void {
    this.#scope.abort(new Error("Nobody wants events of the server any more"));
    this.#unlink();
    this.#cancelRenewal?.();
    this.#options.onIdle();
  }

  #waiting(signal?: AbortSignal) {
    return { signal, timeout: this.#options.timeout };
  }

  /** Asks the server for events, and connects to where they are sent. */
  async #subscribe(feed: EventFeed): Promise<void> {
    const address = addressOf(
      await this.#options.admin.call(
        command(
          "ZmqEventSubscriptionChange",
          CmdArgType.DevVarStringArray,
          feed.request,
          DevSource.DEV,
        ),
        this.#waiting(this.#scope.signal),
      ),
    );
    const link = await this.#connect(address);
    if (feed.listeners.size === 0 || feed.topic === address.topic) return;
    if (feed.topic !== undefined) {
      this.#byTopic.delete(feed.topic);
      link.events.unsubscribe(feed.topic);
    }
    feed.restart(address.topic);
    this.#byTopic.set(address.topic, feed);
    link.events.subscribe(address.topic);
  }

  /** The value at the moment, then what has come meanwhile, then the rest. */
  async #tellValue(listener: Listener): Promise<void> {
    const { queue } = listener;
    listener.early ??= [];
    const event = await listener.read();
    if (event !== undefined) queue.push(event);
    for (const one of listener.early ?? []) queue.push(one);
    listener.early = undefined;
  }

  #connect(address: Address): Promise<Link> {
    const linked = this.#linked;
    if (
      linked !== undefined && !isSame(address.events, linked.address.events)
    ) {
      this.#unlink();
    }
    return this.#link ??= this.#open(address);
  }

  async #open(address: Address): Promise<Link> {
    const { clock, timeout, maxMessage } = this.#options;
    const { signal } = this.#scope;
    const events = new ZmtpSubscriber({
      onMessage: (frames) => this.#byTopic.get(topicOf(frames))?.take(frames),
    });
    const heartbeats = new ZmtpSubscriber({
      onMessage: () => this.#lastHeard = clock.now(),
      ref: false,
    });
    const link: Link = { address, events, heartbeats };
    heartbeats.subscribe(address.heartbeatTopic);
    const options = { clock, timeout, maxMessage, signal };
    try {
      await Promise.all([
        events.connect(address.events.host, address.events.port, options),
        heartbeats.connect(
          address.heartbeats.host,
          address.heartbeats.port,
          options,
        ),
      ]);
    } catch (error) {
      this.#link = undefined;
      events.close();
      heartbeats.close();
      throw error;
    }
    this.#linked = link;
    this.#lastHeard = clock.now();
    this.#watch(SILENCE);
    this.#renewLater();
    for (const one of [events, heartbeats]) {
      one.closed.then((error) => this.#lose(link, error));
    }
    return link;
  }

  #unlink(): void {
    const linked = this.#linked;
    this.#cancelWatch?.();
    this.#link = undefined;
    this.#linked = undefined;
    for (const feed of this.#feeds.values()) feed.topic = undefined;
    this.#byTopic.clear();
    linked?.events.close();
    linked?.heartbeats.close();
  }

  #watch(delay: number): void {
    const { clock } = this.#options;
    this.#cancelWatch = clock.setTimer(
      () => {
        const left = this.#lastHeard + SILENCE - clock.now();
        if (left > 0) this.#watch(left);
        else if (this.#linked !== undefined) {
          this.#lose(this.#linked, new Error("There are no heartbeats"));
        }
      },
      delay,
      { ref: false },
    );
  }

  #renewLater(): void {
    this.#cancelRenewal?.();
    this.#cancelRenewal = this.#options.clock.setTimer(
      () => void this.#renew(),
      RENEWAL,
      { ref: false },
    );
  }

  async #renew(): Promise<void> {
    this.#renewLater();
    if (this.#isRecovering) return;
    try {
      await this.#subscribeAll();
    } catch (error) {
      const linked = this.#linked;
      if (linked !== undefined) this.#lose(linked, error);
    }
  }

  /** Asks for all events again; only the way to the server may fail. */
  async #subscribeAll(): Promise<void> {
    for (const feed of [...this.#feeds.values()]) {
      try {
        await this.#subscribe(feed);
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
        this.#tellErrors([feed], error);
      }
    }
  }

  #tellErrors(feeds: Iterable<EventFeed>, error: DeviceError): void {
    for (const feed of feeds) {
      const attribute = (feed.request[1] ?? "").toLowerCase();
      feed.tell({ attribute, errors: error.errors });
    }
  }

  #lose(link: Link, cause: unknown): void {
    if (this.#linked !== link || this.#scope.aborted) return;
    this.#unlink();
    this.#tellErrors(this.#feeds.values(), noEvents(cause));
    if (!this.#isRecovering) void this.#recover();
  }

  async #recover(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#scope;
    this.#isRecovering = true;
    for (let attempt = 0; this.#linked === undefined; attempt++) {
      // A server that is started anew needs some time anyway.
      const pause = PAUSES[Math.min(attempt, PAUSES.length - 1)] ?? 0;
      try {
        await sleep(pause, { clock, signal });
        await this.#subscribeAll();
        await this.#tellValues();
      } catch {
        if (signal.aborted) break;
      }
    }
    this.#isRecovering = false;
  }

  async #tellValues(): Promise<void> {
    for (const feed of [...this.#feeds.values()]) {
      for (const listener of [...feed.listeners]) {
        await this.#tellValue(listener);
      }
    }
  }
}
