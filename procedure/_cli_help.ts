// Copyright 2026 the Longrun authors. MIT license.

import { COMMON, type OptionSpec } from "./_cli_options.ts";
import {
  commandAt,
  type CommandSpec,
  GROUPS,
  nextWords,
  usageOf,
} from "./_cli_spec.ts";

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
    .join("\n");
}

function optionRows(options: readonly OptionSpec[]): string {
  return columns(options.map(({ name, short, value, text }) => [
    (short === undefined ? "    " : `-${short}, `) + `--${name}` +
    (value === undefined ? "" : ` ${value}`),
    text,
  ]));
}

const section = (title: string, text: string): string =>
  text === "" ? "" : `\n${title}:\n${text}\n`;

/** The words of a text in lines of a readable length. */
function wrap(text: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + word.length >= 80) {
      lines.push(line);
      line = word;
    } else line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line].join("\n");
}

function helpOfCommand(command: CommandSpec): string {
  const { summary, text, options, examples } = command;
  return `${summary}.\n\nUsage: ${usageOf(command)}\n` +
    (text === "" ? "" : `\n${wrap(text)}\n`) +
    section("Options", options.length > 0 ? optionRows(options) : "") +
    section("Options of every command", optionRows(COMMON)) +
    section(
      "Examples",
      examples.map(([line, what]) => `  # ${what}\n  ${line}`).join("\n"),
    );
}

const STATUSES = `  0    done; the procedure is COMPLETE
  1    the procedure has FAILED; the service could not be started
  2    the command line is not understood
  3    the service refuses
  4    there is no such procedure, activity or definition
  5    the service cannot be reached, wants another token, or has failed
  6    the procedure is STOPPED or UNKNOWN
  70   a mistake in longrun itself
  124  the time of --timeout is over
  130  interrupted by Ctrl-C
  141  nobody reads the output any more`;

/** The help of a command, a group, or everything. */
export function helpOf(path: readonly string[]): string {
  const command = commandAt(path);
  if (command !== undefined) return helpOfCommand(command);
  const rows = nextWords(path).map((word): [string, string] => {
    const found = commandAt([...path, word]);
    return [word, found?.summary ?? GROUPS[word] ?? ""];
  });
  const name = ["longrun", ...path].join(" ");
  const about = path.length === 0
    ? "Scripts in processes of their own, under control"
    : GROUPS[path.join()] ?? "";
  return `${about}.\n\nUsage: ${name} COMMAND [options]\n` +
    section("Commands", columns(rows)) +
    section("Options of every command", optionRows(COMMON)) +
    (path.length === 0 ? section("Exit statuses", STATUSES) : "") +
    `\n'${name} COMMAND --help' tells more, with examples.\n`;
}
