// Copyright 2026 the Longrun authors. MIT license.

import { abortable } from "@longrun/tasks/cancellation";
import { EventBus } from "@longrun/tasks/event-bus";
import { ManualClock } from "@longrun/tasks/testing";
import {
  canMove,
  InMemoryProcedureStore,
  isFinal,
  type OutputOptions,
  type PrepareProcessCommand,
  type ProcedureBus,
  ProcedureError,
  procedureInput,
  type ProcedureService,
  type ProcedureState,
  type ProcedureSummary,
  type ScriptContext,
  type StartProcessCommand,
  type StopProcessCommand,
  type StoredOutput,
  type WaitForStateOptions,
  type WaitOptions,
} from "../mod.ts";

/** What becomes of a script; without, it does all it should. */
export interface FakeOutcome {
  /** `"none"`: it has no `init`. */
  init?: "ok" | "fail" | "hang" | "none";
  main?: "ok" | "fail" | "hang";
  /** `prepare` rejects with it. */
  refuse?: unknown;
  /** `start` rejects with it. */
  refuseStart?: unknown;
  /** `stop` ends so. */
  stop?: "STOPPED" | "UNKNOWN";
}

export interface FakeProceduresOptions {
  clock?: ManualClock;
  /** By the address of the script. */
  outcomes?: Record<string, FakeOutcome>;
  /** How long each state takes; 0 leaves all moves to {@linkcode FakeProcedures.move}. */
  step?: number;
  maxRunning?: number;
  /** What the clock's zero is, in milliseconds since the epoch. */
  epoch?: number;
}

const ANNOUNCED = {
  INITIALISING: "procedure.lifecycle.started",
  RUNNING: "procedure.lifecycle.started",
  COMPLETE: "procedure.lifecycle.complete",
  FAILED: "procedure.lifecycle.failed",
  STOPPED: "procedure.lifecycle.stopped",
  UNKNOWN: "procedure.lifecycle.unknown",
} as const;

/**
 * A service without processes: procedures move along the table of transitions,
 * as the clock goes on or by hand, and publish what real ones publish.
 */
export class FakeProcedures implements ProcedureService, Disposable {
  readonly clock: ManualClock;
  readonly bus: ProcedureBus;
  readonly outcomes: Map<string, FakeOutcome>;
  /** What was asked for, in order. */
  readonly asked: string[] = [];
  readonly starts: StartProcessCommand[] = [];
  readonly prepared: PrepareProcessCommand[] = [];
  readonly stops: StopProcessCommand[] = [];
  context: ScriptContext = Object.freeze({ waitForQaReady: true });
  readonly #summaries: Map<number, ProcedureSummary> = new Map();
  readonly #output: InMemoryProcedureStore = new InMemoryProcedureStore();
  readonly #step: number;
  readonly #maxRunning: number;
  readonly #epoch: number;
  #lastId = 0;

  constructor(options: FakeProceduresOptions = {}) {
    const { outcomes = {}, step = 10, maxRunning = 1, epoch = 0 } = options;
    this.clock = options.clock ?? new ManualClock();
    this.bus = new EventBus({
      name: "fake",
      clock: this.clock,
      timeOrigin: epoch,
    });
    this.outcomes = new Map(Object.entries(outcomes));
    this.#step = step;
    this.#maxRunning = maxRunning;
    this.#epoch = epoch;
  }

  now = (): number => this.#epoch + this.clock.now();

  get(pid: number): ProcedureSummary {
    const summary = this.#summaries.get(pid);
    if (summary !== undefined) return summary;
    throw new ProcedureError("procedure-not-found", `PID #${pid} not found`);
  }

  setContext(changes: Readonly<Record<string, unknown>>): void {
    this.context = Object.freeze({ ...this.context, ...changes });
  }

