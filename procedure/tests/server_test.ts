// Copyright 2026 the Longrun authors. MIT license.

/**
 * The whole service, with real processes: what the acceptance tests of the
 * original are about, and more.
 */

import { timeout } from "@longrun/tasks/cancellation";
import { defaultLogger } from "@longrun/tasks/logger";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "@std/testing/bdd";
import { stub } from "@std/testing/mock";
import { fileURLToPath } from "node:url";
import { CountingController } from "../../tests/_listeners.ts";
import { procedureInput } from "../procedure.ts";
import { ProcedureError } from "../procedure_errors.ts";
import {
  ProcedureClient,
  ProcedureClientError,
  type RemoteProcedure,
} from "../procedure_client.ts";
import type { ProcedureState } from "../procedure_state.ts";
import { InMemorySchedulingBlockStore } from "../scheduling_block_store.ts";
import {
  type FileSystemScript,
  fileSystemScript,
  type GitScript,
  gitScript,
} from "../script.ts";
import type { LoadScriptOptions } from "../script_loader.ts";
import { type ProcedureServer, serve, type ServeOptions } from "../server.ts";
import { eventually, isAlive, namesIn, pause } from "./_eventually.ts";
import { GitRepository, TemporaryFolder } from "./_git_repository.ts";

const scripts = new URL("scripts/", import.meta.url);
const policy = { roots: [{ path: fileURLToPath(scripts) }] };
const script = (name: string) =>
  fileSystemScript(new URL(`${name}.ts`, scripts).href);
const LIMIT = { timeout: 60_000 };

interface Rig extends AsyncDisposable {
  server: ProcedureServer;
  client: ProcedureClient;
  until(pid: number, state: ProcedureState): Promise<RemoteProcedure>;
}

