// Copyright 2026 the Longrun authors. MIT license.

/**
 * What the tests of the original tell of procedures and no other test here does,
 * with real processes; and what the original did wrong.
 */

import { type BusEvent, EventBus } from "@longrun/tasks/event-bus";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "@std/testing/bdd";
import { EnvironmentManager } from "../environment_manager.ts";
import { GitManager } from "../git_manager.ts";
import { procedureInput } from "../procedure.ts";
import { ProcedureClient, ProcedureClientError } from "../procedure_client.ts";
import type { ProcedureBus } from "../procedure_service.ts";
import type { ProcedureState } from "../procedure_state.ts";
import {
  type ExecutableScript,
  fileSystemScript,
  gitScript,
} from "../script.ts";
import { ScriptExecutionService } from "../script_execution_service.ts";
import type { ScriptPolicy } from "../script_policy.ts";
import {
  ScriptWorkerPool,
  type ScriptWorkerPoolOptions,
} from "../script_worker_pool.ts";
import { serve } from "../server.ts";
import { childrenOf, eventually, isAlive, pause } from "./_eventually.ts";
import { GitRepository, TemporaryFolder } from "./_git_repository.ts";
import { loadersOf, type Sources } from "./_loaders.ts";
import { NpmRegistry } from "./_npm_registry.ts";

const LIMIT = { timeout: 60_000 };

type NightOptions =
  & Partial<ScriptWorkerPoolOptions>
  & Sources
  & { policy?: ScriptPolicy };

/** A service, and a folder of scripts that it may execute. */
class Night implements AsyncDisposable {
  readonly folder: TemporaryFolder = new TemporaryFolder();
  readonly events: BusEvent[] = [];
  readonly service: ScriptExecutionService;

  constructor(
    { git, environments, policy = {}, ...options }: NightOptions = {},
  ) {
    const { path } = this.folder;
    const bus: ProcedureBus = new EventBus({ name: "service" });
    bus.onEvent("*", (event) => this.events.push(event));
    const allowed = { roots: [{ path }], ...policy };
    const pool = new ScriptWorkerPool({
      bus,
      loaders: loadersOf(allowed, { git, environments }),
      ...options,
    });
    this.service = new ScriptExecutionService({ bus, pool });
  }

  async write(name: string, text: string): Promise<ExecutableScript> {
    await Deno.writeTextFile(this.folder.at(name), text);
    return fileSystemScript(`file://${this.folder.at(name)}`);
  }

  async until(pid: number, state: ProcedureState): Promise<void> {
    await this.service.waitForState(pid, state, LIMIT);
  }

  states(pid = 1): string {
    const [summary] = this.service.summarise([pid]);
    return summary?.history.states.map(([state]) => state).join(" ") ?? "";
  }

  stack(pid = 1): string {
    return this.service.summarise([pid])[0]?.history.stacktrace ?? "";
  }

  count(topic: string): number {
    return this.events.filter((event) => event.topic === topic).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.close();
    await this.folder[Symbol.asyncDispose]();
  }
}

test("A procedure has a history from its beginning", async () => {
  await using night = new Night();
  const before = Date.now();
  const script = await night.write("a.js", "export function main() {}");
  const { history, state, calls } = await night.service.prepare({ script });
  const [[first, time] = [], ...others] = history.states;
  assertEquals([state, first, others], ["CREATING", "CREATING", []]);
  assert(Number(time) >= before && Number(time) <= Date.now());
  assertEquals(history.stacktrace, null);
  assertEquals(calls.map(({ fn, input }) => [fn, input]), [
    ["init", procedureInput()],
  ]);
});

for (const fn of ["init", "main"]) {
  test(`A stop in a busy ${fn} makes STOPPED the last state`, async () => {
    await using night = new Night();
    const { service } = night;
    const script = await night.write(
      "a.js",
      `export function init({ publish }) { publish("user.init"); ${
        fn === "init" ? "for (;;);" : ""
      } }
      export function main({ publish }) { publish("user.main"); for (;;); }`,
    );
    await service.prepare({ script });
    if (fn === "main") await service.start({ pid: 1, forceStart: true });
    await eventually(() => night.count(`user.${fn}`) > 0, "was it busy");
    await service.stop({ pid: 1 });
    const way = "CREATING IDLE LOADING IDLE INITIALISING";
    assertEquals(
      night.states(),
      fn === "init" ? `${way} STOPPED` : `${way} READY RUNNING STOPPED`,
    );
    assertEquals([service.live, service.running], [0, 0]);
  });
}

test("An error in main comes after READY and RUNNING, one in init before", async () => {
  await using night = new Night();
  const { service } = night;
  const way = "CREATING IDLE LOADING IDLE INITIALISING";
  for (
    const [pid, fn, states] of [
      [1, "init", `${way} FAILED`],
      [2, "main", `${way} READY RUNNING FAILED`],
    ] as const
  ) {
    const script = await night.write(
      `${fn}.js`,
      `export function init() { ${fn === "init" ? "fail();" : ""} }
      export function main() { fail(); }
      function fail() { throw new RangeError("no guide star"); }`,
    );
    await service.prepare({ script });
    await service.start({ pid, forceStart: true }).catch(() => {});
    await night.until(pid, "FAILED");
    assertEquals(night.states(pid), states);
    assert(night.stack(pid).includes("RangeError: no guide star"));
    assert(night.stack(pid).includes(`${fn}.js`));
  }
});

