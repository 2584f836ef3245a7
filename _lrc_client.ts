// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type {
  LrcCallback,
  LrcHandle,
  LrcHandleCounters,
  LrcSettings,
  LrcUpdate,
} from "./_lrc_client_options.ts";
import { LrcDeadlines } from "./_lrc_deadlines.ts";
import { reasonsOf } from "./_lrc_errors.ts";
import type { LrcListener } from "./_lrc_expectations.ts";
import {
  failureOf,
  type LrcResult,
  type LrcSubject,
  outcomeOf,
} from "./_lrc_outcome.ts";
import { CallbackQueue, type LrcLease } from "./_lrc_scheduler.ts";
import { sendAbort, timeoutOf } from "./_lrc_timeout.ts";
import {
  advance,
  type LrcHistoryEntry,
  type LrcInput,
  type LrcSource,
  type LrcState,
  UNKNOWN_STATE,
} from "./_lrc_state.ts";
import { Subscription } from "./_subscription.ts";
import { backoff, type RestartPolicy } from "./backoff.ts";
import { CancelScope, onAbort, sleep } from "./cancellation.ts";
import {
  type DeviceProxy,
  ResultCode,
  type TaskStatus,
} from "./device_proxy.ts";

/** How many updates are kept for an iterator. */
const MOST_UPDATES = 1000;

/** When to ask again a device that could not be asked, or knew too little. */
const ASK_AGAIN: RestartPolicy = backoff({
  limit: Infinity,
  initial: 500,
  maximum: 30_000,
  jitter: 0.2,
});

/** What a handle is made of. */
export interface CommandInit<R> {
  readonly proxy: DeviceProxy;
  readonly subject: LrcSubject & { readonly commandId: string };
  readonly lease: LrcLease;
  readonly settings: LrcSettings<R>;
  readonly callback: LrcCallback | null;
  /** When the `timeout` is over. */
  readonly deadline: number;
  /** Whether the command was begun earlier, nobody knows what it is at. */
  readonly isAttached: boolean;
  /** Begins to listen to the events of the command. */
  readonly listen: (listener: LrcListener) => () => void;
}

/** A command that was sent, from then on until it ends. */
export class CommandHandle<R> implements LrcHandle<R> {
  readonly #init: CommandInit<R>;
  readonly #scope: CancelScope = new CancelScope();
  readonly #deadlines: LrcDeadlines;
  readonly #queue: CallbackQueue | undefined;
  readonly #iterators: Set<Subscription<LrcUpdate>> = new Set();
  readonly done: Promise<LrcResult<R>>;
  readonly #resolve: (result: LrcResult<R>) => void;
  #forget: (() => void) | undefined = undefined;
  #leave: (() => void) | undefined = undefined;
  #released: Promise<void> | undefined = undefined;

  #state: LrcState = UNKNOWN_STATE;
  #ended = false;
  #asked = 0;
  #mustAsk = false;
  #source: LrcSource;

