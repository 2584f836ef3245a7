// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { OperationError } from "./_operation_error.ts";
import type {
  OperationCounters,
  OperationSettings,
} from "./_operation_options.ts";
import {
  exchange,
  HopelessError,
  type OperationRequest,
  type OperationResponse,
} from "./_operation_request.ts";
import type { Reading } from "./_operation_reading.ts";
import { report } from "./_report.ts";
import { parseRetryAfter } from "./_retry_after.ts";
import type { RestartPolicy } from "./backoff.ts";
import { sleep, timeout } from "./cancellation.ts";

/** The pause of a policy that makes no sense, in milliseconds. */
const LATER = 60_000;

/** Answers that mean "not yet" if they say when. */
const NOT_YET: readonly number[] = [429, 503];

const UNAUTHORIZED = 401;

/** The last answer, and what it says. */
export interface Settled {
  readonly reading: Reading;
  readonly answer: OperationResponse;
}

/** Asks again and again, and waits between. */
export class OperationPoller {
  readonly #settings: OperationSettings<unknown>;
  readonly #onRunning: (reading: Reading, answer: OperationResponse) => void;
  readonly #onError: (error: unknown) => void;
  readonly #trusted: Set<string>;
  /** The origins that headers were held back from. */
  readonly #distrusted: Set<string> = new Set();
  /** How many answers in a row had no news. */
  #quiet = 0;
  #asked = 0;
  #failed = 0;
  #throttled = 0;

  constructor(
    settings: OperationSettings<unknown>,
    onRunning: (reading: Reading, answer: OperationResponse) => void,
    onError: (error: unknown) => void,
  ) {
    this.#settings = settings;
    this.#onRunning = onRunning;
    this.#onError = onError;
    this.#trusted = new Set(settings.trusted);
  }

  get counters(): OperationCounters {
    return {
      asked: this.#asked,
      failed: this.#failed,
      throttled: this.#throttled,
    };
  }

  /** Sends the headers to these origins, too. */
  trust(origins: readonly string[]): void {
    for (const origin of origins) this.#trusted.add(origin);
  }

  /** There was news: asks more often again. */
  hasNews(): void {
    this.#quiet = 0;
  }

  /** Sends one request. */
  send(
    request: OperationRequest,
    signal: AbortSignal,
  ): Promise<OperationResponse> {
    const { fetch, maxBody, requestTimeout, clock } = this.#settings;
    const headersFor = (url: URL): Promise<Headers> => this.#headersFor(url);
    const settings = { fetch, maxBody, headersFor };
    return timeout(
      (inner) => exchange(request, settings, inner),
      requestTimeout,
      { signal, clock },
    );
  }

  /** How long to wait after an answer that says that it goes on. */
  pauseAfter(answer: OperationResponse): number {
    const { interval } = this.#settings;
    return this.#hint(answer) ??
      this.#pause(interval, ++this.#quiet, undefined) ?? LATER;
  }

  /**
   * Asks until the answer is an end.
   *
   * @throws {OperationError} If there is no hope for an answer.
   */
  async until(
    urlOf: () => string,
    read: (answer: OperationResponse) => Reading,
    pause: number,
    signal: AbortSignal,
  ): Promise<Settled> {
    const { clock } = this.#settings;
    let failures = 0;
    let wait = pause;
    while (true) {
      if (wait > 0) await sleep(wait, { signal, clock });
      let answer: OperationResponse | undefined;
      let failure: unknown;
      try {
        answer = await this.send({ url: urlOf() }, signal);
        this.#asked++;
        const reading = read(answer);
        if (reading.kind === "unreadable") {
          failure = reading.error;
        } else {
          failures = 0;
          this.#onRunning(reading, answer);
          if (reading.kind !== "running") return { reading, answer };
          wait = this.pauseAfter(answer);
          continue;
        }
      } catch (error) {
        if (signal.aborted) throw error;
        failure = error;
      }
      const again = this.#retryAfter(answer, failure, failures + 1);
      if (again.counts) failures++;
      this.#onError(failure);
      wait = again.wait;
    }
  }

  /** How long to wait after an answer that says nothing, or none. */
  #retryAfter(
    answer: OperationResponse | undefined,
    error: unknown,
    failures: number,
  ): { wait: number; counts: boolean } {
    const { retry, headers } = this.#settings;
    const hint = answer === undefined ? undefined : this.#hint(answer);
    const status = answer?.status ?? 0;
    if (hint !== undefined && NOT_YET.includes(status)) {
      this.#throttled++;
      return { wait: hint, counts: false };
    }
    this.#failed++;
    // A token may have gone stale on the way: a fresh one is worth one try.
    const isStale = status === UNAUTHORIZED && failures === 1 &&
      typeof headers === "function";
    if (error instanceof HopelessError && !isStale) throw error;
    const ms = this.#pause(retry, failures, error);
    if (ms === undefined) {
      const message = error instanceof Error ? error.message : String(error);
      throw new OperationError(
        `Asking has failed ${failures} times in a row: ${message}`,
        { cause: error, ...(status === 0 ? {} : { httpStatus: status }) },
      );
    }
    return { wait: Math.max(ms, hint ?? 0), counts: true };
  }

  /** What the server says about when to ask again, within bounds. */
  #hint({ headers }: OperationResponse): number | undefined {
    const { shortestRetryAfter, longestRetryAfter, dateNow } = this.#settings;
    const ms = parseRetryAfter(headers, dateNow());
    return ms === undefined
      ? undefined
      : Math.min(Math.max(ms, shortestRetryAfter), longestRetryAfter);
  }

  #pause(
    policy: RestartPolicy,
    attempt: number,
    error: unknown,
  ): number | undefined {
    try {
      const ms = policy.delay(attempt, error);
      return ms === undefined || ms >= 0 ? ms : LATER;
    } catch (failure) {
      const { logger } = this.#settings;
      const details = { error: failure };
      report(logger, "error", "A policy of an operation has failed", details);
      return LATER;
    }
  }

  async #headersFor(url: URL): Promise<Headers> {
    const { headers, logger } = this.#settings;
    if (headers === undefined) return new Headers();
    const { origin } = url;
    if (this.#trusted.has(origin)) {
      return new Headers(
        typeof headers === "function" ? await headers(url) : headers,
      );
    }
    if (!this.#distrusted.has(origin)) {
      this.#distrusted.add(origin);
      const sentence =
        `No headers are sent to ${origin}, which is not in trustedOrigins`;
      report(logger, "warn", sentence, { origin });
    }
    return new Headers();
  }
}
