// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { callHook } from "./_hooks.ts";
import { pack, unpack } from "./_packed.ts";
import { reportTask } from "./_report.ts";
import {
  Board,
  type Envelope,
  type FromThread,
  openEnvelope,
  type ToThread,
} from "./_thread_messages.ts";
import { startThread, type Thread } from "./_worker.ts";
import { abortable } from "./cancellation.ts";
import type { Logger } from "./logger.ts";
import type { LoopStatistics } from "./loop.ts";
import type { AnyTask, SettingsOf, StatusOf, TopicsOf } from "./task.ts";
import type { TaskBody } from "./task_runner.ts";
import { Topic } from "./topic.ts";

/** What a {@linkcode ThreadTask} is made of. */
export interface ThreadTaskInit {
  /** The name of the task. */
  name: string;
  /** The module of its class. */
  url: URL;
  /** The name that the module exports the class by. */
  exportName: string | undefined;
  /** The arguments of its constructor after the host. */
  args: readonly unknown[];
  /** Where the task's messages go. */
  logger: Logger;
}

/** The first module of a thread, beside this one. */
function threadModule(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new URL(`./_thread_worker.${extension}`, import.meta.url);
}

/**
 * Never called: it makes the module a part of the package for those who follow
 * imports, as packers and registries do.
 */
export const importThreadModule = (): Promise<unknown> =>
  import("./_thread_worker.ts");

/** A task in a thread of its own. */
export class ThreadTask<T extends AnyTask> implements TaskBody<T> {
  readonly #name: string;
  readonly #logger: Logger;
  readonly #board: Board = new Board();
  readonly #thread: Thread;
  readonly #made: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #topics: Record<string, Topic<unknown>> = {};
  #classNames: readonly string[] = [];
  #settings: unknown = undefined;
  #status: unknown = undefined;
  #statistics: LoopStatistics = this.#board;
  #pending: { readonly settings: SettingsOf<T> } | undefined = undefined;
  /** Counts the settings that were sent. */
  #turn = 0;
  /** The turn of the settings that the task has taken last. */
  #taken = 0;
  /** Whether settings are on their way to the thread. */
  #isSending = false;
  /** The newest settings that are to follow those. */
  #unsent: (ToThread & { type: "settings" }) | undefined = undefined;
  #ended: PromiseWithResolvers<void> | undefined = undefined;
  #hasEnded = false;
  #isKilled = false;
  /** Why the thread has ended before the task. */
  #death: { readonly error: unknown } | undefined = undefined;
  #isMade = false;
  #terminated = false;
  #isClosed = false;
  #stopRequest: { reason: unknown } | undefined = undefined;
  #tellStop: ((reason: unknown) => void) | undefined = undefined;

  /**
   * Starts a thread and makes the task there.
   *
   * @throws {unknown} What went wrong in the thread.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  static async make<T extends AnyTask>(
    init: ThreadTaskInit,
    signal: AbortSignal,
  ): Promise<ThreadTask<T>> {
    signal.throwIfAborted();
    const task: ThreadTask<T> = new ThreadTask(init);
    try {
      await abortable(task.#made.promise, signal);
      return task;
    } catch (error) {
      task.close();
      throw error;
    }
  }

  private constructor({ name, url, exportName, args, logger }: ThreadTaskInit) {
    this.#name = name;
    this.#logger = logger;
    this.#thread = startThread(threadModule(), name, {
      onMessage: (envelope) => {
        const message = openEnvelope<FromThread>(envelope);
        if (message !== undefined) this.#receive(message);
      },
      onError: (error) => this.#die(error),
      onExit: (code) => this.#exit(code),
    });
    try {
      this.#post({
        type: "make",
        name,
        url: url.href,
        exportName,
        args,
        board: this.#board.buffer,
      });
    } catch (error) {
      this.#made.reject(error);
    }
  }

  get className(): string {
    return this.#classNames[0] ?? "";
  }

  get settings(): SettingsOf<T> {
    return this.#settings as SettingsOf<T>;
  }

  get pending(): { readonly settings: SettingsOf<T> } | undefined {
    return this.#pending;
  }

  get status(): StatusOf<T> {
    return this.#status as StatusOf<T>;
  }

  get topics(): TopicsOf<T> {
    return this.#topics as unknown as TopicsOf<T>;
  }

  get statistics(): LoopStatistics {
    const { rounds, overruns, missed, worstLateness } = this.#statistics;
    return { rounds, overruns, missed, worstLateness };
  }

  get isKilled(): boolean {
    return this.#isKilled;
  }

  /** Whether its class, or one that this extends, has the name. */
  isA(className: string): boolean {
    return this.#classNames.includes(className);
  }

