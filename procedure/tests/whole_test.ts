// Copyright 2026 the Longrun authors. MIT license.

/**
 * All of it together: the command line and the control page, with a service
 * that runs real scripts.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "@std/testing/bdd";
import type { Browser, Page } from "playwright-core";
import { serve, type ServeOptions } from "../server.ts";
import { testInBrowser } from "./_browser.ts";
import {
  type CliProcess,
  type CliResult,
  runCli,
  startCli,
} from "./_cli_run.ts";
import { childrenOf, eventually, isAlive } from "./_eventually.ts";
import { TemporaryFolder } from "./_git_repository.ts";
import { SCRIPTS } from "./_script_rig.ts";

const TOKENS = {
  all: "opens-every-door-there-is",
  view: "looks-through-the-window",
};
const script = (name: string) => `file://${SCRIPTS}/${name}.ts`;
const PATIENCE = 60_000;

const hasTerminal = await new Deno.Command("script", {
  args: ["--version"],
  stdout: "null",
  stderr: "null",
}).output().then(({ success }) => success, () => false);

/** `longrun serve` in a process of its own, until it is disposed. */
class Service implements AsyncDisposable {
  readonly cli: CliProcess;
  readonly url: string;

  private constructor(cli: CliProcess) {
    this.cli = cli;
    this.url = JSON.parse(cli.stdout).url;
  }

  static async start(
    args: readonly string[] = ["--root", SCRIPTS],
  ): Promise<Service> {
    const cli = startCli(["serve", "--json", "--port", "0", ...args]);
    await cli.written("\n");
    return new Service(cli);
  }

  /** Asks it from the command line. */
  ask(args: readonly string[], token = ""): Promise<CliResult> {
    return runCli(args, { url: this.url, env: { LONGRUN_TOKEN: token } });
  }

  /** Prepares a script, and waits for READY. */
  async prepare(name: string, ...args: string[]): Promise<void> {
    const { code, stderr } = await this.ask(
      ["procedure", "create", script(name), ...args, "--wait"],
    );
    assertEquals(code, 0, stderr);
  }

  async states(): Promise<string[]> {
    const { stdout } = await this.ask(["procedure", "list", "--json"]);
    return JSON.parse(stdout).map(({ state }: { state: string }) => state);
  }

  /** The processes that it has started. */
  children(): number[] {
    return childrenOf(this.cli.pid);
  }

  /** Ends it as a supervisor does. */
  end(): Promise<CliResult> {
    this.cli.kill("SIGTERM");
    return this.cli.result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (isAlive(this.cli.pid)) await this.end();
  }
}

test("The command line takes a script from its file to COMPLETE", async () => {
  await using service = await Service.start();
  const uri = script("success");
  const created = await service.ask(
    ["procedure", "create", uri, "subarray_id=1", "--wait"],
  );
  assertEquals(created.code, 0, created.stderr);
  assert(created.stderr.endsWith("Procedure 1 is READY\n"), created.stderr);
  assertMatch(
    created.stdout,
    /^\[info\] subarray 1\nID +STATE .*\n1 +READY .*success\.ts\n$/,
  );

  const done = await service.ask(
    ["procedure", "start", "1", "m31", "scans=3", "--listen"],
  );
  assertEquals(
    [done.code, done.stdout],
    [0, "[info] subarray 1\nobserving m31\n"],
    done.stderr,
  );
  const told = done.stderr.split("\n")
    .filter((line) => /RUNNING|scan|READY|COMPLETE/.test(line));
  assertEquals(told, [
    "Procedure 1 is RUNNING",
    ...[1, 2, 3].map((scan) =>
      `Procedure 1 published scan.started {"data":{"scan":${scan}}}`
    ),
    "Procedure 1 is READY",
    "Procedure 1 is COMPLETE",
  ]);

  const list = await service.ask(["procedure", "list"]);
  assertMatch(list.stdout, /\n1 +COMPLETE .*success\.ts\n$/);
  const described = await service.ask(["procedure", "describe"]);
  assertMatch(described.stdout, /m31/);
  const json = await service.ask(["procedure", "describe", "1", "--json"]);
  const { id, state, history, script_args } = JSON.parse(json.stdout);
  assertEquals([id, state], [1, "COMPLETE"]);
  assertEquals(
    history.process_states.map(([name]: [string]) => name).join(" "),
    "CREATING IDLE LOADING IDLE INITIALISING READY RUNNING READY COMPLETE",
  );
  assertEquals(script_args.main, { args: ["m31"], kwargs: { scans: 3 } });
  const output = await service.ask(["procedure", "output", "1"]);
  assertEquals(output.stdout, done.stdout);
});

