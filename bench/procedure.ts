// Copyright 2026 the Longrun authors. MIT license.

/**
 * Scripts in processes of their own: what it takes until one is ready, runs and
 * is stopped, and what the REST interface bears, beside what the platform takes
 * without us. Only on Deno.
 *
 * The original is not measured: what its reference says of it stands beside.
 */

import { fork } from "node:child_process";
import { fileSystemScript, gitScript } from "../procedure/script.ts";
import type { ExecutableScript } from "../procedure/script.ts";
import { serve } from "../procedure/server.ts";
import { eventCounter } from "../procedure/tests/_event_count.ts";
import {
  GitRepository,
  TemporaryFolder,
} from "../procedure/tests/_git_repository.ts";
import { alternate, type Case, exit, report } from "./_harness.ts";

const ROUNDS = 15;
const REQUESTS = 2_000;
const EVENTS = 50_000;

if (!("Deno" in globalThis)) {
  console.error("Left out: scripts run on Deno.");
  exit();
}

const FILES = {
  "empty.ts": "",
  "says.ts": "postMessage(1);",
  "sends.ts": 'import process from "node:process"; process.send?.(1);',
  "waits.ts": "console.log(1); setInterval(() => {}, 1_000);",
  "spins.ts": "console.log(1); for (;;);",
  "main.ts": "export function init() {} export function main() {}",
  "idle.ts": "export function main() {}",
  "obeys.ts": `export async function main({ signal, publish }) {
    publish("bench.started");
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  }`,
  "ignores.ts": `export async function main({ publish }) {
    publish("bench.started");
    await new Promise(() => setInterval(() => {}, 1_000));
  }`,
  "busy.ts": `export function main({ publish }) {
    publish("bench.started");
    for (;;);
  }`,
} satisfies Record<string, string>;

const folder = new TemporaryFolder();
for (const [name, text] of Object.entries(FILES)) {
  await Deno.writeTextFile(folder.at(name), text);
}
const repository = await GitRepository.create(folder.at("repository"));
const commit = await repository.commit({ "main.ts": FILES["main.ts"] });
const server = await serve({
  port: 0,
  protocols: ["file"],
  policy: {
    roots: [{ path: folder.path }],
    repositories: [{ url: repository.url }],
  },
});
const { procedures } = server;
const { bus } = procedures;
const script = (name: string) => fileSystemScript(`file://${folder.at(name)}`);

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** Bare `deno run`, perhaps until it has said something. */
function run(name: string, stdout: "null" | "piped"): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-check", "--no-prompt", folder.at(name)],
    stdin: "null",
    stdout,
    stderr: "null",
  }).spawn();
}

async function prepare(which: ExecutableScript): Promise<number> {
  const { id } = await procedures.prepare({ script: which });
  await procedures.waitForState(id, "READY");
  return id;
}

async function ready(which: ExecutableScript): Promise<{ ready: number }> {
  let pid = 0;
  const milliseconds = await timed(async () => pid = await prepare(which));
  await procedures.stop({ pid });
  return { ready: milliseconds };
}

async function table(
  name: string,
  cases: Case[],
  rounds = ROUNDS,
): Promise<void> {
  for (const [row, { median, min }] of await alternate(cases, rounds, 2)) {
    const least = Object.entries(min)
      .map(([column, value]) => [`${column} min`, value]);
    report(name, row, {
      ...median,
      ...Object.fromEntries(least),
      ...ORIGINAL[row],
    });
  }
}

/** What the reference of the original says: not measured. */
const ORIGINAL: Record<string, { original: string }> = {
  "longrun, a file": { original: "waits up to 3 s for the process" },
  "longrun, a repository, checked out": {
    original: "waits up to 3 s for the process",
  },
  "longrun, start to COMPLETE": { original: "queues polled every 20 ms" },
  "longrun, idle": { original: "waits up to 3 s, then as below" },
  "longrun, a script that obeys": { original: "cannot be asked: as below" },
  "longrun, a script that ignores it": {
    original: "waits up to 3 s, then as below",
  },
  "longrun, a busy loop": {
    original: "3 s, then SIGTERM up to 3 times, 0.1 s apart; never SIGKILL",
  },
};

await table("procedure ready", [
  {
    name: "bare deno run of an empty module, to its end",
    measure: async () => ({
      ready: await timed(() => run("empty.ts", "null").status),
    }),
  },
  {
    name: "bare new Worker, to its first message",
    measure: async () => {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      let worker: Worker | undefined;
      const milliseconds = await timed(() => {
        worker = new Worker(`file://${folder.at("says.ts")}`, {
          type: "module",
        });
        worker.onmessage = resolve;
        return promise;
      });
      worker?.terminate();
      return { ready: milliseconds };
    },
  },
  {
    name: "bare fork of node:child_process, to its first message",
    measure: async () => {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      let child: ReturnType<typeof fork> | undefined;
      const milliseconds = await timed(() => {
        child = fork(folder.at("sends.ts"), {
          execArgv: ["run", "-A", "--no-config", "--no-check"],
        });
        child.once("message", resolve);
        return promise;
      });
      const ended = new Promise((resolve) => child?.once("exit", resolve));
      child?.kill("SIGKILL");
      await ended;
      return { ready: milliseconds };
    },
  },
  { name: "longrun, a file", measure: () => ready(script("main.ts")) },
  {
    name: "longrun, a repository, checked out",
    measure: () =>
      ready(gitScript("git://main.ts", { repo: repository.url, commit })),
  },
]);

