// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  checkBoolean,
  checkFunction,
  checkNonNegative,
  checkOptions,
  checkSignal,
  checkType,
} from "./_arguments.ts";
import { isTaskClass } from "./_local_task.ts";
import { LOCKING, type TaskLocking } from "./_task_handle.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import type { AnyTask, TaskHost } from "./task.ts";
import { TaskRunner, type TaskRunnerInit } from "./task_runner.ts";

/** Any runner, for the bounds of type parameters. */
export type AnyTaskRunner = TaskRunner<AnyTask>;

/** A runner, and the lock of its task: what a `TaskContext` gives. */
export type TaskHandle<R extends AnyTaskRunner = AnyTaskRunner> =
  & R
  & TaskLocking;

/** Options of `TaskContext`. */
export interface TaskContextOptions {
  /**
   * Measures the time of all tasks.
   *
   * @default {systemClock}
   */
  clock?: Clock;
  /**
   * Told of errors that nobody looked at, of late rounds and abandoned work.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
  /** Stops all tasks, also those started later. */
  signal?: AbortSignal;
  /**
   * How long a stop waits for a task to end, in milliseconds, before it is
   * abandoned, unless the task or the call says otherwise.
   *
   * @default {5000}
   */
  grace?: number;
}

/** The class of a runner, as an option. */
export interface RunnerOption<T extends AnyTask, R extends TaskRunner<T>> {
  /** The class of the runner, whose methods the handle has. */
  runner: new (init: TaskRunnerInit<T>) => R;
}

/** Options of `TaskContext.makeTask()`. */
export interface MakeTaskOptions {
  /** Stops the task. */
  signal?: AbortSignal;
  /**
   * How long a stop waits for the task to end, in milliseconds, before it is
   * abandoned.
   *
   * @default {the grace of the context}
   */
  grace?: number;
}

/** Options of `TaskContext.makeTask()` for a thread of its own. */
export interface MakeThreadTaskOptions extends MakeTaskOptions {
  /** The task gets a thread of its own. */
  thread: true;
  /**
   * The name by which the module exports the class.
   *
   * @default {the default export, or else the only task class among them}
   */
  exportName?: string;
}

/** All options that a task may be made with. */
export type AnyMakeTaskOptions =
  & Partial<MakeThreadTaskOptions>
  & Partial<RunnerOption<AnyTask, AnyTaskRunner>>;

/** The arguments of a task's constructor after its host. */
export type TaskArguments<C> = C extends
  new (host: TaskHost, ...args: infer Args) => AnyTask ? Args : never;

/** What `TaskContext.tasks` tells of a task. */
export interface TaskSummary {
  /** The name of the task. */
  readonly name: string;
  /** The name of its class. */
  readonly className: string;
  /** What kind of thing it is. */
  readonly category: string;
  /** Whether it has been started and has not ended yet. */
  readonly running: boolean;
  /** Whether a handle holds its lock. */
  readonly locked: boolean;
}

const NAME = /^[-_a-zA-Z0-9()]{1,63}$/;

function checkName(doing: string, name: unknown): void {
  checkType(
    typeof name === "string" && NAME.test(name),
    doing,
    "name",
    "1 to 63 letters, digits, '-', '_', '(' and ')'",
    name,
  );
}

function checkTaskClass(doing: string, taskClass: unknown): void {
  checkType(
    isTaskClass(taskClass),
    doing,
    "taskClass",
    "a subclass of Task",
    taskClass,
  );
}

function checkRunnerClass(doing: string, runner: unknown): void {
  checkFunction(doing, "runner", runner);
  const { prototype } = runner as { prototype: unknown };
  checkType(
    runner === TaskRunner || prototype instanceof TaskRunner,
    doing,
    "runner",
    "a subclass of TaskRunner",
    runner,
  );
  for (const key of LOCKING) {
    checkType(
      !(key in (prototype as object)),
      doing,
      "runner",
      `without a member '${key}', which handles have`,
      runner,
    );
  }
}

/** Checks what a task is to be made of. */
export function checkMaking(
  doing: string,
  name: unknown,
  source: unknown,
  args: unknown,
  options: AnyMakeTaskOptions,
): void {
  checkName(doing, name);
  checkType(Array.isArray(args), doing, "args", "an array", args);
  checkOptions(doing, options);
  const { runner = TaskRunner, signal, grace, thread, exportName } = options;
  checkBoolean(doing, "thread", thread);
  checkType(
    exportName === undefined || typeof exportName === "string",
    doing,
    "exportName",
    "a string",
    exportName,
  );
  if (thread) checkType(source instanceof URL, doing, "url", "a URL", source);
  else checkTaskClass(doing, source);
  checkRunnerClass(doing, runner);
  checkSignal(doing, signal);
  if (grace !== undefined) checkNonNegative(doing, "grace", grace);
}