test("A listener is told as JSON what a script did, to the end", async () => {
  await using service = await Service.start();
  await service.prepare("success");
  const { code, stdout } = await service.ask(
    ["procedure", "start", "scans=1", "--listen", "--json"],
  );
  const lines = stdout.trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(code, 0);
  const states = lines.filter(({ kind }) => kind === "state")
    .map(({ state }) => state);
  assertEquals(states, ["RUNNING", "READY", "COMPLETE"]);
  const events = lines.filter(({ kind }) => kind === "event")
    .map(({ topic }) => topic);
  assertEquals(events, ["scan.started"]);
  const end = lines.at(-1);
  assertEquals([end.kind, end.procedure.state], ["end", "COMPLETE"]);
});

test("A script that fails ends its listener with 1, and its stack", async () => {
  await using service = await Service.start();
  await service.prepare("fail");
  const { code, stderr } = await service.ask(
    ["procedure", "start", "--listen"],
  );
  assertEquals(code, 1, stderr);
  assert(stderr.includes("RangeError: the dish is stuck"), stderr);
  assert(stderr.includes("no power"), stderr);
  const gone = await service.ask(["procedure", "create", script("missing")]);
  assertEquals(gone.code, 0);
  const told = await service.ask(["procedure", "listen", "2"]);
  assertEquals(told.code, 1);
  const other = await service.ask(["procedure", "start", "1"]);
  assertEquals(other.code, 3, other.stderr);
  const none = await service.ask(["procedure", "describe", "7"]);
  assertEquals(none.code, 4, none.stderr);
});

test("A stop of a busy script ends its listener with 6", async () => {
  await using service = await Service.start();
  await service.prepare("loop");
  const { url } = service;
  const listener = startCli(["procedure", "start", "--listen"], { url });
  await listener.written("RUNNING");
  const abort = await service.ask(["procedure", "stop", "--run-abort"]);
  assertEquals(abort.code, 3, abort.stderr);
  assert(abort.stderr.includes("There is no abort script"), abort.stderr);
  const stopped = await service.ask(["procedure", "stop"]);
  assertEquals(stopped.code, 0, stopped.stderr);
  const { code, stderr } = await listener.result;
  assertEquals(code, 6);
  assert(stderr.endsWith("Procedure 1 is STOPPED\n"), stderr);
  assertEquals(service.children(), []);
});

test("Ctrl-C ends the listener, and not the procedure", async () => {
  await using service = await Service.start();
  await service.prepare("loop");
  const { url } = service;
  const listener = startCli(["procedure", "start", "--listen"], { url });
  await listener.written("RUNNING");
  listener.kill("SIGINT");
  assertEquals((await listener.result).code, 130);
  assertEquals(await service.states(), ["RUNNING"]);
});

if (hasTerminal) {
  test("Ctrl-C with --stop-on-interrupt stops it, once that is meant", async () => {
    await using service = await Service.start();
    await service.prepare("loop");
    const listener = startCli(
      ["procedure", "start", "--stop-on-interrupt"],
      { url: service.url, isOnTerminal: true },
    );
    await listener.written("RUNNING");
    await listener.type("\x03");
    await listener.written("[y/N]");
    await listener.type("y\n");
    const { code, stdout } = await listener.result;
    assertEquals(code, 130, stdout);
    assert(stdout.includes("Successfully stopped"), stdout);
    assertEquals(await service.states(), ["STOPPED"]);
  });
}

