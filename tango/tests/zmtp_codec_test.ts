// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { Buffer } from "node:buffer";
import * as fc from "fast-check";
import {
  concatenate,
  encodeCommand,
  encodeGreeting,
  encodeMessage,
  encodePong,
  encodeReady,
  encodeSubscription,
  ZmtpError,
} from "../_zmtp_codec.ts";
import {
  ZmtpDecoder,
  type ZmtpItem,
  type ZmtpLimits,
} from "../_zmtp_decoder.ts";
import { bytesOf } from "./_zmtp_publisher.ts";

const READY = encodeReady({ "Socket-Type": "PUB", Identity: "" });
const HANDSHAKE = concatenate([encodeGreeting(), READY]);

/** Bytes in chunks of so many; the last size goes for the rest. */
function* cut(bytes: Uint8Array, sizes: readonly number[]) {
  for (let offset = 0, index = 0; offset < bytes.length; index++) {
    const size = sizes[Math.min(index, sizes.length - 1)] ?? bytes.length;
    yield bytes.slice(offset, offset + size);
    offset += size;
  }
}

function decode(
  bytes: Uint8Array,
  sizes: readonly number[] = [],
  decoder = new ZmtpDecoder(),
): ZmtpItem[] {
  const items: ZmtpItem[] = [];
  for (const chunk of cut(bytes, sizes)) {
    decoder.push(chunk);
    for (let item; (item = decoder.next()) !== undefined;) items.push(item);
  }
  return items;
}

/** The messages after a handshake. */
function messagesOf(
  bytes: Uint8Array,
  sizes: readonly number[] = [],
  limits: ZmtpLimits = {},
): Uint8Array[][] {
  const decoder = new ZmtpDecoder(limits);
  return decode(concatenate([HANDSHAKE, bytes]), sizes, decoder)
    .filter((item) => item.kind === "message")
    .map(({ frames }) => frames);
}

const refused = (bytes: Uint8Array, part: string, limits?: ZmtpLimits) =>
  assertThrows(() => messagesOf(bytes, [], limits), ZmtpError, part);

const refusedGreeting = (bytes: Uint8Array, part: string) =>
  assertThrows(() => decode(bytes), ZmtpError, part);

function patch(bytes: Uint8Array, offset: number, ...values: number[]) {
  const copy = bytes.slice();
  copy.set(values, offset);
  return copy;
}

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

// Of large arrays `assertEquals` is slow.
const isSame = (one: Uint8Array, other: Uint8Array): boolean =>
  Buffer.compare(one, other) === 0;

const frame = fc.uint8Array({ maxLength: 300 });
const message = fc.array(frame, { minLength: 1, maxLength: 5 });
const chunking = fc.array(fc.integer({ min: 1, max: 400 }), {
  minLength: 1,
  maxLength: 50,
});

test("encodeGreeting writes the 64 bytes of ZMTP 3.0 with NULL", () => {
  assertEquals(
    hex(encodeGreeting()),
    "ff00000000000000007f" + "0300" + "4e554c4c" + "00".repeat(48),
  );
});

test("encodeReady writes the command with its properties", () => {
  assertEquals(
    hex(encodeReady({ "Socket-Type": "SUB" })),
    "0419" + "055245414459" + "0b" + hex(bytesOf("Socket-Type")) +
      "00000003" + "535542",
  );
});

test("encodeSubscription writes a message with the topic behind a flag", () => {
  assertEquals(hex(encodeSubscription("a/b", true)), "000401612f62");
  assertEquals(hex(encodeSubscription("a/b", false)), "000400612f62");
});

test("encodeMessage takes the long form from 256 bytes on", () => {
  assertEquals(hex(encodeMessage([new Uint8Array(255)]).slice(0, 3)), "00ff00");
  assertEquals(
    hex(encodeMessage([new Uint8Array(256), new Uint8Array(1)]).slice(0, 9)),
    "03" + "0000000000000100",
  );
});

test("encodePong repeats the context", () => {
  assertEquals(hex(encodePong(bytesOf("hi"))), "0407" + "04504f4e47" + "6869");
});

