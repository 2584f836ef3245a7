// Copyright 2026 the Longrun authors. MIT license.

/**
 * The topics of the bus of the service, and what is published on them.
 *
 * @module
 */

import type { BusReply } from "@longrun/tasks/event-bus";
import type {
  ActivityState,
  ActivitySummary,
  RunActivityCommand,
} from "./activity.ts";
import type {
  PrepareProcessCommand,
  ProcedureSummary,
  StartProcessCommand,
  StopProcessCommand,
} from "./procedure.ts";
import type { ProcedureState } from "./procedure_state.ts";

/** A procedure has another state. `LifecycleMessage` of `ska_oso_oet`. */
export interface LifecycleMessage {
  /** The number of the procedure. */
  readonly pid: number;
  /** The state that it has now. */
  readonly state: ProcedureState;
  /** Since when, in milliseconds since the epoch. */
  readonly time: number;
}

/** A line that a script wrote. */
export interface ScriptOutput {
  /** The number of the procedure. */
  readonly pid: number;
  /** Where it was written, `log` being the script's own logger. */
  readonly stream: "stdout" | "stderr" | "log";
  /** The line, without its end. */
  readonly text: string;
  /** How many lines were lost before this one, because there were too many. */
  readonly dropped: number;
}

/**
 * What is published on which topic. The names of `ska_oso_oet`; the source of
 * an event of a procedure is the number of the procedure.
 *
 * What scripts publish themselves has topics of their own choice, all but those
 * that begin with `procedure.`, `activity.`, `request.`, `operator.`, `script.`,
 * `sb.` and `stream.`, and any value that can be cloned.
 */
export interface ProcedureTopics {
  /** Ask for a procedure to be prepared. */
  "request.procedure.create": PrepareProcessCommand;
  /** Ask for a procedure to be started. */
  "request.procedure.start": StartProcessCommand;
  /** Ask for a procedure to be stopped. */
  "request.procedure.stop": StopProcessCommand;
  /** Ask for procedures: all, or those of these numbers. */
  "request.procedure.list": { readonly pids?: readonly number[] };
  /** Ask for an activity to be run. */
  "request.activity.run": RunActivityCommand;
  /** Ask for activities: all, or those of these numbers. */
  "request.activity.list": { readonly ids?: readonly number[] };
  /** The reply to `request.activity.run`. */
  "activity.reply.running": BusReply<ActivitySummary>;
  /** The reply to `request.activity.list`. */
  "activity.pool.list": BusReply<readonly ActivitySummary[]>;
  /** The reply to `request.procedure.create`. */
  "procedure.reply.created": BusReply<ProcedureSummary>;
  /** The reply to `request.procedure.start`. */
  "procedure.reply.started": BusReply<ProcedureSummary>;
  /** The reply to `request.procedure.stop`. */
  "procedure.reply.stopped": BusReply<readonly ProcedureSummary[]>;
  /** The reply to `request.procedure.list`. */
  "procedure.pool.list": BusReply<readonly ProcedureSummary[]>;
  /** A procedure has another state. */
  "procedure.lifecycle.statechange": LifecycleMessage;
  /** A procedure has failed, and this is why. Comes after `FAILED`. */
  "procedure.lifecycle.stacktrace": {
    readonly pid: number;
    readonly stacktrace: string;
  };
  /** The script of a procedure has been loaded. */
  "procedure.lifecycle.created": ProcedureSummary;
  /** A function of a procedure has begun: `init` too. */
  "procedure.lifecycle.started": ProcedureSummary;
  /** A procedure is READY for the first time, with an `init` or without. */
  "procedure.lifecycle.ready": ProcedureSummary;
  /** The `main` of a procedure has ended. */
  "procedure.lifecycle.complete": ProcedureSummary;
  /** A procedure has failed. */
  "procedure.lifecycle.failed": ProcedureSummary;
  /** A procedure was stopped. */
  "procedure.lifecycle.stopped": ProcedureSummary;
  /** Nobody knows whether the process of a procedure has ended. */
  "procedure.lifecycle.unknown": ProcedureSummary;
  /** A procedure was removed from the history: there were too many. */
  "procedure.lifecycle.removed": { readonly pid: number };
  /** A line that a script wrote. */
  "script.output": ScriptOutput;
  /** An activity has begun, or has been prepared. */
  "activity.lifecycle.running": ActivitySummary;
  /** An activity has another state. */
  "activity.lifecycle.statechange": {
    readonly id: number;
    readonly state: ActivityState;
    readonly time: number;
  };
  /** The work on a scheduling block has begun. */
  "sb.lifecycle.started": { readonly sbiId: string };
  /** The work on a scheduling block has ended as it should. */
  "sb.lifecycle.finished.succeeded": { readonly sbiId: string };
  /** The work on a scheduling block has ended otherwise. */
  "sb.lifecycle.finished.failed": { readonly sbiId: string };
  /** Scripts that start from now on wait until quality assurance is ready. */
  "operator.wait_for_qa_ready.enable": Record<string, never>;
  /** Scripts that start from now on do not. */
  "operator.wait_for_qa_ready.disable": Record<string, never>;
  /** The scripts that wait now need not: they have to subscribe to it. */
  "operator.wait_for_qa_ready.override": Record<string, never>;
}
