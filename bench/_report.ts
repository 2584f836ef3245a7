// Copyright 2026 the Longrun authors. MIT license.

/**
 * What the figures say: the tables, and which goals are met.
 *
 * @module
 */

import type { Values } from "./_harness.ts";

/** The values of one runtime by table and row. */
export type Figures = Map<string, Map<string, Values>>;

/** The figures of each runtime, by its name. */
export type AllFigures = Map<string, Figures>;

function figure(
  figures: Figures,
  table: string,
  row: string,
  column: string,
): number {
  return Number(figures.get(table)?.get(row)?.[column] ?? NaN);
}

interface Column {
  table: string;
  column: string;
  head: string;
  digits?: number;
  /** The row, or the column, to show a ratio to. */
  floor?: { row: string } | { column: string };
}

interface Table {
  title: string;
  text: string;
  rows: string;
  columns: Column[];
  /** A column of words that is mostly the same on all runtimes. */
  words?: Column;
}

const GENERATOR = "pass-through async generator";
const BARE_SLEEP = "bare setTimeout promise, no signal";
const INTERVAL = "bare setInterval";
const BARE_WORKERS = "10 bare workers on one index";
const BARE_LOOPS = "plain loops";
const TANGO_CALLS = "tango calls";
const TANGO_EVENTS = "tango events";
const PYTANGO = "PyTango";
const TANGO = "longrun DeviceProxy";
const BARE_RUN = "bare deno run of an empty module, to its end";
const BARE_FORK = "bare fork of node:child_process, to its first message";
const BARE_TERM = "bare SIGTERM to deno run, idle";
const BARE_SERVE = "bare Deno.serve";
const BARE_CALLBACKS = "bare map of callbacks";
const LRC = "longrun LrcDevice and invokeLrc, version 2";

const tasks = (table: string, floor: string): Column[] => [
  { table, column: "run", head: "run", digits: 2, floor: { row: floor } },
  { table, column: "stop", head: "stop", digits: 2 },
  { table, column: "bytes", head: "bytes" },
];

const sleeps = (column: string, floor?: { row: string }): Column[] =>
  [10_000, 100_000].map((count) => ({
    table: `sleep ${count}`,
    column,
    head: `${count / 1000} k`,
    digits: 2,
    floor,
  }));