  async prepare(
    command: PrepareProcessCommand,
    options: WaitOptions = {},
  ): Promise<ProcedureSummary> {
    this.asked.push(`prepare ${command.script.uri}`);
    this.prepared.push(command);
    options.signal?.throwIfAborted();
    const { script, initArgs = procedureInput() } = command;
    const { refuse } = this.#outcome(script.uri);
    await Promise.resolve();
    if (refuse !== undefined) throw refuse;
    const id = ++this.#lastId;
    const time = this.now();
    const summary: ProcedureSummary = {
      id,
      script,
      calls: [{ fn: "init", input: initArgs, time }],
      history: { states: [["CREATING", time]], stacktrace: null },
      state: "CREATING",
    };
    this.#keep(summary);
    this.#tell(id, "CREATING", time);
    this.#continue(id, "IDLE");
    return this.get(id);
  }

  async start(
    command: StartProcessCommand,
    options: WaitOptions = {},
  ): Promise<ProcedureSummary> {
    const { pid, fn = "main", args = procedureInput() } = command;
    this.asked.push(`start ${pid} ${fn}`);
    options.signal?.throwIfAborted();
    if (command.forceStart) {
      await this.waitForState(pid, "READY", options);
    }
    const summary = this.get(pid);
    const { refuseStart } = this.#outcome(summary.script.uri);
    if (refuseStart !== undefined) throw refuseStart;
    if (summary.state !== "READY") {
      throw new ProcedureError(
        "invalid-state",
        `PID #${pid} unrunnable in state ${summary.state}`,
      );
    }
    const running = this.summarise().filter(({ state }) => state === "RUNNING");
    const [first] = running;
    if (first !== undefined && running.length >= this.#maxRunning) {
      throw new ProcedureError(
        "another-running",
        `Cannot start PID ${pid}: PID #${first.id} is RUNNING`,
      );
    }
    this.starts.push(command);
    const call = { fn, input: args, time: this.now() };
    this.#keep({ ...summary, calls: [...summary.calls, call] });
    this.move(pid, "RUNNING");
    const { main = "ok" } = this.#outcome(summary.script.uri);
    if (fn !== "main") this.#continue(pid, "READY");
    else if (main === "fail") this.#continue(pid, "FAILED");
    else if (main === "ok") this.#continue(pid, "READY", "COMPLETE");
    return this.get(pid);
  }

  async stop(
    command: StopProcessCommand,
  ): Promise<readonly ProcedureSummary[]> {
    const { pid } = command;
    this.asked.push(`stop ${pid}`);
    this.stops.push(command);
    const { state, script } = this.get(pid);
    if (isFinal(state)) {
      throw new ProcedureError(
        "invalid-state",
        `Cannot stop PID ${pid} with state ${state}`,
      );
    }
    await Promise.resolve();
    if (!isFinal(this.get(pid).state)) {
      this.move(pid, this.#outcome(script.uri).stop ?? "STOPPED");
    }
    return [];
  }

  summarise(pids?: readonly number[]): readonly ProcedureSummary[] {
    return pids === undefined
      ? [...this.#summaries.values()]
      : pids.map((pid) => this.get(pid));
  }

  async waitForState(
    pid: number,
    states: ProcedureState | readonly ProcedureState[],
    options: WaitForStateOptions = {},
  ): Promise<ProcedureSummary> {
    const wanted = [states].flat();
    const { promise, resolve, reject } = Promise.withResolvers<
      ProcedureSummary
    >();
    const look = (): void => {
      const summary = this.get(pid);
      if (wanted.includes(summary.state)) resolve(summary);
      else if (isFinal(summary.state)) {
        const message = `PID #${pid} is ${summary.state}`;
        reject(new ProcedureError("invalid-state", message));
      }
    };
    look();
    const end = this.bus.onEvent("procedure.lifecycle.statechange", look);
    try {
      return await abortable(promise, options.signal);
    } finally {
      end();
    }
  }

  output(pid: number, options?: OutputOptions): readonly StoredOutput[] {
    this.get(pid);
    return this.#output.output(pid, options);
  }

  /** A line of a script. */
  write(pid: number, text: string, dropped = 0): void {
    const line = { pid, stream: "stdout", text, dropped } as const;
    this.#output.appendOutput({ ...line, time: this.now() });
    this.bus.publish("script.output", line, { source: String(pid) });
  }

  /** Moves a procedure, if the table allows it. */
  move(pid: number, state: ProcedureState, stacktrace?: string): void {
    const summary = this.get(pid);
    const { history } = summary;
    if (!canMove(summary.state, state)) {
      throw new Error(`No way from ${summary.state} to ${state}`);
    }
    const time = this.now();
    const failure = state === "FAILED"
      ? stacktrace ?? "Error: as told"
      : history.stacktrace;
    this.#keep({
      ...summary,
      state,
      history: {
        states: [...history.states, [state, time]],
        stacktrace: failure,
      },
    });
    this.#tell(pid, state, time, summary);
  }

