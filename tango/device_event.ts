// Copyright 2026 the Longrun authors. MIT license.

/**
 * What a Tango device tells by itself.
 *
 * @module
 */

import type { DevError, DeviceSubscription } from "@longrun/tasks/device-proxy";
import type {
  AttributeInfo,
  AttributeReading,
  CommandInfo,
} from "./tango_types.ts";

/**
 * A kind of events:
 *
 * - `"change"`: the value has changed by as much as the device is told to
 *   notice, or its code says so.
 * - `"periodic"`: what is polled, again and again.
 * - `"archive"`: what an archive should keep.
 * - `"user"`: what the code of the device says so of.
 * - `"data-ready"`: there are new data to be read; the value is their number.
 * - `"interface-change"`: the device has other commands or attributes; the
 *   value is an {@linkcode InterfaceChange}.
 */
export type EventType =
  | "change"
  | "periodic"
  | "archive"
  | "user"
  | "data-ready"
  | "interface-change";

/** Another set of commands and attributes. */
export interface InterfaceChange {
  /** Whether the device was started anew. */
  readonly isRestart: boolean;
  /** The commands that there are now. */
  readonly commands: readonly CommandInfo[];
  /** The attributes that there are now. */
  readonly attributes: readonly AttributeInfo[];
}

/** An event: a value, or what went wrong. */
export type TangoEvent =
  | {
    /** The name of the attribute; not always in its own case. */
    readonly attribute: string;
    /** The value itself, not a copy: all subscribers share it. */
    readonly value: unknown;
    /** All that belongs to the value of an attribute. */
    readonly reading?: AttributeReading;
  }
  | {
    /** The name of the attribute. */
    readonly attribute: string;
    /** What went wrong. The subscription goes on. */
    readonly errors: readonly DevError[];
  };

/** The events of an attribute, until the subscription is left. */
export interface TangoSubscription extends DeviceSubscription {
  /** How many events were dropped because they were fetched too slowly. */
  readonly dropped: number;
  /** Waits for the next event. */
  next(): Promise<IteratorResult<TangoEvent, undefined>>;
  /** Ends the subscription. */
  return(): Promise<IteratorResult<TangoEvent, undefined>>;
  /** The subscription itself. */
  [Symbol.asyncIterator](): TangoSubscription;
}
