// Copyright 2026 the Longrun authors. MIT license.

import type { Clock } from "@longrun/tasks/clock";
import type { EventAddress, EventRoute } from "./_event_address.ts";
import type { EventFeed } from "./_event_feed.ts";
import { topicOf } from "./_event_message.ts";
import { ZmtpError } from "./_zmtp_codec.ts";
import { ZmtpSubscriber } from "./_zmtp_subscriber.ts";

/**
 * After how many milliseconds without a heartbeat a server counts as gone. It
 * sends one in 9 s, later when it is busy.
 */
const SILENCE = 13_000;

/**
 * After how many milliseconds more, if this process was held up itself: what
 * came meanwhile is still to be read.
 */
const GRACE = 1_000;

/** How many milliseconds a server may take to say that it knows the topics. */
export const ANSWER = 2_500;

/** Options of {@linkcode EventLink.open}. */
export interface EventLinkOptions {
  readonly clock: Clock;
  /** How long the connections may take. */
  readonly timeout: number;
  /** How many bytes a message may have. */
  readonly maxMessage: number;
  readonly signal: AbortSignal;
}

/**
 * Two connections to a server, one for events and one for its heartbeats. They
 * are used once: when one of them or the heartbeats end, both do.
 */
export class EventLink {
  /**
   * Connects by the first of the addresses that answers.
   *
   * @throws {ZmtpError} If that fails.
   */
  static async open(
    address: EventAddress,
    options: EventLinkOptions,
  ): Promise<EventLink> {
    const { clock, signal, timeout } = options;
    const { routes } = address;
    const began = clock.now();
    let failure: unknown;
    for (const [index, route] of routes.entries()) {
      const left = Math.max(1, timeout - (clock.now() - began));
      const link = new EventLink(address, clock);
      try {
        await link.#connect(route, {
          ...options,
          // One that does not answer leaves time for the others.
          timeout: left / (routes.length - index),
        });
        return link;
      } catch (error) {
        link.close();
        if (signal.aborted) throw error;
        failure ??= error;
      }
    }
    throw failure;
  }

  readonly address: EventAddress;
  /** Resolves when there is nothing more to come, and says why. */
  readonly lost: Promise<unknown>;
  readonly #clock: Clock;
  readonly #topics = new Map<EventFeed, string>();
  readonly #feeds = new Map<string, EventFeed>();
  readonly #events: ZmtpSubscriber;
  readonly #heartbeats: ZmtpSubscriber;
  #lastHeard = 0;
  /** Whether the server says what it knows, if that is known. */
  #answers: boolean | undefined = undefined;
  #cancelWatch: (() => void) | undefined = undefined;
  readonly #lost = Promise.withResolvers<unknown>();

  private constructor(address: EventAddress, clock: Clock) {
    this.address = address;
    this.#clock = clock;
    this.#events = new ZmtpSubscriber({
      onMessage: (frames) => this.#feeds.get(topicOf(frames))?.take(frames),
    });
    this.#heartbeats = new ZmtpSubscriber({
      onMessage: () => this.#lastHeard = clock.now(),
      ref: false,
    });
    this.#heartbeats.subscribe(address.heartbeatTopic);
    this.lost = this.#lost.promise;
    for (const one of [this.#events, this.#heartbeats]) {
      one.closed.then((error) => this.#lost.resolve(error));
    }
  }

  /** Whether a feed has its events from here. */
  has(feed: EventFeed): boolean {
    return this.#topics.has(feed);
  }

  /** Begins to bring a feed what is sent under a topic. */
  attach(feed: EventFeed, topic: string): void {
    if (this.#topics.get(feed) === topic) return;
    this.detach(feed);
    feed.restart();
    this.#topics.set(feed, topic);
    this.#feeds.set(topic, feed);
    this.#events.subscribe(topic);
  }

  /** Ends that. */
  detach(feed: EventFeed): void {
    const topic = this.#topics.get(feed);
    if (topic === undefined) return;
    this.#topics.delete(feed);
    this.#feeds.delete(topic);
    this.#events.unsubscribe(topic);
  }

  /**
   * Resolves when the server knows of the topics that were begun. One that never
   * says so is waited for once.
   *
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async known(signal: AbortSignal): Promise<void> {
    if (this.#answers === false) return;
    const clock = this.#clock;
    const options = { clock, signal, timeout: ANSWER };
    const isAnswered = await this.#events.ping(options);
    this.#answers ||= isAnswered;
  }

  /** Closes both connections. */
  close(): void {
    this.#cancelWatch?.();
    this.#events.close();
    this.#heartbeats.close();
    this.#topics.clear();
    this.#feeds.clear();
  }

  async #connect(route: EventRoute, options: EventLinkOptions): Promise<void> {
    const { events, heartbeats } = route;
    await Promise.all([
      this.#events.connect(events.host, events.port, options),
      this.#heartbeats.connect(heartbeats.host, heartbeats.port, options),
    ]);
    this.#lastHeard = this.#clock.now();
    this.#watch(SILENCE);
  }

  #watch(delay: number): void {
    const clock = this.#clock;
    const due = clock.now() + delay;
    this.#cancelWatch = clock.setTimer(
      () => {
        const now = clock.now();
        const left = this.#lastHeard + SILENCE - now;
        if (left > 0) this.#watch(left);
        else if (now - due > GRACE) this.#watch(GRACE);
        else this.#lost.resolve(new ZmtpError("There are no heartbeats"));
      },
      delay,
      { ref: false },
    );
  }
}
