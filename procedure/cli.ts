// Copyright 2026 the Longrun authors. MIT license.

/**
 * The command line `longrun`: runs a service of procedures, and controls one.
 *
 * ```text
 * deno install -gA -n longrun jsr:@longrun/procedure/cli
 *
 * longrun serve --root ./scripts
 * longrun procedure create file:///.../observe.ts subarray_id=1 --wait
 * longrun procedure start scans=3
 * ```
 *
 * @module
 */

import { CancelScope } from "@longrun/tasks/cancellation";
import { systemClock } from "@longrun/tasks/clock";
import * as activity from "./_cli_activity.ts";
import { completionFor, SHELLS } from "./_cli_completion.ts";
import { readToken } from "./_cli_config.ts";
import {
  Ending,
  EXIT,
  type ExitStatus,
  statusOfError,
  UsageError,
} from "./_cli_exit.ts";
import { helpOf } from "./_cli_help.ts";
import {
  type CommandLine,
  parseCommandLine,
  suggestion,
} from "./_cli_parse.ts";
import * as procedure from "./_cli_procedure.ts";
import { isLoopback } from "./_rest_access.ts";
import { runServe, type Serve } from "./_cli_serve.ts";
import { type OnInterrupt, optionOf, type Session } from "./_cli_session.ts";
import { harmless, Terminal } from "./_cli_terminal.ts";
import { durationOf } from "./_cli_values.ts";
import configuration from "./deno.json" with { type: "json" };
import { ProcedureClient } from "./procedure_client.ts";

export type { Logger } from "@longrun/tasks/logger";
export type { ServeGrants, ServeScope, ServeToken } from "./_cli_config.ts";
export type { ExitStatus } from "./_cli_exit.ts";
export type { Serve, Served, ServeRequest } from "./_cli_serve.ts";

/** Options of {@linkcode longrun}. */
export interface LongrunOptions {
  /**
   * Starts the service of `longrun serve`.
   *
   * @default {serve}
   */
  serve?: Serve;
}

type Run = (session: Session) => Promise<ExitStatus>;

const RUNS: Readonly<Record<string, Run>> = {
  "procedure create": procedure.create,
  "procedure start": procedure.start,
  "procedure stop": procedure.stop,
  "procedure list": procedure.list,
  "procedure describe": procedure.describe,
  "procedure listen": procedure.listen,
  "procedure output": procedure.output,
  "activity run": activity.run,
  "activity list": activity.list,
  "activity describe": activity.describe,
};

/** What ends the work; Windows has no more than Ctrl-C. */
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM"];

const startServer: Serve = async ({ abortScript, blocks, ...options }) => {
  const { signal } = options;
  // The commands that only ask should not load the whole service.
  const [{ serve }, { fileSystemScript }, stores] = await Promise.all([
    import("./server.ts"),
    import("./script.ts"),
    import("./scheduling_block_store.ts"),
  ]);
  const definitions = blocks === undefined
    ? []
    : await stores.loadSchedulingBlocks(blocks, { signal });
  return await serve({
    ...options,
    ...(abortScript === undefined
      ? {}
      : { abortScript: fileSystemScript(abortScript) }),
    blocks: new stores.InMemorySchedulingBlockStore({ definitions }),
  });
};

function isColored(line: CommandLine | undefined): boolean {
  return !line?.switches.has("no-color") && !Deno.env.get("NO_COLOR") &&
    Deno.env.get("TERM") !== "dumb" && Deno.stdout.isTerminal();
}

