// Copyright 2026 the Longrun authors. MIT license.

import { abortable, CancelScope, sleep } from "@longrun/tasks/cancellation";
import type { Clock } from "@longrun/tasks/clock";
import { DeviceError } from "@longrun/tasks/device-proxy";
import { devError } from "./_device_failure.ts";
import { command, ping } from "./_device_operations.ts";
import {
  addressOf,
  type EventAddress,
  isSameServer,
} from "./_event_address.ts";
import { EventFeed, type Listener } from "./_event_feed.ts";
import { EventLink } from "./_event_link.ts";
import type { WaitOptions } from "./_giop_connection.ts";
import { MinorCode } from "./_minor_code.ts";
import type { RemoteObject } from "./_remote_object.ts";
import { SystemException } from "./_system_exception.ts";
import { ZmtpError } from "./_zmtp_codec.ts";
import type { EventType } from "./device_event.ts";
import { CmdArgType, DevSource } from "./tango_types.ts";

/** After how many milliseconds a server is told that events are still wanted. */
const RENEWAL = 200_000;

/** How many milliseconds are between the attempts to find a server again. */
const PAUSES = [1000, 2000, 5000, 10_000] as const;

/**
 * How many milliseconds a server gets to take a topic that it knows of. It looks
 * for new ones only every millisecond or so, when it sends something: without a
 * pause it drops what it sends just then, and nobody hears of it.
 */
export const SETTLING = 30;

/** As Tango says that a server is gone, with our reason. */
function noEvents(cause: unknown): DeviceError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new DeviceError([
    devError(
      "API_EventTimeout",
      "Event channel is not responding anymore, maybe the server or event " +
        `system is down: ${why}`,
    ),
  ], { cause });
}

