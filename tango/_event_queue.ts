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
  /** What has come since the queue is held. */
  #held: TangoEvent[] | undefined = undefined;
  /** Whoever holds the queue. */
  #holder: unknown = undefined;
  #droppedHeld = 0;
  readonly #capacity: number;
  #toldOf = 0;
  #isClosed = false;

  constructor(attribute: string, options: EventQueueOptions) {
    const { capacity, signal, onClose } = options;
    this.#attribute = attribute;
    this.#capacity = capacity;
    this.#onClose = onClose;
    this.#items = this.#topic.subscribe({
      capacity,
      ...signal === undefined ? {} : { signal },
    });
    this.#forgetSignal = signal && onAbort(signal, () => this.#close());
  }

  /** Whether nobody wants events any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  get dropped(): number {
    return this.#items.dropped + this.#droppedHeld;
  }

  /** Adds an event. */
  push(event: TangoEvent): void {
    const held = this.#held;
    if (held === undefined) {
      this.#topic.publish(event);
      return;
    }
    held.push(event);
    if (held.length <= this.#capacity) return;
    held.shift();
    this.#droppedHeld++;
  }

  /**
   * Keeps back what comes from now on.
   *
   * @returns Lets it go, after an event that comes first. Does nothing if the
   * queue was held anew meanwhile, or was left.
   */
  hold(): (first: TangoEvent | undefined) => void {
    const holder = this.#holder = {};
    this.#held ??= [];
    return (first) => {
      if (this.#holder !== holder) return;
      if (first !== undefined) this.#topic.publish(first);
      this.letGo();
    };
  }

  /** Lets go what is kept back; whoever held the queue does so no more. */
  letGo(): void {
    const held = this.#held ?? [];
    this.#holder = undefined;
    this.#held = undefined;
    for (const event of held) this.push(event);
  }

  /** Ends the subscription after what it has told. */
  end(): void {
    this.#topic[Symbol.dispose]();
    this.#close();
  }

  async next(): Promise<IteratorResult<TangoEvent, undefined>> {
    const items = this.#items;
    // What was dropped has made room in a full buffer, so an empty one means
    // that the subscription was left.
    if (this.dropped === this.#toldOf || items.length === 0) {
      return eventOf(await items.next());
    }
    const count = this.#toldOf = this.dropped;
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
    this.#holder = undefined;
    this.#held = undefined;
    this.#forgetSignal?.();
    this.#onClose();
  }
}
