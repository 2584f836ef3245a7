// Copyright 2026 the Longrun authors. MIT license.

import { type BusEvent, EventBus } from "@longrun/tasks/event-bus";
import { defaultLogger } from "@longrun/tasks/logger";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import {
  EnvironmentManager,
  type EnvironmentManagerOptions,
} from "../environment_manager.ts";
import { GitManager } from "../git_manager.ts";
import { procedureInput } from "../procedure.ts";
import {
  ProcedureError,
  type ProcedureErrorCode,
} from "../procedure_errors.ts";
import type { ProcedureBus } from "../procedure_service.ts";
import type { ProcedureState } from "../procedure_state.ts";
import {
  type ExecutableScript,
  fileSystemScript,
  gitScript,
} from "../script.ts";
import type { ScriptGrants } from "../script_policy.ts";
import {
  ScriptWorkerPool,
  type ScriptWorkerPoolOptions,
} from "../script_worker_pool.ts";
import type { LoadedScript } from "../script_loader.ts";
import { eventually, isAlive, namesIn } from "./_eventually.ts";
import {
  type Files,
  GitRepository,
  TemporaryFolder,
} from "./_git_repository.ts";
import { loadersOf, type Sources } from "./_loaders.ts";

const CONTEXT = { waitForQaReady: true };

type PoolOptions = Partial<ScriptWorkerPoolOptions> & Sources;

/** A pool whose scripts are in a folder, and in a repository beside it. */
class Place implements AsyncDisposable {
  readonly folder: TemporaryFolder = new TemporaryFolder();
  readonly bus: ProcedureBus = new EventBus({ name: "service" });
  readonly events: BusEvent[] = [];
  readonly states: ProcedureState[] = [];
  readonly warnings: string[] = [];
  osPid = 0;
  readonly #stack: AsyncDisposableStack = new AsyncDisposableStack();

  constructor() {
    this.#stack.use(this.folder);
    this.bus.onEvent("*", (event) => this.events.push(event));
  }

  /** The commits that are checked out: those that are used, and the last. */
  get checkouts(): number {
    return namesIn(this.folder.at("git"))
      .filter((name) => /[0-9a-f]{40}$/.test(name)).length;
  }

  async repository(files: Files): Promise<GitRepository> {
    const repository = await GitRepository.create(this.folder.at("repo"));
    await repository.commit(files);
    return repository;
  }

