// Copyright 2026 the Longrun authors. MIT license.

import { defaultLogger } from "@longrun/tasks/logger";
import { ManualClock } from "@longrun/tasks/testing";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { GitManager, type GitManagerOptions } from "../git_manager.ts";
import {
  ProcedureError,
  type ProcedureErrorCode,
} from "../procedure_errors.ts";
import type { GitArgs } from "../script.ts";
import { eventually, isAlive, namesIn, pause } from "./_eventually.ts";
import { GitRepository, TemporaryFolder } from "./_git_repository.ts";
import { GitServer } from "./_git_server.ts";

const NOBODY = "0".repeat(40);

function managerIn(
  folder: TemporaryFolder,
  options: GitManagerOptions = {},
): GitManager {
  return new GitManager({
    directory: folder.at("checkouts"),
    protocols: ["file", "http"],
    ...options,
  });
}

async function fails(
  code: ProcedureErrorCode,
  work: () => Promise<unknown>,
): Promise<ProcedureError> {
  const error = await assertRejects(work, ProcedureError);
  assertEquals(error.code, code, error.message);
  return error;
}

async function fakeGit(
  folder: TemporaryFolder,
  lines: string,
): Promise<string> {
  const path = folder.at("fake-git");
  await Deno.writeTextFile(path, `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
  return path;
}

test("GitManager names projects by the path of their address", () => {
  const manager = new GitManager({ directory: "unused" });
  for (
    const [repo, name] of [
      ["https://example.org/observatory/scripts.git", "observatory-scripts"],
      ["https://example.org/observatory/scripts", "observatory-scripts"],
      ["https://example.org/observatory/scripts.git/", "observatory-scripts"],
      ["http://example.org:8080/a/b.c/d", "a-b.c-d"],
      ["ssh://git@example.org/a/b.git", "a-b"],
      ["git@example.org:a/b.git", "a-b"],
      ["file:///srv/git/a.git", "srv-git-a"],
    ] as const
  ) assertEquals(manager.projectName(repo), name);
  assertThrows(
    () => manager.projectName("https://example.org/"),
    ProcedureError,
  );
  assertThrows(() => manager.projectName(7 as unknown as string), TypeError);
});

test("GitManager finds the commit of exactly the branch that is asked for", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("repo"));
  const { url: repo } = repository;
  const head = await repository.commit({ "a.ts": "1" });
  const other = await repository.branch("a/feat", { "a.ts": "2" });
  await using manager = managerIn(folder);

  assertEquals(await manager.resolveCommit({ repo }), head);
  assertEquals(await manager.resolveCommit({ repo, branch: "trunk" }), head);
  assertEquals(await manager.resolveCommit({ repo, branch: "a/feat" }), other);
  await fails(
    "git-failed",
    () => manager.resolveCommit({ repo, branch: "feat" }),
  );
  const exact = await repository.branch("feat", { "a.ts": "3" });
  assertEquals(await manager.resolveCommit({ repo, branch: "feat" }), exact);
  assertEquals(
    await manager.resolveCommit({ repo, branch: "feat", commit: head }),
    head,
  );
  assertEquals(
    await manager.resolveCommit({ repo, commit: head.toUpperCase() }),
    head,
  );

  // Git finds this one too when it is asked for refs/heads/next.
  await repository.branch("a/refs/heads/next", { "a.ts": "4" });
  await fails(
    "git-failed",
    () => manager.resolveCommit({ repo, branch: "next" }),
  );

  await repository.git("tag", "v1", other);
  const error = await fails(
    "git-failed",
    () => manager.resolveCommit({ repo, branch: "v1" }),
  );
  assertStringIncludes(error.message, "No branch 'v1'");
});

test("GitManager says that a repository is empty or not there", async () => {
  await using folder = new TemporaryFolder();
  const { url: repo } = await GitRepository.create(folder.at("repo"));
  await using manager = managerIn(folder);
  const error = await fails("git-failed", () => manager.checkout({ repo }));
  assertStringIncludes(error.message, "No HEAD");
  await fails("git-failed", () => manager.checkout({ repo: `${repo}-not` }));
  assertEquals(namesIn(folder.at("checkouts")), []);
});

test("GitManager checks out commits by branch, by hash and by HEAD", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("repo"));
  const first = await repository.commit({ "scripts/a.ts": "first" });
  const second = await repository.commit({ "scripts/a.ts": "second" });
  const third = await repository.branch("next", { "scripts/a.ts": "third" });
  await using server = new GitServer(folder.path);
  await using manager = managerIn(folder);
  for (const repo of [repository.url, server.url("repo/.git")]) {
    for (
      const [what, commit, text] of [
        [{}, second, "second"],
        [{ branch: "next" }, third, "third"],
        [{ commit: first }, first, "first"],
      ] as const
    ) {
      using checkout = await manager.checkout({ repo, ...what });
      assertEquals(checkout.commit, commit);
      assertEquals(checkout.project, manager.projectName(repo));
      assertEquals(namesIn(checkout.directory), ["scripts"]);
      const path = await manager.scriptPath(checkout, "git://scripts/a.ts");
      assertEquals(await Deno.readTextFile(path), text);
    }
  }
});

test("GitManager checks out commits with long hashes", async () => {
  await using folder = new TemporaryFolder();
  const path = folder.at("repo");
  const repository = await GitRepository.create(path, "main", "sha256");
  const commit = await repository.commit({ "a.ts": "long" });
  await using manager = managerIn(folder);
  using checkout = await manager.checkout({ repo: repository.url });
  assertEquals(checkout.commit, commit);
  assertEquals(commit.length, 64);
  assertEquals(namesIn(checkout.directory), ["a.ts"]);
});

test("GitManager refuses what is no commit, and what is not there", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("repo"));
  await repository.commit({ "a.ts": "" });
  const { url: repo } = repository;
  const tree = await repository.git("rev-parse", "HEAD^{tree}");
  await repository.git("tag", "--annotate", "--message=v1", "v1");
  const tag = await repository.git("rev-parse", "v1");
  await using manager = managerIn(folder);
  for (const commit of [tree, tag, NOBODY]) {
    await fails("git-failed", () => manager.checkout({ repo, commit }));
  }
  assertEquals(namesIn(folder.at("checkouts")), []);
});

test("GitManager fetches a commit once however many ask, and never again", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("repo"));
  const commit = await repository.commit({ "a.ts": "" });
  await using server = new GitServer(folder.path);
  await using manager = managerIn(folder);
  const git = { repo: server.url("repo/.git"), commit };
  const all = await Promise.all(
    Array.from({ length: 20 }, () => manager.checkout(git)),
  );
  assertEquals(new Set(all.map(({ directory }) => directory)).size, 1);
  assertEquals(server.fetches, 1);
  for (const each of all) {
    each.release();
    each.release();
  }

  await using later = managerIn(folder, { git: "/nowhere/git" });
  using checkout = await later.checkout(git);
  assertEquals(checkout.directory, all[0]?.directory);
});

test("GitManager does not remember a failure", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("repo"));
  const commit = await repository.commit({ "a.ts": "" });
  await using server = new GitServer(folder.path);
  await using manager = managerIn(folder);
  const git = { repo: server.url("repo/.git"), commit };
  server.failures = 1;
  const results = await Promise.allSettled([
    manager.checkout(git),
    manager.checkout(git),
  ]);
  assertEquals(results.map(({ status }) => status), ["rejected", "rejected"]);
  assertEquals(namesIn(folder.at("checkouts")), []);
  using checkout = await manager.checkout(git);
  assertEquals(namesIn(checkout.directory), ["a.ts"]);
});

test("GitManager does not take a commit of one repository for one of another", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("one/repo"));
  const commit = await repository.commit({ "a.ts": "" });
  const other = await GitRepository.create(folder.at("two/repo"));
  await other.commit({ "b.ts": "" });
  await using manager = managerIn(folder);
  using _ = await manager.checkout({ repo: repository.url, commit });
  await fails(
    "git-failed",
    () => manager.checkout({ repo: other.url, commit }),
  );
});

test("GitManager refuses what git could take for something else", async () => {
  await using folder = new TemporaryFolder();
  await using manager = new GitManager({
    directory: folder.at("checkouts"),
    git: await fakeGit(folder, `touch '${folder.at("was-run")}'`),
  });
  const repo = "https://example.org/a/b.git";
  const hostile: GitArgs[] = [
    "--upload-pack=touch /tmp/x",
    "-oProxyCommand=x",
    "ext::sh -c touch% /tmp/x",
    "ext::sh",
    "fd::17/foo",
    "file:///srv/git/a.git",
    "/srv/git/a.git",
    "../a.git",
    "https://example.org/../a",
    "https://example.org/a/%2e%2E/b",
    "https://example.org/a/..",
    "https://example.org",
    "https:///a/b",
    "https://-x/a/b",
    "ssh://-oProxyCommand=touch/a",
    "ssh://-oProxyCommand=touch@host/a",
    "ssh://%2doProxyCommand=touch@host/a",
    "ssh://user@-host/a",
    "git@host:-a",
    "git@-host:a",
    "-git@host:a",
    "https://example.org/a\nb",
    "https://example.org/a\u0000b",
    "https://example.org/a b",
    "https://example.org/a\\b",
    "HTTPS://example.org/a",
    "ftp://example.org/a",
    "",
    `https://example.org/${"a".repeat(4000)}`,
  ].map((repo) => ({ repo }));
  for (
    const branch of [
      "",
      "-b",
      "--upload-pack=x",
      "a..b",
      "a b",
      "a\nb",
      "a\u0000",
      "a*",
      "a:b",
      "a~1",
      "a^",
      "@",
      "a@{1}",
      "/a",
      "a/",
      "a//b",
      ".a",
      "a/.b",
      "a.lock",
      "a.",
      "a\\b",
      "b".repeat(256),
    ]
  ) hostile.push({ repo, branch });
  for (
    const commit of [
      "",
      "HEAD",
      "-f",
      "abc1234",
      `${NOBODY}0`,
      `-${"0".repeat(39)}`,
      `${NOBODY}\n`,
      "g".repeat(40),
    ]
  ) hostile.push({ repo, commit });
  for (const git of hostile) {
    await fails("script-refused", () => manager.resolveCommit(git));
    await fails("script-refused", () => manager.checkout(git));
  }
  for (
    const git of [
      undefined,
      null,
      "https://example.org/a",
      {},
      { repo: 7 },
      { repo, branch: 7 },
      { repo, commit: null },
    ]
  ) {
    await assertRejects(
      () => manager.checkout(git as unknown as GitArgs),
      TypeError,
    );
  }
  assert(!namesIn(folder.path).includes("was-run"));
});

