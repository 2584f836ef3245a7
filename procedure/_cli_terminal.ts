// Copyright 2026 the Longrun authors. MIT license.

/** The part of a terminal that is written to. */
export interface Sink {
  write(bytes: Uint8Array): Promise<number>;
  isTerminal(): boolean;
}

/** Settings of {@linkcode Terminal}. */
export interface TerminalSettings {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly isColored: boolean;
  readonly isQuiet: boolean;
  /** How many letters a line has. */
  readonly width: () => number;
  /** Called when nobody reads the results any more. */
  readonly onClosed: () => void;
}

/** The colours there are. */
export type Color = "red" | "green" | "yellow" | "blue" | "gray" | "bold";

const CODES: Readonly<Record<Color, number>> = {
  bold: 1,
  red: 31,
  green: 32,
  yellow: 33,
  blue: 34,
  gray: 90,
};

// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/g;
// deno-lint-ignore no-control-regex
const STYLE = /\x1b\[[\d;]*m/g;

/** A text of somebody else that can do nothing to the terminal it is shown on. */
export function harmless(text: string): string {
  return text.replace(STYLE, "").replace(CONTROLS, "\ufffd");
}

/** Where the results go, and what else there is to say. */
export class Terminal {
  readonly #settings: TerminalSettings;
  readonly #encoder: TextEncoder = new TextEncoder();
  #turn: Promise<void> = Promise.resolve();
  #status = "";
  #isShown = false;
  #isClosed = false;

  constructor(settings: TerminalSettings) {
    this.#settings = settings;
  }

  /** Whether people read the results as they come. */
  get isInteractive(): boolean {
    return this.#settings.stdout.isTerminal();
  }

  /** Whether there is a line for the status. */
  get hasStatus(): boolean {
    const { stderr, isQuiet } = this.#settings;
    return stderr.isTerminal() && !isQuiet;
  }

  /** Writes results, as they are. */
  write(text: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#isClosed) return;
      await this.#erase();
      try {
        await this.#put(this.#settings.stdout, text);
      } catch (error) {
        if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
        this.#isClosed = true;
        this.#settings.onClosed();
      }
      await this.#show();
    });
  }

  /** Writes a line of a result. */
  print(line: string): Promise<void> {
    return this.write(`${line}\n`);
  }

  /** Writes a line of somebody else's. */
  printForeign(line: string, color?: Color): Promise<void> {
    if (!this.isInteractive) return this.print(line);
    const text = harmless(line);
    return this.print(color === undefined ? text : this.paint(text, color));
  }

  /** Says something beside the results. */
  tell(text: string): Promise<void> {
    return this.#settings.isQuiet ? Promise.resolve() : this.complain(text);
  }

  /** Says something that has to be heard. */
  complain(text: string): Promise<void> {
    return this.#say(async () => {
      await this.#erase();
      await this.#put(this.#settings.stderr, `${text}\n`);
      await this.#show();
    });
  }

  /** Asks something; the answer is awaited on the same line. */
  ask(text: string): Promise<void> {
    return this.#say(async () => {
      await this.#erase();
      this.#status = "";
      await this.#put(this.#settings.stderr, text);
    });
  }

  /** Shows what is waited for, in place of what was shown before. */
  status(text: string): Promise<void> {
    if (!this.hasStatus) return Promise.resolve();
    return this.#say(async () => {
      await this.#erase();
      this.#status = text;
      await this.#show();
    });
  }

  /** Waits until everything has been written. */
  flush(): Promise<void> {
    return this.#turn;
  }

  /** Colours a text where there are colours. */
  paint(text: string, color: Color): string {
    return this.#settings.isColored
      ? `\x1b[${CODES[color]}m${text}\x1b[0m`
      : text;
  }

  async #erase(): Promise<void> {
    if (!this.#isShown) return;
    this.#isShown = false;
    await this.#put(this.#settings.stderr, "\r\x1b[K");
  }

  async #show(): Promise<void> {
    if (this.#status === "") return;
    this.#isShown = true;
    const { stderr, width } = this.#settings;
    await this.#put(stderr, this.#status.slice(0, Math.max(width() - 1, 10)));
  }

  #say(work: () => Promise<void>): Promise<void> {
    // Where complaints go unheard, nothing else fails because of that.
    return this.#inTurn(() => work().catch(() => {}));
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #put(sink: Sink, text: string): Promise<void> {
    let bytes = this.#encoder.encode(text);
    while (bytes.length > 0) {
      bytes = bytes.subarray(await sink.write(bytes));
    }
  }
}