test("A script that is stopped writes and publishes nothing more", async () => {
  await using night = new Night();
  const { service } = night;
  const script = await night.write(
    "a.js",
    `export async function main({ publish }) {
      for (let count = 0;; count++) {
        console.log(count);
        publish("user.count", count);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }`,
  );
  await service.prepare({ script });
  await service.start({ pid: 1, forceStart: true });
  await eventually(() => night.count("user.count") > 3, "did it count");
  await service.stop({ pid: 1 });
  const { length } = night.events;
  await pause(100);
  assertEquals(night.events.length, length);
});

test("A READY procedure runs to its end while another hangs in init", async () => {
  await using night = new Night();
  const { service } = night;
  const hanging = await night.write(
    "hang.js",
    "export function init() { for (;;); } export function main() {}",
  );
  const script = await night.write("a.js", "export function main() {}");
  await service.prepare({ script: hanging });
  await night.until(1, "INITIALISING");
  await service.prepare({ script });
  await service.start({ pid: 2, forceStart: true });
  await night.until(2, "COMPLETE");
  assertEquals(service.summarise([1])[0]?.state, "INITIALISING");
});

test("A READY procedure is STOPPED, not COMPLETE, when the service ends", async () => {
  await using night = new Night();
  const script = await night.write("a.js", "export function main() {}");
  await night.service.prepare({ script });
  await night.until(1, "READY");
  await night.service.close();
  assert(night.states().endsWith("READY STOPPED"), night.states());
});

test("A procedure whose process is killed has FAILED, and no other has", async () => {
  await using night = new Night();
  const { service } = night;
  const script = await night.write(
    "a.js",
    `export async function main() {
      await new Promise(() => setInterval(() => {}, 1_000));
    }`,
  );
  const others = childrenOf(Deno.pid);
  await service.prepare({ script });
  await service.start({ pid: 1, forceStart: true });
  const osPid = childrenOf(Deno.pid).find((one) => !others.includes(one)) ?? 0;
  await service.prepare({ script });
  await night.until(2, "READY");
  assert(isAlive(osPid));
  Deno.kill(osPid, "SIGKILL");
  await night.until(1, "FAILED");
  assert(night.stack().includes("SIGKILL"), night.stack());
  assertEquals(service.summarise([2])[0]?.state, "READY");
  await service.start({ pid: 2 });
});

const NAMED = {
  "deno.json": '{ "imports": { "tiny": "npm:tiny@^1.0.0" } }',
  "package.json": '{ "dependencies": { "tiny": "^1.0.0" } }',
};
for (const [name, text] of Object.entries(NAMED)) {
  test(`A script fails without what ${name} names and runs with it`, async () => {
    await using folder = new TemporaryFolder();
    await using registry = await NpmRegistry.start(
      folder.at("registry"),
      folder.at("trapped"),
    );
    const repository = await GitRepository.create(folder.at("repo"));
    await repository.commit({
      "a.js": `import tiny from "tiny";
      export function main() { console.log(tiny); }`,
      [name]: text,
    });
    const { url: repo } = repository;
    await using git = new GitManager({
      directory: folder.at("git"),
      protocols: ["file"],
    });
    await using environments = new EnvironmentManager({
      git,
      directory: folder.at("environments"),
      env: { NPM_CONFIG_REGISTRY: registry.url },
    });
    const policy = { repositories: [{ url: repo }] };
    await using night = new Night({ git, environments, policy });
    const { service } = night;
    await service.prepare({ script: gitScript("git://a.js", { repo }) });
    await night.until(1, "FAILED");
    assert(/tiny/.test(night.stack()), night.stack());
    const script = gitScript("git://a.js", { repo, createEnv: true });
    await service.prepare({ script });
    await service.start({ pid: 2, forceStart: true });
    await night.until(2, "COMPLETE");
    assertEquals(service.output(2).map(({ text }) => text), ["42"]);
  });
}

test("A stop that is refused harms neither the service nor its streams", async () => {
  await using folder = new TemporaryFolder();
  const path = folder.at("a.js");
  await Deno.writeTextFile(
    path,
    `export async function main() {
      await new Promise(() => setInterval(() => {}, 1_000));
    }`,
  );
  const script = fileSystemScript(`file://${path}`);
  await using server = await serve({
    port: 0,
    policy: { roots: [{ path: folder.path }] },
    abortScript: script,
  });
  const client = new ProcedureClient({ url: server.url });
  const { bus } = server.procedures;
  const topics: string[] = [];
  const events = client.stream();
  await events.connect();
  const reading = (async () => {
    for await (const { topic } of events) {
      topics.push(topic);
      if (topic === "user.end") break;
    }
  })();
  await client.create({ script });
  await server.procedures.waitForState(1, "READY", LIMIT);
  await client.start({ pid: 1 });
  for (
    const [command, status] of [
      [{ pid: 1, runAbort: true }, 409],
      [{ pid: 9 }, 404],
    ] as const
  ) {
    const error = await assertRejects(
      () => client.stop(command),
      ProcedureClientError,
    );
    assertEquals(error.status, status, error.message);
  }
  await assertRejects(() =>
    bus.request(
      "request.procedure.stop",
      { pid: 1, runAbort: true },
      "procedure.reply.stopped",
    )
  );
  assertEquals((await client.list()).map(({ state }) => state), ["RUNNING"]);
  bus.publish("user.end", null);
  await reading;
  assert(topics.includes("procedure.reply.stopped"), topics.join(" "));
  await client.stop({ pid: 1 });
  assertEquals((await client.get(1)).state, "STOPPED");
});