test("ZmtpDecoder reads greeting, handshake, messages, commands and PING in order", () => {
  const items = decode(concatenate([
    encodeGreeting({ version: [3, 1] }),
    READY,
    encodeMessage([bytesOf("topic"), new Uint8Array(0), bytesOf("value")]),
    encodeCommand("PING", Uint8Array.of(0, 9, 104, 105)),
    encodeCommand("SUBSCRIBE", bytesOf("x")),
  ]));
  assertEquals(items, [
    {
      kind: "greeting",
      greeting: { version: [3, 1], mechanism: "NULL", isServer: false },
    },
    {
      kind: "ready",
      metadata: new Map([
        ["socket-type", bytesOf("PUB")],
        ["identity", new Uint8Array(0)],
      ]),
    },
    {
      kind: "message",
      frames: [bytesOf("topic"), new Uint8Array(0), bytesOf("value")],
    },
    { kind: "ping", context: bytesOf("hi") },
    { kind: "command", name: "SUBSCRIBE", data: bytesOf("x") },
  ]);
});

test("ZmtpDecoder takes a command between two frames of a message", () => {
  const items = decode(concatenate([
    HANDSHAKE,
    encodeMessage([bytesOf("a"), bytesOf("b")]).slice(0, 3),
    encodeCommand("PING", Uint8Array.of(0, 0)),
    encodeMessage([bytesOf("b")]),
  ]));
  assertEquals(items.slice(2), [
    { kind: "ping", context: new Uint8Array(0) },
    { kind: "message", frames: [bytesOf("a"), bytesOf("b")] },
  ]);
});

test("ZmtpDecoder takes a later version and a short frame in the long form", () => {
  const greeting = encodeGreeting({ version: [4, 7] });
  const long = Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 1, 65);
  const items = decode(concatenate([greeting, READY, long]));
  assertEquals(items.at(-1), { kind: "message", frames: [bytesOf("A")] });
});

test("ZmtpDecoder refuses an older or a foreign protocol by its first bytes", () => {
  const greeting = encodeGreeting();
  refusedGreeting(bytesOf("HTTP/1.1 400"), "does not speak ZMTP 3");
  refusedGreeting(Uint8Array.of(1, 0), "does not speak ZMTP 3");
  refusedGreeting(patch(greeting, 9, 0).slice(0, 10), "does not speak ZMTP 3");
  refusedGreeting(patch(greeting, 10, 1).slice(0, 11), "older than 3.0");
  refusedGreeting(patch(greeting, 10, 0).slice(0, 11), "older than 3.0");
});

test("ZmtpDecoder refuses another mechanism by its name", () => {
  refusedGreeting(encodeGreeting({ mechanism: "CURVE" }), "mechanism CURVE");
  refusedGreeting(encodeGreeting({ mechanism: "A".repeat(20) }), "AAAA");
  refusedGreeting(encodeGreeting({ mechanism: "" }), "names no mechanism");
  refusedGreeting(
    encodeGreeting({ mechanism: "\x07\n" }),
    "names no mechanism",
  );
});

test("ZmtpDecoder refuses what comes before READY, and a second READY", () => {
  const after = (bytes: Uint8Array) => concatenate([encodeGreeting(), bytes]);
  refusedGreeting(after(Uint8Array.of(0)), "a message before it was ready");
  refusedGreeting(
    after(encodeCommand("PING", Uint8Array.of(0, 0))),
    "a command before it was ready",
  );
  refusedGreeting(
    after(encodeCommand("ERROR", bytesOf("\x04oops"))),
    'The peer refused: "oops"',
  );
  refused(READY, "ready twice");
});

test("ZmtpDecoder refuses malformed frames and commands", () => {
  for (const flags of [5, 7, 8, 255]) {
    refused(Uint8Array.of(flags), `the flags ${flags}`);
  }
  refused(Uint8Array.of(4, 0), "without a name");
  refused(Uint8Array.of(4, 1, 0), "without a name");
  refused(Uint8Array.of(4, 2, 9, 65), "without a name");
  refused(encodeCommand("PING", Uint8Array.of(1)), "malformed PING");
  refused(encodeCommand("PING", new Uint8Array(19)), "malformed PING");
});