test("GitManager finds scripts in the checkout and nowhere else", async () => {
  await using folder = new TemporaryFolder();
  await Deno.writeTextFile(folder.at("secret.ts"), "secret");
  const repository = await GitRepository.create(folder.at("repo"));
  await repository.commit({
    "scripts/a.ts": "a",
    "scripts/same.ts": { link: "a.ts" },
    "folder": { link: "scripts" },
    "out.ts": { link: folder.at("secret.ts") },
    "up": { link: "../../.." },
    "nothing.ts": { link: "not-there.ts" },
    "loop.ts": { link: "loop.ts" },
    "root": { link: "/" },
  });
  await using manager = managerIn(folder);
  using checkout = await manager.checkout({ repo: repository.url });
  const find = (uri: string) => manager.scriptPath(checkout, uri);
  const path = await find("git://scripts/a.ts");
  for (
    const uri of [
      "git://scripts/same.ts",
      "git://folder/a.ts",
      "git:///scripts/a.ts",
      "git://./scripts//a.ts",
    ]
  ) assertEquals(await find(uri), path);
  for (
    const uri of [
      "git://../../../secret.ts",
      "git://scripts/../scripts/a.ts",
      "git://scripts/a.ts\u0000",
      "git://scripts\\a.ts",
      "git:///",
    ]
  ) await fails("script-refused", () => find(uri));
  assertEquals(namesIn(checkout.directory), ["folder", "scripts"]);
  for (
    const uri of [
      "git://b.ts",
      "git://out.ts",
      "git://up/secret.ts",
      `git://root${folder.at("secret.ts")}`,
      "git://scripts",
      "git://scripts/a.ts/b.ts",
      "git://nothing.ts",
      "git://loop.ts",
    ]
  ) await fails("script-not-found", () => find(uri));
  await assertRejects(() => find("file:///scripts/a.ts"), TypeError);
});

