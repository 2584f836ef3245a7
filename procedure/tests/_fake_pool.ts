// Copyright 2026 the Longrun authors. MIT license.

import type { ProcedureInput, ScriptContext } from "../procedure.ts";
import { ProcedureError } from "../procedure_errors.ts";
import type { ExecutableScript } from "../script.ts";
import type {
  CreateScriptOptions,
  ScriptEnd,
  ScriptPool,
} from "../script_pool.ts";

/** A call of a function, which ends when the test says so. */
export interface FakeCall {
  pid: number;
  fn: string;
  input: ProcedureInput;
  context: ScriptContext;
  end(): void;
  fail(error: unknown): void;
}

interface FakeProcess {
  ended: PromiseWithResolvers<ScriptEnd>;
  cancel: PromiseWithResolvers<never>;
}

/** Processes that do what a test says, in no time. */
export class FakePool implements ScriptPool {
  /** What was asked of it, in order. */
  readonly log: string[] = [];
  /** The calls that have not ended. */
  readonly calls: FakeCall[] = [];
  /** The functions of each script. */
  functions: readonly string[] = ["init", "main"];
  /** Whether calls of `init` end at once. */
  endsInit = true;
  /** What the load of a script waits for. */
  loads: (pid: number) => Promise<unknown> = () => Promise.resolve();
  /** How a stop ends. */
  stops: (pid: number) => Promise<"stopped" | "unknown"> = () =>
    Promise.resolve("stopped");
  /** Which scripts are refused. */
  refuses: (script: ExecutableScript) => boolean = () => false;
  readonly #processes: Map<number, FakeProcess> = new Map();

  /** How many processes there are. */
  get size(): number {
    return this.#processes.size;
  }

  check(script: ExecutableScript): Promise<void> {
    return this.refuses(script)
      ? Promise.reject(new ProcedureError("script-refused", "Not this one"))
      : Promise.resolve();
  }

  async create(
    pid: number,
    script: ExecutableScript,
    { signal, onState }: CreateScriptOptions,
  ): Promise<readonly string[]> {
    this.log.push(`create ${pid} ${script.uri}`);
    const process: FakeProcess = {
      ended: Promise.withResolvers(),
      cancel: Promise.withResolvers(),
    };
    process.cancel.promise.catch(() => {});
    this.#processes.set(pid, process);
    onState("IDLE");
    onState("LOADING");
    await Promise.race([this.loads(pid), process.cancel.promise]);
    signal.throwIfAborted();
    onState("IDLE");
    return this.functions;
  }

  async run(
    pid: number,
    fn: string,
    input: ProcedureInput,
    context: ScriptContext,
  ): Promise<void> {
    this.log.push(`run ${pid} ${fn}`);
    if (fn === "init" && this.endsInit) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const call: FakeCall = {
      pid,
      fn,
      input,
      context,
      end: resolve,
      fail: reject,
    };
    this.calls.push(call);
    try {
      await Promise.race([promise, this.#processes.get(pid)?.cancel.promise]);
    } finally {
      this.calls.splice(this.calls.indexOf(call), 1);
    }
  }

  ended(pid: number): Promise<ScriptEnd> {
    return this.#processes.get(pid)?.ended.promise ??
      Promise.resolve({ reason: "there is no process" });
  }

  async stop(pid: number): Promise<"stopped" | "unknown"> {
    this.log.push(`stop ${pid}`);
    const process = this.#processes.get(pid);
    const how = await this.stops(pid);
    if (how === "stopped") this.crash(pid, "stopped");
    else process?.cancel.reject(new Error("lost"));
    return how;
  }

  /** The process of a procedure ends. */
  crash(pid: number, reason: string): void {
    const process = this.#processes.get(pid);
    this.#processes.delete(pid);
    process?.ended.resolve({ reason });
    process?.cancel.reject(new Error(`The process has ended: ${reason}`));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.log.push("close");
    return Promise.resolve();
  }
}

/** Lets everything happen that waits for nothing but promises. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}
