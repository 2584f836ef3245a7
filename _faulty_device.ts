// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkBoolean,
  checkCommon,
  checkFiniteNonNegative,
  checkFraction,
  checkOptions,
  checkPositive,
  checkSignal,
  checkStrings,
  checkType,
} from "./_arguments.ts";
import {
  Chance,
  type EventCounts,
  type EventFaults,
  FaultyEvents,
  type Verdict,
} from "./_faulty_device_events.ts";
import {
  attributeNotFound,
  deviceUnreachable,
  eventsNotSupported,
} from "./_lrc_device_errors.ts";
import { abortable, CancelScope, sleep } from "./cancellation.ts";
import { type Clock, systemClock } from "./clock.ts";
import type {
  DeviceEvent,
  DeviceOptions,
  DeviceProxy,
  DeviceSubscription,
} from "./device_proxy.ts";

/** Options of {@linkcode FaultyDevice}: without them there are no faults. */
export interface FaultyDeviceOptions {
  /**
   * Measures the time.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * What chance begins with, an integer: equal seeds have equal faults.
   *
   * @default {1}
   */
  seed?: number;
  /**
   * How long the answer to a command is held back, in milliseconds. The events
   * are not.
   *
   * @default {0}
   */
  answerDelay?: number;
  /**
   * How long an event is on its way, in milliseconds: a time, or the shortest
   * and the longest time between which chance decides.
   *
   * @default {0}
   */
  eventDelay?: number | readonly [least: number, most: number];
  /**
   * Whether an event on its way may be overtaken by one that came later.
   *
   * @default {false}
   */
  reorder?: boolean;
  /**
   * Whether the first change comes twice, as it does with cppTango.
   *
   * @default {false}
   */
  duplicateFirst?: boolean;
  /**
   * The part of the changes that come twice, from 0 to 1.
   *
   * @default {0}
   */
  duplicate?: number;
  /**
   * The part of the changes that never come, from 0 to 1, or which of them.
   *
   * @default {0}
   */
  drop?: number | ((event: DeviceEvent) => boolean);
  /**
   * The part of the changes whose last text is cut in half, from 0 to 1, or
   * which of them: JSON cannot be parsed then, and names are not known.
   *
   * @default {0}
   */
  malform?: number | ((event: DeviceEvent) => boolean);
  /**
   * How often an error event comes while the device is away, in milliseconds.
   *
   * @default {10_000}
   */
  errorPeriod?: number;
  /**
   * The attributes that cannot be subscribed to, in any case.
   *
   * @default {[]}
   */
  eventless?: readonly string[] | "all";
  /**
   * The attributes that are not there, in any case.
   *
   * @default {[]}
   */
  missing?: readonly string[];
}

/** How many events the faults of a {@linkcode FaultyDevice} have hit. */
export interface FaultyDeviceCounts {
  /** Those that were dropped. */
  readonly dropped: number;
  /** Those that came twice. */
  readonly duplicated: number;
  /** Those that were malformed. */
  readonly malformed: number;
  /** Those that were lost because the device was away. */
  readonly lost: number;
}

const CREATE = "create FaultyDevice";

function checkVerdict(name: string, value: unknown): void {
  if (typeof value !== "function") checkFraction(CREATE, name, value);
}

function verdictOf(
  part: number | ((event: DeviceEvent) => boolean),
): Verdict {
  return typeof part === "number"
    ? (_event, chance) => chance < part
    : (event) => part(event);
}

function delayOf(
  delay: number | readonly [least: number, most: number],
): readonly [least: number, most: number] {
  checkType(
    typeof delay === "number" || (Array.isArray(delay) && delay.length === 2),
    CREATE,
    "eventDelay",
    "a number or two of them",
    delay,
  );
  const [least, most] = typeof delay === "number" ? [delay, delay] : delay;
  checkFiniteNonNegative(CREATE, "eventDelay", least);
  checkFiniteNonNegative(CREATE, "eventDelay", most);
  return [Math.min(least, most), Math.max(least, most)];
}

function namesOf(name: string, names: readonly string[]): Set<string> {
  checkStrings(CREATE, name, names);
  return new Set(names.map((one) => one.toLowerCase()));
}

