// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * The tasks of a program: made by name, found by name, stopped together.
 *
 * @module
 */

import {
  checkCommon,
  checkFunction,
  checkNonNegative,
  checkOptions,
  checkType,
} from "./_arguments.ts";
import { LocalTask } from "./_local_task.ts";
import { DEFAULT_GRACE } from "./_run.ts";
import {
  type AnyMakeTaskOptions,
  type AnyTaskRunner,
  checkMaking,
  type MakeTaskOptions,
  type MakeThreadTaskOptions,
  type RunnerOption,
  type TaskArguments,
  type TaskContextOptions,
  type TaskHandle,
  type TaskSummary,
} from "./_task_context_options.ts";
import {
  checkUnlocked,
  createHandle,
  type TaskLocking,
} from "./_task_handle.ts";
import { ThreadTask } from "./_thread_task.ts";
import { TokenLock } from "./_token_lock.ts";
import { CancelScope, timeout } from "./cancellation.ts";
import { type Clock, systemClock } from "./clock.ts";
import { defaultLogger, type Logger } from "./logger.ts";
import type { StopOutcome } from "./run_state.ts";
import type { AnyTask, TaskClass } from "./task.ts";
import { type TaskBody, TaskInitError, TaskRunner } from "./task_runner.ts";

export type {
  AnyTaskRunner,
  MakeTaskOptions,
  MakeThreadTaskOptions,
  RunnerOption,
  TaskArguments,
  TaskContextOptions,
  TaskHandle,
  TaskLocking,
  TaskSummary,
};

interface Entry {
  readonly name: string;
  readonly body: TaskBody<AnyTask>;
  readonly runner: AnyTaskRunner;
  readonly lock: TokenLock;
  /** The class of the task, or the module of its class. */
  readonly source: unknown;
  /** How long a stop waits for the task to end. */
  readonly grace: number;
}

type AnyTaskClass = abstract new (...args: never) => AnyTask;

function isTaskOf({ source, body }: Entry, taskClass: AnyTaskClass): boolean {
  // The class itself is in another thread.
  if (body instanceof ThreadTask) return body.isA(taskClass.name);
  if (typeof source !== "function") return false;
  return source === taskClass || source.prototype instanceof taskClass;
}

/**
 * Makes tasks, knows them by name, and ends them all when it is disposed of.
 *
 * The system of `QMI_Context`, as far as tasks go.
 *
 * @example Usage
 * ```ts
 * import { LoopTask } from "@longrun/tasks/loop-task";
 * import { TaskContext } from "@longrun/tasks/task-context";
 * import { assertEquals } from "@std/assert";
 *
 * class Guider extends LoopTask<{ gain: number }> {
 *   override settings = { gain: 0.5 };
 * }
 *
 * await using context = new TaskContext();
 * const guider = await context.makeTask("guider", Guider, [{ period: 50 }]);
 * guider.start();
 *
 * const other = context.getTask("guider", Guider);
 * other.setSettings({ gain: 0.8 });
 * assertEquals(guider.pendingSettings, { gain: 0.8 });
 * ```
 *
 * @example A lock keeps others out
 * ```ts
 * import { LockedError } from "@longrun/tasks/lock";
 * import { LoopTask } from "@longrun/tasks/loop-task";
 * import { TaskContext } from "@longrun/tasks/task-context";
 * import { assert, assertThrows } from "@std/assert";
 *
 * class Shutter extends LoopTask {}
 *
 * await using context = new TaskContext();
 * const mine = await context.makeTask("shutter", Shutter);
 * const theirs = context.getTask("shutter");
 * {
 *   using lock = await mine.lock();
 *   assert(lock !== null);
 *   assertThrows(() => theirs.start(), LockedError);
 *   mine.start();
 * }
 * await theirs.stop();
 * ```
 */
