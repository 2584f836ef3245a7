// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Tasks as classes: what runs, with settings that others may change and a
 * status that others may see. A `TaskContext` makes them and gives a handle to
 * start, stop and watch them by.
 *
 * ```ts
 * import { Task } from "@longrun/tasks/task";
 * import { TaskContext } from "@longrun/tasks/task-context";
 * import { ManualClock } from "@longrun/tasks/testing";
 * import { assertEquals } from "@std/assert";
 *
 * class Dome extends Task<{ speed: number }, { azimuth: number }> {
 *   override settings = { speed: 2 };
 *   override status = { azimuth: 0 };
 *
 *   override async run() {
 *     while (!this.stopRequested) {
 *       this.updateSettings();
 *       const azimuth = this.status.azimuth + this.settings.speed;
 *       this.status = { azimuth };
 *       await this.sleep(1000);
 *     }
 *   }
 * }
 *
 * const clock = new ManualClock();
 * await using context = new TaskContext({ clock });
 * const dome = await context.makeTask("dome", Dome);
 * dome.start();
 * await clock.advance(1500);
 * dome.setSettings({ speed: 10 });
 * await clock.advance(1000);
 * assertEquals(dome.status, { azimuth: 14 });
 * await dome.stop();
 * ```
 *
 * @module
 */

import { sleepOf } from "./_stopping.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import type { LoopStatistics } from "./loop.ts";
import { type ReadableTopic, Topic } from "./topic.ts";

/**
 * What the waits of a task fail with once it was asked to stop. The reason of
 * the stop, where one was given, is its `cause`.
 *
 * A task that lets it through ends normally.
 */
export class TaskStopError extends Error {
  /** The name of the error. */
  override readonly name: string = "TaskStopError";
}

/** The figures of a loop, for whoever counts. */
export type LoopFigures = {
  -readonly [Key in keyof LoopStatistics]: LoopStatistics[Key];
};

/**
 * What a task knows of the place where it runs. The runner makes it; the
 * constructor of a task passes it on to `super()`.
 */
export interface TaskHost {
  /** The name of the task. */
  readonly name: string;
  /** Aborts with a {@linkcode TaskStopError} when the task is to stop. */
  readonly signal: AbortSignal;
  /** Whether the task is to stop; true at once, also in a busy thread. */
  readonly stopRequested: boolean;
  /** Measures the time. */
  readonly clock: Clock;
  /** Where the task says what happens. */
  readonly logger: Logger;
  /** Where a loop counts its rounds. */
  readonly figures: LoopFigures;
  /** Asks the task to stop. */
  stop(reason?: unknown): void;
  /** Says that the task ends because of its policy. */
  terminate(): void;
  /** The settings that wait for the task, once. */
  takeSettings(): { readonly settings: unknown } | undefined;
}

/**
 * The base of all tasks: a subclass says in {@linkcode Task.run} what to do.
 *
 * Settings go in: others send new ones, the task takes them over when it calls
 * {@linkcode Task.updateSettings}. The status goes out: the task assigns it,
 * others see it. Neither is copied, so treat both as values: assign a new
 * object instead of changing the old one. A task in a thread of its own gets
 * and gives copies.
 *
 * **When to use.** For what has settings, a status, or a name by which others
 * find it. For a round with a period use `LoopTask`; for a function that just
 * runs, `BackgroundTask` or `loop()`.
 *
 * **Gotchas.** `settings` and `status` are `undefined` until the subclass
 * assigns them, whatever their types: give both fields a value.
 *
 * The system of `QMI_Task`. Where that runs in a thread, this one shares the
 * thread unless it is made with `thread: true`.
 *
 * @typeParam Settings What others may set.
 * @typeParam Status What others may see.
 */
export abstract class Task<Settings = undefined, Status = undefined> {
  /** The settings in effect. */
  settings: Settings = undefined as Settings;
  /** What the task is at. */
  status: Status = undefined as Status;
  /** The settings, each time that the task has taken over new ones. */
  readonly settingsUpdated: Topic<Settings>;

  readonly #host: TaskHost;

  /**
   * Creates a task. A `TaskContext` calls this.
   *
   * @param host The place where it runs.
   */
  constructor(host: TaskHost) {
    this.#host = host;
    const { logger } = host;
    this.settingsUpdated = new Topic({ name: "settingsUpdated", logger });
  }

  /**
   * What the task does. It ends when this ends; it should do so soon once
   * {@linkcode Task.stopRequested} is true.
   *
   * @returns Nothing, or a promise of nothing.
   */
  abstract run(): unknown;

  /** The name of the task. */
  get name(): string {
    return this.#host.name;
  }

  /** Aborts with a {@linkcode TaskStopError} when the task is to stop. */
  get signal(): AbortSignal {
    return this.#host.signal;
  }

  /**
   * Whether the task is to stop. In a thread of its own this becomes true also
   * while the task keeps the thread busy.
   */
  get stopRequested(): boolean {
    return this.#host.stopRequested;
  }

  /** Measures the time. */
  get clock(): Clock {
    return this.#host.clock;
  }

  /** Where the task says what happens. */
  get logger(): Logger {
    return this.#host.logger;
  }

  /**
   * Waits for a time, or until the task is to stop.
   *
   * @param ms The time in milliseconds; `Infinity` is allowed.
   * @returns A promise that resolves when the time is over.
   * @throws {RangeError} If `ms` is negative or `NaN`.
   * @throws {TaskStopError} If the task is to stop, at once.
   */
  sleep(ms: number): Promise<void> {
    return sleepOf(this.#host, ms, this.clock);
  }

  /**
   * Asks the task itself to stop, as the `stop()` of its runner does.
   *
   * @param reason Why; the `cause` of the {@linkcode TaskStopError}.
   */
  stop(reason?: unknown): void {
    this.#host.stop(reason);
  }

  /**
   * Takes over the settings that others have sent last, and publishes them.
   *
   * @returns Whether there were any.
   */
  updateSettings(): boolean {
    const taken = this.#host.takeSettings();
    if (taken === undefined) return false;
    this.settings = taken.settings as Settings;
    this.settingsUpdated.publish(this.settings);
    return true;
  }
}

/** What all tasks have, for the bounds of type parameters. */
export interface AnyTask {
  /** The settings in effect. */
  settings: unknown;
  /** What the task is at. */
  status: unknown;
  /** What the task does. */
  run(): unknown;
}

/** The settings of a task. */
export type SettingsOf<T extends AnyTask> = T["settings"];

/** The status of a task. */
export type StatusOf<T extends AnyTask> = T["status"];

/** The topics among the public fields of a task, for those who listen. */
export type TopicsOf<T> = {
  readonly [
    Key in keyof T as T[Key] extends Topic<infer _Value> ? Key : never
  ]: T[Key] extends Topic<infer Value> ? ReadableTopic<Value> : never;
};

/** A class of tasks, whose constructor takes its host first. */
export type TaskClass<T extends AnyTask, Args extends readonly unknown[]> =
  new (host: TaskHost, ...args: Args) => T;
