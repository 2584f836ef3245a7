// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** What a body says of the operation, in the words of all APIs. */
export type Word = "running" | "succeeded" | "failed" | "canceled";

type Fields = Readonly<Record<string, unknown>>;

const WORDS: Readonly<Record<Word, readonly string[]>> = {
  running: [
    "accepted",
    "canceling",
    "cancelling",
    "creating",
    "deleting",
    "executing",
    "inprogress",
    "notstarted",
    "pending",
    "processing",
    "provisioning",
    "queued",
    "running",
    "started",
    "starting",
    "updating",
    "validating",
    "waiting",
    "working",
  ],
  succeeded: [
    "complete",
    "completed",
    "done",
    "finished",
    "succeeded",
    "success",
    "successful",
  ],
  failed: ["error", "errored", "failed", "failure", "rejected", "timedout"],
  canceled: ["aborted", "canceled", "cancelled"],
};

const MEANINGS: ReadonlyMap<string, Word> = new Map(
  (Object.keys(WORDS) as Word[]).flatMap((meaning) =>
    WORDS[meaning].map((word) => [word, meaning] as const)
  ),
);

const PROGRESS: readonly string[] = [
  "percentcomplete",
  "percentagecomplete",
  "progresspercent",
  "progresspercentage",
  "progress",
];

/** The value as an object, `undefined` if it is none. */
export function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
      !(value instanceof Uint8Array)
    ? value as Fields
    : undefined;
}

/** The string in a field, `undefined` if there is none or an empty one. */
export function textOf(body: unknown, field: string): string | undefined {
  const value = fieldsOf(body)?.[field];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** What a status means, `undefined` if it is a word of one API alone. */
export function meaningOf(status: string): Word | undefined {
  return MEANINGS.get(status.toLowerCase().replaceAll(/[-_ ]/g, ""));
}

/** The state of a resource that is being made, as Azure tells it. */
export function provisioningOf(body: unknown): string | undefined {
  return textOf(fieldsOf(body)?.properties, "provisioningState") ??
    textOf(body, "provisioningState");
}

/** How far it is, in percent as a rule. */
export function progressOf(body: unknown): number | undefined {
  const fields = fieldsOf(body);
  if (fields === undefined) return undefined;
  const places = [fields, fields.metadata, fields.properties].map(fieldsOf);
  for (const name of PROGRESS) {
    for (const place of places) {
      for (const [key, value] of Object.entries(place ?? {})) {
        if (key.toLowerCase() !== name) continue;
        if (typeof value === "number" && Number.isFinite(value)) return value;
      }
    }
  }
  return undefined;
}

/** Whether a body is an operation in the form of AIP-151. */
export function isAipOperation(body: unknown): boolean {
  const name = textOf(body, "name");
  const done = fieldsOf(body)?.done;
  if (name === undefined) return false;
  // Whoever leaves out what is false leaves out `done`.
  return typeof done === "boolean" ||
    (done === undefined && /(^|\/)operations\/./.test(name));
}

/** The error that a body tells, `undefined` for none. */
export function errorOf(body: unknown): Fields | string | undefined {
  const error = fieldsOf(body)?.error;
  if (typeof error === "string" && error !== "") return error;
  const fields = fieldsOf(error);
  if (fields === undefined || Object.keys(fields).length === 0) {
    return undefined;
  }
  const [first] = Array.isArray(fields.errors) ? fields.errors : [];
  return fields.code === undefined && fields.message === undefined
    ? fieldsOf(first) ?? fields
    : fields;
}

/** The result that the body of a status carries, or the whole of it. */
export function resultOf(body: unknown): unknown {
  const fields = fieldsOf(body) ?? {};
  return fields.result ?? fields.results ?? fields.properties ?? body;
}
