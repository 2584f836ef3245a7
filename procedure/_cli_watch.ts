// Copyright 2026 the Longrun authors. MIT license.

import { backoff } from "@longrun/tasks/backoff";
import { abortable, CancelScope, sleep } from "@longrun/tasks/cancellation";
import type { WatchReport } from "./_cli_report.ts";
import { optionOf, type Session, showElapsed } from "./_cli_session.ts";
import type { RemoteEvent } from "./_client_wire.ts";
import { keptFrom, stateAt } from "./_procedure_history.ts";
import {
  ProcedureClientError,
  type ProcedureEvents,
  type RemoteProcedure,
} from "./procedure_client.ts";
import type { ProcedureHistory } from "./procedure.ts";
import { isFinal, type ProcedureState } from "./procedure_state.ts";

/** Topics of the service; all others are those of scripts. */
const OWN_TOPIC = /^(procedure|activity|request|operator|script|sb|stream)\./;
/** How often somebody without a line for the status is told, in milliseconds. */
const REMINDER = 30_000;
/** How long the last events may take after the end, in milliseconds. */
const LAST_EVENTS = 1000;
/** How many events of the script wait until its states are known. */
const MAX_EVENTS = 1000;
/** What is known before anything is. */
const NO_HISTORY: ProcedureHistory = { states: [], stacktrace: null };

/** What is watched, once it has begun. */
export interface Watched {
  readonly pid: number;
  /** How many of its states are known already. */
  readonly shown: number;
  /** Whether there was none before `begin`, so that no event of it is missed. */
  readonly isNew?: boolean;
}

/** Options of {@linkcode watch}. */
export interface WatchOptions {
  readonly report: WatchReport;
  /** Begins what is watched. By then no event is missed any more. */
  begin(): Promise<Watched>;
  /** Whether this state is the end. */
  isDone(state: ProcedureState): boolean;
  /** Whether anybody wants to know that it goes on. */
  readonly isSilent?: boolean;
}

/**
 * Tells what happens to a procedure until it is done.
 *
 * Events only say that there is something new; what it is, is asked for. So
 * nothing is missing and nothing is told twice, whatever happens to the stream.
 */
export async function watch(
  session: Session,
  options: WatchOptions,
): Promise<RemoteProcedure> {
  using scope = new CancelScope(session.signal);
  const { signal } = scope;
  const events = session.client.stream({ signal });
  try {
    await events.connect();
    session.onInterrupt(() => {
      session.terminal.tell(
        "What was asked for may have begun: see longrun procedure list",
      );
      session.interrupt();
    });
    const watched = await options.begin();
    return await new Watch(session, options, signal, watched).run(events);
  } finally {
    await events.return();
    session.onInterrupt(undefined);
    await session.terminal.status("");
  }
}

class Watch {
  readonly #session: Session;
  readonly #options: WatchOptions;
  readonly #signal: AbortSignal;
  readonly #pid: number;
  readonly #isNew: boolean;
  readonly #since: number;
  #shown: number;
  #after = 0;
  #hasOutput = true;
  #isStateNew = true;
  #isOutputNew = true;
  readonly #events: RemoteEvent[] = [];
  /** How many of them the states that are known go with. */
  #due = 0;
  #wake: () => void = () => {};
  /** What the events have ended with. */
  #failure: { readonly error: unknown } | undefined = undefined;
  #drained: () => void = () => {};
  /** The state that the stream told last. */
  #heard: unknown = undefined;
  #onState: () => void = () => {};
  #summary: RemoteProcedure | undefined = undefined;
  #answer: Promise<void> | undefined = undefined;

  constructor(
    session: Session,
    options: WatchOptions,
    signal: AbortSignal,
    { pid, shown, isNew = false }: Watched,
  ) {
    this.#session = session;
    this.#options = options;
    this.#signal = signal;
    this.#pid = pid;
    this.#shown = shown;
    this.#isNew = isNew;
    this.#since = session.clock.now();
  }