  git(): GitManager {
    return this.#stack.use(
      new GitManager({
        directory: this.folder.at("git"),
        protocols: ["file"],
        sizeLimit: 1,
      }),
    );
  }

  environments(
    git: GitManager,
    install: EnvironmentManagerOptions["install"] = async () => {},
  ): EnvironmentManager {
    const directory = this.folder.at("environments");
    return this.#stack.use(new EnvironmentManager({ git, directory, install }));
  }

  pool(
    { git, environments, ...options }: PoolOptions = {},
    grants: ScriptGrants = {},
  ): ScriptWorkerPool {
    const { path } = this.folder;
    const policy = {
      roots: [{ path, grants }],
      repositories: [{ url: `file://${path}/*`, grants }],
    };
    return this.#stack.use(
      new ScriptWorkerPool({
        bus: this.bus,
        loaders: loadersOf(policy, { git, environments }),
        logger: {
          ...defaultLogger,
          warn: (message) => void this.warnings.push(message),
        },
        ...options,
      }),
    );
  }

  async write(name: string, text: string): Promise<ExecutableScript> {
    await Deno.writeTextFile(this.folder.at(name), text);
    return fileSystemScript(`file://${this.folder.at(name)}`);
  }

  async create(
    pool: ScriptWorkerPool,
    pid: number,
    script: ExecutableScript,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<readonly string[]> {
    return await pool.create(pid, script, {
      signal,
      onState: (state) => this.states.push(state),
      onProcess: (osPid) => this.osPid = osPid,
    });
  }

  /** What was published with a topic, and by whom. */
  told(topic: string): [unknown, string][] {
    return this.events.filter((event) => event.topic === topic)
      .map(({ data, source }) => [data, source]);
  }

  async until(topic: string, count = 1): Promise<void> {
    await eventually(
      () => this.told(topic).length >= count,
      `was '${topic}' published`,
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

async function assertCode(
  work: () => Promise<unknown>,
  code: ProcedureErrorCode,
): Promise<void> {
  const error = await assertRejects(work, ProcedureError);
  assertEquals(error.code, code, error.message);
}

const main = (pool: ScriptWorkerPool, pid: number, fn = "main") =>
  pool.run(pid, fn, procedureInput(), CONTEXT);

/** Subscribes, tells so, and tells at the end what it has heard. */
const listens = (patterns: string) => `
  export async function main({ publish, subscribe }) {
    const events = subscribe(${patterns});
    console.log("a line");
    publish("dish.own");
    publish("user.listens");
    const heard = [];
    for await (const { topic } of events) {
      if (topic === "dish.end") break;
      heard.push(topic);
    }
    publish("user.heard", heard);
  }`;

test("ScriptWorkerPool publishes for a script in its name", async () => {
  await using place = new Place();
  const pool = place.pool();
  const script = await place.write("a.js", listens('"dish.*"'));
  assertEquals(await place.create(pool, 7, script), ["main"]);
  assertEquals(place.states, ["IDLE", "LOADING", "IDLE"]);
  assertEquals(pool.pids, [7]);
  const running = main(pool, 7);
  await place.until("user.listens");
  place.bus.publish("dish.moved", null);
  place.bus.publish("weather", null);
  place.bus.publish("dish.end", null);
  await running;
  assertEquals(place.told("user.heard"), [[["dish.moved"], "7"]]);
  assertEquals(place.told("script.output").map(([, source]) => source), ["7"]);
});

test("ScriptWorkerPool lets scripts hear output only where they ask for it", async () => {
  for (
    const [patterns, hears] of [
      ['"*"', false],
      ['["dish.end", "script.*"]', true],
      ['["dish.end", "script.output"]', true],
    ] as const
  ) {
    await using place = new Place();
    const pool = place.pool();
    const script = await place.write("a.js", listens(patterns));
    await place.create(pool, 1, script);
    const running = main(pool, 1);
    await place.until("user.listens");
    const other = await place.write(
      "b.js",
      'export function main() { console.log("another"); }',
    );
    await place.create(pool, 2, other);
    await main(pool, 2);
    place.bus.publish("dish.end", null);
    await running;
    const [[heard] = []] = place.told("user.heard");
    assertEquals((heard as string[]).includes("script.output"), hears);
  }
});

test("ScriptWorkerPool delivers an event once, whatever else is subscribed to", async () => {
  await using place = new Place();
  const pool = place.pool();
  const script = await place.write(
    "a.js",
    `export async function main({ publish, subscribe }) {
      const events = subscribe("dish.*");
      const others = [subscribe("dish.moved"), subscribe("weather")];
      publish("user.listens");
      const heard = [];
      for await (const { topic } of events) {
        if (topic === "dish.end") break;
        heard.push(topic);
      }
      for (const each of [events, ...others]) await each.return();
      publish("user.heard", heard);
    }
    export async function idle({ signal }) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }`,
  );
  await place.create(pool, 1, script);
  const before = place.bus.subscribers;
  const running = main(pool, 1);
  await place.until("user.listens");
  assertEquals(place.bus.subscribers, before + 1);
  place.bus.publish("dish.moved", null);
  place.bus.publish("dish.end", null);
  await running;
  assertEquals(place.told("user.heard"), [[["dish.moved"], "1"]]);
  await eventually(
    () => place.bus.subscribers === before,
    "was the subscription ended",
  );
});

test("ScriptWorkerPool leaves nothing on the bus of a script that is stopped", async () => {
  await using place = new Place();
  const pool = place.pool();
  const script = await place.write("a.js", listens('"dish.*"'));
  await place.create(pool, 1, script);
  const before = place.bus.subscribers;
  const running = main(pool, 1).catch((error) => error);
  await place.until("user.listens");
  assertEquals(place.bus.subscribers, before + 1);
  assertEquals(await pool.stop(1), "stopped");
  assertEquals(place.bus.subscribers, before);
  assertEquals((await running).name, "AbortError");
  assertEquals(pool.pids, []);
  assertEquals(await pool.stop(1), "stopped");
  await assertCode(() => main(pool, 1), "procedure-not-found");
  assertEquals((await pool.ended(1)).reason, "there is no process");
});

test("ScriptWorkerPool leaves a script no time that is stopped by force", async () => {
  await using place = new Place();
  const pool = place.pool({ stopPolicy: { abort: 600_000 } });
  const script = await place.write(
    "a.js",
    `export async function main({ publish, signal }) {
      signal.addEventListener("abort", () => publish("user.aborted"));
      publish("user.started");
      await new Promise(() => setInterval(() => {}, 1_000));
    }`,
  );
  await place.create(pool, 1, script);
  const running = main(pool, 1).catch(() => {});
  await place.until("user.started");
  assertEquals(await pool.stop(1, true), "stopped");
  await running;
  assertEquals(isAlive(place.osPid), false);
});

test("ScriptWorkerPool stops by its policy, and says what it does not know", async () => {
  await using place = new Place();
  const pool = place.pool({ stopPolicy: { abort: 0, term: 0, kill: 0 } });
  const script = await place.write("a.js", "export function main() {}");
  await place.create(pool, 1, script);
  const ended = pool.ended(1);
  assertEquals(await pool.stop(1), "unknown");
  assert(isAlive(place.osPid));
  Deno.kill(place.osPid, "SIGKILL");
  assertEquals((await ended).reason, "it was ended by SIGKILL");
});

test("ScriptWorkerPool tells why a process has ended, with the stack", async () => {
  await using place = new Place();
  const pool = place.pool();
  const script = await place.write(
    "a.js",
    `export async function main() {
      setTimeout(() => { throw new RangeError("no guide star"); });
      await new Promise(() => setInterval(() => {}, 1_000));
    }`,
  );
  await place.create(pool, 1, script);
  const ended = pool.ended(1);
  await assertRejects(() => main(pool, 1), Error, "no guide star");
  const { reason, stack } = await ended;
  assert(reason !== "");
  assert(stack?.includes("RangeError: no guide star"), stack);
  assert(stack?.includes("a.js"), stack);
});

test("ScriptWorkerPool tells the causes of what nobody has caught", async () => {
  await using place = new Place();
  const pool = place.pool();
  const script = await place.write(
    "a.js",
    `export function main() {
      setTimeout(() => {
        throw new Error("no image", { cause: new RangeError("no guide star") });
      }, 100);
    }`,
  );
  await place.create(pool, 1, script);
  await main(pool, 1);
  const { stack } = await pool.ended(1);
  assert(stack?.startsWith("Error: no image"), stack);
  assert(stack?.includes("\nCaused by: RangeError: no guide star"), stack);
});

test("ScriptWorkerPool ends an installation whose procedure is stopped", async () => {
  await using place = new Place();
  const { url } = await place.repository({ "a.js": "" });
  const git = place.git();
  const begun = Promise.withResolvers<void>();
  const environments = place.environments(git, (_, { signal }) => {
    begun.resolve();
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason))
    );
  });
  const pool = place.pool({ git, environments });
  const script = gitScript("git://a.js", { repo: url, createEnv: true });
  const creating = assertRejects(
    () => place.create(pool, 1, script),
    DOMException,
    "Stopped",
  );
  await begun.promise;
  assertEquals(await pool.stop(1), "stopped");
  await creating;
  assertEquals(place.states, ["IDLE", "PREP_ENV"]);
  assertEquals(await environments.list(), []);
});

