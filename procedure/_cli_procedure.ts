// Copyright 2026 the Longrun authors. MIT license.

import { CommandError, EXIT, statusOfState, UsageError } from "./_cli_exit.ts";
import type { ExitStatus } from "./_cli_exit.ts";
import { reportAll, reportOutput } from "./_cli_report.ts";
import { type Columns, printRow, printRows } from "./_cli_rows.ts";
import {
  nothing,
  optionOf,
  printJson,
  type Session,
  showTime,
} from "./_cli_session.ts";
import { notKept, showState, stateLines } from "./_cli_table.ts";
import { harmless } from "./_cli_terminal.ts";
import { idOf, inputOf, wordOf } from "./_cli_values.ts";
import { watch } from "./_cli_watch.ts";
import { countStates } from "./_procedure_history.ts";
import type { RemoteProcedure } from "./procedure_client.ts";
import { isFinal } from "./procedure_state.ts";
import {
  type ExecutableScript,
  fileSystemScript,
  gitScript,
} from "./script.ts";

/** Whether what has begun is watched. */
export function isListening(session: Session): boolean {
  const { switches } = session.line;
  if (switches.has("no-listen")) return false;
  return switches.has("listen") || session.terminal.isInteractive;
}

function scriptOf(session: Session, uri: string): ExecutableScript {
  const repo = optionOf(session, "git-repo");
  const branch = optionOf(session, "git-branch");
  const commit = optionOf(session, "git-commit");
  const createEnv = session.line.switches.has("create-env");
  if (uri.startsWith("git://")) {
    if (repo === undefined || repo === "") {
      throw new UsageError("A script of git:// needs '--git-repo=URL'");
    }
    return gitScript(uri, {
      repo,
      createEnv,
      ...(branch === undefined ? {} : { branch }),
      ...(commit === undefined ? {} : { commit }),
    });
  }
  if (!uri.startsWith("file://") || uri.length <= "file://".length) {
    throw new UsageError(
      `'${uri}' is no address of a script: it begins with file:// or git://`,
    );
  }
  if ([repo, branch, commit].some((one) => one !== undefined) || createEnv) {
    throw new UsageError(
      "'--git-repo', '--git-branch', '--git-commit' and '--create-env' are " +
        "for scripts of git://",
    );
  }
  return fileSystemScript(uri);
}

const columns: Columns<RemoteProcedure> = {
  titles: ["ID", "STATE", "CREATED", "SCRIPT"],
  rowOf: ({ id, state, history, script }) => [
    String(id),
    state,
    showTime(history.states[0]?.[1] ?? NaN),
    script.uri,
  ],
};

/** `procedure create` */
export async function create(session: Session): Promise<ExitStatus> {
  const { client, signal, line } = session;
  const [uri = "", ...words] = line.words;
  const script = scriptOf(session, uri);
  const initArgs = inputOf(words, line.values.get("arg-json"));
  const begin = () => client.create({ script, initArgs }, { signal });
  if (!line.switches.has("wait")) {
    await printRow(session, columns, await begin());
    return EXIT.ok;
  }
  const report = reportAll(session);
  const procedure = await watch(session, {
    // One JSON is the result: what happens on the way is for people.
    report: session.isJson
      ? { ...reportOutput(session), line: () => Promise.resolve() }
      : report,
    begin: async () => {
      const { id } = await begin();
      await session.terminal.tell(`Procedure ${id} is being prepared`);
      return { pid: id, shown: 0, isNew: true };
    },
    isDone: (state) => state === "READY" || isFinal(state),
  });
  await printRow(session, columns, procedure);
  return statusOfState(procedure.state);
}

/** The procedure created last. */
async function lastOf(session: Session): Promise<number> {
  const { client, signal } = session;
  const ids = (await client.list({ signal })).map(({ id }) => id);
  if (ids.length === 0) throw nothing("There is no procedure");
  return Math.max(...ids);
}

/** The ID of the command line, by word or by option. */
function idGiven(session: Session): number | undefined {
  const option = optionOf(session, "pid");
  const [word] = session.line.words;
  if (option !== undefined && word !== undefined) {
    throw new UsageError("The ID is given twice", session.line.path);
  }
  const id = option ?? word;
  return id === undefined ? undefined : idOf(id);
}

/** `procedure start` */
export async function start(session: Session): Promise<ExitStatus> {
  const { client, signal, line, terminal } = session;
  const option = optionOf(session, "pid");
  const [first = "", ...rest] = line.words;
  const hasId = option === undefined && /^\d+$/.test(first);
  const args = inputOf(hasId ? rest : line.words, line.values.get("arg-json"));
  const given = option ?? (hasId ? first : undefined);
  const pid = given === undefined ? await lastOf(session) : idOf(given);
  if (given === undefined) await terminal.tell(`This is procedure ${pid}`);
  if (!isListening(session)) {
    await printRow(
      session,
      columns,
      await client.start({ pid, args }, { signal }),
    );
    return EXIT.ok;
  }
  const { history } = await client.get(pid, { signal });
  const { state } = await watch(session, {
    report: reportAll(session),
    begin: async () => {
      await client.start({ pid, args }, { signal });
      return { pid, shown: countStates(history) };
    },
    isDone: isFinal,
  });
  return statusOfState(state);
}

