// Copyright 2026 the Longrun authors. MIT license.

import { assertEquals, assertRejects } from "@std/assert";
import { test } from "@std/testing/bdd";
import { AbortScript, type AbortScriptSettings } from "../_abort_script.ts";
import { fileSystemScript, ProcedureError, procedureInput } from "../mod.ts";
import { procedure } from "./_procedure_stores.ts";

const script = fileSystemScript("file:///scripts/abort.ts");

function rig(settings: Partial<AbortScriptSettings> = {}) {
  const calls: unknown[] = [];
  const abort = new AbortScript({
    script,
    argsOf: ({ id }) => procedureInput({ id }),
    check: () => Promise.resolve(),
    call: ({ uri }, input) => {
      calls.push([uri, input.kwargs]);
      return Promise.resolve(procedure(8));
    },
    ...settings,
  });
  return { abort, calls };
}

const clouds = () => {
  throw new Error("clouds");
};

test("AbortScript calls nothing before it is told to", async () => {
  const { abort, calls } = rig();
  const run = await abort.plan(procedure(7));
  assertEquals(calls, []);
  assertEquals(await run(), procedure(8));
  assertEquals(calls, [[script.uri, { id: 7 }]]);
});

test("AbortScript refuses what it could not call", async () => {
  const refusals: [Partial<AbortScriptSettings>, string][] = [
    [{ script: undefined }, "There is no abort script"],
    [{ argsOf: clouds }, "clouds"],
    [{ argsOf: () => 7 as unknown as ReturnType<typeof clouds> }, "abortArgs"],
    [
      { check: () => Promise.reject(new Error("no such root")) },
      "no such root",
    ],
  ];
  for (const [settings, why] of refusals) {
    const error = await assertRejects(
      () => rig(settings).abort.plan(procedure(7)),
      ProcedureError,
      why,
    );
    assertEquals(error.code, "abort-refused");
    assertEquals(error.message.startsWith("PID #7 was not stopped: "), true);
  }
});

test("AbortScript tells that the procedure was stopped when the call fails", async () => {
  const run = await rig({ call: clouds }).abort.plan(procedure(7));
  const error = await assertRejects(
    run,
    ProcedureError,
    "PID #7 was stopped, but its abort script failed: clouds",
  );
  assertEquals(error.code, "abort-failed");
});
