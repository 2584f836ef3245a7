// Copyright 2026 the Longrun authors. MIT license.

/**
 * The commands of the command line: what is read, what the help tells and what
 * shells complete all come from here.
 *
 * @module
 */

import {
  ARG_JSON,
  COMMON,
  CREATE_ENV,
  LISTENING,
  type OptionSpec,
  PID,
  PID_BEFORE_ARGUMENTS,
  STOP_ON_INTERRUPT,
} from "./_cli_options.ts";

/** A command. */
export interface CommandSpec {
  /** The words that name it. */
  readonly path: readonly string[];
  /** What it does, in a line. */
  readonly summary: string;
  /** Its words, for people. */
  readonly usage: string;
  /** The fewest and the most words it takes. */
  readonly words: readonly [number, number];
  /** What shells offer for its words. */
  readonly offers?: readonly string[];
  /** More of what it does. */
  readonly text: string;
  readonly options: readonly OptionSpec[];
  /** Commands that work, and what they do. */
  readonly examples: readonly (readonly [string, string])[];
}

const ARGUMENTS = `Arguments by place and key=value by name go to the script.
A value that is JSON is taken as that, any other as text: gain=2 is a number,
gain='"2"' is text, and so is gain=two.`;

/** The groups of commands. */
export const GROUPS: Readonly<Record<string, string>> = {
  procedure: "Prepare, start, stop and watch scripts",
  activity: "Run activities of scheduling blocks",
};

