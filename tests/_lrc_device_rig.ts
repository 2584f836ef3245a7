// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertRejects,
} from "@std/assert";
import { onAbort } from "../cancellation.ts";
import {
  DeviceError,
  type DeviceEvent,
  type DeviceProxy,
  type DeviceSubscription,
} from "../device_proxy.ts";
import {
  LrcDevice,
  type LrcDeviceOptions,
  type LrcExecution,
} from "../lrc_device.ts";
import { ManualClock } from "../testing.ts";
import { CountingClock } from "./_counting_clock.ts";
import { CountingController } from "./_listeners.ts";
import { RecordingLogger } from "./_recording_logger.ts";

/** A night in 2026. */
export const EPOCH = Date.UTC(2026, 0, 31, 22);

/** The attributes of the first protocol, but for the names in the queue. */
export const FIRST = [
  "longRunningCommandStatus",
  "longRunningCommandProgress",
  "longRunningCommandResult",
];

/** Everything that tells of commands. */
export const ALL = [
  ...FIRST,
  "longRunningCommandsInQueue",
  "longRunningCommandIDsInQueue",
  "longRunningCommandInProgress",
  "_lrcEvent",
  "lrcQueue",
  "lrcExecuting",
  "lrcFinished",
];

/** The name of a command, from its id. */
export function nameOf(id: string): string {
  return id.split("_").slice(2).join("_");
}

/** A command that ends when it is told to. */
export class Held {
  readonly calls: {
    readonly execution: LrcExecution;
    readonly end: (result?: unknown) => void;
    readonly fail: (error: unknown) => void;
  }[] = [];
  readonly #hears: boolean;

  /**
   * Creates it.
   *
   * @param hears Whether it obeys its signal.
   */
  constructor(hears = true) {
    this.#hears = hears;
  }

  readonly execute = (execution: LrcExecution): Promise<unknown> =>
    new Promise((resolve, reject) => {
      this.calls.push({ execution, end: resolve, fail: reject });
      if (this.#hears) onAbort(execution.signal, reject);
    });

  get last(): Held["calls"][number] {
    const last = this.calls.at(-1);
    assert(last !== undefined, "it was not called");
    return last;
  }
}

/** The command of the first example of the original. */
export async function turnOn({ progress, sleep }: LrcExecution) {
  progress(33);
  await sleep(100);
  progress(66);
  await sleep(100);
  return [0, "On command completed OK"];
}

/** Takes what a subscription tells, as it comes. */
export function collect(subscription: DeviceSubscription): DeviceEvent[] {
  const events: DeviceEvent[] = [];
  (async () => {
    for await (const event of subscription) events.push(event);
  })().catch(() => {});
  return events;
}

/** The values among events. */
export function valuesOf(events: readonly DeviceEvent[]): unknown[] {
  return events.map((event) =>
    "value" in event ? event.value : event.errors[0]?.reason
  );
}

/** A value with the names of commands in the place of their ids. */
function named(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(named);
  return typeof value === "string" && /^\d+(\.\d+)?_\d+_/.test(value)
    ? nameOf(value)
    : value;
}

/** A device on virtual time, and counts of what it holds. */
export class LrcRig<C, A extends object> implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly timers: CountingClock = new CountingClock(this.clock);
  readonly controller = new CountingController();
  readonly logger = new RecordingLogger();
  readonly device: LrcDevice<C, A>;
  /** What the watched attributes told, in the order it came. */
  readonly lines: unknown[][] = [];

  constructor(
    options: Omit<LrcDeviceOptions<C, A>, "name" | "clock" | "logger">,
  ) {
    this.device = new LrcDevice({
      name: "test/lrc/1",
      clock: this.timers,
      timeOrigin: EPOCH,
      logger: this.logger,
      signal: this.controller.signal,
      ...options,
    } as LrcDeviceOptions<C, A>);
  }

  /** Lets promises settle, and time pass. */
  pass(ms = 0): Promise<void> {
    return this.clock.advance(ms);
  }

  /** Writes down what attributes tell from now on, but for the first read. */
  async watch(...attributes: string[]): Promise<void> {
    for (const attribute of attributes) {
      const subscription = await this.device.subscribe(attribute);
      await subscription.next();
      (async () => {
        for await (const event of subscription) {
          const value = "value" in event ? named(event.value) : event.errors;
          this.lines.push([attribute, value]);
        }
      })();
    }
  }

  /** The lines since the last call. */
  take(): unknown[][] {
    return this.lines.splice(0);
  }

  /** The values since the last call, by attribute. */
  takeByAttribute(): Record<string, unknown[]> {
    const values: Record<string, unknown[]> = {};
    for (const [attribute, value] of this.take()) {
      (values[String(attribute)] ??= []).push(value);
    }
    return values;
  }

  /** Asks for a command. */
  async ask(
    name: string,
    argument?: unknown,
  ): Promise<[code: number, text: string]> {
    return await ask(this.device, name, argument);
  }

  async read(attribute: string): Promise<unknown> {
    const [value] = await this.device.readAttributes([attribute]);
    return value;
  }

  /** The rows of a table. */
  async rows(attribute: string): Promise<Record<string, unknown>[]> {
    const rows = await this.read(attribute) as string[];
    return rows.map((row) => JSON.parse(row));
  }

  async statusOf(id: string): Promise<unknown> {
    return await this.device.command("CheckLongRunningCommandStatus", id);
  }

  assertNothingLeft(): void {
    assertEquals(this.timers.timers, 0, "timers left");
    assertEquals(this.controller.listeners, 0, "listeners left");
    assertLessOrEqual(this.controller.most, 1, "listeners at a time");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopping = this.device.stop({ grace: 0 });
    await this.pass();
    await stopping;
    this.assertNothingLeft();
  }
}

/** Asks for a long-running command. */
export async function ask(
  device: DeviceProxy,
  name: string,
  argument?: unknown,
): Promise<[code: number, text: string]> {
  const answer = await device.command(name, argument);
  const [[code], [text]] = answer as [[number], [string]];
  return [code, text];
}

/** The reasons a promise rejects with. */
export async function reasonsOf(
  promise: Promise<unknown>,
): Promise<string[]> {
  const error = await assertRejects(() => promise, DeviceError);
  return error.errors.map(({ reason }) => reason);
}

/** The events of the second protocol, by name. */
export function eventsOf(lines: unknown[][]): unknown[] {
  return lines.map(([_attribute, value]) => {
    const [name, json] = value as [string, string];
    return [name, JSON.parse(json)];
  });
}
