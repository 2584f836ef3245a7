// Copyright 2026 the Longrun authors. MIT license.

import { createServer, type Server, type Socket } from "node:net";
import { CdrReader } from "../_cdr_reader.ts";
import { CdrWriter } from "../_cdr_writer.ts";
import { GiopAssembler } from "../_giop_assembler.ts";
import type { Endpoint } from "../_giop_connection.ts";
import {
  HEADER_SIZE,
  type MessageHeader,
  MessageType,
  ReplyStatus,
} from "../_giop_message.ts";
import { encodeText } from "../_text.ts";

/** A request, as a server sees it. */
export interface SeenRequest {
  readonly id: number;
  readonly objectKey: string;
  readonly operation: string;
  /** The arguments. */
  readonly body: CdrReader;
  /** The connection on which it came. */
  readonly client: GiopClient;
}

/** Options of {@linkcode message}. */
export interface MessageOptions {
  /** More fragments follow. */
  more?: boolean;
  minor?: number;
}

/** A message of any kind. */
export function message(
  type: number,
  body: Uint8Array = new Uint8Array(0),
  { more = false, minor = 2 }: MessageOptions = {},
): Uint8Array {
  return new CdrWriter().raw(encodeText("GIOP"))
    .octet(1).octet(minor).octet(more ? 3 : 1).octet(type)
    .octets(body).bytes;
}

/** An answer without a header. */
export function replyBody(
  id: number,
  status: number,
  write?: (writer: CdrWriter) => unknown,
): Uint8Array {
  const writer = new CdrWriter(HEADER_SIZE)
    .unsignedLong(id).unsignedLong(status).unsignedLong(0);
  if (write !== undefined) {
    writer.align(8);
    write(writer);
  }
  return writer.bytes;
}

/** An answer. */
export function reply(
  id: number,
  write?: (writer: CdrWriter) => unknown,
  status: number = ReplyStatus.NO_EXCEPTION,
): Uint8Array {
  return message(MessageType.REPLY, replyBody(id, status, write));
}

/** The connection of a client. */
export class GiopClient {
  readonly socket: Socket;
  /** The numbers of the requests that the client has given up. */
  readonly cancelled: number[] = [];
  /** Whether the client has said that it closes. */
  saidGoodbye = false;
  isClosed = false;

  constructor(socket: Socket, onRequest: (request: SeenRequest) => void) {
    this.socket = socket;
    socket.setNoDelay(true);
    const assembler = new GiopAssembler(2 ** 28, (bytes, header) => {
      const body = new CdrReader(bytes.slice(), header.littleEndian, {
        offset: HEADER_SIZE,
      });
      this.#take(header, body, onRequest);
    });
    socket.on("data", (data: Uint8Array) =>
      assembler.push(
        new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      ));
    socket.on("error", () => {});
    socket.on("close", () => this.isClosed = true);
  }

  send(...messages: readonly Uint8Array[]): void {
    for (const bytes of messages) this.socket.write(bytes);
  }

  #take(
    { type }: MessageHeader,
    body: CdrReader,
    onRequest: (request: SeenRequest) => void,
  ): void {
    if (type === MessageType.CLOSE_CONNECTION) this.saidGoodbye = true;
    if (type === MessageType.CANCEL_REQUEST) {
      this.cancelled.push(body.unsignedLong());
    }
    if (type !== MessageType.REQUEST) return;
    const id = body.unsignedLong();
    body.unsignedLong(); // what is wanted, and three bytes of nothing
    body.unsignedShort();
    const objectKey = new TextDecoder().decode(body.octets());
    const operation = body.string();
    body.unsignedLong();
    if (body.remaining > 0) body.align(8);
    onRequest({ id, objectKey, operation, body, client: this });
  }
}

/** A server on this computer that does what a test says. */
export class GiopServer implements AsyncDisposable {
  readonly clients: GiopClient[] = [];
  readonly #server: Server;

  private constructor(onRequest: (request: SeenRequest) => void) {
    this.#server = createServer((socket) => {
      this.clients.push(new GiopClient(socket, onRequest));
    });
  }

  static async start(
    onRequest: (request: SeenRequest) => void,
    port = 0,
  ): Promise<GiopServer> {
    const server = new GiopServer(onRequest);
    await new Promise<void>((resolve, reject) => {
      server.#server.once("error", reject);
      server.#server.listen(port, "127.0.0.1", resolve);
    });
    return server;
  }

  get endpoint(): Endpoint {
    const address = this.#server.address();
    if (address === null || typeof address === "string") {
      throw new Error("The server does not listen");
    }
    return { host: "127.0.0.1", port: address.port };
  }

  /** The only client. */
  get client(): GiopClient {
    const [client] = this.clients;
    if (client === undefined || this.clients.length > 1) {
      throw new Error(`There are ${this.clients.length} clients`);
    }
    return client;
  }

  /** Forgets who has left, and what the others have given up. */
  forget(): void {
    const left = this.clients.filter(({ isClosed }) => !isClosed);
    this.clients.splice(0, this.clients.length, ...left);
    for (const { cancelled } of left) cancelled.length = 0;
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
