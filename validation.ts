// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * Validation of JSON whose interface has versions, by the validators of any
 * library; and plain objects of instances of classes.
 *
 * ```ts
 * import { SchemaRegistry, type StandardSchema } from "@longrun/tasks/validation";
 * import { assertEquals } from "@std/assert";
 *
 * interface Scan {
 *   interface: string;
 *   beams: number;
 * }
 * // With zod: z.object({ interface: z.string(), beams: z.number().default(1) })
 * const scan: StandardSchema<Scan> = {
 *   "~standard": {
 *     version: 1,
 *     vendor: "example",
 *     validate: (value) => ({
 *       value: Object.assign({ interface: "", beams: 1 }, value),
 *     }),
 *   },
 * };
 * const registry = new SchemaRegistry<Scan>()
 *   .add("https://example.org/scan/2.3", scan);
 *
 * const text = `{ "interface": "https://example.org/scan/2.1" }`;
 * assertEquals(await registry.parse(text), {
 *   interface: "https://example.org/scan/2.1",
 *   beams: 1,
 * });
 * ```
 *
 * @module
 */

import {
  checkCommon,
  checkOneOf,
  checkOptions,
  checkType,
} from "./_arguments.ts";
import { isPromiseLike } from "./_promise_fanout.ts";
import { report } from "./_report.ts";
import {
  explain,
  issueAt,
  readIssues,
  ValidationError,
} from "./_validation_error.ts";
import {
  checkSchema,
  type StandardResult,
  type StandardSchema,
} from "./_validation_schema.ts";
import { abortable } from "./cancellation.ts";
import { defaultLogger, type Logger } from "./logger.ts";

export { ValidationError, type ValidationIssue } from "./_validation_error.ts";
export {
  type PlainObject,
  type PlainValue,
  toPlainObject,
} from "./_validation_plain.ts";
export type {
  StandardIssue,
  StandardResult,
  StandardSchema,
} from "./_validation_schema.ts";

/**
 * What becomes of a value with issues. The levels of `Strictness` in
 * `ska_pst.lmc`.
 *
 * @example Usage
 * ```ts
 * import { Strictness } from "@longrun/tasks/validation";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(Strictness.Warning, "warning");
 * ```
 */
export const Strictness = {
  /** It is let through. */
  Permissive: "permissive",
  /** It is let through, and the issues are logged. */
  Warning: "warning",
  /** It is refused. */
  Strict: "strict",
} as const;

/** One of the values of {@linkcode Strictness}. */
export type Strictness = typeof Strictness[keyof typeof Strictness];

