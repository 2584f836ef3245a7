// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import { Problem } from "../_problem.ts";
import { readId, readPage, readTopics } from "../_rest_parameters.ts";

const query = (text: string) => new URLSearchParams(text);

function assertRefused(read: () => unknown, message: string): void {
  const problem = assertThrows(read, Problem, message);
  assertEquals([problem.status, problem.code], [422, "invalid-request"]);
}

test("readId takes numbers from 1 and nothing else", () => {
  assertEquals([readId("1"), readId("9007199254740991")], [1, 2 ** 53 - 1]);
  for (const text of ["0", "-1", "1.0", "1e3", " 1", "", "9007199254740992"]) {
    assertRefused(() => readId(text), "id must be an integer of at least 1");
  }
  assertRefused(() => readId(undefined), "id must be");
});

test("readPage is the first thousand lines unless told otherwise", () => {
  assertEquals(readPage(query("")), { after: 0, limit: 1000 });
  assertEquals(readPage(query("after=7&limit=2")), { after: 7, limit: 2 });
  assertRefused(
    () => readPage(query("after=x")),
    "after must be an integer of at least 0",
  );
  for (const limit of ["0", "10001", ""]) {
    assertRefused(
      () => readPage(query(`limit=${limit}`)),
      "limit must be an integer from 1 to 10000",
    );
  }
});

test("readTopics takes topics and prefixes, with commas or one by one", () => {
  assertEquals(readTopics(query("")), []);
  assertEquals(
    readTopics(query("topics=procedure.*,+script.output,,&topics=*")),
    ["procedure.*", "script.output", "*"],
  );
  for (const topic of ["procedure*", ".state", "a..b", "*.state", "a b"]) {
    assertRefused(
      () => readTopics(query(`topics=${encodeURIComponent(topic)}`)),
      "topics must be topics, or prefixes such as procedure.*",
    );
  }
  assertRefused(
    () => readTopics(query(`topics=${"a,".repeat(101)}`)),
    "topics must not be more than 100",
  );
});
