// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import { readAny, readValue } from "../_any.ts";
import { CdrReader, MarshalError } from "../_cdr_reader.ts";
import { CdrWriter } from "../_cdr_writer.ts";
import { readAnswer } from "../_command_value.ts";
import * as operations from "../_device_operations.ts";
import {
  ATTRIBUTE_INFO_SIZE,
  COMMAND_INFO_SIZE,
  readAttributeInfo,
  readCommandInfo,
  readDevErrors,
  READING_SIZE,
  readNamedErrors,
  readReading,
} from "../_idl.ts";
import { parseObjectReference } from "../_object_reference.ts";
import { readSystemException } from "../_system_exception.ts";
import { Kind, leastSize, readType, type Type } from "../_type_code.ts";
import { DevSource } from "../tango_types.ts";
import { replyBody } from "./_bodies.ts";
import { EXCHANGES, readExchanges } from "./_fixtures.ts";

/** All that reads what a server has sent. */
const READERS: Record<string, (reader: CdrReader) => unknown> = {
  type: (reader) => readType(reader),
  any: (reader) => readAny(reader),
  answer: readAnswer,
  readings: operations.readAttributes([], DevSource.DEV).read,
  info: operations.info.read,
  commands: operations.commandList.read,
  attributes: operations.attributeList().read,
  errors: readDevErrors,
  namedErrors: readNamedErrors,
  systemException: readSystemException,
};

/** A reader that counts what it is asked for. */
class CountingReader extends CdrReader {
  calls = 0;

  override octet(): number {
    this.calls++;
    return super.octet();
  }

  override unsignedLong(): number {
    this.calls++;
    return super.unsignedLong();
  }
}

/** Fails unless reading gives a value or a MarshalError. */
function assertSafe(bytes: Uint8Array, isLittle: boolean): void {
  for (const [name, read] of Object.entries(READERS)) {
    const reader = new CountingReader(bytes, isLittle);
    try {
      read(reader);
    } catch (error) {
      assert(error instanceof MarshalError, `${name}: ${error}`);
    }
    assert(reader.calls <= bytes.length + 1, name);
  }
}

test("what a server sends is read, or is a MarshalError", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.boolean(),
      (bytes, isLittle) => assertSafe(bytes, isLittle),
    ),
    { numRuns: 300 },
  );
});

/** Numbers that are small as those of real messages are. */
const word = fc.oneof(
  fc.integer({ min: 0, max: 32 }),
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
);

test("what a server sends is read, or is a MarshalError: of words", () => {
  fc.assert(
    fc.property(fc.array(word, { maxLength: 100 }), (words) => {
      const writer = new CdrWriter();
      for (const one of words) writer.unsignedLong(one);
      assertSafe(writer.bytes.slice(), true);
    }),
    { numRuns: 500 },
  );
});

const bodies = EXCHANGES.flatMap((file) =>
  readExchanges(file).flatMap(({ exchanges }) =>
    exchanges.map(({ reply }) => replyBody(reply).bytes)
  )
).filter(({ length }) => length > 0 && length < 5000);

test("what a server sends is read, or is a MarshalError: with changes", () => {
  const change = fc.record({
    at: fc.nat(),
    value: fc.oneof(
      fc.constantFrom(0, 1, 2, 127, 128, 255),
      fc.integer({ min: 0, max: 255 }),
    ),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: bodies.length - 1 }),
      fc.array(change, { minLength: 1, maxLength: 6 }),
      fc.nat(),
      (index, changes, cut) => {
        const body = bodies[index]?.slice() ?? new Uint8Array(0);
        for (const { at, value } of changes) body[at % body.length] = value;
        assertSafe(body, true);
        assertSafe(body.subarray(0, cut % body.length), true);
      },
    ),
    { numRuns: 500 },
  );
});

/** A struct, or what is made of one, as a type. */
function typeBytes(kind: number, write: (inner: CdrWriter) => unknown) {
  return (to: CdrWriter) => to.unsignedLong(kind).encapsulation(write);
}

function bytesOf(write: (to: CdrWriter) => unknown): Uint8Array {
  const writer = new CdrWriter();
  write(writer);
  return writer.bytes.slice();
}

