// Copyright 2026 the Longrun authors. MIT license.

import { bridge, BusReplyError, EventBus } from "@longrun/tasks/event-bus";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import {
  type ActivityRunner,
  type ActivitySummary,
  fileSystemScript,
  type ProcedureBus,
  ProcedureError,
  type RunActivityCommand,
  serveActivities,
  serveProcedures,
} from "../mod.ts";
import { FakeProcedures } from "./_fake_procedures.ts";
import { activity } from "./_procedure_stores.ts";

const script = fileSystemScript("file:///scripts/observe.ts");

function setUp() {
  const procedures = new FakeProcedures();
  const { bus, clock } = procedures;
  const replies: string[] = [];
  bus.onEvent(
    [
      "procedure.reply.*",
      "procedure.pool.*",
      "activity.reply.*",
      "activity.pool.*",
    ],
    ({ topic }) => void replies.push(topic),
  );
  return { procedures, bus, clock, replies };
}

test("serveProcedures does each request once and replies once", async () => {
  const { procedures, bus, clock, replies } = setUp();
  using _ = serveProcedures(bus, procedures);
  const created = await bus.request(
    "request.procedure.create",
    { script },
    "procedure.reply.created",
  );
  assertEquals([created.id, created.state], [1, "CREATING"]);
  await clock.runAll();
  const started = await bus.request(
    "request.procedure.start",
    { pid: 1 },
    "procedure.reply.started",
  );
  assertEquals(started.state, "RUNNING");
  const stopped = await bus.request(
    "request.procedure.stop",
    { pid: 1, runAbort: false },
    "procedure.reply.stopped",
  );
  assertEquals(stopped, []);
  const all = await bus.request(
    "request.procedure.list",
    {},
    "procedure.pool.list",
  );
  assertEquals(all.map(({ id, state }) => [id, state]), [[1, "STOPPED"]]);
  assertEquals(procedures.asked, [
    `prepare ${script.uri}`,
    "start 1 main",
    "stop 1",
  ]);
  assertEquals(replies, [
    "procedure.reply.created",
    "procedure.reply.started",
    "procedure.reply.stopped",
    "procedure.pool.list",
  ]);
});

test("serveProcedures replies with errors and goes on", async () => {
  const { procedures, bus } = setUp();
  using _ = serveProcedures(bus, procedures);
  const ask = (topic: string, data: unknown, reply: string) =>
    assertRejects(() => bus.request(topic, data, reply), BusReplyError);
  const unknown = await ask(
    "request.procedure.list",
    { pids: [7] },
    "procedure.pool.list",
  );
  assertEquals(unknown.remoteName, "ProcedureError");
  for (const data of [null, 7, { pids: 7 }, { pids: ["1"] }]) {
    const error = await ask(
      "request.procedure.list",
      data,
      "procedure.pool.list",
    );
    assertEquals(error.remoteName, "TypeError");
  }
  for (
    const [topic, reply] of [
      ["request.procedure.create", "procedure.reply.created"],
      ["request.procedure.start", "procedure.reply.started"],
      ["request.procedure.stop", "procedure.reply.stopped"],
    ] as const
  ) {
    for (const data of [undefined, { pid: 99, script: {} }]) {
      if (topic.endsWith("create") && data !== undefined) continue;
      await ask(topic, data, reply);
    }
  }
  const list = await bus.request(
    "request.procedure.list",
    { pids: [] },
    "procedure.pool.list",
  );
  assertEquals(list, []);
});

test("serveProcedures lets an operator have scripts wait, or not", () => {
  const { procedures, bus } = setUp();
  using worker = serveProcedures(bus, procedures);
  bus.publish("operator.wait_for_qa_ready.disable", {});
  assertEquals(procedures.context.waitForQaReady, false);
  bus.publish("operator.wait_for_qa_ready.enable", {});
  assertEquals(procedures.context.waitForQaReady, true);
  worker.close();
  bus.publish("operator.wait_for_qa_ready.disable", {});
  assertEquals(procedures.context.waitForQaReady, true);
});

