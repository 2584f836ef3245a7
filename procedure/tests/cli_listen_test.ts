// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { runCli, startCli } from "./_cli_run.ts";
import { startStub, type Stub } from "./_cli_server.ts";
import { eventually } from "./_eventually.ts";

const hasTerminal = await new Deno.Command("script", {
  args: ["--version"],
  stdout: "null",
  stderr: "null",
}).output().then(({ success }) => success, () => false);

async function withProcedure(
  name: string,
  body: (stub: Stub) => Promise<void>,
): Promise<void> {
  const stub = startStub();
  try {
    const args = ["procedure", "create", `file:///${name}.ts`, "--wait"];
    await runCli(args, { url: stub.url });
    await body(stub);
  } finally {
    await stub.close();
  }
}

const wasStopped = ({ requests }: Stub): boolean =>
  requests.some((one) => one.includes("STOPPED"));

test("Ctrl-C leaves the procedure running and says how to stop it", () =>
  withProcedure("hang", async (stub) => {
    const cli = startCli(["procedure", "start", "--listen"], stub);
    await cli.written("scan 1");
    cli.kill("SIGINT");
    const { code, stderr } = await cli.result;
    assertEquals([code, stub.procedures[0]?.state], [130, "RUNNING"]);
    assert(
      stderr.endsWith(
        "Procedure 1 goes on. To stop it: longrun procedure stop 1\n",
      ),
    );
    assert(!wasStopped(stub));
  }));

test("Ctrl-C never stops without a terminal to ask on", () =>
  withProcedure("hang", async (stub) => {
    const args = ["procedure", "start", "--listen", "--stop-on-interrupt"];
    const cli = startCli(args, stub);
    await cli.written("scan 1");
    cli.kill("SIGINT");
    assertEquals((await cli.result).code, 130);
    assert(!wasStopped(stub));
  }));

test("a break of the stream loses no line, no state and the end neither", () =>
  withProcedure("hold", async (stub) => {
    const cli = startCli(["procedure", "start", "--listen"], stub);
    await cli.written("RUNNING");
    const lines: string[] = [];
    for (let round = 0; round < 4; round++) {
      for (let at = 0; at < 50; at++) {
        lines.push(`line ${round} ${at}`);
        stub.write(1, lines.at(-1) ?? "");
        if (at === 25) stub.cut();
      }
      await cli.written(lines.at(-1) ?? "");
    }
    stub.cut();
    stub.move(1, "READY");
    stub.move(1, "COMPLETE");
    const { code, stdout, stderr } = await cli.result;
    assertEquals([code, stdout.trimEnd().split("\n")], [0, lines]);
    assert(stderr.endsWith("Procedure 1 is READY\nProcedure 1 is COMPLETE\n"));
  }));

test("a state is told before what the script does in it", async () => {
  let isReady = false;
  const stub = startStub({
    onOutput: async () => {
      // The command line has asked for the states by now.
      if (!isReady) return;
      isReady = false;
      stub.move(1, "RUNNING");
      stub.publish("dome.opened", "1", { data: 1 });
      stub.write(1, "late");
      await new Promise((resolve) => setTimeout(resolve, 100));
    },
  });
  try {
    const create = ["procedure", "create", "file:///hold.ts", "--wait"];
    await runCli(create, stub);
    isReady = true;
    const cli = startCli(["procedure", "listen", "1", "--json"], stub);
    await cli.written("dome.opened");
    stub.move(1, "STOPPED");
    const { stdout } = await cli.result;
    const told = stdout.trimEnd().split("\n").map((line) => {
      const { kind, state, text, topic } = JSON.parse(line);
      return state ?? text ?? topic ?? kind;
    });
    assertEquals(told.slice(-5), [
      "RUNNING",
      "dome.opened",
      "late",
      "STOPPED",
      "end",
    ]);
  } finally {
    await stub.close();
  }
});

