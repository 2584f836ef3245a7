// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { Closing } from "./_closing.ts";
import { invocationError, reasonsOf } from "./_lrc_errors.ts";
import type { Expectation, LrcListener } from "./_lrc_expectations.ts";
import { LrcListeners } from "./_lrc_listeners.ts";
import { EVENT_ATTRIBUTES, parseMessages } from "./_lrc_messages.ts";
import { learn } from "./_lrc_negotiation.ts";
import { PATIENCE, Repair } from "./_lrc_repair.ts";
import type { LrcInput, LrcSource } from "./_lrc_state.ts";
import { report } from "./_report.ts";
import { DEFAULT_GRACE } from "./_run.ts";
import { backoff, type RestartPolicy } from "./backoff.ts";
import { abortable, CancelScope, sleep, timeout } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type {
  DevError,
  DeviceEvent,
  DeviceProxy,
  DeviceSubscription,
} from "./device_proxy.ts";
import type { Logger } from "./logger.ts";

/** Subscriptions that break are made again, as often as it takes. */
const RESUBSCRIBE: RestartPolicy = backoff({
  limit: Infinity,
  initial: 1000,
  maximum: 30_000,
  jitter: 0.2,
});

/**
 * What a device tells of its long-running commands, for any number of them.
 * Made by the first who wants it, left by the last.
 */
export class LrcStream {
  readonly #proxy: DeviceProxy;
  readonly #hasEvents: boolean;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #scope: CancelScope = new CancelScope();
  readonly #listeners: LrcListeners = new LrcListeners();
  readonly #subscriptions: Set<DeviceSubscription> = new Set();
  #closing: Promise<void> | undefined = undefined;

  #version: 1 | 2 = 1;
  #repair: Repair | undefined = undefined;
  /** Ends when the device speaks another version than before. */
  #era: CancelScope = new CancelScope();
  /** Whether the device may be another than it was, after a restart. */
  #isDoubtful = false;
  #learning: Promise<void> | undefined = undefined;
  /** Resolves when it stands. */
  readonly opened: Promise<void>;

  constructor(
    proxy: DeviceProxy,
    hasEvents: boolean,
    clock: Clock,
    logger: Logger,
  ) {
    this.#proxy = proxy;
    this.#hasEvents = hasEvents;
    this.#clock = clock;
    this.#logger = logger;
    this.opened = this.#open();
  }

  get version(): 1 | 2 {
    return this.#version;
  }

  /**
   * Makes sure, if there is doubt, that the device is still what it was, and
   * begins anew if it is not.
   *
   * @throws {ProtocolVersionError} If it speaks no version any more that this
   * client speaks.
   * @throws {DeviceError} If the device cannot be asked.
   */
  async confirm(signal: AbortSignal): Promise<void> {
    if (this.#learning === undefined && this.#isDoubtful) {
      this.#learning = this.#dispelDoubt();
    }
    if (this.#learning !== undefined) await abortable(this.#learning, signal);
  }

  /**
   * Asks for a command.
   *
   * @throws {DeviceError} If the device cannot be asked.
   */
  async ask(
    id: string,
    source: LrcSource,
    signal: AbortSignal,
  ): Promise<LrcInput> {
    await this.confirm(signal);
    const repair = this.#repair;
    if (repair === undefined) throw new Error("The stream is not open");
    try {
      return await repair.ask(id, source, signal);
    } catch (error) {
      if (!signal.aborted) this.#isDoubtful = true;
      throw error;
    }
  }

  /** How many commands listen. */
  get size(): number {
    return this.#listeners.size;
  }

  /** Keeps what comes for ids that nobody knows yet. */
  expect(): Expectation {
    return this.#listeners.expect();
  }

  /** Listens to a command; returns what ends it. */
  listen(id: string, listener: LrcListener): () => void {
    return this.#listeners.listen(id, listener);
  }

  /** Leaves the device. Resolves when that is done, or took too long. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #open(): Promise<void> {
    const { signal } = this.#scope;
    await this.#learn(Infinity);
    if (!this.#hasEvents) return;
    const subscriptions: [string, DeviceSubscription][] = [];
    for (const attribute of EVENT_ATTRIBUTES[this.#version]) {
      subscriptions.push([attribute, await this.#subscribe(attribute, signal)]);
    }
    this.#begin(new Map(subscriptions));
  }

  /** Finds out what the device speaks and what can be asked of it. */
  async #learn(ms: number): Promise<void> {
    const { signal } = this.#scope;
    const proxy = this.#proxy;
    const clock = this.#clock;
    const { version, attributes } = await learn(proxy, ms, { signal, clock });
    this.#repair = new Repair(proxy, attributes, version, signal, clock);
    this.#version = version;
  }

  async #dispelDoubt(): Promise<void> {
    const before = this.#version;
    try {
      this.#isDoubtful = false;
      await this.#learn(PATIENCE);
    } catch (error) {
      this.#isDoubtful = true;
      throw error;
    } finally {
      this.#learning = undefined;
    }
    if (!this.#hasEvents || this.#version === before) return;
    this.#era.abort();
    this.#leaveAll();
    this.#begin(new Map());
  }

