// Copyright 2026 the Longrun authors. MIT license.

import { showTime } from "./_cli_session.ts";
import { type Color, harmless, type Terminal } from "./_cli_terminal.ts";

/** The colour of a state. */
function colorOf(state: string): Color {
  switch (state) {
    case "COMPLETE":
      return "green";
    case "FAILED":
      return "red";
    case "STOPPED":
    case "UNKNOWN":
      return "yellow";
    case "RUNNING":
      return "bold";
    case "READY":
    case "PREPARED":
      return "blue";
  }
  return "gray";
}

/** A state in its colour. */
export function showState(terminal: Terminal, state: string): string {
  return terminal.paint(state, colorOf(state));
}

/** Stands for what is not kept any more. */
export function notKept(count: number): string {
  return `  … ${count} more`;
}

/** Lines of states, the oldest first, with when they began. */
export function stateLines(
  terminal: Terminal,
  states: readonly (readonly [string, number])[],
  dropped: number = 0,
): readonly string[] {
  const lines = states.map(([name, time]) =>
    `  ${showTime(time)}  ${showState(terminal, name)}`
  );
  return dropped === 0 ? lines : lines.toSpliced(1, 0, notKept(dropped));
}

/** Rows below their titles, aligned; the column of states in colours. */
export function table(
  terminal: Terminal,
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const texts = rows.map((row) => row.map(harmless));
  const widths = titles.map((title, at) =>
    Math.max(title.length, ...texts.map((row) => row[at]?.length ?? 0))
  );
  const states = titles.indexOf("STATE");
  const lineOf = (row: readonly string[], isTitle: boolean): string =>
    row.map((text, at) => {
      const isLast = at === row.length - 1;
      const padding = isLast ? "" : " ".repeat((widths[at] ?? 0) - text.length);
      if (isTitle) return terminal.paint(text, "gray") + padding;
      return (at === states ? showState(terminal, text) : text) + padding;
    }).join("  ");
  return [lineOf(titles, true), ...texts.map((row) => lineOf(row, false))]
    .join("\n");
}