test("An activity of a folder of blocks is run from the command line", async () => {
  await using folder = new TemporaryFolder();
  await Deno.writeTextFile(
    folder.at("night.json"),
    JSON.stringify({
      sbd_id: "sbd-1",
      activities: {
        observe: {
          script: {
            script_type: "filesystem",
            script_uri: script("success"),
          },
          script_args: {
            init: { kwargs: { subarray_id: 2 } },
            main: { args: ["m31"], kwargs: { scans: 1 } },
          },
        },
      },
    }),
  );
  await using service = await Service.start(
    ["--root", SCRIPTS, "--blocks", folder.path],
  );
  const done = await service.ask([
    ...["activity", "run", "observe", "sbd-1", "--listen"],
    ...["--script-args", '{"main":{"kwargs":{"scans":3}}}'],
  ]);
  assertEquals(done.code, 0, done.stderr);
  assertEquals(done.stdout, "[info] subarray 2\nobserving m31\n");
  assertEquals(done.stderr.match(/scan\.started/g)?.length, 3);
  const refused = await service.ask([
    ...["activity", "run", "observe", "sbd-1"],
    ...["--script-args", '{"main":{"args":["m33"]}}'],
  ]);
  assertEquals(refused.code, 2, refused.stderr);
  assert(refused.stderr.includes("by place"), refused.stderr);
  const prepared = await service.ask(
    ["activity", "run", "observe", "sbd-1", "--prepare-only", "--listen"],
  );
  assertEquals(prepared.code, 0, prepared.stderr);
  assertEquals(await service.states(), ["COMPLETE", "READY"]);
  const list = await service.ask(["activity", "list", "--json"]);
  assertEquals(
    JSON.parse(list.stdout).map(({ state }: { state: string }) => state),
    ["COMPLETE", "PREPARED"],
  );
  const described = await service.ask(["activity", "describe", "1", "--json"]);
  assertEquals(JSON.parse(described.stdout).sbd_id, "sbd-1");
  const missing = await service.ask(["activity", "run", "none", "sbd-1"]);
  assertEquals(missing.code, 4, missing.stderr);
});

test("A service that is told to end stops its scripts, and ends with 0", async () => {
  await using service = await Service.start();
  await service.prepare("loop");
  const { url } = service;
  const listener = startCli(["procedure", "start", "--listen"], { url });
  await listener.written("RUNNING");
  const children = service.children();
  assertEquals(children.map(isAlive), [true]);
  const { code, stderr } = await service.end();
  assertEquals(code, 0, stderr);
  await eventually(() => !children.some(isAlive), "had the script ended");
  if (isAlive(listener.pid)) listener.kill("SIGINT");
  await listener.result;
  const away = await service.ask(["procedure", "list"]);
  assertEquals(away.code, 5, away.stderr);
});

test("A file of settings says who may do what", async () => {
  await using folder = new TemporaryFolder();
  await Deno.writeTextFile(folder.at("operator.token"), `${TOKENS.all}\n`);
  await Deno.writeTextFile(
    folder.at("longrun.json"),
    JSON.stringify({
      roots: [{ path: SCRIPTS }],
      tokens: [
        { name: "operator", tokenFile: "operator.token" },
        { name: "wall", token: TOKENS.view, scopes: ["view"] },
      ],
      database: "longrun.db",
      limits: { live: 1 },
    }),
  );
  const start = () => Service.start(["--config", folder.at("longrun.json")]);
  const create = ["procedure", "create", script("success"), "--wait"];
  {
    await using service = await start();
    for (const [token, code] of [["", 5], ["wrong", 5], [TOKENS.view, 3]]) {
      const refused = await service.ask(create, String(token));
      assertEquals(refused.code, code, refused.stderr);
    }
    const made = await service.ask(create, TOKENS.all);
    assertEquals(made.code, 0, made.stderr);
    const second = await service.ask(create, TOKENS.all);
    assertEquals(second.code, 3, second.stderr);
    const seen = await service.ask(["procedure", "list"], TOKENS.view);
    assertMatch(seen.stdout, /\n1 +READY /);
    const { stderr } = await service.end();
    for (const token of Object.values(TOKENS)) assert(!stderr.includes(token));
  }
  await using service = await start();
  const seen = await service.ask(["procedure", "list"], TOKENS.view);
  assertMatch(seen.stdout, /\n1 +STOPPED /);
});

