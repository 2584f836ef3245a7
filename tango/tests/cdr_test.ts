// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import { CdrReader, MarshalError } from "../_cdr_reader.ts";
import { CdrWriter } from "../_cdr_writer.ts";

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

/** A value, how it is written, and how it is read. */
type Item = readonly [
  value: unknown,
  write: (writer: CdrWriter) => unknown,
  read: (reader: CdrReader) => unknown,
];

function item<T>(
  arbitrary: fc.Arbitrary<T>,
  write: (writer: CdrWriter, value: T) => unknown,
  read: (reader: CdrReader) => unknown,
): fc.Arbitrary<Item> {
  return arbitrary.map((value) => [value, (to) => write(to, value), read]);
}

const items: fc.Arbitrary<Item> = fc.oneof(
  item(fc.nat(255), (to, value) => to.octet(value), (from) => from.octet()),
  item(fc.boolean(), (to, one) => to.boolean(one), (from) => from.boolean()),
  item(
    fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
    (to, value) => to.short(value),
    (from) => from.short(),
  ),
  item(
    fc.nat(2 ** 16 - 1),
    (to, value) => to.unsignedShort(value),
    (from) => from.unsignedShort(),
  ),
  item(fc.integer(), (to, value) => to.long(value), (from) => from.long()),
  item(
    fc.nat(2 ** 31 - 1).map((value) => 2 * value + 1),
    (to, value) => to.unsignedLong(value),
    (from) => from.unsignedLong(),
  ),
  item(int64, (to, value) => to.longLong(value), (from) => from.longLong()),
  item(
    uint64,
    (to, value) => to.unsignedLongLong(value),
    (from) => from.unsignedLongLong(),
  ),
  item(
    fc.float({ noNaN: true }),
    (to, value) => to.float(value),
    (from) => from.float(),
  ),
  item(fc.double(), (to, value) => to.double(value), (from) => from.double()),
  item(
    fc.string({ unit: "binary" }),
    (to, value) => to.string(value),
    (from) => from.string(),
  ),
  item(
    fc.array(fc.string({ unit: "grapheme" })),
    (to, value) => to.strings(value),
    (from) => from.strings(),
  ),
  item(
    fc.uint8Array({ maxLength: 600 }),
    (to, value) => to.octets(value),
    (from) => from.octets(),
  ),
  item(
    fc.float64Array(),
    (to, value) => to.sequence(value, (one) => to.double(one)),
    (from) => from.doubles(),
  ),
  item(
    fc.int16Array(),
    (to, value) => to.sequence(value, (one) => to.short(one)),
    (from) => from.shorts(),
  ),
  item(
    fc.bigInt64Array(),
    (to, value) => to.sequence(value, (one) => to.longLong(one)),
    (from) => from.longLongs(),
  ),
  item(
    fc.array(fc.tuple(fc.nat(255), int64)),
    (to, value) =>
      to.encapsulation((inner) =>
        inner.sequence(value, ([a, b]) => inner.octet(a).longLong(b))
      ),
    (from) => {
      const inner = from.encapsulation();
      return inner.sequence(() => [inner.octet(), inner.longLong()], 9);
    },
  ),
);

test("CdrReader reads what CdrWriter has written, wherever it begins", () => {
  fc.assert(fc.property(
    fc.array(items, { maxLength: 40 }),
    fc.nat(16),
    (list, origin) => {
      const writer = new CdrWriter(origin);
      for (const [, write] of list) write(writer);
      const bytes = new Uint8Array(origin + writer.length + 3);
      bytes.set(writer.bytes, origin);
      const reader = new CdrReader(bytes.subarray(origin), true, {
        origin: -origin,
      });
      for (const [value, , read] of list) assertEquals(read(reader), value);
      assertEquals(reader.remaining, 3);
    },
  ));
});

test("CdrReader reads big-endian numbers, one by one and many", () => {
  const bytes = new Uint8Array(40);
  const view = new DataView(bytes.buffer);
  view.setInt16(0, -2);
  view.setUint32(4, 2);
  view.setFloat64(8, 1.5);
  view.setFloat64(16, -0.25);
  view.setUint32(24, 1);
  view.setUint32(28, 0xdeadbeef);
  view.setBigInt64(32, -5n);
  const reader = new CdrReader(bytes, false);
  assertEquals(reader.short(), -2);
  assertEquals(reader.doubles(), new Float64Array([1.5, -0.25]));
  assertEquals(reader.unsignedLongs(), new Uint32Array([0xdeadbeef]));
  assertEquals(reader.longLong(), -5n);
  assertEquals(reader.remaining, 0);
});

