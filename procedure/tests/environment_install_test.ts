// Copyright 2026 the Longrun authors. MIT license.

import { ManualClock } from "@longrun/tasks/testing";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import {
  type Environment,
  EnvironmentManager,
} from "../environment_manager.ts";
import { GitManager } from "../git_manager.ts";
import { ProcedureError } from "../procedure_errors.ts";
import { eventually, isAlive, namesIn } from "./_eventually.ts";
import {
  type Files,
  GitRepository,
  TemporaryFolder,
} from "./_git_repository.ts";
import { NpmRegistry } from "./_npm_registry.ts";

interface Rig {
  readonly folder: TemporaryFolder;
  readonly registry: NpmRegistry;
  /** The environment of a repository with these files. */
  get(files: Files): Promise<Environment>;
}

async function withRegistry(body: (rig: Rig) => Promise<void>): Promise<void> {
  await using folder = new TemporaryFolder();
  await using registry = await NpmRegistry.start(
    folder.at("registry"),
    folder.at("trapped"),
  );
  await using git = new GitManager({
    directory: folder.at("checkouts"),
    protocols: ["file"],
  });
  await using environments = new EnvironmentManager({
    git,
    directory: folder.at("environments"),
    env: { NPM_CONFIG_REGISTRY: registry.url },
  });
  const repository = await GitRepository.create(folder.at("repo"));
  await body({
    folder,
    registry,
    get: async (files) => {
      const commit = await repository.commit(files);
      return await environments.get({ repo: repository.url, commit });
    },
  });
}

