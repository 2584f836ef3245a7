// Copyright 2026 the Longrun authors. MIT license.

import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

/** What the server does with a request. */
export type Reply =
  | {
    readonly status?: number;
    readonly headers?: Record<string, string>;
    readonly body?: unknown;
  }
  /** Breaks the connection off before the answer. */
  | "drop"
  /** Sends the headers and one byte, and then nothing. */
  | "stall";

/** What the server was asked. */
export interface Received {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
}

/** An HTTP server on the loopback interface that answers by paths. */
export class OperationServer {
  readonly received: Received[] = [];
  readonly #replies: Map<string, Reply[]> = new Map();
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => this.#reply(request, response));
  }

  /** Starts a server at a free port. */
  static async start(): Promise<OperationServer> {
    const server = createServer();
    const operations = new OperationServer(server);
    await new Promise<void>((resolve) =>
      server.listen(0, "127.0.0.1", () => resolve())
    );
    return operations;
  }

  /** The address of a path. */
  url(path: string): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}${path}`;
  }

  /** What is answered at a path, in this order; the last for ever. */
  on(path: string, ...replies: Reply[]): this {
    this.#replies.set(path, replies);
    return this;
  }

  /** Ends all connections. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #reply(request: IncomingMessage, response: ServerResponse): void {
    const { method = "", url = "", headers } = request;
    const { authorization } = headers;
    this.received.push({ method, path: url, authorization });
    request.resume();
    const replies = this.#replies.get(url) ?? [{ status: 404 }];
    const reply = replies.length > 1 ? replies.shift() : replies[0];
    if (reply === undefined || reply === "drop") {
      request.socket.destroy();
      return;
    }
    if (reply === "stall") {
      response.writeHead(200, { "content-type": "application/json" });
      response.write("{");
      return;
    }
    const { status = 200, headers: more = {}, body } = reply;
    response.writeHead(status, {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...more,
    });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  }
}
