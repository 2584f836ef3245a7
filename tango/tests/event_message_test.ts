// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import { MarshalError } from "../_cdr_reader.ts";
import { CdrWriter } from "../_cdr_writer.ts";
import { readEvent, topicOf } from "../_event_message.ts";
import { encodeText } from "../_text.ts";

const PADS = {
  "no pad": [],
  "a pad": [0xc0, 0xde, 0xc0, 0xde],
  "a pad of the other byte order": [0xde, 0xc0, 0xde, 0xc0],
};

function frames(data: Uint8Array): Uint8Array[] {
  const call = new CdrWriter().long(1).unsignedLong(7).string("")
    .unsignedLong(0).boolean(false).bytes;
  return [encodeText("topic"), new Uint8Array([1]), call, data];
}

for (const [what, pad] of Object.entries(PADS)) {
  test(`Events have their values of 64 bits in place after ${what}`, () => {
    const data = new CdrWriter().unsignedLong(3).longLong(-5n).double(0.5);
    const bytes = new Uint8Array([...pad, ...data.bytes]);
    // Wherever the data lie in the memory.
    for (let shift = 0; shift < 8; shift++) {
      const moved = new Uint8Array(shift + bytes.length);
      moved.set(bytes, shift);
      const event = readEvent(frames(moved.subarray(shift)));
      assertEquals(event.counter, 7);
      assertEquals(event.data.unsignedLong(), 3);
      assertEquals(event.data.longLong(), -5n);
      assertEquals(event.data.double(), 0.5);
    }
  });
}

test("A message without frames is no event", () => {
  assertThrows(() => topicOf([]), MarshalError);
  assertThrows(() => readEvent([]), MarshalError);
});