test("ZmtpDecoder refuses malformed metadata", () => {
  const data = READY.slice(2 + 6);
  for (let length = 1; length < data.length; length++) {
    // Where the first property ends the rest is whole.
    if (length === 1 + 11 + 4 + 3) continue;
    const ready = encodeCommand("READY", data.slice(0, length));
    refusedGreeting(
      concatenate([encodeGreeting(), ready]),
      "malformed metadata",
    );
  }
  const nameless = encodeCommand("READY", new Uint8Array(5));
  refusedGreeting(
    concatenate([encodeGreeting(), nameless]),
    "malformed metadata",
  );
});

test("ZmtpDecoder refuses what is beyond its limits before it comes", () => {
  const head = (size: bigint, flags = 2): Uint8Array => {
    const bytes = new Uint8Array(9);
    bytes[0] = flags;
    new DataView(bytes.buffer).setBigUint64(1, size);
    return bytes;
  };
  refused(head(2n ** 26n + 1n), "a frame of 67108865 bytes");
  refused(head(2n ** 64n - 1n), "at most 67108864 are taken");
  refused(head(2n ** 16n + 1n, 6), "a command of 65537 bytes");
  refused(head(101n), "a frame of 101 bytes", { maxFrame: 100 });
  const half = encodeMessage([new Uint8Array(60), new Uint8Array(60)]);
  refused(half.slice(0, 64), "more than 100 bytes", { maxMessage: 100 });
  const empty = (count: number) =>
    encodeMessage(Array.from({ length: count }, () => new Uint8Array(0)));
  refused(empty(257), "more than 256 frames");
  assertEquals(messagesOf(empty(256)).length, 1);
  const twice = concatenate([half, half]);
  assertEquals(messagesOf(twice, [], { maxMessage: 120 }).length, 2);
});

test("ZmtpDecoder throws once", () => {
  const decoder = new ZmtpDecoder();
  decoder.push(bytesOf("garbage"));
  assertThrows(() => decoder.next(), ZmtpError);
  assertEquals(decoder.next(), undefined);
  decoder.push(bytesOf("garbage"));
  assertEquals(decoder.next(), undefined);
  decoder.end();
});

test("ZmtpDecoder says where it was when the end came", () => {
  const endAfter = (bytes: Uint8Array): void => {
    const decoder = new ZmtpDecoder();
    decode(bytes, [], decoder);
    decoder.end();
  };
  const whole = concatenate([HANDSHAKE, encodeMessage([bytesOf("abc")])]);
  endAfter(whole);
  endAfter(HANDSHAKE);
  endAfter(encodeGreeting());
  for (const length of [0, 1, 63]) {
    assertThrows(
      () => endAfter(whole.slice(0, length)),
      ZmtpError,
      "in the middle of the greeting",
    );
  }
  assertThrows(
    () => endAfter(whole.slice(0, 10)),
    ZmtpError,
    "as one that requires a security mechanism does",
  );
  for (const missing of [1, 2, 3, 4]) {
    assertThrows(
      () => endAfter(whole.slice(0, -missing)),
      ZmtpError,
      "in the middle of a frame",
    );
  }
  const more = encodeMessage([bytesOf("a"), bytesOf("b")]).slice(0, 3);
  assertThrows(
    () => endAfter(concatenate([HANDSHAKE, more])),
    ZmtpError,
    "in the middle of a message",
  );
});

test("ZmtpDecoder gives views of a chunk, not Buffers and not copies", () => {
  const decoder = new ZmtpDecoder();
  decode(HANDSHAKE, [], decoder);
  const chunk = encodeMessage([bytesOf("topic"), bytesOf("value")]);
  decoder.push(chunk);
  const item = decoder.next();
  assert(item?.kind === "message");
  for (const frame of item.frames) {
    assertEquals(Object.getPrototypeOf(frame), Uint8Array.prototype);
    assert(frame.buffer === chunk.buffer);
  }
});