test("readAny takes no types whose values take no bytes", () => {
  const nothing = (to: CdrWriter) => to.unsignedLong(Kind.NULL);
  const empty = typeBytes(
    Kind.STRUCT,
    (inner) => inner.string("").string("").unsignedLong(0),
  );
  const hollow = typeBytes(Kind.ARRAY, (inner) => {
    inner.unsignedLong(Kind.OCTET).unsignedLong(0);
  });
  for (const part of [nothing, empty, hollow]) {
    const sequence = bytesOf((to) => {
      typeBytes(Kind.SEQUENCE, (inner) => {
        part(inner);
        inner.unsignedLong(0);
      })(to);
      to.unsignedLong(8).longLong(0n);
    });
    const struct = bytesOf((to) => {
      typeBytes(Kind.STRUCT, (inner) => {
        inner.string("").string("").unsignedLong(1).string("member");
        part(inner);
      })(to);
    });
    for (const bytes of [sequence, struct]) {
      assertThrows(
        () => readAny(new CdrReader(bytes, true)),
        MarshalError,
        "A part of a type takes no bytes",
      );
    }
  }
});

test("the size of a type is measured once, however many values it has", () => {
  let measured = 0;
  const element: Type = {
    shape: "struct",
    id: "",
    name: "",
    get members() {
      measured++;
      return [{ name: "", type: { shape: "simple" as const, kind: 10 } }];
    },
  };
  const type: Type = {
    shape: "sequence",
    element: { shape: "sequence", element },
  };
  const bytes = bytesOf((to) => {
    to.unsignedLong(1000);
    for (let index = 0; index < 1000; index++) to.unsignedLong(0);
  });
  readValue(new CdrReader(bytes, true), type);
  assertEquals(measured, 1);
});

test("readAny takes no types and values that are too deep", () => {
  const nested = (depth: number): (to: CdrWriter) => unknown =>
    depth === 0
      ? (to) => to.unsignedLong(Kind.OCTET)
      : typeBytes(Kind.SEQUENCE, (inner) => {
        nested(depth - 1)(inner);
        inner.unsignedLong(0);
      });
  const read = (write: (to: CdrWriter) => unknown) =>
    readAny(new CdrReader(bytesOf(write), true));
  assertEquals(
    read((to) => {
      nested(10)(to);
      to.unsignedLong(0);
    }),
    [],
  );
  assertThrows(() => read(nested(17)), MarshalError, "A type is too deep");
  assertThrows(
    () =>
      read((to) => {
        for (let depth = 0; depth < 100; depth++) to.unsignedLong(Kind.ANY);
      }),
    MarshalError,
    "A value is too deep",
  );
});

test("readAnswer takes nothing for numbers and strings that is not", () => {
  const struct = (to: CdrWriter) =>
    typeBytes(Kind.STRUCT, (inner) => {
      inner.string("").string("").unsignedLong(2).string("lvalue");
      typeBytes(Kind.STRUCT, (part) => {
        part.string("").string("").unsignedLong(1).string("length");
        part.unsignedLong(Kind.UNSIGNED_LONG);
      })(inner);
      inner.string("svalue").unsignedLong(Kind.LONG);
    })(to).unsignedLong(2 ** 32 - 1).long(7);
  assertEquals(readAnswer(new CdrReader(bytesOf(struct), true)), {
    lvalue: { length: 2 ** 32 - 1 },
    svalue: 7,
  });
});

test("the values of an attribute are as many as their dimensions say", () => {
  const { read } = operations.readAttributes([], DevSource.DEV);
  const reading = (x: number, y: number, format: number) =>
    bytesOf((to) => {
      to.unsignedLong(1).unsignedLong(2).unsignedLong(2).long(1).long(2);
      to.unsignedLong(0).unsignedLong(format).long(3).long(0).long(0).long(0);
      to.string("a").long(x).long(y).long(0).long(0).unsignedLong(0);
    });
  const huge = 2 ** 31 - 1;
  for (
    const [x, y, format] of [[3, 0, 1], [huge, huge, 2], [-1, 0, 1], [1, 3, 2]]
  ) {
    const bytes = reading(x ?? 0, y ?? 0, format ?? 0);
    assertThrows(() => read(new CdrReader(bytes, true)), MarshalError);
  }
  const [rowless] = read(new CdrReader(reading(0, huge, 2), true));
  assertEquals((rowless as { value: unknown }).value, []);
});

/** The fewest bytes of something, by the place where it may begin. */
function leastLength(
  write: (to: CdrWriter) => unknown,
  read: (reader: CdrReader) => unknown,
): number {
  const lengths = Array.from({ length: 8 }, (_, origin) => {
    const writer = new CdrWriter();
    for (let index = 0; index < origin; index++) writer.octet(0);
    write(writer);
    const reader = new CdrReader(writer.bytes, true, { offset: origin });
    read(reader);
    assertEquals(reader.remaining, 0);
    return writer.length - origin;
  });
  return Math.min(...lengths);
}

