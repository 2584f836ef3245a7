// Copyright 2026 the Longrun authors. MIT license.

import { test } from "@std/testing/bdd";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { GitManager } from "../git_manager.ts";
import {
  ProcedureError,
  type ProcedureErrorCode,
} from "../procedure_errors.ts";
import { fileSystemScript } from "../script.ts";
import { FileSystemScriptLoader, GitScriptLoader } from "../script_loader.ts";
import {
  allowRepository,
  resolveFileScript,
  type ScriptPolicy,
} from "../script_policy.ts";
import { withFiles } from "./_script_rig.ts";

async function assertRefused(
  policy: ScriptPolicy,
  uri: string,
  code: ProcedureErrorCode = "script-refused",
): Promise<void> {
  const error = await assertRejects(
    () => resolveFileScript(policy, { type: "filesystem", uri }),
    ProcedureError,
  );
  assertEquals([uri, error.code], [uri, code]);
}

const FILES = {
  "root/a.ts": "",
  "root/deep/b.ts": "",
  "root/deep/deeper/c.ts": "",
  "root/with space%é.ts": "",
  "rooted/d.ts": "",
  "outside.ts": "",
};

test("resolveFileScript allows nothing by default", async () => {
  await using files = await withFiles(FILES);
  const uri = `file://${files.folder}/root/a.ts`;
  await assertRefused({}, uri);
  await assertRefused({ roots: [] }, uri);
  await assertRefused({ roots: [{ path: "/nowhere" }] }, uri);
});

test("resolveFileScript allows what is in a folder of the policy", async () => {
  await using files = await withFiles(FILES);
  const { folder } = files;
  const policy = { roots: [{ path: `${folder}/root` }] };
  const script = fileSystemScript(`file://${folder}/root/deep/b.ts`);
  assertEquals(await resolveFileScript(policy, script), {
    path: `${folder}/root/deep/b.ts`,
    url: `file://${folder}/root/deep/b.ts`,
    root: `${folder}/root`,
    grants: {},
  });
  await assertRefused(policy, `file://${folder}/outside.ts`);
  // A name that begins the same is another folder.
  await assertRefused(policy, `file://${folder}/rooted/d.ts`);
  // The folder itself is no script, nor is one in it.
  await assertRefused(policy, `file://${folder}/root`);
  await assertRefused(policy, `file://${folder}/root/deep`);
  await assertRefused(policy, `file://${folder}/root/deep/`);
});

test("resolveFileScript takes the grants of the innermost folder", async () => {
  await using files = await withFiles(FILES);
  const { folder } = files;
  const policy: ScriptPolicy = {
    roots: [
      { path: `${folder}/root`, grants: { net: true } },
      { path: `${folder}/root/deep/deeper/`, grants: { sys: ["hostname"] } },
      { path: `${folder}/root/deep` },
    ],
  };
  const grantsOf = async (path: string) =>
    (await resolveFileScript(
      policy,
      fileSystemScript(`file://${folder}/${path}`),
    )).grants;
  assertEquals(await grantsOf("root/a.ts"), { net: true });
  assertEquals(await grantsOf("root/deep/b.ts"), {});
  assertEquals(await grantsOf("root/deep/deeper/c.ts"), { sys: ["hostname"] });
});

test("resolveFileScript reads names with odd characters", async () => {
  await using files = await withFiles(FILES);
  const { folder } = files;
  const policy = { roots: [{ path: `${folder}/root` }] };
  const name = encodeURIComponent("with space%é.ts");
  const script = fileSystemScript(`file://${folder}/root/${name}`);
  const { path, url } = await resolveFileScript(policy, script);
  assertEquals(path, `${folder}/root/with space%é.ts`);
  assertEquals(url, `file://${folder}/root/${name}`);
  assertEquals(new URL(url).href, url);
});

test("resolveFileScript refuses addresses that are not plain", async () => {
  await using files = await withFiles(FILES);
  const { folder } = files;
  const policy = { roots: [{ path: `${folder}/root` }] };
  for (
    const uri of [
      `${folder}/root/a.ts`,
      `http://${folder}/root/a.ts`,
      `FILE://${folder}/root/a.ts`,
      `file:${folder}/root/a.ts`,
      `file://localhost${folder}/root/a.ts`,
      `file://other.host${folder}/root/a.ts`,
      `file://root/a.ts`,
      `file://`,
      `file://${folder}/root/../outside.ts`,
      `file://${folder}/root/deep/../a.ts`,
      `file://${folder}/root/./a.ts`,
      `file://${folder}/root/%2e%2e/outside.ts`,
      `file://${folder}/root/.%2E/outside.ts`,
      `file://${folder}/root%2fa.ts`,
      `file://${folder}/root%2Fa.ts`,
      `file://${folder}/root/a.ts%00`,
      `file://${folder}/root/a.ts\0`,
      `file://${folder}/root/a.ts%00.txt`,
      `file://${folder}/root%5ca.ts`,
      `file://${folder}/root\\a.ts`,
      `file://${folder}/root/a.ts?x`,
      `file://${folder}/root/a.ts#x`,
      `file://${folder}/root/%`,
      `file://${folder}/root/%ff`,
    ]
  ) await assertRefused(policy, uri);
});