test("ScriptWorkerPool runs a script in its environment, and lets go of it", async () => {
  await using place = new Place();
  const { url } = await place.repository({
    "deno.json": '{ "imports": { "scope": "./lib/scope.js" } }',
    "lib/scope.js": 'export const SCOPE = "sky";',
    "50%25 done.js": `import { SCOPE } from "scope";
      export function main({ publish }) {
        publish("user.found", [SCOPE, Deno.env.get("DENO_DIR")]);
      }`,
  });
  const git = place.git();
  const environments = place.environments(git);
  const pool = place.pool({ git, environments }, { env: ["DENO_DIR"] });
  const script = gitScript("git://50%25 done.js", {
    repo: url,
    createEnv: true,
  });
  await place.create(pool, 1, script);
  assertEquals(place.states, ["IDLE", "PREP_ENV", "IDLE", "LOADING", "IDLE"]);
  await main(pool, 1);
  const [kept] = await environments.list();
  const { denoDir, release } = await environments.get({ repo: url });
  release();
  assertEquals(place.told("user.found"), [
    [["sky", `${denoDir}/longrun_scripts`], "1"],
  ]);
  assertEquals(kept?.inUse, true);
  await pool.stop(1);
  assertEquals((await environments.list()).map(({ inUse }) => inUse), [false]);
});

