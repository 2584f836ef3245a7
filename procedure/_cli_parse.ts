// Copyright 2026 the Longrun authors. MIT license.

import { parseArgs } from "node:util";
import { UsageError } from "./_cli_exit.ts";
import { COMMON } from "./_cli_options.ts";
import {
  commandAt,
  type CommandSpec,
  nextWords,
  OPTIONS,
  usageOf,
} from "./_cli_spec.ts";

/** A command line that is understood. */
export interface CommandLine {
  /** The command; `undefined` if only a group, or nothing, is named. */
  readonly command: CommandSpec | undefined;
  /** The words that name it. */
  readonly path: readonly string[];
  /** The words after those. */
  readonly words: readonly string[];
  /** The switches that are on. */
  readonly switches: ReadonlySet<string>;
  /** The values of options, in their order. */
  readonly values: ReadonlyMap<string, readonly string[]>;
}

/** How many letters have to change to make one word of another. */
function distance(first: string, second: string): number {
  let row = Array.from({ length: second.length + 1 }, (_, at) => at);
  for (let i = 1; i <= first.length; i++) {
    const next = [i];
    for (let j = 1; j <= second.length; j++) {
      const isSame = first[i - 1] === second[j - 1];
      next.push(Math.min(
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
        (row[j - 1] ?? 0) + (isSame ? 0 : 1),
      ));
    }
    row = next;
  }
  return row[second.length] ?? 0;
}

/** What somebody may have meant, in words; empty if nothing comes near. */
export function suggestion(
  word: string,
  known: readonly string[],
  show: (word: string) => string = (word) => word,
): string {
  const short = word.slice(0, 40);
  const ranked = known
    .map((one) => ({
      one,
      far: short.length > 1 && one.startsWith(short) ? 1 : distance(short, one),
    }))
    .sort((a, b) => a.far - b.far);
  const [best] = ranked;
  if (best === undefined || best.far > Math.max(1, short.length / 2)) return "";
  return `; did you mean '${show(best.one)}'?`;
}

const NUMBER = /^-\.?\d/;
const YES = /^(true|yes|1)$/i;
const NO = /^(false|no|0)$/i;

/** Underscores in names of options are dashes: the original's have them. */
function withDashes(words: readonly string[]): string[] {
  const end = words.indexOf("--");
  return words.map((word, at) =>
    end >= 0 && at > end ? word : word.replace(
      /^--[a-z][a-z_-]*/,
      (name) => name.replaceAll("_", "-"),
    )
  );
}

function tokensOf(args: string[]) {
  const options = Object.fromEntries(
    [...OPTIONS.values()].map(({ name, value, short }) => [name, {
      type: value === undefined ? "boolean" as const : "string" as const,
      multiple: true as const,
      ...(short === undefined ? {} : { short }),
    }]),
  );
  return parseArgs({
    args,
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  }).tokens;
}

/**
 * Reads a command line.
 *
 * @throws {UsageError} If it is not understood.
 */
export function parseCommandLine(given: readonly string[]): CommandLine {
  const args = withDashes(given);
  const path: string[] = [];
  const words: string[] = [];
  const found: { name: string; value: string | undefined }[] = [];
  let command: CommandSpec | undefined;
  let isHelp = false;
  const takeWord = (word: string): void => {
    if (command !== undefined) {
      words.push(word);
      return;
    }
    if (path.length === 0 && word === "help" && !isHelp) {
      isHelp = true;
      return;
    }
    const known = nextWords(path);
    if (!known.includes(word)) {
      const where = path.length > 0 ? ` of 'longrun ${path.join(" ")}'` : "";
      throw new UsageError(
        `There is no command '${word}'${where}${suggestion(word, known)}`,
        path,
      );
    }
    path.push(word);
    command = commandAt(path);
  };
  let taken = -1;
  for (const token of tokensOf(args)) {
    // "-5" is several options in the eyes of the parser.
    if (token.index === taken) continue;
    const raw = args[token.index] ?? "";
    if (token.kind === "option-terminator") continue;
    if (token.kind === "positional") {
      takeWord(token.value);
      continue;
    }
    if (NUMBER.test(raw)) {
      taken = token.index;
      takeWord(raw);
      continue;
    }
    const { name, rawName, value, inlineValue } = token;
    const option = OPTIONS.get(name);
    if (option === undefined) {
      found.push({ name: rawName, value: undefined });
      continue;
    }
    if (option.value === undefined) {
      if (value !== undefined && !YES.test(value) && !NO.test(value)) {
        throw new UsageError(`'${rawName}' takes no value`, path);
      }
      if (value !== undefined && NO.test(value)) {
        if (OPTIONS.has(`no-${name}`)) {
          found.push({ name: `no-${name}`, value: undefined });
        }
        continue;
      }
      found.push({ name, value: undefined });
      continue;
    }
    if (
      value === undefined ||
      !inlineValue && value.startsWith("-") && !NUMBER.test(value)
    ) {
      throw new UsageError(
        `'${rawName}' needs a value: ${rawName}=${option.value}`,
        path,
      );
    }
    found.push({ name, value });
  }
  const allowed = [...(command?.options ?? []), ...COMMON];
  const switches = new Set<string>();
  const values = new Map<string, string[]>();
  for (const { name, value } of found) {
    const option = allowed.find((one) => one.name === name);
    if (option === undefined) {
      const plain = name.replace(/^-+/, "");
      const known = allowed.map((one) => one.name);
      const where = path.length > 0 ? ` of 'longrun ${path.join(" ")}'` : "";
      const shown = OPTIONS.has(name) ? `--${name}` : name;
      throw new UsageError(
        `There is no option '${shown}'${where}` +
          suggestion(plain, known, (one) => `--${one}`),
        path,
      );
    }
    if (value === undefined) {
      switches.add(name);
      continue;
    }
    const before = values.get(name) ?? [];
    if (before.length > 0 && option.multiple !== true) {
      throw new UsageError(`'--${name}' is given twice`, path);
    }
    values.set(name, [...before, value]);
  }
  if (isHelp) switches.add("help");
  if (switches.has("listen") && switches.has("no-listen")) {
    throw new UsageError("'--listen' and '--no-listen' exclude each other");
  }
  const isAsking = switches.has("help") || switches.has("version");
  if (command !== undefined && !isAsking) {
    const [least, most] = command.words;
    if (words.length < least) {
      throw new UsageError(`There is too little: ${usageOf(command)}`, path);
    }
    if (words.length > most) {
      throw new UsageError(
        `'${words[most]}' is too much: ${usageOf(command)}`,
        path,
      );
    }
  }
  return { command, path, words, switches, values };
}