  async run(events: ProcedureEvents): Promise<RemoteProcedure> {
    const session = this.#session;
    session.onInterrupt(() => this.#interrupted());
    this.#read(events).catch((error) => {
      this.#failure = { error };
      this.#wake();
    });
    const stopTicking = this.#options.isSilent ? () => {} : this.#tick(0);
    try {
      for (;;) {
        const summary = await this.#refresh();
        if (summary !== undefined && this.#options.isDone(summary.state)) {
          await this.#answer;
          this.#signal.throwIfAborted();
          await this.#options.report.end(summary);
          return summary;
        }
        const woken = Promise.withResolvers<void>();
        this.#wake = woken.resolve;
        if (this.#isStateNew || this.#isOutputNew) continue;
        // Not a race with the failure, on which each round would leave more.
        if (this.#failure === undefined) {
          await abortable(woken.promise, this.#signal);
        }
        if (this.#failure !== undefined) throw this.#failure.error;
      }
    } finally {
      stopTicking();
    }
  }

  async #read(events: ProcedureEvents): Promise<void> {
    for await (const event of events) {
      if (event.topic === "stream.gap") {
        this.#isOutputNew = true;
        this.#isStateNew = true;
      } else if (!this.#isOfMine(event)) continue;
      else if (event.topic === "script.output") this.#isOutputNew = true;
      else if (OWN_TOPIC.test(event.topic)) {
        this.#isStateNew = true;
        if (event.topic.endsWith(".statechange")) {
          this.#heard = event.data.new_state;
          this.#onState();
        }
      } else {
        this.#events.push(event);
        this.#isStateNew = true;
      }
      this.#wake();
      while (this.#events.length >= MAX_EVENTS) {
        const drained = Promise.withResolvers<void>();
        this.#drained = drained.resolve;
        await abortable(drained.promise, this.#signal);
      }
    }
  }

  #isOfMine({ source, data }: RemoteEvent): boolean {
    const pid = this.#pid;
    const { id } = Object(data.result) as { id?: unknown };
    return source === String(pid) || data.pid === pid || id === pid;
  }

  /** Asks for what is new; asks again when there is no answer. */
  async #refresh(): Promise<RemoteProcedure | undefined> {
    const policy = backoff({ limit: Infinity, initial: 250, maximum: 5000 });
    for (let attempt = 1;; attempt++) {
      try {
        await this.#ask();
        return this.#summary;
      } catch (error) {
        this.#signal.throwIfAborted();
        const isLasting = !(error instanceof ProcedureClientError) ||
          error.isFinal || error.code === "bad-answer";
        if (isLasting) throw error;
        if (attempt === 1) {
          await this.#session.terminal.tell(`${error.message}; trying again`);
        }
        this.#isOutputNew = true;
        this.#isStateNew = true;
        const { clock } = this.#session;
        const delay = policy.delay(attempt) ?? 0;
        await sleep(delay, { signal: this.#signal, clock });
      }
    }
  }

  async #ask(): Promise<void> {
    const { client } = this.#session;
    const signal = this.#signal;
    const pid = this.#pid;
    if (this.#isStateNew) await this.#askState();
    if (!this.#isOutputNew) return;
    this.#isOutputNew = false;
    while (this.#hasOutput) {
      const after = this.#after;
      const page = await client.output(pid, { after, signal })
        .catch((error) => {
          if (error instanceof ProcedureClientError && error.status === 404) {
            this.#hasOutput = false;
            return { lines: [], next: after };
          }
          throw error;
        });
      if (page.lines.length > 0 && !this.#isSettled) await this.#askState();
      for (const line of page.lines) {
        await this.#tellUntil(line.time);
        await this.#options.report.line(line);
        this.#after = line.line;
      }
      if (page.lines.length === 0) break;
    }
    await this.#tellUntil(Infinity);
    this.#drained();
  }

  /** Asks for the states, which may be fewer than lines and events imply. */
  async #askState(): Promise<void> {
    this.#isStateNew = false;
    const published = this.#events.length;
    const signal = this.#signal;
    this.#summary = await this.#session.client.get(this.#pid, { signal });
    this.#isOutputNew = true;
    await this.#hearOut(this.#summary.state);
    this.#due = this.#isSettled ? Infinity : published;
  }

  /** Whether what the script does now is done in a state that is known. */
  get #isSettled(): boolean {
    const state = this.#summary?.state;
    return state === "RUNNING" ||
      state !== undefined && this.#options.isDone(state);
  }

  /** Waits for the events before the end, which may still be on their way. */
  async #hearOut(state: ProcedureState): Promise<void> {
    // What had ended before anybody listened publishes no more.
    const isOld = this.#shown === 0 && !this.#isNew;
    if (isOld || !this.#options.isDone(state)) return;
    const { clock } = this.#session;
    const heard = Promise.withResolvers<void>();
    this.#onState = () => {
      if (this.#heard === state) heard.resolve();
    };
    this.#onState();
    const cancel = clock.setTimer(heard.resolve, LAST_EVENTS);
    try {
      await abortable(heard.promise, this.#signal);
    } finally {
      cancel();
      this.#onState = () => {};
    }
  }

  /** Tells the states and the events until a time, in their order. */
  async #tellUntil(until: number): Promise<void> {
    const { report } = this.#options;
    const pid = this.#pid;
    for (;;) {
      const history = this.#summary?.history ?? NO_HISTORY;
      this.#shown = keptFrom(history, this.#shown);
      const [state, began = Infinity] = stateAt(history, this.#shown) ?? [];
      const event = this.#due > 0 ? this.#events[0] : undefined;
      // An event without a time comes as it came.
      const published = event === undefined ? Infinity : event.time || 0;
      const next = Math.min(published, until);
      // In the same millisecond: a script writes and publishes after the state
      // that begins a call and before the one that ends it.
      const isEnd = state === "READY" || state !== undefined && isFinal(state);
      if (state !== undefined && (began < next || began === next && !isEnd)) {
        this.#shown++;
        await report.state(pid, state, began);
      } else if (event !== undefined && published <= until) {
        this.#events.shift();
        this.#due--;
        await report.event(pid, event);
      } else return;
    }
  }

  /** Says from time to time that it goes on. */
  #tick(told: number): () => void {
    const { terminal, clock } = this.#session;
    const passed = clock.now() - this.#since;
    const state = this.#summary?.state ?? "";
    let next = told;
    if (this.#answer !== undefined) {
      // The question stays alone on its line.
    } else if (terminal.hasStatus) {
      terminal.status(
        `Procedure ${this.#pid} ${state} ${showElapsed(passed)} ` +
          "(Ctrl-C leaves it running)",
      );
    } else if (passed >= told + REMINDER) {
      next = told + REMINDER;
      terminal.tell(
        `Procedure ${this.#pid} is still ${state} after ${showElapsed(passed)}`,
      );
    }
    let cancel = clock.setTimer(() => cancel = this.#tick(next), 1000);
    return () => cancel();
  }

  #interrupted(): void {
    const session = this.#session;
    const { terminal, line, readLine } = session;
    const mayAsk = line.switches.has("stop-on-interrupt");
    if (!mayAsk || readLine === undefined || !terminal.hasStatus) {
      this.#leave();
      return;
    }
    this.#answer = this.#offerStop(readLine).catch(async (error) => {
      await terminal.complain(`longrun: ${error.message}`);
      this.#leave();
    });
  }

  async #offerStop(readLine: () => Promise<string>): Promise<void> {
    const { terminal, client } = this.#session;
    const pid = this.#pid;
    await terminal.ask(`\nStop procedure ${pid}? [y/N] `);
    if (/^\s*y(es)?\s*$/i.test(await readLine())) {
      const said = await client.stop({ pid });
      await terminal.tell(said);
      this.#session.interrupt();
    } else {
      this.#leave();
    }
  }

  #leave(): void {
    const server = optionOf(this.#session, "server");
    const where = server === undefined ? "" : ` --server ${server}`;
    this.#session.terminal.tell(
      `Procedure ${this.#pid} goes on. To stop it: ` +
        `longrun procedure stop ${this.#pid}${where}`,
    );
    this.#session.interrupt();
  }
}