/** The procedure that is RUNNING. */
async function runningOf(session: Session): Promise<number> {
  const { client, signal } = session;
  const running = (await client.list({ signal }))
    .filter(({ state }) => state === "RUNNING").map(({ id }) => id);
  const [only] = running;
  if (only === undefined) {
    throw nothing("No procedure is RUNNING: name the one to be stopped");
  }
  if (running.length > 1) {
    throw new CommandError(
      EXIT.usage,
      `Several procedures are RUNNING (${running.join(", ")}): ` +
        "name the one to be stopped",
    );
  }
  return only;
}

/** `procedure stop` */
export async function stop(session: Session): Promise<ExitStatus> {
  const { client, signal, line } = session;
  const pid = idGiven(session) ?? await runningOf(session);
  const runAbort = line.switches.has("run-abort");
  const message = await client.stop({ pid, runAbort }, { signal });
  if (session.isJson) await printJson(session, { pid, abort_message: message });
  else await session.terminal.print(harmless(message));
  return EXIT.ok;
}

/** `procedure list` */
export async function list(session: Session): Promise<ExitStatus> {
  const { client, signal } = session;
  const procedures = await client.list({ signal });
  await printRows(session, columns, procedures, "No procedures");
  return EXIT.ok;
}

/** `procedure describe` */
export async function describe(session: Session): Promise<ExitStatus> {
  const { client, signal, terminal } = session;
  const pid = idGiven(session) ?? await lastOf(session);
  const procedure = await client.get(pid, { signal });
  if (session.isJson) {
    await printJson(session, procedure);
    return EXIT.ok;
  }
  const { id, state, script, calls, history, uri } = procedure;
  const { droppedCalls = 0 } = procedure;
  const lines = [
    `Procedure ${id} is ${showState(terminal, state)}`,
    `Script:  ${harmless(script.uri)}`,
  ];
  if (script.type === "git") {
    const { repo, branch, commit } = script.git;
    lines.push(`         of ${harmless([repo, branch, commit].join(" "))}`);
  }
  if (uri !== "") lines.push(`Address: ${harmless(uri)}`);
  lines.push("", "Calls:");
  for (const [index, { fn, input, time }] of calls.entries()) {
    if (index === 1 && droppedCalls > 0) lines.push(notKept(droppedCalls));
    const words = [
      ...input.args.map(wordOf),
      ...Object.entries(input.kwargs).map(([key, value]) =>
        `${key}=${wordOf(value)}`
      ),
    ];
    const text = harmless([fn, ...words].join(" "));
    lines.push(`  ${showTime(time).padEnd(19)}  ${text}`);
  }
  const { states, droppedStates } = history;
  lines.push("", "States:", ...stateLines(terminal, states, droppedStates));
  if (history.stacktrace !== null) {
    const trace = history.stacktrace.split("\n").map(harmless);
    lines.push("", ...trace.map((text) => terminal.paint(text, "red")));
  }
  await terminal.print(lines.join("\n"));
  return EXIT.ok;
}

/** The patterns of topics, one for each option or several with commas. */
function topicsOf(session: Session): readonly string[] | undefined {
  const { values, path } = session.line;
  const topics = values.get("topics")?.flatMap((each) => each.split(","));
  const wrong = topics?.find((each) => !/^\S+$/.test(each));
  if (wrong === undefined) return topics;
  throw new UsageError(`'${wrong}' is no pattern of topics`, path);
}

/** `procedure listen` */
export async function listen(session: Session): Promise<ExitStatus> {
  const { client, signal, terminal } = session;
  const pid = idGiven(session);
  const topics = topicsOf(session);
  if (pid !== undefined) {
    if (topics !== undefined) {
      throw new UsageError("'--topics' and an ID exclude each other");
    }
    const { state } = await watch(session, {
      report: reportAll(session),
      begin: () => Promise.resolve({ pid, shown: 0 }),
      isDone: isFinal,
    });
    return statusOfState(state);
  }
  const events = client.stream({
    signal,
    ...(topics === undefined ? {} : { topics }),
  });
  await events.connect();
  await terminal.tell("Listening; Ctrl-C ends it");
  for await (const event of events) {
    if (session.isJson) {
      await printJson(session, event);
      continue;
    }
    const { topic, source, time, data } = event;
    if (topic === "stream.gap") {
      await terminal.tell(`(${data.dropped ?? "some"} events were lost)`);
      continue;
    }
    const shown = [showTime(time), topic, source, JSON.stringify(data)];
    await terminal.printForeign(shown.join(" "));
  }
  return EXIT.ok;
}

/** `procedure output` */
export async function output(session: Session): Promise<ExitStatus> {
  const { client, signal, line } = session;
  const pid = idGiven(session);
  if (pid === undefined) {
    throw new UsageError("Whose output? The ID is missing", line.path);
  }
  const report = reportOutput(session);
  if (line.switches.has("follow")) {
    await watch(session, {
      report,
      begin: async () => {
        // A service that keeps no output does not look like a silent script.
        await client.output(pid, { limit: 1, signal });
        return { pid, shown: 0 };
      },
      isDone: isFinal,
      isSilent: true,
    });
    return EXIT.ok;
  }
  for (let after = 0;;) {
    const page = await client.output(pid, { after, signal });
    for (const each of page.lines) await report.line(each);
    const last = page.lines.at(-1)?.line;
    if (last === undefined || last <= after) return EXIT.ok;
    after = last;
  }
}
