// Copyright 2026 the Longrun authors. MIT license.

/** An error of a script, as it travels. */
export interface ErrorValue {
  /** The name of its class. */
  readonly name: string;
  /** What happened. */
  readonly message: string;
  /** Its stack. */
  readonly stack: string;
  /** Its cause. */
  readonly cause?: ErrorValue;
}

/** So many causes of causes are kept. */
const DEPTH = 8;
/** So many characters of a text are kept. */
const LENGTH = 20_000;

function cut(text: string): string {
  return text.length > LENGTH ? `${text.slice(0, LENGTH)}…` : text;
}

function read(value: object, name: string): unknown {
  try {
    return (value as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

function show(value: unknown): string {
  try {
    return typeof value === "string" ? value : String(value);
  } catch {
    return `something that cannot be shown (${typeof value})`;
  }
}

function textOf(value: object, name: string): string | undefined {
  const text = read(value, name);
  return typeof text === "string" ? cut(text) : undefined;
}

/** Describes whatever was thrown. Never throws itself. */
export function describeThrown(thrown: unknown, depth = 0): ErrorValue {
  if (typeof thrown !== "object" || thrown === null) {
    const message = cut(show(thrown));
    return { name: "Error", message, stack: `Uncaught ${message}` };
  }
  const message = textOf(thrown, "message") ?? cut(show(thrown));
  const name = textOf(thrown, "name") ?? "Error";
  const stack = textOf(thrown, "stack") ?? `${name}: ${message}`;
  const cause = read(thrown, "cause");
  return cause === undefined || depth >= DEPTH
    ? { name, message, stack }
    : { name, message, stack, cause: describeThrown(cause, depth + 1) };
}

/** The error that a message brought, whatever it holds. */
export function readErrorValue(value: unknown): ErrorValue {
  return describeThrown(
    typeof value === "object" && value !== null ? value : show(value),
  );
}
