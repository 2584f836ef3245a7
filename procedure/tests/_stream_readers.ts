// Copyright 2026 the Longrun authors. MIT license.

// Reads a stream of counted events many times over, as other programs do:
// `_stream_readers.ts URL READERS EVENTS`. Says "open", and in the end what
// each reader has seen.

import { eventCounter } from "./_event_count.ts";

const [url = "", readers, events] = Deno.args;
const decoder = new TextDecoder();
let open = 0;

async function read(): Promise<string> {
  const response = await fetch(url);
  const reader = response.body?.getReader();
  const pieces: Uint8Array[] = [];
  const countEvents = eventCounter();
  let count = 0;
  while (count < Number(events)) {
    const { done, value } = await reader?.read() ?? { done: true };
    if (done) break;
    if (pieces.length === 0 && ++open === Number(readers)) console.log("open");
    pieces.push(value);
    count += countEvents(value);
  }
  await reader?.cancel();
  const text = pieces.map((piece) => decoder.decode(piece)).join("");
  return [...text.matchAll(/"data":(\d+)}\n\n/g)].map((match) => match[1])
    .join(",");
}

const seen = await Promise.all(Array.from({ length: Number(readers) }, read));
const kinds = new Map<string, number>();
for (const each of seen) kinds.set(each, (kinds.get(each) ?? 0) + 1);
console.log(JSON.stringify([...kinds]));
