// Copyright 2026 the Longrun authors. MIT license.

/**
 * Runs the benchmarks on Deno, Node and Bun, one process after the other, and
 * shows their figures side by side.
 *
 * - `--write` writes them to `RESULTS.md`.
 * - `--runtime=node` runs on one runtime only.
 * - Further arguments name the files to run, such as `sleep`.
 *
 * @module
 */

import { cpus, loadavg, release, totalmem, type } from "node:os";
import { fromRoot, readJson } from "../_tools/files.ts";
import { install } from "../_tools/npm.ts";
import { bun, deno, node24, read, run } from "../_tools/process.ts";
import { passedOn, resolution } from "../_tools/std.ts";
import type { Row } from "./_harness.ts";
import { type AllFigures, type Figures, render } from "./_report.ts";

/** The files with their arguments: a process each. */
const plan: [file: string, ...args: string[]][] = [
  ["timeout_iterator"],
  ...[
    "bare for await",
    "longrun withTimeout, timeout and signal",
    "longrun withTimeout, prefetch 16",
    "abortable-iterator, abort only",
    "Promise.race an item, abort only (the technique of most peers)",
    "ix timeout",
  ].map((name): [string, string, string] => [
    "timeout_iterator",
    "memory",
    name,
  ]),
  ["sleep"],
  ["background_task"],
  ["background_task", "periodic"],
  ["loop"],
  ["loop", "rates"],
  ...[
    "bare setInterval",
    "longrun loop",
    "longrun ticks",
    "node:timers/promises",
    "set-interval-async",
    "toad-scheduler",
    "driftless",
    "rxjs interval",
    "ix interval",
    "effect fixed",
    "croner",
  ].map((name): [string, string, string] => ["loop", "idle", name]),
  ["precise_clock"],
  ["task"],
  ["task", "thread"],
  ["event_bus"],
  ["job"],
  ["lrc"],
  ...[
    "bare map of callbacks",
    "bare EventTarget",
    "longrun LrcDevice to a bare map of callbacks",
    "longrun LrcDevice and invokeLrc, version 2",
    "longrun LrcDevice and invokeLrc, version 1, 500 commands",
  ].map((name): [string, string, string] => ["lrc", "memory", name]),
  ["tango"],
  ["procedure"],
  ["clock"],
  ["clock", "memory", "platform"],
  ["clock", "memory", "longrun"],
];

const peers = [
  "abortable-iterator",
  "cockatiel",
  "croner",
  "delay",
  "driftless",
  "effect",
  "effection",
  "emittery",
  "eventemitter3",
  "ix",
  "mitt",
  "p-limit",
  "p-map",
  "p-queue",
  "p-timeout",
  "rxjs",
  "set-interval-async",
  "toad-scheduler",
];

interface Runtime {
  name: string;
  program: string;
  options: string[];
  /** What follows the file. */
  args: string[];
}

const flags = await resolution();
const hasStandard = !flags.some((flag) => flag.startsWith("--import-map"));

const runtimes: Runtime[] = [
  {
    name: "Deno",
    program: deno,
    options: ["run", "-A", "--no-check", ...flags, "--v8-flags=--expose-gc"],
    args: hasStandard ? ["--std"] : [],
  },
  {
    name: "Node",
    program: node24,
    options: ["--expose-gc", "--import=./compat/node.mjs"],
    args: [],
  },
  { name: "Bun", program: bun, options: ["run"], args: [] },
];

/** The files of packages that need Deno itself. */
const DENO_ONLY = ["procedure"];

async function measure(
  { program, options, args }: Runtime,
  [file, ...mode]: string[],
): Promise<Row[]> {
  const { success, text } = await read(program, [
    ...options,
    `bench/${file}.ts`,
    ...mode,
    ...args,
  ]);
  if (!success) throw new Error(`bench/${file}.ts ${mode.join(" ")} failed`);
  return text.split("\n")
    .filter((line) => line.startsWith(`{"table":`))
    .map((line) => JSON.parse(line));
}

async function measureAll(runtime: Runtime, files: string[]): Promise<Figures> {
  const figures: Figures = new Map();
  for (const [file, ...mode] of plan) {
    if (files.length > 0 && !files.includes(file)) continue;
    if (DENO_ONLY.includes(file) && runtime.program !== deno) continue;
    console.error(`${runtime.name}: ${[file, ...mode].join(" ")}`);
    for (
      const { table, name, values } of await measure(runtime, [file, ...mode])
    ) {
      const rows = figures.get(table) ?? new Map();
      figures.set(table, rows.set(name, { ...rows.get(name), ...values }));
    }
  }
  return figures;
}

async function version({ name, program }: Runtime): Promise<string> {
  const { text } = await read(program, ["--version"]);
  return `${name} ${/\d+\.\d+\.\d+/.exec(text)?.[0] ?? "of unknown version"}`;
}

async function describe(chosen: Runtime[]): Promise<string> {
  const { devDependencies } = readJson<
    { devDependencies: Record<string, string> }
  >("package.json");
  const versions: string[] = [];
  for (const runtime of chosen) versions.push(await version(runtime));
  const gigabytes = (totalmem() / 2 ** 30).toFixed(0);
  return `
- Date: ${new Date().toISOString().slice(0, 10)}
- Machine: ${
    cpus()[0]?.model.trim() ?? "unknown processor"
  }, ${cpus().length} cores, ${gigabytes} GiB of memory, ${type()} ${
    release().split(".", 2).join(".")
  }
- Load average before the run: ${loadavg()[0]?.toFixed(2)}
- Runtimes: ${versions.join(", ")}
- Peers: ${peers.map((peer) => `${peer} ${devDependencies[peer]}`).join(", ")}
- \`@std/async\`: ${
    hasStandard
      ? "as JSR has it, on Deno"
      : "left out, because JSR did not answer"
  }. The rows "the technique of most peers" stand for the way in which it and others do it, in a few lines of our own.
`;
}

const args = passedOn();
const only = args.find((argument) => argument.startsWith("--runtime="))
  ?.slice("--runtime=".length);
const files = args.filter((argument) => !argument.startsWith("--"));
const chosen = runtimes.filter(({ name }) =>
  only === undefined || name.toLowerCase() === only
);
const unknown = files.find((name) => !plan.some(([file]) => file === name));
if (unknown !== undefined) throw new TypeError(`There is no "${unknown}".`);
if (chosen.length === 0) throw new TypeError(`There is no runtime "${only}".`);
if (chosen.some(({ program }) => program !== deno)) await install();

const head = await describe(chosen);
const all: AllFigures = new Map();
for (const runtime of chosen) {
  all.set(runtime.name, await measureAll(runtime, files));
}
const results = `# Results
${head}
Ratios say more than digits: they come from one process, in which the cases take turns. To run it again, on a machine that has nothing else to do:

\`\`\`sh
deno task bench --write
\`\`\`

${render(all)}`;

console.log(results);
if (args.includes("--write")) {
  const path = fromRoot("bench/RESULTS.md");
  await Deno.writeTextFile(path, results);
  await run(deno, ["fmt", "--quiet", path]);
}