/**
 * A device as it is seen over a bad network: answers are late, events get
 * lost, come twice, late or in another order, and the device may be away for a
 * while. For tests of those who use devices.
 *
 * The first event of a subscription, which is read, comes as it is; the faults
 * hit the changes after it. All faults are repeated by the same seed and the
 * same order of events; each subscription has chances of its own.
 *
 * @example Usage
 * ```ts
 * import { LrcDevice } from "@longrun/tasks/lrc-device";
 * import { FaultyDevice } from "@longrun/tasks/testing";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * await using real = new LrcDevice({
 *   name: "lab/dome/1",
 *   attributes: { angle: 0 },
 *   commands: {},
 * });
 * const device = new FaultyDevice(real, {
 *   drop: (event) => "value" in event && event.value === 1,
 * });
 * await using angles = await device.subscribe("angle");
 * real.setAttribute("angle", 1);
 * real.setAttribute("angle", 2);
 * assertEquals((await angles.next()).value, { attribute: "angle", value: 0 });
 * assertEquals((await angles.next()).value, { attribute: "angle", value: 2 });
 * assertEquals(device.counts.dropped, 1);
 *
 * device.disconnect();
 * real.setAttribute("angle", 3);
 * await assertRejects(() => device.readAttributes(["angle"]));
 * device.reconnect();
 * assertEquals((await angles.next()).value, { attribute: "angle", value: 3 });
 * ```
 */
