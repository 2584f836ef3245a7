// Copyright 2026 the Longrun authors. MIT license.

/** The forms of the APIs, as their documentation has them. */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { test } from "@std/testing/bdd";
import {
  followOperation,
  type FollowOperationOptions,
  OperationError,
  type OperationResult,
} from "../follow_operation.ts";
import { type Answer, OperationRig, updatesOf } from "./_operation_rig.ts";

type First = Exclude<Answer, Error>;

const ARM = "https://management.example";
const MACHINE = `${ARM}/subscriptions/s/providers/P.Compute/machines/m?v=1`;
const MONITOR = `${ARM}/subscriptions/s/providers/P.Compute/operations/guid`;
const RESULT = `${ARM}/subscriptions/s/providers/P.Compute/results/guid`;

const machine = (provisioningState: string): unknown => ({
  id: "/subscriptions/s/providers/P.Compute/machines/m",
  name: "m",
  properties: { provisioningState, size: "Standard_A0" },
});

async function endOf(
  rig: OperationRig,
  from: First | string,
  options: FollowOperationOptions = {},
): Promise<OperationResult> {
  const handle = rig.follow(from, options);
  const result = await rig.end(handle);
  assert(handle.ended);
  assertEquals(handle.status, result.status);
  assertEquals(rig.clock.pending, []);
  return result;
}

function assertFailed(
  result: OperationResult,
  status: OperationResult["status"],
  message: string,
): OperationError {
  assertEquals(result.status, status);
  assertEquals(result.message, message);
  assertEquals(result.value, undefined);
  assertInstanceOf(result.error, OperationError);
  return result.error;
}

test("Azure: a PUT with Azure-AsyncOperation ends with the resource itself", async () => {
  for (const method of ["PUT", undefined]) {
    const rig = new OperationRig();
    rig.on(
      MONITOR,
      { headers: { "retry-after": "5" }, body: { status: "MountingDrives" } },
      { body: { id: "guid", status: "InProgress", percentComplete: 50 } },
      { body: { id: "guid", status: "Succeeded", percentComplete: 100 } },
    );
    rig.on(MACHINE, { body: machine("Succeeded") });
    const handle = rig.follow({
      status: 201,
      headers: { "azure-asyncoperation": MONITOR, "retry-after": "15" },
      body: machine("Creating"),
    }, { url: MACHINE, ...(method === undefined ? {} : { method }) });
    const updates = updatesOf(handle);
    const { status, value, stage, error } = await rig.end(handle);
    assertEquals(status, "succeeded");
    assertEquals(value, machine("Succeeded"));
    assertEquals(stage, "Succeeded");
    assertEquals(error, undefined);
    assertEquals(rig.times, [
      [MONITOR, 15_000],
      [MONITOR, 20_000],
      [MONITOR, 21_000],
      [MACHINE, 21_000],
    ]);
    assertEquals(
      (await updates).map(({ status, stage, progress }) => [
        status,
        stage,
        progress,
      ]),
      [
        ["running", undefined, undefined],
        ["running", "MountingDrives", undefined],
        ["running", "InProgress", 50],
        ["succeeded", "Succeeded", 100],
      ],
    );
  }
});

test("Azure: a POST with Azure-AsyncOperation ends with what Location has", async () => {
  const rig = new OperationRig();
  rig.on(MONITOR, { body: { status: "Running" } }, {
    body: { status: "Succeeded" },
  });
  rig.on(RESULT, { status: 202 }, { body: { uri: "https://blob.example/1" } });
  const result = await endOf(rig, {
    status: 202,
    headers: { "azure-asyncoperation": MONITOR, location: RESULT },
  }, { method: "post" });
  assertEquals(result.value, { uri: "https://blob.example/1" });
  assertEquals(rig.times.map(([url]) => url), [
    MONITOR,
    MONITOR,
    RESULT,
    RESULT,
  ]);
});

test("Azure: a PATCH ends with what Location has, or with the resource", async () => {
  for (const location of [RESULT, undefined]) {
    const rig = new OperationRig();
    rig.on(MONITOR, { body: { status: "Succeeded" } });
    rig.on(RESULT, { body: "result" }).on(MACHINE, { body: "machine" });
    const result = await endOf(rig, {
      status: 202,
      headers: {
        "azure-asyncoperation": MONITOR,
        ...(location === undefined ? {} : { location }),
      },
    }, { method: "PATCH", url: MACHINE });
    assertEquals(result.value, location === undefined ? "machine" : "result");
  }
});

