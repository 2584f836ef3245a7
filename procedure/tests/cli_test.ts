// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "@std/testing/bdd";
import { commandOf, runCli, startCli } from "./_cli_run.ts";
import { startStub, type Stub, type StubOptions } from "./_cli_server.ts";

async function withStub(
  body: (stub: Stub) => Promise<void>,
  options?: StubOptions,
): Promise<void> {
  const stub = startStub(options);
  try {
    await body(stub);
  } finally {
    await stub.close();
  }
}

test("procedure create sends the script and its arguments", () =>
  withStub(async ({ url, requests }) => {
    const { code, stdout } = await runCli([
      ...["procedure", "create", "file:///ok.ts", "3", "fast", "gain=2"],
      ...["name=dish 1", 'text="7"', "--arg-json", '{"deep":{"a":[1]}}'],
    ], { url });
    assertEquals(code, 0);
    assertMatch(stdout, /^ID +STATE +CREATED +SCRIPT\n1 +CREATING .*ok\.ts\n$/);
    const [sent = ""] = requests;
    assertEquals(JSON.parse(sent.replace("POST /procedures ", "")), {
      script: { script_type: "filesystem", script_uri: "file:///ok.ts" },
      script_args: {
        init: {
          args: [3, "fast"],
          kwargs: { gain: 2, name: "dish 1", text: "7", deep: { a: [1] } },
        },
      },
    });
  }));

test("procedure create sends a script of a repository as the original's", () =>
  withStub(async ({ url, requests }) => {
    const { code } = await runCli([
      ...["procedure", "create", "git://observe.ts", "--create_env=True"],
      ...["--git_repo", "https://example.org/s.git", "--git-branch=main"],
    ], { url });
    assertEquals(code, 0);
    const [sent = ""] = requests;
    assertEquals(JSON.parse(sent.replace("POST /procedures ", "")).script, {
      script_type: "git",
      script_uri: "git://observe.ts",
      git_args: {
        git_repo: "https://example.org/s.git",
        git_branch: "main",
      },
      create_env: true,
    });
  }));

test("procedure create --wait ends with READY, or with what went wrong", () =>
  withStub(async ({ url }) => {
    const args = ["procedure", "create", "--wait"];
    const good = await runCli([...args, "file:///ok.ts", "--json"], { url });
    assertEquals([good.code, JSON.parse(good.stdout).state], [0, "READY"]);
    const bad = await runCli([...args, "file:///broken.ts"], { url });
    assertEquals(bad.code, 1);
    assert(bad.stderr.includes("Error: no such file"));
  }));

test("procedure start takes the last one, and tells all until the end", () =>
  withStub(async (stub) => {
    const { url } = stub;
    for (const name of ["hang", "ok"]) {
      const args = ["procedure", "create", `file:///${name}.ts`, "--wait"];
      await runCli(args, { url });
    }
    const { code, stdout, stderr } = await runCli(
      ["procedure", "start", "scans=2", "--listen"],
      { url },
    );
    assertEquals([code, stdout], [0, "scan 1\ncareful\n"]);
    assertEquals(stderr.split("\n"), [
      "This is procedure 2",
      "Procedure 2 is RUNNING",
      'Procedure 2 published dome.opened {"data":{"angle":30}}',
      "Procedure 2 is READY",
      "Procedure 2 is COMPLETE",
      "",
    ]);
    assertEquals(stub.procedures[1]?.script_args.main, {
      args: [],
      kwargs: { scans: 2 },
    });
  }));

test("procedure start ends with 1 and the stack when the script fails", () =>
  withStub(async ({ url }) => {
    await runCli(["procedure", "create", "file:///fail.ts", "--wait"], { url });
    const args = ["procedure", "start", "1", "--listen"];
    const { code, stderr } = await runCli(args, { url });
    assertEquals(code, 1);
    assert(stderr.includes("Error: no dish\n    at main"));
  }));

test("procedure start --json writes a line for each thing that happens", () =>
  withStub(async ({ url }) => {
    await runCli(["procedure", "create", "file:///ok.ts", "--wait"], { url });
    const args = ["procedure", "start", "--json", "--listen", "--quiet"];
    const { code, stdout, stderr } = await runCli(args, { url });
    assertEquals([code, stderr], [0, ""]);
    const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines.map(({ kind }) => kind).sort(), [
      ...["end", "event", "output", "output", "state", "state", "state"],
    ]);
    assertEquals(lines.at(-1).procedure.state, "COMPLETE");
  }));