const tables: Table[] = [
  {
    title: "Items with a limit on the wait for each",
    text: "Nanoseconds an item, for 400 000 items that are ready (fewer for " +
      "what is slow): median of the rounds with the ratio to the generator " +
      "that only passes on, and minimum. The last column says what becomes " +
      "of the loop when the source, an async generator, hangs.",
    rows: "wrapper",
    columns: [
      {
        table: "wrap",
        column: "median",
        head: "median",
        floor: { row: GENERATOR },
      },
      { table: "wrap", column: "min", head: "min" },
    ],
    words: { table: "wrap", column: "stalled", head: "hanging source" },
  },
  {
    title: "Heap that items leave behind",
    text: "Bytes an item while the loop runs, over a million items (50 000 " +
      "for ix timeout), after forced collections; a process each.",
    rows: "wrapper",
    columns: [{ table: "held", column: "bytes", head: "bytes", digits: 1 }],
  },
  {
    title: "Sleeps on one signal: beginning",
    text: "Microseconds for each of ten thousand and a hundred thousand " +
      "sleeps, with the ratio to a promise of a bare `setTimeout`. What takes " +
      "a quadratic time is measured with ten thousand only.",
    rows: "sleep",
    columns: sleeps("create", { row: BARE_SLEEP }),
  },
  {
    title: "Sleeps on one signal: aborting all",
    text: "Microseconds for each until all have settled; of the bare timers " +
      "until they are cleared.",
    rows: "sleep",
    columns: sleeps("abort"),
  },
  {
    title: "Sleeps on one signal: heap",
    text: "Bytes of each of ten thousand sleeps.",
    rows: "sleep",
    columns: [{ table: "sleep 10000", column: "bytes", head: "bytes" }],
  },
  {
    title: "One-shot tasks",
    text: "Ten thousand tasks that sleep for an hour: microseconds each to " +
      "create and run them and to stop them all, bytes of each while it " +
      "sleeps.",
    rows: "task",
    columns: tasks("one-shot tasks", "bare async function and setTimeout"),
  },
  {
    title: "Periodic tasks",
    text: "The same for tasks with a period of an hour.",
    rows: "task",
    columns: tasks("periodic tasks", "bare async loop and setTimeout"),
  },
  {
    title: "Loops that wait for an hour",
    text:
      "Ten thousand of them (a thousand for croner): microseconds each to " +
      "make, milliseconds to stop them all, by one signal where there is one, " +
      "and bytes of each while it waits; a process each.",
    rows: "loop",
    columns: [
      {
        table: "idle loops",
        column: "create",
        head: "make",
        digits: 2,
        floor: { row: INTERVAL },
      },
      { table: "idle loops", column: "stop", head: "stop", digits: 1 },
      { table: "idle loops", column: "bytes", head: "bytes" },
    ],
  },
  ...[5, 10].flatMap((period): Table[] => {
    const table = `loops of ${period} ms`;
    return [
      {
        title: `Loops of ${period} ms: keeping the rate`,
        text: `Over 5 s: rounds of ${5000 / period}, and the drift, which is ` +
          "by how many milliseconds they have left the grid.",
        rows: "loop",
        columns: [
          { table, column: "rounds", head: "rounds" },
          { table, column: "drift", head: "drift", digits: 1 },
        ],
      },
      {
        title: `Loops of ${period} ms: jitter and load`,
        text: "The 99th percentile of the deviation from the period in " +
          "milliseconds, and the load of one processor in percent: the median " +
          "of seven seconds, in each of which all of them had their turn.",
        rows: "loop",
        columns: [
          { table, column: "p99", head: "jitter", digits: 1 },
          {
            table,
            column: "cpu",
            head: "load",
            digits: 2,
            floor: { row: INTERVAL },
          },
        ],
      },
    ];
  }),
  {
    title: "Loops of 1 ms",
    text:
      "Over 5 s: rounds of 5000, the 99th percentile of the deviation from " +
      "the period in milliseconds, and the load of one processor in percent, " +
      "with all threads; medians of three times.",
    rows: "loop",
    columns: [
      { table: "rate of 1 ms", column: "rounds", head: "rounds" },
      { table: "rate of 1 ms", column: "jitter", head: "jitter", digits: 2 },
      { table: "rate of 1 ms", column: "load", head: "load", digits: 1 },
    ],
  },
  {
    title: "What follows a stall",
    text: "A round of 110 ms in a loop of 20 ms: when the rounds after it " +
      "begin, in milliseconds after its beginning.",
    rows: "loop",
    columns: [],
    words: { table: "stall", column: "rounds", head: "next rounds" },
  },
  {
    title: "One loop",
    text: "Microseconds from `loop()` to the first round, and to stop and " +
      "join; milliseconds to stop and join a thousand.",
    rows: "loop",
    columns: [
      { table: "one loop", column: "start", head: "start", digits: 1 },
      { table: "one loop", column: "stop", head: "stop", digits: 1 },
      { table: "one loop", column: "stopAll", head: "stop all", digits: 1 },
    ],
  },
  {
    title: "Tasks with settings and a status",
    text: "A `LoopTask` that sleeps for an hour, in a `TaskContext`: " +
      "microseconds to make it, to start it up to its first round, and to " +
      "stop and join it; one after the other, medians. Then a thousand of " +
      "them: KiB of each while it sleeps, and milliseconds to stop and join " +
      "them all.",
    rows: "task",
    columns: [
      { table: "task", column: "make", head: "make" },
      { table: "task", column: "start", head: "start", digits: 1 },
      { table: "task", column: "stop", head: "stop", digits: 1 },
      { table: "task", column: "kibibytes", head: "KiB", digits: 1 },
      { table: "task", column: "stopAll", head: "stop all", digits: 1 },
    ],
  },
  {
    title: "Commands in flight: time",
    text: "Ten thousand long-running commands of one device, over one " +
      "connection, each with a callback: microseconds for each event from the " +
      "code of the command to the callback, and for each command from the " +
      "sending to the end, as many sent at once while those are in flight. " +
      "An event of version 1 lists all " +
      "commands, which is quadratic: those are 500. No peer speaks this " +
      "protocol; the floors hand the same texts to callbacks.",
    rows: "way",
    columns: [
      {
        table: "lrc",
        column: "event",
        head: "event",
        digits: 2,
        floor: { row: BARE_CALLBACKS },
      },
      { table: "lrc", column: "command", head: "command", digits: 1 },
    ],
  },
  {
    title: "Commands in flight: heap and losses",
    text: "Bytes of each command, with its share of the device: in flight, " +
      "after ten events each, and after the ends of five times as many. What " +
      "should have been told and was not, and how often the device had to be " +
      "asked; a process each for the heap.",
    rows: "way",
    columns: [
      { table: "lrc", column: "bytes", head: "bytes" },
      { table: "lrc", column: "later", head: "later" },
      { table: "lrc", column: "left", head: "left" },
      { table: "lrc", column: "lost", head: "lost" },
      { table: "lrc", column: "asked", head: "asked" },
    ],
  },
  {
    title: "Calls of Tango devices",
    text: "Microseconds for a call of a server in C++ on the same computer, " +
      "one after the other, and of each of a hundred commands at a time: the " +
      "median of the rounds, and the minimum of a command. PyTango is measured " +
      "in the same run, in a process of its own.",
    rows: "client",
    columns: [
      { table: TANGO_CALLS, column: "ping", head: "ping", digits: 1 },
      {
        table: TANGO_CALLS,
        column: "command",
        head: "command",
        digits: 1,
        floor: { row: PYTANGO },
      },
      { table: TANGO_CALLS, column: "command min", head: "min", digits: 1 },
      { table: TANGO_CALLS, column: "read", head: "read", digits: 1 },
      { table: TANGO_CALLS, column: "atOnce", head: "at once", digits: 1 },
    ],
  },
  {
    title: "Events of Tango devices",
    text: "Events a second, and how many of 50 000 were lost, when a server " +
      "in Python sends bursts of 500: as fast as it can, and paced, one in " +
      "10 ms. Servers keep a thousand events for a client and drop what is " +
      "more. The last row is a sender of our own in the same process.",
    rows: "client",
    columns: [
      { table: TANGO_EVENTS, column: "rate", head: "a second" },
      { table: TANGO_EVENTS, column: "lost", head: "lost" },
      { table: TANGO_EVENTS, column: "pacedRate", head: "paced" },
      { table: TANGO_EVENTS, column: "pacedLost", head: "lost" },
    ],
  },
  {
    title: "Jobs, ten at a time",
    text: "Nanoseconds for each of ten thousand and a hundred thousand jobs " +
      "that do next to nothing.",
    rows: "runner",
    columns: [10_000, 100_000].map((count) => ({
      table: `crowd ${count}`,
      column: "ns",
      head: `${count / 1000} k`,
      floor: { row: BARE_WORKERS },
    })),
  },
  {
    title: "Calls of a job, ten at a time, on one signal",
    text: "Nanoseconds for each of ten thousand and a hundred thousand calls " +
      "that do next to nothing. A job is made each time. p-limit knows no " +
      "signal, and with one for all p-queue takes a quadratic time.",
    rows: "runner",
    columns: [10_000, 100_000].map((count) => ({
      table: `jobs ${count}`,
      column: "median",
      head: `${count / 1000} k`,
      floor: { row: BARE_WORKERS },
    })),
  },
  {
    title: "A tree of jobs",
    text:
      "Twenty groups one after the other, each of fifty sequences of four " +
      "calls, eight sequences at a time: nanoseconds a call, and milliseconds " +
      "from an abort in the middle until nothing runs.",
    rows: "runner",
    columns: [
      {
        table: "job tree",
        column: "median",
        head: "call",
        floor: { row: BARE_LOOPS },
      },
      { table: "job tree", column: "quiet", head: "abort", digits: 2 },
    ],
  },
  {
    title: "Events by topic",
    text:
      "Nanoseconds to publish an event that nobody hears of, one callback, " +
      "a hundred, and one among ten thousand others that want other topics; " +
      "and to publish one and take it from a subscription.",
    rows: "bus",
    columns: [
      {
        table: "event_bus",
        column: "nobody, ns",
        head: "nobody",
        digits: 0,
        floor: { row: "bare map of callbacks" },
      },
      {
        table: "event_bus",
        column: "1 callback, ns",
        head: "1 callback",
        digits: 0,
        floor: { row: "bare map of callbacks" },
      },
      {
        table: "event_bus",
        column: "100 callbacks, ns",
        head: "100 callbacks",
        digits: 0,
        floor: { row: "bare map of callbacks" },
      },
      {
        table: "event_bus",
        column: "1 of 10,000, ns",
        head: "1 of 10,000",
        digits: 0,
        floor: { row: "bare map of callbacks" },
      },
      {
        table: "event_bus",
        column: "subscription, ns",
        head: "subscription",
        digits: 0,
      },
    ],
  },
  {
    title: "Procedures: a script that is ready",
    text: "Milliseconds until a script that is in a file, or in a repository " +
      "that is checked out, is loaded in a process of its own and its `init` " +
      "has returned; median and minimum, beside what the platform takes for " +
      "less. The original is not measured: its limits are those that its " +
      "sources state.",
    rows: "what",
    columns: [
      {
        table: "procedure ready",
        column: "ready",
        head: "ready",
        digits: 1,
        floor: { row: BARE_RUN },
      },
      {
        table: "procedure ready",
        column: "ready min",
        head: "min",
        digits: 1,
      },
    ],
    words: {
      table: "procedure ready",
      column: "original",
      head: "the original",
    },
  },
  {
    title: "Procedures: a script that does nothing",
    text: "Milliseconds from the start until it is RUNNING, and until its " +
      "process has ended and it is COMPLETE; medians, and minimum.",
    rows: "what",
    columns: [
      {
        table: "procedure run",
        column: "running",
        head: "RUNNING",
        digits: 1,
      },
      {
        table: "procedure run",
        column: "complete",
        head: "COMPLETE",
        digits: 1,
      },
      {
        table: "procedure run",
        column: "complete min",
        head: "min",
        digits: 1,
      },
    ],
    words: { table: "procedure run", column: "original", head: "the original" },
  },
  {
    title: "Procedures: stopping",
    text: "Milliseconds until a script is STOPPED, its process gone; median " +
      "and minimum. By default a script has a second to end when it is asked, " +
      "half of it when it does not even look; then comes SIGTERM.",
    rows: "what",
    columns: [
      {
        table: "procedure stop",
        column: "stop",
        head: "stopped",
        digits: 1,
        floor: { row: BARE_TERM },
      },
      { table: "procedure stop", column: "stop min", head: "min", digits: 1 },
    ],
    words: {
      table: "procedure stop",
      column: "original",
      head: "the original",
    },
  },
  {
    title: "Procedures: the REST interface",
    text:
      "Requests a second for the summary of a procedure, eight at a time, " +
      "and events a second from the bus to one reader of the stream; medians, " +
      "client and service in one process. Bare is a handler that has the same " +
      "text, and a stream whose bytes are there already.",
    rows: "server",
    columns: [
      {
        table: "procedure rest",
        column: "requests",
        head: "requests",
        floor: { row: BARE_SERVE },
      },
      {
        table: "procedure rest",
        column: "events",
        head: "events",
        floor: { row: BARE_SERVE },
      },
    ],
  },
  {
    title: "A period of 10 ms: keeping it",
    text: "Over 5 s: ticks of 500, and the drift, which is by how many " +
      "milliseconds they have left the grid that the first was on; medians " +
      "of three times.",
    rows: "loop",
    columns: [
      { table: "rate", column: "ticks", head: "ticks" },
      { table: "rate", column: "drift", head: "drift", digits: 1 },
    ],
  },
  {
    title: "A period of 10 ms: jitter and load",
    text: "The 99th percentile of the deviation from the period in " +
      "milliseconds, and the load of one processor in percent.",
    rows: "loop",
    columns: [
      { table: "rate", column: "jitter", head: "jitter", digits: 1 },
      {
        table: "rate",
        column: "cpu",
        head: "load",
        digits: 1,
        floor: { row: INTERVAL },
      },
    ],
  },
  {
    title: "Timers",
    text: "The system clock, whose timers share one timer of the platform, " +
      "beside the platform's `setTimeout`: nanoseconds each.",
    rows: "work",
    columns: [
      { table: "clock", column: "platform", head: "setTimeout" },
      {
        table: "clock",
        column: "longrun",
        head: "longrun",
        floor: { column: "platform" },
      },
    ],
  },
];