test("Azure: a DELETE with Location ends with 204, asked where the server moves to", async () => {
  const rig = new OperationRig();
  rig.on(RESULT, {
    status: 202,
    headers: { location: `${RESULT}/2`, "retry-after": "10" },
  }).on(`${RESULT}/2`, { status: 204 });
  const result = await endOf(rig, {
    status: 202,
    headers: { location: RESULT, "retry-after": "60" },
  }, { method: "DELETE" });
  assertEquals(result.status, "succeeded");
  assertEquals(result.value, undefined);
  assertEquals(rig.times, [[RESULT, 60_000], [`${RESULT}/2`, 70_000]]);
});

test("Azure: a resource with a provisioningState is asked itself", async () => {
  for (
    const [state, status] of [["Succeeded", "succeeded"], ["Failed", "failed"]]
  ) {
    const rig = new OperationRig();
    rig.on(MACHINE, { body: machine("Updating") }, {
      body: machine(state ?? ""),
    });
    const result = await endOf(rig, { body: machine("Creating") }, {
      url: MACHINE,
    });
    assertEquals(result.status, status);
    assertEquals(result.stage, state);
    if (status === "succeeded") {
      assertEquals(result.value, machine("Succeeded"));
    }
  }
});

test("Azure: a PUT with Location and a provisioningState is asked there", async () => {
  const rig = new OperationRig();
  rig.on(RESULT, { status: 202 }, { body: machine("Succeeded") });
  const result = await endOf(rig, {
    status: 201,
    headers: { location: RESULT },
    body: machine("Creating"),
  }, { url: MACHINE });
  assertEquals(result.value, machine("Succeeded"));
  assertEquals(rig.asked.length, 2);
});

test("Azure: a resource that is gone has been deleted, if it was to be", async () => {
  const rig = new OperationRig();
  rig.on(MACHINE, { body: machine("Deleting") }, { status: 404 });
  const from = { status: 202, body: machine("Deleting") };
  const options = { url: MACHINE, method: "DELETE" };
  assertEquals((await endOf(rig, from, options)).status, "succeeded");
  const other = { url: MACHINE, method: "PUT" };
  assertEquals((await endOf(rig, from, other)).status, "unknown");
});

test("Azure: an operation that has failed tells its error", async () => {
  const rig = new OperationRig();
  const error = { code: "BadArgument", message: "The name is invalid" };
  rig.on(MONITOR, { body: { status: "Failed", error } });
  const from = { status: 202, headers: { "azure-asyncoperation": MONITOR } };
  const failed = assertFailed(
    await endOf(rig, from),
    "failed",
    "The name is invalid",
  );
  assertEquals(failed.code, "BadArgument");
  assertEquals(failed.details, error);

  rig.on(MONITOR, { body: { status: "Canceled" } });
  assertFailed(
    await endOf(rig, from),
    "canceled",
    "The operation was canceled",
  );
});

test("Azure: an error of the monitor is no error of the operation", async () => {
  for (const status of [400, 404, 409]) {
    const rig = new OperationRig();
    rig.on(MONITOR, {
      status,
      body: { error: { code: "NotFound", message: "Operation not found" } },
    });
    const error = assertFailed(
      await endOf(rig, {
        status: 202,
        headers: { "azure-asyncoperation": MONITOR },
      }),
      "unknown",
      "Operation not found",
    );
    assertEquals(error.httpStatus, status);
    assertEquals(rig.asked.length, 1);
  }
});