test("ZmtpDecoder takes memory for what has come, not for what was announced", () => {
  const decoder = new ZmtpDecoder();
  const size = 50_000_000;
  const head = new Uint8Array(9);
  head[0] = 2;
  new DataView(head.buffer).setBigUint64(1, BigInt(size));
  decode(concatenate([HANDSHAKE, head]), [], decoder);
  assertEquals(decoder.allocated, 0);
  const chunk = new Uint8Array(60_000);
  for (let come = chunk.length; come < size; come += chunk.length) {
    decode(chunk, [], decoder);
    assertLessOrEqual(decoder.allocated, Math.min(size, come * 2));
  }
});

test("ZmtpDecoder reads a message of 64 MiB in small chunks, and one in single bytes", () => {
  const large = new Uint8Array(64 * 1024 * 1024);
  for (let index = 0; index < large.length; index += 4093) large[index] = index;
  const [first] = messagesOf(encodeMessage([large]), [1448]);
  assertEquals(first?.length, 1);
  assert(isSame(first?.[0] ?? new Uint8Array(0), large));
  const medium = large.slice(0, 1024 * 1024);
  const [second] = messagesOf(encodeMessage([medium, medium]), [1]);
  assertEquals(second?.length, 2);
  assert(isSame(second?.[1] ?? new Uint8Array(0), medium));
});

test("ZmtpDecoder gives the same messages whatever the chunks are", () => {
  fc.assert(fc.property(
    fc.array(message, { maxLength: 8 }),
    chunking,
    (messages, sizes) => {
      const bytes = concatenate(messages.map(encodeMessage));
      assertEquals(messagesOf(bytes, sizes), messages);
      assertEquals(messagesOf(bytes, [1]), messages);
      assertEquals(messagesOf(bytes), messages);
    },
  ));
});

/** Decodes without a hang, within the memory allowed; any error is its own. */
function withstand(bytes: Uint8Array, sizes: readonly number[]): void {
  const limits = { maxMessage: 1000, maxFrame: 700, maxParts: 4 };
  const decoder = new ZmtpDecoder(limits);
  try {
    for (const chunk of cut(bytes, sizes)) {
      decoder.push(chunk);
      for (let item; (item = decoder.next()) !== undefined;) {
        if (item.kind !== "message") continue;
        assertLessOrEqual(item.frames.length, limits.maxParts);
        const size = item.frames.reduce((sum, { length }) => sum + length, 0);
        assertLessOrEqual(size, limits.maxMessage);
      }
      assertLessOrEqual(decoder.allocated, 65_536);
    }
    decoder.end();
  } catch (error) {
    assertInstanceOf(error, ZmtpError);
    assertEquals(decoder.next(), undefined);
    assertEquals(decoder.allocated, 0);
  }
}

test("ZmtpDecoder withstands random bytes", () => {
  const bytes = fc.uint8Array({ maxLength: 2000 });
  const from = fc.constantFrom(
    new Uint8Array(0),
    encodeGreeting(),
    HANDSHAKE,
  );
  fc.assert(
    fc.property(from, bytes, chunking, (start, rest, sizes) => {
      withstand(concatenate([start, rest]), sizes);
    }),
    { numRuns: 500 },
  );
});

test("ZmtpDecoder withstands mutated streams", () => {
  const mutation = fc.record({
    place: fc.nat(),
    remove: fc.nat(12),
    insert: fc.uint8Array({ maxLength: 12 }),
  });
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 1, maxLength: 4 }),
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      chunking,
      (messages, mutations, sizes) => {
        let bytes = concatenate([
          HANDSHAKE,
          encodeCommand("PING", Uint8Array.of(0, 1, 2)),
          ...messages.map(encodeMessage),
        ]);
        for (const { place, remove, insert } of mutations) {
          const at = place % bytes.length;
          bytes = concatenate([
            bytes.slice(0, at),
            insert,
            bytes.slice(at + remove),
          ]);
        }
        withstand(bytes, sizes);
      },
    ),
    { numRuns: 1000 },
  );
});

test("ZmtpDecoder quotes what a peer says so that it can be shown", () => {
  const error = refusedGreeting(
    concatenate([
      encodeGreeting(),
      encodeCommand("ERROR", Uint8Array.of(3, 10, 27, 255, 65)),
    ]),
    "refused",
  );
  assertStringIncludes(error.message, '"\\n\\u001b�"');
});