async function start(options: ServeOptions = {}): Promise<Rig> {
  const server = await serve({ port: 0, policy, ...options });
  const client = new ProcedureClient({ url: server.url });
  return {
    server,
    client,
    until: async (pid, state) => {
      await server.procedures.waitForState(pid, state, LIMIT);
      return await client.get(pid);
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
}

const namesOf = ({ history }: RemoteProcedure): string =>
  history.states.map(([state]) => state).join(" ");

test("A script is prepared and run to its end", async () => {
  await using night = await start();
  const { client, until } = night;
  const created = await client.create({
    script: script("success"),
    initArgs: procedureInput({ subarray_id: 1 }),
  });
  assertEquals(created.id, 1);
  await until(1, "READY");
  await client.start({ pid: 1, args: procedureInput({ scans: 3 }, ["m31"]) });
  const done = await until(1, "COMPLETE");
  assertEquals(
    namesOf(done),
    "CREATING IDLE LOADING IDLE INITIALISING READY RUNNING READY COMPLETE",
  );
  const { lines } = await client.output(1);
  assertEquals(lines.map(({ stream, text }) => [stream, text]), [
    ["log", "[info] subarray 1"],
    ["stdout", "observing m31"],
  ]);
});

test("The control page knows the path of an interface elsewhere", async () => {
  await using night = await start({ basePath: "/north/oet" });
  const { page, url } = night.server;
  for (const address of [page, `${url}/ui`]) {
    const text = await (await fetch(address)).text();
    assert(text.includes('content="/north/oet"'), address);
  }
});

test("A service refuses bad arguments by name, before it opens anything", async () => {
  await using folder = new TemporaryFolder();
  const database = `${folder.path}/procedures.sqlite`;
  for (
    const [name, value, kind] of [
      ["hostname", 5, TypeError],
      ["hostname", "", TypeError],
      ["port", "5000", TypeError],
      ["port", 65_536, RangeError],
      ["cache", 1, TypeError],
      ["signal", {}, TypeError],
    ] as const
  ) {
    await assertRejects(
      () => serve({ database, port: 0, [name]: value } as never),
      kind,
      `Cannot serve procedures as '${name}' must be`,
    );
  }
  assertEquals(namesIn(folder.path), []);
});

test("A client is told that what has ended cannot be started, also with compat", async () => {
  for (const compat of [false, true]) {
    await using night = await start({ compat });
    const { client, until } = night;
    await client.create({ script: script("success") });
    await until(1, "READY");
    await client.start({ pid: 1 });
    await until(1, "COMPLETE");
    const error = await assertRejects(
      () => client.start({ pid: 1 }),
      ProcedureClientError,
      "unrunnable in state COMPLETE",
    );
    assertEquals(error.code, "invalid-state");
  }
});

test("A script that fails is FAILED, with its stack and the causes", async () => {
  await using night = await start();
  await night.client.create({ script: script("fail") });
  await night.until(1, "READY");
  await night.client.start({ pid: 1 });
  const { history } = await night.until(1, "FAILED");
  assert(history.stacktrace?.includes("RangeError: the dish is stuck"));
  assert(history.stacktrace?.includes("fail.ts"));
  assert(history.stacktrace?.includes("no power"));
});

test("A busy loop keeps nobody from asking, and is stopped", async () => {
  await using night = await start();
  const { client, server } = night;
  await client.create({ script: script("loop") });
  await night.until(1, "READY");
  await client.start({ pid: 1 });
  assertEquals((await client.list()).map(({ state }) => state), ["RUNNING"]);
  assertEquals((await client.list()).length, 1);
  const message = await client.stop({ pid: 1 });
  assertEquals(message, "Successfully stopped script with ID 1");
  assertEquals((await client.get(1)).state, "STOPPED");
  assertEquals(server.procedures.live, 0);
});

test("A script that is not there is FAILED, with its path", async () => {
  await using night = await start();
  await night.client.create({ script: script("missing") });
  const failed = await night.until(1, "FAILED");
  assert(failed.history.stacktrace?.includes("missing.ts"));
  assertEquals(namesOf(failed), "CREATING IDLE LOADING FAILED");
});

test("A script outside of the roots is refused", async () => {
  await using night = await start();
  const error = await assertRejects(
    () => night.client.create({ script: fileSystemScript("file:///etc/a.ts") }),
    ProcedureClientError,
  );
  assertEquals(error.status, 403);
  assertEquals(await night.client.list(), []);
});

test("The abort script runs after a stop, with the subarray", async () => {
  await using night = await start({ abortScript: script("abort") });
  const { client } = night;
  await client.create({
    script: script("loop"),
    initArgs: procedureInput({ subarray_id: 4 }),
  });
  await night.until(1, "READY");
  await client.start({ pid: 1 });
  const message = await client.stop({ pid: 1, runAbort: true });
  assertEquals(
    message,
    "Successfully stopped script with ID 1 and aborted subarray activity",
  );
  await night.until(2, "COMPLETE");
  const { lines } = await client.output(2);
  assertEquals(lines.map(({ text }) => text), [
    "[info] subarray 4 is aborted",
  ]);
});

test("Scripts speak with each other and with the service", async () => {
  await using night = await start({ maxRunning: 2 });
  const { server: { procedures } } = night;
  const { bus } = procedures;
  await using events = bus.subscribe(["pong", "echo.listens"]);
  for (const pid of [1, 2]) {
    await procedures.prepare({ script: script("echo") });
    await procedures.start({ pid, forceStart: true });
    assertEquals((await events.next()).value?.topic, "echo.listens");
  }
  bus.publish("ping", { gain: new Map([["a", 1]]) });
  const answers = [await events.next(), await events.next()]
    .map(({ value }) => value?.data as { pid: number; data: unknown })
    .sort((one, other) => one.pid - other.pid);
  assertEquals(
    answers,
    [1, 2].map((pid) => ({
      pid,
      data: { gain: new Map([["a", 1]]) },
    })),
  );
  bus.publish("enough", null);
  for (const pid of [1, 2]) {
    await procedures.waitForState(pid, "COMPLETE", LIMIT);
  }
});

test("Events reach a client in order, states first", async () => {
  await using night = await start();
  const { client } = night;
  const events = client.stream({ topics: ["procedure.*", "scan.*"] });
  await events.connect();
  const seen: string[] = [];
  const reading = (async () => {
    for await (const { topic, data } of events) {
      if (topic === "procedure.lifecycle.statechange") {
        seen.push(String((data as { new_state: unknown }).new_state));
      } else if (topic === "scan.started") seen.push("scan");
      if (seen.at(-1) === "COMPLETE") break;
    }
  })();
  await client.create({ script: script("success") });
  await night.until(1, "READY");
  await client.start({ pid: 1 });
  await reading;
  assertEquals(
    seen.slice(seen.indexOf("READY")),
    ["READY", "RUNNING", "scan", "scan", "READY", "COMPLETE"],
  );
});

test("An activity is run to its end, another only prepared", async () => {
  const blocks = new InMemorySchedulingBlockStore();
  blocks.add({
    id: "sbd-1",
    version: 1,
    activities: {
      observe: {
        script: script("success"),
        args: {
          init: procedureInput({ subarray_id: 1 }),
          main: procedureInput({ scans: 1 }),
        },
      },
      broken: { script: script("fail"), args: {} },
    },
  });
  await using night = await start({ blocks, maxRunning: 2 });
  const { client, server: { activities } } = night;
  const until = (id: number, state: string) =>
    eventually(
      () => activities.summarise([id])[0]?.state === state,
      `activity ${id} was ${state}`,
      60_000,
    );
  await client.run({ name: "observe", sbdId: "sbd-1" });
  await until(1, "COMPLETE");
  const activity = await client.activity(1);
  assertEquals(activity.states.map(([state]) => state), [
    "REQUESTED",
    "PREPARED",
    "RUNNING",
    "COMPLETE",
  ]);
  await client.run({ name: "observe", sbdId: "sbd-1", prepareOnly: true });
  await until(2, "PREPARED");
  assertEquals((await client.get(2)).state, "READY");
  await client.run({ name: "broken", sbdId: "sbd-1" });
  await until(3, "FAILED");
  assertEquals((await blocks.instances()).length, 3);
  await assertRejects(
    () => client.run({ name: "nothing", sbdId: "sbd-1" }),
    ProcedureClientError,
  );
  assertEquals((await blocks.instances()).length, 3);
});

test("A script of a repository is run from its commit", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("scripts"));
  await repository.commit({
    "observe.ts": 'export { main } from "./lib/observe.ts";',
    "lib/observe.ts": 'export function main() { console.log("from git"); }',
  });
  await using night = await start({
    protocols: ["file"],
    policy: { repositories: [{ url: repository.url }] },
  });
  const { client } = night;
  await client.create({
    script: gitScript("git://observe.ts", { repo: repository.url }),
  });
  await night.until(1, "READY");
  await client.start({ pid: 1 });
  await night.until(1, "COMPLETE");
  const { lines } = await client.output(1);
  assertEquals(lines.map(({ text }) => text), ["from git"]);

  await client.create({
    script: gitScript("git://observe.ts", {
      repo: repository.url,
      createEnv: true,
    }),
  });
  const ready = await night.until(2, "READY");
  assertEquals(
    namesOf(ready),
    "CREATING IDLE PREP_ENV IDLE LOADING IDLE READY",
  );
  await client.start({ pid: 2 });
  await night.until(2, "COMPLETE");
});

