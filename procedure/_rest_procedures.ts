// Copyright 2026 the Longrun authors. MIT license.

/**
 * The routes below `/procedures`: what each of them asks of the service, and
 * what of that the original answers otherwise.
 *
 * @module
 */

import { hasCode } from "./_error_code.ts";
import { noProcedure } from "./_problem.ts";
import {
  decodeInput,
  encodeOutput,
  encodeProcedure,
  type ScriptArgsJson,
} from "./_procedure_json.ts";
import { decodeScript, type ScriptJson } from "./_script_json.ts";
import { jsonResponse, type RestCall } from "./_rest_call.ts";
import { readPage } from "./_rest_parameters.ts";
import type { ProcedureSummary } from "./procedure.ts";
import { ProcedureError } from "./procedure_errors.ts";
import type { ProcedureService } from "./procedure_service.ts";
import { isFinal } from "./procedure_state.ts";

interface ProcedureCreateJson {
  script: ScriptJson;
  script_args?: ScriptArgsJson | null;
}

interface ProcedureUpdateJson {
  state?: string | null;
  script_args?: ScriptArgsJson | null;
  abort?: boolean | null;
}

/** Answers what is asked of procedures. */
export class ProcedureRoutes {
  readonly #procedures: ProcedureService;
  readonly #compat: boolean;

  /** @param compat Whether what is refused is answered as the original does. */
  constructor(procedures: ProcedureService, compat: boolean) {
    this.#procedures = procedures;
    this.#compat = compat;
  }

  list({ root }: RestCall): Response {
    const all = this.#procedures.summarise();
    return jsonResponse(all.map((each) => encodeProcedure(each, root)));
  }

  get(call: RestCall): Response {
    return jsonResponse(encodeProcedure(this.#summary(call.id), call.root));
  }

  async create(call: RestCall): Promise<Response> {
    const body = await call.body<ProcedureCreateJson>();
    const summary = await this.#procedures.prepare({
      script: decodeScript(body.script),
      initArgs: decodeInput(body.script_args?.init),
    }, { signal: call.signal });
    const json = encodeProcedure(summary, call.root);
    return jsonResponse(json, 201, { location: json.uri });
  }

  async update(call: RestCall): Promise<Response> {
    const { id } = call;
    const body = await call.body<ProcedureUpdateJson>();
    const { state } = body;
    await call.admit(
      state === "RUNNING" ? ["run"] : state === "STOPPED" ? ["stop"] : [],
    );
    const summary = this.#summary(id);
    if (state === "STOPPED") {
      const said = await this.#stop(call, summary, body.abort ?? false);
      return jsonResponse({ abort_message: said });
    }
    const changed = state === "RUNNING"
      ? await this.#start(call, summary, body)
      : summary;
    return jsonResponse(encodeProcedure(changed, call.root));
  }

  output(call: RestCall): Response {
    const { id } = call;
    const page = readPage(call.url.searchParams);
    this.#summary(id);
    const lines = this.#procedures.output(id, page);
    return jsonResponse({
      lines: lines.map(encodeOutput),
      next: lines.at(-1)?.line ?? page.after,
    });
  }

  #summary(id: number): ProcedureSummary {
    try {
      const [summary] = this.#procedures.summarise([id]);
      if (summary !== undefined) return summary;
    } catch (error) {
      if (!hasCode(error, "procedure-not-found")) throw error;
    }
    throw noProcedure(id);
  }

  async #start(
    { signal }: RestCall,
    summary: ProcedureSummary,
    body: ProcedureUpdateJson,
  ): Promise<ProcedureSummary> {
    const { id: pid, state } = summary;
    if (this.#compat && state !== "READY") return summary;
    const args = decodeInput(body.script_args?.main);
    try {
      const command = { pid, fn: "main", args };
      return await this.#procedures.start(command, { signal });
    } catch (error) {
      this.#throwUnlessCompat(error, pid);
      return this.#summary(pid);
    }
  }

  async #stop(
    { signal }: RestCall,
    { id: pid, state }: ProcedureSummary,
    runAbort: boolean,
  ): Promise<string> {
    try {
      if (isFinal(state)) {
        const detail = `Cannot stop PID ${pid} with state ${state}`;
        throw new ProcedureError("invalid-state", detail);
      }
      await this.#procedures.stop({ pid, runAbort }, { signal });
    } catch (error) {
      this.#throwUnlessCompat(error, pid);
      return `Cannot stop script with ID ${pid}: Script is not running`;
    }
    const more = runAbort ? " and aborted subarray activity" : "";
    return `Successfully stopped script with ID ${pid}${more}`;
  }

  /** The original takes no notice of what is refused for its state. */
  #throwUnlessCompat(error: unknown, pid: number): void {
    if (hasCode(error, "procedure-not-found")) throw noProcedure(pid);
    if (!this.#compat || !hasCode(error, "invalid-state")) throw error;
  }
}