/** Two digits that count. */
function ratio(value: number): string {
  return value < 99.5 ? value.toPrecision(2) : value.toFixed(0);
}

function cell(figures: Figures, row: string, spec: Column): string {
  const { table, column, digits = 0, floor } = spec;
  const value = figure(figures, table, row, column);
  if (Number.isNaN(value)) return "";
  // Without a minus before a zero.
  const text = (Number(value.toFixed(digits)) + 0).toFixed(digits);
  if (floor === undefined) return text;
  const base = "row" in floor
    ? figure(figures, table, floor.row, column)
    : figure(figures, table, row, floor.column);
  return `${text} (×${ratio(value / base)})`;
}

function words(all: AllFigures, row: string, spec: Column): string {
  const said = new Map<string, string>();
  for (const [runtime, figures] of all) {
    const word = figures.get(spec.table)?.get(row)?.[spec.column];
    if (word !== undefined) said.set(runtime, String(word));
  }
  const distinct = new Set(said.values());
  if (distinct.size === 1) return [...distinct].join();
  return [...said].map(([runtime, word]) => `${runtime}: ${word}`).join(", ");
}

const NONE = { table: "" };

const line = (cells: string[]): string => `| ${cells.join(" | ")} |`;

function show(all: AllFigures, table: Table): string[] {
  const rows = new Set<string>();
  for (const figures of all.values()) {
    for (const { table: id } of [...table.columns, table.words ?? NONE]) {
      for (const row of figures.get(id)?.keys() ?? []) rows.add(row);
    }
  }
  if (rows.size === 0) return [];
  // Those that run it: some packages are for Deno alone.
  const runtimes = [...all].filter(([, figures]) =>
    table.columns.some(({ table: id }) => figures.has(id))
  );
  const heads = runtimes.flatMap(([runtime]) =>
    table.columns.map(({ head }) => `${runtime} ${head}`)
  );
  const extra = table.words === undefined ? [] : [table.words];
  return [
    `## ${table.title}`,
    "",
    table.text,
    "",
    line([table.rows, ...heads, ...extra.map(({ head }) => head)]),
    line([
      "---",
      ...heads.map(() => "--:"),
      ...extra.map(() => "---"),
    ]),
    ...[...rows].map((row) =>
      line([
        row,
        ...runtimes.flatMap(([, figures]) =>
          table.columns.map((column) => cell(figures, row, column))
        ),
        ...extra.map((column) => words(all, row, column)),
      ])
    ),
    "",
  ];
}

