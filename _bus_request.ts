// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import type { BusCore, ReplyWait } from "./_bus_core.ts";
import { BusReplyError, readErrorValue } from "./_bus_error.ts";
import { LimitedWait } from "./_limited_wait.ts";
import { timeoutError, type WaitLimits } from "./_wait.ts";
import type { BusReply } from "./event_bus.ts";

/** What is asked, and where the reply is expected. */
export interface BusRequest {
  readonly topic: string;
  readonly data: unknown;
  readonly replyTopic: string;
  readonly source: string | undefined;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

class Reply extends LimitedWait<unknown> implements ReplyWait {
  readonly replyTopic: string;
  readonly #request: BusRequest;
  forget: (() => void) | undefined = undefined;

  constructor(
    resolve: (value: unknown) => void,
    reject: (reason: unknown) => void,
    limits: WaitLimits,
    request: BusRequest,
  ) {
    super(resolve, reject, limits);
    this.replyTopic = request.replyTopic;
    this.#request = request;
  }

  take(data: unknown): void {
    const { topic, replyTopic } = this.#request;
    const { ok, value, error } = (data ?? {}) as Partial<
      Record<keyof BusReply<unknown> | "value" | "error", unknown>
    >;
    if (ok === true) this.resolve(value);
    else if (ok === false) {
      this.reject(new BusReplyError(topic, readErrorValue(error)));
    } else {
      const message = `The reply of '${replyTopic}' to '${topic}' is none`;
      this.reject(new TypeError(message));
    }
  }

  fail(reason: unknown): void {
    this.reject(reason);
  }

  override expire(): void {
    const { topic, replyTopic, timeout } = this.#request;
    const what = `Request '${topic}' had no reply at '${replyTopic}'`;
    this.reject(timeoutError(timeout, what));
  }

  override leave(): void {
    this.forget?.();
  }
}

/** Publishes a request and waits for its reply. */
export function sendRequest(
  core: BusCore,
  request: BusRequest,
): Promise<unknown> {
  const { topic, data, source, timeout, signal } = request;
  if (signal?.aborted) return Promise.reject(signal.reason);
  const { clock, name } = core.settings;
  if (core.isClosed) {
    return Promise.reject(new Error(`Bus '${name}' was closed`));
  }
  const ms = timeout === Infinity ? undefined : timeout;
  return new Promise((resolve, reject) => {
    const reply = new Reply(resolve, reject, { signal, ms, clock }, request);
    const requestId = crypto.randomUUID();
    reply.forget = core.awaitReply(requestId, reply);
    core.publish(topic, data, source, requestId);
  });
}
