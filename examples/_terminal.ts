// Copyright 2026 the Longrun authors. MIT license.

/** What the demo needs of a terminal: some colour, and a frame that it redraws. */

const ESCAPE = "\x1b[";
const HIDE_CURSOR = `${ESCAPE}?25l`;
const SHOW_CURSOR = `${ESCAPE}?25h`;
const CLEAR_LINE = `${ESCAPE}K`;
const CLEAR_BELOW = `${ESCAPE}J`;
const CLEAR_SCREEN = `${ESCAPE}2J${ESCAPE}H`;

/** Whether frames can be drawn: otherwise the demo prints lines. */
export const isLive: boolean = Deno.stdout.isTerminal() &&
  Deno.env.get("TERM") !== "dumb";

const hasColor = isLive && !Deno.noColor;

function painter(code: number): (text: string) => string {
  return (text) => hasColor ? `${ESCAPE}${code}m${text}${ESCAPE}0m` : text;
}

export const bold = painter(1);
export const dim = painter(2);
export const red = painter(31);
export const green = painter(32);
export const yellow = painter(33);

/** The size of the terminal, or a usual one where it has none. */
export function terminalSize(): { columns: number; rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    return { columns: columns || 80, rows: rows || 24 };
  } catch {
    return { columns: 80, rows: 24 };
  }
}

/** Cuts a text to a width. Colours have none. */
export function fit(text: string, width: number): string {
  let result = "";
  let used = 0;
  // deno-lint-ignore no-control-regex
  for (const part of text.match(/\x1b\[\d+m|./gu) ?? []) {
    if (part.length > 2) result += part;
    else if (used++ < width) result += part;
  }
  return result;
}

const BARS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/** Numbers as a row of bars, the highest of them full. */
export function sparkline(values: readonly number[], atLeast: number): string {
  const highest = Math.max(atLeast, ...values);
  return values.map((value) =>
    BARS[Math.min(Math.floor(value / highest * 8), 7)]
  ).join("");
}

/** Rows of cells as aligned lines. The widths are those of the longest cells. */
export function table(
  rows: readonly (readonly string[])[],
  isNumber: (column: number) => boolean,
): string[] {
  const widths =
    rows[0]?.map((_, column) =>
      Math.max(...rows.map((row) => row[column]?.length ?? 0))
    ) ?? [];
  return rows.map((row) =>
    row.map((cell, column) =>
      isNumber(column)
        ? cell.padStart(widths[column] ?? 0)
        : cell.padEnd(widths[column] ?? 0)
    ).join("  ").trimEnd()
  );
}

function write(text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let done = 0; done < bytes.length;) {
      done += Deno.stdout.writeSync(bytes.subarray(done));
    }
  } catch {
    // The terminal has gone; the work goes on.
  }
}

/**
 * Lines at the bottom of the terminal that are drawn over each other. The
 * cursor is hidden until the screen is closed, which the end of the process
 * does, too, whatever brings it about.
 */
export class Screen implements Disposable {
  #height = 0;
  #columns = 0;
  #isOpen = true;
  readonly #close = (): void => this.close();

  constructor() {
    for (const type of ["error", "unhandledrejection", "unload"]) {
      globalThis.addEventListener(type, this.#close);
    }
    write(HIDE_CURSOR);
  }

  /** Draws lines over those of before, each cut to the width. */
  draw(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    const { columns, rows } = terminalSize();
    const visible = lines.slice(0, rows - 1);
    // A terminal that has become narrower has broken the lines of before.
    const isResized = this.#height > 0 && columns !== this.#columns;
    let frame = isResized
      ? CLEAR_SCREEN
      : this.#height > 0
      ? `\r${ESCAPE}${this.#height}A`
      : "\r";
    for (const line of visible) {
      frame += `${fit(line, columns - 1)}${CLEAR_LINE}\r\n`;
    }
    write(frame + CLEAR_BELOW);
    this.#height = visible.length;
    this.#columns = columns;
  }

  /** Gives the cursor back. The last lines stay. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const type of ["error", "unhandledrejection", "unload"]) {
      globalThis.removeEventListener(type, this.#close);
    }
    write(SHOW_CURSOR);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
