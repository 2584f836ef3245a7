// Copyright 2026 the Longrun authors. MIT license.

/** Many procedures and many readers, with three processes besides the scripts. */

import { assert, assertEquals, assertLess } from "@std/assert";
import { test } from "@std/testing/bdd";
import { procedureInput } from "../procedure.ts";
import { ProcedureClient, ProcedureClientError } from "../procedure_client.ts";
import { isFinal, type ProcedureState } from "../procedure_state.ts";
import { fileSystemScript } from "../script.ts";
import { configured } from "./_configured.ts";
import { childrenOf, eventually, pause } from "./_eventually.ts";
import { SCRIPTS } from "./_script_rig.ts";

const PROCEDURES = 200;
const READERS = 500;
/** More than may live, which is more than may run. */
const DRIVERS = 8;
const PATIENCE = 600_000;

const SCRIPT = fileSystemScript(`file://${SCRIPTS}/success.ts`);

/** A program of this folder, and what it writes, line by line. */
class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncIterator<string>;

  constructor(name: string, flags: readonly string[], args: readonly string[]) {
    const program = new URL(`./${name}.ts`, import.meta.url).pathname;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", ...flags, program, ...args],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#lines = linesOf(this.#child.stdout);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The next line that it writes, perhaps when it has been told something. */
  async line(told?: string): Promise<string> {
    if (told !== undefined) {
      await this.#writer.write(new TextEncoder().encode(`${told}\n`));
    }
    const { value } = await this.#lines.next();
    return value ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close().catch(() => {});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 30_000);
    const { success } = await this.#child.status;
    clearTimeout(timer);
    await this.#lines.return?.();
    assert(success, "A program of the test has failed");
  }
}

async function* linesOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/** What a process holds: descriptors, memory and processes. */
function holdings(pid: number): { descriptors: number; children: number } {
  return {
    descriptors: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
    children: childrenOf(pid).length,
  };
}

/** The states of procedures, as one stream of events tells them. */
class States implements AsyncDisposable {
  readonly last: Map<number, ProcedureState> = new Map();
  readonly #events;
  readonly #reading: Promise<void>;
  readonly #waiters: Map<number, () => void> = new Map();
  gaps = 0;

  constructor(client: ProcedureClient) {
    this.#events = client.stream({
      topics: ["procedure.lifecycle.statechange"],
    });
    this.#reading = this.#read();
  }

  connect(): Promise<void> {
    return this.#events.connect();
  }

  async #read(): Promise<void> {
    for await (const { topic, data } of this.#events) {
      if (topic === "stream.gap") this.gaps++;
      const { pid, new_state: state } = data as {
        pid: number;
        new_state: ProcedureState;
      };
      this.last.set(pid, state);
      this.#waiters.get(pid)?.();
    }
  }

  /** Waits until a procedure is in this state, or has ended. */
  async until(pid: number, wanted: ProcedureState): Promise<ProcedureState> {
    for (;;) {
      const state = this.last.get(pid);
      if (state !== undefined && (state === wanted || isFinal(state))) {
        return state;
      }
      await new Promise<void>((resolve) => this.#waiters.set(pid, resolve));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#events.return();
    await this.#reading;
  }
}

/** How often the service has said that there are too many. */
interface Refusals {
  live: number;
  running: number;
}

/** Does something as soon as the service lets it. */
async function patiently<T>(
  work: () => Promise<T>,
  refusals: Refusals,
): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ProcedureClientError)) throw error;
      if (error.code === "too-many-procedures") {
        assertEquals(error.status, 503);
        refusals.live++;
        await pause(error.retryAfter);
      } else if (error.code === "another-running") {
        assertEquals(error.status, 409);
        refusals.running++;
        await pause(30);
      } else throw error;
    }
  }
}

/** Prepares so many procedures and runs each to its end. */
async function drive(
  client: ProcedureClient,
  states: States,
  count: number,
): Promise<Refusals> {
  const refusals: Refusals = { live: 0, running: 0 };
  let left = count;
  const reached = async (pid: number, wanted: ProcedureState) => {
    const state = await states.until(pid, wanted);
    if (state === wanted) return;
    const { history } = await client.get(pid);
    throw new Error(`Procedure ${pid} is ${state}: ${history.stacktrace}`);
  };
  const driver = async (): Promise<void> => {
    while (left-- > 0) {
      const { id: pid } = await patiently(
        () =>
          client.create({
            script: SCRIPT,
            initArgs: procedureInput({ subarray_id: 1 }),
          }),
        refusals,
      );
      await reached(pid, "READY");
      await patiently(
        () => client.start({ pid, args: procedureInput({ scans: 2 }) }),
        refusals,
      );
      await reached(pid, "COMPLETE");
    }
  };
  await Promise.all(Array.from({ length: DRIVERS }, driver));
  return refusals;
}

test(`${PROCEDURES} procedures and ${READERS} readers: nothing is lost, nothing is left`, async () => {
  await using service = new Program(
    "_load_service",
    ["-A", "--v8-flags=--expose-gc", ...configured()],
    [SCRIPTS],
  );
  const { url } = JSON.parse(await service.line());
  const client = new ProcedureClient({ url, timeout: PATIENCE });
  await using states = new States(client);
  await states.connect();
  const warmUp = 12;
  await drive(client, states, warmUp);
  const held = JSON.parse(await service.line(""));
  const before = holdings(service.pid);
  assertEquals(before.children, 0);

  {
    await using readers = new Program(
      "_load_readers",
      ["--no-config", "--allow-net=127.0.0.1"],
      [`${url}/stream`, String(READERS)],
    );
    assertEquals(await readers.line(), "open");
    const refusals = await drive(client, states, PROCEDURES);
    assert(refusals.live > 0 && refusals.running > 0, "Nobody had to wait");
    const { events } = JSON.parse(await service.line("load.over"));
    const count = events - held.events;
    assert(count > PROCEDURES * 15, `There were ${count} events only`);
    const seen: [string, number][] = JSON.parse(await readers.line());
    assertEquals(seen.length, 1, JSON.stringify(seen));
    const [[what, howMany]] = seen as [[string, number]];
    assertEquals(howMany, READERS);
    assert(
      what.startsWith(`${held.events + 1}-${events}, ${count} events, `),
      `${what} of ${held.events + 1}-${events}`,
    );
  }

  assertEquals(states.gaps, 0);
  assertEquals(
    [...states.last].sort(([a], [b]) => a - b),
    Array.from({ length: warmUp + PROCEDURES }, (_, i) => [i + 1, "COMPLETE"]),
  );
  const remembered = await client.list();
  assertEquals(
    remembered.map(({ state }) => state),
    Array(10).fill("COMPLETE"),
  );

  await eventually(() => {
    const { descriptors, children } = holdings(service.pid);
    return children === 0 && descriptors <= before.descriptors + 4;
  }, "were all descriptors and processes given back");
  const left = JSON.parse(await service.line(""));
  const megabytes = (key: "heapUsed" | "rss") =>
    (left[key] - held[key]) / 2 ** 20;
  assertLess(megabytes("heapUsed"), 8);
  // What V8 and the allocator keep; a second time adds nothing to it.
  assertLess(megabytes("rss"), 250);
});
