// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { ByteBuffer } from "./_byte_buffer.ts";
import {
  checkSignature,
  COMMAND,
  decodeCommand,
  decodeGreeting,
  decodeMetadata,
  decodePing,
  decodeReason,
  GREETING_SIZE,
  LONG,
  MORE,
  VERSION_OFFSET,
  ZmtpError,
  type ZmtpGreeting,
  type ZmtpMetadata,
} from "./_zmtp_codec.ts";

/** What a peer may send at most. */
export interface ZmtpLimits {
  /**
   * The bytes of a message: of all its frames together.
   *
   * @default {67_108_864}
   */
  maxMessage?: number | undefined;
  /**
   * The bytes of one frame.
   *
   * @default {maxMessage}
   */
  maxFrame?: number | undefined;
  /**
   * The frames of a message.
   *
   * @default {256}
   */
  maxParts?: number | undefined;
}

/** What has come from a peer. */
export type ZmtpItem =
  | { readonly kind: "greeting"; readonly greeting: ZmtpGreeting }
  | { readonly kind: "ready"; readonly metadata: ZmtpMetadata }
  | { readonly kind: "ping"; readonly context: Uint8Array }
  | { readonly kind: "pong"; readonly context: Uint8Array }
  | {
    readonly kind: "command";
    readonly name: string;
    readonly data: Uint8Array;
  }
  | { readonly kind: "message"; readonly frames: Uint8Array[] };

/** The bytes of a message by default. */
export const MAX_MESSAGE: number = 64 * 1024 * 1024;
const MAX_PARTS = 256;
const MAX_COMMAND = 64 * 1024;

const NOTHING = new Uint8Array(0);

/**
 * Reads what a peer sends, in chunks of any size: its greeting, the handshake
 * of the `NULL` mechanism and the traffic after it.
 *
 * A frame that lies in one chunk is a view of that chunk, one that does not is
 * copied together. The memory for it grows with what has come, never with what
 * the peer says will come.
 *
 * After an error there is nothing more to read.
 */
export class ZmtpDecoder {
  readonly #maxMessage: number;
  readonly #maxFrame: number;
  readonly #maxParts: number;

  #chunk: Uint8Array = NOTHING;
  #offset = 0;
  #isBroken = false;

  #phase: "greeting" | "handshake" | "traffic" = "greeting";
  /** The greeting, or the head of a frame. */
  readonly #head: Uint8Array = new Uint8Array(GREETING_SIZE);
  readonly #headView: DataView = new DataView(this.#head.buffer);
  #headLength = 0;
  #headSize = GREETING_SIZE;

  #flags = 0;
  #size = 0;
  /** The part of the body that has come in earlier chunks. */
  readonly #body = new ByteBuffer();

  #frames: Uint8Array[] = [];
  #messageSize = 0;

  constructor(limits: ZmtpLimits = {}) {
    const { maxMessage = MAX_MESSAGE } = limits;
    this.#maxMessage = maxMessage;
    this.#maxFrame = limits.maxFrame ?? maxMessage;
    this.#maxParts = limits.maxParts ?? MAX_PARTS;
  }

  /** The memory it has taken for a frame that is not complete, in bytes. */
  get allocated(): number {
    return this.#body.allocated;
  }