export class TaskContext implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #signal: AbortSignal | undefined;
  readonly #grace: number;
  readonly #entries: Map<string, Entry> = new Map();
  readonly #entryOf: WeakMap<object, Entry> = new WeakMap();
  /** Names of tasks that are being made. */
  readonly #reserved: Map<string, Promise<unknown>> = new Map();
  /** Ends what is being made when the context is disposed of. */
  readonly #making: CancelScope = new CancelScope();
  #disposal: Promise<void> | undefined = undefined;

  /**
   * Creates a context without tasks.
   *
   * @param options What all its tasks have in common.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   */
  constructor(options: TaskContextOptions = {}) {
    const doing = "create TaskContext";
    checkOptions(doing, options);
    checkCommon(doing, options);
    const { clock, logger, signal, grace } = options;
    if (grace !== undefined) checkNonNegative(doing, "grace", grace);
    this.#clock = clock ?? systemClock;
    this.#logger = logger ?? defaultLogger;
    this.#signal = signal;
    this.#grace = grace ?? DEFAULT_GRACE;
  }

  /** The tasks, in the order in which they were made. */
  get tasks(): readonly TaskSummary[] {
    return [...this.#entries.values()].map(({ runner, lock }) => ({
      name: runner.name,
      className: runner.className,
      category: runner.category,
      running: runner.running,
      locked: lock.isLocked,
    }));
  }

  /**
   * Makes a task. It is not started.
   *
   * @typeParam T The type of the task.
   * @typeParam Args What its constructor takes after the host.
   * @param name A name that no other task of the context has: 1 to 63 letters,
   * digits, `-`, `_`, `(` and `)`.
   * @param taskClass The class of the task.
   * @param rest The arguments of its constructor after the host, as an array,
   * and options.
   * @returns A handle of the task.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   * @throws {Error} If the name is taken or the context was disposed of.
   * @throws {TaskInitError} If the constructor throws.
   */
  makeTask<T extends AnyTask, Args extends readonly unknown[]>(
    name: string,
    taskClass: TaskClass<T, Args>,
    ...rest: [] extends Args ? [args?: Args, options?: MakeTaskOptions]
      : [args: Args, options?: MakeTaskOptions]
  ): Promise<TaskHandle<TaskRunner<T>>>;
  /**
   * Makes a task with a runner of a class of its own. It is not started.
   *
   * @typeParam T The type of the task.
   * @typeParam Args What its constructor takes after the host.
   * @typeParam R The type of the runner.
   * @param name A name that no other task of the context has.
   * @param taskClass The class of the task.
   * @param args The arguments of its constructor after the host.
   * @param options The class of the runner, and more.
   * @returns A handle of the task, with the methods of the runner.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   * @throws {Error} If the name is taken or the context was disposed of.
   * @throws {TaskInitError} If a constructor throws.
   */
  makeTask<
    T extends AnyTask,
    Args extends readonly unknown[],
    R extends TaskRunner<T>,
  >(
    name: string,
    taskClass: TaskClass<T, Args>,
    args: Args,
    options: MakeTaskOptions & RunnerOption<T, R>,
  ): Promise<R & TaskLocking>;
  /**
   * Makes a task in a thread of its own, so that it may block without stalling
   * the others. It is not started.
   *
   * Arguments, settings, status, topics and errors are copied from thread to
   * thread, as `structuredClone` does. `stopRequested` becomes true at once,
   * also for a task that never gives its thread a turn.
   *
   * **Gotchas.** The thread has the system clock, whatever the context has. A
   * status that is changed in place instead of assigned is not seen, and of
   * those assigned in quick succession only the last. New settings and the
   * abort of the signal need a turn of the thread's event loop. A thread
   * that stays busy after its stop is abandoned after its grace: Node and Bun
   * end it then, on Deno it stays busy as long as the process lives.
   *
   * @typeParam C The type of the task's class, such as `typeof Camera`.
   * @param name A name that no other task of the context has.
   * @param url The module of the class, mostly
   * `new URL("./camera.ts", import.meta.url)`.
   * @param args The arguments of its constructor after the host.
   * @param options That it is a thread, and more.
   * @returns A handle of the task.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   * @throws {Error} If the name is taken or the context was disposed of.
   * @throws {TaskInitError} If the module cannot be loaded, has no such class,
   * or the constructor throws; or if the signal aborts first.
   */
  makeTask<C extends TaskClass<AnyTask, never>>(
    name: string,
    url: URL,
    args: TaskArguments<C>,
    options: MakeThreadTaskOptions,
  ): Promise<TaskHandle<TaskRunner<InstanceType<C>>>>;
  /**
   * Makes a task in a thread of its own, with a runner of a class of its own,
   * which stays in this thread. It is not started.
   *
   * @typeParam C The type of the task's class, such as `typeof Camera`.
   * @typeParam R The type of the runner.
   * @param name A name that no other task of the context has.
   * @param url The module of the task's class.
   * @param args The arguments of its constructor after the host.
   * @param options That it is a thread, the class of the runner, and more.
   * @returns A handle of the task, with the methods of the runner.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If `grace` is negative or `NaN`.
   * @throws {Error} If the name is taken or the context was disposed of.
   * @throws {TaskInitError} If the task cannot be made.
   */
  makeTask<
    C extends TaskClass<AnyTask, never>,
    R extends TaskRunner<InstanceType<C>>,
  >(
    name: string,
    url: URL,
    args: TaskArguments<C>,
    options: MakeThreadTaskOptions & RunnerOption<InstanceType<C>, R>,
  ): Promise<R & TaskLocking>;
  async makeTask(
    name: string,
    source: TaskClass<AnyTask, never> | URL,
    args: readonly unknown[] = [],
    options: AnyMakeTaskOptions = {},
  ): Promise<AnyTaskRunner & TaskLocking> {
    checkMaking("make task", name, source, args, options);
    const { runner = TaskRunner, signal, grace } = options;
    const stopGrace = grace ?? this.#grace;
    const entry = await this.#reserve(name, async () => {
      const body = await this.#makeBody(name, source, args, options);
      try {
        const made = new runner({
          name,
          body,
          clock: this.#clock,
          logger: this.#logger,
          signals: [signal, this.#signal],
          grace: stopGrace,
        });
        const lock = new TokenLock(name, this.#clock);
        return { name, runner: made, lock, source, body, grace: stopGrace };
      } catch (error) {
        body.close();
        throw error;
      }
    });
    return this.#handleOf(entry);
  }

  /**
   * Finds a task.
   *
   * @typeParam R The type of the runner, which is taken on trust.
   * @param name The name of the task.
   * @returns A new handle: the lock tells it from all others.
   * @throws {Error} If there is none of that name.
   */
  getTask<R extends AnyTaskRunner = AnyTaskRunner>(
    name: string,
  ): R & TaskLocking;
  /**
   * Finds a task of a class.
   *
   * @typeParam T The type of the task.
   * @param name The name of the task.
   * @param taskClass The class of the task, or one that it extends.
   * @returns A new handle: the lock tells it from all others.
   * @throws {TypeError} If the task is of another class.
   * @throws {Error} If there is none of that name.
   */
  getTask<T extends AnyTask>(
    name: string,
    taskClass: abstract new (...args: never) => T,
  ): TaskHandle<TaskRunner<T>>;
  /**
   * Finds a task of a class, with a runner of a class.
   *
   * @typeParam T The type of the task.
   * @typeParam R The type of the runner.
   * @param name The name of the task.
   * @param taskClass The class of the task, or one that it extends.
   * @param runner The class of its runner, or one that it extends.
   * @returns A new handle: the lock tells it from all others.
   * @throws {TypeError} If the task or its runner is of another class.
   * @throws {Error} If there is none of that name.
   */
  getTask<T extends AnyTask, R extends TaskRunner<T>>(
    name: string,
    taskClass: abstract new (...args: never) => T,
    runner: abstract new (...args: never) => R,
  ): R & TaskLocking;
  getTask(
    name: string,
    taskClass?: AnyTaskClass,
    runner?: abstract new (...args: never) => AnyTaskRunner,
  ): AnyTaskRunner & TaskLocking {
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      throw new Error(`Cannot get task '${name}' as there is none`);
    }
    const doing = `get task '${name}'`;
    if (taskClass !== undefined) {
      checkFunction(doing, "taskClass", taskClass);
      checkType(
        isTaskOf(entry, taskClass),
        doing,
        "taskClass",
        `a class of the task, whose class is ${entry.runner.className}`,
        taskClass,
      );
    }
    if (runner !== undefined) {
      checkFunction(doing, "runner", runner);
      checkType(
        entry.runner instanceof runner,
        doing,
        "runner",
        `a class of its runner, whose class is ${entry.runner.constructor.name}`,
        runner,
      );
    }
    return this.#handleOf(entry);
  }

  /**
   * Stops a task, waits for its end, and forgets it: the name is free.
   *
   * @param task A handle of the task, or its name.
   * @returns How the stop has ended.
   * @throws {Error} If there is none of that name.
   * @throws {LockedError} If another handle holds the lock.
   */
  async removeTask(task: string | AnyTaskRunner): Promise<StopOutcome> {
    const isName = typeof task === "string";
    const entry = isName ? this.#entries.get(task) : this.#entryOf.get(task);
    if (entry === undefined || this.#entries.get(entry.name) !== entry) {
      const what = isName ? ` '${task}'` : "";
      throw new Error(`Cannot remove task${what} as there is none`);
    }
    checkUnlocked(entry.lock, isName ? undefined : task, "remove task");
    return await this.#remove(entry);
  }

  /**
   * Stops all tasks, waits for their ends, and forgets them: the last one made
   * first, one after the other, whatever is locked. No further task is made.
   *
   * @throws {AggregateError} If tasks have failed and nobody has joined them,
   * now or before, with all their errors.
   */
  dispose(): Promise<void> {
    return this.#disposal ??= this.#dispose();
  }

  /** The same as {@linkcode TaskContext.dispose}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  async #dispose(): Promise<void> {
    this.#making.abort(new Error("The context was disposed of"));
    await Promise.allSettled(this.#reserved.values());
    const errors: unknown[] = [];
    for (const entry of [...this.#entries.values()].reverse()) {
      const { runner } = entry;
      try {
        await this.#remove(entry);
        if (runner.unhandled) errors.push(runner.exception);
      } catch (error) {
        // A member of a subclass: it keeps neither the task nor the others.
        errors.push(error);
        await TaskRunner.prototype[Symbol.asyncDispose].call(runner);
        this.#forget(entry);
      }
    }
    if (errors.length === 0) return;
    const count = errors.length === 1 ? "A task" : `${errors.length} tasks`;
    throw new AggregateError(errors, `${count} of the context failed`);
  }

  async #remove(entry: Entry): Promise<StopOutcome> {
    const { runner } = entry;
    const outcome = runner.abandoned && !runner.ended
      ? "abandoned"
      : await this.#stop(entry);
    this.#forget(entry);
    return outcome;
  }

  async #stop({ runner, grace }: Entry): Promise<StopOutcome> {
    const { stop } = TaskRunner.prototype;
    if (runner.stop === stop) return await runner.stop();
    // That of a subclass gets time to do more than the grace, and no more.
    const limit = { clock: this.#clock };
    try {
      const outcome = await timeout(runner.stop(), 2 * grace, limit);
      // It may have done without that of its base class.
      if (runner.ended || runner.abandoned) return outcome;
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "TimeoutError")) {
        throw error;
      }
    }
    return await stop.call(runner);
  }

  #forget(entry: Entry): void {
    const { name, lock } = entry;
    lock.close();
    if (this.#entries.get(name) === entry) this.#entries.delete(name);
  }

  async #reserve(name: string, make: () => Promise<Entry>): Promise<Entry> {
    if (this.#disposal !== undefined) {
      throw new Error(
        `Cannot make task '${name}' as the context was disposed of`,
      );
    }
    if (this.#entries.has(name) || this.#reserved.has(name)) {
      throw new Error(`Cannot make task '${name}' as the name is taken`);
    }
    // Not before the name is reserved: a constructor may make tasks, too.
    const made = Promise.resolve().then(make);
    this.#reserved.set(name, made);
    try {
      const entry = await made;
      this.#entries.set(name, entry);
      return entry;
    } catch (error) {
      throw new TaskInitError(`Cannot make task '${name}'`, { cause: error });
    } finally {
      this.#reserved.delete(name);
    }
  }

  async #makeBody(
    name: string,
    source: TaskClass<AnyTask, never> | URL,
    args: readonly unknown[],
    { signal, exportName }: { signal?: AbortSignal; exportName?: string },
  ): Promise<TaskBody<AnyTask>> {
    const logger = this.#logger;
    if (source instanceof URL) {
      const scope = new CancelScope(this.#making.signal, signal);
      const init = { name, url: source, exportName, args, logger };
      try {
        return await ThreadTask.make(init, scope.signal);
      } finally {
        scope.dispose();
      }
    }
    const taskClass = source as TaskClass<AnyTask, readonly unknown[]>;
    return new LocalTask(name, taskClass, args, this.#clock, logger);
  }

  #handleOf(entry: Entry): AnyTaskRunner & TaskLocking {
    const handle = createHandle(entry.runner, entry.lock);
    this.#entryOf.set(handle, entry);
    return handle;
  }
}
