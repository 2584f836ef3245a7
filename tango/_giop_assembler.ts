// Copyright 2026 the Longrun authors. MIT license.

import { ByteBuffer } from "./_byte_buffer.ts";
import { CdrReader, MarshalError } from "./_cdr_reader.ts";
import {
  HEADER_SIZE,
  type MessageHeader,
  MessageType,
  readHeader,
} from "./_giop_message.ts";

/** How many messages may be in fragments at a time. */
const MAX_FRAGMENTED = 1000;

/** In a fragment, the number of its request comes before the data. */
const FRAGMENT_HEADER_SIZE = HEADER_SIZE + 4;

/** Called with a whole message; its bytes are valid until it returns. */
export type TakeMessage = (message: Uint8Array, header: MessageHeader) => void;

interface Fragmented {
  readonly header: MessageHeader;
  readonly buffer: ByteBuffer;
}

/** Makes messages from the bytes of a connection, and whole ones of fragments. */
export class GiopAssembler {
  readonly #maxMessage: number;
  readonly #take: TakeMessage;
  readonly #buffer = new ByteBuffer();
  /** How many bytes the next message needs, as far as that is known. */
  #needed = HEADER_SIZE;
  readonly #fragmented = new Map<number, Fragmented>();
  #fragmentedSize = 0;

  constructor(maxMessage: number, take: TakeMessage) {
    this.#maxMessage = maxMessage;
    this.#take = take;
  }

  /**
   * Takes the next bytes.
   *
   * @throws {MarshalError} If they are not what they should be. There is no
   * way to go on then.
   */
  push(chunk: Uint8Array): void {
    const buffer = this.#buffer;
    if (buffer.length === 0) {
      // Mostly a chunk is a message, or some: no need to copy it.
      const used = this.#split(chunk);
      if (used < chunk.length) buffer.append(chunk.subarray(used));
      return;
    }
    buffer.append(chunk);
    if (buffer.length < this.#needed) return;
    buffer.consume(this.#split(buffer.bytes));
  }

  /** Takes all messages that are there and tells how many bytes they had. */
  #split(bytes: Uint8Array): number {
    let offset = 0;
    this.#needed = HEADER_SIZE;
    while (bytes.length - offset >= HEADER_SIZE) {
      const header = readHeader(bytes.subarray(offset, offset + HEADER_SIZE));
      const needed = HEADER_SIZE + header.size;
      this.#checkSize(needed);
      if (bytes.length - offset < needed) {
        this.#needed = needed;
        break;
      }
      this.#handle(bytes.subarray(offset, offset + needed), header);
      offset += needed;
    }
    return offset;
  }

  #handle(message: Uint8Array, header: MessageHeader): void {
    if (header.type === MessageType.FRAGMENT) this.#append(message, header);
    else if (header.moreFragments) this.#begin(message, header);
    else this.#take(message, header);
  }

  #begin(message: Uint8Array, header: MessageHeader): void {
    const id = this.#requestOf(message, header);
    if (this.#fragmented.size === MAX_FRAGMENTED || this.#fragmented.has(id)) {
      throw new MarshalError("Too many messages are in fragments");
    }
    const buffer = new ByteBuffer();
    this.#fragmented.set(id, { header, buffer });
    this.#add(buffer, message);
  }

  #append(message: Uint8Array, header: MessageHeader): void {
    const id = this.#requestOf(message, header);
    const fragmented = this.#fragmented.get(id);
    if (fragmented === undefined) {
      throw new MarshalError("A fragment belongs to no message");
    }
    const { buffer } = fragmented;
    this.#add(buffer, message.subarray(FRAGMENT_HEADER_SIZE));
    if (header.moreFragments) return;
    this.#fragmented.delete(id);
    this.#fragmentedSize -= buffer.length;
    this.#take(buffer.bytes, fragmented.header);
  }

  #requestOf(message: Uint8Array, header: MessageHeader): number {
    if (header.minor !== 2) {
      throw new MarshalError("Only GIOP 1.2 says what a fragment belongs to");
    }
    const { littleEndian } = header;
    return new CdrReader(message, littleEndian, { offset: HEADER_SIZE })
      .unsignedLong();
  }

  #add(buffer: ByteBuffer, bytes: Uint8Array): void {
    this.#fragmentedSize += bytes.length;
    this.#checkSize(this.#fragmentedSize);
    buffer.append(bytes);
  }

  #checkSize(size: number): void {
    if (size <= this.#maxMessage) return;
    throw new MarshalError(
      `A message of ${size} bytes is larger than ${this.#maxMessage}`,
    );
  }
}