test("Scripts of a kind of one's own come from its loader", async () => {
  // A kind that a program adds by `declare module`.
  const kind = "store" as "filesystem";
  const released: string[] = [];
  const loaders = {
    [kind]: {
      check() {},
      load(stored: FileSystemScript, { onState }: LoadScriptOptions) {
        onState("LOADING");
        return Promise.resolve({
          url: new URL(`${stored.uri}.ts`, scripts).href,
          roots: [fileURLToPath(scripts)],
          grants: {},
          release: () => void released.push(stored.uri),
        });
      },
    },
  };
  await using night = await start({ loaders });
  const { server: { procedures } } = night;
  const stored = { type: kind, uri: "success" };
  await procedures.prepare({ script: stored });
  await procedures.start({ pid: 1, forceStart: true });
  await procedures.waitForState(1, "COMPLETE", LIMIT);
  assertEquals(released, ["success"]);
  const { script: told } = await night.client.get(1);
  assertEquals(told, { type: kind, uri: "success" });
  await assertRejects(
    () =>
      procedures.prepare({
        script: { ...stored, type: "none" } as unknown as GitScript,
      }),
    ProcedureError,
    "There is no loader for scripts of the kind 'none'",
  );
});

test("A repository that is not allowed is refused", async () => {
  await using night = await start();
  const error = await assertRejects(
    () =>
      night.client.create({
        script: gitScript("git://a.ts", { repo: "https://example.org/a.git" }),
      }),
    ProcedureClientError,
  );
  assertEquals(error.status, 403);
});