test("GitManager runs nothing that a repository or the user has configured", async () => {
  await using folder = new TemporaryFolder();
  const trap = folder.at("trapped");
  const touch = `touch ${trap} #`;
  const inner = await GitRepository.create(folder.at("inner"));
  await inner.commit({ "a.ts": "inner" });
  const repository = await GitRepository.create(folder.at("repo"));
  await repository.commit({
    ".gitattributes": "*.ts filter=trap\n",
    ".gitmodules":
      `[submodule "inner"]\n\tpath = inner\n\turl = ${inner.url}\n\tupdate = !${touch}\n`,
    ".lfsconfig": "[lfs]\n\turl = http://127.0.0.1:1/\n",
    "a.ts": "a",
  });
  const hooks = folder.at("template", "hooks");
  await Deno.mkdir(hooks, { recursive: true });
  for (const name of ["post-checkout", "reference-transaction"]) {
    const path = `${hooks}/${name}`;
    await Deno.writeTextFile(path, `#!/bin/sh\n${touch}\n`, { mode: 0o755 });
  }
  await Deno.writeTextFile(
    folder.at(".gitconfig"),
    `[init]\n\ttemplateDir = ${
      folder.at("template")
    }\n[core]\n\thooksPath = ${hooks}\n` +
      `\tfsmonitor = ${touch}\n[filter "trap"]\n\tsmudge = ${touch}\n\trequired = true\n` +
      `[url "file:///elsewhere"]\n\tinsteadOf = ${repository.url}\n`,
  );
  // The folder is in a repository of somebody else, too.
  const around = await GitRepository.create(folder.at("around"));
  await around.git("config", "core.hooksPath", hooks);
  await around.git("config", "url.file:///elsewhere.insteadOf", repository.url);
  await using manager = managerIn(folder, {
    directory: folder.at("around", "checkouts"),
    env: { HOME: folder.path },
  });
  using checkout = await manager.checkout({ repo: repository.url });
  assertEquals(namesIn(checkout.directory), [
    ".gitattributes",
    ".gitmodules",
    ".lfsconfig",
    "a.ts",
  ]);
  assert(!namesIn(folder.path).includes("trapped"));
});