test("what a new procedure published is told, though its end is known first", async () => {
  const stub = startStub({
    onProcedure: async () => {
      const [procedure] = stub.procedures;
      if (procedure === undefined || procedure.state === "COMPLETE") return;
      await eventually(() => procedure.state === "RUNNING", "did it run");
      const time = Date.now() / 1000;
      procedure.history.process_states.push(["COMPLETE", time]);
      procedure.state = "COMPLETE";
      setTimeout(() => {
        stub.publish("dome.opened", "1", { data: { angle: 30 }, time });
        const end = { new_state: "COMPLETE", pid: 1 };
        stub.publish("procedure.lifecycle.statechange", "1", end);
      }, 100);
    },
  });
  try {
    const args = ["activity", "run", "hold", "sbd-1", "--listen"];
    const { code, stderr } = await runCli(args, stub);
    assertEquals(code, 0);
    assert(
      stderr.endsWith(
        "Procedure 1 is RUNNING\n" +
          'Procedure 1 published dome.opened {"data":{"angle":30}}\n' +
          "Procedure 1 is COMPLETE\n",
      ),
      stderr,
    );
  } finally {
    await stub.close();
  }
});

test("a service that is away for a while is waited for", () =>
  withProcedure("hold", async (stub) => {
    const cli = startCli(["procedure", "start", "--listen"], stub);
    await cli.written("RUNNING");
    stub.refuseStreams(3);
    stub.cut();
    stub.move(1, "FAILED", "Error: rain");
    const { code, stderr } = await cli.result;
    assertEquals(code, 1);
    assert(stderr.includes("Error: rain"));
  }));

test("what the service has forgotten is asked for", () =>
  withProcedure("hold", async (stub) => {
    const cli = startCli(["procedure", "start", "--listen"], stub);
    await cli.written("RUNNING");
    for (const line of ["one", "two"]) {
      stub.write(1, line);
      await cli.written(line);
    }
    stub.refuseStreams(2);
    stub.cut();
    stub.write(1, "unheard");
    stub.move(1, "STOPPED");
    stub.forget();
    const { code, stdout } = await cli.result;
    assertEquals([code, stdout], [6, "one\ntwo\nunheard\n"]);
  }));

test("procedure listen ID tells what has happened, too", () =>
  withProcedure("hold", async (stub) => {
    stub.write(1, "before");
    stub.move(1, "STOPPED");
    const { code, stdout, stderr } = await runCli(
      ["procedure", "listen", "1"],
      stub,
    );
    assertEquals([code, stdout], [6, "before\n"]);
    assert(stderr.startsWith("Procedure 1 is CREATING\n"));
  }));

test("procedure listen --json writes each event as it travelled", () =>
  withProcedure("hold", async (stub) => {
    const args = ["procedure", "listen", "--json", "--topics", "dome.*"];
    const cli = startCli(args, stub);
    await cli.written("Listening");
    stub.publish("dome.opened", "1", { data: { angle: 30 } });
    await cli.written("dome.opened");
    cli.kill("SIGINT");
    const { code, stdout } = await cli.result;
    const { time, ...event } = JSON.parse(stdout);
    assertEquals([code, typeof time], [130, "number"]);
    assertEquals(event, {
      topic: "dome.opened",
      msg_src: "1",
      data: { angle: 30 },
    });
    assert(stub.requests.includes("stream dome.* after -"));
  }));

test("procedure listen --topics takes several with commas, too", () =>
  withProcedure("hold", async (stub) => {
    const args = ["procedure", "listen", "--topics", "dome.*,sky.clear"];
    const cli = startCli(args, stub);
    await cli.written("Listening");
    assert(stub.requests.includes("stream dome.*,sky.clear after -"));
    cli.kill("SIGINT");
    assertEquals((await cli.result).code, 130);
    for (const topics of ["", "dome.*,", "dome open"]) {
      const words = ["procedure", "listen", "--topics", topics];
      const { code, stderr } = await runCli(words, stub);
      assertEquals(code, 2);
      assert(stderr.includes("is no pattern of topics"), stderr);
    }
  }));