test("serveProcedures leaves nothing on the bus, however it is closed", () => {
  const { procedures, bus } = setUp();
  const before = bus.subscribers;
  const worker = serveProcedures(bus, procedures);
  worker.close();
  worker.close();
  const controller = new AbortController();
  serveProcedures(bus, procedures, { signal: controller.signal });
  controller.abort();
  serveProcedures(bus, procedures, { signal: controller.signal });
  assertEquals(bus.subscribers, before);
});

test("serveProcedures answers requests of another bus, across a bridge, once", async () => {
  const { procedures, bus, replies } = setUp();
  using _ = serveProcedures(bus, procedures);
  const other: ProcedureBus = new EventBus({ name: "other" });
  using _bridge = bridge(bus, other);
  const seen: string[] = [];
  other.onEvent("procedure.*", ({ topic }) => void seen.push(topic));
  const created = await other.request(
    "request.procedure.create",
    { script },
    "procedure.reply.created",
  );
  assertEquals(created.id, 1);
  assertEquals(replies, ["procedure.reply.created"]);
  assertEquals(seen, [
    "procedure.lifecycle.statechange",
    "procedure.reply.created",
  ]);
});

class FakeRunner implements ActivityRunner {
  readonly commands: RunActivityCommand[] = [];
  run(command: RunActivityCommand): Promise<ActivitySummary> {
    this.commands.push(command);
    return command.name === "nope"
      ? Promise.reject(
        new ProcedureError(
          "activity-not-defined",
          "Activity 'nope' not present",
        ),
      )
      : Promise.resolve(activity(1, { procedureId: 4 }));
  }
  summarise(ids?: readonly number[]): readonly ActivitySummary[] {
    if (ids?.includes(9)) {
      throw new ProcedureError(
        "activity-not-found",
        "Activity IDs not found: 9",
      );
    }
    return [activity(1)];
  }
}

test("serveActivities runs and lists activities, and replies once", async () => {
  const { bus, replies } = setUp();
  const runner = new FakeRunner();
  using _ = serveActivities(bus, runner);
  const command = { name: "observe", sbdId: "sbd-1" };
  const summary = await bus.request(
    "request.activity.run",
    command,
    "activity.reply.running",
  );
  assertEquals(summary.procedureId, 4);
  assertEquals(runner.commands, [command]);
  const list = await bus.request(
    "request.activity.list",
    {},
    "activity.pool.list",
  );
  assertEquals(list.length, 1);
  assertEquals(replies, ["activity.reply.running", "activity.pool.list"]);
});

test("serveActivities replies with errors and goes on", async () => {
  const { bus } = setUp();
  using _ = serveActivities(bus, new FakeRunner());
  const error = await assertRejects(
    () =>
      bus.request(
        "request.activity.run",
        { name: "nope", sbdId: "sbd-1" },
        "activity.reply.running",
      ),
    BusReplyError,
    "Activity 'nope' not present",
  );
  assertEquals(error.remoteName, "ProcedureError");
  for (const data of [null, { ids: [9] }, { ids: {} }]) {
    await assertRejects(
      () =>
        bus.request(
          "request.activity.list" as string,
          data,
          "activity.pool.list",
        ),
      BusReplyError,
    );
  }
});

test("serveActivities says nothing about procedures that are none of an activity", async () => {
  const { procedures, bus, clock, replies } = setUp();
  using _ = serveActivities(bus, new FakeRunner());
  await procedures.prepare({ script });
  await clock.runAll();
  assertEquals(replies, []);
});

test("Workers refuse what is no bus or no service", () => {
  const { procedures, bus } = setUp();
  assertThrows(() => serveProcedures({} as never, procedures), TypeError);
  assertThrows(() => serveProcedures(bus, {} as never), TypeError);
  assertThrows(() => serveActivities(bus, {} as never), TypeError);
  assertThrows(
    () => serveActivities(bus, new FakeRunner(), { signal: 1 as never }),
    TypeError,
  );
});
