// Copyright 2026 the Longrun authors. MIT license.

import {
  EXIT,
  type ExitStatus,
  statusOfState,
  UsageError,
} from "./_cli_exit.ts";
import { isListening } from "./_cli_procedure.ts";
import { reportAll } from "./_cli_report.ts";
import { type Columns, printRow, printRows } from "./_cli_rows.ts";
import {
  nothing,
  optionOf,
  printJson,
  type Session,
  showTime,
} from "./_cli_session.ts";
import { showState, stateLines } from "./_cli_table.ts";
import { harmless } from "./_cli_terminal.ts";
import { idOf, scriptArgsOf } from "./_cli_values.ts";
import { watch } from "./_cli_watch.ts";
import type { RemoteActivity } from "./procedure_client.ts";
import { isFinal } from "./procedure_state.ts";

const columns: Columns<RemoteActivity> = {
  titles: ["ID", "STATE", "PROCEDURE", "ACTIVITY", "SBD", "REQUESTED"],
  rowOf: (activity) => [
    String(activity.id),
    activity.state,
    String(activity.procedureId ?? "-"),
    activity.name,
    activity.sbdId,
    showTime(activity.states[0]?.[1] ?? NaN),
  ],
};

/** `activity run` */
export async function run(session: Session): Promise<ExitStatus> {
  const { client, signal, line, terminal } = session;
  const [name = "", sbdId = ""] = line.words;
  const given = optionOf(session, "script-args");
  const args = given === undefined ? {} : scriptArgsOf(given);
  const prepareOnly = line.switches.has("prepare-only");
  const createEnv = line.switches.has("create-env");
  const command = { name, sbdId, prepareOnly, createEnv, args };
  if (!isListening(session)) {
    await printRow(session, columns, await client.run(command, { signal }));
    return EXIT.ok;
  }
  const { state } = await watch(session, {
    report: reportAll(session),
    begin: async () => {
      const activity = await client.run(command, { signal });
      const { id, procedureId } = activity;
      await terminal.tell(`Activity ${id} is procedure ${procedureId}`);
      if (procedureId === null) throw nothing("It has no procedure");
      return { pid: procedureId, shown: 0, isNew: true };
    },
    isDone: (state) => isFinal(state) || prepareOnly && state === "READY",
  });
  return statusOfState(state);
}

/** `activity list` */
export async function list(session: Session): Promise<ExitStatus> {
  const { client, signal } = session;
  const activities = await client.activities({ signal });
  await printRows(session, columns, activities, "No activities");
  return EXIT.ok;
}

async function lastOf(session: Session): Promise<number> {
  const { client, signal } = session;
  const ids = (await client.activities({ signal })).map(({ id }) => id);
  if (ids.length === 0) throw nothing("There is no activity");
  return Math.max(...ids);
}

/** `activity describe` */
export async function describe(session: Session): Promise<ExitStatus> {
  const { client, signal, terminal, line } = session;
  const option = optionOf(session, "aid");
  const [word] = line.words;
  if (option !== undefined && word !== undefined) {
    throw new UsageError("The ID is given twice", line.path);
  }
  const given = option ?? word;
  const id = given === undefined ? await lastOf(session) : idOf(given);
  const activity = await client.activity(id, { signal });
  if (session.isJson) {
    await printJson(session, activity);
    return EXIT.ok;
  }
  const { procedureId, name, sbdId, sbiId, state, states, uri } = activity;
  const lines = [
    `Activity ${id} is ${showState(terminal, state)}`,
    `Name:      ${harmless(name)}`,
    `Procedure: ${procedureId ?? "-"}`,
    `SBD:       ${harmless(sbdId)}`,
    `SBI:       ${harmless(sbiId)}`,
  ];
  if (uri !== "") lines.push(`Address:   ${harmless(uri)}`);
  const { droppedStates } = activity;
  lines.push("", "States:", ...stateLines(terminal, states, droppedStates));
  await terminal.print(lines.join("\n"));
  return EXIT.ok;
}