await table("procedure run", [
  {
    name: "longrun, start to COMPLETE",
    measure: async () => {
      const pid = await prepare(script("idle.ts"));
      let running = 0;
      const complete = await timed(async () => {
        running = await timed(() => procedures.start({ pid }));
        await procedures.waitForState(pid, "COMPLETE");
      });
      return { running, complete };
    },
  },
]);

/** Stops a procedure that runs, or is READY. */
async function stop(name: string): Promise<{ stop: number }> {
  const pid = await prepare(script(name));
  if (name !== "idle.ts") {
    await using started = bus.subscribe("bench.started");
    await procedures.start({ pid });
    await started.next();
  }
  return { stop: await timed(() => procedures.stop({ pid })) };
}

async function kill(name: string): Promise<{ stop: number }> {
  const child = run(name, "piped");
  const reader = child.stdout.getReader();
  await reader.read();
  const milliseconds = await timed(() => {
    child.kill("SIGTERM");
    return child.status;
  });
  await reader.cancel();
  return { stop: milliseconds };
}

await table("procedure stop", [
  { name: "bare SIGTERM to deno run, idle", measure: () => kill("waits.ts") },
  {
    name: "bare SIGTERM to deno run, a busy loop",
    measure: () => kill("spins.ts"),
  },
  { name: "longrun, idle", measure: () => stop("idle.ts") },
  {
    name: "longrun, a script that obeys",
    measure: () => stop("obeys.ts"),
  },
  {
    name: "longrun, a script that ignores it",
    measure: () => stop("ignores.ts"),
  },
  { name: "longrun, a busy loop", measure: () => stop("busy.ts") },
], 5);

const asked = `${server.url}/procedures/${await prepare(script("main.ts"))}`;
const text = await (await fetch(asked)).text();
const events = Array.from({ length: 100 }, (_, n) => `data: {"data":${n}}\n\n`)
  .join("");
const encoded = new TextEncoder().encode(events);
const bare = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (
  request,
) => {
  if (!request.url.endsWith("/stream")) {
    return new Response(text, {
      headers: { "content-type": "application/json" },
    });
  }
  let left = EVENTS / 100;
  return new Response(
    new ReadableStream({
      pull(controller) {
        controller.enqueue(encoded);
        if (--left === 0) controller.close();
      },
    }),
  );
});
const bareUrl = `http://127.0.0.1:${bare.addr.port}`;

/** Eight at a time. */
async function requests(url: string): Promise<number> {
  let left = REQUESTS;
  const milliseconds = await timed(() =>
    Promise.all(Array.from({ length: 8 }, async () => {
      while (left-- > 0) await (await fetch(url)).text();
    }))
  );
  return REQUESTS / milliseconds * 1000;
}

/** Reads a stream until all events have come. */
async function stream(
  url: string,
  publish: () => Promise<void> = () => Promise.resolve(),
): Promise<number> {
  const response = await fetch(url);
  const reader = response.body?.getReader();
  const countEvents = eventCounter();
  let publishing: Promise<void> | undefined;
  let seen = 0;
  let began = 0;
  while (seen < EVENTS) {
    const { done, value } = await reader?.read() ?? { done: true };
    if (done) break;
    if (publishing === undefined) {
      began = performance.now();
      publishing = publish();
    }
    seen += countEvents(value);
  }
  const seconds = (performance.now() - began) / 1000;
  await publishing;
  await reader?.cancel();
  if (seen < EVENTS) throw new Error(`${EVENTS - seen} events are missing`);
  return EVENTS / seconds;
}

async function publishAll(): Promise<void> {
  for (let n = 0; n < EVENTS; n++) {
    bus.publish("bench.event", n);
    if (n % 1000 === 999) await new Promise((resolve) => setTimeout(resolve));
  }
}

await table("procedure rest", [
  {
    name: "bare Deno.serve",
    measure: async () => ({
      requests: await requests(`${bareUrl}/`),
      events: await stream(`${bareUrl}/stream`),
    }),
  },
  {
    name: "longrun",
    measure: async () => ({
      requests: await requests(asked),
      events: await stream(
        `${server.url}/stream?topics=bench.event`,
        publishAll,
      ),
    }),
  },
], 5);

await bare.shutdown();
await server.close();
await folder[Symbol.asyncDispose]();
exit();
