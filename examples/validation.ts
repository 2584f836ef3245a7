// Copyright 2026 the Longrun authors. MIT license.

/**
 * Requests in three versions, each with the schema of another library.
 *
 * @module
 */

import { Ajv } from "ajv";
import * as v from "valibot";
import * as z from "zod";
import { SchemaRegistry } from "../validation.ts";
import { ajvSchema } from "./_ajv_schema.ts";

/** What all versions come to. */
export interface Scan {
  interface: string;
  beams: { id: number; rate: number }[];
}

const NAME = "https://example.org/scan";

const ajv = new Ajv({ allErrors: true, useDefaults: true });

/** The schemas of all versions. */
export const scans: SchemaRegistry<Scan> = new SchemaRegistry<Scan>()
  .add(
    `${NAME}/1.0`,
    ajvSchema<Scan>(ajv.compile({
      type: "object",
      required: ["interface", "beams"],
      additionalProperties: false,
      properties: {
        interface: { type: "string" },
        beams: {
          type: "array",
          items: {
            type: "object",
            required: ["id"],
            properties: {
              id: { type: "number" },
              rate: { type: "number", default: 10 },
            },
          },
        },
      },
    })),
  )
  .add(
    `${NAME}/2.0`,
    v.strictObject({
      interface: v.string(),
      beams: v.array(v.object({
        id: v.number(),
        rate: v.optional(v.number(), 20),
      })),
    }),
  )
  .add(
    `${NAME}/3.0`,
    z.strictObject({
      interface: z.string(),
      beams: z.array(z.object({
        id: z.number(),
        rate: z.number().default(30),
      })),
    }),
  );

if (import.meta.main) {
  for (const version of ["1.0", "2.0", "3.0"]) {
    const head = { interface: `${NAME}/${version}` };
    console.log(await scans.validate({ ...head, beams: [{ id: 1 }] }));
    const wrong = { ...head, beams: [{ id: 1 }, { id: "2" }], colour: "red" };
    await scans.validate(wrong).catch(({ message }) => console.log(message));
  }
}
