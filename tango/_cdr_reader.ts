// Copyright 2026 the Longrun authors. MIT license.

import { isHostLittleEndian } from "./_host.ts";
import { decodeText } from "./_text.ts";

/** Bytes that are not what they should be. */
export class MarshalError extends Error {
  /** The name of the error. */
  override readonly name: string = "MarshalError";
}

/**
 * How many elements that are no numbers a message may have: each takes far more
 * memory here than bytes of the message.
 */
const MAX_ELEMENTS = 1_048_576;

/** How many booleans may come at once. */
const MAX_BOOLEANS = 33_554_432;

/** How an array of numbers is made from bytes. */
interface NumberArray<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): T;
}

/** Options of {@linkcode CdrReader}. */
export interface CdrReaderOptions {
  /**
   * Where reading begins.
   *
   * @default {0}
   */
  offset?: number;
  /**
   * The position from which alignment counts.
   *
   * @default {0}
   */
  origin?: number;
}

/**
 * Reads values in the common data representation of CORBA. What it gives is
 * copied. It never allocates more than a small multiple of what has come.
 */
export class CdrReader {
  readonly littleEndian: boolean;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #origin: number;
  /** How many elements may come, here and in what is enclosed. */
  #allowed = { elements: MAX_ELEMENTS };
  #position: number;

  constructor(
    bytes: Uint8Array,
    littleEndian: boolean,
    { offset = 0, origin = 0 }: CdrReaderOptions = {},
  ) {
    this.#bytes = bytes;
    this.#view = new DataView(
      bytes.buffer,
      bytes.byteOffset,
      bytes.byteLength,
    );
    this.littleEndian = littleEndian;
    this.#position = offset;
    this.#origin = origin;
  }

  /** Where the next value begins, before its alignment. */
  get position(): number {
    return this.#position;
  }

  /** How many bytes are left. */
  get remaining(): number {
    return this.#bytes.length - this.#position;
  }

  /** Moves to the next multiple of `size`. */
  align(size: number): void {
    const behind = (this.#position - this.#origin) % size;
    if (behind > 0) this.#take(size - behind);
  }

  octet(): number {
    return this.#view.getUint8(this.#take(1));
  }

  boolean(): boolean {
    return this.octet() !== 0;
  }

  short(): number {
    return this.#view.getInt16(this.#next(2), this.littleEndian);
  }

  unsignedShort(): number {
    return this.#view.getUint16(this.#next(2), this.littleEndian);
  }

  long(): number {
    return this.#view.getInt32(this.#next(4), this.littleEndian);
  }

  unsignedLong(): number {
    return this.#view.getUint32(this.#next(4), this.littleEndian);
  }

  longLong(): bigint {
    return this.#view.getBigInt64(this.#next(8), this.littleEndian);
  }

  unsignedLongLong(): bigint {
    return this.#view.getBigUint64(this.#next(8), this.littleEndian);
  }

  float(): number {
    return this.#view.getFloat32(this.#next(4), this.littleEndian);
  }

  double(): number {
    return this.#view.getFloat64(this.#next(8), this.littleEndian);
  }

  string(): string {
    const length = this.count(1);
    if (length === 0) throw new MarshalError("A string has no end");
    const start = this.#take(length);
    const end = start + length - 1;
    if (this.#bytes[end] !== 0) throw new MarshalError("A string has no end");
    return decodeText(this.#bytes.subarray(start, end));
  }

  /**
   * The number of elements that follow.
   *
   * @param size The least number of bytes that an element takes.
   */
  count(size: number): number {
    const count = this.unsignedLong();
    if (count * size > this.remaining) {
      throw new MarshalError(
        `${count} elements were announced, ${this.remaining} bytes are left`,
      );
    }
    return count;
  }

  octets(): Uint8Array {
    const length = this.count(1);
    const start = this.#take(length);
    return this.#bytes.slice(start, start + length);
  }

  /**
   * Elements of one kind.
   *
   * @param read Reads one.
   * @param size The least number of bytes that one takes.
   */
  sequence<T>(read: () => T, size: number): T[] {
    return this.elements(read, this.count(size));
  }

  /** So many elements of one kind, without their number before them. */
  elements<T>(read: () => T, count: number): T[] {
    this.#allowed.elements -= count;
    if (this.#allowed.elements < 0) {
      throw new MarshalError("A message has too many elements");
    }
    const elements: T[] = [];
    for (let index = 0; index < count; index++) elements.push(read());
    return elements;
  }

  strings(): string[] {
    return this.sequence(() => this.string(), 5);
  }

  booleans(): boolean[] {
    const length = this.count(1);
    if (length > MAX_BOOLEANS) {
      throw new MarshalError(`${length} booleans are too many`);
    }
    const start = this.#take(length);
    const bytes = this.#bytes.subarray(start, start + length);
    return Array.from(bytes, (byte) => byte !== 0);
  }

  shorts(): Int16Array {
    return this.#numbers(Int16Array);
  }

  unsignedShorts(): Uint16Array {
    return this.#numbers(Uint16Array);
  }

  longs(): Int32Array {
    return this.#numbers(Int32Array);
  }

  unsignedLongs(): Uint32Array {
    return this.#numbers(Uint32Array);
  }

  longLongs(): BigInt64Array {
    return this.#numbers(BigInt64Array);
  }

  unsignedLongLongs(): BigUint64Array {
    return this.#numbers(BigUint64Array);
  }

  floats(): Float32Array {
    return this.#numbers(Float32Array);
  }

  doubles(): Float64Array {
    return this.#numbers(Float64Array);
  }

  /** A reader of what is enclosed here, with an order of bytes of its own. */
  encapsulation(): CdrReader {
    const length = this.count(1);
    const start = this.#take(length);
    const inner = new CdrReader(
      this.#bytes.subarray(start, start + length),
      this.#bytes[start] === 1,
    );
    inner.#allowed = this.#allowed;
    inner.octet();
    return inner;
  }

  #numbers<T extends ArrayBufferView>(type: NumberArray<T>): T {
    const size = type.BYTES_PER_ELEMENT;
    const count = this.count(size);
    // An empty sequence has no alignment for its elements.
    if (count === 0) return new type(0);
    const start = this.#next(size, count);
    const numbers = new type(count);
    const bytes = new Uint8Array(numbers.buffer);
    bytes.set(this.#bytes.subarray(start, start + bytes.length));
    if (size > 1 && this.littleEndian !== isHostLittleEndian) {
      for (let at = 0; at < bytes.length; at += size) {
        bytes.subarray(at, at + size).reverse();
      }
    }
    return numbers;
  }

  #next(size: number, count = 1): number {
    this.align(size);
    return this.#take(size * count);
  }

  #take(length: number): number {
    const start = this.#position;
    if (length > this.#bytes.length - start) {
      throw new MarshalError(
        `${length} bytes were expected, ${this.remaining} are left`,
      );
    }
    this.#position = start + length;
    return start;
  }
}
