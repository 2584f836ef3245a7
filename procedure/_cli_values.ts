// Copyright 2026 the Longrun authors. MIT license.

import { UsageError } from "./_cli_exit.ts";
import { type ProcedureInput, procedureInput } from "./procedure.ts";

const KEY = /^([A-Za-z_$][\w$.-]*)=([^]*)$/;

/** Whether a number is not the one that the word says, but the nearest. */
function isOther(value: unknown, word: string): boolean {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return false;
  return !Number.isFinite(value) ||
    /^-?\d+$/.test(word) && String(value) !== word;
}

/** A value of the command line: JSON if it is, text else. */
export function valueOf(word: string): unknown {
  try {
    const value: unknown = JSON.parse(word);
    return isOther(value, word) ? word : value;
  } catch {
    return word;
  }
}

/** The word of the command line that means a value. */
export function wordOf(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value);
  return valueOf(value) === value ? value : JSON.stringify(value);
}

function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`'--${name}' is no JSON: ${(error as Error).message}`);
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * The arguments of a function of a script.
 *
 * @param words Words of the command line; those like `key=value` go by name.
 * @param json Arrays of arguments by place and objects of those by name. They
 * come after the words; the last of a name wins.
 */
export function inputOf(
  words: readonly string[],
  json: readonly string[] = [],
): ProcedureInput {
  const args: unknown[] = [];
  const kwargs: [string, unknown][] = [];
  for (const word of words) {
    const [, key, value] = KEY.exec(word) ?? [];
    if (key === undefined || value === undefined) args.push(valueOf(word));
    else kwargs.push([key, valueOf(value)]);
  }
  for (const text of json) {
    const value = parseJson("arg-json", text);
    if (Array.isArray(value)) args.push(...value);
    else if (isRecord(value)) kwargs.push(...Object.entries(value));
    else {
      throw new UsageError(
        "'--arg-json' must be an array of arguments by place or an object of " +
          "those by name",
      );
    }
  }
  return procedureInput(Object.fromEntries(kwargs), args);
}

/** The arguments of an activity, by name of function. */
export function scriptArgsOf(text: string): Record<string, ProcedureInput> {
  const value = parseJson("script-args", text);
  const shape = '{"main": {"args": [...], "kwargs": {...}}}';
  const wrong = new UsageError(`'--script-args' must be like ${shape}`);
  if (!isRecord(value)) throw wrong;
  return Object.fromEntries(
    Object.entries(value).map(([fn, input]) => {
      if (!isRecord(input)) throw wrong;
      const { args = [], kwargs = {}, ...others } = input;
      if (
        !Array.isArray(args) || !isRecord(kwargs) ||
        Object.keys(others).length > 0
      ) throw wrong;
      return [fn, procedureInput(kwargs, args)];
    }),
  );
}

/** A number of a procedure or an activity. */
export function idOf(word: string): number {
  if (/^[1-9]\d{0,14}$/.test(word)) return Number(word);
  throw new UsageError(
    `'${word}' is no ID: an ID is a whole number of at least 1`,
  );
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1000,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** A duration, in milliseconds. */
export function durationOf(word: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?|\.\d+)(ms|s|m|h)?$/
    .exec(word) ?? [];
  const ms = Number(number) * (UNITS[unit] ?? NaN);
  if (ms > 0 && Number.isFinite(ms)) return ms;
  throw new UsageError(
    `'${word}' is no time: write 500ms, 30s (or 30), 5m or 2h`,
  );
}
