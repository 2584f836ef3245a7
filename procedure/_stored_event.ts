// Copyright 2026 the Longrun authors. MIT license.

/** How many roots an event is kept for. */
const MOST_ROOTS = 4;

const encoder = new TextEncoder();

/** An event that is kept, as it is sent. */
export class StoredEvent {
  readonly topic: string;
  /** About how many bytes it has. */
  readonly length: number;
  /** The text around the places where the root belongs, if there are any. */
  readonly #parts: readonly string[];
  readonly #bytes: Map<string, Uint8Array> = new Map();

  constructor(topic: string, text: string, mark: string) {
    this.topic = topic;
    const parts = text.split(mark);
    this.#parts = parts.length > 1 ? parts : [];
    if (parts.length === 1) this.#bytes.set("", encoder.encode(text));
    this.length = this.#bytes.get("")?.length ?? text.length;
  }

  bytes(root: string): Uint8Array {
    const key = this.#parts.length === 0 ? "" : root;
    const known = this.#bytes.get(key);
    if (known !== undefined) return known;
    const bytes = encoder.encode(this.#parts.join(root));
    if (this.#bytes.size < MOST_ROOTS) this.#bytes.set(key, bytes);
    return bytes;
  }
}

/** Several pieces as one. */
export function joined(
  pieces: readonly Uint8Array[],
  length: number,
): Uint8Array {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only;
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  return bytes;
}
