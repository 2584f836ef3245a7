// Copyright 2026 the Longrun authors. MIT license.

import { Ajv, type ErrorObject } from "ajv";
import { dirname, resolve } from "node:path";
import { CommandError, EXIT } from "./_cli_exit.ts";
import { suggestion } from "./_cli_parse.ts";

/** What scripts may do. */
export interface ServeGrants {
  /** What they may read. */
  read?: readonly string[];
  /** What they may write. */
  write?: readonly string[];
  /** Whom they may talk to; `true` stands for all. */
  net?: readonly string[] | true;
  /** The variables of the environment that they see. */
  env?: readonly string[];
  /** The programs that they may start. */
  run?: readonly string[];
  /** What they may know of the system. */
  sys?: readonly string[];
  /** Whether they may fetch modules. */
  import?: boolean;
  /** How many megabytes of memory they may use. */
  memory?: number;
}

/** What a token allows. */
export type ServeScope = "view" | "run" | "stop";

/** Who may ask for what. */
export interface ServeToken {
  /** What is shown. */
  readonly token: string;
  /** What it allows. */
  readonly scopes: readonly ServeScope[];
  /** Whose it is, for logs. */
  readonly name?: string;
}

/** A file of `longrun serve --config`. */
export interface ServeConfig {
  hostname?: string;
  port?: number;
  roots?: { path: string; grants?: ServeGrants }[];
  repositories?: { url: string; grants?: ServeGrants }[];
  tokens?: {
    token?: string;
    tokenFile?: string;
    scopes?: ServeScope[];
    name?: string;
  }[];
  database?: string;
  blocks?: string;
  cache?: string;
  abortScript?: string;
  compat?: boolean;
  limits?: { history?: number; running?: number; live?: number };
}

const text = { type: "string", minLength: 1 } as const;
const texts = { type: "array", items: text } as const;
const count = { type: "integer", minimum: 1 } as const;
const strict = (properties: object, required: string[] = []) => ({
  type: "object",
  additionalProperties: false,
  properties,
  required,
});

const grants = strict({
  read: texts,
  write: texts,
  net: { anyOf: [texts, { const: true }] },
  env: texts,
  run: texts,
  sys: texts,
  import: { type: "boolean" },
  memory: count,
});

/** The JSON Schema of the file. */
const SCHEMA = strict({
  $schema: text,
  hostname: text,
  port: { type: "integer", minimum: 0, maximum: 65535 },
  roots: { type: "array", items: strict({ path: text, grants }, ["path"]) },
  repositories: {
    type: "array",
    items: strict({ url: text, grants }, ["url"]),
  },
  tokens: {
    type: "array",
    items: {
      ...strict({
        token: { type: "string", minLength: 16, pattern: "^[!-~]+$" },
        tokenFile: text,
        name: text,
        scopes: {
          type: "array",
          minItems: 1,
          items: { enum: ["view", "run", "stop"] },
        },
      }),
    },
  },
  database: text,
  blocks: text,
  cache: text,
  abortScript: text,
  compat: { type: "boolean" },
  limits: strict({ history: count, running: count, live: count }),
});

const ajv: Ajv = new Ajv({ allErrors: true, verbose: true });
const validate = ajv.compile<ServeConfig>(SCHEMA);

function complaintOf(error: ErrorObject): string {
  const { instancePath, keyword, params, parentSchema, message } = error;
  const place = instancePath === "" ? "the file" : instancePath.slice(1);
  if (keyword === "additionalProperties") {
    const name = String(params.additionalProperty);
    const known = Object.keys(parentSchema?.properties ?? {});
    return `${place}: '${name}' is not known${suggestion(name, known)}`;
  }
  if (keyword === "required") {
    return `${place}: '${params.missingProperty}' is missing`;
  }
  if (keyword === "enum") {
    return `${place} must be one of ${params.allowedValues.join(", ")}`;
  }
  return `${place} ${message}`;
}

/** Reads a token from a file. Its text never shows up in an error. */
export async function readToken(path: string): Promise<string> {
  let token: string;
  try {
    token = (await Deno.readTextFile(path)).trim();
  } catch (cause) {
    throw new CommandError(
      EXIT.usage,
      `The token cannot be read from ${path}: ${(cause as Error).message}`,
      { cause },
    );
  }
  if (!/^[!-~]+$/.test(token)) {
    throw new CommandError(EXIT.usage, `There is no token in ${path}`);
  }
  return token;
}

/** Reads a file of settings; its relative paths become absolute. */
export async function readConfig(path: string): Promise<ServeConfig> {
  let value: unknown;
  try {
    value = JSON.parse(await Deno.readTextFile(path));
  } catch (cause) {
    throw new CommandError(
      EXIT.usage,
      `${path} cannot be read: ${(cause as Error).message}`,
      { cause },
    );
  }
  if (!validate(value)) {
    const complaints = (validate.errors ?? [])
      .filter(({ keyword }) => keyword !== "anyOf")
      .map((error) => `  ${complaintOf(error)}`);
    throw new CommandError(
      EXIT.usage,
      `${path} is not as it should be:\n${complaints.join("\n")}`,
    );
  }
  for (const { token, tokenFile } of value.tokens ?? []) {
    if ((token === undefined) === (tokenFile === undefined)) {
      throw new CommandError(
        EXIT.usage,
        `${path} is not as it should be:\n  tokens: each has either a ` +
          "'token' or a 'tokenFile'",
      );
    }
  }
  const folder = dirname(resolve(path));
  const absolute = (one: string): string => resolve(folder, one);
  const placed = (given: ServeGrants): ServeGrants => ({
    ...given,
    ...(given.read === undefined ? {} : { read: given.read.map(absolute) }),
    ...(given.write === undefined ? {} : { write: given.write.map(absolute) }),
  });
  const config: ServeConfig = { ...value };
  for (const name of ["database", "blocks", "cache"] as const) {
    const given = config[name];
    if (given !== undefined) config[name] = absolute(given);
  }
  config.roots = (value.roots ?? []).map(({ path, grants }) => ({
    path: absolute(path),
    ...(grants === undefined ? {} : { grants: placed(grants) }),
  }));
  config.repositories = (value.repositories ?? []).map(({ url, grants }) => ({
    url,
    ...(grants === undefined ? {} : { grants: placed(grants) }),
  }));
  config.tokens = (value.tokens ?? []).map(({ tokenFile, ...token }) => ({
    ...token,
    ...(tokenFile === undefined ? {} : { tokenFile: absolute(tokenFile) }),
  }));
  return config;
}
