// Copyright 2026 the Longrun authors. MIT license.

/** A value, as an error shows it. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return `${value}n`;
    case "function":
      return "a function";
    case "object":
      if (value === null) return "null";
      if (Array.isArray(value)) return "an array";
      return `an object of ${value.constructor?.name ?? "no class"}`;
    default:
      return String(value);
  }
}

/** What is wrong with an argument, in the grammar of all such errors. */
export function complain(
  action: string,
  name: string,
  must: string,
  value: unknown,
): string {
  return `Cannot ${action} as '${name}' must be ${must}: current value is ${
    describe(value)
  }`;
}

/** Throws a TypeError unless the condition holds. */
export function checkType(
  holds: boolean,
  action: string,
  name: string,
  must: string,
  value: unknown,
): void {
  if (!holds) throw new TypeError(complain(action, name, must, value));
}

/** Checks a string that is not empty. */
export function checkString(
  action: string,
  name: string,
  value: unknown,
): void {
  checkType(
    typeof value === "string" && value !== "",
    action,
    name,
    "a string that is not empty",
    value,
  );
}

/** Checks strings that are not empty. */
export function checkStrings(
  action: string,
  name: string,
  value: unknown,
): void {
  checkType(
    Array.isArray(value) &&
      value.every((one) => typeof one === "string" && one !== ""),
    action,
    name,
    "an array of strings that are not empty",
    value,
  );
}

/** Checks a number above zero; `Infinity` is one. */
export function checkPositive(
  action: string,
  name: string,
  value: unknown,
): void {
  const must = "a positive number";
  checkType(typeof value === "number", action, name, must, value);
  if (!((value as number) > 0)) {
    throw new RangeError(complain(action, name, must, value));
  }
}

/** Checks a value that has to be one of some. */
export function checkChoice(
  action: string,
  name: string,
  must: string,
  choices: readonly unknown[],
  value: unknown,
): void {
  checkType(choices.includes(value), action, name, must, value);
}

/** Checks options, and the signal among them. */
export function checkOptions(action: string, value: unknown): void {
  checkType(
    typeof value === "object" && value !== null,
    action,
    "options",
    "an object",
    value,
  );
  const { signal } = value as { signal?: unknown };
  checkType(
    signal === undefined || signal instanceof AbortSignal,
    action,
    "signal",
    "an AbortSignal",
    signal,
  );
}
