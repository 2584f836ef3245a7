// Copyright 2026 the Longrun authors. MIT license.

import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

type Handler = (request: Request) => Promise<Response>;

/** Everything in a body, as a stream that does not read ahead. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  const chunks = incoming[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(new Uint8Array(value));
    },
    async cancel() {
      await chunks.return?.();
    },
  }, { highWaterMark: 0 });
}

function requestOf(
  incoming: IncomingMessage,
  host: string,
  signal: AbortSignal,
): Request {
  const { method = "GET", url = "/", headers } = incoming;
  const named = Object.entries(headers).map(([name, value]) =>
    [name, Array.isArray(value) ? value.join(", ") : value ?? ""] as [
      string,
      string,
    ]
  );
  const hasBody = method !== "GET" && method !== "HEAD";
  return new Request(`http://${headers.host ?? host}${url}`, {
    method,
    headers: named,
    signal,
    ...(hasBody ? { body: bodyOf(incoming), duplex: "half" } : {}),
  } as RequestInit);
}

/** Sends a body no faster than the other side takes it. */
async function send(
  body: ReadableStream<Uint8Array>,
  outgoing: ServerResponse,
): Promise<void> {
  const reader = body.getReader();
  outgoing.once("close", () => void reader.cancel().catch(() => {}));
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || outgoing.destroyed) break;
      if (outgoing.write(value)) continue;
      await new Promise<void>((resolve) => {
        const go = (): void => {
          outgoing.off("drain", go);
          outgoing.off("close", go);
          resolve();
        };
        outgoing.on("drain", go);
        outgoing.on("close", go);
      });
    }
    outgoing.end();
  } catch {
    outgoing.destroy();
  }
}

/** A `fetch` handler behind a real socket, on this machine only. */
export class HttpServer implements AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    this.url = `http://127.0.0.1:${this.port}`;
  }

  /** Serves a handler. */
  static async serve(handler: Handler, port = 0): Promise<HttpServer> {
    const server = createServer((incoming, outgoing) => {
      const gone = new AbortController();
      outgoing.once("close", () => gone.abort());
      answer(handler, incoming, outgoing, gone.signal);
    });
    server.maxConnections = 5000;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port, host: "127.0.0.1", backlog: 2000 }, resolve);
    });
    return new HttpServer(server);
  }

  /** Ends at once, as a process that is killed does. */
  async kill(): Promise<void> {
    const closed = new Promise<void>((resolve) =>
      this.#server.close(() => resolve())
    );
    this.#server.closeAllConnections();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

async function answer(
  handler: Handler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const request = requestOf(incoming, "127.0.0.1", signal);
  const response = await handler(request);
  if (outgoing.destroyed) {
    await response.body?.cancel();
    return;
  }
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.flushHeaders();
  if (response.body === null) outgoing.end();
  else await send(response.body, outgoing);
}