test("Operation-Location: the result is in the body, or where resourceLocation says", async () => {
  const from = {
    status: 202,
    headers: { "operation-location": "/operations/1?v=1" },
  };
  const options = { url: "https://data.example/analyze?v=1", method: "POST" };
  const monitor = "https://data.example/operations/1?v=1";
  const bodies: [body: unknown, value: unknown][] = [
    [{ status: "succeeded", result: { pages: 2 } }, { pages: 2 }],
    [{ status: "Succeeded", results: [1] }, [1]],
    [{ status: "Succeeded", properties: { a: 1 } }, { a: 1 }],
    [{ status: "Succeeded", resourceLocation: "/updates/7" }, "update"],
    [{ id: "1", status: "Succeeded" }, { id: "1", status: "Succeeded" }],
  ];
  for (const [body, value] of bodies) {
    const rig = new OperationRig();
    rig.on(monitor, { body: { status: "notStarted" } }, {
      body: { status: "running" },
    }, { body });
    rig.on("https://data.example/updates/7", { body: "update" });
    const result = await endOf(rig, from, options);
    assertEquals(result.status, "succeeded");
    assertEquals(result.value, value);
  }
});

test("Operation-Location comes before Azure-AsyncOperation and Location", async () => {
  const rig = new OperationRig();
  rig.on(MONITOR, { body: { status: "Succeeded" } }).on(RESULT, { body: 7 });
  const result = await endOf(rig, {
    status: 202,
    headers: {
      "operation-location": MONITOR,
      "azure-asyncoperation": `${ARM}/older`,
      location: RESULT,
    },
  });
  assertEquals(result.value, 7);
  assertEquals(rig.times.map(([url]) => url), [MONITOR, RESULT]);
});

const SPEECH = "https://speech.example/v1/speech:longrunningrecognize";
const NAMED = "https://speech.example/v1/operations/7612";

test("AIP-151: an operation ends with its response", async () => {
  const rig = new OperationRig();
  rig.on(
    NAMED,
    { body: { name: "operations/7612", metadata: { progressPercent: 34 } } },
    {
      body: {
        name: "operations/7612",
        metadata: { progressPercent: 100 },
        done: true,
        response: { "@type": "Recognized", text: "how old" },
      },
    },
  );
  const handle = rig.follow({ body: { name: "operations/7612" } }, {
    url: SPEECH,
  });
  await handle.ready;
  assertEquals(handle.shape, "aip-151");
  assertEquals(handle.url, NAMED);
  const { status, value } = await rig.end(handle);
  assertEquals(status, "succeeded");
  assertEquals(value, { "@type": "Recognized", text: "how old" });
  assertEquals(handle.progress, 100);
});

test("AIP-151: an error is a failure, and its code 1 a cancellation", async () => {
  for (
    const [code, status] of [[3, "failed"], [1, "canceled"]] as const
  ) {
    const rig = new OperationRig();
    const error = { code, message: "Why", details: [{ "@type": "T" }] };
    rig.on(NAMED, { body: { name: "operations/7612", done: true, error } });
    const failed = assertFailed(
      await endOf(rig, { body: { name: "operations/7612", done: false } }, {
        url: SPEECH,
      }),
      status,
      "Why",
    );
    assertEquals(failed.code, code);
    assertEquals(failed.details, error);
  }
});

test("AIP-151: an operation that is done at once is not asked for", async () => {
  const rig = new OperationRig();
  const name = "projects/p/operations/1";
  for (const response of [{ a: 1 }, undefined]) {
    const result = await endOf(rig, {
      body: {
        name,
        done: true,
        ...(response === undefined ? {} : { response }),
      },
    }, { url: SPEECH });
    assertEquals(result.status, "succeeded");
    assertEquals(result.value, response);
  }
  assertEquals(rig.asked, []);
});

test("AIP-151: the address is made of the name, or as urlOf says", async () => {
  const cases: [first: string, name: string, url: string][] = [
    [
      "https://x.example/v2beta1/projects/p/things?alt=json",
      "projects/p/operations/1",
      "https://x.example/v2beta1/projects/p/operations/1",
    ],
    [
      "https://x.example/api/v1/things",
      "operations/1",
      "https://x.example/api/v1/operations/1",
    ],
    [
      "https://x.example/v1/things",
      "v1/operations/1",
      "https://x.example/v1/operations/1",
    ],
    [
      "https://x.example/things",
      "operations/1",
      "https://x.example/operations/1",
    ],
  ];
  for (const [first, name, url] of cases) {
    const rig = new OperationRig();
    rig.on(url, { body: { name, done: true } });
    const from = { body: { name, done: false } };
    const result = await endOf(rig, from, { url: first });
    assertEquals(result.status, "succeeded", url);
    const own = "https://x.example/own";
    rig.on(own, { body: { name, done: true, response: 1 } });
    const other = await endOf(rig, from, { url: first, urlOf: () => own });
    assertEquals(other.value, 1);
  }
});

