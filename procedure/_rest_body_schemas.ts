// Copyright 2026 the Longrun authors. MIT license.

/**
 * Whether a body is what a schema says, and if not, what is wrong with it where,
 * in words.
 *
 * @module
 */

import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import type { Place } from "./_problem.ts";
import { type Schema, SCHEMAS } from "./_rest_schemas.ts";

/** How many complaints about one body are told. */
const MOST_PLACES = 20;

function memberOf(error: ErrorObject): string {
  const { params } = error;
  const { missingProperty, additionalProperty } = params;
  const member: unknown = missingProperty ?? additionalProperty;
  return typeof member === "string" ? `/${member}` : "";
}

function messageOf(error: ErrorObject): string {
  const { keyword, message = "is wrong", params } = error;
  switch (keyword) {
    case "required":
      return "is missing";
    case "additionalProperties":
      return "is not known";
    case "discriminator":
      return "must be 'filesystem' or 'git'";
    case "enum": {
      const values: unknown = params.allowedValues;
      return `must be one of ${Array.isArray(values) ? values.join(", ") : ""}`;
    }
    case "not":
      return "must have 'wait_for_qa_ready', not 'waitForQaReady'";
    case "pattern": {
      const isGit = String(params.pattern).startsWith("^git");
      const [kind, prefix] = isGit
        ? ["GitScript", "git://"]
        : ["FileSystemScript", "file://"];
      return `Incorrect prefix for ${kind}: it must begin with '${prefix}'`;
    }
    default:
      return message;
  }
}

/** Checks bodies by the schemas of the document. */
export class BodySchemas {
  readonly #validators: Map<string, ValidateFunction> = new Map();
  readonly #ajv: Ajv;

  constructor(schemas: Record<string, Schema>) {
    this.#ajv = new Ajv({
      allErrors: true,
      allowUnionTypes: true,
      discriminator: true,
      strictRequired: false,
      validateFormats: false,
    });
    this.#ajv.addKeyword("components");
    this.#ajv.addSchema({ $id: "document", components: { schemas } });
  }

  /** What is wrong with a body; an empty list if nothing is. */
  check(schema: string, body: unknown): readonly Place[] {
    const validate = this.#validatorOf(schema);
    if (validate(body)) return [];
    const errors = (validate.errors ?? []).slice(0, MOST_PLACES);
    return errors.map((error) => ({
      place: error.instancePath + memberOf(error),
      message: messageOf(error),
      part: "body",
      rule: error.keyword,
    }));
  }

  #validatorOf(schema: string): ValidateFunction {
    const known = this.#validators.get(schema);
    if (known !== undefined) return known;
    const validate = this.#ajv.compile({ $ref: `document${SCHEMAS}${schema}` });
    this.#validators.set(schema, validate);
    return validate;
  }
}
