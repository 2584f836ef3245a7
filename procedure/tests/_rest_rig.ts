// Copyright 2026 the Longrun authors. MIT license.

import { EventBus } from "@longrun/tasks/event-bus";
import type { Logger } from "@longrun/tasks/logger";
import type { ActivitySummary, RunActivityCommand } from "../activity.ts";
import type {
  ArgCapture,
  PrepareProcessCommand,
  ProcedureSummary,
  ScriptContext,
  StartProcessCommand,
  StopProcessCommand,
} from "../procedure.ts";
import { procedureInput } from "../procedure.ts";
import { ProcedureError } from "../procedure_errors.ts";
import type {
  ActivityRunner,
  OutputOptions,
  ProcedureBus,
  ProcedureService,
  StoredOutput,
  WaitOptions,
} from "../procedure_service.ts";
import { isFinal, type ProcedureState } from "../procedure_state.ts";
import type { ProcedureTopics } from "../procedure_topics.ts";
import { RestApi, type RestApiOptions } from "../rest_api.ts";

/** When everything happens that has no time of its own. */
export const NOW = 1_700_000_000_500;

interface Kept {
  id: number;
  script: PrepareProcessCommand["script"];
  calls: ArgCapture[];
  states: [ProcedureState, number][];
  stacktrace: string | null;
  output: StoredOutput[];
}

/** Procedures that are nothing but their summaries. */
export class PaperProcedures implements ProcedureService {
  readonly bus: ProcedureBus = new EventBus<
    ProcedureTopics & Record<string, unknown>
  >({ name: "paper" });
  context: ScriptContext = { waitForQaReady: true };
  /** What was asked for. */
  readonly prepared: PrepareProcessCommand[] = [];
  readonly started: StartProcessCommand[] = [];
  readonly stopped: StopProcessCommand[] = [];
  /** The state in which a prepared procedure is. */
  prepares: ProcedureState = "READY";
  /** What the next call fails with, or waits for. */
  failure: unknown = undefined;
  gate: Promise<void> | undefined = undefined;
  #kept: Kept[] = [];

  async prepare(
    command: PrepareProcessCommand,
    _options?: WaitOptions,
  ): Promise<ProcedureSummary> {
    await this.#turn();
    this.prepared.push(command);
    const { script, initArgs: input = procedureInput() } = command;
    const kept: Kept = {
      id: this.#kept.length + 1,
      script,
      calls: [{ fn: "init", input, time: NOW }],
      states: [["CREATING", NOW]],
      stacktrace: null,
      output: [],
    };
    this.#kept.push(kept);
    if (this.prepares !== "CREATING") kept.states.push([this.prepares, NOW]);
    return this.#summary(kept);
  }

  async start(command: StartProcessCommand): Promise<ProcedureSummary> {
    await this.#turn();
    const kept = this.#find(command.pid);
    const state = this.#state(kept);
    const { pid, fn = "main", args: input = procedureInput() } = command;
    if (state !== "READY") {
      throw new ProcedureError(
        "invalid-state",
        `PID #${pid} unrunnable in state ${state}`,
      );
    }
    const other = this.#kept.find((each) => this.#state(each) === "RUNNING");
    if (other !== undefined) {
      throw new ProcedureError(
        "another-running",
        `Cannot start PID ${pid}: PID #${other.id} is RUNNING`,
      );
    }
    this.started.push(command);
    kept.calls.push({ fn, input, time: NOW + 1000 });
    kept.states.push(["RUNNING", NOW + 1000]);
    return this.#summary(kept);
  }

  async stop(
    command: StopProcessCommand,
  ): Promise<readonly ProcedureSummary[]> {
    await this.#turn();
    const kept = this.#find(command.pid);
    const state = this.#state(kept);
    if (isFinal(state)) {
      const message = `Cannot stop PID ${command.pid} with state ${state}`;
      throw new ProcedureError("invalid-state", message);
    }
    this.stopped.push(command);
    kept.states.push(["STOPPED", NOW + 2000]);
    return [];
  }

