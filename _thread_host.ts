// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import {
  type AnyTaskClass,
  isTaskClass,
  runTask,
  stopError,
  topicsOf,
} from "./_local_task.ts";
import { LazySignal } from "./_lazy_signal.ts";
import { pack, type Packed, unpack } from "./_packed.ts";
import type { QuietHost } from "./_stopping.ts";
import {
  Board,
  type Envelope,
  type FromThread,
  openEnvelope,
  type ToThread,
} from "./_thread_messages.ts";
import type { ThreadPort } from "./_worker.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import type { AnyTask, LoopFigures } from "./task.ts";

/** The name of a task's class, and those of the classes that it extends. */
function classNamesOf(task: AnyTask): string[] {
  const names: string[] = [];
  let prototype: unknown = Object.getPrototypeOf(task);
  while (prototype instanceof Object && prototype !== Object.prototype) {
    names.push(prototype.constructor.name);
    prototype = Object.getPrototypeOf(prototype);
  }
  return names;
}

/** The class that a module exports: of a name, by default, or the only one. */
function findTaskClass(
  module: Record<string, unknown>,
  exportName: string | undefined,
): AnyTaskClass {
  if (exportName !== undefined) {
    const found = module[exportName];
    if (isTaskClass(found)) return found;
    throw new TypeError(`The module exports no task class '${exportName}'`);
  }
  if (isTaskClass(module.default)) return module.default;
  const classes = Object.values(module).filter(isTaskClass);
  const [only] = classes;
  if (only !== undefined && classes.length === 1) return only;
  throw new TypeError(
    `The module must export one task class or name it by 'exportName': it exports ${classes.length}`,
  );
}

/** A thread's logger: what it is told goes to the runner's. */
class PostingLogger implements Logger {
  readonly #post: (message: FromThread) => void;

  constructor(post: (message: FromThread) => void) {
    this.#post = post;
  }

  debug(message: string, details?: Record<string, unknown>): void {
    this.#log("debug", message, details);
  }

  info(message: string, details?: Record<string, unknown>): void {
    this.#log("info", message, details);
  }

  warn(message: string, details?: Record<string, unknown>): void {
    this.#log("warn", message, details);
  }

  error(message: string, details?: Record<string, unknown>): void {
    this.#log("error", message, details);
  }

  #log(
    level: keyof Logger,
    message: string,
    details: Record<string, unknown> | undefined,
  ): void {
    const packed = details && Object.entries(details).map(
      ([key, value]): [string, Packed] => [key, pack(value)],
    );
    this.#post({ type: "log", level, message, details: packed });
  }
}

/** The host of the one task of this thread. */
class ThreadHost implements QuietHost {
  readonly name: string;
  readonly clock: Clock = systemClock;
  readonly logger: Logger;
  readonly stopping: LazySignal = new LazySignal();
  readonly board: Board;
  readonly #post: (message: FromThread) => void;
  #pending: { readonly settings: unknown; readonly turn: number } | undefined =
    undefined;
  #status: { readonly value: unknown } | undefined = undefined;
  isTerminated = false;

  constructor(
    name: string,
    board: Board,
    post: (message: FromThread) => void,
  ) {
    this.name = name;
    this.board = board;
    this.logger = new PostingLogger((message) => this.post(message));
    this.#post = post;
  }

  get signal(): AbortSignal {
    return this.stopping.signal;
  }

  get stopRequested(): boolean {
    this.flushStatus();
    return this.stopping.aborted || this.board.stopRequested;
  }

  get figures(): LoopFigures {
    return this.board;
  }

  stop(reason?: unknown): void {
    this.post({ type: "stopRequest", reason: pack(reason) });
  }

  terminate(): void {
    this.isTerminated = true;
  }

  /**
   * Shows a status. While one is on its way the newest waits: a busy task that
   * assigns it all the time must not drown its runner.
   */
  showStatus(value: unknown): void {
    if (this.board.admitStatus()) this.#sendStatus(value);
    // A copy, so that what cannot be copied fails here and now.
    else this.#status = { value: structuredClone(value) };
  }

