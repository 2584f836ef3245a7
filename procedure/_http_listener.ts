// Copyright 2026 the Longrun authors. MIT license.

import { sleep, timeout } from "@longrun/tasks/cancellation";

/** How long answers may take to be read when all ends, in milliseconds. */
const LAST_READ = 1_000;

/** How long what has been handed over may take to leave, in milliseconds. */
const LAST_WRITE = 50;

/** What answers requests, as `RestApi.fetch` does. */
export type Answer = (
  request: Request,
  info: Deno.ServeHandlerInfo,
) => Promise<Response>;

/** A server that ends, whatever those do who are connected to it. */
export interface HttpListener extends AsyncDisposable {
  /** Where it listens. */
  readonly addr: Deno.NetAddr;
}

/**
 * Listens, and answers. `shutdown()` of the server would wait for whoever does
 * not read an answer or does not finish a body, for good.
 */
export function listen(
  hostname: string,
  port: number,
  answer: Answer,
): HttpListener {
  const connections = new AbortController();
  const answers = new Set<Promise<void>>();
  const server = Deno.serve(
    { hostname, port, onListen: () => {}, signal: connections.signal },
    (request, info) => {
      const { completed } = info;
      answers.add(completed);
      const forget = (): void => void answers.delete(completed);
      completed.then(forget, forget);
      return answer(request, info);
    },
  );
  return {
    addr: server.addr,
    async [Symbol.asyncDispose](): Promise<void> {
      try {
        await timeout(Promise.allSettled(answers), LAST_READ);
        await sleep(LAST_WRITE);
      } catch {
        // Whoever has not read it by now will not.
      }
      connections.abort();
      await server.finished;
    },
  };
}
