// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import { CdrReader, MarshalError } from "../_cdr_reader.ts";
import { CdrWriter } from "../_cdr_writer.ts";
import { GiopAssembler } from "../_giop_assembler.ts";
import {
  encodeRequest,
  HEADER_SIZE,
  MessageType,
  readHeader,
  readReply,
} from "../_giop_message.ts";
import { message, reply, replyBody } from "./_giop_server.ts";

const MAX = 100_000;

/** What an assembler makes of chunks: the messages, without their headers. */
function assemble(chunks: Iterable<Uint8Array>, max = MAX): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const assembler = new GiopAssembler(max, (bytes, header) => {
    assertEquals(header.type, MessageType.REPLY);
    messages.push(bytes.slice(HEADER_SIZE));
  });
  for (const chunk of chunks) assembler.push(chunk);
  return messages;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const writer = new CdrWriter();
  for (const part of parts) writer.raw(part);
  return writer.bytes.slice();
}

/** Cuts bytes at the places given. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = places.map((place) => place % (bytes.length + 1));
  ends.sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, index) =>
    bytes.subarray(ends[index - 1] ?? 0, end)
  );
}

/** A message in fragments, of which all but the last have a multiple of 8. */
function fragments(id: number, body: Uint8Array, size: number): Uint8Array[] {
  const first = 8 * size + 4;
  if (body.length <= first) return [message(MessageType.REPLY, body)];
  const parts = [
    message(MessageType.REPLY, body.subarray(0, first), { more: true }),
  ];
  for (let start = first; start < body.length; start += 8 * size) {
    const end = start + 8 * size;
    parts.push(message(
      MessageType.FRAGMENT,
      new CdrWriter().unsignedLong(id).raw(body.subarray(start, end)).bytes,
      { more: end < body.length },
    ));
  }
  return parts;
}

test("GiopAssembler gives the same messages however the bytes are cut", () => {
  fc.assert(fc.property(
    fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 }),
    fc.array(fc.nat(), { maxLength: 30 }),
    (bodies, places) => {
      const bytes = join(
        bodies.map((body) => message(MessageType.REPLY, body)),
      );
      assertEquals(assemble(cut(bytes, places)), bodies);
    },
  ));
});

test("GiopAssembler takes bytes that come one by one", () => {
  const bodies = [new Uint8Array(1000).fill(7), new Uint8Array(0)];
  const bytes = join(bodies.map((body) => message(MessageType.REPLY, body)));
  const chunks = Array.from(bytes, (byte) => new Uint8Array([byte]));
  assertEquals(assemble(chunks), bodies);
});

test("GiopAssembler joins fragments, also those of several messages", () => {
  fc.assert(fc.property(
    fc.array(fc.tuple(fc.uint8Array({ minLength: 8, maxLength: 300 })), {
      minLength: 1,
      maxLength: 5,
    }),
    fc.integer({ min: 1, max: 5 }),
    fc.array(fc.nat(), { maxLength: 60 }),
    (bodies, size, choices) => {
      const queues = bodies.map(([value], id) =>
        fragments(
          id,
          new CdrWriter().unsignedLong(id).raw(value).bytes.slice(),
          size,
        )
      );
      const mixed: Uint8Array[] = [];
      const left = () => queues.filter((queue) => queue.length > 0);
      for (let turn = 0; left().length > 0; turn++) {
        const queue = left()[(choices[turn] ?? 0) % left().length];
        const part = queue?.shift();
        if (part !== undefined) mixed.push(part);
      }
      const seen = assemble(mixed).map((body) => [
        new CdrReader(body, true).unsignedLong(),
        body.slice(4),
      ]);
      seen.sort(([a], [b]) => Number(a) - Number(b));
      assertEquals(seen, bodies.map(([value], id) => [id, value]));
    },
  ));
});

test("GiopAssembler keeps alignment over fragments", () => {
  const body = replyBody(3, 0, (to) => to.octet(1).double(2.5).double(7.5));
  const [whole] = assemble(fragments(3, body, 1));
  const { body: reader } = readReply(
    message(MessageType.REPLY, whole),
    readHeader(message(MessageType.REPLY, whole)),
  );
  assertEquals([reader.octet(), reader.double(), reader.double()], [
    1,
    2.5,
    7.5,
  ]);
});