test("GitManager gives git a clean environment", async () => {
  await using folder = new TemporaryFolder();
  const git = await fakeGit(folder, `env > '${folder.at("env")}'; exit 1`);
  Deno.env.set("LONGRUN_TEST_SECRET", "secret");
  Deno.env.set("GIT_DIR", "/elsewhere");
  try {
    await using manager = managerIn(folder, { git, env: { ADDED: "yes" } });
    await fails(
      "git-failed",
      () => manager.resolveCommit({ repo: "http://127.0.0.1:1/a" }),
    );
  } finally {
    Deno.env.delete("LONGRUN_TEST_SECRET");
    Deno.env.delete("GIT_DIR");
  }
  const lines = (await Deno.readTextFile(folder.at("env"))).split("\n");
  for (
    const line of [
      "ADDED=yes",
      "GIT_ALLOW_PROTOCOL=file:http",
      "GIT_CONFIG_GLOBAL=/dev/null",
      "GIT_CONFIG_NOSYSTEM=1",
      "GIT_TERMINAL_PROMPT=0",
    ]
  ) assert(lines.includes(line), line);
  for (const name of ["LONGRUN_TEST_SECRET", "GIT_DIR"]) {
    assert(!lines.some((line) => line.startsWith(`${name}=`)), name);
  }
});

test("GitManager tells what git complains of, without passwords", async () => {
  await using folder = new TemporaryFolder();
  const git = await fakeGit(
    folder,
    `printf 'fatal: \\033[31mno http://me:secret@host/a\\n' >&2; exit 128`,
  );
  await using manager = managerIn(folder, { git });
  const repo = "http://me:secret@127.0.0.1:1/a";
  const error = await fails(
    "git-failed",
    () => manager.resolveCommit({ repo }),
  );
  assertEquals(
    error.message,
    "git ls-remote failed: fatal: no http://***@host/a",
  );
  await using none = managerIn(folder, { git: "/nowhere/git" });
  const missing = await fails("git-failed", () => none.resolveCommit({ repo }));
  assertStringIncludes(missing.message, "'/nowhere/git' cannot be run");
  assert(missing.cause instanceof Error);
});

