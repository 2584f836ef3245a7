// Copyright 2026 the Longrun authors. MIT license.

import { CdrReader } from "../_cdr_reader.ts";
import { CdrWriter } from "../_cdr_writer.ts";
import { HEADER_SIZE, readHeader } from "../_giop_message.ts";
import type { Operation } from "../_remote_object.ts";

/** What is asked, without what GIOP puts around it. */
export function requestBody(message: Uint8Array): Uint8Array {
  const bytes = joined(message);
  const reader = new CdrReader(bytes, true, { offset: HEADER_SIZE });
  reader.unsignedLong(); // its number
  reader.unsignedLong(); // whether an answer is wanted
  reader.unsignedShort();
  reader.octets();
  reader.string();
  reader.unsignedLong();
  if (reader.remaining === 0) return new Uint8Array(0);
  reader.align(8);
  return bytes.slice(reader.position);
}

/** What is answered, and how, without what GIOP puts around it. */
export function replyBody(
  message: Uint8Array,
): { status: number; bytes: Uint8Array } {
  const bytes = joined(message);
  const reader = new CdrReader(bytes, true, { offset: HEADER_SIZE });
  reader.unsignedLong();
  const status = reader.unsignedLong();
  reader.unsignedLong();
  if (reader.remaining > 0) reader.align(8);
  return { status, bytes: bytes.slice(reader.position) };
}

/** A message and its fragments as one message. */
function joined(messages: Uint8Array): Uint8Array {
  const parts: number[] = [];
  for (let at = 0; at < messages.length;) {
    const { size } = readHeader(messages.subarray(at));
    // Each fragment says again which request it belongs to.
    const skipped = at === 0 ? 0 : HEADER_SIZE + 4;
    for (
      const byte of messages.subarray(at + skipped, at + HEADER_SIZE + size)
    ) {
      parts.push(byte);
    }
    at += HEADER_SIZE + size;
  }
  return Uint8Array.from(parts);
}

/** What an operation asks. */
export function written({ write }: Operation<unknown>): Uint8Array {
  const writer = new CdrWriter();
  write?.(writer);
  return writer.bytes.slice();
}