  /** Begins to hand on events, of the subscriptions that there are already. */
  #begin(subscriptions: ReadonlyMap<string, DeviceSubscription>): void {
    this.#era = new CancelScope(this.#scope.signal);
    for (const attribute of EVENT_ATTRIBUTES[this.#version]) {
      this.#pump(attribute, subscriptions.get(attribute), this.#era.signal);
    }
  }

  async #subscribe(
    attribute: string,
    signal: AbortSignal,
  ): Promise<DeviceSubscription> {
    try {
      const subscribing = this.#proxy.subscribe(attribute, { signal });
      // One that comes when nobody waits for it any more is left at once.
      const coming = subscribing.then((subscription) => {
        if (signal.aborted) this.#leave(subscription);
        else this.#subscriptions.add(subscription);
        return subscription;
      });
      return await abortable(coming, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const desc = `Subscribing to '${attribute}' change event failed.`;
      throw invocationError(error, desc);
    }
  }

  /** Hands on the events of an attribute, as long as the device has them. */
  async #pump(
    attribute: string,
    first: DeviceSubscription | undefined,
    era: AbortSignal,
  ): Promise<void> {
    let subscription = first;
    let attempt = 0;
    while (!era.aborted) {
      if (subscription === undefined) {
        subscription = await this.#resubscribe(attribute, attempt++, era);
        if (subscription === undefined) continue;
        this.#listeners.tellAll({ kind: "gap" });
      }
      const since = this.#clock.now();
      const error = await this.#follow(attribute, subscription, era);
      if (era.aborted) return;
      this.#subscriptions.delete(subscription);
      this.#leave(subscription);
      subscription = undefined;
      this.#tellErrors(reasonsOf(error));
      const { resetAfter = Infinity } = RESUBSCRIBE;
      const wasLong = this.#clock.now() - since >= resetAfter;
      attempt = wasLong ? 1 : Math.max(attempt, 1);
    }
  }

  /** Subscribes again, after a pause; returns nothing if that fails. */
  async #resubscribe(
    attribute: string,
    attempt: number,
    era: AbortSignal,
  ): Promise<DeviceSubscription | undefined> {
    const clock = this.#clock;
    try {
      if (attempt > 0) {
        const ms = RESUBSCRIBE.delay(attempt) ?? Infinity;
        await sleep(ms, { signal: era, clock });
      }
      await this.confirm(era);
      return await timeout(
        (signal) => this.#subscribe(attribute, signal),
        PATIENCE,
        { signal: era, clock },
      );
    } catch (error) {
      if (!era.aborted) {
        this.#log("debug", `could not subscribe to ${attribute}`, error);
      }
      return undefined;
    }
  }

  /** Hands on events until they end; returns why. */
  async #follow(
    attribute: string,
    subscription: DeviceSubscription,
    era: AbortSignal,
  ): Promise<unknown> {
    let isBroken = false;
    try {
      for (;;) {
        const { done, value } = await subscription.next();
        if (era.aborted) return undefined;
        if (done) return new Error(`The events of ${attribute} have ended`);
        const hasErrors = "errors" in value;
        this.#receive(attribute, value);
        if (isBroken && !hasErrors) this.#listeners.tellAll({ kind: "gap" });
        isBroken = hasErrors;
      }
    } catch (error) {
      return error;
    }
  }

  #receive(attribute: string, event: DeviceEvent): void {
    if ("errors" in event) {
      this.#tellErrors(event.errors);
      return;
    }
    for (const message of parseMessages(attribute, event.value)) {
      if (message.kind === "list") this.#listeners.compare(message.ids);
      else if (message.id === undefined) this.#listeners.tellAll(message);
      else this.#listeners.tell(message.id, message);
    }
  }

  #tellErrors(errors: readonly DevError[]): void {
    this.#isDoubtful = true;
    this.#listeners.tellAll({ kind: "errors", errors });
  }

  async #close(): Promise<void> {
    this.#scope.abort();
    this.#listeners.clear();
    await this.#leaveAll();
  }

  async #leaveAll(): Promise<void> {
    const subscriptions = [...this.#subscriptions];
    this.#subscriptions.clear();
    await Promise.all(subscriptions.map((each) => this.#leave(each)));
  }

  async #leave(subscription: DeviceSubscription): Promise<void> {
    const onFailure = (error: unknown): void =>
      this.#log("warn", "a subscription failed while it was left", error);
    const closing = new Closing(() => subscription.return(), onFailure);
    try {
      if (await closing.wait(DEFAULT_GRACE, this.#clock)) return;
      this.#log("warn", "a subscription could not be left", undefined);
    } catch (error) {
      onFailure(error);
    }
  }

  #log(level: "debug" | "warn", what: string, error: unknown): void {
    const device = this.#proxy.name;
    report(this.#logger, level, `Device '${device}': ${what}`, {
      device,
      ...(error === undefined ? {} : { error }),
    });
  }
}
