// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals } from "@std/assert";
import { getLogger as getStdLogger } from "@std/log";
import { test } from "@std/testing/bdd";
import {
  configure,
  getLogger as getLogTapeLogger,
  type LogRecord,
  reset,
} from "@logtape/logtape";
import { pino } from "pino";
import { BackgroundTask } from "../background_task.ts";
import { defaultLogger, type Logger } from "../logger.ts";
import { turns } from "./_turns.ts";
import { runProgram } from "./_process.ts";

/** A task that fails while nobody looks. */
async function failUnseen(logger: Logger): Promise<void> {
  const task = new BackgroundTask(() => Promise.reject(new Error("no beam")), {
    name: "beam 4",
    logger,
  });
  task.run();
  for await (const _ of task.states());
  await turns();
}

test("Logger is what console is", () => {
  const logger: Logger = console;
  assertEquals(typeof logger.warn, "function");
});

test("Logger is what a logger of @std/log is", () => {
  const logger: Logger = getStdLogger("default");
  assertEquals(typeof logger.warn, "function");
});

test("Logger is what a logger of LogTape is", async () => {
  const records: LogRecord[] = [];
  await configure({
    sinks: { memory: (record) => records.push(record) },
    loggers: [
      { category: "longrun", sinks: ["memory"], lowestLevel: "debug" },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "error" },
    ],
  });
  try {
    await failUnseen(getLogTapeLogger("longrun"));
  } finally {
    await reset();
  }
  assertEquals(
    records.map(({ level, message, properties }) => [
      level,
      message,
      (properties.error as Error).message,
    ]),
    [["error", ["Task 'beam 4' failed: Error: no beam"], "no beam"]],
  );
});

test("Logger is what a logger of pino is", async () => {
  const lines: string[] = [];
  const logger = pino({ base: null, timestamp: false }, {
    write: (line: string) => lines.push(line),
  });
  await failUnseen(logger);
  assertEquals(lines.map((line) => JSON.parse(line)), [
    { level: 50, msg: "Task 'beam 4' failed: Error: no beam" },
  ]);
});

test("defaultLogger is silent but for errors", async () => {
  const { stdout, stderr, code } = await runProgram(`
    import { BackgroundTask } from "ROOT/background_task.ts";
    import { defaultLogger } from "ROOT/logger.ts";
    defaultLogger.debug("debug");
    defaultLogger.info("info");
    defaultLogger.warn("warn");
    const task = new BackgroundTask(() => { throw new Error("no beam"); });
    task.run();
  `);
  assertEquals(stdout, "");
  assertEquals(
    stderr.split("\n")[0]?.replace(/ \{$/, ""),
    "Task 'background task' failed: Error: no beam",
  );
  assertEquals(code, 0);
  assertEquals(typeof defaultLogger.error, "function");
});
