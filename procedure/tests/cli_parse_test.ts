// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { Ending, statusOfError, UsageError } from "../_cli_exit.ts";
import { helpOf } from "../_cli_help.ts";
import { parseCommandLine, suggestion } from "../_cli_parse.ts";
import { rootOf } from "../_cli_serve.ts";
import { COMMON, type OptionSpec } from "../_cli_options.ts";
import { COMMANDS } from "../_cli_spec.ts";
import { durationOf, inputOf, valueOf, wordOf } from "../_cli_values.ts";

const key = fc.stringMatching(/^[A-Za-z_][\w.-]{0,8}$/)
  .filter((name) => name !== "__proto__");
const json = fc.jsonValue().map((value) =>
  // -0 travels as 0.
  JSON.parse(JSON.stringify(value))
);

test("every value has a word that means it", () => {
  fc.assert(fc.property(json, (value) => {
    assertEquals(valueOf(wordOf(value)), value);
  }));
});

test("arguments come back from the command line as they were", () => {
  fc.assert(fc.property(
    fc.array(json),
    fc.dictionary(key, json),
    (args, kwargs) => {
      const words = [
        ...args.map((value) => {
          const word = wordOf(value);
          return /^[A-Za-z_$][\w$.-]*=/.test(word)
            ? JSON.stringify(value)
            : word;
        }),
        ...Object.entries(kwargs).map(([name, value]) =>
          `${name}=${wordOf(value)}`
        ),
      ];
      const line = parseCommandLine(["procedure", "start", "--", ...words]);
      assertEquals(line.words, words);
      const input = inputOf(line.words);
      assertEquals(input.args, args);
      assertEquals({ ...input.kwargs }, { ...kwargs });
    },
  ));
});

test("a command line comes back as it was, whatever the order", () => {
  const text = fc.string({ minLength: 1 }).filter((one) => !/^-/.test(one));
  const commands = COMMANDS.filter(({ words: [, most] }) => most > 1);
  const chosen = fc.constantFrom(...commands).chain((command) => {
    const options: OptionSpec[] = [...command.options, ...COMMON]
      .filter(({ name }) => !/^(help|version|no-listen)$/.test(name));
    return fc.record({
      command: fc.constant(command),
      options: fc.subarray(options),
      words: fc.array(text, { minLength: 2, maxLength: 2 }),
      values: fc.array(text, { minLength: 30, maxLength: 30 }),
      isInline: fc.boolean(),
      isFirst: fc.boolean(),
    });
  });
  fc.assert(fc.property(chosen, (it) => {
    const flags = it.options.flatMap(({ name, value }, at) => {
      if (value === undefined) return [`--${name}`];
      const given = it.values[at] ?? "";
      return it.isInline ? [`--${name}=${given}`] : [`--${name}`, given];
    });
    const { path } = it.command;
    const args = it.isFirst
      ? [...flags, ...path, ...it.words]
      : [...path, it.words[0] ?? "", ...flags, it.words[1] ?? ""];
    const line = parseCommandLine(args);
    assertEquals(line.path, path);
    assertEquals(line.words, it.words);
    it.options.forEach(({ name, value }, at) => {
      if (value === undefined) assert(line.switches.has(name));
      else assertEquals(line.values.get(name), [it.values[at] ?? ""]);
    });
  }));
});

test("no command line does anything but parse or be refused", () => {
  const words = COMMANDS.flatMap(({ path, options }) => [
    ...path,
    ...options.map(({ name }) => `--${name}`),
  ]);
  const word = fc.oneof(
    fc.constantFrom(...words, "--", "-", "-h"),
    fc.string(),
  );
  fc.assert(fc.property(fc.array(word), (args) => {
    try {
      parseCommandLine(args);
    } catch (error) {
      assert(error instanceof UsageError, String(error));
    }
  }));
});

test("a number that would become another one is a text", () => {
  const kept = ["20261121000000000001", "-20261121000000000001", "1e999"];
  assertEquals(inputOf(kept).args, kept);
  const numbers = ["9007199254740991", "20261121000000000000", "0.1", "1e30"];
  assertEquals(inputOf(numbers).args, numbers.map(Number));
});

test("keys that objects have anyway do no harm", () => {
  const { kwargs } = inputOf(["__proto__=1", "constructor=2"]);
  assertEquals(Object.getOwnPropertyNames(kwargs), [
    "__proto__",
    "constructor",
  ]);
  assertEquals(Object.getPrototypeOf(kwargs), Object.prototype);
});

test("an option of ours may be written with underscores, and as a truth", () => {
  const line = parseCommandLine([
    ...["procedure", "start", "--listen=False", "--arg_json", "[1]"],
  ]);
  assert(line.switches.has("no-listen"));
  assertEquals(line.values.get("arg-json"), ["[1]"]);
});

test("a time is a number and a unit", () => {
  const times = ["500ms", "30s", "30", "1.5m", "2h"].map(durationOf);
  assertEquals(times, [500, 30_000, 30_000, 90_000, 7_200_000]);
  for (const word of ["", "0", "-1", "1d", "1e9", "s", "1 s"]) {
    assertThrows(() => durationOf(word), UsageError);
  }
});

test("a suggestion is near, or there is none", () => {
  assertEquals(suggestion("lsit", ["list", "stop"]), "; did you mean 'list'?");
  assertEquals(suggestion("desc", ["describe"]), "; did you mean 'describe'?");
  assertEquals(suggestion("xyzzy", ["list", "stop"]), "");
});

test("a root is a path and what its scripts may do", () => {
  assertEquals(rootOf("/s"), { path: "/s" });
  assertEquals(
    rootOf("/s:read=/a,/b:net=dish:10000,[::1]:80:env=SITE:import:memory=64"),
    {
      path: "/s",
      grants: {
        read: ["/a", "/b"],
        net: ["dish:10000", "[::1]:80"],
        env: ["SITE"],
        import: true,
        memory: 64,
      },
    },
  );
  assertEquals(rootOf("/s:net").grants, { net: true });
  for (const word of ["", "/s:raed=/a", "/s:read", "/s:memory=lots"]) {
    assertThrows(() => rootOf(word), UsageError);
  }
});

test("every command has a help with an example that parses", () => {
  for (const { path, examples } of COMMANDS) {
    const help = helpOf(path);
    for (const [example] of examples) {
      assert(help.includes(example));
      const [, inner] = /<\((.*)\)/.exec(example) ?? [];
      const words = (inner ?? example).split(/ [|>] /)[0]?.split(" ") ?? [];
      const line = parseCommandLine(
        words.slice(1).map((word) => word.replaceAll("'", "")),
      );
      assertEquals(line.path, path);
    }
  }
});

test("a mistake of ours has a status of its own", () => {
  assertEquals(statusOfError(new TypeError("x")), 70);
  assertEquals(statusOfError(new Ending(124, "late")), 124);
});