test("procedure start returns at once where nobody looks", () =>
  withStub(async ({ url, procedures }) => {
    await runCli(["procedure", "create", "file:///hang.ts", "--wait"], { url });
    const { code, stdout } = await runCli(["procedure", "start"], { url });
    assertEquals([code, procedures[0]?.state], [0, "RUNNING"]);
    assert(stdout.includes("RUNNING"));
  }));

test("a number after --pid, and a negative one, are arguments", () =>
  withStub(async ({ url, procedures }) => {
    await runCli(["procedure", "create", "file:///hang.ts", "--wait"], { url });
    await runCli(["procedure", "start", "--pid", "1", "7", "-5.5"], { url });
    assertEquals(procedures[0]?.script_args.main?.args, [7, -5.5]);
  }));

test("procedure stop takes the one that runs, and no other", () =>
  withStub(async (stub) => {
    const { url } = stub;
    const none = await runCli(["procedure", "stop"], { url });
    assertEquals(none.code, 4);
    for (const _ of [1, 2]) {
      const args = ["procedure", "create", "file:///hang.ts", "--wait"];
      await runCli(args, { url });
    }
    stub.move(1, "RUNNING");
    stub.move(2, "RUNNING");
    const both = await runCli(["procedure", "stop"], { url });
    assertEquals(both.code, 2);
    assert(both.stderr.includes("(1, 2)"));
    const args = ["procedure", "stop", "2", "--run-abort"];
    const second = await runCli(args, { url });
    assertEquals([second.code, second.stdout], [
      0,
      "Successfully stopped script with ID 2 and aborted subarray activity\n",
    ]);
    assertEquals((await runCli(["procedure", "stop"], { url })).code, 0);
    assertEquals(stub.procedures.map(({ state }) => state), [
      "STOPPED",
      "STOPPED",
    ]);
  }));

for (const isCompatible of [false, true]) {
  const kind = isCompatible ? "a compatible service" : "a service";
  test(`the statuses tell what ${kind} refused`, () =>
    withStub(async (stub) => {
      const { url } = stub;
      const codeOf = async (...args: string[]) =>
        (await runCli(args, { url })).code;
      assertEquals(await codeOf("procedure", "describe", "9"), 4);
      assertEquals(await codeOf("procedure", "describe"), 4);
      assertEquals(await codeOf("procedure", "stop", "9"), 4);
      assertEquals(await codeOf("activity", "describe", "9"), 4);
      const args = ["procedure", "create"];
      assertEquals(await codeOf(...args, "file:///refused.ts"), 3);
      assertEquals(await codeOf(...args, "file:///hold.ts"), 0);
      stub.move(1, "IDLE");
      assertEquals(await codeOf("procedure", "start", "1", "--listen"), 3);
      stub.move(1, "STOPPED");
      assertEquals(await codeOf("procedure", "stop", "1"), 3);
      assertEquals(await codeOf("procedure", "listen", "1"), 6);
    }, { isCompatible }));
}

test("a service that is away, or wants a token, gives 5", () =>
  withStub(async ({ url }) => {
    const args = ["procedure", "list"];
    const away = await runCli(args, { url: "http://127.0.0.1:9" });
    assertEquals(away.code, 5);
    assert(away.stderr.includes("Cannot reach the service"));
    assertEquals((await runCli(args, { url })).code, 5);
    const file = await Deno.makeTempFile();
    await Deno.writeTextFile(file, "correct-horse-battery\n");
    const known = await runCli([...args, "--token-file", file], { url });
    assertEquals(known.code, 0);
    const env = { LONGRUN_TOKEN: "correct-horse-battery" };
    assertEquals((await runCli(args, { url, env })).code, 0);
    await Deno.remove(file);
  }, { token: "correct-horse-battery" }));

test("what is no answer of a service is said to be none", async () => {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("<html>"),
  );
  const url = `http://127.0.0.1:${server.addr.port}`;
  const { code, stderr } = await runCli(["procedure", "list"], { url });
  assertEquals(code, 5);
  assert(stderr.includes("is no JSON"));
  await server.shutdown();
});

