// Copyright 2026 the Longrun authors. MIT license.

import { printJson, type Session } from "./_cli_session.ts";
import { showState } from "./_cli_table.ts";
import { harmless } from "./_cli_terminal.ts";
import { originalOf, type RemoteEvent } from "./_client_wire.ts";
import type { StoredOutput } from "./procedure_service.ts";
import type { ProcedureState } from "./procedure_state.ts";
import type { RemoteProcedure } from "./procedure_client.ts";

/** What is told of a procedure that is watched. */
export interface WatchReport {
  state(pid: number, state: ProcedureState, time: number): Promise<void>;
  line(line: StoredOutput): Promise<void>;
  event(pid: number, event: RemoteEvent): Promise<void>;
  end(procedure: RemoteProcedure): Promise<void>;
}

const nothing = (): Promise<void> => Promise.resolve();

/** Writes the lines of a script, and nothing else. */
export function reportOutput(session: Session): WatchReport {
  const { terminal } = session;
  return {
    state: nothing,
    async line(line: StoredOutput): Promise<void> {
      if (session.isJson) return await printJson(session, line);
      if (line.dropped > 0) {
        await terminal.tell(`(${line.dropped} lines were lost)`);
      }
      const isError = line.stream === "stderr";
      await terminal.printForeign(line.text, isError ? "red" : undefined);
    },
    event: nothing,
    end: nothing,
  };
}

function reportJson(session: Session): WatchReport {
  const print = (value: unknown): Promise<void> => printJson(session, value);
  const wireOf = (value: object): Record<string, unknown> =>
    originalOf(value) as Record<string, unknown>;
  return {
    state: (pid, state, time) =>
      print({ kind: "state", pid, state, time: time / 1000 }),
    line: (line) => print({ kind: "output", pid: line.pid, ...wireOf(line) }),
    event: (pid, event) => print({ ...wireOf(event), kind: "event", pid }),
    end: (procedure) => print({ kind: "end", procedure: wireOf(procedure) }),
  };
}

/** Tells all of a procedure: for people, or for programs. */
export function reportAll(session: Session): WatchReport {
  if (session.isJson) return reportJson(session);
  const { terminal } = session;
  return {
    ...reportOutput(session),
    state: (pid, state) =>
      terminal.tell(`Procedure ${pid} is ${showState(terminal, state)}`),
    event: (pid, { topic, data }) => {
      const shown = harmless(`${topic} ${JSON.stringify(data)}`);
      return terminal.tell(`Procedure ${pid} published ${shown}`);
    },
    async end({ history: { stacktrace } }): Promise<void> {
      if (stacktrace === null) return;
      const text = stacktrace.split("\n").map(harmless).join("\n");
      await terminal.complain(terminal.paint(text, "red"));
    },
  };
}
