// Copyright 2026 the Longrun authors. MIT license.

/** The validators of three libraries, as the examples take them. */

import { assertEquals, assertInstanceOf } from "@std/assert";
import { test } from "@std/testing/bdd";
import { assertType, type IsExact } from "@std/testing/types";
import { Ajv } from "ajv";
import * as v from "valibot";
import * as z from "zod";
import { ajvSchema } from "../examples/_ajv_schema.ts";
import { scans } from "../examples/validation.ts";
import { validate, ValidationError } from "../validation.ts";
import { RecordingLogger } from "./_recording_logger.ts";

async function pathsOf(promise: Promise<unknown>): Promise<string[]> {
  const error = await promise.catch((error) => error);
  assertInstanceOf(error, ValidationError);
  return error.issues.map(({ path }) => path).sort();
}

for (const version of ["1.0", "2.0", "3.0"]) {
  const head = { interface: `https://example.org/scan/${version}` };
  const library = { "1.0": "ajv", "2.0": "valibot", "3.0": "zod" }[version];
  const rate = { "1.0": 10, "2.0": 20, "3.0": 30 }[version];

  test(`SchemaRegistry fills in the defaults of ${library}`, async () => {
    const value = { ...head, beams: [{ id: 1 }, { id: 2, rate: 5 }] };
    const before = structuredClone(value);
    assertEquals(await scans.validate(value), {
      ...head,
      beams: [{ id: 1, rate }, { id: 2, rate: 5 }],
    });
    assertEquals(value, before);
  });

  test(`SchemaRegistry names the paths that ${library} gives`, async () => {
    const value = {
      ...head,
      beams: [{ id: 1 }, { id: "2" }, {}],
      colour: "red",
    };
    const paths = await pathsOf(scans.validate(value));
    // What is unknown zod says of the object that it is in.
    const unknown = library === "zod" ? "" : "colour";
    assertEquals(paths, ["beams[1].id", "beams[2].id", unknown].sort());
  });

  test(`SchemaRegistry lets through and logs what ${library} refuses`, async () => {
    const logger = new RecordingLogger();
    const value = { ...head, beams: [], colour: "red" };
    const options = { strictness: "warning", logger } as const;
    assertEquals<unknown>(await scans.validate(value, options), value);
    assertEquals(logger.of("warn").length, 1);
  });
}

test("validate() has the type that the library gives", async () => {
  const byZod = await validate(
    z.object({ rate: z.number().default(10), day: z.coerce.date() }),
    { day: 0 },
  );
  assertType<IsExact<typeof byZod, { rate: number; day: Date }>>(true);
  assertEquals(byZod, { rate: 10, day: new Date(0) });

  const byValibot = await validate(
    v.object({ rate: v.optional(v.number(), 10), name: v.string() }),
    { name: "a" },
  );
  assertType<IsExact<typeof byValibot, { rate: number; name: string }>>(true);
  assertEquals(byValibot, { rate: 10, name: "a" });
});

test("validate() waits for schemas that take their time", async () => {
  const isKnown = (id: number) => Promise.resolve(id === 1);
  const byZod = z.object({ id: z.number().refine(isKnown) });
  assertEquals(await validate(byZod, { id: 1 }), { id: 1 });
  assertEquals(await pathsOf(validate(byZod, { id: 2 })), ["id"]);

  const byValibot = v.objectAsync({
    id: v.pipeAsync(v.number(), v.checkAsync(isKnown)),
  });
  assertEquals(await validate(byValibot, { id: 1 }), { id: 1 });
  assertEquals(await pathsOf(validate(byValibot, { id: 2 })), ["id"]);
});

test("validate() with a permissive schema of a library keeps its defaults", async () => {
  const fields = { rate: z.number().default(10) };
  const value = await validate(z.strictObject(fields), { colour: "red" }, {
    strictness: "permissive",
    permissive: z.object(fields),
  });
  assertEquals(value, { rate: 10 });
});

test("The adapter for ajv reads pointers, and indices only of lists", async () => {
  const ajv = new Ajv({ allErrors: true });
  const number = { type: "number" };
  const schema = ajvSchema(ajv.compile({
    type: "object",
    properties: {
      "a/b~c": number,
      list: { type: "array", items: number },
      7: number,
    },
  }));
  assertEquals(
    await pathsOf(validate(schema, { "a/b~c": "", list: [1, ""], 7: "" })),
    ['["7"]', '["a/b~c"]', "list[1]"],
  );
  assertEquals(await pathsOf(validate(schema, "scan")), [""]);
});