  constructor(init: CommandInit<R>) {
    const { settings, callback, subject } = init;
    this.#init = init;
    let resolve: (result: LrcResult<R>) => void = () => {};
    this.done = new Promise((settle) => resolve = settle);
    this.#resolve = resolve;
    if (callback !== null) {
      const what = `command '${subject.command}' of '${subject.device}'`;
      this.#queue = new CallbackQueue(callback, settings, what);
    }
    this.#source = init.isAttached ? "attach" : sourceOf(settings);
    this.#deadlines = new LrcDeadlines({
      settings,
      command: subject.command,
      deadline: init.deadline,
      onTimeout: (kind, now) => this.#timeOut(kind, now),
      onSilence: () => void this.#ask(),
    });
  }

  /** Begins to listen. Apart from the making: events may come at once. */
  begin(): void {
    const { listen, settings, isAttached } = this.#init;
    const leave = listen((input) => this.#receive(input));
    if (this.#ended) {
      leave();
      return;
    }
    this.#leave = leave;
    const { signal } = settings;
    if (signal !== undefined) {
      this.#forget = onAbort(signal, (reason) => this.#giveUp(reason));
    }
    this.#deadlines.begin();
    if (isAttached) this.#ask();
  }

  get device(): string {
    return this.#init.subject.device;
  }

  get command(): string {
    return this.#init.subject.command;
  }

  get commandId(): string {
    return this.#init.subject.commandId;
  }

  get protocolVersion(): number {
    return this.#init.lease.stream.version;
  }

  get status(): TaskStatus | undefined {
    return this.#state.status;
  }

  get progress(): number | string | undefined {
    return this.#state.progress;
  }

  get result(): unknown {
    return this.#state.result?.value;
  }

  get history(): readonly LrcHistoryEntry[] {
    return this.#state.history;
  }

  get counters(): LrcHandleCounters {
    return { ...this.#state.counters, asked: this.#asked };
  }

  get ended(): boolean {
    return this.#ended;
  }

  async unsubscribe(): Promise<void> {
    this.#giveUp(new DOMException("The command was left", "AbortError"));
    await this.#released;
  }

  serialize(): string {
    const { device, command, commandId, protocolVersion } = this;
    return JSON.stringify({ device, command, commandId, protocolVersion });
  }

  [Symbol.dispose](): void {
    this.unsubscribe();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unsubscribe();
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<LrcUpdate, undefined> {
    const iterators = this.#iterators;
    const iterator: Subscription<LrcUpdate> = new Subscription({
      capacity: MOST_UPDATES,
      onClose: () => iterators.delete(iterator),
    });
    const known = this.#known();
    if (known !== undefined) iterator.push(known);
    if (this.#ended) iterator.end();
    else iterators.add(iterator);
    return iterator;
  }

  #receive(input: LrcInput): void {
    if (this.#ended) return;
    const { raw, clock } = this.#init.settings;
    const time = clock.now();
    const step = advance(this.#state, input, time, !raw);
    this.#state = step.state;
    const isRaw = raw && input.kind === "change";
    const news = isRaw ? input.change : step.news;
    if (step.news !== undefined && step.news.errors === undefined) {
      this.#deadlines.heed(step.news.progress !== undefined, time);
    }
    // The device is left before the last update is told.
    if (step.state.isOver) {
      const { subject, settings } = this.#init;
      this.#end(outcomeOf(subject, step.state, settings.parseResult));
    }
    if (news !== undefined && Object.keys(news).length > 0) {
      const source = "source" in input ? input.source : "event";
      this.#tell({ ...news, source, time });
    }
    if (step.state.isOver) this.#endIterators();
    else if (step.mustAsk) this.#ask();
  }

  #tell(update: LrcUpdate): void {
    this.#queue?.push(update);
    for (const iterator of this.#iterators) {
      // The last makes good for those that are lost.
      const isLossy = this.#ended && iterator.length >= MOST_UPDATES;
      iterator.push(isLossy ? { ...this.#known(), ...update } : update);
    }
  }

  /** Asks the device, until it has told enough. */
  async #ask(): Promise<void> {
    this.#mustAsk = true;
    if (this.#deadlines.isAsking || this.#ended) return;
    this.#deadlines.beginAsking();
    const { settings, subject, lease } = this.#init;
    const { clock } = settings;
    const { signal } = this.#scope;
    let attempt = 0;
    while (this.#mustAsk && !this.#ended) {
      try {
        if (attempt > 0) {
          const ms = ASK_AGAIN.delay(attempt) ?? Infinity;
          await sleep(ms, { signal, clock });
        }
        attempt++;
        this.#mustAsk = false;
        this.#asked++;
        const id = subject.commandId;
        const input = await lease.stream.ask(id, this.#source, signal);
        this.#source = sourceOf(settings);
        // Who cannot be asked and tells nothing will never tell.
        const isHopeless = settings.polls && input.kind === "unable";
        this.#receive(isHopeless ? { ...input, kind: "unknown" } : input);
      } catch (error) {
        if (signal.aborted) return;
        this.#receive({ kind: "errors", errors: reasonsOf(error) });
      }
    }
    this.#deadlines.endAsking();
  }

  #timeOut(kind: "overall" | "idle", now: number): void {
    if (this.#state.held !== undefined) {
      // It has ended, only its result is missing.
      this.#receive({ kind: "unable", source: "event" });
      return;
    }
    const { settings, subject, proxy } = this.#init;
    const error = timeoutOf(kind, subject, settings, this.#state, now);
    if (settings.abortOnTimeout) sendAbort(proxy, settings.logger);
    this.#end(failureOf(subject, this.#state, error, ResultCode.FAILED));
    this.#endIterators();
  }

  #giveUp(reason: unknown): void {
    if (this.#ended) return;
    this.#queue?.clear();
    const { subject } = this.#init;
    this.#end(failureOf(subject, this.#state, reason, ResultCode.UNKNOWN));
    this.#endIterators();
  }

  #end(result: LrcResult<R>): void {
    this.#ended = true;
    this.#deadlines.end();
    this.#forget?.();
    this.#leave?.();
    this.#scope.abort();
    this.#released = this.#init.lease.release();
    this.#resolve(result);
  }

  #endIterators(): void {
    for (const iterator of this.#iterators) iterator.end();
  }

  /** All that is known as one update. */
  #known(): LrcUpdate | undefined {
    const { status, progress, result, history } = this.#state;
    if (
      status === undefined && progress === undefined && result === undefined
    ) return undefined;
    return {
      ...(status === undefined ? {} : { status }),
      ...(progress === undefined ? {} : { progress }),
      ...(result === undefined ? {} : { result: result.value }),
      source: "event",
      time: history.at(-1)?.time ?? this.#init.settings.clock.now(),
    };
  }
}

const sourceOf = ({ polls }: LrcSettings<unknown>): LrcSource =>
  polls ? "poll" : "repair";