test("HTTP: 202 with Location goes on, and 200, 201 or 204 is the result", async () => {
  for (const status of [200, 201, 204]) {
    const rig = new OperationRig();
    rig.on(RESULT, { status: 202 }, { status, body: { stars: 7 } });
    const result = await endOf(rig, {
      status: 202,
      headers: { location: RESULT },
    });
    assertEquals(result.status, "succeeded");
    assertEquals(result.value, status === 204 ? undefined : { stars: 7 });
    assertEquals(result.response?.status, status);
  }
});

test("HTTP: a monitor that redirects to the result is followed there", async () => {
  for (const status of [301, 302, 303, 307, 308]) {
    const rig = new OperationRig();
    rig.on(MONITOR, { status: 202 }, { status, headers: { location: "/a" } });
    rig.on(`${ARM}/a`, { body: "the result" });
    const result = await endOf(rig, {
      status: 202,
      headers: { location: MONITOR },
    });
    assertEquals(result.value, "the result");
    assertEquals(result.response?.url, `${ARM}/a`);
  }
});

test("HTTP: a first answer of 303 is asked for at once", async () => {
  const rig = new OperationRig();
  rig.on(RESULT, { body: 1 });
  const result = await endOf(rig, {
    status: 303,
    headers: { location: RESULT },
  });
  assertEquals(result.value, 1);
  assertEquals(rig.times, [[RESULT, 0]]);
});

test("HTTP: what Location answers in the end may be a failure", async () => {
  const rig = new OperationRig();
  rig.on(RESULT, { status: 202 }, {
    status: 409,
    headers: { "content-type": "application/problem+json" },
    body: { title: "Conflict", detail: "The dome is closed" },
  });
  const error = assertFailed(
    await endOf(rig, { status: 202, headers: { location: RESULT } }),
    "failed",
    "The dome is closed",
  );
  assertEquals(error.httpStatus, 409);
});

test("HTTP: 401, 403, 404 and 410 are no end", async () => {
  for (const status of [401, 403, 404, 410]) {
    const rig = new OperationRig();
    rig.on(RESULT, { status: 202 }, { status });
    assertFailed(
      await endOf(rig, { status: 202, headers: { location: RESULT } }),
      "unknown",
      `${RESULT} has answered with ${status}`,
    );
  }
});

test("Graph: a Location that answers 200 with a status is believed", async () => {
  const rig = new OperationRig();
  const from = { status: 202, headers: { location: MONITOR } };
  rig.on(
    MONITOR,
    { body: { status: "notStarted" } },
    {
      body: {
        operation: "Copy",
        percentageComplete: 27.8,
        status: "inProgress",
      },
    },
    { body: { status: "completed", resourceLocation: "/items/1" } },
  ).on(`${ARM}/items/1`, { body: "item" });
  const result = await endOf(rig, from);
  assertEquals(result.status, "succeeded");
  assertEquals(result.value, "item");

  rig.on(MONITOR, {
    body: { status: "Failed", error: { message: "Failing for test reasons" } },
  });
  assertFailed(await endOf(rig, from), "failed", "Failing for test reasons");
});

test("Jobs: 201 with Location and a status that goes on is a monitor", async () => {
  const rig = new OperationRig();
  const job = "https://jobs.example/jobs/1";
  rig.on(job, { body: { status: "building" } }, {
    body: { status: "finished", result: 4 },
  });
  const result = await endOf(rig, {
    status: 201,
    headers: { location: "/jobs/1" },
    body: { id: 1, status: "queued" },
  }, { url: "https://jobs.example/jobs" });
  assertEquals(result.value, 4);
});