export class FaultyDevice implements DeviceProxy {
  readonly #device: DeviceProxy;
  readonly #clock: Clock;
  readonly #seed: number;
  readonly #answerDelay: number;
  readonly #errorPeriod: number;
  readonly #eventless: ReadonlySet<string> | "all";
  readonly #missing: ReadonlySet<string>;
  readonly #faults: EventFaults;
  readonly #counts: EventCounts = {
    dropped: 0,
    duplicated: 0,
    malformed: 0,
    lost: 0,
  };
  readonly #subscriptions: Set<FaultyEvents> = new Set();
  #subscribed = 0;
  #connection: CancelScope = new CancelScope();
  #cancelErrors: (() => void) | undefined = undefined;

  /**
   * Puts faults between a device and those who use it.
   *
   * @param device The device.
   * @param options The faults.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(device: DeviceProxy, options: FaultyDeviceOptions = {}) {
    checkType(
      typeof device === "object" && device !== null &&
        typeof device.subscribe === "function",
      CREATE,
      "device",
      "a DeviceProxy",
      device,
    );
    checkOptions(CREATE, options);
    checkCommon(CREATE, { clock: options.clock });
    const {
      clock = systemClock,
      seed = 1,
      answerDelay = 0,
      eventDelay = 0,
      reorder = false,
      duplicateFirst = false,
      duplicate = 0,
      drop = 0,
      malform = 0,
      errorPeriod = 10_000,
      eventless = [],
      missing = [],
    } = options;
    checkType(Number.isInteger(seed), CREATE, "seed", "an integer", seed);
    checkFiniteNonNegative(CREATE, "answerDelay", answerDelay);
    checkBoolean(CREATE, "reorder", reorder);
    checkBoolean(CREATE, "duplicateFirst", duplicateFirst);
    checkFraction(CREATE, "duplicate", duplicate);
    checkVerdict("drop", drop);
    checkVerdict("malform", malform);
    checkPositive(CREATE, "errorPeriod", errorPeriod);
    this.#device = device;
    this.#clock = clock;
    this.#seed = seed;
    this.#answerDelay = answerDelay;
    this.#errorPeriod = errorPeriod;
    this.#eventless = eventless === "all"
      ? eventless
      : namesOf("eventless", eventless);
    this.#missing = namesOf("missing", missing);
    this.#faults = {
      drop: verdictOf(drop),
      malform: verdictOf(malform),
      duplicate,
      duplicateFirst,
      delay: delayOf(eventDelay),
      reorder,
    };
  }

  /** The name of the device. */
  get name(): string {
    return this.#device.name;
  }

  /** Whether the device is away. */
  get isDown(): boolean {
    return this.#connection.aborted;
  }

  /** How many events the faults have hit. */
  get counts(): FaultyDeviceCounts {
    return { ...this.#counts };
  }

  /** How many subscriptions there are. */
  get subscriptions(): number {
    return this.#subscriptions.size;
  }

  /**
   * Takes the device away: what is asked of it fails, also what is being asked,
   * although it may have been done; events are lost, and every `errorPeriod`
   * each subscription has an error event with the reason `API_EventTimeout`.
   */
  disconnect(): void {
    if (this.isDown) return;
    this.#connection.abort(deviceUnreachable(this.name));
    for (const events of [...this.#subscriptions]) events.lose();
    this.#startErrors();
  }

  /** Brings the device back. Each subscription has the value of now, as read. */
  reconnect(): void {
    if (!this.isDown) return;
    this.#connection = new CancelScope();
    this.#stopErrors();
    for (const events of this.#subscriptions) events.reread();
  }

  /**
   * The names of the attributes that are not missing.
   *
   * @throws {DeviceError} If the device is away.
   */
  attributeNames(options: DeviceOptions = {}): Promise<readonly string[]> {
    return this.#ask("list attributes", options, async (options) => {
      const names = await this.#device.attributeNames(options);
      return names.filter((name) => !this.#isMissing(name));
    });
  }

  /**
   * Reads attributes.
   *
   * @returns The values, in the order of the names.
   * @throws {DeviceError} If one of them cannot be read, or the device is away.
   */
  readAttributes(
    names: readonly string[],
    options: DeviceOptions = {},
  ): Promise<readonly unknown[]> {
    return this.#ask("read attributes", options, (options) => {
      for (const name of names) this.#checkThere(name);
      return this.#device.readAttributes(names, options);
    });
  }

  /**
   * Has a command executed.
   *
   * @returns What it answers, after the delay.
   * @throws {DeviceError} If it fails, or the device is away or goes meanwhile.
   */
  command(
    name: string,
    argument: unknown,
    options: DeviceOptions = {},
  ): Promise<unknown> {
    return this.#ask("execute command", options, async ({ signal }) => {
      const answer = await this.#device.command(name, argument, { signal });
      const delay = this.#answerDelay;
      if (delay > 0) await sleep(delay, { signal, clock: this.#clock });
      return answer;
    });
  }

  /**
   * Subscribes to an attribute.
   *
   * @returns Its events, as the faults leave them.
   * @throws {DeviceError} If there is no such attribute, or no events of it, or
   * the device is away.
   */
  subscribe(
    attribute: string,
    options: DeviceOptions = {},
  ): Promise<DeviceSubscription> {
    const parent = options?.signal;
    return this.#ask("subscribe", options, async ({ signal }) => {
      this.#checkThere(attribute);
      const name = attribute.toLowerCase();
      if (this.#eventless === "all" || this.#eventless.has(name)) {
        throw eventsNotSupported(this.name, attribute);
      }
      const inner = await this.#device.subscribe(attribute, { signal });
      if (signal?.aborted) {
        // Nobody waits for it any more.
        await inner.return();
        throw signal.reason;
      }
      return this.#follow(attribute, inner, parent);
    });
  }

  #follow(
    attribute: string,
    inner: DeviceSubscription,
    signal: AbortSignal | undefined,
  ): DeviceSubscription {
    const isDown = (): boolean => this.isDown;
    const events = new FaultyEvents(attribute, inner, {
      get isDown() {
        return isDown();
      },
      clock: this.#clock,
      faults: this.#faults,
      counts: this.#counts,
      read: async () => {
        const [value] = await this.readAttributes([attribute]);
        return value;
      },
      leave: (events) => {
        this.#subscriptions.delete(events);
        if (this.#subscriptions.size === 0) this.#stopErrors();
      },
    }, new Chance(this.#seed, this.#subscribed++));
    this.#subscriptions.add(events);
    if (signal !== undefined) events.outer.obey(signal);
    return events.outer;
  }

  async #ask<T>(
    doing: string,
    options: DeviceOptions,
    ask: (options: DeviceOptions) => Promise<T>,
  ): Promise<T> {
    checkOptions(doing, options);
    checkSignal(doing, options.signal);
    if (options.signal?.aborted) throw options.signal.reason;
    if (this.isDown) throw this.#connection.reason;
    const scope = new CancelScope(options.signal, this.#connection.signal);
    const { signal } = scope;
    try {
      return await abortable(ask({ signal }), signal);
    } finally {
      scope.dispose();
    }
  }

  #isMissing(name: string): boolean {
    return this.#missing.has(name.toLowerCase());
  }

  #checkThere(name: string): void {
    if (this.#isMissing(name)) throw attributeNotFound(this.name, name);
  }

  #startErrors(): void {
    if (this.#subscriptions.size === 0) return;
    this.#cancelErrors = this.#clock.setTimer(
      () => {
        for (const events of this.#subscriptions) events.tellTimeout();
        this.#startErrors();
      },
      this.#errorPeriod,
      { ref: false },
    );
  }

  #stopErrors(): void {
    this.#cancelErrors?.();
    this.#cancelErrors = undefined;
  }
}
