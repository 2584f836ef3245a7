// Copyright 2026 the Longrun authors. MIT license.

/**
 * What bodies of requests and of answers are, as JSON Schemas: for the document
 * of the interface, and for the check of what is asked.
 *
 * @module
 */

import type { ActivityState } from "./activity.ts";
import { PROCEDURE_STATES } from "./procedure_state.ts";

/** A JSON Schema. */
export type Schema = { readonly [keyword: string]: unknown };

/** Where the schemas are in the document of the interface. */
export const SCHEMAS = "#/components/schemas/";

const ACTIVITY_STATES: readonly ActivityState[] = [
  "REQUESTED",
  "PREPARED",
  "RUNNING",
  "COMPLETE",
  "FAILED",
  "STOPPED",
];

const integer = { type: "integer", minimum: 1 };
const count = { type: "integer", minimum: 0 };
const text = { type: "string" };
const name = { type: "string", minLength: 1, maxLength: 1000 };
const yesOrNo = { type: "boolean" };
const droppedStates = {
  ...count,
  description: "How many states after the first are not kept any more",
};
const ref = (to: string): Schema => ({ $ref: SCHEMAS + to });
const time = {
  type: "number",
  description: "Seconds since 1970-01-01T00:00:00Z",
};

function record(
  properties: Record<string, Schema>,
  optional: readonly string[] = [],
): Schema {
  return {
    type: "object",
    required: Object.keys(properties).filter((key) => !optional.includes(key)),
    properties,
  };
}

function list(items: Schema): Schema {
  return { type: "array", items };
}

function orNull(schema: Schema): Schema {
  const { type, enum: values } = schema;
  if (typeof type !== "string") {
    return Array.isArray(type) ? schema : { anyOf: [schema, { type: "null" }] };
  }
  const more = Array.isArray(values) ? { enum: [...values, null] } : {};
  return { ...schema, type: [type, "null"], ...more };
}

function pairs(names: readonly string[]): Schema {
  return list({
    type: "array",
    minItems: 2,
    maxItems: 2,
    items: { anyOf: [{ type: "string", enum: names }, time] },
    description: "A state, and when it began",
  });
}

/**
 * The schemas of what is asked. What the original lets through, it lets through
 * here with `compat`: members it does not know, and `null` for what is left out.
 */
function requestSchemas(compat: boolean): Record<string, Schema> {
  const asked = (
    properties: Record<string, Schema>,
    required: readonly string[],
  ): Schema => ({
    type: "object",
    required,
    properties: Object.fromEntries(
      Object.entries(properties).map(([key, schema]) => [
        key,
        compat && !required.includes(key) ? orNull(schema) : schema,
      ]),
    ),
    ...(compat ? {} : { additionalProperties: false }),
  });
  const uri = (prefix: string): Schema => ({
    type: "string",
    pattern: `^${prefix}[^\\u0000]+$`,
    maxLength: 4096,
  });
  const kind = (value: string): Schema => ({ type: "string", const: value });
  return {
    Arguments: asked({
      args: { type: "array", description: "By place" },
      kwargs: { type: "object", description: "By name" },
    }, []),
    GitArguments: {
      ...asked({
        git_repo: name,
        git_branch: orNull(name),
        git_commit: orNull(name),
      }, ["git_repo"]),
      description: "Without a branch and a commit: what HEAD of the remote is",
    },
    FileSystemScriptRequest: asked({
      script_type: kind("filesystem"),
      script_uri: uri("file://"),
    }, ["script_type", "script_uri"]),
    GitScriptRequest: asked({
      script_type: kind("git"),
      script_uri: uri("git://"),
      git_args: ref("GitArguments"),
      create_env: yesOrNo,
    }, ["script_type", "script_uri", "git_args"]),
    ScriptRequest: {
      type: "object",
      required: ["script_type"],
      discriminator: { propertyName: "script_type" },
      oneOf: [ref("FileSystemScriptRequest"), ref("GitScriptRequest")],
    },
    ProcedureCreate: asked({
      script: ref("ScriptRequest"),
      script_args: asked({ init: ref("Arguments") }, []),
    }, ["script"]),
    ProcedureUpdate: asked({
      state: {
        type: "string",
        enum: compat ? PROCEDURE_STATES : ["RUNNING", "STOPPED"],
        description: "RUNNING starts `main`, STOPPED stops the procedure",
      },
      script_args: asked({ main: ref("Arguments") }, []),
      abort: {
        type: "boolean",
        description: "Whether the abort script runs after a stop",
      },
    }, []),
    ActivityCreate: asked({
      sbd_id: name,
      activity_name: name,
      script_args: {
        type: "object",
        additionalProperties: ref("Arguments"),
        description: "By name of function; laid over those of the definition",
      },
      prepare_only: yesOrNo,
      create_env: yesOrNo,
    }, ["sbd_id", "activity_name"]),
    ContextChanges: {
      type: "object",
      properties: { wait_for_qa_ready: yesOrNo },
      not: { required: ["waitForQaReady"] },
    },
  };
}