const refused: [name: string, bytes: Uint8Array, message: string][] = [
  [
    "another protocol",
    new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n"),
    "A message does not begin with 'GIOP'",
  ],
  [
    "another version",
    message(MessageType.REPLY, undefined, { minor: 3 }),
    "GIOP 1.3 is not understood",
  ],
  [
    "a message that is too large",
    message(MessageType.REPLY, new Uint8Array(MAX)),
    "A message of 100012 bytes is larger than 100000",
  ],
  [
    "a fragment of no message",
    message(MessageType.FRAGMENT, new Uint8Array(8)),
    "A fragment belongs to no message",
  ],
  [
    "a second beginning of one message",
    join([
      message(MessageType.REPLY, new Uint8Array(12), { more: true }),
      message(MessageType.REPLY, new Uint8Array(12), { more: true }),
    ]),
    "Too many messages are in fragments",
  ],
  [
    "fragments that do not say of what",
    message(MessageType.REPLY, new Uint8Array(8), { more: true, minor: 1 }),
    "Only GIOP 1.2 says what a fragment belongs to",
  ],
  [
    "a fragment without the number of its request",
    message(MessageType.REPLY, new Uint8Array(2), { more: true }),
    "4 bytes were expected, 2 are left",
  ],
];

for (const [name, bytes, text] of refused) {
  test(`GiopAssembler refuses ${name}`, () => {
    assertThrows(() => assemble([bytes]), MarshalError, text);
  });
}

test("GiopAssembler refuses what is too large before it has come", () => {
  const header = message(MessageType.REPLY, new Uint8Array(MAX));
  assertThrows(
    () => assemble([header.subarray(0, HEADER_SIZE)]),
    MarshalError,
    "larger than",
  );
});

test("GiopAssembler counts all fragments together", () => {
  const assembler = new GiopAssembler(1000, () => {});
  const part = (id: number) => {
    const body = new CdrWriter().unsignedLong(id).raw(new Uint8Array(400));
    return message(MessageType.REPLY, body.bytes, { more: true });
  };
  assembler.push(part(1));
  assembler.push(part(2));
  assertThrows(() => assembler.push(part(3)), MarshalError, "larger than");
});

test("GiopAssembler refuses more messages in fragments than a thousand", () => {
  const assembler = new GiopAssembler(2 ** 28, () => {});
  const begin = (id: number) =>
    assembler.push(message(
      MessageType.REPLY,
      new CdrWriter().unsignedLong(id).bytes,
      { more: true },
    ));
  for (let id = 0; id < 1000; id++) begin(id);
  assertThrows(() => begin(1000), MarshalError, "Too many");
});

test("GiopAssembler understands every change of a byte, or says so", () => {
  const bytes = join([
    ...fragments(5, new Uint8Array(50), 1),
    reply(1, (to) => to.string("Ready")),
  ]);
  fc.assert(fc.property(
    fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 4 }),
    fc.array(fc.nat(), { maxLength: 5 }),
    (changes, places) => {
      const changed = bytes.slice();
      for (const [place, value] of changes) changed[place] = value;
      const assembler = new GiopAssembler(MAX, (message, header) => {
        if (header.type !== MessageType.REPLY) return;
        readReply(message, header).body.string();
      });
      try {
        for (const chunk of cut(changed, places)) assembler.push(chunk);
      } catch (error) {
        if (!(error instanceof MarshalError)) throw error;
      }
    },
  ));
});

test("encodeRequest aligns the arguments, and pads nothing without them", () => {
  const objectKey = new TextEncoder().encode("a/b/c");
  const plain = encodeRequest({ id: 7, objectKey, operation: "ping" });
  assertEquals(readHeader(plain), {
    type: MessageType.REQUEST,
    minor: 2,
    littleEndian: true,
    moreFragments: false,
    size: plain.length - HEADER_SIZE,
  });
  const withArgument = encodeRequest({
    id: 7,
    objectKey,
    operation: "ping",
    write: (to) => to.double(1.5),
  });
  assertEquals(withArgument.length % 8, 0);
  assertEquals(withArgument.length - plain.length < 16, true);
  const at = withArgument.length - 8;
  assertEquals(
    new CdrReader(withArgument, true, { offset: at }).double(),
    1.5,
  );
});