function width(): number {
  try {
    // A terminal that knows no size says 0.
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}

/** Reads a line that a person types. */
async function readLine(): Promise<string> {
  const decoder = new TextDecoder();
  const bytes = new Uint8Array(1024);
  let text = "";
  while (!text.includes("\n")) {
    const size = await Deno.stdin.read(bytes);
    if (size === null) break;
    text += decoder.decode(bytes.subarray(0, size), { stream: true });
  }
  return text.split("\n")[0] ?? "";
}

async function tokenOf(line: CommandLine): Promise<string | undefined> {
  const token = line.values.get("token")?.at(-1);
  const file = line.values.get("token-file")?.at(-1);
  if (token !== undefined && file !== undefined) {
    throw new UsageError("'--token' and '--token-file' exclude each other");
  }
  if (file !== undefined) return await readToken(file);
  const given = token ?? Deno.env.get("LONGRUN_TOKEN");
  if (given === undefined || given === "") return undefined;
  if (/^[!-~]+$/.test(given)) return given;
  throw new UsageError("The token has spaces, or characters beyond ASCII");
}

function clientOf(line: CommandLine, token: string | undefined) {
  const url = line.values.get("server")?.at(-1) ??
    (Deno.env.get("LONGRUN_URL") || undefined);
  try {
    return new ProcedureClient({
      ...(url === undefined ? {} : { url }),
      ...(token === undefined ? {} : { token }),
    });
  } catch {
    throw new UsageError(`'${url}' is no address of http or https`);
  }
}

/** Does what a command line asks for. */
class Invocation {
  readonly #scope: CancelScope = new CancelScope();
  readonly #options: LongrunOptions;
  readonly #terminal: Terminal;
  readonly #line: CommandLine | undefined;
  #onInterrupt: OnInterrupt = undefined;
  #interrupts = 0;

  constructor(line: CommandLine | undefined, options: LongrunOptions) {
    this.#options = options;
    this.#line = line;
    this.#terminal = new Terminal({
      stdout: Deno.stdout,
      stderr: Deno.stderr,
      isColored: isColored(line),
      isQuiet: line?.switches.has("quiet") ?? false,
      width,
      onClosed: () => this.#end(EXIT.closed, "Nobody reads the output"),
    });
  }

  async run(failure: unknown): Promise<ExitStatus> {
    const interrupt = (): void => this.#interrupted();
    for (const each of SIGNALS) Deno.addSignalListener(each, interrupt);
    let status: ExitStatus;
    try {
      if (this.#line === undefined) throw failure;
      status = await this.#work(this.#line);
    } catch (error) {
      status = await this.#fail(error);
    }
    await this.#terminal.flush();
    for (const each of SIGNALS) Deno.removeSignalListener(each, interrupt);
    const { reason } = this.#scope;
    return reason instanceof Ending && reason.status === EXIT.closed
      ? EXIT.closed
      : status;
  }

  async #work(line: CommandLine): Promise<ExitStatus> {
    const { command, path, switches } = line;
    const terminal = this.#terminal;
    if (switches.has("version")) {
      await terminal.print(`longrun ${configuration.version}`);
      return EXIT.ok;
    }
    if (switches.has("help")) {
      await terminal.write(helpOf(path));
      return EXIT.ok;
    }
    if (command === undefined) {
      await terminal.complain(helpOf(path).trimEnd());
      return EXIT.usage;
    }
    const name = path.join(" ");
    if (name === "completion") {
      const [word = ""] = line.words;
      const shell = SHELLS.find((one) => one === word);
      if (shell === undefined) {
        const hint = suggestion(word, SHELLS);
        throw new UsageError(
          `There is no completion for '${word}'${hint}`,
          path,
        );
      }
      await terminal.write(completionFor(shell));
      return EXIT.ok;
    }
    const token = await tokenOf(line);
    const session = this.#sessionOf(line, token);
    const limit = optionOf(session, "timeout");
    const cancel = limit === undefined ? () => {} : systemClock.setTimer(
      () => this.#end(EXIT.timeout, `Not done within ${limit}`),
      durationOf(limit),
    );
    try {
      if (name === "serve") {
        return await runServe(
          session,
          token,
          this.#options.serve ?? startServer,
        );
      }
      const { protocol, hostname } = new URL(session.client.url);
      if (
        token !== undefined && protocol === "http:" && !isLoopback(hostname)
      ) {
        await terminal.tell(
          `The token goes to ${hostname} unencrypted: anybody between can read it`,
        );
      }
      return await (RUNS[name] as Run)(session);
    } finally {
      cancel();
    }
  }

  #sessionOf(line: CommandLine, token: string | undefined): Session {
    const { signal } = this.#scope;
    return {
      line,
      client: clientOf(line, token),
      terminal: this.#terminal,
      clock: systemClock,
      signal,
      isJson: line.switches.has("json"),
      interrupt: () => this.#end(EXIT.interrupted, "Interrupted"),
      onInterrupt: (handler) => this.#onInterrupt = handler,
      readLine: Deno.stdin.isTerminal() ? readLine : undefined,
    };
  }

  async #fail(error: unknown): Promise<ExitStatus> {
    const terminal = this.#terminal;
    const { signal } = this.#scope;
    const cause = signal.aborted ? signal.reason : error;
    if (cause instanceof Ending) {
      if (cause.status === EXIT.timeout) {
        await terminal.complain(`longrun: ${cause.message}`);
      }
      return cause.status;
    }
    const status = statusOfError(cause);
    const isKnown = status !== EXIT.software;
    const words = isKnown
      ? (cause as Error).message.split("\n").map(harmless).join("\n")
      : `This is a mistake in longrun: ${(cause as Error)?.stack ?? cause}`;
    await terminal.complain(`longrun: ${words}`);
    if (cause instanceof UsageError) {
      const name = ["longrun", ...cause.path].join(" ");
      await terminal.complain(`'${name} --help' tells more.`);
    }
    return status;
  }

  #interrupted(): void {
    // Whoever insists is obeyed at once.
    if (++this.#interrupts > 1) Deno.exit(EXIT.interrupted);
    if (this.#onInterrupt === undefined) {
      this.#end(EXIT.interrupted, "Interrupted");
    } else {
      this.#onInterrupt();
    }
  }

  #end(status: ExitStatus, message: string): void {
    if (!this.#scope.aborted) this.#scope.abort(new Ending(status, message));
  }
}

/**
 * Does what a command line asks for, as the program does it: reads the
 * environment, writes to the standard streams and heeds Ctrl-C.
 *
 * @param args The words of the command line.
 * @param options What takes the place of the service.
 * @returns The status to exit with.
 *
 * @example Usage
 * ```ts
 * import { longrun } from "@longrun/procedure/cli";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await longrun(["--version"]), 0);
 * ```
 */
export async function longrun(
  args: readonly string[],
  options: LongrunOptions = {},
): Promise<ExitStatus> {
  let line: CommandLine | undefined;
  let failure: unknown;
  try {
    line = parseCommandLine(args);
  } catch (error) {
    failure = error;
  }
  return await new Invocation(line, options).run(failure);
}

if (import.meta.main) Deno.exit(await longrun(Deno.args));