test("GitManager tells passwords to nobody, whatever is in them", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("repo"));
  await repository.commit({ "out.ts": { link: "/" } });
  await using server = new GitServer(folder.path);
  const told: unknown[] = [];
  const logger = {
    ...defaultLogger,
    warn: (...all: unknown[]) => void told.push(...all),
  };
  await using manager = managerIn(folder, { logger });
  const url = server.url("repo/.git").slice("http://".length);
  const repo = `http://me:secret@${url}`;
  using _ = await manager.checkout({ repo });
  const { repo: shown, links } = told[1] as Record<string, unknown>;
  assertEquals([shown, links], [`http://***@${url}`, ["out.ts"]]);

  const git = await fakeGit(
    folder,
    `echo "fatal: no 'http://me:a@secret@host/a' for me@host" >&2; exit 128`,
  );
  await using other = managerIn(folder, { git });
  const error = await fails("git-failed", () => other.resolveCommit({ repo }));
  assertEquals(
    error.message,
    "git ls-remote failed: fatal: no 'http://***@host/a' for me@host",
  );
});

test("GitManager kills a git that hangs, with all that it has started", async () => {
  await using folder = new TemporaryFolder();
  const git = await fakeGit(
    folder,
    `trap '' TERM
    sleep 600 &
    echo $! > '${folder.at("pid.new")}'
    mv '${folder.at("pid.new")}' '${folder.at("pid")}'
    wait`,
  );
  const clock = new ManualClock();
  await using manager = managerIn(folder, { git, clock, timeout: 500 });
  const late = fails(
    "git-failed",
    () => manager.resolveCommit({ repo: "http://127.0.0.1:1/a" }),
  );
  await eventually(() => namesIn(folder.path).includes("pid"), "did git run");
  await clock.advance(500);
  const error = await late;
  assertStringIncludes(error.message, "it took longer than 500 ms");
  const pid = Number(await Deno.readTextFile(folder.at("pid")));
  await eventually(() => !isAlive(pid), "was the transfer killed");
});

test("GitManager ends a fetch when nobody waits any more, and not before", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("repo"));
  const commit = await repository.commit({ "a.ts": "" });
  await using server = new GitServer(folder.path);
  await using manager = managerIn(folder);
  const git = { repo: server.url("repo/.git"), commit };
  const building = () =>
    namesIn(folder.at("checkouts")).some((name) => name.includes("+"));

  let gate = Promise.withResolvers<void>();
  server.gate = gate.promise;
  const [one, other] = [new AbortController(), new AbortController()];
  const first = manager.checkout(git, { signal: one.signal });
  const second = manager.checkout(git, { signal: other.signal });
  await eventually(building, "was a build begun");
  one.abort("one");
  assertEquals(await first.catch((reason) => reason), "one");
  await pause(50);
  assert(building());
  gate.resolve();
  (await second).release();
  other.abort("too late");

  const next = { ...git, commit: await repository.commit({ "a.ts": "2" }) };
  gate = Promise.withResolvers<void>();
  server.gate = gate.promise;
  const [last, again] = [new AbortController(), new AbortController()];
  const third = manager.checkout(next, { signal: last.signal });
  await eventually(building, "was a build begun");
  last.abort("last");
  assertEquals(await third.catch((reason) => reason), "last");
  const fourth = manager.checkout(next, { signal: again.signal });
  gate.resolve();
  using checkout = await fourth;
  assertEquals(namesIn(checkout.directory), ["a.ts"]);
  assert(!building());

  const aborted = AbortSignal.abort("before");
  const reason = await manager.checkout(git, { signal: aborted }).catch((it) =>
    it
  );
  assertEquals(reason, "before");
});

