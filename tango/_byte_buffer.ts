// Copyright 2026 the Longrun authors. MIT license.

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

  /** Adds bytes, which are copied. */
  append(bytes: Uint8Array): void {
    if (this.#end + bytes.length > this.#bytes.length) {
      this.#makeRoom(bytes.length);
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

  #makeRoom(more: number): void {
    const { bytes, length } = this;
    // Twice what is needed, so that a byte is copied but a few times.
    const isRoomy = 2 * (length + more) <= this.#bytes.length;
    const target = isRoomy ? this.#bytes : new Uint8Array(2 * (length + more));
    target.set(bytes);
    this.#bytes = target;
    this.#start = 0;
    this.#end = length;
  }
}