/** The commands. */
export const COMMANDS: readonly CommandSpec[] = [
  {
    path: ["serve"],
    summary: "Run the service",
    usage: "[options]",
    words: [0, 0],
    text: `Runs until it is interrupted: then it stops all procedures, and a
second interrupt ends it at once. Scripts may do nothing but what is granted:
--root PATH[:read=A,B][:write=A][:net[=HOST:PORT]][:env=NAME][:run=NAME]
[:sys=KIND][:import][:memory=MB]. Without a token it is for this machine alone.
Options win over the file of --config.`,
    options: [
      {
        name: "hostname",
        value: "ADDRESS",
        text: "Where to listen [127.0.0.1]",
      },
      { name: "port", value: "PORT", text: "Where to listen [5000]" },
      {
        name: "root",
        value: "PATH[:GRANTS]",
        multiple: true,
        offers: "folders",
        text: "A folder whose scripts may run",
      },
      {
        name: "repository",
        value: "URL",
        multiple: true,
        text: "A repository whose scripts may run",
      },
      {
        name: "config",
        value: "FILE",
        offers: "files",
        text: "A JSON file with all of this",
      },
      {
        name: "database",
        value: "FILE",
        offers: "files",
        text: "Remember procedures there",
      },
      {
        name: "blocks",
        value: "FOLDER",
        offers: "folders",
        text: "The scheduling blocks",
      },
      {
        name: "cache",
        value: "FOLDER",
        offers: "folders",
        text: "Where checkouts and environments are kept",
      },
      {
        name: "abort-script",
        value: "URI",
        text: "The script of stop --run-abort",
      },
      { name: "compat", text: "Answer as ska_oso_oet does" },
    ],
    examples: [
      ["longrun serve --root ./scripts", "scripts of a folder"],
      [
        "longrun serve --root /scripts:read=/data:net=dish1:10000",
        "with grants",
      ],
      [
        "longrun serve --config longrun.json --token-file token",
        "for others, too",
      ],
    ],
  },
  {
    path: ["procedure", "create"],
    summary: "Prepare a script",
    usage: "SCRIPT_URI [ARGUMENT...] [KEY=VALUE...]",
    words: [1, Infinity],
    text: `Starts a process, loads the script and calls its init. ${ARGUMENTS}`,
    options: [
      { name: "git-repo", value: "URL", text: "The repository of the script" },
      { name: "git-branch", value: "NAME", text: "Its branch" },
      { name: "git-commit", value: "HASH", text: "Its commit" },
      CREATE_ENV,
      ARG_JSON,
      { name: "wait", text: "Wait until the procedure is READY" },
    ],
    examples: [
      [
        "longrun procedure create file:///scripts/observe.ts subarray_id=1",
        "a script of a folder of the service",
      ],
      [
        "longrun procedure create git://observe.ts --git-repo https://example.org/scripts.git --wait",
        "a script of a repository, and READY",
      ],
    ],
  },
  {
    path: ["procedure", "start"],
    summary: "Call main of a procedure",
    usage: "[ID] [ARGUMENT...] [KEY=VALUE...]",
    words: [0, Infinity],
    text:
      `Without an ID it is the procedure created last. A number that comes first
is the ID; with --pid it is an argument. ${ARGUMENTS}
Ctrl-C ends the listening. The procedure goes on.`,
    options: [PID_BEFORE_ARGUMENTS, ARG_JSON, ...LISTENING],
    examples: [
      ["longrun procedure start 3 scans=10", "and watch it on a terminal"],
      ["longrun procedure start --no-listen", "the last one, without watching"],
      ["longrun procedure start --pid 3 -- -5 fast", "arguments by place"],
    ],
  },
  {
    path: ["procedure", "stop"],
    summary: "Stop a procedure",
    usage: "[ID]",
    words: [0, 1],
    text: `Without an ID it is the procedure that is RUNNING; if several are,
one has to be named.`,
    options: [
      PID,
      { name: "run-abort", text: "Run the abort script then" },
    ],
    examples: [
      ["longrun procedure stop 3", "procedure 3"],
      ["longrun procedure stop --run-abort", "what runs, and clean up"],
    ],
  },
  {
    path: ["procedure", "list"],
    summary: "List the procedures",
    usage: "",
    words: [0, 0],
    text: "",
    options: [],
    examples: [
      ["longrun procedure list", "a table"],
      ["longrun procedure list --json | jq '.[].state'", "for programs"],
    ],
  },
  {
    path: ["procedure", "describe"],
    summary: "Show all that is known of a procedure",
    usage: "[ID]",
    words: [0, 1],
    text: "Without an ID it is the procedure created last.",
    options: [PID],
    examples: [["longrun procedure describe 3", "procedure 3"]],
  },
  {
    path: ["procedure", "listen"],
    summary: "Show what happens",
    usage: "[ID]",
    words: [0, 1],
    text: `With an ID: states, output and events of this procedure until it has
ended. Without: all events of the service until Ctrl-C.`,
    options: [
      PID,
      {
        name: "topics",
        value: "PATTERN",
        multiple: true,
        text: "Without an ID: only these topics, like procedure.*",
      },
      STOP_ON_INTERRUPT,
    ],
    examples: [
      ["longrun procedure listen 3", "until procedure 3 has ended"],
      ["longrun procedure listen --json --topics 'procedure.*'", "as NDJSON"],
    ],
  },
  {
    path: ["procedure", "output"],
    summary: "Show what a script wrote",
    usage: "ID",
    words: [0, 1],
    text: "",
    options: [
      PID,
      {
        name: "follow",
        short: "f",
        text: "And what it writes, until it has ended",
      },
    ],
    examples: [
      ["longrun procedure output 3 --follow > night.log", "into a file"],
    ],
  },
  {
    path: ["activity", "run"],
    summary: "Run an activity of a scheduling block",
    usage: "NAME SBD_ID",
    words: [2, 2],
    text: `--script-args lays arguments over those of the definition:
{"main": {"args": [], "kwargs": {"scans": 3}}}`,
    options: [
      {
        name: "script-args",
        value: "JSON",
        text: "Arguments by name of function",
      },
      { name: "prepare-only", text: "Prepare, and do not start" },
      CREATE_ENV,
      ...LISTENING,
    ],
    examples: [
      ["longrun activity run observe sbd-1", "and watch it on a terminal"],
      ["longrun activity run observe sbd-1 --prepare-only", "only prepared"],
    ],
  },
  {
    path: ["activity", "list"],
    summary: "List the activities",
    usage: "",
    words: [0, 0],
    text: "",
    options: [],
    examples: [["longrun activity list", "a table"]],
  },
  {
    path: ["activity", "describe"],
    summary: "Show all that is known of an activity",
    usage: "[ID]",
    words: [0, 1],
    text: "Without an ID it is the activity requested last.",
    options: [{ name: "aid", value: "ID", text: "The activity" }],
    examples: [["longrun activity describe 2", "activity 2"]],
  },
  {
    path: ["completion"],
    summary: "Write a completion script for a shell",
    usage: "bash|zsh|fish",
    words: [1, 1],
    offers: ["bash", "zsh", "fish"],
    text: "",
    options: [],
    examples: [
      ["source <(longrun completion bash)", "in ~/.bashrc"],
      ["source <(longrun completion zsh)", "in ~/.zshrc, after compinit"],
      ["longrun completion fish | source", "in config.fish"],
    ],
  },
];

/** All options there are, by name. One name means one kind of option. */
export const OPTIONS: ReadonlyMap<string, OptionSpec> = new Map(
  [...COMMANDS.flatMap(({ options }) => options), ...COMMON]
    .map((option) => [option.name, option]),
);

/** The command of this path, if it is one. */
export function commandAt(path: readonly string[]): CommandSpec | undefined {
  const name = path.join(" ");
  return COMMANDS.find((one) => one.path.join(" ") === name);
}

/** How a command is called, in a line. */
export function usageOf({ path, usage }: CommandSpec): string {
  return `longrun ${path.join(" ")} ${usage}`.trimEnd();
}

/** The words that may follow a path. */
export function nextWords(path: readonly string[]): readonly string[] {
  const words = COMMANDS
    .filter((one) => path.every((word, at) => one.path[at] === word))
    .flatMap((one) => one.path[path.length] ?? []);
  return [...new Set(words)];
}