interface Goal {
  text: string;
  atMost?: number;
  atLeast?: number;
  digits?: number;
  /** Where it is a goal; elsewhere the figure is shown without a verdict. */
  runtimes: string[];
  measure(figures: Figures): number;
}

const OURS = "longrun withTimeout, timeout and signal";
const everywhere = ["Deno", "Node", "Bun"];

const timesFaster = (than: string) => (figures: Figures) =>
  figure(figures, "wrap", than, "median") /
  figure(figures, "wrap", OURS, "median");

const timesCheaper = (than: string) => (figures: Figures) =>
  figure(figures, "sleep 10000", than, "create") /
  figure(figures, "sleep 10000", "longrun sleep", "create");

function sleepCost(figures: Figures, count: number): number {
  const of = (column: string) =>
    figure(figures, `sleep ${count}`, "longrun sleep", column);
  return of("create") + of("abort");
}

const jobCost = (figures: Figures, count: number) =>
  figure(figures, `crowd ${count}`, "longrun BackgroundTaskProcessor", "ns");

const goals: Goal[] = [
  {
    text: "`withTimeout` takes at most 1.5 times as long as an async " +
      "generator that only passes items on",
    atMost: 1.5,
    runtimes: ["Deno"],
    measure: (figures) =>
      figure(figures, "wrap", OURS, "median") /
      figure(figures, "wrap", GENERATOR, "median"),
  },
  {
    text: "`withTimeout` is at least 3 times faster than `abortable` of " +
      "`@std/async`",
    atLeast: 3,
    runtimes: ["Deno"],
    measure: timesFaster("@std/async abortable, abort only"),
  },
  {
    text: "`withTimeout` is at least 3 times faster than `Promise.race` an " +
      "item",
    atLeast: 3,
    runtimes: ["Deno"],
    measure: timesFaster(
      "Promise.race an item, abort only (the technique of most peers)",
    ),
  },
  {
    text: "`withTimeout` is at least 40 times faster than `timeout` of ix",
    atLeast: 40,
    runtimes: ["Deno"],
    measure: timesFaster("ix timeout"),
  },
  {
    text: "`withTimeout` leaves at most 1 byte an item behind while it runs",
    atMost: 1,
    runtimes: everywhere,
    measure: (figures) => Math.abs(figure(figures, "held", OURS, "bytes")),
  },
  {
    text: "10 000 sleeps on one signal take at most 1.5 times as long to " +
      "begin as promises of a bare `setTimeout`",
    atMost: 1.5,
    runtimes: everywhere,
    measure: (figures) => 1 / timesCheaper(BARE_SLEEP)(figures),
  },
  {
    text: "… and are at least 5 times cheaper than `delay` of `@std/async`",
    atLeast: 5,
    runtimes: ["Deno"],
    measure: timesCheaper("@std/async delay"),
  },
  {
    text: "… and are at least 5 times cheaper than one listener a sleep",
    atLeast: 5,
    runtimes: everywhere,
    measure: timesCheaper(
      "one listener a sleep (the technique of most peers)",
    ),
  },
  {
    text: "A sleep among 100 000 costs at most twice a sleep among 10 000",
    atMost: 2,
    runtimes: everywhere,
    measure: (figures) =>
      sleepCost(figures, 100_000) / sleepCost(figures, 10_000),
  },
  {
    text: "A job among 100 000 costs at most twice a job among 10 000",
    atMost: 2,
    runtimes: everywhere,
    measure: (figures) => jobCost(figures, 100_000) / jobCost(figures, 10_000),
  },
  {
    text:
      "A `BackgroundTask` of 10 ms is less than a period off its grid after " +
      "5 s",
    atMost: 10,
    digits: 1,
    runtimes: everywhere,
    measure: (figures) =>
      Math.abs(figure(figures, "rate", "longrun BackgroundTask", "drift")),
  },
];

