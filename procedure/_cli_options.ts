// Copyright 2026 the Longrun authors. MIT license.

/**
 * What options of the command line are, and those that more than one command
 * has. The others are where their command is.
 *
 * @module
 */

/** An option of the command line. */
export interface OptionSpec {
  /** Its name, without the dashes. */
  readonly name: string;
  /** One letter that stands for it. */
  readonly short?: string;
  /** What its value is called; without one it is a switch. */
  readonly value?: string;
  /** Whether it may be given more than once. */
  readonly multiple?: boolean;
  /** What shells offer for its value. */
  readonly offers?: "files" | "folders";
  /** What it does. */
  readonly text: string;
}

/** The number of a procedure. */
export const PID: OptionSpec = {
  name: "pid",
  value: "ID",
  text: "The procedure",
};

/** The number of a procedure that is given arguments, too. */
export const PID_BEFORE_ARGUMENTS: OptionSpec = {
  ...PID,
  text: "The procedure; then all words are arguments",
};

/** Arguments of a script. */
export const ARG_JSON: OptionSpec = {
  name: "arg-json",
  value: "JSON",
  multiple: true,
  text: "Arguments as JSON: [by, place] or {by: name}",
};

/** Whether the script is given what it needs. */
export const CREATE_ENV: OptionSpec = {
  name: "create-env",
  text: "Install the dependencies of the script first",
};

/** What Ctrl-C does besides. */
export const STOP_ON_INTERRUPT: OptionSpec = {
  name: "stop-on-interrupt",
  text: "Ctrl-C asks whether to stop the procedure; never without this",
};

/** How what has begun is watched. */
export const LISTENING: readonly OptionSpec[] = [
  {
    name: "listen",
    text: "Show what happens until the end; the default on a terminal",
  },
  { name: "no-listen", text: "Return as soon as it has begun" },
  STOP_ON_INTERRUPT,
];

/** Options of every command. */
export const COMMON: readonly OptionSpec[] = [
  {
    name: "server",
    value: "URL",
    text: "The service [LONGRUN_URL, http://127.0.0.1:5000/api/v1]",
  },
  {
    name: "token",
    value: "TOKEN",
    text: "Shown to the service [LONGRUN_TOKEN]; others may see it in ps",
  },
  {
    name: "token-file",
    value: "FILE",
    offers: "files",
    text: "A file with the token",
  },
  {
    name: "timeout",
    value: "TIME",
    text: "Give up after 500ms, 30s (or 30), 5m, 2h",
  },
  { name: "json", text: "Write JSON; a line for each event of a stream" },
  { name: "quiet", short: "q", text: "Say nothing but results and errors" },
  { name: "no-color", text: "Write no colours [NO_COLOR]" },
  { name: "help", short: "h", text: "Show help" },
  { name: "version", short: "V", text: "Show the version" },
];