test("Procedures survive the service, and go on counting", async () => {
  await using folder = new TemporaryFolder();
  const database = folder.at("procedures.sqlite");
  {
    await using night = await start({ database });
    await night.client.create({ script: script("success") });
    await night.until(1, "READY");
    await night.client.start({ pid: 1 });
    await night.until(1, "COMPLETE");
    await night.client.create({ script: script("loop") });
    await night.until(2, "READY");
  }
  await using night = await start({ database });
  const { client } = night;
  assertEquals(
    (await client.list()).map(({ id, state }) => [id, state]),
    [[1, "COMPLETE"], [2, "STOPPED"]],
  );
  assertEquals((await client.output(1)).lines.length, 2);
  const { id } = await client.create({ script: script("success") });
  assertEquals(id, 3);
});

test("A service that is killed leaves no process behind and forgets no procedure", async () => {
  await using folder = new TemporaryFolder();
  const database = folder.at("procedures.sqlite");
  const program = fileURLToPath(new URL("_service.ts", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      ...programFlags(),
      program,
      database,
      fileURLToPath(scripts),
      script("loop").uri,
    ],
    stdout: "piped",
  }).spawn();
  let told = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    told += text;
    if (told.includes("\n")) break;
  }
  const osPid = Number(told);
  assert(isAlive(osPid));
  child.kill("SIGKILL");
  await child.status;
  await eventually(() => !isAlive(osPid), "was the script gone");
  await using night = await start({ database });
  const [summary] = await night.client.list();
  assertEquals(summary?.state, "FAILED");
  assert(summary?.history.stacktrace?.includes("the service ended"));
});

/** The flags by which this process finds its modules, for another. */
function programFlags(): string[] {
  const map = new URL("../../compat/import_map.json", import.meta.url);
  return ["--node-modules-dir=none", `--import-map=${fileURLToPath(map)}`];
}

test("A server that is not for this machine alone needs tokens", async () => {
  await assertRejects(
    () => serve({ hostname: "0.0.0.0", port: 0 }),
    TypeError,
    "Cannot serve at '0.0.0.0' without 'tokens'",
  );
  await using night = await start({
    hostname: "0.0.0.0",
    tokens: [{ token: "a-secret-of-many-letters", scopes: ["view"] }],
  });
  const url = night.server.url.replace("0.0.0.0", "127.0.0.1");
  const response = await fetch(`${url}/procedures`);
  assertEquals(response.status, 401);
  await response.body?.cancel();
});

test("A server ends with its signal, and stops its procedures", async () => {
  const controller = new AbortController();
  const server = await serve({ port: 0, policy, signal: controller.signal });
  await server.procedures.prepare({ script: script("loop") });
  await server.procedures.start({ pid: 1, forceStart: true });
  const stream = await fetch(`${server.url}/stream`);
  controller.abort();
  await server.finished;
  assertEquals(server.procedures.summarise()[0]?.state, "STOPPED");
  await stream.body?.cancel();
  await assertRejects(() => fetch(`${server.url}/procedures`), TypeError);
});

test("Who listens hears how the procedures of a server end with it", async () => {
  const server = await serve({ port: 0, policy });
  const stream = await fetch(`${server.url}/stream`);
  await server.procedures.prepare({ script: script("loop") });
  await server.procedures.start({ pid: 1, forceStart: true });
  const told = stream.text();
  await server.close();
  assert((await told).includes('"new_state":"STOPPED"'));
});

