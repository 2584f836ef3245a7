// Copyright 2026 the Longrun authors. MIT license.

import { encodeText } from "./_text.ts";

const INITIAL_SIZE = 256;

/**
 * Writes values in the common data representation of CORBA, the bytes of a
 * number in little-endian order.
 */
export class CdrWriter {
  #bytes = new Uint8Array(INITIAL_SIZE);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  readonly #origin: number;

  /**
   * Creates a writer.
   *
   * @param origin How many bytes come before what it writes, as far as the
   * alignment is concerned.
   */
  constructor(origin = 0) {
    this.#origin = origin;
  }

  /** How many bytes were written. */
  get length(): number {
    return this.#length;
  }

  /** What was written. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Pads with zeros to the next multiple of `size`. */
  align(size: number): this {
    const behind = (this.#origin + this.#length) % size;
    if (behind > 0) this.#add(size - behind);
    return this;
  }

  octet(value: number): this {
    const start = this.#add(1);
    this.#view.setUint8(start, value);
    return this;
  }

  boolean(value: boolean): this {
    return this.octet(value ? 1 : 0);
  }

  short(value: number): this {
    const start = this.#next(2);
    this.#view.setInt16(start, value, true);
    return this;
  }

  unsignedShort(value: number): this {
    const start = this.#next(2);
    this.#view.setUint16(start, value, true);
    return this;
  }

  long(value: number): this {
    const start = this.#next(4);
    this.#view.setInt32(start, value, true);
    return this;
  }

  unsignedLong(value: number): this {
    const start = this.#next(4);
    this.#view.setUint32(start, value, true);
    return this;
  }

  longLong(value: bigint): this {
    const start = this.#next(8);
    this.#view.setBigInt64(start, value, true);
    return this;
  }

  unsignedLongLong(value: bigint): this {
    const start = this.#next(8);
    this.#view.setBigUint64(start, value, true);
    return this;
  }

  float(value: number): this {
    const start = this.#next(4);
    this.#view.setFloat32(start, value, true);
    return this;
  }

  double(value: number): this {
    const start = this.#next(8);
    this.#view.setFloat64(start, value, true);
    return this;
  }

  string(value: string): this {
    const text = encodeText(value);
    return this.unsignedLong(text.length + 1).raw(text).octet(0);
  }

  strings(values: readonly string[]): this {
    return this.sequence(values, (value) => this.string(value));
  }

  /** Writes a number over what was written before. */
  patchUnsignedLong(position: number, value: number): this {
    this.#view.setUint32(position, value, true);
    return this;
  }

  /** Elements of one kind, each written by `write`. */
  sequence<T>(values: ArrayLike<T>, write: (value: T) => unknown): this {
    this.unsignedLong(values.length);
    for (const value of Array.from(values)) write(value);
    return this;
  }

  /** Bytes with their number before them. */
  octets(values: Uint8Array): this {
    return this.unsignedLong(values.length).raw(values);
  }

  /** Bytes as they are. */
  raw(values: Uint8Array): this {
    const start = this.#add(values.length);
    this.#bytes.set(values, start);
    return this;
  }

  /** What `write` writes, enclosed, with its order of bytes. */
  encapsulation(write: (inner: CdrWriter) => unknown): this {
    const inner = new CdrWriter().octet(1);
    write(inner);
    return this.octets(inner.bytes);
  }

  // What this gives must be at hand before the bytes are: they may be replaced.
  #next(size: number): number {
    return this.align(size).#add(size);
  }

  #add(length: number): number {
    const start = this.#length;
    const end = start + length;
    if (end > this.#bytes.length) {
      const bytes = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      bytes.set(this.#bytes.subarray(0, start));
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer);
    }
    this.#length = end;
    return start;
  }
}
