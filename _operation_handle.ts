// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { checkOptions, checkSignal } from "./_arguments.ts";
import { show } from "./_lrc_errors.ts";
import { OperationError } from "./_operation_error.ts";
import { OperationNews } from "./_operation_news.ts";
import type {
  OperationCounters,
  OperationHandle,
  OperationResult,
  OperationSettings,
  OperationStatus,
  OperationUpdate,
} from "./_operation_options.ts";
import { OperationPoller, type Settled } from "./_operation_poller.ts";
import {
  discard,
  type OperationResponse,
  readResponse,
} from "./_operation_request.ts";
import {
  readAnswer,
  readFirst,
  type Reading,
  readResult,
} from "./_operation_reading.ts";
import { writeTracking } from "./_operation_text.ts";
import {
  beginningOf,
  heedBody,
  type OperationShape,
  resultUrl,
  trackBody,
  trackHeaders,
  type Tracking,
  trackNext,
} from "./_operation_tracking.ts";
import { abortable, CancelScope, timeout } from "./cancellation.ts";

/** What an operation is followed from. */
export type OperationSource =
  | { readonly response: Response; readonly tracking?: undefined }
  | { readonly response?: undefined; readonly tracking: Tracking };

/** An operation that was begun, from then on until it ends. */
export class Operation<R> implements OperationHandle<R> {
  readonly #settings: OperationSettings<R>;
  readonly #scope: CancelScope;
  readonly #poller: OperationPoller;
  readonly #news: OperationNews;
  readonly ready: Promise<void>;
  readonly done: Promise<OperationResult<R>>;
  #setReady: () => void = () => {};
  #tracking: Tracking | undefined;

