// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { type CliOptions, runCli, startCli } from "./_cli_run.ts";

const program = new URL("_cli_serve_program.ts", import.meta.url).pathname;

async function withFolder(
  body: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What the service is started with. */
async function optionsOf(
  args: readonly string[],
  options: CliOptions = {},
): Promise<Record<string, unknown>> {
  const cli = startCli(["serve", ...args], { ...options, program });
  await cli.written("/ui\n");
  cli.kill("SIGTERM");
  const { stderr } = await cli.result;
  const [, json = "{}"] = /options (.*)/.exec(stderr) ?? [];
  return JSON.parse(json);
}

test("serve hands its options to the service", () =>
  withFolder(async (folder) => {
    assertEquals(
      await optionsOf([
        ...["--root", folder, "--root", `${folder}:read=/data:net`],
        ...["--repository", "https://example.org/", "--port", "5001"],
        ...["--database", `${folder}/d.db`, "--abort-script", "file:///a.ts"],
      ]),
      {
        hostname: "127.0.0.1",
        port: 5001,
        policy: {
          roots: [
            { path: folder },
            { path: folder, grants: { read: ["/data"], net: true } },
          ],
          repositories: [{ url: "https://example.org/" }],
        },
        tokens: [],
        database: `${folder}/d.db`,
        abortScript: "file:///a.ts",
        compat: false,
      },
    );
  }));

test("serve reads a file, whose paths are relative to it", () =>
  withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/scripts`);
    await Deno.writeTextFile(`${folder}/token`, "correct-horse-battery\n");
    await Deno.writeTextFile(
      `${folder}/longrun.json`,
      JSON.stringify({
        hostname: "0.0.0.0",
        roots: [{ path: "scripts", grants: { read: ["data"], memory: 64 } }],
        tokens: [{ tokenFile: "token", scopes: ["view"], name: "wall" }],
        limits: { history: 20, running: 2, live: 5 },
        blocks: "blocks",
      }),
    );
    assertEquals(
      await optionsOf(["--config", `${folder}/longrun.json`, "--port=0"]),
      {
        hostname: "0.0.0.0",
        port: 0,
        policy: {
          roots: [{
            path: `${folder}/scripts`,
            grants: { read: [`${folder}/data`], memory: 64 },
          }],
          repositories: [],
        },
        tokens: [{
          scopes: ["view"],
          name: "wall",
          token: "correct-horse-battery",
        }],
        blocks: `${folder}/blocks`,
        historyLimit: 20,
        maxRunning: 2,
        maxLive: 5,
        compat: false,
      },
    );
  }));

test("serve says what is wrong with a file, and where", () =>
  withFolder(async (folder) => {
    const file = `${folder}/longrun.json`;
    const wrong: [unknown, string][] = [
      [{ rots: [] }, "the file: 'rots' is not known; did you mean 'roots'?"],
      [
        { roots: [{ path: "/s", grants: { raed: [] } }] },
        "roots/0/grants: 'raed' is not known; did you mean 'read'?",
      ],
      [{ roots: [{}] }, "roots/0: 'path' is missing"],
      [{ port: 70000 }, "port must be <= 65535"],
      [
        { tokens: [{ token: "correct-horse-battery", scopes: ["all"] }] },
        "tokens/0/scopes/0 must be one of view, run, stop",
      ],
      [{ tokens: [{}] }, "either a 'token' or a 'tokenFile'"],
      [
        { roots: [{ path: "nowhere" }] },
        `There is no folder ${folder}/nowhere`,
      ],
    ];
    for (const [config, text] of wrong) {
      await Deno.writeTextFile(file, JSON.stringify(config));
      const args = ["serve", "--config", file];
      const { code, stderr } = await runCli(args, { program });
      assertEquals(code, 2);
      assert(stderr.includes(text), stderr);
      assert(!stderr.includes("correct-horse"));
    }
    await Deno.writeTextFile(file, "{");
    const args = ["serve", "--config", file];
    assertEquals((await runCli(args, { program })).code, 2);
  }));

test("serve is for this machine alone without a token", async () => {
  const args = ["serve", "--hostname", "0.0.0.0"];
  const refused = await runCli(args, { program });
  assertEquals(refused.code, 2);
  assert(refused.stderr.includes("needs a token"));
  const env = { LONGRUN_TOKEN: "correct-horse-battery" };
  const { tokens } = await optionsOf(["--hostname", "0.0.0.0"], { env });
  assertEquals(tokens, [{
    token: "correct-horse-battery",
    scopes: ["view", "run", "stop"],
  }]);
});

test("serve says where the page is, and ends gracefully", async () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    const cli = startCli(["serve"], { program });
    await cli.written("/ui\n");
    cli.kill(signal);
    const { code, stdout, stderr } = await cli.result;
    assertEquals([code, stdout], [0, "http://127.0.0.1:5000/ui\n"]);
    assert(stderr.includes("info: closing"));
  }
});

test("serve ends at once when it is told twice", async () => {
  const cli = startCli(["serve", "--compat"], { program });
  await cli.written("/ui\n");
  cli.kill("SIGINT");
  await cli.written("closing");
  cli.kill("SIGINT");
  assertEquals((await cli.result).code, 130);
});

test("serve ends with 1 when the service cannot be started", async () => {
  const args = ["serve", "--port", "1"];
  const { code, stderr } = await runCli(args, { program });
  assertEquals(code, 1);
  assert(stderr.includes("Address already in use"));
});
