// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { LazySignal } from "./_lazy_signal.ts";
import type { QuietHost } from "./_stopping.ts";
import { withBirths } from "./_topic_births.ts";
import { isCancellation } from "./cancellation.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import {
  type AnyTask,
  type LoopFigures,
  type SettingsOf,
  type StatusOf,
  Task,
  type TaskClass,
  TaskStopError,
  type TopicsOf,
} from "./task.ts";
import type { TaskBody } from "./task_runner.ts";
import { Topic } from "./topic.ts";

/** The class of any task, whose constructor takes its host first. */
export type AnyTaskClass = TaskClass<AnyTask, readonly unknown[]>;

/** Whether a value is the class of a task. */
export function isTaskClass(value: unknown): value is AnyTaskClass {
  return typeof value === "function" &&
    (value.prototype instanceof Task ||
      typeof value.prototype?.run === "function");
}

function makeStopError(options?: ErrorOptions): TaskStopError {
  return new TaskStopError("The task was stopped", options);
}

// To capture a stack is most of what a stop would cost, so all stops for the
// same reason share an error. That of those without a reason says nothing about
// where it was made.
const STOPPED = makeStopError();
Object.defineProperty(STOPPED, "stack", { value: String(STOPPED) });
const stopErrors: WeakMap<WeakKey, TaskStopError> = new WeakMap();

/** The error that the waits of a task fail with that is stopped for a reason. */
export function stopError(reason: unknown): TaskStopError {
  if (reason === undefined) return STOPPED;
  if (typeof reason !== "object" || reason === null) {
    return makeStopError({ cause: reason });
  }
  let error = stopErrors.get(reason);
  if (error === undefined) {
    error = makeStopError({ cause: reason });
    stopErrors.set(reason, error);
  }
  return error;
}

/** The topics among the fields of a task, by name. */
export function topicsOf(task: AnyTask): Record<string, Topic<unknown>> {
  const topics: Record<string, Topic<unknown>> = {};
  for (const key of Object.keys(task)) {
    const value = Object.getOwnPropertyDescriptor(task, key)?.value;
    if (value instanceof Topic) topics[key] = value;
  }
  return topics;
}

/** Runs a task. A stop is a normal end. */
export async function runTask(
  task: AnyTask,
  stopping: LazySignal,
): Promise<void> {
  try {
    await task.run();
  } catch (error) {
    if (error instanceof TaskStopError) return;
    if (stopping.aborted && isCancellation(error, stopping.signal)) return;
    throw error;
  }
}

/** A task in the thread of its runner: the host of the one for the other. */
export class LocalTask<T extends AnyTask> implements TaskBody<T>, QuietHost {
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly figures: LoopFigures = {
    rounds: 0,
    overruns: 0,
    missed: 0,
    worstLateness: 0,
  };
  readonly stopping: LazySignal = new LazySignal();
  readonly #task: T;
  /** The topics that were created for the task: they end with it. */
  readonly #born: object[];
  #pending: { settings: SettingsOf<T> } | undefined = undefined;
  #terminated = false;
  #stopRequest: { reason: unknown } | undefined = undefined;
  #tellStop: ((reason: unknown) => void) | undefined = undefined;

  constructor(
    name: string,
    taskClass: TaskClass<T, readonly unknown[]>,
    args: readonly unknown[],
    clock: Clock,
    logger: Logger,
  ) {
    this.name = name;
    this.clock = clock;
    this.logger = logger;
    const [task, born] = withBirths(() => new taskClass(this, ...args));
    this.#task = task;
    this.#born = born;
  }

  get className(): string {
    return this.#task.constructor.name;
  }

  get settings(): SettingsOf<T> {
    return this.#task.settings;
  }

  get pending(): { readonly settings: SettingsOf<T> } | undefined {
    return this.#pending;
  }

  get status(): StatusOf<T> {
    return this.#task.status;
  }

  get topics(): TopicsOf<T> {
    return topicsOf(this.#task) as unknown as TopicsOf<T>;
  }

  get statistics(): LoopFigures {
    return this.figures;
  }

  get terminated(): boolean {
    return this.#terminated;
  }

  get signal(): AbortSignal {
    return this.stopping.signal;
  }

  get stopRequested(): boolean {
    return this.stopping.aborted;
  }

  get isKilled(): boolean {
    return false;
  }

  onStopRequest(callback: (reason: unknown) => void): void {
    this.#tellStop = callback;
    if (this.#stopRequest !== undefined) callback(this.#stopRequest.reason);
  }

  stop(reason?: unknown): void {
    this.#stopRequest = { reason };
    this.#tellStop?.(reason);
  }

  terminate(): void {
    this.#terminated = true;
  }

  takeSettings(): { readonly settings: unknown } | undefined {
    const pending = this.#pending;
    this.#pending = undefined;
    return pending;
  }

  send(settings: SettingsOf<T>): void {
    this.#pending = { settings };
  }

  run(): Promise<void> {
    return runTask(this.#task, this.stopping);
  }

  abort(reason: unknown): void {
    if (!this.stopping.aborted) this.stopping.abort(stopError(reason));
  }

  close(): void {
    for (const topic of Object.values(topicsOf(this.#task))) {
      if (this.#born.includes(topic)) topic.close();
    }
  }
}