for (const period of [5, 10]) {
  const table = `loops of ${period} ms`;
  goals.push({
    text: `A loop of ${period} ms is at most a period off its grid after 5 s`,
    atMost: period,
    digits: 1,
    runtimes: everywhere,
    measure: (figures) =>
      Math.abs(figure(figures, table, "longrun loop", "drift")),
  }, {
    text: "… and takes at most 1.5 times the processor time of `setInterval`",
    atMost: 1.5,
    runtimes: everywhere,
    measure: (figures) =>
      figure(figures, table, "longrun loop", "cpu") /
      figure(figures, table, INTERVAL, "cpu"),
  });
}

for (
  const [column, most, text, digits] of [
    ["bytes", 1000, "A loop that waits takes at most 1000 bytes", 0],
    ["create", 4, "… and at most 4 µs to make", 2],
    ["stop", 30, "10 000 loops are stopped by one signal within 30 ms", 1],
  ] as const
) {
  goals.push({
    text,
    atMost: most,
    digits,
    runtimes: ["Deno"],
    measure: (figures) => figure(figures, "idle loops", "longrun loop", column),
  });
}

const PRECISE = "longrun ticks, precise clock";

for (
  const [column, limits, text, digits] of [
    [
      "rounds",
      { atLeast: 4950 },
      "By the precise clock, a loop of 1 ms has at least 4950 rounds of 5000",
      0,
    ],
    ["drift", { atMost: 1 }, "… is less than a period off its grid", 2],
    ["jitter", { atMost: 0.25 }, "… has a jitter of at most 0.25 ms", 2],
    ["load", { atMost: 10 }, "… and takes at most 10 % of a processor", 1],
  ] as const
) {
  goals.push({
    text,
    ...limits,
    digits,
    runtimes: ["Deno"],
    measure: (figures) =>
      Math.abs(figure(figures, "rate of 1 ms", PRECISE, column)),
  });
}

