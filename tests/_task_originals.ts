// Copyright 2026 the Longrun authors. MIT license.

/**
 * Tasks that behave as those in the test suite of QMI do, in virtual time:
 * what blocks there, sleeps here without the signal of the task.
 */

import { sleep } from "../cancellation.ts";
import { LoopTask, type LoopTaskOptions } from "../loop_task.ts";
import { Task, type TaskHost, TaskStopError } from "../task.ts";
import { TimeoutIterator } from "../timeout_iterator.ts";
import { Topic, type TopicItem } from "../topic.ts";

export interface MeasurementSettings {
  message: string;
  value: number;
}

export interface MeasurementOptions {
  duration?: number;
  value?: number;
  failsToBegin?: boolean;
  failsToRun?: boolean;
  /** Settings are only taken over while this is open. */
  gate?: { isOpen: boolean };
}

/** Takes settings over for a time. What the last of them say is its result. */
export class Measurement extends Task<MeasurementSettings, number | null> {
  override settings: MeasurementSettings;
  override status: number | null = null;
  readonly result: Topic<number> = new Topic();
  readonly #options: MeasurementOptions;

  constructor(host: TaskHost, options: MeasurementOptions = {}) {
    super(host);
    if (options.failsToBegin) throw new RangeError("no such instrument");
    this.settings = { message: "hello", value: options.value ?? 0 };
    this.#options = options;
  }

  override async run(): Promise<void> {
    const { duration = 0, failsToRun, gate } = this.#options;
    if (failsToRun) throw new RangeError("no light");
    const end = this.clock.now() + duration;
    while (this.clock.now() < end) {
      if (gate?.isOpen ?? true) {
        this.updateSettings();
        if (gate !== undefined) gate.isOpen = false;
      }
      await this.sleep(100);
    }
    this.status = this.settings.value;
    this.result.publish(this.settings.value);
  }
}

/** Shows the values of a topic until one of them is -1. */
export class Listener extends Task<undefined, number | null> {
  override status: number | null = null;
  readonly #values: TimeoutIterator<TopicItem<number>>;

  constructor(host: TaskHost, topic: Topic<number>, timeout: number) {
    super(host);
    this.#values = new TimeoutIterator(topic.subscribe(), {
      timeout,
      signal: this.signal,
      clock: this.clock,
    });
  }

  override async run(): Promise<void> {
    try {
      for await (const { value } of this.#values) {
        if (value === -1) return;
        this.status = value;
      }
    } catch (error) {
      this.status = error instanceof TaskStopError ? -100 : -101;
      throw error;
    }
  }
}

export interface CounterOptions extends LoopTaskOptions {
  status: number;
  rounds: number;
  /** Publishes twice the progress, and works half a period longer. */
  isFast?: boolean;
  /** What every round works beyond the period, in parts of it. */
  overrun?: number;
  /** Counts the rounds that it loses itself. */
  countsLost?: boolean;
}

/** Counts its rounds, and ends itself after the last of them. */
export class Counter extends LoopTask<number, number> {
  override settings = 1;
  override status: number;
  readonly sum: Topic<number> = new Topic();
  readonly #options: CounterOptions;
  #count = 0;

  constructor(host: TaskHost, options: CounterOptions) {
    super(host, options);
    this.status = options.status;
    this.#options = options;
  }

  override async loopPrepare(): Promise<void> {
    this.#publish();
    await this.#block(-this.clock.now() % this.period + this.period);
  }

  override async loopIteration(): Promise<void> {
    const { rounds, overrun, countsLost } = this.#options;
    this.settings = ++this.#count;
    this.status++;
    if (this.#count >= rounds) {
      await this.#block(this.period);
      this.stop();
    }
    if (overrun !== undefined) await this.#block((1 + overrun) * this.period);
    if (countsLost) this.#count++;
  }

  override async publishSignals(): Promise<void> {
    this.sum.publish(this.settings + this.status);
    this.#publish();
    if (!this.#options.isFast) return;
    this.status++;
    await this.#block(this.period / 2);
  }

  override async loopFinalize(): Promise<void> {
    await this.#block(this.period / 2);
    this.status = this.settings = 1;
  }

  #publish(): void {
    this.settingsUpdated.publish(this.settings);
    this.statusUpdated.publish(this.status);
  }

  #block(ms: number): Promise<void> {
    return sleep(ms, { clock: this.clock });
  }
}
