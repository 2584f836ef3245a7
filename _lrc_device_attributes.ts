// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { attributeNotFound, eventsNotSupported } from "./_lrc_device_errors.ts";
import { DeviceEvents } from "./_lrc_device_events.ts";

interface Attribute {
  readonly name: string;
  readonly read: () => unknown;
  readonly hasEvents: boolean;
  readonly subscriptions: Set<DeviceEvents>;
}

/** The attributes of a device: read by name, and told of when they change. */
export class DeviceAttributes {
  readonly #device: string;
  readonly #capacity: number;
  readonly #attributes: Map<string, Attribute> = new Map();

  constructor(device: string, capacity: number) {
    this.#device = device;
    this.#capacity = capacity;
  }

  get names(): string[] {
    return [...this.#attributes.values()].map(({ name }) => name);
  }

  get subscriptions(): number {
    let count = 0;
    for (const { subscriptions } of this.#attributes.values()) {
      count += subscriptions.size;
    }
    return count;
  }

  has(name: string): boolean {
    return this.#attributes.has(name.toLowerCase());
  }

  define(name: string, read: () => unknown, hasEvents = true): void {
    const subscriptions = new Set<DeviceEvents>();
    const attribute = { name, read, hasEvents, subscriptions };
    this.#attributes.set(name.toLowerCase(), attribute);
  }

  read(name: string): unknown {
    return this.#find(name).read();
  }

  subscribe(name: string, signal: AbortSignal | undefined): DeviceEvents {
    const { read, hasEvents, subscriptions } = this.#find(name);
    if (!hasEvents) throw eventsNotSupported(this.#device, name);
    const events: DeviceEvents = new DeviceEvents(
      name,
      this.#capacity,
      () => subscriptions.delete(events),
    );
    subscriptions.add(events);
    if (signal !== undefined) events.obey(signal);
    events.push({ attribute: name, value: read() });
    return events;
  }

  /**
   * Tells the subscribers of an attribute its value, if there is such an
   * attribute. Tango spells the name in lower case here, and so do we.
   */
  publish(name: string, read?: () => unknown): void {
    const attribute = name.toLowerCase();
    const found = this.#attributes.get(attribute);
    if (found === undefined || found.subscriptions.size === 0) return;
    const event = { attribute, value: (read ?? found.read)() };
    for (const events of found.subscriptions) events.push(event);
  }

  /** Ends all subscriptions after what they have to tell. */
  close(): void {
    for (const { subscriptions } of this.#attributes.values()) {
      for (const events of subscriptions) events.end();
    }
  }

  #find(name: string): Attribute {
    const found = this.#attributes.get(name.toLowerCase());
    if (found === undefined) throw attributeNotFound(this.#device, name);
    return found;
  }
}
