// Copyright 2026 the Longrun authors. MIT license.

import { ProcedureError } from "./procedure_errors.ts";

/** How many causes are told. */
const DEPTH = 8;

function one(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { name, message, stack } = error;
  const head = message === "" ? name : `${name}: ${message}`;
  // It was refused for a known reason; where, is of no interest to the script.
  if (error instanceof ProcedureError) return head;
  if (stack === undefined || stack === "") return head;
  // The stack of an error whose name was set later begins with another.
  return stack.includes(message) ? stack : `${head}\n${stack}`;
}

/** An error with its stack and those of its causes, as text. */
export function stackOf(error: unknown): string {
  const texts: string[] = [];
  let cause = error;
  for (let depth = 0; depth < DEPTH && cause !== undefined; depth++) {
    texts.push(one(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return texts.join("\nCaused by: ");
}