  get terminated(): boolean {
    return this.#terminated;
  }

  onStopRequest(callback: (reason: unknown) => void): void {
    this.#tellStop = callback;
    if (this.#stopRequest !== undefined) callback(this.#stopRequest.reason);
  }

  send(settings: SettingsOf<T>): void {
    const turn = this.#turn + 1;
    if (this.#isSending) {
      // One at a time: a busy thread would collect them without bounds.
      const copy = structuredClone(settings);
      this.#unsent = { type: "settings", settings: copy, turn };
    } else if (!this.#isClosed) {
      this.#post({ type: "settings", settings, turn });
      this.#isSending = true;
    }
    this.#turn = turn;
    this.#pending = { settings };
  }

  run(): Promise<void> {
    if (this.#death !== undefined) return Promise.reject(this.#death.error);
    this.#ended = Promise.withResolvers();
    this.#thread.keepAlive(true);
    // It begins with the newest.
    this.#sendNext();
    this.#post({ type: "run" });
    return this.#ended.promise;
  }

  abort(reason: unknown): void {
    if (this.#isClosed) return;
    this.#board.requestStop();
    this.#post({ type: "stop", reason: pack(reason) });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#thread.terminate();
    if (
      this.#death !== undefined && this.#ended === undefined && this.#isMade
    ) {
      reportTask(
        this.#logger,
        "error",
        this.#name,
        "had lost its thread before it was started",
        this.#death,
      );
    }
    for (const topic of Object.values(this.#topics)) topic.close();
  }

  #post(message: ToThread): void {
    this.#thread.post({ longrun: message } satisfies Envelope<ToThread>);
  }

  #receive(message: FromThread): void {
    switch (message.type) {
      case "made":
        this.#isMade = true;
        this.#classNames = message.classNames;
        this.#settings = message.settings;
        this.#status = message.status;
        for (const { name, last } of message.topics) {
          const topic = new Topic({ name, logger: this.#logger });
          for (const value of last) topic.publish(value);
          this.#topics[name] = topic;
        }
        // A task that nobody has started keeps nobody waiting.
        this.#thread.keepAlive(false);
        this.#made.resolve();
        break;
      case "notMade":
        this.#made.reject(unpack(message.error));
        break;
      case "settings":
        this.#settings = message.settings;
        if (this.#taken === this.#turn) this.#pending = undefined;
        break;
      case "received":
        this.#isSending = false;
        this.#sendNext();
        break;
      case "status":
        this.#status = message.status;
        if (this.#board.seeStatus() && !this.#isClosed) {
          this.#post({ type: "seen" });
        }
        break;
      case "taken":
        // They still wait for those who ask, until they are in effect.
        this.#taken = message.turn;
        break;
      case "topic":
        this.#topics[message.name]?.publish(message.value);
        break;
      case "log":
        this.#log(message);
        break;
      case "stopRequest":
        this.#stopRequest = { reason: unpack(message.reason) };
        this.#tellStop?.(this.#stopRequest.reason);
        break;
      case "ended":
        this.#hasEnded = true;
        this.#terminated = message.terminated;
        this.#statistics = new Board(message.board);
        if (message.failure === undefined) this.#ended?.resolve();
        else this.#ended?.reject(unpack(message.failure));
        break;
      case "crashed":
        this.#die(unpack(message.error));
        break;
      case "exit":
        this.#exit(message.code);
        break;
    }
  }

  #log(message: FromThread & { type: "log" }): void {
    const { level, message: sentence, details: packed } = message;
    const details = packed?.map(([key, value]) =>
      [key, unpack(value)] as const
    );
    // Without a second argument where there was none: a console would show it.
    const rest = details === undefined ? [] : [Object.fromEntries(details)];
    callHook(
      () => this.#logger[level](sentence, ...rest),
      (error) => console.error(sentence, error),
    );
  }

  #sendNext(): void {
    const next = this.#unsent;
    this.#unsent = undefined;
    if (next === undefined || this.#isClosed) return;
    this.#post(next);
    this.#isSending = true;
  }

  #exit(code: number | undefined): void {
    if (this.#hasEnded) return;
    if (this.#isClosed) {
      this.#isKilled = true;
      this.#ended?.resolve();
      return;
    }
    this.#die(
      new Error(
        `The thread of task '${this.#name}' has exited${
          code === undefined ? "" : ` with code ${code}`
        }`,
      ),
    );
  }

  #die(error: unknown): void {
    this.#made.reject(error);
    this.#hasEnded = true;
    this.#death ??= { error };
    this.#ended?.reject(error);
  }
}
