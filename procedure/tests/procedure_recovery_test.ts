// Copyright 2026 the Longrun authors. MIT license.

import { ManualClock } from "@longrun/tasks/testing";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { test } from "@std/testing/bdd";
import {
  InMemoryProcedureStore,
  type ProcessIdentity,
  processIdentity,
  recoverProcedures,
  SqliteProcedureStore,
} from "../mod.ts";
import { isAlive } from "./_eventually.ts";
import { activity, procedure, temporaryFile } from "./_procedure_stores.ts";

const logger = { debug() {}, info() {}, warn() {}, error() {} };

test("recoverProcedures leaves what has ended as it is", async () => {
  using store = new InMemoryProcedureStore();
  store.saveProcedure(procedure(1, "COMPLETE"));
  store.saveProcedure(procedure(2, "STOPPED"), { osPid: 1, startTime: null });
  store.saveProcedure(procedure(3, "UNKNOWN"));
  const before = store.procedures();
  assertEquals(await recoverProcedures(store, { logger }), []);
  assertEquals(store.procedures(), before);
});

test("recoverProcedures forgets nothing: FAILED or UNKNOWN, with a reason", async () => {
  using store = new InMemoryProcedureStore();
  store.saveProcedure(procedure(1, "RUNNING"), {
    osPid: 1,
    startTime: "another boot:7",
  });
  store.saveProcedure(procedure(2, "CREATING"));
  store.saveProcedure(procedure(3, "READY"), { osPid: 1, startTime: null });
  store.saveProcedure(procedure(4, "UNKNOWN"), {
    osPid: 1,
    startTime: "another boot:7",
  });
  const changed = await recoverProcedures(store, { now: () => 99, logger });
  assertEquals(
    changed.map(({ id, state, history }) => [id, state, history.states.at(-1)]),
    [
      [1, "FAILED", ["FAILED", 99]],
      [2, "UNKNOWN", ["UNKNOWN", 99]],
      [3, "UNKNOWN", ["UNKNOWN", 99]],
      [4, "FAILED", ["FAILED", 99]],
    ],
  );
  for (const { history } of changed) {
    assertStringIncludes(history.stacktrace ?? "", "the service ended");
  }
  assertEquals(store.procedures().map(({ summary }) => summary), changed);
});

test("recoverProcedures ends activities as their procedures", async () => {
  using store = new InMemoryProcedureStore();
  store.saveProcedure(procedure(1, "RUNNING"));
  store.saveProcedure(procedure(2, "COMPLETE"));
  store.saveActivity(activity(1, { procedureId: 1, state: "RUNNING" }));
  store.saveActivity(activity(2, { procedureId: 2, state: "RUNNING" }));
  store.saveActivity(activity(3));
  store.saveActivity(activity(4, { state: "STOPPED" }));
  store.saveActivity(activity(5, { procedureId: 77, state: "PREPARED" }));
  await recoverProcedures(store, { now: () => 99, logger });
  assertEquals(
    store.activities().map(({ state, states }) => [state, states.at(-1)?.[1]]),
    [["FAILED", 99], ["COMPLETE", 99], ["FAILED", 99], ["STOPPED", 1], [
      "FAILED",
      99,
    ]],
  );
});

test("recoverProcedures never kills another process of the same number", async () => {
  using store = new InMemoryProcedureStore();
  const own = processIdentity(Deno.pid);
  store.saveProcedure(procedure(1, "RUNNING"), {
    osPid: Deno.pid,
    startTime: `${own.startTime}1`,
  });
  const killed: ProcessIdentity[] = [];
  const [changed] = await recoverProcedures(store, {
    kill: (process) => void killed.push(process),
    logger,
  });
  assertEquals([changed?.state, killed], ["FAILED", []]);
});

test("recoverProcedures waits for a process that does not end, but not for ever", async () => {
  using store = new InMemoryProcedureStore();
  const own = processIdentity(Deno.pid);
  store.saveProcedure(procedure(1, "RUNNING"), own);
  const clock = new ManualClock();
  const killed: ProcessIdentity[] = [];
  const recovery = recoverProcedures(store, {
    kill: (process) => {
      killed.push(process);
      throw new Error("not permitted");
    },
    clock,
    timeout: 100,
    logger,
  });
  await clock.advance(150);
  const [changed] = await recovery;
  assertEquals([changed?.state, killed], ["UNKNOWN", [own]]);
  assertStringIncludes(changed?.history.stacktrace ?? "", "not be killed");
  assertEquals(store.procedures()[0]?.process, own);
});

test("recoverProcedures kills the process that a killed service has left behind", async () => {
  using file = temporaryFile();
  // The service: starts a process that ignores SIGTERM, and dies itself.
  const map = new URL("../../compat/import_map.json", import.meta.url).pathname;
  const service = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--node-modules-dir=none",
      "--import-map",
      map,
      new URL("./_crashing_service.ts", import.meta.url).pathname,
      file.path,
    ],
    stdout: "piped",
  });
  const { stdout, signal } = await service.output();
  assertEquals(signal, "SIGKILL");
  const osPid = Number(new TextDecoder().decode(stdout).trim());
  const { startTime } = processIdentity(osPid);
  assert(startTime !== null, "the process is not there any more");

  using store = new SqliteProcedureStore(file.path);
  const [changed] = await recoverProcedures(store, { logger });
  assertEquals([changed?.id, changed?.state], [1, "FAILED"]);
  assert(processIdentity(osPid).startTime !== startTime || isZombie(osPid));
});

function isZombie(osPid: number): boolean {
  const stat = Deno.readTextFileSync(`/proc/${osPid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
}

test("recoverProcedures ends the programs of a script that has gone", async () => {
  using store = new InMemoryProcedureStore();
  const leader = new Deno.Command("/bin/sh", {
    args: ["-c", "sleep 60 & echo $!; read line"],
    stdin: "piped",
    stdout: "piped",
    detached: true,
  }).spawn();
  const reader = leader.stdout.getReader();
  const { value } = await reader.read();
  const program = Number(new TextDecoder().decode(value));
  store.saveProcedure(procedure(1, "RUNNING"), processIdentity(leader.pid));
  await leader.stdin.close();
  await leader.status;
  assert(isAlive(program));
  const [changed] = await recoverProcedures(store, { logger });
  assertEquals(changed?.state, "FAILED");
  assert(!isAlive(program));
  await reader.cancel();
});

test("recoverProcedures ends what a procedure that is FAILED has left behind", async () => {
  using store = new InMemoryProcedureStore();
  const left = new Deno.Command("/bin/sh", {
    args: ["-c", "echo; read line"],
    stdin: "piped",
    stdout: "piped",
    detached: true,
  }).spawn();
  const reader = left.stdout.getReader();
  await reader.read();
  store.saveProcedure(procedure(1, "FAILED"), processIdentity(left.pid));
  const gone = { osPid: left.pid, startTime: "another boot:7" };
  store.saveProcedure(procedure(2, "FAILED"), gone);
  const before = store.procedures();
  const warnings: string[] = [];
  const warn = (sentence: string): void => void warnings.push(sentence);
  const changed = await recoverProcedures(store, {
    logger: { ...logger, warn },
  });
  assertEquals(changed, []);
  assertEquals(store.procedures(), before);
  assertEquals(warnings.length, 1);
  assertStringIncludes(warnings[0] ?? "", "of PID #1 was left behind");
  assertEquals((await left.status).signal, "SIGKILL");
  await reader.cancel();
  await left.stdin.close().catch(() => {});
});