/** Runs a script of an environment without a network. */
async function run(environment: Environment, name: string): Promise<string> {
  const { directory, flags, env } = environment;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", ...flags, name],
    cwd: directory,
    env: { ...env, NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return decoder.decode(stdout).trim() || decoder.decode(stderr);
}

const SCRIPT = 'import tiny from "tiny";\nconsole.log(tiny);\n';

test("EnvironmentManager installs what deno.json names, for a DENO_DIR of its own", async () => {
  await withRegistry(async ({ get, registry }) => {
    using environment = await get({
      "a.ts": SCRIPT,
      "deno.json": '{ "imports": { "tiny": "npm:tiny@^1.0.0" } }',
    });
    assertEquals(await run(environment, "a.ts"), "42");
    assertEquals(namesIn(environment.directory), [
      "a.ts",
      "deno.json",
      "deno.lock",
    ]);
    assert(registry.requests.length > 0);
  });
});

test("EnvironmentManager installs what package.json names", async () => {
  await withRegistry(async ({ get }) => {
    using environment = await get({
      "a.ts": SCRIPT,
      "package.json": '{ "dependencies": { "tiny": "^1.0.0" } }',
    });
    assertEquals(environment.configPath, `${environment.directory}/deno.json`);
    assert(namesIn(environment.directory).includes("node_modules"));
    assertEquals(await run(environment, "a.ts"), "42");
  });
});

test("EnvironmentManager installs nothing but what the lock says", async () => {
  await withRegistry(async ({ folder, get }) => {
    const config = '{ "imports": { "tiny": "npm:tiny@^1.0.0" } }';
    const files = { "a.ts": SCRIPT, "deno.json": config };
    let lock: string;
    {
      using environment = await get(files);
      lock = await Deno.readTextFile(`${environment.directory}/deno.lock`);
    }
    using environment = await get({ ...files, "deno.lock": lock });
    assertEquals(await run(environment, "a.ts"), "42");
    assertEquals(
      await Deno.readTextFile(`${environment.directory}/deno.lock`),
      lock,
    );

    const other = lock.replace(/sha512-[^"]*/, `sha512-${"A".repeat(86)}==`);
    for (const bad of ['{ "version": "5" }', other]) {
      const error = await assertRejects(
        () => get({ ...files, "deno.lock": bad }),
        ProcedureError,
      );
      assertEquals(error.code, "environment-failed");
      assertStringIncludes(error.message, "The installation failed: ");
    }
    const kept = namesIn(folder.at("environments"));
    assertEquals(kept.filter((name) => name.includes("+")), []);
  });
});

test("EnvironmentManager installs nothing where nothing is named", async () => {
  await withRegistry(async ({ get, registry }) => {
    using environment = await get({ "a.ts": "console.log(1);" });
    assertEquals(namesIn(environment.directory), ["a.ts"]);
    assertEquals(await run(environment, "a.ts"), "1");
    assertEquals(registry.requests, []);
  });
});

test("EnvironmentManager runs no script of a package, whatever the repository allows", async () => {
  await withRegistry(async ({ folder, get }) => {
    const trap = `touch ${folder.at("trapped")}`;
    const names = ["preinstall", "install", "postinstall", "prepare"];
    const scripts = Object.fromEntries(names.map((name) => [name, trap]));
    for (const allowScripts of [true, ["npm:tiny", "npm:mine"]]) {
      using environment = await get({
        "a.ts": SCRIPT,
        "deno.json": JSON.stringify({
          imports: { tiny: "npm:tiny@1.0.0" },
          nodeModulesDir: "auto",
          allowScripts,
          tasks: scripts,
        }),
        "package.json": JSON.stringify({ name: "mine", scripts }),
        // So that the two do not make the same commit.
        "b.ts": String(allowScripts),
      });
      assertEquals(await run(environment, "a.ts"), "42");
    }
    assert(!namesIn(folder.path).includes("trapped"));
  });
});

test("EnvironmentManager lets no script read the packages of others", async () => {
  await withRegistry(async ({ folder, get }) => {
    const other = folder.at("other/node_modules/secret");
    await Deno.mkdir(other, { recursive: true });
    await Deno.writeTextFile(`${other}/package.json`, '{ "secret": 1 }');
    const script = `import { createRequire } from "node:module";
      import tiny from "tiny";
      try {
        createRequire(import.meta.url)("${other}/package.json");
      } catch (error) {
        console.log(error.name, tiny);
      }`;
    const configs = [
      {},
      { nodeModulesDir: "manual" },
      { nodeModulesDir: "manual", imports: { tiny: "npm:tiny@1.0.0" } },
    ];
    for (const [index, config] of configs.entries()) {
      using environment = await get({
        "a.ts": script,
        "deno.json": JSON.stringify(config),
        "package.json": '{ "dependencies": { "tiny": "1.0.0" } }',
        "b.ts": String(index),
      });
      assertEquals(await run(environment, "a.ts"), "NotCapable 42");
    }
    // The name of the setting, as nobody looks for it.
    using environment = await get({
      "a.ts": script,
      "deno.json": `{
        "node\\u004dodulesDir": "manual",
        "imports": { "tiny": "npm:tiny@1.0.0" }
      }`,
    });
    assertEquals(await run(environment, "a.ts"), "NotCapable 42");
  });
});

test("EnvironmentManager tells a repository nothing of its own environment", async () => {
  Deno.env.set("LONGRUN_TEST_SECRET", "secret");
  try {
    await withRegistry(async ({ get, registry }) => {
      const host = registry.url.replace("http:", "");
      const installed = get({
        "deno.json": '{ "imports": { "tiny": "npm:tiny@1.0.0" } }',
        ".npmrc": `registry=${registry.url}x\${LONGRUN_TEST_SECRET}/\n` +
          `${host}:_authToken=x\${LONGRUN_TEST_SECRET}\n`,
      });
      // Whether there is such a package is of no interest.
      await installed.then((environment) => environment.release(), () => {});
      assert(registry.requests.length > 0);
      assert(registry.requests.every((each) => !each.includes("secret")));
    });
  } finally {
    Deno.env.delete("LONGRUN_TEST_SECRET");
  }
});

test("EnvironmentManager writes no lock but its own", async () => {
  await withRegistry(async ({ folder, get }) => {
    const lock = folder.at("elsewhere.lock");
    using environment = await get({
      "a.ts": SCRIPT,
      "deno.json": JSON.stringify({
        imports: { tiny: "npm:tiny@1.0.0" },
        lock,
      }),
    });
    assert(!namesIn(folder.path).includes("elsewhere.lock"));
    assert(namesIn(environment.directory).includes("deno.lock"));
  });
});

test("EnvironmentManager kills an installation that hangs, with all that it has started", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("repo"));
  await repository.commit({ "deno.json": "{}" });
  const deno = folder.at("fake-deno");
  const text = `#!/bin/sh
    sleep 600 &
    echo $! > '${folder.at("pid.new")}'
    mv '${folder.at("pid.new")}' '${folder.at("pid")}'
    wait`;
  await Deno.writeTextFile(deno, text, { mode: 0o755 });
  await using git = new GitManager({
    directory: folder.at("checkouts"),
    protocols: ["file"],
  });
  const clock = new ManualClock();
  await using environments = new EnvironmentManager({
    git,
    directory: folder.at("environments"),
    deno,
    clock,
    timeout: 500,
  });
  const late = assertRejects(
    () => environments.get({ repo: repository.url }),
    ProcedureError,
  );
  await eventually(() => namesIn(folder.path).includes("pid"), "did it begin");
  await clock.advance(500);
  const error = await late;
  assertStringIncludes(error.message, "it took longer than 500 ms");
  const pid = Number(await Deno.readTextFile(folder.at("pid")));
  await eventually(() => !isAlive(pid), "was the rest killed");
});

async function isReachable(url: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(5000);
    const response = await fetch(url, { signal });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

test("EnvironmentManager installs from the registry of npm", async () => {
  const registry = Deno.env.get("NPM_CONFIG_REGISTRY") ??
    "https://registry.npmjs.org/";
  if (!await isReachable(new URL("ms", registry).href)) {
    console.log("Left out: the registry of npm does not answer");
    return;
  }
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("repo"));
  const config = '{ "imports": { "ms": "npm:ms@2.1.3" } }';
  await repository.commit({
    "a.ts": 'import ms from "ms";\nconsole.log(ms("2h"));\n',
    "deno.json": config,
    "deno.lock": JSON.stringify({
      version: "5",
      specifiers: { "npm:ms@2.1.3": "2.1.3" },
      npm: {
        "ms@2.1.3": {
          integrity:
            "sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA==",
        },
      },
      workspace: { dependencies: ["npm:ms@2.1.3"] },
    }),
  });
  await using git = new GitManager({
    directory: folder.at("checkouts"),
    protocols: ["file"],
  });
  await using environments = new EnvironmentManager({
    git,
    directory: folder.at("environments"),
  });
  using environment = await environments.get({ repo: repository.url });
  assertEquals(await run(environment, "a.ts"), "7200000");
});
