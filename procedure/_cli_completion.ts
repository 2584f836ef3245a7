// Copyright 2026 the Longrun authors. MIT license.

import { COMMON, type OptionSpec } from "./_cli_options.ts";
import { COMMANDS, type CommandSpec, GROUPS, nextWords } from "./_cli_spec.ts";

/** The shells that are known. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

type Offers = OptionSpec["offers"];

const optionsOf = (command: CommandSpec): readonly OptionSpec[] => [
  ...command.options,
  ...COMMON,
];

/** The options with a value, by what is offered for it. */
function valued(offers: Offers | "none"): string[] {
  const all = COMMANDS.flatMap(optionsOf).filter((one) =>
    one.value !== undefined && (one.offers ?? "none") === offers
  );
  return [...new Set(all.map(({ name }) => `--${name}`))];
}

/** What may follow each path: words and options. */
function choices(): [string, string[]][] {
  const common = COMMON.map(({ name }) => `--${name}`);
  const groups = ["", ...Object.keys(GROUPS)].map((
    group,
  ): [string, string[]] => [
    group,
    [...nextWords(group === "" ? [] : [group]), ...common],
  ]);
  const commands = COMMANDS.map((command): [string, string[]] => [
    command.path.join(" "),
    [
      ...(command.offers ?? []),
      ...optionsOf(command).map(({ name }) => `--${name}`),
    ],
  ]);
  return [...groups, ...commands];
}

/** The path among the words before the cursor, for bash and zsh alike. */
function pathCases(): string {
  const steps = [
    ...Object.keys(GROUPS).map((group) => ["", group]),
    ...COMMANDS.map(({ path }) => [
      path.slice(0, -1).join(" "),
      path.at(-1) ?? "",
    ]),
  ];
  return steps.map(([from, word]) =>
    `      "${from}|${word}") at="${from === "" ? word : `${from} ${word}`}" ;;`
  ).join("\n");
}

function choiceCases(): string {
  return choices().map(([path, words]) =>
    `    "${path}") offered="${words.join(" ")}" ;;`
  ).join("\n");
}

const either = (names: readonly string[]): string => names.join("|");
const allValued = (): string[] => [
  ...valued("none"),
  ...valued("files"),
  ...valued("folders"),
];

function bash(): string {
  return `# bash completion of longrun
_longrun() {
  local word skip="" at="" offered="" i
  local current="\${COMP_WORDS[COMP_CWORD]}"
  local previous="\${COMP_WORDS[COMP_CWORD-1]}"
  COMPREPLY=()
  # "--option=value" is three words here.
  if [[ $current == "=" ]]; then current=""
  elif [[ $previous == "=" ]]; then previous="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  case "$previous" in
    ${either(valued("files"))})
      COMPREPLY=( $(compgen -f -- "$current") ); return ;;
    ${either(valued("folders"))})
      COMPREPLY=( $(compgen -d -- "$current") ); return ;;
    ${either(valued("none"))}) return ;;
  esac
  for (( i = 1; i < COMP_CWORD; i++ )); do
    word="\${COMP_WORDS[i]}"
    if [[ -n $skip && $word == "=" ]]; then continue; fi
    if [[ -n $skip ]]; then skip=""; continue; fi
    case "$word" in
      ${either(allValued())}) skip=1; continue ;;
    esac
    case "$at|$word" in
${pathCases()}
    esac
  done
  case "$at" in
${choiceCases()}
  esac
  COMPREPLY=( $(compgen -W "$offered" -- "$current") )
}
complete -F _longrun longrun
`;
}

function zsh(): string {
  return `#compdef longrun
_longrun() {
  local word skip="" at="" offered="" i
  local previous="\${words[CURRENT-1]}"
  case "$previous" in
    ${either(valued("files"))}) _files; return ;;
    ${either(valued("folders"))}) _files -/; return ;;
    ${either(valued("none"))}) return ;;
  esac
  for (( i = 2; i < CURRENT; i++ )); do
    word="\${words[i]}"
    if [[ -n $skip ]]; then skip=""; continue; fi
    case "$word" in
      ${either(allValued())}) skip=1; continue ;;
    esac
    case "$at|$word" in
${pathCases()}
    esac
  done
  case "$at" in
${choiceCases()}
  esac
  compadd -- \${=offered}
}
if (( $+functions[compdef] )); then compdef _longrun longrun; fi
`;
}

const quoted = (text: string): string =>
  `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;

function fishOption(condition: string, option: OptionSpec): string {
  const { name, short, value, offers, text } = option;
  const wanted = offers === "files"
    ? " -r -F"
    : offers === "folders"
    ? " -x -a '(__fish_complete_directories)'"
    : " -x";
  return `complete -c longrun -n ${quoted(condition)} -l ${name}` +
    (short === undefined ? "" : ` -s ${short}`) +
    (value === undefined ? "" : wanted) + ` -d ${quoted(text)}`;
}

function fish(): string {
  const lines = [
    "# fish completion of longrun",
    "function __longrun_at",
    "  set -l at",
    "  set -l skip 0",
    "  set -l words (commandline -opc)",
    "  for word in $words[2..-1]",
    "    if test $skip = 1",
    "      set skip 0",
    "      continue",
    "    end",
    "    switch $word",
    `      case ${allValued().join(" ")}`,
    "        set skip 1",
    "      case '-*'",
    "      case '*'",
    `        switch "$at|$word"`,
    ...[
      ...Object.keys(GROUPS).map((group) => [group]),
      ...COMMANDS.map(({ path }) => path),
    ].flatMap((path) => {
      const from = path.slice(0, -1).join(" ");
      return [
        `          case ${quoted(`${from}|${path.at(-1)}`)}`,
        `            set at ${quoted(path.join(" "))}`,
      ];
    }),
    "        end",
    "    end",
    "  end",
    `  test "$at" = "$argv[1]"`,
    "end",
    "complete -c longrun -f",
    ...COMMON.map((option) => fishOption("true", option)),
  ];
  for (const path of ["", ...Object.keys(GROUPS)]) {
    const condition = `__longrun_at "${path}"`;
    const words = path === "" ? [] : [path];
    for (const word of nextWords(words)) {
      const whole = [...words, word].join();
      const about = COMMANDS.find((one) => one.path.join() === whole)
        ?.summary ?? GROUPS[word] ?? "";
      lines.push(
        `complete -c longrun -n ${quoted(condition)} -a ${word} -d ${
          quoted(about)
        }`,
      );
    }
  }
  for (const { path, options, offers = [] } of COMMANDS) {
    const condition = `__longrun_at "${path.join(" ")}"`;
    for (const word of offers) {
      lines.push(`complete -c longrun -n ${quoted(condition)} -a ${word}`);
    }
    for (const option of options) lines.push(fishOption(condition, option));
  }
  return lines.join("\n") + "\n";
}

/** The completion script for a shell. */
export function completionFor(shell: typeof SHELLS[number]): string {
  return { bash, zsh, fish }[shell]();
}
