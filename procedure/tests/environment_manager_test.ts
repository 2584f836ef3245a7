// Copyright 2026 the Longrun authors. MIT license.

import { defaultLogger } from "@longrun/tasks/logger";
import { ManualClock } from "@longrun/tasks/testing";
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { stub } from "@std/testing/mock";
import { fileURLToPath } from "node:url";
import {
  EnvironmentManager,
  type EnvironmentManagerOptions,
  type Install,
} from "../environment_manager.ts";
import { GitManager } from "../git_manager.ts";
import {
  ProcedureError,
  type ProcedureErrorCode,
} from "../procedure_errors.ts";
import type { GitArgs } from "../script.ts";
import { eventually, isAlive, namesIn, pause } from "./_eventually.ts";
import {
  type Files,
  GitRepository,
  TemporaryFolder,
} from "./_git_repository.ts";

async function fails(
  code: ProcedureErrorCode,
  work: () => Promise<unknown>,
): Promise<ProcedureError> {
  const error = await assertRejects(work, ProcedureError);
  assertEquals(error.code, code, error.message);
  return error;
}

/** A repository, and managers that keep all in one folder. */
class Place implements AsyncDisposable {
  readonly folder: TemporaryFolder = new TemporaryFolder();
  /** The links that were left out of each checkout. */
  readonly omitted: string[][] = [];
  readonly git: GitManager = new GitManager({
    directory: this.folder.at("checkouts"),
    protocols: ["file"],
    logger: {
      ...defaultLogger,
      warn: (_, details) => void this.omitted.push(details?.links as string[]),
    },
  });
  installs = 0;
  #repository: GitRepository | undefined;
  readonly #stack: AsyncDisposableStack = new AsyncDisposableStack();

  get repo(): string {
    return this.#repository?.url ?? "";
  }

  async commit(files: Files): Promise<string> {
    this.#repository ??= await GitRepository.create(this.folder.at("repo"));
    return await this.#repository.commit(files);
  }

