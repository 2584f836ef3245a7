// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { backoff } from "../backoff.ts";

const attempts = (count: number): number[] =>
  Array.from({ length: count }, (_, index) => index + 1);

test("backoff() grows by its factor up to the maximum, then gives up", () => {
  const { delay } = backoff({ limit: 5, initial: 10, factor: 3, maximum: 200 });
  assertEquals(attempts(7).map((attempt) => delay(attempt)), [
    10,
    30,
    90,
    200,
    200,
    undefined,
    undefined,
  ]);
});

test("backoff() has sensible defaults", () => {
  const { delay, resetAfter } = backoff();
  assertEquals(attempts(6).map((attempt) => delay(attempt)), [
    1000,
    2000,
    4000,
    8000,
    16000,
    undefined,
  ]);
  assertEquals(resetAfter, 60_000);
});

test("backoff() with an infinite limit never gives up and stays finite", () => {
  const { delay } = backoff({ limit: Infinity, maximum: 5 });
  assertEquals(delay(1e6), 5);
});

test("backoff() delay is a number whatever the options", () => {
  fc.assert(fc.property(
    fc.double({ min: 0, max: Number.MAX_VALUE, noNaN: true }),
    fc.double({ min: 1e-9, max: 1e9, noNaN: true }),
    fc.double({ min: 0, noNaN: true }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.integer({ min: 1, max: 1e6 }),
    (initial, factor, maximum, jitter, attempt) => {
      const { delay } = backoff({
        initial,
        factor,
        maximum,
        jitter,
        limit: Infinity,
        random: () => 1,
      });
      assert(delay(attempt) as number >= 0);
    },
  ));
});

test("backoff() jitter shortens a delay by at most its part", () => {
  fc.assert(fc.property(
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    fc.integer({ min: 1, max: 20 }),
    (jitter, chance, attempt) => {
      const random = () => chance;
      const full = backoff({ limit: 20 }).delay(attempt) as number;
      const delay = backoff({ limit: 20, jitter, random }).delay(
        attempt,
      ) as number;
      assert(delay <= full && delay >= full * (1 - jitter));
    },
  ));
});

test("backoff() refuses bad options by name", () => {
  const wrong: [Record<string, unknown>, string][] = [
    [{ limit: -1 }, "'limit'"],
    [{ limit: 1.5 }, "'limit'"],
    [{ initial: NaN }, "'initial'"],
    [{ initial: Infinity }, "'initial'"],
    [{ factor: 0 }, "'factor'"],
    [{ factor: Infinity }, "'factor'"],
    [{ maximum: -1 }, "'maximum'"],
    [{ jitter: 1.1 }, "'jitter' must be a number from 0 to 1"],
    [{ jitter: -0.1 }, "'jitter' must be a number from 0 to 1"],
    [{ resetAfter: 0 }, "'resetAfter'"],
  ];
  for (const [options, message] of wrong) {
    assertThrows(() => backoff(options), RangeError, message);
  }
  assertThrows(() => backoff({ limit: "5" as never }), TypeError, "'limit'");
  assertThrows(() => backoff({ random: 5 as never }), TypeError, "'random'");
  assertThrows(() => backoff(null as never), TypeError, "'options'");
});