test("procedure list is a table, or an array", () =>
  withStub(async ({ url, procedures }) => {
    const nobody = await runCli(["procedure", "list"], { url });
    assertEquals([nobody.code, nobody.stdout, nobody.stderr], [
      0,
      "",
      "No procedures\n",
    ]);
    const args = ["procedure", "create", "file:///ok.ts", "--wait"];
    await runCli(args, { url });
    const json = await runCli(["--json", "procedure", "list"], { url });
    assertEquals(JSON.parse(json.stdout), procedures);
    const { stdout } = await runCli(["procedure", "list"], { url });
    assertEquals(stdout.split("\n").length, 3);
  }));

test("procedure describe shows calls, states and the stack", () =>
  withStub(async (stub) => {
    const { url } = stub;
    const create = ["procedure", "create", "file:///hold.ts", "5", "--wait"];
    await runCli(create, { url });
    stub.move(1, "FAILED", "Error: \u001b]0;evil\u0007 cloud");
    const { stdout } = await runCli(["procedure", "describe"], { url });
    assert(stdout.includes("init 5"));
    assert(stdout.includes("CREATING"));
    assert(stdout.includes("cloud"));
    assert(!stdout.includes("\u001b"));
  }));

test("describe says how much of the past is not kept", () =>
  withStub(async (stub) => {
    const { url } = stub;
    await runCli(["activity", "run", "ok", "sbd-1", "--listen"], { url });
    const [procedure] = stub.procedures;
    const [activity] = stub.activities;
    assert(procedure !== undefined && activity !== undefined);
    procedure.history.dropped_states = 7;
    activity.dropped_states = 8;
    activity.activity_states.push(["PREPARED", 1]);

    const ofProcedure = await runCli(["procedure", "describe"], { url });
    const ofActivity = await runCli(["activity", "describe"], { url });

    assertMatch(ofProcedure.stdout, /CREATING\n {2}… 7 more\n.*COMPLETE\n$/s);
    assertMatch(ofActivity.stdout, /REQUESTED\n {2}… 8 more\n.*PREPARED\n$/);
  }));

test("procedure output writes nothing but what the script wrote", () =>
  withStub(async (stub) => {
    const { url } = stub;
    await runCli(["procedure", "create", "file:///hold.ts"], { url });
    const lines = Array.from({ length: 2500 }, (_, at) => `line ${at}`);
    for (const line of lines) stub.write(1, line);
    const { code, stdout } = await runCli(["procedure", "output", "1"], {
      url,
    });
    assertEquals(code, 0);
    assertEquals(stdout.trimEnd().split("\n"), lines);
    assertEquals((await runCli(["procedure", "output", "7"], { url })).code, 4);
    assertEquals((await runCli(["procedure", "output"], { url })).code, 2);
  }));

test("activities are run, listed and described", () =>
  withStub(async ({ url, requests }) => {
    const { code, stdout } = await runCli([
      ...["activity", "run", "ok", "sbd-1", "--listen"],
      ...["--script-args", '{"main":{"kwargs":{"scans":3}}}'],
    ], { url });
    assertEquals([code, stdout], [0, "scan 1\ncareful\n"]);
    const sent = requests.find((one) => one.startsWith("POST")) ?? "";
    assertEquals(JSON.parse(sent.replace("POST /activities ", "")), {
      sbd_id: "sbd-1",
      activity_name: "ok",
      prepare_only: false,
      create_env: false,
      script_args: { main: { args: [], kwargs: { scans: 3 } } },
    });
    const prepared = await runCli(
      ["activity", "run", "ok", "sbd-1", "--prepare-only", "--listen"],
      { url },
    );
    assertEquals(prepared.code, 0);
    assert(prepared.stderr.endsWith("Procedure 2 is READY\n"));
    const list = await runCli(["activity", "list"], { url });
    assertEquals(list.stdout.trimEnd().split("\n").length, 3);
    const one = await runCli(["activity", "describe", "1"], { url });
    assert(one.stdout.includes("SBD:       sbd-1"));
    const args = ["activity", "run", "nope", "sbd-1"];
    assertEquals((await runCli(args, { url })).code, 4);
  }));

