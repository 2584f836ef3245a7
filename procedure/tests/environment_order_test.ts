// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import fc from "fast-check";
import {
  type Environment,
  EnvironmentManager,
} from "../environment_manager.ts";
import { ProcedureError } from "../procedure_errors.ts";
import type { GitArgs } from "../script.ts";
import { namesIn, pause } from "./_eventually.ts";
import { TemporaryFolder } from "./_git_repository.ts";

const COMMITS = ["a", "b", "c"].map((digit) => digit.repeat(40));
const REPO = "https://example.org/a/b";
const SIZE = 100;

interface Install {
  readonly commit: string;
  readonly signal: AbortSignal;
  isOpen: boolean;
  finish(): void;
  fail(): void;
}

interface Get {
  readonly commit: string;
  readonly controller: AbortController;
  environment: Environment | undefined;
  isReleased: boolean;
  readonly settled: Promise<void>;
  isSettled: boolean;
}

/** Two services with one folder, and what must hold whatever they do. */
class Model implements AsyncDisposable {
  readonly folder: TemporaryFolder = new TemporaryFolder();
  readonly installs: Install[] = [];
  readonly gets: Get[] = [];
  readonly work: Promise<void>[] = [];
  readonly faults: string[] = [];
  readonly #managers: EnvironmentManager[] = [0, 1].map(() => this.#manager());

  #manager(): EnvironmentManager {
    return new EnvironmentManager({
      git: {
        resolveCommit: ({ commit = "" }: GitArgs) => Promise.resolve(commit),
        projectName: () => "a-b",
        checkout: async ({ commit = "" }: GitArgs) => {
          const directory = this.folder.at("checkouts", commit);
          await Deno.mkdir(directory, { recursive: true });
          await Deno.writeTextFile(`${directory}/commit`, commit);
          const release = () => {};
          const project = "a-b";
          const [dispose] = [release];
          return {
            directory,
            commit,
            project,
            release,
            [Symbol.dispose]: dispose,
          };
        },
      },
      directory: this.folder.at("environments"),
      install: (folder, { signal }) => this.#install(folder, signal),
      sizeLimit: SIZE * 2.5,
    });
  }

  async #install(folder: string, signal: AbortSignal): Promise<void> {
    const commit = await Deno.readTextFile(`${folder}/commit`);
    const gate = Promise.withResolvers<void>();
    const install: Install = {
      commit,
      signal,
      isOpen: true,
      finish: gate.resolve,
      fail: () => gate.reject(new Error("failed")),
    };
    signal.addEventListener("abort", () => gate.reject(signal.reason));
    if (signal.aborted) gate.reject(signal.reason);
    const others = this.installs.filter((each) =>
      each.isOpen && !each.signal.aborted && each.commit === commit
    );
    if (others.length > 0) this.faults.push(`two installations of ${commit}`);
    this.installs.push(install);
    try {
      await gate.promise;
      await Deno.writeTextFile(`${folder}/whole`, "x".repeat(SIZE - 40));
    } finally {
      install.isOpen = false;
    }
  }

  get openInstalls(): Install[] {
    return this.installs.filter(({ isOpen }) => isOpen);
  }

  get pending(): Get[] {
    return this.gets.filter(({ isSettled }) => !isSettled);
  }

  get held(): Get[] {
    return this.gets.filter((get) =>
      get.environment !== undefined && !get.isReleased
    );
  }

  get(commit: string, at: number): void {
    const controller = new AbortController();
    const promise = this.#managers[at]?.get({ repo: REPO, commit }, {
      signal: controller.signal,
    });
    const settle = async (): Promise<void> => {
      try {
        get.environment = await promise;
      } catch (error) {
        const isAbort = error === controller.signal.reason;
        const isFailure = error instanceof ProcedureError &&
          error.code === "environment-failed";
        if (!isAbort && !isFailure) this.faults.push(`rejected: ${error}`);
      }
      get.isSettled = true;
    };
    const get: Get = {
      commit,
      controller,
      environment: undefined,
      isReleased: false,
      isSettled: false,
      settled: Promise.resolve().then(settle),
    };
    this.gets.push(get);
    this.work.push(get.settled);
  }

  release(get: Get | undefined): void {
    if (get === undefined) return;
    get.isReleased = true;
    get.environment?.release();
  }

  delete(commit: string, at: number): void {
    const before = this.held.filter((get) => get.commit === commit);
    const finish = async (): Promise<void> => {
      try {
        await this.#managers[at]?.delete(commit);
      } catch (error) {
        if (error instanceof ProcedureError && error.code === "invalid-state") {
          return;
        }
        this.faults.push(`not deleted: ${error}`);
        return;
      }
      if (before.some(({ isReleased }) => !isReleased)) {
        this.faults.push(`deleted ${commit} in use`);
      }
    };
    this.work.push(finish());
  }

  /** What is held is there and whole. */
  check(): void {
    for (const { environment, commit } of this.held) {
      const names = namesIn(environment?.directory ?? "");
      if (names.join() !== "commit,whole" || environment?.id !== commit) {
        this.faults.push(`${commit} is held and has ${names.join()}`);
      }
    }
    assertEquals(this.faults, []);
  }

  /** Lets all come to an end. */
  async drain(): Promise<void> {
    while (this.pending.length > 0) {
      for (const install of this.openInstalls) install.finish();
      await pause(5);
    }
    await Promise.all(this.work);
    this.check();
    for (const get of this.held) this.release(get);
    for (const manager of this.#managers) await manager.close();
    assertEquals(this.openInstalls.length, 0);

    const manager = this.#manager();
    const kept = await manager.list();
    assert(kept.every(({ inUse }) => !inUse));
    for (const { directory, id } of kept) {
      assertEquals(namesIn(directory), ["commit", "whole"]);
      await manager.delete(id);
    }
    assertEquals(namesIn(this.folder.at("environments")), []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { controller } of this.gets) controller.abort();
    await Promise.all(this.work);
    for (const get of this.held) this.release(get);
    for (const manager of this.#managers) await manager.close();
    await this.folder[Symbol.asyncDispose]();
  }
}

const commit = fc.constantFrom(...COMMITS);
const at = fc.nat(1);
const which = fc.nat();

function pick<T>(all: readonly T[], which: number): T | undefined {
  return all[which % Math.max(1, all.length)];
}

type Step = (model: Model) => void | Promise<void>;

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(commit, at).map(([commit, at]): Step => (model) =>
      model.get(commit, at)
    ),
  },
  {
    weight: 3,
    arbitrary: which.map((n): Step => (model) =>
      pick(model.openInstalls, n)?.finish()
    ),
  },
  which.map((n): Step => (model) => pick(model.openInstalls, n)?.fail()),
  {
    weight: 2,
    arbitrary: which.map((n): Step => (model) =>
      model.release(pick(model.held, n))
    ),
  },
  {
    weight: 2,
    arbitrary: which.map((n): Step => (model) =>
      pick(model.pending, n)?.controller.abort(`abort ${n}`)
    ),
  },
  fc.tuple(commit, at).map(([commit, at]): Step => (model) =>
    model.delete(commit, at)
  ),
  { weight: 4, arbitrary: fc.nat(15).map((ms): Step => () => pause(ms)) },
);

test("EnvironmentManager keeps what is held, and builds one at a time, in whatever order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      await using model = new Model();
      for (const each of steps) {
        await each(model);
        model.check();
      }
      await model.drain();
    }),
    { numRuns: 40 },
  );
});