  summarise(pids?: readonly number[]): readonly ProcedureSummary[] {
    if (pids === undefined) {
      return this.#kept.map((each) => this.#summary(each));
    }
    return pids.map((pid) => this.#summary(this.#find(pid)));
  }

  waitForState(pid: number): Promise<ProcedureSummary> {
    return Promise.resolve(this.#summary(this.#find(pid)));
  }

  output(pid: number, options: OutputOptions = {}): readonly StoredOutput[] {
    const { after = 0, limit = 1000 } = options;
    return this.#find(pid).output.slice(after, after + limit);
  }

  setContext(changes: Readonly<Record<string, unknown>>): void {
    this.context = { ...this.context, ...changes };
  }

  /** Lets a procedure go on to a state. */
  move(pid: number, state: ProcedureState, stacktrace?: string): void {
    const kept = this.#find(pid);
    kept.states.push([state, NOW + 3000]);
    if (stacktrace !== undefined) kept.stacktrace = stacktrace;
  }

  /** Lets a procedure write. */
  write(pid: number, text: string): void {
    const { output } = this.#find(pid);
    const line = output.length + 1;
    output.push({
      pid,
      line,
      time: NOW,
      stream: "stdout",
      text,
      dropped: 0,
    });
  }

  async #turn(): Promise<void> {
    await this.gate;
    const failure = this.failure;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
  }

  #find(pid: number): Kept {
    const kept = this.#kept[pid - 1];
    if (kept !== undefined) return kept;
    throw new ProcedureError("procedure-not-found", `PID #${pid} not found`);
  }

  #state(kept: Kept): ProcedureState {
    return kept.states.at(-1)?.[0] ?? "UNKNOWN";
  }

  #summary(kept: Kept): ProcedureSummary {
    const { id, script, calls, states, stacktrace } = kept;
    return {
      id,
      script,
      calls: [...calls],
      history: { states: [...states], stacktrace },
      state: this.#state(kept),
    };
  }
}

/** Activities that are nothing but their summaries. */
export class PaperActivities implements ActivityRunner {
  readonly commands: RunActivityCommand[] = [];
  readonly #kept: ActivitySummary[] = [];

  run(command: RunActivityCommand): Promise<ActivitySummary> {
    const { name, sbdId, prepareOnly = false, args = {} } = command;
    if (name === "missing") {
      return Promise.reject(
        new ProcedureError(
          "activity-not-defined",
          `Activity '${name}' not present in the SBDefinition ${sbdId}`,
        ),
      );
    }
    this.commands.push(command);
    const id = this.#kept.length + 1;
    const summary: ActivitySummary = {
      id,
      procedureId: id + 10,
      sbdId,
      sbiId: `sbi-${id}`,
      name,
      prepareOnly,
      scriptArgs: args,
      state: "REQUESTED",
      states: [["REQUESTED", NOW]],
    };
    this.#kept.push(summary);
    return Promise.resolve(summary);
  }

  summarise(ids?: readonly number[]): readonly ActivitySummary[] {
    if (ids === undefined) return this.#kept;
    return ids.map((id) => {
      const found = this.#kept[id - 1];
      if (found !== undefined) return found;
      throw new ProcedureError(
        "activity-not-found",
        `Activity ${id} not found`,
      );
    });
  }
}

/** A logger that remembers. */
export class Lines implements Logger {
  readonly lines: [string, string, Record<string, unknown> | undefined][] = [];
  readonly debug = (message: string, details?: Record<string, unknown>): void =>
    void this.lines.push(["debug", message, details]);
  readonly info = (message: string, details?: Record<string, unknown>): void =>
    void this.lines.push(["info", message, details]);
  readonly warn = (message: string, details?: Record<string, unknown>): void =>
    void this.lines.push(["warn", message, details]);
  readonly error = (message: string, details?: Record<string, unknown>): void =>
    void this.lines.push(["error", message, details]);
}

/** What a test asks for. */
export interface Wish {
  method?: string;
  json?: unknown;
  headers?: Record<string, string>;
  body?: BodyInit;
  signal?: AbortSignal;
}

/** The interface over procedures of paper, without a server. */
export class RestRig implements AsyncDisposable {
  readonly procedures: PaperProcedures = new PaperProcedures();
  readonly activities: PaperActivities = new PaperActivities();
  readonly logger: Lines = new Lines();
  readonly api: RestApi;

  constructor(options: Partial<RestApiOptions> = {}) {
    const { procedures, activities, logger } = this;
    this.api = new RestApi({ procedures, activities, logger, ...options });
  }

  /** Asks, below the base path unless the address is a whole one. */
  ask(path: string, wish: Wish = {}, info?: unknown): Promise<Response> {
    const { json, method = json === undefined ? "GET" : "POST" } = wish;
    const { body = json === undefined ? undefined : JSON.stringify(json) } =
      wish;
    const url = path.startsWith("http")
      ? path
      : `http://localhost/api/v1${path}`;
    const headers = new Headers(wish.headers);
    if (json !== undefined) headers.set("content-type", "application/json");
    const { signal } = wish;
    const request = new Request(url, { method, headers, body, signal });
    return this.api.fetch(request, info);
  }

  /** Prepares a procedure of a file. */
  async prepare(state: ProcedureState = "READY"): Promise<number> {
    this.procedures.prepares = state;
    const script = { script_type: "filesystem", script_uri: "file:///a.ts" };
    const response = await this.ask("/procedures", { json: { script } });
    const { id } = await response.json();
    return id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api.close();
    this.procedures.bus.close();
  }
}
