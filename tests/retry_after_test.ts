// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { parseHttpDate, parseRetryAfter } from "../_retry_after.ts";

const NOW = Date.UTC(2026, 10, 21, 12, 0, 0);
const DAYS = [
  "Sunday",
  "Monday",
  "Tuesday",
  "Wednesday",
  "Thursday",
  "Friday",
  "Saturday",
];

const retryAfter = (text: string, date?: string): number | undefined =>
  parseRetryAfter(
    new Headers({
      "retry-after": text,
      ...(date === undefined ? {} : { date }),
    }),
    NOW,
  );

/** A date in the three forms of HTTP. */
function formsOf(time: number): string[] {
  const modern = new Date(time).toUTCString();
  const [, day = "", month = "", year = "", clock = ""] =
    /^\w+, (\d+) (\w+) (\d+) (\S+) GMT$/.exec(modern) ?? [];
  const name = DAYS[new Date(time).getUTCDay()] ?? "";
  return [
    modern,
    `${name}, ${day}-${month}-${year.slice(2)} ${clock} GMT`,
    `${name.slice(0, 3)} ${month} ${
      String(Number(day)).padStart(2)
    } ${clock} ${year}`,
  ];
}

test("Retry-After is read in seconds", () => {
  assertEquals(retryAfter("120"), 120_000);
  assertEquals(retryAfter("0"), 0);
  assertEquals(retryAfter(" 7 "), 7000);
  assertEquals(retryAfter("1.5"), 1500);
});

test("Retry-After is read as the dates of the standard", () => {
  const time = Date.UTC(1994, 10, 6, 8, 49, 37);
  for (
    const text of [
      "Sun, 06 Nov 1994 08:49:37 GMT",
      "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994",
    ]
  ) {
    assertEquals(parseHttpDate(text, NOW), time);
    assertEquals(retryAfter(text), 0);
  }
});

test("Retry-After that says nothing readable says nothing", () => {
  assertEquals(parseRetryAfter(new Headers(), NOW), undefined);
  for (
    const text of [
      "",
      "soon",
      "-1",
      "1e3",
      "0x10",
      "2026-11-21T12:00:00Z",
      "Sun, 31 Feb 2027 08:49:37 GMT",
      "Sun, 06 Nov 1994 24:49:37 GMT",
      "Sun, 06 Nov 1994 08:49:37 CET",
      "Sun, 6 Nov 1994 08:49:37 GMT",
    ]
  ) assertEquals(retryAfter(text), undefined, text);
});

test("Retry-After of any date gives the time until then, in all forms", () => {
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 40 * 365 * 86_400 }),
    (seconds) => {
      for (const text of formsOf(NOW + seconds * 1000)) {
        assertEquals(retryAfter(text), seconds * 1000, text);
      }
    },
  ));
});

test("Retry-After with a date goes by the clock of the server, if it tells", () => {
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 86_400 }),
    fc.integer({ min: -100_000, max: 100_000 }),
    (seconds, skew) => {
      const there = NOW + skew * 1000;
      const [date = ""] = formsOf(there);
      for (const text of formsOf(there + seconds * 1000)) {
        assertEquals(retryAfter(text, date), seconds * 1000, text);
      }
    },
  ));
});

test("A year of two digits is at most fifty years ahead", () => {
  assertEquals(
    parseHttpDate("Friday, 01-Jan-77 00:00:00 GMT", NOW),
    Date.UTC(1977, 0, 1),
  );
  assertEquals(
    parseHttpDate("Wednesday, 01-Jan-76 00:00:00 GMT", NOW),
    Date.UTC(2076, 0, 1),
  );
});