/** Options of {@linkcode validate}. */
export interface ValidateOptions<T = unknown> {
  /**
   * What becomes of a value with issues.
   *
   * @default {"strict"}
   */
  strictness?: Strictness;
  /**
   * What must hold of a value that is let through with issues, which then gets
   * its defaults from here. Without it such a value is let through as it is.
   */
  permissive?: StandardSchema<T>;
  /**
   * What the value is called in messages.
   *
   * @default {"The value"}
   */
  name?: string;
  /** Ends the wait for a schema that takes its time. */
  signal?: AbortSignal;
  /**
   * Told of the issues at the strictness `"warning"`.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
}

const LEVELS = Object.values(Strictness);

function checkValidateOptions(doing: string, options: ValidateOptions): void {
  checkOptions(doing, options);
  checkCommon(doing, options);
  const { strictness, permissive } = options;
  if (strictness !== undefined) {
    checkOneOf(doing, "strictness", strictness, LEVELS);
  }
  if (permissive !== undefined) checkSchema(doing, "permissive", permissive);
}

async function ask<T>(
  schema: StandardSchema<T>,
  value: unknown,
  signal: AbortSignal | undefined,
): Promise<StandardResult<T>> {
  signal?.throwIfAborted();
  const standard = schema["~standard"];
  const result: unknown = standard.validate(value);
  const settled = isPromiseLike(result)
    ? await abortable(result, signal)
    : result;
  const doing = `validate with a schema of ${standard.vendor}`;
  const isObject = typeof settled === "object" && settled !== null;
  checkType(isObject, doing, "its result", "an object", settled);
  const { issues } = settled as { issues?: unknown };
  const isRead = issues === undefined || Array.isArray(issues);
  checkType(isRead, doing, "its issues", "an array", issues);
  return settled as StandardResult<T>;
}

/**
 * Validates a value, with one schema.
 *
 * With `"strict"` a value with issues is refused. Otherwise it is let through:
 * with the defaults of the `permissive` schema if there is one, which must hold
 * then; else as it is, whatever its type says. With `"warning"` the issues go
 * to the logger.
 *
 * @typeParam T The type of valid values.
 * @param schema The schema, of any library.
 * @param value The value.
 * @param options How strict to be, and who is told.
 * @returns A promise of the value, with its defaults filled in.
 * @throws {ValidationError} If it is refused. The issues say where.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {AbortSignal["reason"]} If the signal aborts first.
 *
 * @example Usage
 * ```ts
 * import { type StandardSchema, validate } from "@longrun/tasks/validation";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const gain: StandardSchema<{ gain: number }> = {
 *   "~standard": {
 *     version: 1,
 *     vendor: "example",
 *     validate: (value) =>
 *       typeof (value as { gain: unknown }).gain === "number"
 *         ? { value: value as { gain: number } }
 *         : { issues: [{ message: "must be a number", path: ["gain"] }] },
 *   },
 * };
 * assertEquals(await validate(gain, { gain: 2 }), { gain: 2 });
 * await assertRejects(
 *   () => validate(gain, { gain: "2" }, { name: "Settings" }),
 *   Error,
 *   "Settings is not valid: gain: must be a number",
 * );
 * ```
 */
export async function validate<T>(
  schema: StandardSchema<T>,
  value: unknown,
  options: ValidateOptions<T> = {},
): Promise<T> {
  checkSchema("validate", "schema", schema);
  checkValidateOptions("validate", options);
  const { strictness, permissive, name = "The value", signal } = options;
  const result = await ask(schema, value, signal);
  if (result.issues === undefined) return result.value;
  const issues = readIssues(result.issues);
  if (strictness === undefined || strictness === "strict") {
    throw new ValidationError(name, issues);
  }
  const lenient = permissive === undefined
    ? value as T
    : await validate(permissive, value, { name, signal });
  if (strictness === "warning") {
    const { logger = defaultLogger } = options;
    const sentence = `${name} is not valid: ${explain(issues)}`;
    report(logger, "warn", sentence, { issues });
  }
  return lenient;
}

/** Options of {@linkcode SchemaRegistry}. */
export interface SchemaRegistryOptions {
  /**
   * What becomes of a value with issues, unless the call says otherwise.
   *
   * @default {"strict"}
   */
  strictness?: Strictness;
  /**
   * Told of issues, unless the call says otherwise.
   *
   * @default {defaultLogger}
   */
  logger?: Logger;
}

/** Options of {@linkcode SchemaRegistry.add}. */
export interface AddSchemaOptions<T = unknown> {
  /**
   * The oldest minor version that the schema is for, as in `"2.1"`: of the same
   * major version as its own.
   *
   * @default {"X.0" of its own major version X}
   */
  since?: string;
  /**
   * What must hold of a value that is let through with issues, which then gets
   * its defaults from here. Without it such a value is let through as it is.
   */
  permissive?: StandardSchema<T>;
}

/** A schema in a {@linkcode SchemaRegistry}. */
export interface RegisteredSchema<T = unknown> {
  /** Its interface, with its own version. */
  readonly interface: string;
  /** The schema. */
  readonly schema: StandardSchema<T>;
  /** What must hold of a value that is let through with issues. */
  readonly permissive: StandardSchema<T> | undefined;
}

/** Options of the `validate()` of a {@linkcode SchemaRegistry}. */
export interface RegistryValidateOptions {
  /** What becomes of a value with issues. By default as for the registry. */
  strictness?: Strictness;
  /** Ends the wait for a schema that takes its time. */
  signal?: AbortSignal;
  /** Told of issues. By default as for the registry. */
  logger?: Logger;
}

interface Version {
  /** The interface without its version. */
  readonly name: string;
  readonly major: number;
  readonly minor: number;
}

interface Entry<T> extends RegisteredSchema<T> {
  readonly version: Version;
  /** The oldest minor version it is for. */
  readonly since: number;
}

function readVersion(uri: unknown): Version | undefined {
  if (typeof uri !== "string") return undefined;
  // Numbers of more digits may be the same although they are not written so.
  const form = /^(.+)\/(\d{1,15})\.(\d{1,15})$/;
  const [, name, major, minor] = form.exec(uri) ?? [];
  if (name === undefined) return undefined;
  return { name, major: Number(major), minor: Number(minor) };
}

function checkVersion(doing: string, uri: unknown): Version {
  const version = readVersion(uri);
  const must = "an interface with a version, such as 'scan/2.3'";
  checkType(version !== undefined, doing, "uri", must, uri);
  return version as Version;
}

const show = ({ version: { major, minor }, since }: Entry<unknown>): string =>
  since === minor
    ? `${major}.${minor}`
    : `${major}.${since} to ${major}.${minor}`;

/**
 * Schemas by interface and version, for values that say theirs: in a field
 * `interface`, which is a name with a version, as in
 * `"https://schema.skao.int/ska-pst-configure/2.3"`.
 *
 * A value is validated by the schema of exactly its version if there is one;
 * else by that of the newest minor version of the same major version, which
 * must be newer than the value's: a minor version only adds to those before it.
 *
 * The system of `validate()` in `ska_pst.lmc`, with schemas of your own.
 *
 * @typeParam T The type of valid values, of all schemas together.
 *
 * @example Versions
 * ```ts
 * import { SchemaRegistry, type StandardSchema } from "@longrun/tasks/validation";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const anything: StandardSchema = {
 *   "~standard": {
 *     version: 1,
 *     vendor: "example",
 *     validate: (value) => ({ value }),
 *   },
 * };
 * const name = "https://example.org/scan";
 * const registry = new SchemaRegistry()
 *   .add(`${name}/2.3`, anything)
 *   .add(`${name}/2.6`, anything, { since: "2.2" });
 *
 * assertEquals(registry.find(`${name}/2.3`)?.interface, `${name}/2.3`);
 * assertEquals(registry.find(`${name}/2.4`)?.interface, `${name}/2.6`);
 * await assertRejects(
 *   () => registry.validate({ interface: `${name}/3.0` }),
 *   Error,
 *   "interface: version 3.0 should be 2.0 to 2.3 or 2.2 to 2.6",
 * );
 * ```
 */
export class SchemaRegistry<T = unknown> {
  readonly #options: SchemaRegistryOptions;
  /** The newest first, by the name of the interface. */
  readonly #entries: Map<string, Entry<T>[]> = new Map();