  manager(
    install: Install = async () => {},
    options: Partial<EnvironmentManagerOptions> = {},
  ): EnvironmentManager {
    return this.#stack.use(
      new EnvironmentManager({
        git: this.git,
        directory: this.folder.at("environments"),
        install: (folder, context) => {
          this.installs++;
          return install(folder, context);
        },
        ...options,
      }),
    );
  }

  /** What is in the folder of the environments, but for the locks. */
  get kept(): string[] {
    return namesIn(this.folder.at("environments"))
      .filter((name) => !name.endsWith(".lock"));
  }

  get isBuilding(): boolean {
    return this.kept.some((name) => name.includes("+"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
    await this.git.close();
    await this.folder[Symbol.asyncDispose]();
  }
}

test("EnvironmentManager gives the same environment for the same commit", async () => {
  await using place = new Place();
  const commit = await place.commit({ "a.ts": "a", "deno.json": "{}" });
  const { repo } = place;
  const manager = place.manager(async (folder, { denoDir }) => {
    await Deno.writeTextFile(`${folder}/installed`, "yes");
    await Deno.writeTextFile(`${denoDir}/cached`, "yes");
  });
  using one = await manager.get({ repo });
  using other = await manager.get({ repo, commit });
  assertEquals(one.id, commit);
  assertEquals(other.directory, one.directory);
  assertEquals(other.denoDir, one.denoDir);
  assertEquals(one.configPath, `${one.directory}/deno.json`);
  assertEquals(namesIn(one.directory), ["a.ts", "deno.json", "installed"]);
  assertEquals(namesIn(one.denoDir), ["cached"]);
  assertEquals(place.installs, 1);
  assertEquals(
    await place.git.scriptPath(one, "git://a.ts"),
    `${one.directory}/a.ts`,
  );
});

test("EnvironmentManager builds another environment for another commit", async () => {
  await using place = new Place();
  const first = await place.commit({ "a.ts": "a" });
  const { repo } = place;
  const manager = place.manager();
  using one = await manager.get({ repo });
  const second = await place.commit({ "a.ts": "b" });
  using other = await manager.get({ repo });
  assertEquals([one.id, other.id], [first, second]);
  assertNotEquals(one.directory, other.directory);
  assert(!("configPath" in one));
  assertEquals(place.installs, 2);
  const listed = await manager.list();
  assertEquals(listed.map(({ id, inUse }) => [id, inUse]), [
    [first, true],
    [second, true],
  ]);
  assertEquals(listed[0]?.directory, one.directory);
  assertEquals(listed[0]?.size, 1);
  assert((listed[0]?.usedAt ?? 0) <= (listed[1]?.usedAt ?? 0));
});

test("EnvironmentManager deletes environments that nobody uses", async () => {
  await using place = new Place();
  const id = await place.commit({ "a.ts": "a" });
  const { repo } = place;
  const manager = place.manager();
  const environment = await manager.get({ repo });
  await fails("invalid-state", () => manager.delete(id));
  const elsewhere = place.manager();
  await fails("invalid-state", () => elsewhere.delete(id));
  const again = await manager.get({ repo });
  again.release();
  again.release();
  await fails("invalid-state", () => manager.delete(id));
  assertEquals(namesIn(environment.directory), ["a.ts"]);
  environment.release();
  await manager.delete(id);
  assertEquals(namesIn(place.folder.at("environments")), []);
  assertEquals(await manager.list(), []);
  await manager.delete(id);
  (await manager.get({ repo })).release();
  assertEquals(place.installs, 2);
  await assertRejects(() => manager.delete(7 as unknown as string), TypeError);
});

test("EnvironmentManager builds once for all who ask at once", async () => {
  await using place = new Place();
  const commit = await place.commit({ "a.ts": "a" });
  const { repo } = place;
  const manager = place.manager(() => pause(50));
  const all = await Promise.all(
    [{ repo }, { repo, commit }, { repo, branch: "trunk" }]
      .map((git) => manager.get(git)),
  );
  assertEquals(new Set(all.map(({ directory }) => directory)).size, 1);
  assertEquals(place.installs, 1);
  for (const each of all) each.release();
});

test("EnvironmentManager installs twice for three scripts of two commits", async () => {
  await using place = new Place();
  const one = await place.commit({ "a.ts": "a" });
  const other = await place.commit({ "a.ts": "b" });
  const { repo } = place;
  const manager = place.manager(() => pause(20));
  const all = await Promise.all(
    [one, other, one].map((commit) => manager.get({ repo, commit })),
  );
  assertEquals(all.map(({ id }) => id), [one, other, one]);
  assertEquals(all[0]?.directory, all[2]?.directory);
  assertEquals(place.installs, 2);
  for (const each of all) each.release();
});

test("EnvironmentManager builds once for two managers of one folder", async () => {
  await using place = new Place();
  await place.commit({ "a.ts": "a" });
  const { repo } = place;
  const managers = Array.from(
    { length: 4 },
    () => place.manager(() => pause(50)),
  );
  const all = await Promise.all(managers.map((each) => each.get({ repo })));
  assertEquals(new Set(all.map(({ directory }) => directory)).size, 1);
  assertEquals(place.installs, 1);
  for (const each of all) each.release();
});

test("EnvironmentManager does not remember a build that failed", async () => {
  await using place = new Place();
  await place.commit({ "a.ts": "a" });
  const { repo } = place;
  const failure = new Error("no network");
  const manager = place.manager(async (folder) => {
    await Deno.writeTextFile(`${folder}/half`, "");
    if (place.installs === 1) throw failure;
  });
  const errors = await Promise.all([
    fails("environment-failed", () => manager.get({ repo })),
    fails("environment-failed", () => manager.get({ repo })),
  ]);
  for (const error of errors) {
    assertStringIncludes(error.message, "no network");
    assertEquals(error.cause, failure);
  }
  assertEquals(place.kept, []);
  using environment = await manager.get({ repo });
  assertEquals(place.installs, 2);
  assertEquals(namesIn(environment.directory), ["a.ts", "half"]);
});

test("EnvironmentManager passes on what git says", async () => {
  await using place = new Place();
  await place.commit({ "a.ts": "a" });
  const { repo } = place;
  const manager = place.manager();
  await fails("git-failed", () => manager.get({ repo, branch: "nothing" }));
  await fails("script-refused", () => manager.get({ repo, branch: "-b" }));
  const commit = "0".repeat(40);
  await fails("git-failed", () => manager.get({ repo, commit }));
  assertEquals(place.installs, 0);
  assertEquals(place.kept, []);
});

test("EnvironmentManager ends a build when nobody waits any more, and not before", async () => {
  await using place = new Place();
  await place.commit({ "a.ts": "a" });
  const { repo } = place;
  const signals: AbortSignal[] = [];
  const gate = Promise.withResolvers<void>();
  const manager = place.manager((_, { signal }) => {
    signals.push(signal);
    return gate.promise;
  });
  const [one, other] = [new AbortController(), new AbortController()];
  const first = manager.get({ repo }, { signal: one.signal });
  const second = manager.get({ repo }, { signal: other.signal });
  await eventually(() => signals.length === 1, "was an installation begun");
  await pause(50);
  one.abort("one");
  assertEquals(await first.catch((reason) => reason), "one");
  assert(!signals[0]?.aborted);
  other.abort("other");
  assertEquals(await second.catch((reason) => reason), "other");
  assertEquals(signals[0]?.reason, "other");

  const third = manager.get({ repo });
  await eventually(() => signals.length === 2, "was another one begun");
  gate.resolve();
  using environment = await third;
  assertEquals(namesIn(environment.directory), ["a.ts"]);
  await eventually(() => !place.isBuilding, "was the first one removed");
});

test("EnvironmentManager holds nothing for those who left just before the end", async () => {
  await using place = new Place();
  const commit = await place.commit({ "a.ts": "a" });
  const manager = place.manager();
  const git = { repo: place.repo, commit };
  (await manager.get(git)).release();
  for (let turns = 0; turns < 40; turns++) {
    const controller = new AbortController();
    const get = manager.get(git, { signal: controller.signal });
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    if (turns % 2 === 1) await pause(turns / 10);
    controller.abort("gone");
    const environment = await get.catch(() => undefined);
    environment?.release();
  }
  const isDeleted = () => manager.delete(commit).then(() => true, () => false);
  await eventually(isDeleted, "did all let go");
  assertEquals(place.kept, []);
});

test("EnvironmentManager ends an installation that takes too long", async () => {
  await using place = new Place();
  await place.commit({ "a.ts": "a" });
  const { repo } = place;
  const clock = new ManualClock();
  const begun = Promise.withResolvers<AbortSignal>();
  const install: Install = (_, { signal }) => {
    begun.resolve(signal);
    return new Promise(() => {});
  };
  const manager = place.manager(install, { clock, timeout: 1000 });
  const late = fails("environment-failed", () => manager.get({ repo }));
  const signal = await begun.promise;
  await clock.advance(999);
  assert(!signal.aborted);
  await clock.advance(1);
  assert(signal.aborted);
  const error = await late;
  assertStringIncludes(error.message, "it took longer than 1000 ms");
  assertEquals(place.kept, []);
});

test("EnvironmentManager leaves out links that lead out of the repository", async () => {
  await using place = new Place();
  await Deno.writeTextFile(place.folder.at("deno.lock"), "outside");
  await place.commit({
    "a.ts": "a",
    "scripts/b.ts": { link: "../a.ts" },
    "node_modules": { link: place.folder.path },
    "deno.lock": { link: "../../../deno.lock" },
    "vendor": { link: "../new" },
    "nothing": { link: "not-there" },
    "up/down": { link: "../scripts/../.." },
  });
  using environment = await place.manager().get({ repo: place.repo });
  assertEquals(namesIn(environment.directory), ["a.ts", "scripts", "up"]);
  assertEquals(namesIn(`${environment.directory}/up`), []);
  assertEquals(
    await Deno.readTextFile(`${environment.directory}/scripts/b.ts`),
    "a",
  );
  assertEquals(place.omitted.map((links) => links.sort()), [
    ["deno.lock", "node_modules", "nothing", "up/down", "vendor"],
  ]);
});

test("EnvironmentManager removes what was used least recently, and never what is in use", async () => {
  await using place = new Place();
  const commits: string[] = [];
  for (const text of ["0", "1", "2"]) {
    commits.push(await place.commit({ "a.ts": text.repeat(1000) }));
  }
  const { repo } = place;
  const manager = place.manager(async () => {}, { sizeLimit: 2500 });
  const get = async (number: number) => {
    await pause(5);
    return await manager.get({ repo, commit: commits[number] ?? "" });
  };
  using first = await get(0);
  (await get(1)).release();
  const third = await get(2);
  const ids = (await manager.list()).map(({ id }) => id);
  assertEquals(ids, [commits[0], commits[2]]);
  using again = await get(1);
  assertEquals(place.kept.length, 3);
  third.release();
  await eventually(() => place.kept.length === 2, "was one removed");
  assertEquals(namesIn(first.directory), ["a.ts"]);
  assertEquals(namesIn(again.directory), ["a.ts"]);
});

test("EnvironmentManager ends all builds when it is closed", async () => {
  await using place = new Place();
  await place.commit({ "a.ts": "a" });
  const { repo } = place;
  const begun = Promise.withResolvers<AbortSignal>();
  const manager = place.manager((_, { signal }) => {
    begun.resolve(signal);
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason))
    );
  });
  const get = fails("closed", () => manager.get({ repo }));
  const signal = await begun.promise;
  await manager[Symbol.asyncDispose]();
  assert(signal.aborted);
  await get;
  assertEquals(place.kept, []);
  await fails("closed", () => manager.get({ repo }));
});