test("resolveFileScript follows links before it decides", async () => {
  await using files = await withFiles(FILES);
  const { folder } = files;
  await Deno.symlink(`${folder}/outside.ts`, `${folder}/root/link.ts`);
  await Deno.symlink(folder, `${folder}/root/up`);
  await Deno.symlink(`${folder}/root/a.ts`, `${folder}/root/inside.ts`);
  await Deno.symlink(`${folder}/nowhere.ts`, `${folder}/root/dangling.ts`);
  await Deno.symlink(`${folder}/root/loop.ts`, `${folder}/root/loop.ts`);
  await Deno.symlink(`${folder}/root`, `${folder}/alias`);
  for (const path of ["root", "alias"]) {
    const policy = { roots: [{ path: `${folder}/${path}` }] };
    for (const given of ["root", "alias"]) {
      const prefix = `file://${folder}/${given}`;
      await assertRefused(policy, `${prefix}/link.ts`);
      await assertRefused(policy, `${prefix}/up/outside.ts`);
      const script = fileSystemScript(`${prefix}/inside.ts`);
      const found = await resolveFileScript(policy, script);
      assertEquals(found.path, `${folder}/root/a.ts`);
      assertEquals(found.root, `${folder}/root`);
    }
    await assertRefused(
      policy,
      `file://${folder}/root/dangling.ts`,
      "script-not-found",
    );
  }
});

test("resolveFileScript does not tell what is elsewhere", async () => {
  await using files = await withFiles(FILES);
  const { folder } = files;
  const policy = { roots: [{ path: `${folder}/root` }] };
  await assertRefused(policy, `file://${folder}/outside.ts`);
  await assertRefused(policy, `file://${folder}/nothing.ts`);
  await assertRefused(policy, `file:///etc/nothing.ts`);
  await assertRefused(
    policy,
    `file://${folder}/root/nothing.ts`,
    "script-not-found",
  );
});

test("resolveFileScript refuses what is no regular file", async () => {
  await assertRefused({ roots: [{ path: "/dev" }] }, "file:///dev/null");
});

test("resolveFileScript checks the policy", async () => {
  const script = fileSystemScript("file:///a.ts");
  for (
    const wrong of [
      { roots: [{ path: "scripts" }] },
      { roots: [{ path: "" }] },
      { roots: [{ path: "/a", grants: { run: true } }] },
      { repositories: [{ url: 1 }] },
      undefined,
    ]
  ) {
    await assertRejects(
      () => resolveFileScript(wrong as unknown as ScriptPolicy, script),
      TypeError,
      "Cannot apply policy",
    );
  }
});

test("Loaders check their policy when they are made", () => {
  const git = { checkout() {} } as unknown as GitManager;
  for (
    const [policy, problem] of [
      [{ roots: [{ path: "scripts" }] }, TypeError],
      [{ repositories: [{ url: 1 }] }, TypeError],
      [{ roots: [{ path: "/a", grants: { memory: 64.5 } }] }, RangeError],
      [{ roots: [{ path: "/a", grants: { memory: Infinity } }] }, RangeError],
      [undefined, TypeError],
    ] as const
  ) {
    const wrong = policy as unknown as ScriptPolicy;
    const message = "Cannot apply policy";
    assertThrows(() => new FileSystemScriptLoader(wrong), problem, message);
    const options = { policy: wrong, git };
    assertThrows(() => new GitScriptLoader(options), problem, message);
  }
  for (const wrong of [{ git: undefined }, { git, environments: 7 }]) {
    const options = { policy: {}, ...wrong } as unknown as {
      policy: ScriptPolicy;
      git: GitManager;
    };
    assertThrows(
      () => new GitScriptLoader(options),
      TypeError,
      "Cannot create GitScriptLoader",
    );
  }
});

test("allowRepository allows what is named", () => {
  const policy: ScriptPolicy = {
    repositories: [
      { url: "https://git.example/team/*", grants: { sys: ["hostname"] } },
      { url: "https://git.example/team/trusted/", grants: { net: true } },
      { url: "https://git.example/team/scan.git", grants: { env: ["A"] } },
      { url: "git@host.example:scan.git" },
    ],
  };
  const allowed = (repo: string) => allowRepository(policy, repo);
  assertEquals(allowed("https://git.example/team/other.git"), {
    sys: ["hostname"],
  });
  assertEquals(allowed("https://git.example/team/trusted/x.git"), {
    net: true,
  });
  assertEquals(allowed("https://git.example/team/scan.git"), { env: ["A"] });
  assertEquals(allowed("git@host.example:scan.git"), {});
  for (
    const repo of [
      "https://git.example/team",
      "https://git.example/team/",
      "https://git.example/teams/x.git",
      "https://git.example/other.git",
      "http://git.example/team/x.git",
      "https://git.example.evil/team/x.git",
      "https://user@git.example/team/x.git",
      "https://git.example/team/../other.git",
      "https://git.example/team/./../other.git",
      "https://git.example/team/%2e%2e/other.git",
      "https://git.example/team/%2E./other.git",
      "https://git.example/team/x%2f..%2fother.git",
      "https://git.example/team//evil.git",
      "https://git.example/team/x\\..\\other.git",
      "https://git.example/team/x.git?y",
      "https://git.example/team/x.git#y",
      "git@host.example:scan.git/more",
      "--upload-pack=touch",
      " https://git.example/team/x.git",
    ]
  ) {
    const error = assertThrows(() => allowed(repo), ProcedureError);
    assertEquals([repo, error.code], [repo, "script-refused"]);
  }
  assertThrows(() => allowRepository({}, "https://git.example/team/scan.git"));
});