  /**
   * Creates a registry without schemas.
   *
   * @param options How strict to be, and who is told.
   * @throws {TypeError} If an option is of the wrong type.
   */
  constructor(options: SchemaRegistryOptions = {}) {
    checkValidateOptions("create SchemaRegistry", options);
    const { strictness, logger } = options;
    this.#options = { strictness, logger };
  }

  /** The interfaces there are schemas of, with their versions. */
  get interfaces(): string[] {
    return [...this.#entries.values()].flat().map((entry) => entry.interface);
  }

  /**
   * Adds a schema.
   *
   * @param uri The interface and its version: a name, a slash, and two numbers
   * with a dot, of at most fifteen digits each.
   * @param schema The schema. It is given the whole value, with its field
   * `interface`.
   * @param options What else it is for.
   * @returns The registry.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If there is a schema of that version already, or
   * `since` is not an earlier minor version.
   */
  add(
    uri: string,
    schema: StandardSchema<T>,
    options: AddSchemaOptions<T> = {},
  ): this {
    const doing = "add schema";
    const version = checkVersion(doing, uri);
    checkSchema(doing, "schema", schema);
    checkOptions(doing, options);
    const { permissive } = options;
    if (permissive !== undefined) checkSchema(doing, "permissive", permissive);
    const since = readSince(version, options.since);
    const entries = this.#entries.get(version.name) ?? [];
    const { major, minor } = version;
    const isTaken = entries.some((entry) =>
      entry.version.major === major && entry.version.minor === minor
    );
    if (isTaken) {
      throw new RangeError(`Cannot add schema as '${uri}' has one already`);
    }
    entries.push({ interface: uri, version, since, schema, permissive });
    entries.sort(({ version: a }, { version: b }) =>
      b.major - a.major || b.minor - a.minor
    );
    this.#entries.set(version.name, entries);
    return this;
  }

  /**
   * The schema for an interface.
   *
   * @param uri The interface and its version.
   * @returns The schema of exactly that version, else of the newest one that is
   * for it; `undefined` if there is none.
   */
  find(uri: string): RegisteredSchema<T> | undefined {
    const version = readVersion(uri);
    if (version === undefined) return undefined;
    const { name, major, minor } = version;
    const entries = (this.#entries.get(name) ?? []).filter((entry) =>
      entry.version.major === major && entry.version.minor >= minor
    );
    return entries.find((entry) => entry.version.minor === minor) ??
      entries.find(({ since }) => since <= minor);
  }

  /**
   * Validates a value by the schema of its interface, as the function
   * {@linkcode validate} does. Without a schema for it, a value is refused
   * however strict the validation is.
   *
   * @param value The value, an object with a field `interface`.
   * @param options How strict to be, and who is told.
   * @returns A promise of the value, with its defaults filled in.
   * @throws {ValidationError} If it is refused. The issues say where.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async validate(
    value: unknown,
    options: RegistryValidateOptions = {},
  ): Promise<T> {
    checkValidateOptions("validate", options);
    const { strictness, logger } = this.#options;
    const { permissive, ...found } = this.#findFor(value);
    return await validate(found.schema, value, {
      strictness: options.strictness ?? strictness,
      logger: options.logger ?? logger,
      signal: options.signal,
      permissive,
      name: String((value as { interface: string }).interface),
    });
  }

  /**
   * Validates what a text in JSON says.
   *
   * @param text The text.
   * @param options How strict to be, and who is told.
   * @returns A promise of the value, with its defaults filled in.
   * @throws {ValidationError} If it is no JSON, or is refused.
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   */
  async parse(
    text: string,
    options: RegistryValidateOptions = {},
  ): Promise<T> {
    checkType(typeof text === "string", "parse", "text", "a string", text);
    checkValidateOptions("parse", options);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      const issue = issueAt([], (cause as Error).message);
      throw new ValidationError("The text", [issue], { cause });
    }
    return await this.validate(value, options);
  }