const PROGRAM = fileURLToPath(import.meta.resolve("./_environment_program.ts"));
const IMPORT_MAP = fileURLToPath(
  import.meta.resolve("../../compat/import_map.json"),
);

/** Another service with the same folders. */
class Service implements AsyncDisposable {
  readonly child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;

  constructor(place: Place, commit: string) {
    this.child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-all",
        "--no-check",
        "--node-modules-dir=none",
        `--import-map=${IMPORT_MAP}`,
        PROGRAM,
        place.folder.path,
        place.repo,
        commit,
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#lines = this.child.stdout
      .pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The folder of its environment, when it is there. */
  async directory(): Promise<string> {
    return (await this.#lines.read()).value?.trim() ?? "";
  }

  async end(): Promise<number> {
    await this.child.stdin.close().catch(() => {});
    return (await this.child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.child.stdin.close().catch(() => {});
    await this.#lines.cancel();
    await this.child.status;
  }
}

function builders(place: Place): number[] {
  try {
    const log = Deno.readTextFileSync(place.folder.at("log"));
    return log.split("\n").filter((line) => line !== "").map(Number);
  } catch {
    return [];
  }
}

test("EnvironmentManager builds once for two processes, and neither removes what the other uses", async () => {
  await using place = new Place();
  const commit = await place.commit({ "a.ts": "a" });
  await using one = new Service(place, commit);
  await using other = new Service(place, commit);
  await eventually(() => builders(place).length > 0, "was a build begun");
  await pause(500);
  assertEquals(builders(place).length, 1);
  await Deno.writeTextFile(place.folder.at("go"), "");
  const directory = await one.directory();
  assertEquals(await other.directory(), directory);
  assertEquals(builders(place).length, 1);
  assertEquals(namesIn(directory), ["a.ts", "half", "whole"]);

  const manager = place.manager();
  await fails("invalid-state", () => manager.delete(commit));
  assertEquals(await one.end(), 0);
  await fails("invalid-state", () => manager.delete(commit));
  assertEquals(await other.end(), 0);
  await manager.delete(commit);
  assertEquals(place.kept, []);
});

test("EnvironmentManager takes over from a process that was killed in the middle of a build", async () => {
  await using place = new Place();
  const commit = await place.commit({ "a.ts": "a" });
  await using one = new Service(place, commit);
  await eventually(() => builders(place).length === 1, "was a build begun");
  const [pid = 0] = builders(place);
  assertEquals(pid, one.child.pid);
  const locks = namesIn(place.folder.at("environments"))
    .filter((name) => name.endsWith(".lock"));
  const lock = place.folder.at("environments", locks[0] ?? "");
  assertEquals(JSON.parse(await Deno.readTextFile(lock)).pid, pid);

  const gate = Promise.withResolvers<void>();
  const manager = place.manager(() => gate.promise);
  const get = manager.get({ repo: place.repo, commit });
  await pause(300);
  assertEquals(place.installs, 0);
  one.child.kill("SIGKILL");
  await eventually(() => place.installs === 1, "was it taken over");
  assert(!isAlive(pid));
  assertEquals(place.kept.length, 1, "the half-built folder is removed");
  gate.resolve();
  using environment = await get;
  assertEquals(namesIn(environment.directory), ["a.ts"]);
});

test("EnvironmentManager checks its options", () => {
  const git = new GitManager({ directory: "unused" });
  for (
    const options of [
      undefined,
      {},
      { git: {} },
      { git, directory: 7 },
      { git, install: "deno" },
      { git, deno: "" },
      { git, env: [1] },
      { git, timeout: "1" },
      { git, sizeLimit: null },
      { git, logger: 7 },
    ]
  ) {
    assertThrows(
      () => new EnvironmentManager(options as EnvironmentManagerOptions),
      TypeError,
    );
  }
  assertThrows(() => new EnvironmentManager({ git, timeout: 0 }), RangeError);
});

test("EnvironmentManager says that there is no commit to get an environment of", async () => {
  await using place = new Place();
  const manager = place.manager();
  for (const git of [undefined, null, "git"]) {
    await assertRejects(
      () => manager.get(git as unknown as GitArgs),
      TypeError,
      "Cannot get environment as 'git' must be an object",
    );
  }
});

test("EnvironmentManager goes on when somebody has removed its folder", async () => {
  await using place = new Place();
  const commit = await place.commit({ "a.ts": "a" });
  const manager = place.manager();
  (await manager.get({ repo: place.repo })).release();
  for (const name of ["environments", "checkouts"]) {
    await Deno.remove(place.folder.at(name), { recursive: true });
  }
  assertEquals(await manager.list(), []);
  await manager.delete(commit);
  await Deno.remove(place.folder.at("environments"), { recursive: true });
  using environment = await manager.get({ repo: place.repo, commit });
  assertEquals(namesIn(environment.directory), ["a.ts"]);
  assertEquals(place.installs, 2);
});

test("EnvironmentManager counts what grows beside files that come and go", async () => {
  await using place = new Place();
  await place.commit({ "a.ts": "a" });
  const clock = new ManualClock();
  const written = Promise.withResolvers<void>();
  const { lstat } = Deno;
  // Each time it is looked at, it has just gone.
  using _ = stub(
    Deno,
    "lstat",
    (path: string | URL) =>
      String(path).endsWith("/temporary")
        ? Promise.reject(new Deno.errors.NotFound("gone"))
        : lstat(path),
  );
  let signal: AbortSignal | undefined;
  const manager = place.manager(async (folder, context) => {
    ({ signal } = context);
    await Deno.mkdir(`${folder}/modules`);
    await Deno.writeTextFile(`${folder}/modules/large`, "x".repeat(5_000));
    await Deno.writeTextFile(`${folder}/modules/temporary`, "");
    await Deno.writeTextFile(`${folder}/temporary`, "");
    written.resolve();
    await new Promise((_, reject) =>
      context.signal.addEventListener(
        "abort",
        () => reject(context.signal.reason),
      )
    );
  }, { clock, entryLimit: 4_000, timeout: Infinity });
  const late = assertRejects(
    () => manager.get({ repo: place.repo }),
    ProcedureError,
    "The environment has more than 4000 bytes",
  );
  await written.promise;
  await eventually(async () => {
    await clock.advance(1_000);
    return signal?.aborted === true;
  }, "was it given up");
  await late;
});

test("EnvironmentManager gives up what grows too large, while it grows and afterwards", async () => {
  await using place = new Place();
  await place.commit({ "a.ts": "a" });
  const clock = new ManualClock();
  const written = Promise.withResolvers<void>();
  let signal: AbortSignal | undefined;
  const swell: Install = async (folder, context) => {
    ({ signal } = context);
    await Deno.writeTextFile(`${folder}/large`, "x".repeat(5_000));
    written.resolve();
    await new Promise((_, reject) =>
      context.signal.addEventListener(
        "abort",
        () => reject(context.signal.reason),
      )
    );
  };
  const growing = place.manager(swell, { clock, entryLimit: 4_000 });
  const late = assertRejects(
    () => growing.get({ repo: place.repo }),
    ProcedureError,
    "The environment has more than 4000 bytes",
  );
  await written.promise;
  for (let looks = 0; looks < 1_000 && !signal?.aborted; looks++) {
    await clock.advance(1_000);
    await pause(1);
  }
  assert(signal?.aborted);
  assertEquals((await late).code, "environment-failed");
  const grown = place.manager(
    (folder) => Deno.writeTextFile(`${folder}/large`, "x".repeat(5_000)),
    { entryLimit: 4_000 },
  );
  await assertRejects(
    () => grown.get({ repo: place.repo }),
    ProcedureError,
    "more than 4000 bytes",
  );
  assertEquals(place.kept, []);
  const fitting = place.manager(undefined, { entryLimit: 4_000 });
  using _ = await fitting.get({ repo: place.repo });
});