  /**
   * Takes the next chunk, which must not change any more. What came before it
   * must have been read.
   */
  push(chunk: Uint8Array): void {
    if (this.#isBroken) return;
    this.#chunk = chunk;
    this.#offset = 0;
  }

  /**
   * Reads on.
   *
   * @returns What has come next, or `undefined` until there is another chunk.
   * @throws {ZmtpError} If it is malformed or beyond a limit, once.
   */
  next(): ZmtpItem | undefined {
    if (this.#isBroken) return undefined;
    try {
      return this.#phase === "greeting"
        ? this.#readGreeting()
        : this.#readFrames();
    } catch (error) {
      this.#break();
      throw error;
    }
  }

  /**
   * Takes note that nothing more comes.
   *
   * @throws {ZmtpError} If something is not complete.
   */
  end(): void {
    if (this.#isBroken) return;
    // A peer that requires security leaves when it has read our greeting.
    const where = this.#phase === "greeting"
      ? this.#headLength < VERSION_OFFSET
        ? "the greeting"
        : "the greeting, as one that requires a security mechanism does"
      : this.#headLength > 0
      ? "a frame"
      : this.#frames.length > 0
      ? "a message"
      : undefined;
    this.#break();
    if (where !== undefined) {
      throw new ZmtpError(`The peer ended in the middle of ${where}`);
    }
  }

  #break(): void {
    this.#isBroken = true;
    this.#chunk = NOTHING;
    this.#body.take();
    this.#frames = [];
  }

  #readGreeting(): ZmtpItem | undefined {
    const isComplete = this.#readHead();
    checkSignature(this.#head, this.#headLength);
    if (!isComplete) return undefined;
    const greeting = decodeGreeting(this.#head);
    this.#phase = "handshake";
    this.#expectFrame();
    return { kind: "greeting", greeting };
  }

  #readFrames(): ZmtpItem | undefined {
    for (;;) {
      if (this.#headLength < this.#headSize && !this.#readHeader()) {
        return undefined;
      }
      const body = this.#readBody();
      if (body === undefined) return undefined;
      this.#expectFrame();
      if ((this.#flags & COMMAND) !== 0) return this.#command(body);
      this.#frames.push(body);
      this.#messageSize += body.length;
      if ((this.#flags & MORE) !== 0) continue;
      const frames = this.#frames;
      this.#frames = [];
      this.#messageSize = 0;
      return { kind: "message", frames };
    }
  }

  /** Reads on with what has a size known before. Returns whether it is whole. */
  #readHead(): boolean {
    const head = this.#head;
    const chunk = this.#chunk;
    while (this.#headLength < this.#headSize) {
      if (this.#offset >= chunk.length) return false;
      head[this.#headLength++] = chunk[this.#offset++] ?? 0;
    }
    return true;
  }

  #expectFrame(): void {
    this.#headLength = 0;
    this.#headSize = 1;
  }

  #readHeader(): boolean {
    if (this.#headSize === 1) {
      if (!this.#readHead()) return false;
      const [flags = 0] = this.#head;
      this.#flags = flags;
      this.#checkFlags(flags);
      this.#headSize = (flags & LONG) === 0 ? 2 : 9;
    }
    if (!this.#readHead()) return false;
    this.#size = (this.#flags & LONG) === 0
      ? this.#headView.getUint8(1)
      : this.#headView.getUint32(1) * 2 ** 32 + this.#headView.getUint32(5);
    this.#checkSize(this.#size);
    return true;
  }

  #checkFlags(flags: number): void {
    if (flags > (LONG | COMMAND) || flags === (MORE | COMMAND)) {
      throw new ZmtpError(`The peer sent a frame with the flags ${flags}`);
    }
    if ((flags & COMMAND) !== 0) return;
    if (this.#phase === "handshake") {
      throw new ZmtpError("The peer sent a message before it was ready");
    }
    if (this.#frames.length >= this.#maxParts) {
      throw new ZmtpError(
        `The peer sent a message of more than ${this.#maxParts} frames`,
      );
    }
  }

  #checkSize(size: number): void {
    const isCommand = (this.#flags & COMMAND) !== 0;
    const limit = isCommand ? MAX_COMMAND : this.#maxFrame;
    if (size > limit) {
      const what = isCommand ? "command" : "frame";
      throw new ZmtpError(
        `The peer sent a ${what} of ${size} bytes: at most ${limit} are taken`,
      );
    }
    if (!isCommand && this.#messageSize + size > this.#maxMessage) {
      throw new ZmtpError(
        `The peer sent a message of more than ${this.#maxMessage} bytes`,
      );
    }
  }

  #readBody(): Uint8Array | undefined {
    const chunk = this.#chunk;
    const offset = this.#offset;
    const missing = this.#size - this.#body.length;
    const available = Math.min(chunk.length - offset, missing);
    this.#offset += available;
    // Not `subarray`, which gives a Buffer of a Buffer.
    const part = new Uint8Array(
      chunk.buffer,
      chunk.byteOffset + offset,
      available,
    );
    if (available === this.#size) return part;
    this.#body.append(part, this.#size);
    return available === missing ? this.#body.take() : undefined;
  }

  #command(body: Uint8Array): ZmtpItem {
    const { name, data } = decodeCommand(body);
    if (name === "ERROR") {
      throw new ZmtpError(`The peer refused: ${decodeReason(data)}`);
    }
    if (this.#phase === "handshake") {
      if (name !== "READY") {
        throw new ZmtpError("The peer sent a command before it was ready");
      }
      this.#phase = "traffic";
      return { kind: "ready", metadata: decodeMetadata(data) };
    }
    if (name === "READY") throw new ZmtpError("The peer was ready twice");
    if (name === "PING") return { kind: "ping", context: decodePing(data) };
    if (name === "PONG") return { kind: "pong", context: data };
    return { kind: "command", name, data };
  }
}
