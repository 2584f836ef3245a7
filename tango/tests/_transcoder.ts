// Copyright 2026 the Longrun authors. MIT license.

/**
 * Rewrites CDR in another order of bytes, with zeros for padding.
 *
 * What there is to rewrite is said by a format: `b`, `h`, `l` and `q` for
 * values of 1, 2, 4 and 8 bytes, `s` for a string, `[...]` for a sequence, `a`
 * for a value that says its type, `u` for the values of an attribute, `v` for
 * an attribute that was read.
 *
 * @module
 */

const SIZES: Record<string, number> = { b: 1, h: 2, l: 4, q: 8 };

/** The values of an attribute, by their kinds. */
const UNION = [
  "[b]",
  "[h]",
  "[l]",
  "[q]",
  "[l]",
  "[q]",
  "[b]",
  "[h]",
  "[l]",
  "[q]",
  "[s]",
  "[l]",
  "l",
  "[s[b]]",
  "b",
];

/** The values of types without parts, by their kinds. */
const SIMPLE: Record<number, string> = {
  0: "",
  1: "",
  2: "h",
  3: "l",
  4: "h",
  5: "l",
  6: "l",
  7: "q",
  8: "b",
  9: "b",
  10: "b",
  11: "a",
  23: "q",
  24: "q",
};

/** Where the sequence that begins at `start` ends. */
function closing(format: string, start: number): number {
  let depth = 0;
  for (let at = start;; at++) {
    if (format[at] === "[") depth++;
    if (format[at] === "]" && --depth === 0) return at;
  }
}

/** Reads from one place and writes to another. */
class Transcoder {
  readonly #from: Uint8Array;
  readonly #isLittle: boolean;
  readonly #toLittle: boolean;
  readonly written: number[] = [];
  #at: number;

  constructor(
    from: Uint8Array,
    isLittle: boolean,
    toLittle: boolean,
    at = 0,
  ) {
    this.#from = from;
    this.#isLittle = isLittle;
    this.#toLittle = toLittle;
    this.#at = at;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#from.length;
  }

  run(format: string): void {
    for (let at = 0; at < format.length; at++) {
      const letter = format[at] ?? "";
      if (letter === "[") {
        const end = closing(format, at);
        const count = this.#number(4);
        for (let one = 0; one < count; one++) {
          this.run(format.slice(at + 1, end));
        }
        at = end;
      } else if (letter === "s") {
        this.run("[b]");
      } else if (letter === "a") {
        this.run(this.#type());
      } else if (letter === "u") {
        this.run(UNION[this.#number(4)] ?? "");
      } else if (letter === "v") {
        this.run("ulllllls" + "llll" + "[slss]");
      } else {
        this.#number(SIZES[letter] ?? 0);
      }
    }
  }

  /** Rewrites a type; gives the format of its values. */
  #type(): string {
    const kind = this.#number(4);
    if (kind === 18) {
      this.#number(4);
      return "s";
    }
    const simple = SIMPLE[kind];
    if (simple !== undefined) return simple;
    const length = new DataView(this.#from.buffer, this.#from.byteOffset)
      .getUint32(this.#at, this.#isLittle);
    const start = this.#at + 4;
    const inner = new Transcoder(
      this.#from.subarray(start, start + length),
      this.#from[start] === 1,
      this.#toLittle,
      1,
    );
    inner.written.push(this.#toLittle ? 1 : 0);
    const format = inner.#enclosed(kind);
    this.#at = start + length;
    this.#put(inner.written.length, 4);
    this.written.push(...inner.written);
    return format;
  }

  #enclosed(kind: number): string {
    if (kind === 19) {
      const element = this.#type();
      this.#number(4);
      return `[${element}]`;
    }
    this.run("ss");
    if (kind === 21) return this.#type();
    if (kind === 17) {
      this.run("[s]");
      return "l";
    }
    if (kind !== 15) throw new Error(`Type kind ${kind} is not expected`);
    let format = "";
    const count = this.#number(4);
    for (let one = 0; one < count; one++) {
      this.run("s");
      format += this.#type();
    }
    return format;
  }

  #number(size: number): number {
    this.#at = Math.ceil(this.#at / size) * size;
    const bytes = Array.from(this.#from.subarray(this.#at, this.#at + size));
    if (bytes.length < size) throw new Error("There are too few bytes");
    this.#at += size;
    if (!this.#isLittle) bytes.reverse();
    const value = bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
    while (this.written.length % size > 0) this.written.push(0);
    this.written.push(...(this.#toLittle ? bytes : bytes.reverse()));
    return value;
  }

  #put(value: number, size: number): void {
    while (this.written.length % size > 0) this.written.push(0);
    const bytes = [0, 8, 16, 24].map((shift) => (value >>> shift) & 255);
    this.written.push(...(this.#toLittle ? bytes : bytes.reverse()));
  }
}

/** Rewrites a value, whose alignment counts from its first byte. */
export function transcode(
  bytes: Uint8Array,
  format: string,
  littleEndian: boolean,
  isLittle = true,
): Uint8Array {
  const transcoder = new Transcoder(bytes, isLittle, littleEndian);
  transcoder.run(format);
  if (!transcoder.isAtEnd) {
    throw new Error(`${format} does not end where it should`);
  }
  return Uint8Array.from(transcoder.written);
}