test("--timeout ends everything with 124", () =>
  withStub(async ({ url, procedures }) => {
    await runCli(["procedure", "create", "file:///hang.ts", "--wait"], { url });
    const { code, stderr } = await runCli(
      ["procedure", "start", "--listen", "--timeout", "5s"],
      { url },
    );
    assertEquals([code, procedures[0]?.state], [124, "RUNNING"]);
    assert(stderr.includes("Not done within 5s"));
  }));

test("a reader that leaves is no failure to speak of", () =>
  withStub(async (stub) => {
    const { url } = stub;
    await runCli(["procedure", "create", "file:///hold.ts"], { url });
    for (let at = 0; at < 5000; at++) stub.write(1, "x".repeat(100));
    const words = commandOf(["procedure", "output", "1", "--follow"]);
    const { stdout, stderr } = await new Deno.Command("bash", {
      args: [
        "-c",
        '"$@" | head -n 1; echo "${PIPESTATUS[0]}"',
        "bash",
        ...words,
      ],
      env: { LONGRUN_URL: url, NO_COLOR: "1", LONGRUN_TOKEN: "" },
    }).output();
    const decoder = new TextDecoder();
    assertEquals(decoder.decode(stderr), "");
    assertEquals(decoder.decode(stdout).split("\n").slice(1), ["141", ""]);
  }));

test("nonsense gives 2, and says what may have been meant", async () => {
  const wrong: [string[], string][] = [
    [[], "Usage: longrun COMMAND"],
    [["procedure"], "Usage: longrun procedure COMMAND"],
    [["procedur", "list"], "did you mean 'procedure'?"],
    [["procedure", "lst"], "did you mean 'list'?"],
    [["procedure", "list", "--serve", "x"], "did you mean '--server'?"],
    [["procedure", "list", "--follow"], "There is no option '--follow'"],
    [["procedure", "list", "7"], "'7' is too much"],
    [["procedure", "list", "--timeout"], "'--timeout' needs a value"],
    [["procedure", "list", "--timeout", "soon"], "'soon' is no time"],
    [["procedure", "list", "--server", "ftp://x"], "no address of http"],
    [["procedure", "list", "--json=maybe"], "takes no value"],
    [["procedure", "create"], "There is too little"],
    [["procedure", "create", "ok.ts"], "is no address of a script"],
    [["procedure", "create", "git://ok.ts"], "--git-repo"],
    [["procedure", "stop", "one"], "'one' is no ID"],
    [["procedure", "start", "--arg-json", "{"], "'--arg-json' is no JSON"],
    [["procedure", "output", "--pid", "1", "1"], "given twice"],
    [["activity", "run", "a", "b", "--script-args", "[]"], "must be like"],
    [["completion", "bas"], "did you mean 'bash'?"],
  ];
  while (wrong.length > 0) {
    await Promise.all(
      wrong.splice(0, 4).map(async ([args, text]) => {
        const { code, stdout, stderr } = await runCli(args);
        assertEquals([args, code, stdout], [args, 2, ""]);
        assert(stderr.includes(text), `${args}: ${stderr}`);
      }),
    );
  }
});

test("help is there on every level, and the version", async () => {
  const levels: [string[], string][] = [
    [["--help"], "Exit statuses:"],
    [["help", "procedure"], "describe"],
    [["procedure", "start", "-h"], "longrun procedure start 3 scans=10"],
    [["serve", "--help"], "--root PATH[:GRANTS]"],
  ];
  for (const [args, text] of levels) {
    const { code, stdout } = await runCli(args);
    assertEquals(code, 0);
    assert(stdout.includes(text));
  }
  const { stdout } = await runCli(["--version"]);
  assertMatch(stdout, /^longrun \d+\.\d+\.\d+\n$/);
});

test("Ctrl-C before anything has begun ends quietly with 130", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<Response>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => {
      asked.resolve();
      return answer.promise;
    },
  );
  const url = `http://127.0.0.1:${server.addr.port}`;
  const cli = startCli(["procedure", "listen", "--server", url]);
  await asked.promise;
  cli.kill("SIGINT");
  const { code, stderr } = await cli.result;
  assertEquals([code, stderr], [130, ""]);
  answer.resolve(new Response());
  await server.shutdown();
});