test("procedure output --follow writes lines as they come, to the end", () =>
  withProcedure("hold", async (stub) => {
    stub.write(1, "one");
    const cli = startCli(["procedure", "output", "1", "--follow"], stub);
    await cli.written("one");
    stub.write(1, "two");
    await cli.written("two");
    stub.move(1, "FAILED", "Error: rain");
    const { code, stdout, stderr } = await cli.result;
    assertEquals([code, stdout, stderr], [0, "one\ntwo\n", ""]);
  }));

if (hasTerminal) {
  const isOnTerminal = true;

  test("a terminal is listened on by default, with a line for the status", () =>
    withProcedure("hang", async (stub) => {
      const { url } = stub;
      const cli = startCli(["procedure", "start"], { url, isOnTerminal });
      await cli.written("Procedure 1 RUNNING 0:0");
      stub.write(1, "evil \x1b]0;title\x07 line");
      await cli.written("evil");
      stub.move(1, "COMPLETE");
      const { code, stdout } = await cli.result;
      assertEquals(code, 0);
      assert(stdout.includes("Procedure 1 is \x1b[32mCOMPLETE\x1b[0m"));
      assert(!stdout.includes("\x1b]0;"));
      assert(stdout.includes("\r\x1b[K"));
    }));

  test("--no-color and NO_COLOR write no colours on a terminal", () =>
    withProcedure("hold", async ({ url }) => {
      const args = ["procedure", "list"];
      const colored = await runCli(args, { url, isOnTerminal });
      assert(colored.stdout.includes("\x1b[34mREADY"));
      const plain = [
        runCli([...args, "--no-color"], { url, isOnTerminal }),
        runCli(args, { url, isOnTerminal, env: { NO_COLOR: "1" } }),
      ];
      for (const { stdout } of await Promise.all(plain)) {
        assert(!stdout.includes("\x1b["));
      }
    }));

  for (const [answer, state] of [["y", "STOPPED"], ["", "RUNNING"]]) {
    test(`--stop-on-interrupt asks; '${answer}' leaves it ${state}`, () =>
      withProcedure("hang", async (stub) => {
        const { url } = stub;
        const args = ["procedure", "start", "--stop-on-interrupt"];
        const cli = startCli(args, { url, isOnTerminal });
        await cli.written("scan 1");
        await cli.type("\x03");
        await cli.written("[y/N]");
        assert(!wasStopped(stub));
        await cli.type(`${answer}\n`);
        const { code, stdout } = await cli.result;
        assertEquals([code, stub.procedures[0]?.state], [130, state]);
        const said = state === "STOPPED" ? "Successfully stopped" : "goes on";
        assert(stdout.includes(said));
      }));
  }

  test("a second Ctrl-C leaves at once", () =>
    withProcedure("hang", async (stub) => {
      const { url } = stub;
      const args = ["procedure", "start", "--stop-on-interrupt"];
      const cli = startCli(args, { url, isOnTerminal });
      await cli.written("scan 1");
      await cli.type("\x03");
      await cli.written("[y/N]");
      await cli.type("\x03");
      assertEquals((await cli.result).code, 130);
      assert(!wasStopped(stub));
    }));

  test("Ctrl-C on a terminal asks nothing without the flag", () =>
    withProcedure("hang", async (stub) => {
      const { url } = stub;
      const cli = startCli(["procedure", "start"], { url, isOnTerminal });
      await cli.written("scan 1");
      await cli.type("\x03");
      const { code, stdout } = await cli.result;
      assertEquals([code, stub.procedures[0]?.state], [130, "RUNNING"]);
      assert(!stdout.includes("[y/N]") && stdout.includes("goes on"));
    }));
}
