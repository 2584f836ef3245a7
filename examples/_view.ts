// Copyright 2026 the Longrun authors. MIT license.

/** What the demo shows, as lines: nothing here writes to the terminal but the log. */

import type { RunState, StreamingTask } from "../mod.ts";
import { gauge } from "./_gauge.ts";
import type { Sample } from "./_server.ts";
import {
  bold,
  dim,
  green,
  isLive,
  red,
  sparkline,
  table,
  terminalSize,
  yellow,
} from "./_terminal.ts";

/** What is shown of a task, a background task or one of a context. */
export interface Shown {
  readonly name: string;
  readonly state: RunState;
  readonly running: boolean;
  readonly abandoned: boolean;
  readonly exception: unknown;
  readonly statistics: {
    readonly rounds: number;
    readonly missed: number;
    readonly worstLateness: number;
    readonly restarts?: number;
  };
}

/** How far a command of a device has come. */
export interface CommandShown {
  name: string;
  percent: number;
}

/** What has happened, printed at once where there is no live view. */
export class Events {
  readonly #now: () => number;
  readonly #isPrinting: boolean;
  readonly #lines: string[] = [];

  constructor(now: () => number, isPrinting: boolean) {
    this.#now = now;
    this.#isPrinting = isPrinting;
  }

  add(text: string): void {
    const line = `${seconds(this.#now())}  ${text}`;
    this.#lines.push(line);
    if (this.#isPrinting) console.log(line);
  }

  last(count: number): string[] {
    return count > 0 ? this.#lines.slice(-count) : [];
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`.padStart(6);
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function gibibytes(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1);
}

function stateOf(task: Shown): string {
  return task.abandoned ? "abandoned" : task.state;
}

function paintState(state: string, text: string): string {
  if (state === "errored") return red(text);
  if (state === "abandoned" || state === "stopping") return yellow(text);
  if (state === "running") return green(text);
  return dim(text);
}

function taskLine(name: string, state: string, what: string): string {
  return `${name.padEnd(8)}  ${paintState(state, state.padEnd(9))}  ${what}`;
}

function describe(task: Shown): string {
  const { rounds, missed, worstLateness, restarts = 0 } = task.statistics;
  if (task.abandoned) return "hangs, nobody waits for it any more";
  if (task.state === "errored") {
    return `after ${count(restarts, "restart")}: ${task.exception}`;
  }
  if (restarts > 0) return count(restarts, "restart");
  if (rounds <= 1) return "";
  const worst = worstLateness.toFixed(1);
  return `${
    count(rounds, "round")
  }, at most ${worst} ms late, ${missed} missed`;
}

/** Below this many columns everything is said in fewer words. */
const NARROW = 62;

/** The live view: as many lines as the terminal has room for. */
export function frame(
  now: number,
  duration: number,
  samples: readonly Sample[],
  offsets: readonly number[],
  command: CommandShown,
  tasks: readonly Shown[],
  stream: StreamingTask<Sample>,
  events: Events,
): string[] {
  const { columns, rows } = terminalSize();
  const isNarrow = columns < NARROW;
  const label = isNarrow ? 20 : 28;
  const width = Math.max(Math.min(columns - 1, 79) - label, 8);
  const latest = samples.at(-1);
  const late = samples.slice(-width).map((sample) => sample.late);
  const { items, timeouts } = stream.statistics;
  const share = latest === undefined ? 0 : latest.used / latest.total;
  const used = gibibytes(latest?.used ?? 0);
  const memory = isNarrow
    ? used
    : `${used} of ${gibibytes(latest?.total ?? 0)}`;
  const lines = [
    `${bold("Longrun")}  ${seconds(Math.min(now, duration)).trim()} of ${
      seconds(duration).trim()
    }  ${dim(isNarrow ? "Ctrl-C ends it" : "Ctrl-C ends it, twice at once")}`,
    "",
    `load      ${latest?.load.toFixed(2) ?? "-"}`,
    `memory    ${memory} GiB`.padEnd(label) + gauge(share, width),
    `lateness  ${latest?.late.toFixed(1) ?? "-"} ms`.padEnd(label) +
    sparkline(late, 1),
    `star      ${offsets.at(-1)?.toFixed(1) ?? "-"}″ off`.padEnd(label) +
    sparkline(offsets.slice(-width), 1),
    `${command.name.toLowerCase().padEnd(9)} ${command.percent} %`.padEnd(
      label,
    ) + gauge(command.percent / 100, width),
    "",
    ...tasks.map((task) => taskLine(task.name, stateOf(task), describe(task))),
    taskLine(
      stream.name,
      stream.state,
      `${count(items, "item")}, ${count(timeouts, "timeout")}`,
    ),
    "",
  ];
  return [...lines, ...events.last(Math.min(12, rows - 1 - lines.length))];
}

/** One line, for where frames cannot be drawn. */
export function statusLine(
  now: number,
  samples: readonly Sample[],
  offsets: readonly number[],
  command: CommandShown,
  tasks: readonly Shown[],
  stream: StreamingTask<Sample>,
): string {
  const latest = samples.at(-1);
  const running = tasks.filter((task) => task.running).length;
  return [
    seconds(now),
    `load ${latest?.load.toFixed(2) ?? "-"},`,
    `memory ${gibibytes(latest?.used ?? 0)} GiB,`,
    `star ${offsets.at(-1)?.toFixed(1) ?? "-"}″,`,
    `${command.name.toLowerCase()} ${command.percent} %,`,
    `${count(stream.statistics.items, "sample")},`,
    `${count(running + Number(stream.running), "task")} running`,
  ].join("  ");
}

/** How everything has ended. */
export function summary(
  tasks: readonly Shown[],
  stream: StreamingTask<Sample>,
): string[] {
  const head = [
    "task",
    "ended",
    "rounds",
    "items",
    "worst late",
    "missed",
    "timeouts",
  ];
  const rows = tasks.map((task) => {
    const { rounds, missed, worstLateness } = task.statistics;
    const late = `${worstLateness.toFixed(1)} ms`;
    const state = stateOf(task);
    return [task.name, state, String(rounds), "", late, String(missed), ""];
  });
  const { items, timeouts } = stream.statistics;
  const { name, state } = stream;
  rows.push([name, state, "", String(items), "", "", String(timeouts)]);
  const ended = (state: string): string =>
    `${rows.filter((row) => row[1] === state).length} ${state}`;
  return [
    ...(isLive && terminalSize().columns < NARROW
      ? rows.map((row) => asSentence(head, row))
      : asTable([head, ...rows])),
    "",
    ["stopped", "abandoned", "errored"].map(ended).join(", "),
  ];
}

function asTable(rows: readonly (readonly string[])[]): string[] {
  const [head = "", ...body] = table(rows, (column) => column > 1);
  return [bold(head), ...body];
}

function asSentence(
  head: readonly string[],
  [name, state, ...figures]: readonly string[],
): string {
  const parts = figures.map((figure, index) => `${head[index + 2]} ${figure}`)
    .filter((_, index) => figures[index] !== "");
  return `${name}: ${[state, ...parts].join(", ")}`;
}