function isTimeout(error: unknown): boolean {
  return error instanceof SystemException && error.kind === "TRANSIENT" &&
    error.minor === MinorCode.TRANSIENT_CallTimedout;
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

/** Which events are wanted. */
export interface EventSource {
  readonly device: string;
  /** Empty where the events are of the device. */
  readonly attribute: string;
  readonly type: EventType;
}

function keyOf({ device, attribute, type }: EventSource): string {
  return `${device}/${attribute}.${type}`.toLowerCase();
}

/** The events of a server, for all who want to know of them. */
export class EventChannel {
  readonly #options: EventChannelOptions;
  readonly #scope = new CancelScope();
  readonly #feeds = new Map<string, EventFeed>();
  /** The connections, being opened or open. */
  #opening: Promise<EventLink> | undefined = undefined;
  /** The connections while they stand. */
  #link: EventLink | undefined = undefined;
  #isRecovering = false;
  #cancelRenewal: (() => void) | undefined = undefined;

  constructor(options: EventChannelOptions) {
    this.#options = options;
  }

  /**
   * Begins to tell a listener of events: first the value at the moment, then
   * what comes.
   *
   * @throws {DeviceError} If there are no such events.
   */
  async add(
    source: EventSource,
    listener: Listener,
    signal: AbortSignal,
  ): Promise<void> {
    const key = keyOf(source);
    let feed = this.#feeds.get(key);
    if (feed === undefined) this.#feeds.set(key, feed = new EventFeed(source));
    feed.listeners.add(listener);
    try {
      await this.#subscribe(feed, signal);
      await this.#settle(signal);
      await feed.refresh(listener);
      if (signal.aborted) throw signal.reason;
    } catch (error) {
      this.remove(source, listener);
      throw error instanceof ZmtpError ? noEvents(error) : error;
    }
  }

  /** Stops telling a listener. */
  remove(source: EventSource, listener: Listener): void {
    const key = keyOf(source);
    const feed = this.#feeds.get(key);
    if (!feed?.listeners.delete(listener) || feed.listeners.size > 0) return;
    this.#feeds.delete(key);
    this.#link?.detach(feed);
    if (this.#feeds.size === 0) this.#close();
  }

  #close(): void {
    this.#scope.abort(new Error("Nobody wants events of the server any more"));
    this.#link?.close();
    this.#link = undefined;
    this.#cancelRenewal?.();
    this.#options.onIdle();
  }

  #waiting(signal = this.#scope.signal): WaitOptions {
    return { signal, timeout: this.#options.timeout };
  }

  /** Asks the server for events, and connects to where they are sent. */
  async #subscribe(feed: EventFeed, signal?: AbortSignal): Promise<void> {
    const { admin } = this.#options;
    const answer = await admin.call(
      command(
        "ZmqEventSubscriptionChange",
        CmdArgType.DevVarStringArray,
        feed.request,
        DevSource.DEV,
      ),
      this.#waiting(signal),
    );
    const address = addressOf(answer, admin.host);
    const link = await abortable(this.#connect(address), signal);
    if (link !== this.#link || !isSameServer(link.address, address)) {
      throw new ZmtpError("The server has gone meanwhile");
    }
    if (feed.listeners.size > 0) link.attach(feed, address.topic);
  }

  /** Waits until the server must have taken what it was told of topics. */
  async #settle(signal = this.#scope.signal): Promise<void> {
    const { admin, clock } = this.#options;
    await admin.call(ping, this.#waiting(signal));
    await this.#link?.known(signal);
    await sleep(SETTLING, { clock, signal });
  }

  #connect(address: EventAddress): Promise<EventLink> {
    const link = this.#link;
    if (link !== undefined && !isSameServer(address, link.address)) {
      this.#lose(link, new ZmtpError("The server has moved"));
    }
    return this.#opening ??= this.#open(address);
  }

  async #open(address: EventAddress): Promise<EventLink> {
    const { clock, timeout, maxMessage } = this.#options;
    const { signal } = this.#scope;
    try {
      const link = await EventLink.open(address, {
        clock,
        timeout,
        maxMessage,
        signal,
      });
      if (signal.aborted) {
        link.close();
        throw signal.reason;
      }
      this.#link = link;
      this.#renewAfter(RENEWAL);
      link.lost.then((cause) => this.#lose(link, cause));
      return link;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  #lose(link: EventLink, cause: unknown): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    this.#opening = undefined;
    const { errors } = noEvents(cause);
    for (const feed of this.#feeds.values()) {
      if (link.has(feed)) feed.lose(errors);
    }
    link.close();
    if (!this.#isRecovering) void this.#recover();
  }

  async #recover(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#scope;
    this.#isRecovering = true;
    for (let attempt = 0; !this.#isWhole(); attempt++) {
      // A server that is started anew needs some time anyway.
      const pause = PAUSES[Math.min(attempt, PAUSES.length - 1)] ?? 0;
      try {
        await sleep(pause, { clock, signal });
        await this.#subscribeEach((feed) => !this.#isServed(feed));
        await this.#refresh();
      } catch {
        if (signal.aborted) break;
      }
    }
    this.#isRecovering = false;
  }

  #isServed(feed: EventFeed): boolean {
    return this.#link?.has(feed) === true;
  }

  /** Whether nothing is missing of what is wanted. */
  #isWhole(): boolean {
    for (const feed of this.#feeds.values()) {
      if (feed.isStale) return false;
    }
    return true;
  }

  /**
   * Asks for events again; only the way to the server may fail.
   *
   * @returns A promise of whether the server has answered for each of them.
   */
  async #subscribeEach(
    isMeant: (feed: EventFeed) => boolean,
  ): Promise<boolean> {
    let isComplete = true;
    // A database says in the same way that it does not know the server, or
    // cannot be reached.
    await this.#options.admin.call(ping, this.#waiting());
    for (const feed of [...this.#feeds.values()]) {
      if (!isMeant(feed) || feed.listeners.size === 0) continue;
      try {
        await this.#subscribe(feed);
        feed.isRefused = false;
      } catch (error) {
        if (isTimeout(error)) {
          // The others need not wait for one with which the server hangs.
          isComplete = false;
          await this.#options.admin.call(ping, this.#waiting());
          continue;
        }
        if (!(error instanceof DeviceError)) throw error;
        // It is asked again and again, but that is told once.
        if (!feed.isRefused) feed.fail(error.errors);
        feed.isRefused = true;
      }
    }
    return isComplete;
  }

  /** Tells the values of what was lost and is found. */
  async #refresh(): Promise<void> {
    await this.#settle();
    for (const feed of this.#feeds.values()) {
      if (!feed.isStale || !this.#isServed(feed)) continue;
      feed.isStale = false;
      for (const listener of feed.listeners) void feed.refresh(listener);
    }
  }

  #renewAfter(delay: number): void {
    this.#cancelRenewal?.();
    this.#cancelRenewal = this.#options.clock.setTimer(
      () => void this.#renew(),
      delay,
      { ref: false },
    );
  }

  async #renew(): Promise<void> {
    let isComplete = false;
    try {
      // What is lost is asked for anyway.
      isComplete = this.#link === undefined ||
        await this.#subscribeEach(() => true);
    } catch {
      // The heartbeats say whether the server is there.
    }
    if (this.#scope.aborted) return;
    this.#renewAfter(isComplete ? RENEWAL : PAUSES[PAUSES.length - 1] ?? 0);
  }
}