test("ScriptWorkerPool holds nothing of a script that is not in its commit", async () => {
  await using place = new Place();
  const repository = await place.repository({ "a.js": "// Nothing" });
  const { url: repo } = repository;
  const git = place.git();
  const environments = place.environments(git);
  const pool = place.pool({ git, environments });
  for (const createEnv of [true, false]) {
    const script = gitScript("git://b.js", { repo, createEnv });
    await assertCode(() => place.create(pool, 1, script), "script-not-found");
    await pool.stop(1);
  }
  assertEquals((await environments.list()).map(({ inUse }) => inUse), [false]);
  await eventually(() => place.checkouts === 0, "was it let go of");
});

test("ScriptWorkerPool holds a checkout as long as its script has a process", async () => {
  await using place = new Place();
  const repository = await place.repository({
    "a.js": "export function main() {}",
  });
  const git = place.git();
  const pool = place.pool({ git });
  const script = gitScript("git://a.js", { repo: repository.url });
  await place.create(pool, 1, script);
  assertEquals(place.states, ["IDLE", "LOADING", "IDLE"]);
  await main(pool, 1);
  assertEquals(place.checkouts, 1);
  await pool.stop(1);
  await eventually(() => place.checkouts === 0, "was it let go of");
});

test("ScriptWorkerPool refuses what it has not been given", async () => {
  await using place = new Place();
  const repo = `file://${place.folder.at("repo")}`;
  const git = place.git();
  const plain = gitScript("git://a.js", { repo });
  const equipped = gitScript("git://a.js", { repo, createEnv: true });
  await assertCode(() => place.pool().check(plain), "script-refused");
  const pool = place.pool({ git });
  await pool.check(plain);
  await assertCode(() => pool.check(equipped), "script-refused");
  await place.pool({ git, environments: place.environments(git) })
    .check(equipped);
  const nowhere = gitScript("git://a.js", { repo: "file:///elsewhere" });
  await assertCode(() => pool.check(nowhere), "script-refused");
  await pool.check(fileSystemScript(`file://${place.folder.at("gone.js")}`));
  const controller = new AbortController();
  controller.abort(new Error("dawn"));
  await assertRejects(() => pool.check(plain, controller), Error, "dawn");
});

test("ScriptWorkerPool that is closed has no processes", async () => {
  await using place = new Place();
  const pool = place.pool();
  const script = await place.write("a.js", "export function main() {}");
  await Promise.all([1, 2].map((pid) => place.create(pool, pid, script)));
  assertEquals(pool.pids, [1, 2]);
  await pool.close();
  assertEquals(pool.pids, []);
  assertEquals(isAlive(place.osPid), false);
});

