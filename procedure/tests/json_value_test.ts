// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { jsonValue } from "../_json_value.ts";

test("jsonValue does not write down a number without end", () => {
  assertEquals(jsonValue(-(10n ** 300n)), `-1${"0".repeat(300)}`);
  assertEquals(jsonValue([2n ** 300_000n]), ["[bigint]"]);
});

test("jsonValue writes the same long text so often and no more", () => {
  const text = "x".repeat(1_000_000);
  const texts = jsonValue(Array(1_000).fill({ text })) as { text: string }[];
  assertEquals(texts.length, 1_000);
  assertEquals(texts[7]?.text, text);
  assertEquals(texts[8]?.text, "[…]");
  const names = jsonValue(Array(1_000).fill({ [text]: 1 }));
  assert(JSON.stringify(names).length < 10_000_000);
  const errors = jsonValue(Array(1_000).fill(new Error(text)));
  assert(JSON.stringify(errors).length < 10_000_000);
});

test("jsonValue shows of a buffer what its view shows, and no more", () => {
  const { buffer } = new Uint8Array([1, 2, 3, 4]);
  assertEquals(jsonValue(buffer), [1, 2, 3, 4]);
  assertEquals(jsonValue(new Uint8Array(buffer, 1, 2)), [2, 3]);
  assertEquals(jsonValue(new DataView(buffer, 1, 2)), [2, 3]);
  assertEquals(jsonValue(new Float32Array([0.5])), [0.5]);
  assertEquals(jsonValue(new BigInt64Array([7n])), ["7"]);
});
