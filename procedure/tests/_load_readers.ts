// Copyright 2026 the Longrun authors. MIT license.

// Reads a stream of events many times over, as other programs do:
// `_load_readers.ts URL READERS`. Says "open", and once each has come to an
// event on the topic `load.over`, what each has seen: the numbers of the first
// and the last event, how many there were and their bytes.

const [url = "", readers] = Deno.args;
const LINE_END = 10;
const decoder = new TextDecoder();
let open = 0;

/** Sees the lines of one stream, without a copy where there is none needed. */
class Lines {
  first = 0;
  last = 0;
  count = 0;
  bytes = 0;
  isInOrder = true;
  isOver = false;
  #place = 0;
  #rest: Uint8Array = new Uint8Array();

  take(piece: Uint8Array): void {
    let bytes = piece;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + piece.length);
      bytes.set(this.#rest);
      bytes.set(piece, this.#rest.length);
    }
    let begin = 0;
    for (
      let end = bytes.indexOf(LINE_END);
      end >= 0;
      end = bytes.indexOf(LINE_END, begin)
    ) {
      this.#see(bytes.subarray(begin, end));
      begin = end + 1;
    }
    this.#rest = bytes.slice(begin);
  }

  #see(line: Uint8Array): void {
    // "id: " and "data: "; a sign of life is an id and a comment.
    if (line[0] === 105) {
      this.#place = Number(decoder.decode(line).split("-").at(-1));
    } else if (line[0] === 100) {
      if (this.count++ === 0) this.first = this.#place;
      else this.isInOrder &&= this.#place === this.last + 1;
      this.last = this.#place;
      this.bytes += line.length;
      if (line.length < 200) {
        this.isOver ||= decoder.decode(line).includes('"load.over"');
      }
    }
  }
}

async function read(): Promise<string> {
  const response = await fetch(url);
  const reader = response.body?.getReader();
  const lines = new Lines();
  let isOpen = false;
  while (!lines.isOver) {
    const { done, value } = await reader?.read() ?? { done: true };
    if (done) break;
    if (!isOpen && ++open === Number(readers)) console.log("open");
    isOpen = true;
    lines.take(value);
  }
  await reader?.cancel();
  const { first, last, count, bytes, isInOrder } = lines;
  return `${first}-${last}${isInOrder ? "" : " out of order"}, ` +
    `${count} events, ${bytes} bytes`;
}

const seen = await Promise.all(Array.from({ length: Number(readers) }, read));
const kinds = new Map<string, number>();
for (const each of seen) kinds.set(each, (kinds.get(each) ?? 0) + 1);
console.log(JSON.stringify([...kinds]));
