// Copyright 2026 the Longrun authors. MIT license.

import { join } from "node:path";
import { EnvironmentManager } from "../environment_manager.ts";
import { GitManager } from "../git_manager.ts";
import { eventually } from "./_eventually.ts";

/**
 * A service of its own: takes an environment into use until its input ends. An
 * installation is written to the log, and waits until there is a file "go".
 */
const [folder = "", repo = "", commit = ""] = Deno.args;

const go = (): boolean => {
  try {
    return Deno.statSync(join(folder, "go")).isFile;
  } catch {
    return false;
  }
};

const git = new GitManager({
  directory: join(folder, "checkouts"),
  protocols: ["file"],
});
const environments = new EnvironmentManager({
  git,
  directory: join(folder, "environments"),
  install: async (files) => {
    Deno.writeTextFileSync(join(files, "half"), String(Deno.pid));
    const line = `${Deno.pid}\n`;
    Deno.writeTextFileSync(join(folder, "log"), line, { append: true });
    await eventually(go, "went on");
    Deno.writeTextFileSync(join(files, "whole"), String(Deno.pid));
  },
});
const environment = await environments.get({ repo, commit });
console.log(environment.directory);
for await (const _ of Deno.stdin.readable) { /* Until the end. */ }
environment.release();
await environments.close();
await git.close();
