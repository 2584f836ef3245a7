// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { eventsMissed } from "./_lrc_device_errors.ts";
import { Subscription } from "./_subscription.ts";
import type { DeviceEvent, DeviceSubscription } from "./device_proxy.ts";

/** How many events are kept for a slow subscriber. */
export const DEFAULT_EVENTS = 10_000;

/** The events of an attribute on their way to a subscriber. */
export class DeviceEvents extends Subscription<DeviceEvent>
  implements DeviceSubscription {
  readonly #attribute: string;
  #told = 0;

  constructor(attribute: string, capacity: number, onClose: () => void) {
    super({ capacity, onClose });
    this.#attribute = attribute;
  }

  /** As ever, but a gap comes as an event of its own. */
  override next(): Promise<IteratorResult<DeviceEvent, undefined>> {
    // What was dropped has made room in a full buffer, so an empty one means
    // that the subscription was left.
    if (this.dropped === this.#told || this.length === 0) return super.next();
    const count = this.#told = this.dropped;
    const attribute = this.#attribute;
    const errors = [eventsMissed(attribute, count)];
    return Promise.resolve({ done: false, value: { attribute, errors } });
  }
}