test("Compute: an operation is asked at its selfLink", async () => {
  const url = "https://compute.example/v1/zones/z/instances";
  const selfLink = "https://compute.example/v1/zones/z/operations/o";
  const operation = { kind: "compute#operation", name: "o", selfLink };
  const from = { body: { ...operation, status: "PENDING", progress: 0 } };
  const rig = new OperationRig();
  rig.on(
    selfLink,
    { body: { ...operation, status: "RUNNING", progress: 40 } },
    {
      body: { ...operation, status: "DONE", progress: 100 },
    },
  );
  const handle = rig.follow(from, { url });
  assertEquals((await rig.end(handle)).status, "succeeded");
  assertEquals(handle.progress, 100);

  const error = { errors: [{ code: "QUOTA_EXCEEDED", message: "Too many" }] };
  rig.on(selfLink, { body: { ...operation, status: "DONE", error } });
  const failed = assertFailed(
    await endOf(rig, from, { url }),
    "failed",
    "Too many",
  );
  assertEquals(failed.code, "QUOTA_EXCEEDED");
});

test("An answer that is the result already ends it without asking", async () => {
  const rig = new OperationRig();
  const answers: Exclude<Answer, Error>[] = [
    { body: { status: "active" } },
    { status: 201, headers: { location: RESULT }, body: { status: "active" } },
    { body: machine("Succeeded") },
    { body: { stars: 7 } },
  ];
  for (const answer of answers) {
    const result = await endOf(rig, answer, { url: MACHINE });
    assertEquals(result.status, "succeeded");
    assertEquals(result.value, (answer as { body: unknown }).body);
  }
  assertEquals(rig.asked, []);
});

test("A request that was refused has failed, one that broke down is unknown", async () => {
  const refused = [307, 400, 404, 429, 501, 503];
  for (const status of [...refused, 408, 500, 502, 504]) {
    const error = assertFailed(
      await endOf(new OperationRig(), {
        status,
        headers: { location: RESULT },
        body: { error: { code: "No", message: "Not today" } },
      }),
      refused.includes(status) ? "failed" : "unknown",
      "Not today",
    );
    assertEquals(error.httpStatus, status);
  }
});

test("A first answer that was hidden is unknown", async () => {
  const { status } = await followOperation(Response.error()).done;
  assertEquals(status, "unknown");
});

test("An operation that goes on nobody knows where is unknown", async () => {
  const answers: Exclude<Answer, Error>[] = [
    { status: 202 },
    { status: 202, body: { id: 1 } },
    { status: 200, body: { status: "running" } },
  ];
  for (const answer of answers) {
    assertFailed(
      await endOf(new OperationRig(), answer),
      "unknown",
      "The operation goes on, but the answer does not tell where to ask",
    );
  }
});

test("An address is followed in the form of its first answers", async () => {
  const cases: [answers: Answer[], value: unknown][] = [
    [[{ body: { status: "Odd" } }, { body: { status: "Succeeded" } }], {
      status: "Succeeded",
    }],
    [[{ status: 202 }, { body: { stars: 7 } }], { stars: 7 }],
    [[{ status: 202 }, { status: 202, body: { status: "Odd" } }, {
      body: { status: "Succeeded", result: 3 },
    }], 3],
    [
      [{ body: machine("Odd") }, { body: machine("Succeeded") }],
      machine("Succeeded"),
    ],
    [[{ body: { name: "operations/1" } }, {
      body: { name: "operations/1", done: true, response: 2 },
    }], 2],
    [[{ body: "text" }], "text"],
  ];
  for (const [answers, value] of cases) {
    const rig = new OperationRig();
    const result = await endOf(rig.on(MONITOR, ...answers), MONITOR);
    assertEquals(result.status, "succeeded");
    assertEquals(result.value, value);
    assertEquals(rig.asked[0]?.time, 0);
    assertEquals(rig.asked.length, answers.length);
  }
});

test("The form and the place of the result can be told", async () => {
  const rig = new OperationRig();
  const from = { status: 202, headers: { location: MONITOR } };
  const running = { body: { status: "running" } };
  rig.on(MONITOR, { body: { status: "Odd" } }, { body: { status: "Done" } });
  rig.on(MACHINE, running);
  const url = MACHINE;
  assertEquals(
    (await endOf(rig, from, { shape: "status", final: "resource", url })).value,
    running.body,
  );
  assertEquals(
    (await endOf(rig, { status: 202, body: "begun" }, {
      shape: "resource",
      url,
    }))
      .value,
    running.body,
  );
  const both = {
    status: 202,
    headers: { "operation-location": MONITOR, location: RESULT },
  };
  assertEquals((await endOf(rig, both, { final: "none" })).value, {
    status: "Done",
  });
});
