// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** What a buffer may keep for the next bytes when it has become empty. */
const KEPT_SIZE = 65_536;

const EMPTY = new Uint8Array(0);

/**
 * Bytes that have come and are not understood yet. It grows with what really
 * comes, not with what was announced.
 */
export class ByteBuffer {
  #bytes: Uint8Array<ArrayBuffer> = EMPTY;
  #start = 0;
  #end = 0;

  /** How many bytes there are. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** The bytes, valid until the next change. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** The memory it has taken, in bytes. */
  get allocated(): number {
    return this.#bytes.length;
  }

  /** Adds bytes, which are copied, up to as many as there will be at most. */
  append(bytes: Uint8Array, most = Infinity): void {
    if (this.#end + bytes.length > this.#bytes.length) {
      this.#makeRoom(bytes.length, most);
    }
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** Forgets the first bytes. */
  consume(count: number): void {
    this.#start += count;
    if (this.#start < this.#end) return;
    this.#start = 0;
    this.#end = 0;
    if (this.#bytes.length > KEPT_SIZE) this.#bytes = EMPTY;
  }

  /** Gives its bytes away, which stay valid, and is empty. */
  take(): Uint8Array {
    const { bytes } = this;
    this.#bytes = EMPTY;
    this.#start = 0;
    this.#end = 0;
    return bytes;
  }

  #makeRoom(more: number, most: number): void {
    const { bytes, length } = this;
    // Twice what is needed, so that a byte is copied but a few times.
    const size = Math.min(2 * (length + more), most);
    const target = size <= this.#bytes.length
      ? this.#bytes
      : new Uint8Array(size);
    target.set(bytes);
    this.#bytes = target;
    this.#start = 0;
    this.#end = length;
  }
}