/** What QMI 0.54 has taken, on Python 3.11 and a machine like this one. */
const original = { start: 53, stop: 142, kibibytes: 75, stopAll: 110 };

for (
  const [column, what] of [
    ["start", "started"],
    ["stop", "stopped and joined"],
    ["kibibytes", "kept"],
    ["stopAll", "stopped with a thousand others"],
  ] as const
) {
  goals.push({
    text: `A \`LoopTask\` is ${what} at a tenth of the cost in QMI`,
    atLeast: 10,
    digits: 1,
    runtimes: everywhere,
    measure: (figures) =>
      original[column] / figure(figures, "task", "longrun LoopTask", column),
  });
}

const PARALLEL = "longrun parallel";

const callsOf = (row: string) => (figures: Figures) =>
  figure(figures, "jobs 10000", row, "median");

goals.push({
  text: "A call of a job takes at most 2.5 times as long as in ten bare " +
    "workers, for 10 000 of them with a signal",
  atMost: 2.5,
  runtimes: ["Deno"],
  measure: (figures) =>
    callsOf(PARALLEL)(figures) / callsOf(BARE_WORKERS)(figures),
});

for (
  const peer of [
    "p-map",
    "p-limit, no signal",
    "p-queue, no signal",
    "effect forEach",
  ]
) {
  goals.push({
    text: `… which is less than with ${peer}`,
    atLeast: 1,
    digits: 1,
    runtimes: everywhere,
    measure: (figures) => callsOf(peer)(figures) / callsOf(PARALLEL)(figures),
  });
}

