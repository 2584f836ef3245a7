// Copyright 2026 the Longrun authors. MIT license.

import { configured } from "./_configured.ts";

/** How the command line ended. */
export interface CliResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** A command line that runs. */
export interface CliProcess {
  readonly pid: number;
  readonly result: Promise<CliResult>;
  /** What it has written to its standard output so far. */
  readonly stdout: string;
  /** Resolves when the text has been written; looks at both streams. */
  written(text: string): Promise<void>;
  /** Types something. */
  type(text: string): Promise<void>;
  kill(signal: Deno.Signal): void;
}

/** Options of {@linkcode startCli}. */
export interface CliOptions {
  /** What it talks to. */
  url?: string;
  env?: Record<string, string>;
  /** Whether it has a terminal, which also mixes both streams. */
  isOnTerminal?: boolean;
  /** The program in place of the command line. */
  program?: string;
}

const CLI = new URL("../cli.ts", import.meta.url).pathname;

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** The words that run the command line. */
export function commandOf(
  args: readonly string[],
  program = CLI,
): string[] {
  return [Deno.execPath(), "run", "-A", "--no-check", ...configured(), program]
    .concat(args);
}

/** Starts the command line in a process of its own. */
export function startCli(
  args: readonly string[],
  options: CliOptions = {},
): CliProcess {
  const { url, env = {}, isOnTerminal = false, program } = options;
  const words = commandOf(args, program);
  const [file = "", ...rest] = isOnTerminal
    ? ["script", "-qfec", `exec ${words.map(quote).join(" ")}`, "/dev/null"]
    : words;
  const child = new Deno.Command(file, {
    args: rest,
    env: {
      TERM: "xterm",
      ...(isOnTerminal ? { NO_COLOR: "" } : { NO_COLOR: "1" }),
      LONGRUN_TOKEN: "",
      LONGRUN_URL: url ?? "http://127.0.0.1:9",
      ...env,
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const texts = { stdout: "", stderr: "" };
  let waiters: (() => void)[] = [];
  async function collect(name: "stdout" | "stderr"): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of child[name]) {
      texts[name] += decoder.decode(bytes, { stream: true });
      for (const wake of waiters) wake();
    }
  }
  const writer = child.stdin.getWriter();
  const reading = Promise.all([collect("stdout"), collect("stderr")]);
  const result = (async () => {
    const { code } = await child.status;
    await reading;
    await writer.close().catch(() => {});
    for (const wake of waiters) wake();
    return { code, ...texts };
  })();
  return {
    pid: child.pid,
    result,
    get stdout(): string {
      return texts.stdout;
    },
    async written(text: string): Promise<void> {
      const over = result.then(() => true);
      while (!texts.stdout.includes(text) && !texts.stderr.includes(text)) {
        const more = new Promise<boolean>((resolve) =>
          waiters.push(() => resolve(false))
        );
        if (await Promise.race([more, over])) break;
      }
      waiters = [];
      if (!texts.stdout.includes(text) && !texts.stderr.includes(text)) {
        throw new Error(`'${text}' was not written: ${JSON.stringify(texts)}`);
      }
    },
    type: (text) => writer.write(new TextEncoder().encode(text)),
    kill: (signal) => child.kill(signal),
  };
}

/** Runs the command line in a process of its own. */
export function runCli(
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  return startCli(args, options).result;
}
