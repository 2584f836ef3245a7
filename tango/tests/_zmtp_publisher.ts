// Copyright 2026 the Longrun authors. MIT license.

import { type AddressInfo, createServer, type Socket } from "node:net";
import {
  encodeGreeting,
  encodeMessage,
  encodePong,
  encodeReady,
  type ZmtpGreeting,
} from "../_zmtp_codec.ts";
import { ZmtpDecoder, type ZmtpItem } from "../_zmtp_decoder.ts";
import { Awaited } from "./_awaited.ts";

/** What a {@linkcode ZmtpPublisher} does otherwise than it should. */
export interface ZmtpPublisherOptions {
  /** How it introduces itself, or the bytes it sends instead, and no READY. */
  greeting?: Partial<ZmtpGreeting> | Uint8Array;
  /** Sends this when the subscriber has greeted, instead of `READY`. */
  ready?: Uint8Array;
  /** Does not answer a PING, as before ZMTP 3.1. */
  isOld?: boolean;
}

/** The bytes of a text. */
export const bytesOf = (text: string): Uint8Array =>
  new TextEncoder().encode(text);

/** The text of bytes. */
export const textOf = (bytes: Uint8Array): string =>
  new TextDecoder().decode(bytes);

/** What one subscriber has sent. */
interface Peer {
  readonly socket: Socket;
  readonly decoder: ZmtpDecoder;
  readonly topics: string[];
}

/** A publisher of ZMTP 3.0 with faults, for tests. */
export class ZmtpPublisher implements AsyncDisposable {
  /**
   * What the subscribers have sent, in order: `connect`, `READY SUB`,
   * `+topic`, `-topic`, `PONG context`, `end`, `error` and `close`.
   */
  readonly log: string[] = [];
  readonly #options: ZmtpPublisherOptions;
  readonly #server = createServer((socket) => this.#accept(socket));
  readonly #peers: Set<Peer> = new Set();
  readonly #changes: Awaited = new Awaited();

  private constructor(options: ZmtpPublisherOptions) {
    this.#options = options;
  }

  /** Starts a publisher on a free port. */
  static async listen(
    options: ZmtpPublisherOptions = {},
  ): Promise<ZmtpPublisher> {
    const publisher = new ZmtpPublisher(options);
    await new Promise<void>((resolve) =>
      publisher.#server.listen(0, "127.0.0.1", resolve)
    );
    return publisher;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How many subscribers there are. */
  get subscribers(): number {
    return this.#peers.size;
  }

  /** Waits until the log has a line, as often as told. */
  async logged(line: string, times = 1): Promise<void> {
    await this.#changes.until(
      () => this.log.filter((other) => other === line).length >= times,
      () => `${times} × "${line}" in ${JSON.stringify(this.log)}`,
    );
  }

  /** Sends a message to those that have subscribed to it. */
  publish(...frames: (string | Uint8Array)[]): void {
    const contents = frames.map((frame) =>
      typeof frame === "string" ? bytesOf(frame) : frame
    );
    const topic = textOf(contents[0] ?? new Uint8Array(0));
    for (const { socket, topics } of this.#peers) {
      if (topics.some((prefix) => topic.startsWith(prefix))) {
        socket.write(encodeMessage(contents));
      }
    }
  }

  /** Sends anything to everybody. */
  send(bytes: Uint8Array): void {
    for (const { socket } of this.#peers) socket.write(bytes);
  }

  /** Sends nothing more. */
  end(): void {
    for (const { socket } of this.#peers) socket.end();
  }

  /** Breaks the connections off. */
  reset(): void {
    for (const { socket } of this.#peers) socket.resetAndDestroy();
  }

  /** Reads nothing more. */
  pause(): void {
    for (const { socket } of this.#peers) socket.pause();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.#peers) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    const { greeting = {} } = this.#options;
    const peer: Peer = { socket, decoder: new ZmtpDecoder(), topics: [] };
    this.#peers.add(peer);
    socket.setNoDelay(true);
    this.#note("connect");
    socket.on("data", (chunk: Uint8Array) => {
      peer.decoder.push(chunk);
      for (let item; (item = peer.decoder.next()) !== undefined;) {
        this.#take(peer, item);
      }
    });
    socket.on("error", () => this.#note("error"));
    socket.on("end", () => this.#note("end"));
    socket.on("close", () => {
      this.#peers.delete(peer);
      this.#note("close");
    });
    socket.write(
      greeting instanceof Uint8Array ? greeting : encodeGreeting(greeting),
    );
  }

  #take(peer: Peer, item: ZmtpItem): void {
    switch (item.kind) {
      case "greeting":
        peer.socket.write(
          this.#options.ready ??
            (this.#options.greeting instanceof Uint8Array
              ? new Uint8Array(0)
              : encodeReady({ "Socket-Type": "PUB" })),
        );
        break;
      case "ready": {
        const type = item.metadata.get("socket-type");
        this.#note(`READY ${textOf(type ?? new Uint8Array(0))}`);
        break;
      }
      case "message":
        this.#takeSubscription(peer, item.frames);
        break;
      case "ping":
        if (this.#options.isOld === true) break;
        peer.socket.write(encodePong(item.context));
        break;
      case "pong":
        this.#note(`PONG ${textOf(item.context)}`);
        break;
      case "command":
        this.#note(`${item.name} ${textOf(item.data)}`);
        break;
    }
  }

  #takeSubscription({ topics }: Peer, frames: Uint8Array[]): void {
    const [frame = new Uint8Array(0)] = frames;
    const topic = textOf(frame.subarray(1));
    if (frame[0] === 1) topics.push(topic);
    else topics.splice(topics.indexOf(topic), 1);
    this.#note(`${frame[0] === 1 ? "+" : "-"}${topic}`);
  }

  #note(line: string): void {
    this.log.push(line);
    this.#changes.notify();
  }
}