  #findFor(value: unknown): RegisteredSchema<T> {
    const isObject = typeof value === "object" && value !== null &&
      !Array.isArray(value);
    if (!isObject) throw refusal([], "must be an object");
    const { interface: uri } = value as { interface?: unknown };
    const version = readVersion(uri);
    if (typeof uri !== "string" || version === undefined) {
      throw refusal(
        ["interface"],
        "must be a name with a version, such as 'scan/2.3'",
      );
    }
    const entries = this.#entries.get(version.name);
    if (entries === undefined) {
      throw refusal(["interface"], `there is no schema of '${version.name}'`);
    }
    const found = this.find(uri);
    if (found !== undefined) return found;
    const { major, minor } = version;
    const known = entries.map(show).reverse().join(" or ");
    throw refusal(
      ["interface"],
      `version ${major}.${minor} should be ${known}`,
    );
  }
}

function readSince({ major, minor }: Version, since?: string): number {
  if (since === undefined) return 0;
  checkType(
    typeof since === "string",
    "add schema",
    "since",
    "a string",
    since,
  );
  const [, sinceMajor, sinceMinor] = /^(\d+)\.(\d+)$/.exec(since) ?? [];
  if (Number(sinceMajor) === major && Number(sinceMinor) <= minor) {
    return Number(sinceMinor);
  }
  throw new RangeError(
    `Cannot add schema as 'since' must be a version from ${major}.0 to ${major}.${minor}: current value is "${since}"`,
  );
}

function refusal(keys: readonly string[], message: string): ValidationError {
  return new ValidationError("The value", [issueAt(keys, message)]);
}