const RESPONSES: Record<string, Schema> = {
  Call: record({ args: { type: "array" }, kwargs: { type: "object" } }),
  CallRecord: record({
    fn: text,
    args: { type: "array" },
    kwargs: { type: "object" },
    time,
  }),
  FileSystemScript: record({
    script_type: { type: "string", const: "filesystem" },
    script_uri: text,
  }),
  GitScript: record({
    script_type: { type: "string", const: "git" },
    script_uri: text,
    git_args: record({
      git_repo: text,
      git_branch: orNull(text),
      git_commit: orNull(text),
    }),
    create_env: yesOrNo,
  }),
  OtherScript: {
    ...record({
      script_type: { type: "string", not: { enum: ["filesystem", "git"] } },
      script_uri: text,
    }),
    description: "Of a kind that this service has a loader for",
  },
  Script: {
    oneOf: [ref("FileSystemScript"), ref("GitScript"), ref("OtherScript")],
  },
  ProcedureState: { type: "string", enum: PROCEDURE_STATES },
  ActivityState: { type: "string", enum: ACTIVITY_STATES },
  Procedure: record({
    id: integer,
    script: ref("Script"),
    script_args: {
      type: "object",
      additionalProperties: ref("Call"),
      description: "The last call of each function",
    },
    calls: list(ref("CallRecord")),
    dropped_calls: {
      ...count,
      description: "How many calls after the first are not kept any more",
    },
    history: record({
      process_states: pairs(PROCEDURE_STATES),
      dropped_states: droppedStates,
      stacktrace: orNull(text),
    }, ["dropped_states"]),
    state: ref("ProcedureState"),
    uri: { type: "string", description: "Absolute" },
  }, ["dropped_calls"]),
  Procedures: list(ref("Procedure")),
  Stopped: record({ abort_message: text }),
  ProcedureOrStopped: { anyOf: [ref("Procedure"), ref("Stopped")] },
  OutputLine: record({
    line: integer,
    time,
    stream: { type: "string", enum: ["stdout", "stderr", "log"] },
    text,
    dropped: { ...count, description: "How many lines were lost before it" },
  }),
  Output: record({
    lines: list(ref("OutputLine")),
    next: { ...count, description: "What to ask for next, as `after`" },
  }),
  Activity: record({
    id: integer,
    pid: orNull(integer),
    procedure_id: orNull(integer),
    sbd_id: text,
    activity_name: text,
    prepare_only: yesOrNo,
    script_args: { type: "object", additionalProperties: ref("Call") },
    activity_states: pairs(ACTIVITY_STATES),
    dropped_states: droppedStates,
    state: ref("ActivityState"),
    sbi_id: text,
    uri: { type: "string", description: "Absolute" },
  }, ["dropped_states"]),
  Activities: list(ref("Activity")),
  Context: {
    type: "object",
    required: ["wait_for_qa_ready"],
    properties: { wait_for_qa_ready: yesOrNo },
  },
  Empty: { type: "object", maxProperties: 0 },
  Health: record({
    status: { type: "string", const: "ok" },
    live: { ...count, description: "How many procedures have not ended" },
    running: { ...count, description: "How many of them run" },
  }),
  Event: {
    ...record({
      topic: text,
      msg_src: text,
      time,
      request_id: orNull(text),
    }, ["msg_src", "time", "request_id"]),
    description: "What `data:` of the stream is; the rest depends on the topic",
  },
};

const PROBLEM = record({
  type: text,
  title: text,
  status: { type: "integer" },
  detail: text,
  code: { type: "string", description: "For programs" },
  instance: text,
  errors: list(record({ place: text, message: text })),
}, ["instance", "errors"]);

const COMPAT_PROBLEM = record({
  detail: {
    anyOf: [
      text,
      { type: "object" },
      list(record({ loc: list(text), msg: text, type: text })),
    ],
  },
});

/** All schemas by their names, as they are in the document. */
export function restSchemas(compat: boolean): Record<string, Schema> {
  return {
    ...requestSchemas(compat),
    ...RESPONSES,
    Problem: compat ? COMPAT_PROBLEM : PROBLEM,
  };
}