goals.push({
  text:
    "A call in a tree of jobs takes at most 2.5 times as long as in plain " +
    "loops",
  atMost: 2.5,
  runtimes: ["Deno"],
  measure: (figures) =>
    figure(
      figures,
      "job tree",
      "longrun sequential and parallel",
      "median",
    ) / figure(figures, "job tree", BARE_LOOPS, "median"),
});

const lrc = (column: string) => (figures: Figures) =>
  figure(figures, "lrc", LRC, column);

goals.push({
  text: "10 000 commands in flight on one device: nothing is lost",
  atMost: 0,
  digits: 0,
  runtimes: everywhere,
  measure: (figures) => lrc("lost")(figures) + lrc("asked")(figures),
}, {
  text: "… each takes at most 8 KiB, with its share of the device",
  atMost: 8192,
  digits: 0,
  runtimes: everywhere,
  measure: lrc("later"),
}, {
  text: "… of which at most 100 bytes are left after its end",
  atMost: 100,
  digits: 0,
  runtimes: everywhere,
  measure: lrc("left"),
}, {
  text: "… and an event takes at most 10 µs",
  atMost: 10,
  digits: 1,
  runtimes: everywhere,
  measure: lrc("event"),
});

goals.push({
  text: "A command of a Tango device takes at most 1.5 times as long as by " +
    "PyTango",
  atMost: 1.5,
  runtimes: ["Deno"],
  measure: (figures) =>
    figure(figures, TANGO_CALLS, TANGO, "command") /
    figure(figures, TANGO_CALLS, PYTANGO, "command"),
}, {
  text: "At least 50 000 events a second of a Tango device are received",
  atLeast: 50_000,
  digits: 0,
  runtimes: everywhere,
  measure: (figures) => figure(figures, TANGO_EVENTS, TANGO, "rate"),
}, {
  text: "… and none is lost of 50 000 in a second",
  atMost: 0,
  digits: 0,
  runtimes: everywhere,
  measure: (figures) => figure(figures, TANGO_EVENTS, TANGO, "pacedLost"),
});

goals.push({
  text: "A script in a file is READY within twice what a bare `fork` takes " +
    "to its first message",
  atMost: 2,
  runtimes: ["Deno"],
  measure: (figures) =>
    figure(figures, "procedure ready", "longrun, a file", "ready") /
    figure(figures, "procedure ready", BARE_FORK, "ready"),
}, {
  text: "A script in a busy loop is stopped within a second",
  atMost: 1000,
  digits: 0,
  runtimes: ["Deno"],
  measure: (figures) =>
    figure(figures, "procedure stop", "longrun, a busy loop", "stop"),
});

function judge(goal: Goal, runtime: string, figures: Figures): string {
  const { atMost = Infinity, atLeast = -Infinity, digits = 2 } = goal;
  const value = goal.measure(figures);
  const isGoal = goal.runtimes.includes(runtime);
  if (Number.isNaN(value)) return isGoal ? "not measured" : "";
  const text = value.toFixed(digits);
  if (!isGoal) return text;
  return value <= atMost && value >= atLeast
    ? `met: ${text}`
    : `**missed**: ${text}`;
}

function showGoals(all: AllFigures): string[] {
  return [
    "## Goals",
    "",
    "Computed from the medians below. A figure without a verdict is of a " +
    "runtime for which there is no such goal.",
    "",
    line(["goal", ...all.keys()]),
    line(["---", ...[...all].map(() => "---")]),
    ...goals.map((goal) =>
      line([
        goal.text,
        ...[...all].map(([runtime, figures]) => judge(goal, runtime, figures)),
      ])
    ),
    "",
  ];
}

/** The goals and all tables that there are figures for, in Markdown. */
export function render(all: AllFigures): string {
  return [
    ...showGoals(all),
    ...tables.flatMap((table) => show(all, table)),
  ].join("\n");
}
