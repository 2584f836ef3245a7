// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { EXCHANGES, readExchanges, readStreams } from "./_fixtures.ts";

const decoder = new TextDecoder("latin1");

test("the fixtures of exchanges are messages of GIOP 1.2", () => {
  for (const file of EXCHANGES) {
    const cases = readExchanges(file);
    assert(cases.length > 0);
    for (const { description, exchanges } of cases) {
      for (const { request, reply } of exchanges) {
        for (const bytes of [request, reply]) {
          const head = decoder.decode(bytes.subarray(0, 6));
          assertEquals(head, "GIOP\x01\x02", description);
        }
      }
    }
  }
});

test("the fixtures of events contain their topics", () => {
  for (const { description, topic, bytes, expected } of readStreams()) {
    assertEquals(bytes[0], 0xff, description);
    assert(decoder.decode(bytes).includes(topic), description);
    assert(expected.length > 0 || description === "heartbeats", description);
  }
});

test("the fixtures have integers of 64 bits and bytes", () => {
  const reads = readExchanges("reads");
  const valueOf = (name: string) => {
    const found = reads.find(({ description }) => description === name);
    return (found?.expected as { value: unknown }[])[0]?.value;
  };
  assertEquals(valueOf("DevULong64Scalar"), 2n ** 64n - 1n);
  assertEquals(valueOf("DevEncodedScalar"), [
    "raw",
    Uint8Array.from({ length: 256 }, (_, index) => index),
  ]);
});
