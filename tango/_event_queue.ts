// Copyright 2026 the Longrun authors. MIT license.

import { onAbort } from "@longrun/tasks/cancellation";
import {
  Topic,
  type TopicItem,
  type TopicSubscription,
} from "@longrun/tasks/topic";
import { devError } from "./_device_failure.ts";
import type { TangoEvent, TangoSubscription } from "./device_event.ts";

/** Options of {@linkcode EventQueue}. */
export interface EventQueueOptions {
  /** How many events are kept; when there are more, the oldest are dropped. */
  readonly capacity: number;
  readonly signal?: AbortSignal | undefined;
  /** Called once, when nobody wants events any more. */
  readonly onClose: () => void;
}

function eventOf(
  result: IteratorResult<TopicItem<TangoEvent>, undefined>,
): IteratorResult<TangoEvent, undefined> {
  return result.done ? result : { done: false, value: result.value.value };
}

/** Events on their way to a subscriber. */
export class EventQueue implements TangoSubscription {
  readonly #attribute: string;
  readonly #topic = new Topic<TangoEvent>();
  readonly #items: TopicSubscription<TangoEvent>;
  readonly #onClose: () => void;
  readonly #forgetSignal: (() => void) | undefined;
  #toldOf = 0;
  #isClosed = false;

  constructor(attribute: string, options: EventQueueOptions) {
    const { capacity, signal, onClose } = options;
    this.#attribute = attribute;
    this.#onClose = onClose;
    this.#items = this.#topic.subscribe({
      capacity,
      ...signal === undefined ? {} : { signal },
    });
    this.#forgetSignal = signal && onAbort(signal, () => this.#close());
  }

  get dropped(): number {
    return this.#items.dropped;
  }

  /** Adds an event. */
  push(event: TangoEvent): void {
    this.#topic.publish(event);
  }

  /** Ends the subscription after what it has to tell. */
  end(): void {
    this.#topic[Symbol.dispose]();
    this.#close();
  }

  async next(): Promise<IteratorResult<TangoEvent, undefined>> {
    const items = this.#items;
    // What was dropped has made room in a full buffer, so an empty one means
    // that the subscription was left.
    if (items.dropped === this.#toldOf || items.length === 0) {
      return eventOf(await items.next());
    }
    const count = this.#toldOf = items.dropped;
    const error = devError(
      "API_MissedEvents",
      `${count} events of '${this.#attribute}' were dropped so far, as they ` +
        "were fetched too slowly",
    );
    const value = { attribute: this.#attribute, errors: [error] };
    return { done: false, value };
  }

  async return(): Promise<IteratorResult<TangoEvent, undefined>> {
    this.#close();
    return eventOf(await this.#items.return());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): TangoSubscription {
    return this;
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#forgetSignal?.();
    this.#onClose();
  }
}
