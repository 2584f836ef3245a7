// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import { MarshalError } from "../_cdr_reader.ts";
import { CdrWriter } from "../_cdr_writer.ts";
import { parseDeviceName, parseTangoHost } from "../_device_name.ts";
import { parseObjectReference } from "../_object_reference.ts";
import { encodeText } from "../_text.ts";

test("parseDeviceName understands names with and without a database", () => {
  assertEquals(parseDeviceName("SYS/tg_test/1"), {
    device: "sys/tg_test/1",
    endpoint: undefined,
    hasDatabase: true,
  });
  assertEquals(parseDeviceName("tango://db.lab:10000/sys/tg_test/1"), {
    device: "sys/tg_test/1",
    endpoint: { host: "db.lab", port: 10_000 },
    hasDatabase: true,
  });
  assertEquals(parseDeviceName("//127.0.0.1:45678/test/lrc/1#dbase=no"), {
    device: "test/lrc/1",
    endpoint: { host: "127.0.0.1", port: 45_678 },
    hasDatabase: false,
  });
  assertEquals(parseDeviceName("tango://[::1]:1/a/b/c#dbase=NO"), {
    device: "a/b/c",
    endpoint: { host: "::1", port: 1 },
    hasDatabase: false,
  });
});

for (
  const name of [
    "",
    "a/b",
    "a/b/c/d",
    "a//c",
    "a/b/c#dbase=no",
    "tango://host/a/b/c",
    "tango://host:0/a/b/c",
    "tango://host:65536/a/b/c",
    "tango://host:x/a/b/c",
    "http://host:1/a/b/c",
    "a/b/c#dbase=maybe",
    "a b/c/d",
  ]
) {
  test(`parseDeviceName does not understand '${name}'`, () => {
    assertEquals(parseDeviceName(name), undefined);
  });
}

test("parseTangoHost understands one host, or several", () => {
  assertEquals(parseTangoHost("db:10000"), [{ host: "db", port: 10_000 }]);
  assertEquals(parseTangoHost("a:1, b:2"), [
    { host: "a", port: 1 },
    { host: "b", port: 2 },
  ]);
  assertEquals(parseTangoHost("[::1]:1"), [{ host: "::1", port: 1 }]);
  for (const text of ["", "db", "db:", ":1", "a:1,", "a:70000"]) {
    assertEquals(parseTangoHost(text), undefined);
  }
});

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
}

function reference(write: (to: CdrWriter) => unknown): string {
  const writer = new CdrWriter().octet(1).string("IDL:Tango/Device_5:1.0");
  write(writer);
  return `IOR:${hex(writer.bytes)}`;
}

test("parseObjectReference finds all addresses", () => {
  const text = reference((to) =>
    to.unsignedLong(2)
      .unsignedLong(1).octets(new Uint8Array([1, 2, 3]))
      .unsignedLong(0).encapsulation((profile) =>
        profile.octet(1).octet(2).string("10.0.0.1").unsignedShort(7000)
          .octets(encodeText("key"))
          .unsignedLong(2)
          .unsignedLong(1).octets(new Uint8Array(5))
          .unsignedLong(3).encapsulation((address) =>
            address.string("10.0.0.2").unsignedShort(7001)
          )
      )
  );
  assertEquals(parseObjectReference(text), {
    endpoints: [
      { host: "10.0.0.1", port: 7000 },
      { host: "10.0.0.2", port: 7001 },
    ],
    objectKey: encodeText("key"),
  });
});

test("parseObjectReference refuses what is none", () => {
  const none = reference((to) => to.unsignedLong(0));
  for (const text of ["", "IOR:", "IOR:0", "IOR:zz", "corbaloc::x", none]) {
    assertThrows(() => parseObjectReference(text), MarshalError);
  }
});

test("parseObjectReference makes a MarshalError of all nonsense", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
    try {
      parseObjectReference(`IOR:${hex(bytes)}`);
    } catch (error) {
      if (!(error instanceof MarshalError)) throw error;
    }
  }));
});