test("CdrReader aligns to where the message begins", () => {
  const writer = new CdrWriter(12);
  writer.octet(1).double(2.5);
  assertEquals(writer.length, 12);
  const message = new Uint8Array(24);
  message.set(writer.bytes, 12);
  const reader = new CdrReader(message, true, { offset: 12 });
  assertEquals([reader.octet(), reader.double()], [1, 2.5]);
});

test("CdrReader takes no more elements than memory can hold", () => {
  const many = 600_000;
  const empty = new CdrWriter();
  for (let n = 0; n < 2; n++) {
    empty.unsignedLong(many).raw(new Uint8Array(many * 4));
  }
  const reader = new CdrReader(empty.bytes, true);
  const read = () => reader.octets();
  assertEquals(reader.sequence(read, 4).length, many);
  assertThrows(() => reader.sequence(read, 4), MarshalError, "too many");
});

test("CdrReader does not count booleans and numbers as elements", () => {
  const many = 2_000_000;
  const writer = new CdrWriter().octets(new Uint8Array(many).fill(1))
    .octets(new Uint8Array(many));
  const reader = new CdrReader(writer.bytes, true);
  const booleans = reader.booleans();
  assertEquals([booleans.length, booleans.at(-1)], [many, true]);
  assertEquals(reader.octets().length, many);
});

test("CdrReader reads long texts in Latin-1", () => {
  const text = "Größe ".repeat(5000);
  const { bytes } = new CdrWriter().string(text);
  assertEquals(new CdrReader(bytes, true).string(), text);
});

test("CdrReader does not align the elements of an empty sequence", () => {
  const writer = new CdrWriter();
  writer.unsignedLong(0).unsignedLong(7);
  const reader = new CdrReader(writer.bytes, true);
  assertEquals([reader.doubles().length, reader.unsignedLong()], [0, 7]);
});

test("CdrReader understands UTF-8, and Latin-1 where it is not UTF-8", () => {
  const latin1 = new CdrWriter().octets(new Uint8Array([0xe9, 0x74, 0xe9, 0]));
  assertEquals(new CdrReader(latin1.bytes, true).string(), "été");
  const utf8 = new CdrWriter().string("été ✓");
  assertEquals(new CdrReader(utf8.bytes, true).string(), "été ✓");
});

test("CdrReader refuses a count for which there are no bytes", () => {
  const huge = new CdrWriter().unsignedLong(0xffffffff).octet(0).bytes;
  const reads: ((reader: CdrReader) => unknown)[] = [
    (reader) => reader.octets(),
    (reader) => reader.string(),
    (reader) => reader.strings(),
    (reader) => reader.booleans(),
    (reader) => reader.doubles(),
    (reader) => reader.unsignedLongLongs(),
    (reader) => reader.encapsulation(),
    (reader) => reader.sequence(() => undefined, 1),
  ];
  for (const read of reads) {
    assertThrows(
      () => read(new CdrReader(huge, true)),
      MarshalError,
      "4294967295 elements were announced, 1 bytes are left",
    );
  }
});

test("CdrReader refuses a string without an end", () => {
  const none = new CdrWriter().unsignedLong(0).bytes;
  const cut = new CdrWriter().octets(new Uint8Array([65, 66])).bytes;
  for (const bytes of [none, cut]) {
    assertThrows(
      () => new CdrReader(bytes, true).string(),
      MarshalError,
      "A string has no end",
    );
  }
});

test("CdrReader makes a MarshalError of every end that comes too early", () => {
  fc.assert(fc.property(
    fc.uint8Array({ maxLength: 30 }),
    fc.array(fc.nat(14), { maxLength: 8 }),
    fc.boolean(),
    (bytes, choices, littleEndian) => {
      const reader = new CdrReader(bytes, littleEndian);
      const reads = [
        () => reader.octet(),
        () => reader.short(),
        () => reader.long(),
        () => reader.longLong(),
        () => reader.float(),
        () => reader.double(),
        () => reader.string(),
        () => reader.strings(),
        () => reader.octets(),
        () => reader.shorts(),
        () => reader.longs(),
        () => reader.doubles(),
        () => reader.booleans(),
        () => reader.encapsulation().long(),
        () => reader.align(8),
      ];
      try {
        for (const choice of choices) reads[choice]?.();
      } catch (error) {
        if (!(error instanceof MarshalError)) throw error;
      }
      assertEquals(reader.position <= bytes.length, true);
    },
  ));
});