  /** The history has become too long. */
  forget(pid: number): void {
    this.#summaries.delete(pid);
    this.#output.removeProcedure(pid);
    this.bus.publish("procedure.lifecycle.removed", { pid });
  }

  [Symbol.dispose](): void {
    this.bus.close();
    this.#output.close();
  }

  #outcome(uri: string): FakeOutcome {
    return this.outcomes.get(uri) ?? {};
  }

  #keep(summary: ProcedureSummary): void {
    this.#summaries.set(summary.id, Object.freeze(summary));
    this.#output.saveProcedure(summary);
  }

  #tell(
    pid: number,
    state: ProcedureState,
    time: number,
    before?: ProcedureSummary,
  ): void {
    const source = { source: String(pid) };
    const summary = this.get(pid);
    const { bus } = this;
    bus.publish(
      "procedure.lifecycle.statechange",
      { pid, state, time },
      source,
    );
    const { stacktrace } = summary.history;
    if (state === "FAILED" && stacktrace !== null) {
      bus.publish(
        "procedure.lifecycle.stacktrace",
        { pid, stacktrace },
        source,
      );
    }
    if (before?.state === "LOADING" && state === "IDLE") {
      bus.publish("procedure.lifecycle.created", summary, source);
    }
    const wasReady = before?.history.states.some(([one]) => one === "READY");
    if (state === "READY" && !wasReady) {
      bus.publish("procedure.lifecycle.ready", summary, source);
    }
    if (Object.hasOwn(ANNOUNCED, state)) {
      const topic = ANNOUNCED[state as keyof typeof ANNOUNCED];
      bus.publish(topic, summary, source);
    }
  }

  /** Goes on by itself, step by step, as long as nothing else has happened. */
  #continue(pid: number, ...states: ProcedureState[]): void {
    const [next, ...others] = states;
    if (this.#step === 0 || next === undefined) return;
    const { length } = this.get(pid).history.states;
    this.clock.setTimer(() => {
      const summary = this.#summaries.get(pid);
      if (summary?.history.states.length !== length) return;
      this.move(pid, next);
      this.#continue(
        pid,
        ...others.length > 0 ? others : this.#way(summary, next),
      );
    }, this.#step);
  }

  /** What follows a state before the first READY. */
  #way(
    { state, script }: ProcedureSummary,
    next: ProcedureState,
  ): ProcedureState[] {
    const { init = "ok" } = this.#outcome(script.uri);
    const isGit = script.type === "git" && script.createEnv;
    if (next === "IDLE" && state === "CREATING") {
      return [isGit ? "PREP_ENV" : "LOADING"];
    }
    if (next === "PREP_ENV" || next === "LOADING") return ["IDLE"];
    if (next === "IDLE" && state === "PREP_ENV") return ["LOADING"];
    if (next === "IDLE" && state === "LOADING") {
      return [init === "none" ? "READY" : "INITIALISING"];
    }
    if (next === "INITIALISING" && init === "ok") return ["READY"];
    if (next === "INITIALISING" && init === "fail") return ["FAILED"];
    return [];
  }
}