test("GitManager removes what was used least recently, and never what is in use", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("repo"));
  const { url: repo } = repository;
  const commits: string[] = [];
  for (let number = 0; number < 4; number++) {
    const text = String(number).repeat(1000);
    commits.push(await repository.commit({ "a.ts": text }));
  }
  await using manager = managerIn(folder, { sizeLimit: 2500 });
  const take = async (number: number) => {
    await pause(5);
    return await manager.checkout({ repo, commit: commits[number] ?? "" });
  };
  const kept = () =>
    commits.flatMap((commit, number) =>
      namesIn(folder.at("checkouts")).some((name) => name.endsWith(commit))
        ? [number]
        : []
    );
  using first = await take(0);
  (await take(1)).release();
  (await take(2)).release();
  assertEquals(kept(), [0, 2]);
  const [second, third] = [await take(1), await take(3)];
  assertEquals(kept(), [0, 1, 3]);
  second.release();
  await eventually(() => kept().length === 2, "was one removed");
  assertEquals(kept(), [0, 3]);
  assertEquals(namesIn(first.directory), ["a.ts"]);
  third.release();
});

test("GitManager takes no half-built folder for a checkout, and removes it", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("repo"));
  const { url: repo } = repository;
  const commit = await repository.commit({ "a.ts": "whole" });
  let directory: string;
  {
    await using manager = managerIn(folder);
    using checkout = await manager.checkout({ repo, commit });
    directory = checkout.directory;
  }
  const entry = directory.slice(0, directory.lastIndexOf("/"));
  await Deno.remove(`${entry}/entry.json`);
  await Deno.writeTextFile(`${directory}/a.ts`, "half");
  for (const key of [entry, `${entry}-other`]) {
    await Deno.mkdir(`${key}+1234/files`, { recursive: true });
    await Deno.writeTextFile(`${key}+1234/files/a.ts`, "half");
  }
  await using manager = managerIn(folder);
  using checkout = await manager.checkout({ repo, commit });
  assertEquals(checkout.directory, directory);
  assertEquals(await Deno.readTextFile(`${directory}/a.ts`), "whole");
  assert(!namesIn(folder.at("checkouts")).some((name) => name.includes("+")));
  assert(
    !namesIn(folder.at("checkouts")).some((name) => name.includes("other")),
  );
});

test("GitManager ends all fetches when it is closed", async () => {
  await using folder = new TemporaryFolder();
  const repository = await GitRepository.create(folder.at("repo"));
  const commit = await repository.commit({ "a.ts": "" });
  await using server = new GitServer(folder.path);
  const manager = managerIn(folder);
  const git = { repo: server.url("repo/.git"), commit };
  const gate = Promise.withResolvers<void>();
  server.gate = gate.promise;
  const checkout = fails("closed", () => manager.checkout(git));
  await eventually(
    () => namesIn(folder.at("checkouts")).some((name) => name.includes("+")),
    "was a build begun",
  );
  await manager.close();
  await checkout;
  assertEquals(namesIn(folder.at("checkouts")), []);
  await fails("closed", () => manager.checkout(git));
  gate.resolve();
});

test("GitManager ends the search for a commit, too, when it is closed", async () => {
  await using folder = new TemporaryFolder();
  const git = await fakeGit(
    folder,
    `echo $$ > '${folder.at("pid.new")}'
    mv '${folder.at("pid.new")}' '${folder.at("pid")}'
    exec sleep 600`,
  );
  const manager = managerIn(folder, { git });
  const repo = "http://127.0.0.1:1/a";
  const lost = fails("closed", () => manager.checkout({ repo }));
  await eventually(() => namesIn(folder.path).includes("pid"), "did git run");
  await manager.close();
  const pid = Number(await Deno.readTextFile(folder.at("pid")));
  assert(!isAlive(pid));
  await lost;
  await fails("closed", () => manager.resolveCommit({ repo }));
});

test("GitManager checks its options", () => {
  for (
    const options of [
      null,
      { directory: "" },
      { timeout: "1" },
      { git: "" },
      { protocols: ["ext"] },
      { protocols: "https" },
      { env: { A: 1 } },
      { sizeLimit: "much" },
      { clock: {} },
      { logger: {} },
    ]
  ) {
    assertThrows(() => new GitManager(options as GitManagerOptions), TypeError);
  }
  for (const options of [{ timeout: 0 }, { sizeLimit: NaN }]) {
    assertThrows(() => new GitManager(options), RangeError);
  }
});
