// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import { mergeInput, procedureInput } from "../procedure.ts";
import { fileSystemScript, gitScript } from "../script.ts";

const repo = "https://example.org/scripts.git";

test("fileSystemScript takes addresses of files and no others", () => {
  const script = fileSystemScript("file:///scripts/observe.ts");
  assertEquals(script, {
    type: "filesystem",
    uri: "file:///scripts/observe.ts",
  });
  assert(Object.isFrozen(script));
  for (const uri of ["git://observe.ts", "/observe.ts", "file://", "", 7]) {
    assertThrows(
      () => fileSystemScript(uri as string),
      TypeError,
      "Cannot create FileSystemScript as 'uri' must be an address that " +
        "begins with 'file://'",
    );
  }
});

test("gitScript takes addresses in repositories and no others", () => {
  for (const uri of ["file:///observe.ts", "observe.ts", "git://", null]) {
    assertThrows(
      () => gitScript(uri as string, { repo }),
      TypeError,
      "Cannot create GitScript as 'uri' must be an address that begins with " +
        "'git://'",
    );
  }
  for (const options of [{}, { repo: "" }, { repo: 7 }, null, "repo"]) {
    assertThrows(
      () => gitScript("git://observe.ts", options as { repo: string }),
      TypeError,
      "Cannot create GitScript",
    );
  }
});

test("gitScript names a branch and a commit only where they are given", () => {
  const gitOf = (options: { branch?: string; commit?: string }) =>
    gitScript("git://observe.ts", { repo, ...options }).git;
  const commit = "0".repeat(40);
  assertEquals(gitOf({}), { repo });
  assertEquals(gitOf({ branch: "trunk" }), { repo, branch: "trunk" });
  assertEquals(gitOf({ commit }), { repo, commit });
  assertEquals(gitOf({ branch: undefined, commit }), { repo, commit });
  assert(Object.isFrozen(gitOf({})));
  const script = gitScript("git://observe.ts", { repo, createEnv: true });
  assertEquals([script.type, script.createEnv], ["git", true]);
});

test("procedureInput has what it was given, and keeps it", () => {
  const kwargs = { subarray_id: 1 };
  const args = ["m31"];
  const input = procedureInput(kwargs, args);
  kwargs.subarray_id = 2;
  args.push("m33");
  assertEquals(input, { args: ["m31"], kwargs: { subarray_id: 1 } });
  assertEquals(procedureInput(), { args: [], kwargs: {} });
  assert(Object.isFrozen(input.args) && Object.isFrozen(input.kwargs));
});

test("mergeInput lays names over names, and places over nothing", () => {
  const first = procedureInput({ gain: 1, scans: 3 }, ["m31"]);
  const second = procedureInput({ gain: 2, filter: "r" });
  assertEquals(mergeInput(first, second), {
    args: ["m31"],
    kwargs: { gain: 2, scans: 3, filter: "r" },
  });
  assertEquals(first.kwargs, { gain: 1, scans: 3 });
  assertEquals(mergeInput(first, procedureInput()), first);
  assertThrows(
    () => mergeInput(second, first),
    TypeError,
    "the second has arguments by place",
  );
});