test("ScriptWorkerPool is not held up by a loader that hangs, or fails to let go", async () => {
  await using place = new Place();
  const loaded = Promise.withResolvers<LoadedScript>();
  let released = 0;
  const script = await place.write("a.js", "export function main() {}");
  const pool = place.pool({
    loaders: {
      filesystem: { check() {}, load: () => loaded.promise },
    },
  });
  const controller = new AbortController();
  const { signal } = controller;
  const creating = pool.create(1, script, { signal, onState: () => {} });
  creating.catch(() => {});
  assertEquals(await pool.stop(1), "stopped");
  await assertRejects(() => creating, DOMException, "Stopped");
  loaded.resolve({
    url: script.uri,
    roots: [place.folder.path],
    grants: {},
    release() {
      released++;
      throw new Error("no lock");
    },
  });
  await eventually(() => released === 1, "was it let go");
  await pool.create(2, script, { signal, onState: () => {} });
  assertEquals(await pool.stop(2), "stopped");
  assertEquals(released, 2);
  assertEquals(place.warnings, [
    "A script could not be let go of",
    "A script could not be let go of",
  ]);
  const hanging = place.pool({
    loaders: {
      filesystem: {
        check: () => new Promise(() => {}),
        load: () => loaded.promise,
      },
    },
  });
  const waiting = hanging.check(script, { signal });
  controller.abort(new Error("dawn"));
  await assertRejects(() => waiting, Error, "dawn");
});

test("ScriptWorkerPool lets go of a script once, when its process has ended", async () => {
  await using place = new Place();
  const script = await place.write("a.js", "export function main() {}");
  let released = 0;
  const filesystem = {
    check() {},
    load: () =>
      Promise.resolve({
        url: script.uri,
        roots: [place.folder.path],
        grants: {},
        release: () => void released++,
      }),
  };
  const pool = place.pool({
    loaders: { filesystem },
    stopPolicy: { abort: 0, term: 0, kill: 0 },
  });
  await place.create(pool, 1, script);
  const stops = await Promise.all([pool.stop(1), pool.stop(1)]);
  assertEquals(stops, ["unknown", "unknown"]);
  assert(isAlive(place.osPid));
  assertEquals(released, 0);
  Deno.kill(place.osPid, "SIGKILL");
  await eventually(() => released > 0, "was it let go");

  const other = place.pool({ loaders: { filesystem } });
  await place.create(other, 2, script);
  await Promise.all([other.stop(2), other.stop(2)]);
  await eventually(() => released > 1, "was it let go");
  assertEquals(released, 2);
});

test("ScriptWorkerPool loses no process, whatever is created", async () => {
  await using place = new Place();
  const pool = place.pool();
  const script = await place.write("a.js", "export function main() {}");
  await place.create(pool, 1, script);
  const { osPid } = place;
  await assertCode(() => place.create(pool, 1, script), "invalid-state");
  await main(pool, 1);
  await pool.close();
  assert(!isAlive(osPid));
  await assertCode(() => place.create(pool, 2, script), "closed");
  assertEquals(pool.pids, []);
});

test("ScriptWorkerPool checks its options", () => {
  const bus: ProcedureBus = new EventBus();
  for (
    const [wrong, problem] of [
      [{ bus: undefined }, TypeError],
      [{ loaders: 7 }, TypeError],
      [{ logger: 7 }, TypeError],
      [{ stopPolicy: { term: -1 } }, TypeError],
      [{ startupTimeout: NaN }, RangeError],
    ] as const
  ) {
    const options = { bus, ...wrong } as unknown as ScriptWorkerPoolOptions;
    assertThrows(() => new ScriptWorkerPool(options), problem, "Cannot");
  }
});