test("no element is smaller than its sequence takes it to be", () => {
  const strings = (to: CdrWriter, count: number) => {
    for (let index = 0; index < count; index++) to.string("");
  };
  const reading = leastLength((to) => {
    to.unsignedLong(14).boolean(true).unsignedLong(0).unsignedLong(0).long(0);
    to.long(0).long(0).long(0).string("").long(0).long(0).long(0).long(0);
    to.unsignedLong(0);
  }, readReading);
  assert(READING_SIZE <= reading, `${reading}`);
  const command = leastLength((to) => {
    to.string("").unsignedLong(0).long(0).long(0).long(0);
    strings(to, 2);
  }, readCommandInfo);
  assert(COMMAND_INFO_SIZE <= command, `${command}`);
  const attribute = leastLength((to) => {
    to.string("").unsignedLong(0).unsignedLong(0).long(0).boolean(false);
    to.boolean(false).long(0).long(0);
    strings(to, 9);
    to.unsignedLong(0).string("").unsignedLong(0);
    for (const count of [6, 2, 1, 3]) {
      strings(to, count);
      to.unsignedLong(0);
    }
    to.unsignedLong(0).unsignedLong(0);
  }, readAttributeInfo);
  assert(ATTRIBUTE_INFO_SIZE <= attribute, `${attribute}`);
  const many = <T>(write: (to: CdrWriter) => unknown) => (to: CdrWriter) => {
    to.unsignedLong(1);
    write(to);
  };
  leastLength(
    many((to) => to.string("").unsignedLong(0).string("").string("")),
    readDevErrors,
  );
  leastLength(
    many((to) => to.string("").long(0).unsignedLong(0)),
    readNamedErrors,
  );
});

test("no value is smaller than its type says", () => {
  const simple = fc.constantFrom(
    ...Object.values(Kind).filter((kind) =>
      kind === Kind.STRING || kind < Kind.STRUCT || kind >= Kind.LONG_LONG
    ).filter((kind) => kind !== Kind.NULL && kind !== Kind.VOID),
  ).map((kind): Type => ({ shape: "simple", kind }));
  const { type } = fc.letrec<{ type: Type }>((tie) => ({
    type: fc.oneof(
      { depthSize: "small" },
      simple,
      tie("type").map((element): Type => ({ shape: "sequence", element })),
      fc.tuple(tie("type"), fc.integer({ min: 1, max: 3 })).map((
        [element, length],
      ): Type => ({ shape: "sequence", element, length })),
      fc.array(tie("type"), { minLength: 1, maxLength: 3 }).map((
        types,
      ): Type => ({
        shape: "struct",
        id: "",
        name: "",
        members: types.map((type, index) => ({ name: `${index}`, type })),
      })),
    ),
  }));
  fc.assert(fc.property(type, (type) => {
    const writer = new CdrWriter();
    writeLeast(writer, type);
    assert(leastSize(type) <= writer.length);
  }));
});

/** Writes the smallest value of a type. */
function writeLeast(to: CdrWriter, type: Type): void {
  if (type.shape === "simple") writeLeastSimple(to, type.kind);
  if (type.shape === "enum") to.unsignedLong(0);
  if (type.shape === "struct") {
    for (const member of type.members) writeLeast(to, member.type);
  }
  if (type.shape === "sequence") {
    if (type.length === undefined) to.unsignedLong(0);
    for (let at = 0; at < (type.length ?? 0); at++) {
      writeLeast(to, type.element);
    }
  }
}

function writeLeastSimple(to: CdrWriter, kind: number): void {
  switch (kind) {
    case Kind.SHORT:
    case Kind.UNSIGNED_SHORT:
      to.short(0);
      return;
    case Kind.STRING:
      to.string("");
      return;
    case Kind.DOUBLE:
    case Kind.LONG_LONG:
    case Kind.UNSIGNED_LONG_LONG:
      to.longLong(0n);
      return;
    case Kind.BOOLEAN:
    case Kind.CHAR:
    case Kind.OCTET:
      to.octet(0);
      return;
    default:
      to.unsignedLong(0);
  }
}

test("parseObjectReference takes texts of any length", () => {
  for (const tail of ["", "g"]) {
    const text = `IOR:${"00".repeat(2 ** 22)}${tail}`;
    assertThrows(() => parseObjectReference(text), MarshalError);
  }
});
