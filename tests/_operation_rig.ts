// Copyright 2026 the Longrun authors. MIT license.

import {
  followOperation,
  type FollowOperationOptions,
  type OperationHandle,
  type OperationResult,
  type OperationUpdate,
} from "../follow_operation.ts";
import { ManualClock } from "../testing.ts";

/** An answer of the server; an error stands for a network that fails. */
export type Answer =
  | {
    readonly status?: number;
    readonly headers?: Record<string, string>;
    readonly body?: unknown;
  }
  | Error
  | (() => Promise<Response>);

/** What the server was asked. */
export interface Asked {
  readonly url: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly time: number;
}

const NO_BODY: readonly number[] = [204, 205, 304];

/** An answer as a response. */
export function responseOf(answer: Exclude<Answer, Error>): Response {
  if (typeof answer === "function") throw new TypeError("It is not made yet");
  const { status = 200, headers = {}, body } = answer;
  const isJson = body !== undefined && typeof body !== "string";
  const text = isJson ? JSON.stringify(body) : body as string | undefined;
  return new Response(NO_BODY.includes(status) ? null : text ?? null, {
    status,
    headers: {
      ...(isJson ? { "content-type": "application/json" } : {}),
      ...headers,
    },
  });
}

/** A server that says what it is told to say, in virtual time. */
export class OperationRig {
  readonly clock = new ManualClock();
  readonly asked: Asked[] = [];
  readonly #answers: Map<string, Answer[]> = new Map();

  /** What is answered at an address, in this order; the last for ever. */
  on(url: string, ...answers: Answer[]): this {
    this.#answers.set(url, answers);
    return this;
  }

  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const url = String(input);
    const { signal, method = "GET", headers } = init ?? {};
    const { clock, asked } = this;
    asked.push({
      url,
      method,
      headers: Object.fromEntries(new Headers(headers)),
      time: clock.now(),
    });
    await undefined;
    signal?.throwIfAborted();
    const answers = this.#answers.get(url) ?? [{ status: 404 }];
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer === undefined || answer instanceof Error) {
      throw answer ?? new TypeError("No answer");
    }
    return typeof answer === "function" ? await answer() : responseOf(answer);
  };

  /** The addresses that were asked, with the times. */
  get times(): [url: string, time: number][] {
    return this.asked.map(({ url, time }) => [url, time]);
  }

  follow<R = unknown>(
    from: Exclude<Answer, Error> | string,
    options: FollowOperationOptions<R> = {},
  ): OperationHandle<R> {
    const { clock, fetch } = this;
    return followOperation<R>(
      typeof from === "string" ? from : responseOf(from),
      { clock, fetch, interval: 1000, ...options },
    );
  }

  /** Lets the operation come to its end. */
  async end<R>(handle: OperationHandle<R>): Promise<OperationResult<R>> {
    await this.clock.runAll();
    return await handle.done;
  }
}

/** All updates of an operation, to its end. */
export async function updatesOf(
  handle: OperationHandle,
): Promise<OperationUpdate[]> {
  const updates: OperationUpdate[] = [];
  for await (const update of handle) updates.push(update);
  return updates;
}
