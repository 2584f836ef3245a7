// Copyright 2026 the Longrun authors. MIT license.

import {
  createConnection,
  createServer,
  type Server,
  type Socket,
} from "node:net";
import { pause } from "./_child.ts";

/** From the client to the server, or back. */
export type Direction = "up" | "down";

/** Bytes that came by. */
export interface WireChunk {
  /** The number of the connection, from 0. */
  readonly connection: number;
  readonly direction: Direction;
  readonly bytes: Uint8Array;
}

/** What is done with the bytes of a direction. */
export type WireMode =
  /** They are passed on as they come. */
  | { readonly kind: "forward" }
  /** Each piece is late by so many milliseconds; their order is kept. */
  | { readonly kind: "delay"; readonly ms: number }
  /** They are passed on in pieces of so many bytes, each by itself. */
  | { readonly kind: "split"; readonly size?: number }
  /** They are kept until `flush` passes them on as one piece. */
  | { readonly kind: "merge" }
  /** They vanish, and nobody is told: a half-open connection. */
  | { readonly kind: "swallow" }
  /** They are changed, or dropped with `undefined`. */
  | {
    readonly kind: "change";
    readonly change: (bytes: Uint8Array) => Uint8Array | undefined;
  };

interface Connection {
  readonly number: number;
  readonly client: Socket;
  readonly server: Socket;
  readonly kept: Record<Direction, Uint8Array[]>;
  /** The end of what is to be passed on, one after the other. */
  readonly last: Record<Direction, Promise<void>>;
}

/** Puts pieces together. */
export function join(pieces: readonly Uint8Array[]): Uint8Array {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const bytes = new Uint8Array(length);
  let position = 0;
  for (const piece of pieces) {
    bytes.set(piece, position);
    position += piece.length;
  }
  return bytes;
}

/** Stands between a client and a server, listens in, and makes trouble. */
export class WireProxy implements AsyncDisposable {
  /** All that came by, in its order. */
  readonly chunks: WireChunk[] = [];
  /** Whether what comes by is written down. */
  isRecording = true;
  readonly #target: { host: string; port: number };
  readonly #modes: Record<Direction, WireMode> = {
    up: { kind: "forward" },
    down: { kind: "forward" },
  };
  readonly #connections: Set<Connection> = new Set();
  #server: Server | undefined = undefined;
  #port = 0;
  #count = 0;

  /** Starts one, on a free port unless a port is given. */
  static async start(
    target: number | { host: string; port: number },
    port = 0,
  ): Promise<WireProxy> {
    const proxy = new WireProxy(
      typeof target === "number" ? { host: "127.0.0.1", port: target } : target,
    );
    proxy.#port = port;
    await proxy.accept();
    return proxy;
  }

  private constructor(target: { host: string; port: number }) {
    this.#target = target;
  }

  /** The port to connect to. */
  get port(): number {
    return this.#port;
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#connections.size;
  }

  /** How many connections there have been. */
  get accepted(): number {
    return this.#count;
  }

  /** What is done with the bytes from now on. */
  mode(direction: Direction, mode: WireMode): void {
    this.#modes[direction] = mode;
    if (mode.kind === "forward") this.flush(direction);
  }

  /** Passes on what was kept. */
  flush(direction: Direction): void {
    for (const connection of this.#connections) {
      const bytes = join(connection.kept[direction].splice(0));
      if (bytes.length > 0) this.#enqueue(connection, direction, bytes);
    }
  }

  /** The bytes of a direction, of one connection or of all. */
  bytes(direction: Direction, connection?: number): Uint8Array {
    return join(
      this.chunks.filter((chunk) =>
        chunk.direction === direction &&
        (connection === undefined || chunk.connection === connection)
      ).map(({ bytes }) => bytes),
    );
  }

  /** Forgets what came by. */
  clear(): void {
    this.chunks.length = 0;
  }

  /** Sends bytes of its own to all clients, or to all servers. */
  inject(direction: Direction, bytes: Uint8Array): void {
    for (const connection of this.#connections) {
      this.#enqueue(connection, direction, bytes);
    }
  }

  /** Cuts all connections; with `reset`, so that it is an error. */
  cut({ reset = false }: { reset?: boolean } = {}): void {
    for (const { client, server } of this.#connections) {
      if (reset) client.resetAndDestroy();
      else client.destroy();
      server.destroy();
    }
    this.#connections.clear();
  }

  /** Lets nobody in any more; those who are stay. */
  refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      server.close(() => resolve());
      // It is closed when the last connection is; the port is free already.
      if (this.#connections.size > 0) resolve();
    });
  }

  /** Lets clients in again. */
  accept(): Promise<void> {
    if (this.#server !== undefined) return Promise.resolve();
    const server = createServer((client) => this.#connect(client));
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, "127.0.0.1", () => {
        const address = server.address();
        if (typeof address === "object" && address !== null) {
          this.#port = address.port;
        }
        resolve();
      });
    });
  }

  /** Ends it. */
  async stop(): Promise<void> {
    const closed = Promise.withResolvers<void>();
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) closed.resolve();
    else server.close(() => closed.resolve());
    this.cut();
    await closed.promise;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #connect(client: Socket): void {
    const server = createConnection(this.#target);
    const connection: Connection = {
      number: this.#count++,
      client,
      server,
      kept: { up: [], down: [] },
      last: { up: Promise.resolve(), down: Promise.resolve() },
    };
    this.#connections.add(connection);
    const pairs: [Direction, Socket, Socket][] = [
      ["up", client, server],
      ["down", server, client],
    ];
    for (const [direction, source, sink] of pairs) {
      source.setNoDelay(true);
      source.on("data", (data: Uint8Array) => {
        this.#take(connection, direction, new Uint8Array(data));
      });
      source.on("error", () => {});
      source.on("end", () => {
        if (this.#modes[direction].kind === "swallow") return;
        connection.last[direction].then(() => sink.end());
      });
      source.on("close", () => {
        if (this.#modes[direction].kind === "swallow") return;
        connection.last[direction].then(() => {
          sink.destroy();
          this.#connections.delete(connection);
        });
      });
    }
  }

  #take(
    connection: Connection,
    direction: Direction,
    bytes: Uint8Array,
  ): void {
    if (this.isRecording) {
      this.chunks.push({ connection: connection.number, direction, bytes });
    }
    const mode = this.#modes[direction];
    if (mode.kind === "swallow") return;
    if (mode.kind === "merge") {
      connection.kept[direction].push(bytes);
    } else if (mode.kind === "change") {
      const changed = mode.change(bytes);
      if (changed !== undefined) this.#enqueue(connection, direction, changed);
    } else {
      this.#enqueue(connection, direction, bytes, mode);
    }
  }

  #enqueue(
    connection: Connection,
    direction: Direction,
    bytes: Uint8Array,
    mode: WireMode = { kind: "forward" },
  ): void {
    const sink = direction === "up" ? connection.server : connection.client;
    const due = performance.now() + (mode.kind === "delay" ? mode.ms : 0);
    connection.last[direction] = connection.last[direction].then(async () => {
      // Timers of some platforms come up to a millisecond early.
      for (let left; (left = due - performance.now()) > 0;) {
        await pause(left);
      }
      const size = mode.kind === "split" ? mode.size ?? 1 : bytes.length;
      for (let start = 0; start < bytes.length; start += size) {
        if (sink.destroyed) return;
        sink.write(bytes.subarray(start, start + size));
        // In a turn of its own, so that the pieces stay apart.
        if (size < bytes.length) {
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
      }
    });
  }
}