  constructor(source: OperationSource, settings: OperationSettings<R>) {
    this.#settings = settings;
    this.#scope = new CancelScope(settings.signal);
    this.#tracking = source.tracking;
    this.ready = new Promise((resolve) => this.#setReady = resolve);
    this.#poller = new OperationPoller(
      settings,
      (reading, answer) => this.#news.heed(reading, answer),
      (error) => this.#news.tell(error),
    );
    this.#news = new OperationNews(
      settings.clock,
      () => this.#poller.hasNews(),
    );
    this.done = this.#run(source.response);
  }

  get url(): string | undefined {
    return this.#tracking?.url;
  }

  get shape(): OperationShape | undefined {
    return this.#tracking?.shape;
  }

  get status(): OperationStatus {
    return this.#news.status;
  }

  get stage(): string | undefined {
    return this.#news.stage;
  }

  get progress(): number | undefined {
    return this.#news.progress;
  }

  get counters(): OperationCounters {
    return { ...this.#poller.counters };
  }

  get ended(): boolean {
    return this.#news.ended;
  }

  async cancel(options: { signal?: AbortSignal } = {}): Promise<boolean> {
    const doing = "cancel operation";
    checkOptions(doing, options);
    checkSignal(doing, options.signal);
    await abortable(this.ready, options.signal);
    if (this.ended || this.#tracking?.shape !== "aip-151") return false;
    const url = new URL(this.#tracking.url);
    url.pathname += ":cancel";
    const scope = new CancelScope(this.#scope.signal, options.signal);
    try {
      const { status } = await this.#poller.send(
        { url: url.href, method: "POST", body: "{}" },
        scope.signal,
      );
      return status >= 200 && status < 300;
    } finally {
      scope.dispose();
    }
  }

  async unsubscribe(): Promise<void> {
    this.#scope.abort(new DOMException("The operation was left", "AbortError"));
    await this.done;
  }

  serialize(): string {
    if (this.#tracking === undefined) {
      throw new Error(
        "Cannot serialize the operation as it is not known where to ask",
      );
    }
    return writeTracking(this.#tracking);
  }

  [Symbol.dispose](): void {
    this.unsubscribe();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unsubscribe();
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<OperationUpdate, undefined> {
    return this.#news.subscribe();
  }

  async #run(first: Response | undefined): Promise<OperationResult<R>> {
    const { timeout: ms, clock } = this.#settings;
    const { signal } = this.#scope;
    let result: OperationResult<R>;
    try {
      const limits = { signal, clock };
      result = await timeout((inner) => this.#follow(first, inner), ms, limits);
    } catch (error) {
      // Nothing else lets an error of this name get here.
      const isLate = !signal.aborted && error instanceof DOMException &&
        error.name === "TimeoutError";
      result = this.#failed("unknown", isLate ? this.#lateness() : error);
    }
    if (first !== undefined) discard(first);
    this.#scope.dispose();
    this.#news.end(result.status, result.error);
    this.#setReady();
    return result;
  }

  async #follow(
    first: Response | undefined,
    signal: AbortSignal,
  ): Promise<OperationResult<R>> {
    const settled = first === undefined
      ? await this.#poll(0, signal)
      : await this.#begin(first, signal);
    return await this.#conclude(settled, signal);
  }

  async #poll(pause: number, signal: AbortSignal): Promise<Settled> {
    this.#poller.trust(this.#tracking?.origins ?? []);
    this.#setReady();
    return await this.#poller.until(
      () => this.#tracking?.url ?? "",
      (answer) => this.#read(answer),
      pause,
      signal,
    );
  }

  /** Takes from the first answer where to ask, and asks there. */
  async #begin(first: Response, signal: AbortSignal): Promise<Settled> {
    const { url, method, shape, urlOf } = this.#settings;
    const { status, headers } = first;
    const beginning = beginningOf(first, url, method);
    const byHeaders = trackHeaders(status, headers, beginning);
    const answer = await this.#readFirst(first, byHeaders, signal);
    const tracking = byHeaders === undefined
      ? trackBody(answer, beginning, shape, urlOf)
      : heedBody(byHeaders, answer);
    if (tracking === undefined) return this.#settle(readFirst(answer), answer);
    this.#tracking = { ...tracking, shape: shape ?? tracking.shape };
    // What the headers point away from may be the resource, not the operation.
    const reading = byHeaders === undefined
      ? readAnswer(this.#tracking, answer)
      : RUNNING;
    if (reading.kind !== "running" && reading.kind !== "unreadable") {
      return this.#settle(reading, answer);
    }
    this.#news.heed(reading, answer);
    const isRedirect = status >= 300;
    const pause = isRedirect ? 0 : this.#poller.pauseAfter(answer);
    return await this.#poll(pause, signal);
  }

  #settle(reading: Reading, answer: OperationResponse): Settled {
    this.#news.heed(reading, answer);
    if (reading.kind === "unreadable") throw reading.error;
    return { reading, answer };
  }

  /** Reads the first answer, as far as it can be read and has to be. */
  async #readFirst(
    first: Response,
    tracking: Tracking | undefined,
    signal: AbortSignal,
  ): Promise<OperationResponse> {
    const { url, status, headers } = first;
    const bare = { url, status, headers, body: undefined };
    const { maxBody, requestTimeout, clock } = this.#settings;
    if (first.bodyUsed || first.body?.locked) return bare;
    try {
      return await timeout(
        (inner) => readResponse(first, maxBody, inner),
        requestTimeout,
        { signal, clock },
      );
    } catch (error) {
      if (signal.aborted || tracking === undefined) {
        throw new OperationError(
          "The operation may have begun, but its first answer cannot be read",
          { cause: error, httpStatus: status },
        );
      }
      return bare;
    }
  }

  #read(answer: OperationResponse): Reading {
    const tracking = this.#tracking;
    if (tracking === undefined) throw new Error("Nothing is followed");
    const reading = readAnswer(tracking, answer);
    if (reading.kind !== "unreadable") {
      this.#tracking = trackNext(tracking, answer);
    }
    return reading;
  }

  /** The end, with the result, which may have to be asked for. */
  async #conclude(
    { reading, answer }: Settled,
    signal: AbortSignal,
  ): Promise<OperationResult<R>> {
    if (reading.kind === "failed" || reading.kind === "canceled") {
      return this.#failed(reading.kind, reading.error);
    }
    let what = "its result could not be read";
    try {
      let value = reading.kind === "succeeded" ? reading.value : undefined;
      const { final, parse } = this.#settings;
      const at = this.#tracking === undefined
        ? undefined
        : resultUrl(this.#tracking, answer, final);
      if (at !== undefined) {
        const last = await this.#poller.until(() => at, readResult, 0, signal);
        this.#news.heedResult(last.answer);
        value = last.answer.body;
      }
      what = "its result could not be parsed";
      const parsed = parse === undefined
        ? value as R | undefined
        : await abortable(
          Promise.resolve(parse(value, this.#news.response ?? answer)),
          signal,
        );
      return this.#result("succeeded", parsed, undefined);
    } catch (error) {
      if (signal.aborted) throw error;
      const message = `The operation has succeeded, but ${what}: ${
        messageOf(error)
      }`;
      const httpStatus = error instanceof OperationError
        ? error.httpStatus
        : undefined;
      return this.#failed(
        "unknown",
        new OperationError(message, { cause: error, httpStatus }),
      );
    }
  }

  #result(
    status: OperationResult["status"],
    value: R | undefined,
    error: unknown,
  ): OperationResult<R> {
    const message = error === undefined ? "" : messageOf(error);
    const { stage, response } = this.#news;
    return { status, value, error, message, stage, response };
  }

  #failed(
    status: "failed" | "canceled" | "unknown",
    error: unknown,
  ): OperationResult<R> {
    return this.#result(status, undefined, error);
  }

  #lateness(): DOMException {
    const { timeout: ms } = this.#settings;
    const { seen } = this.#news;
    const { asked } = this.#poller.counters;
    return new DOMException(
      `The operation has not ended within ${ms} ms: asked ${asked} times, ` +
        (seen === "" ? "nothing was seen of it" : `last seen ${seen}`),
      "TimeoutError",
    );
  }
}

const RUNNING: Reading = {
  kind: "running",
  stage: undefined,
  progress: undefined,
};

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : show(error);
