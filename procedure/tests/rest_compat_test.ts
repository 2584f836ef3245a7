// Copyright 2026 the Longrun authors. MIT license.

import { assert, assertEquals } from "@std/assert";
import { test } from "@std/testing/bdd";
import { RestRig } from "./_rest_rig.ts";

const script = { script_type: "filesystem", script_uri: "file:///a.ts" };
const put = (json: unknown) => ({ method: "PUT", json });

test("With compat what is missing has the body of the original", async () => {
  await using rig = new RestRig({ compat: true });
  const procedure = await rig.ask("/procedures/7");
  assertEquals(procedure.status, 404);
  assertEquals(procedure.headers.get("content-type"), "application/json");
  assertEquals(await procedure.json(), {
    detail: "No information available for PID=7",
  });
  const activity = await rig.ask("/activities/7");
  assertEquals(activity.status, 404);
  assertEquals(await activity.json(), {
    detail: {
      type: "ResourceNotFound",
      Message: "No information available for ID=7",
    },
  });
  assertEquals(await (await rig.ask("/x")).json(), { detail: "Not Found" });
  const wrong = await rig.ask("/procedures", { method: "DELETE" });
  assertEquals(wrong.status, 405);
  assertEquals(await wrong.json(), { detail: "Method Not Allowed" });
});

test("With compat a stop of what does not run is 200 with the words of the original", async () => {
  await using rig = new RestRig({ compat: true });
  await rig.prepare("COMPLETE");
  const response = await rig.ask("/procedures/1", put({ state: "STOPPED" }));
  assertEquals(response.status, 200);
  assertEquals(await response.json(), {
    abort_message: "Cannot stop script with ID 1: Script is not running",
  });
  assertEquals(rig.procedures.stopped, []);
});

test("With compat a start of what is not READY changes nothing", async () => {
  await using rig = new RestRig({ compat: true });
  await rig.prepare("LOADING");
  for (const state of ["RUNNING", "COMPLETE", null]) {
    const response = await rig.ask("/procedures/1", put({ state }));
    assertEquals(response.status, 200);
    assertEquals((await response.json()).state, "LOADING");
  }
  assertEquals(rig.procedures.started, []);
});

test("With compat what the service refuses is 500 with its words", async () => {
  await using rig = new RestRig({ compat: true });
  await rig.prepare("RUNNING");
  await rig.prepare("READY");
  const response = await rig.ask("/procedures/2", put({ state: "RUNNING" }));
  assertEquals(response.status, 500);
  assertEquals(await response.json(), {
    detail: "Cannot start PID 2: PID #1 is RUNNING",
  });
});

test("With compat null and unknown members are let through", async () => {
  await using rig = new RestRig({ compat: true });
  const response = await rig.ask("/procedures/", {
    json: {
      script: { ...script, create_env: false },
      script_args: { init: { args: null, kwargs: null }, main: {} },
      more: 1,
    },
  });
  assertEquals(response.status, 201);
  const git = {
    script_type: "git",
    script_uri: "git://a.ts",
    git_args: { git_repo: "r", git_branch: null, git_commit: null },
    create_env: null,
  };
  const json = { script: git, script_args: null };
  assertEquals((await rig.ask("/procedures", { json })).status, 201);
  const start = { state: "RUNNING", script_args: null, abort: null };
  assertEquals((await rig.ask("/procedures/1", put(start))).status, 200);
});

test("With compat what is wrong is told as by the original", async () => {
  await using rig = new RestRig({ compat: true });
  const response = await rig.ask("/procedures", {
    json: { script: { ...script, script_uri: "git://a.ts" } },
  });
  assertEquals(response.status, 422);
  const { detail } = await response.json();
  assertEquals(detail[0].loc, ["body", "script", "script_uri"]);
  assert(detail[0].msg.startsWith("Incorrect prefix for FileSystemScript: "));
  const malformed = await rig.ask("/procedures", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{",
  });
  assertEquals(malformed.status, 422);
  const id = await (await rig.ask("/procedures/x")).json();
  assertEquals(id.detail[0].loc, ["path", "id"]);
});

test("With compat the defects of the original are none", async () => {
  await using rig = new RestRig({ compat: true });
  assertEquals(
    (await rig.ask("/procedures", { json: { script } })).status,
    201,
  );
  const response = await rig.ask("/procedures/1", put({ state: "RUNNING" }));
  assertEquals(response.status, 200);
  const { uri } = await response.json();
  assertEquals(uri, "http://localhost/api/v1/procedures/1");
});