test("Two servers do not share a database", async () => {
  await using folder = new TemporaryFolder();
  const database = folder.at("procedures.sqlite");
  await using _night = await start({ database });
  await assertRejects(() => serve({ port: 0, database }), Error);
});

/** A connection on which somebody has written so much, and reads nothing. */
async function connectTo(url: string, text: string): Promise<Deno.TcpConn> {
  const { hostname, port } = new URL(url);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  await connection.write(new TextEncoder().encode(text));
  return connection;
}

test("Who does not read a stream, or does not finish a body, keeps no server from its end", async () => {
  const server = await serve({ port: 0, policy });
  const { bus } = server.procedures;
  const host = "HTTP/1.1\r\nHost: localhost\r\n";
  using _stream = await connectTo(
    server.url,
    `GET /api/v1/stream ${host}\r\n`,
  );
  using _body = await connectTo(
    server.url,
    `POST /api/v1/procedures ${host}content-type: application/json\r\ncontent-length: 99\r\n\r\n{`,
  );
  using _header = await connectTo(server.url, "GET /api/v1/procedures HTT");
  await server.procedures.prepare({ script: script("loop") });
  await server.procedures.start({ pid: 1, forceStart: true });
  for (let part = 0; part < 1_000; part++) {
    bus.publish("guide.frame", "x".repeat(20_000));
    if (part % 100 === 0) await pause(5);
  }
  await timeout(server.close(), 30_000);
  assertEquals(server.procedures.summarise()[0]?.state, "STOPPED");
});

test("A server that ends with its signal tells what it could not tidy up", async () => {
  const errors: string[] = [];
  const logger = {
    ...defaultLogger,
    error: (message: string) => void errors.push(message),
  };
  const controller = new AbortController();
  const { signal } = controller;
  using _ = stub(
    Deno,
    "makeTempDir",
    () => Promise.resolve("/nowhere/longrun"),
  );
  const server = await serve({ port: 0, policy, signal, logger });
  controller.abort();
  await assertRejects(() => server.finished, Deno.errors.NotFound);
  assertEquals(errors.length, 1);
  assert(errors[0]?.startsWith("The service has not ended as it should"));
});

test("A server answers what is asked on its bus", async () => {
  await using night = await start();
  const { bus } = night.server.procedures;
  const created = await bus.request(
    "request.procedure.create",
    { script: script("success") },
    "procedure.reply.created",
  );
  assertEquals(created.id, 1);
  const procedures = await bus.request(
    "request.procedure.list",
    {},
    "procedure.pool.list",
  );
  assertEquals(procedures.map(({ id }) => id), [1]);
  const activities = await bus.request(
    "request.activity.list",
    {},
    "activity.pool.list",
  );
  assertEquals(activities, []);
});

test("A server that cannot begin leaves nothing behind", async () => {
  await using folder = new TemporaryFolder();
  await using temporary = new TemporaryFolder();
  const database = folder.at("procedures.sqlite");
  const before = Deno.env.get("TMPDIR");
  Deno.env.set("TMPDIR", temporary.path);
  try {
    await using night = await start();
    assertEquals(namesIn(temporary.path).length, 1);
    const port = Number(new URL(night.server.url).port);
    await assertRejects(
      () => serve({ port, database }),
      Deno.errors.AddrInUse,
    );
    const controller = new AbortController();
    const { signal } = controller;
    const late = serve({ port: 0, database, signal });
    controller.abort(new Error("dawn"));
    await assertRejects(() => late, Error, "dawn");
    await assertRejects(() => serve({ port, signal }), Error, "dawn");
    assertEquals(namesIn(temporary.path).length, 1);
    await using _next = await start({ database });
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
  }
  assertEquals(namesIn(temporary.path), []);
});

test("A server that has ended listens to its signal no more", async () => {
  const controller = new CountingController();
  const server = await serve({ port: 0, signal: controller.signal });
  assertEquals(controller.listeners, 1);
  assertEquals(server.close(), server.close());
  await server.close();
  await server.finished;
  assertEquals(controller.listeners, 0);
});