  /** Sends the status that waits, if there is one and its turn has come. */
  flushStatus(): void {
    if (this.#status !== undefined && this.board.admitStatus()) {
      this.#sendStatus(this.#status.value);
    }
  }

  /** Says something else, after the status that was assigned before. */
  post(message: FromThread): void {
    if (this.#status !== undefined) this.#sendStatus(this.#status.value);
    this.#post(message);
  }

  #sendStatus(status: unknown): void {
    this.#status = undefined;
    try {
      this.#post({ type: "status", status });
    } catch (error) {
      this.board.seeStatus();
      throw error;
    }
  }

  send(settings: unknown, turn: number): void {
    this.#pending = { settings, turn };
    this.post({ type: "received" });
  }

  takeSettings(): { readonly settings: unknown } | undefined {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending !== undefined) {
      this.post({ type: "taken", turn: pending.turn });
    }
    return pending;
  }
}

/** Tells of each value that is assigned to a field from now on. */
function watchField<Key extends "settings" | "status">(
  task: AnyTask,
  key: Key,
  tell: (value: unknown) => void,
): void {
  let current: unknown = task[key];
  Object.defineProperty(task, key, {
    get: () => current,
    set: (value: unknown) => {
      tell(value);
      current = value;
    },
    enumerable: true,
    configurable: true,
  });
}

/** Hosts a task in this thread, as the other side of the port says. */
export class TaskThread {
  readonly #port: ThreadPort;
  #host: ThreadHost | undefined = undefined;
  #task: AnyTask | undefined = undefined;

  constructor(port: ThreadPort) {
    this.#port = port;
    port.onMessage((envelope) => {
      const message = openEnvelope<ToThread>(envelope);
      if (message !== undefined) this.#receive(message);
    });
    port.onError((error) => this.#say({ type: "crashed", error: pack(error) }));
    port.onExit((code) => this.#say({ type: "exit", code }));
  }

  #post(message: FromThread): void {
    this.#port.post({ longrun: message } satisfies Envelope<FromThread>);
  }

  /** Says something after all that the host has to say. */
  #say(message: FromThread): void {
    if (this.#host === undefined) this.#post(message);
    else this.#host.post(message);
  }

  #receive(message: ToThread): void {
    switch (message.type) {
      case "make":
        this.#make(message);
        break;
      case "run":
        this.#run();
        break;
      case "settings":
        this.#host?.send(message.settings, message.turn);
        break;
      case "seen":
        this.#host?.flushStatus();
        break;
      case "stop":
        this.#host?.stopping.abort(stopError(unpack(message.reason)));
        break;
    }
  }

  async #make(message: ToThread & { type: "make" }): Promise<void> {
    const { name, url, exportName, args, board } = message;
    try {
      const host = new ThreadHost(
        name,
        new Board(board),
        (message) => this.#post(message),
      );
      const module: Record<string, unknown> = await import(url);
      const taskClass = findTaskClass(module, exportName);
      const task = new taskClass(host, ...args);
      const topics = topicsOf(task);
      for (const [name, topic] of Object.entries(topics)) {
        topic.onPublish((value) => host.post({ type: "topic", name, value }));
      }
      this.#host = host;
      this.#task = task;
      watchField(
        task,
        "settings",
        (settings) => host.post({ type: "settings", settings }),
      );
      watchField(
        task,
        "status",
        (status) => host.showStatus(status),
      );
      this.#post({
        type: "made",
        classNames: classNamesOf(task),
        topics: Object.entries(topics).map(([name, { published, last }]) => ({
          name,
          last: published > 0 ? [last] : [],
        })),
        settings: task.settings,
        status: task.status,
      });
    } catch (error) {
      this.#post({ type: "notMade", error: pack(error) });
    }
  }

  async #run(): Promise<void> {
    const host = this.#host;
    if (host === undefined || this.#task === undefined) return;
    let failure: Packed | undefined;
    try {
      await runTask(this.#task, host.stopping);
    } catch (error) {
      failure = pack(error);
    }
    host.post({
      type: "ended",
      failure,
      terminated: host.isTerminated,
      board: host.board.buffer,
    });
  }
}
