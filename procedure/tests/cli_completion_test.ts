// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { completionFor } from "../_cli_completion.ts";

async function shell(
  name: string,
  source: string,
  args: readonly string[] = [],
): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command(name, {
    args: [...args, "-c", source],
  }).output();
  const decoder = new TextDecoder();
  assert(success, decoder.decode(stderr));
  assertEquals(decoder.decode(stderr), "");
  return decoder.decode(stdout).split("\n").filter((line) => line !== "");
}

async function has(name: string): Promise<boolean> {
  try {
    return (await new Deno.Command(name, { args: ["--version"] }).output())
      .success;
  } catch {
    return false;
  }
}

/** What is offered after these words; the last is being typed. */
type Offer = (words: readonly string[]) => Promise<string[]>;

const offerOfBash: Offer = (words) =>
  shell(
    "bash",
    `${completionFor("bash")}
COMP_WORDS=(longrun ${words.map((word) => `'${word}'`).join(" ")})
COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
_longrun
printf '%s\\n' "\${COMPREPLY[@]}"`,
  );

const offerOfZsh: Offer = (words) =>
  // What is offered goes to the function that is told of it.
  shell(
    "zsh",
    `${completionFor("zsh")}
compadd() { shift; print -l -- "$@" }
_files() { print -- FILES }
words=(longrun ${words.map((word) => `'${word}'`).join(" ")})
CURRENT=\${#words}
_longrun`,
    ["-f"],
  );

const offerOfFish: Offer = async (words) => {
  const lines = await shell(
    "fish",
    `${completionFor("fish")}
complete -C "longrun ${words.join(" ")}"`,
    ["--no-config"],
  );
  return lines.map((line) => line.split("\t")[0] ?? "");
};

const shells: [string, Offer][] = [
  ["bash", offerOfBash],
  ["zsh", offerOfZsh],
  ["fish", offerOfFish],
];

for (const [name, offer] of shells) {
  if (!await has(name)) continue;

  test(`${name} completes commands, options and words`, async () => {
    const first = await offer([""]);
    for (const word of ["serve", "procedure", "activity", "completion"]) {
      assert(first.includes(word), `${word} of ${first}`);
    }
    const start = await offer(["procedure", "start", "--"]);
    for (const word of ["--pid", "--no-listen", "--json"]) {
      assert(start.includes(word), `${word} of ${start}`);
    }
    assert(!start.includes("--git-repo"));
    const list = await offer(["procedure", "l"]);
    assert(list.includes("list") && list.includes("listen"));
    assert(!list.includes("serve"));
    const last = await offer(["completion", ""]);
    for (const word of ["bash", "zsh", "fish"]) assert(last.includes(word));
  });

  test(`${name} skips options and their values on the way`, async () => {
    const words = ["--server", "serve", "--json", "procedure", "s"];
    const offered = await offer(words);
    assert(offered.includes("start") && offered.includes("stop"));
    const none = await offer(["procedure", "list", "--timeout", ""]);
    assertEquals(none, []);
  });
}

test("bash offers files for the values that are files", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/token.txt`, "");
  for (
    const words of [
      ["procedure", "list", "--token-file", `${folder}/to`],
      ["procedure", "list", "--token-file", "=", `${folder}/to`],
    ]
  ) {
    assertEquals(await offerOfBash(words), [`${folder}/token.txt`]);
  }
  await Deno.remove(folder, { recursive: true });
});

test("bash knows the function by the name of the program", async () => {
  const source = `${completionFor("bash")}\ncomplete -p longrun`;
  assertEquals(await shell("bash", source), [
    "complete -F _longrun longrun",
  ]);
});
