// Copyright 2026 the Longrun authors. MIT license.

import { CancelScope } from "@longrun/tasks/cancellation";
import { DeviceError } from "@longrun/tasks/device-proxy";
import {
  checkChoice,
  checkCommon,
  checkFiniteCount,
  checkName,
  checkOptions,
} from "./_arguments.ts";
import { type DeviceCalls, proxyClosed } from "./_device_calls.ts";
import * as operations from "./_device_operations.ts";
import type { DeviceRoute } from "./_device_route.ts";
import type { EventSource } from "./_event_channel.ts";
import { type Listener, readingEvent } from "./_event_feed.ts";
import { EVENT_NAMES } from "./_event_message.ts";
import { EventQueue } from "./_event_queue.ts";
import type {
  EventType,
  TangoEvent,
  TangoSubscription,
} from "./device_event.ts";
import type { SubscribeOptions } from "./device_options.ts";

/** All who want events of a device by way of one proxy. */
export class DeviceSubscriptions {
  readonly #device: string;
  readonly #route: DeviceRoute;
  readonly #calls: DeviceCalls;
  readonly #queues = new Set<EventQueue>();

  constructor(device: string, route: DeviceRoute, calls: DeviceCalls) {
    this.#device = device;
    this.#route = route;
    this.#calls = calls;
  }

  /** Begins to bring events. */
  async subscribe(
    attribute: string,
    options: SubscribeOptions,
  ): Promise<TangoSubscription> {
    const doing = "subscribe";
    checkOptions(doing, options);
    checkCommon(doing, options);
    const { signal, type = "change", capacity = 10_000 } = options;
    const types = Object.keys(EVENT_NAMES);
    checkChoice(doing, "type", "a kind of events", types, type);
    checkFiniteCount(doing, "capacity", capacity, 1);
    const ofDevice = type === "interface-change";
    if (!ofDevice) checkName(doing, "attribute", attribute);
    const name = ofDevice ? "" : attribute;
    const calls = this.#calls;
    const { timeout, int64 } = calls.settings;
    const admin = await calls.call(doing, operations.adminName, options);
    if (signal?.aborted) throw signal.reason;
    calls.checkOpen(doing);
    const channel = this.#route.channel(admin.toLowerCase(), timeout);
    const source: EventSource = { device: this.#device, attribute: name, type };
    const scope = new CancelScope(signal);
    const queue: EventQueue = new EventQueue(name, {
      capacity,
      signal,
      onClose: () => {
        this.#queues.delete(queue);
        scope.abort(signal?.aborted ? signal.reason : proxyClosed(doing));
        channel.remove(source, listener);
      },
    });
    const listener: Listener = {
      queue,
      read: () => this.#read(name, type, scope.signal),
      int64,
    };
    this.#queues.add(queue);
    try {
      await channel.add(source, listener, scope.signal);
      return queue;
    } catch (error) {
      queue.end();
      throw calls.failure(error, options);
    }
  }

  /** Ends all subscriptions. */
  end(): void {
    for (const queue of [...this.#queues]) queue.end();
  }

  /** The value at the moment, as an event, where the events are of values. */
  async #read(
    attribute: string,
    type: EventType,
    signal: AbortSignal,
  ): Promise<TangoEvent | undefined> {
    if (type === "data-ready" || type === "interface-change") return undefined;
    try {
      const [reading] = await this.#calls.read([attribute], { signal });
      if (reading instanceof Error) throw reading;
      return reading && readingEvent(attribute, reading);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      return { attribute, errors: error.errors };
    }
  }
}