/** A service with its page open. What goes wrong in the page fails the test. */
function testPage(
  name: string,
  body: (page: Page) => Promise<void>,
  options: ServeOptions = {},
): void {
  testInBrowser(name, async (browser: Browser) => {
    await using server = await serve({
      port: 0,
      policy: { roots: [{ path: SCRIPTS }] },
      ...options,
    });
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => {
      const text = message.text();
      // What Chromium itself says of answers like 401.
      if (message.type() === "error" && !text.startsWith("Failed to load")) {
        errors.push(text);
      }
    });
    await page.goto(server.page);
    await body(page);
    await context.close();
    assertEquals(errors, []);
  });
}

/** Waits until an element says something. */
async function says(page: Page, selector: string, text: string): Promise<void> {
  await page.locator(selector).filter({ hasText: text }).first()
    .waitFor({ state: "attached" });
}

/** Prepares a script by the form. */
async function prepare(page: Page, name: string, kwargs = ""): Promise<void> {
  await says(page, "#connection", "Live");
  await page.click("#prepare-details summary");
  await page.fill("#script-uri", script(name));
  await page.fill("#init-kwargs", kwargs);
  await page.click("#prepare-form button[type=submit]");
  await says(page, "#detail-heading", "Procedure 1");
  await says(page, "#detail-state", "READY");
}

testPage(
  "The page prepares a script, starts it, and shows what it does",
  async (page) => {
    await prepare(page, "success", '{"subarray_id": 3}');
    await page.click("#start-details summary");
    await page.fill("#main-kwargs", '{"scans": 4}');
    await page.fill("#main-args", '["m31"]');
    await page.click("#start");
    await says(page, "#detail-state", "COMPLETE");
    await says(page, "#output", "[info] subarray 3");
    await says(page, "#output", "observing m31");
    await says(page, "#calls", "main(");
    await says(page, "#events", "scan.started");
    assertEquals(await page.locator("#history tr").count(), 9);
    assertEquals(await page.locator("#timeline .segment").count(), 9);
    await says(page, "#procedures tr", "COMPLETE");
  },
);

testPage("The page stops a script that runs away", async (page) => {
  await prepare(page, "loop");
  await page.click("#start");
  await says(page, "#detail-state", "RUNNING");
  await page.click("#stop");
  await page.locator("#stop-dialog[open]").waitFor();
  await page.click("#stop-confirm");
  await says(page, "#detail-state", "STOPPED");
  await says(page, "#counts", "0 live");
});

testPage("The page shows why a script has FAILED", async (page) => {
  await prepare(page, "fail");
  await page.click("#start");
  await says(page, "#detail-state", "FAILED");
  await says(page, "#trace", "RangeError: the dish is stuck");
  await says(page, "#trace", "no power");
});

testPage("The page asks for a token, and does what it allows", async (page) => {
  await page.locator("#token-dialog[open]").waitFor();
  await page.fill("#token", "wrong");
  await page.keyboard.press("Enter");
  await says(page, "#token-mistake", "not known");
  await page.fill("#token", TOKENS.view);
  await page.keyboard.press("Enter");
  await says(page, "#connection", "Live");
  await page.click("#prepare-details summary");
  await page.fill("#script-uri", script("success"));
  await page.click("#prepare-form button[type=submit]");
  await says(page, "#prepare-form .refusal", "scope");
  await page.click("#sign-out");
  await page.locator("#token-dialog[open]").waitFor();
  await page.fill("#token", TOKENS.all);
  await page.keyboard.press("Enter");
  await says(page, "#connection", "Live");
  await page.click("#prepare-form button[type=submit]");
  await says(page, "#detail-state", "READY");
}, {
  tokens: [
    { token: TOKENS.all, scopes: ["view", "run", "stop"] },
    { token: TOKENS.view, scopes: ["view"] },
  ],
});

testInBrowser(
  "The address that longrun serve writes is the page",
  async (browser) => {
    await using service = await Service.start();
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    await page.goto(JSON.parse(service.cli.stdout).page);
    await says(page, "#connection", "Live");
    await context.close();
  },
);
