// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null) {
    return Object.prototype.toString.call(value);
  }
  if (typeof value === "function") return `function ${value.name}`.trimEnd();
  return String(value);
}

function complain(action: string, name: string, must: string, value: unknown) {
  return `Cannot ${action} as '${name}' must be ${must}: current value is ${
    show(value)
  }`;
}

/**
 * Throws unless the value is of the kind that `must` describes.
 *
 * @throws {TypeError} If `holds` is false.
 */
export function checkType(
  holds: boolean,
  action: string,
  name: string,
  must: string,
  value: unknown,
): void {
  if (!holds) throw new TypeError(complain(action, name, must, value));
}

/**
 * Throws because the value is not a number in the range that `must` describes.
 * Called on the way out only: the checks themselves cost next to nothing.
 *
 * @throws {TypeError} If the value is not a number.
 * @throws {RangeError} If it is one.
 */
function refuseNumber(
  action: string,
  name: string,
  must: string,
  value: unknown,
): never {
  const message = complain(action, name, must, value);
  throw typeof value === "number"
    ? new RangeError(message)
    : new TypeError(message);
}

/** Checks a duration that may be zero or `Infinity`. */
export function checkNonNegative(
  action: string,
  name: string,
  value: unknown,
): void {
  if (typeof value === "number" && value >= 0) return;
  refuseNumber(action, name, "a non-negative number", value);
}

/** Checks a duration that may be zero but not `Infinity`. */
export function checkFiniteNonNegative(
  action: string,
  name: string,
  value: unknown,
): void {
  if (typeof value === "number" && value >= 0 && value < Infinity) return;
  refuseNumber(action, name, "a non-negative finite number", value);
}

/** Checks a duration that may be `Infinity` but not zero. */
export function checkPositive(
  action: string,
  name: string,
  value: unknown,
): void {
  if (typeof value === "number" && value > 0) return;
  refuseNumber(action, name, "a positive number", value);
}

/** Checks a rate or a factor: neither zero nor `Infinity`. */
export function checkPositiveFinite(
  action: string,
  name: string,
  value: unknown,
): void {
  if (typeof value === "number" && value > 0 && value < Infinity) return;
  refuseNumber(action, name, "a positive finite number", value);
}

/** Checks a part of a whole. */
export function checkFraction(
  action: string,
  name: string,
  value: unknown,
): void {
  if (typeof value === "number" && value >= 0 && value <= 1) return;
  refuseNumber(action, name, "a number from 0 to 1", value);
}

/** Checks a count of at least `least`; `Infinity` stands for no limit. */
export function checkCount(
  action: string,
  name: string,
  value: unknown,
  least: number,
): void {
  if (value === Infinity) return;
  if (Number.isInteger(value) && (value as number) >= least) return;
  refuseNumber(
    action,
    name,
    `an integer of at least ${least} or Infinity`,
    value,
  );
}

/** Checks a count of at least `least`. */
export function checkFiniteCount(
  action: string,
  name: string,
  value: unknown,
  least: number,
): void {
  if (Number.isInteger(value) && (value as number) >= least) return;
  refuseNumber(action, name, `an integer of at least ${least}`, value);
}

/** Checks a callback. */
export function checkFunction(
  action: string,
  name: string,
  value: unknown,
): void {
  checkType(typeof value === "function", action, name, "a function", value);
}

/** Checks a choice among strings. */
export function checkOneOf(
  action: string,
  name: string,
  value: unknown,
  choices: readonly string[],
): void {
  if (choices.includes(value as string)) return;
  const must = choices.map((choice) => JSON.stringify(choice)).join(" or ");
  checkType(false, action, name, must, value);
}

/** Checks a choice between yes and no; `undefined` stands for the default. */
export function checkBoolean(
  action: string,
  name: string,
  value: unknown,
): void {
  checkType(
    value === undefined || typeof value === "boolean",
    action,
    name,
    "a boolean",
    value,
  );
}

/** Checks an options bag. */
export function checkOptions(action: string, value: unknown): void {
  checkType(
    typeof value === "object" && value !== null,
    action,
    "options",
    "an object",
    value,
  );
}

/** A copy that later changes do not reach, of inherited options too. */
export function copyOptions<T extends object>(options: T): T {
  const copy: Partial<T> = {};
  for (const key in options) copy[key] = options[key];
  return copy as T;
}

/** The options that nearly everything takes. */
export interface CommonOptions {
  signal?: unknown;
  clock?: unknown;
  logger?: unknown;
  name?: unknown;
}

const hasMethods = (value: unknown, methods: readonly string[]): boolean =>
  ((typeof value === "object" && value !== null) ||
    typeof value === "function") &&
  methods.every((method) =>
    typeof (value as unknown as Record<string, unknown>)[method] === "function"
  );

/** Checks a signal; `undefined` stands for none. */
export function checkSignal(
  action: string,
  value: unknown,
  name = "signal",
): void {
  if (value === undefined || value instanceof AbortSignal) return;
  checkType(
    hasMethods(value, ["addEventListener", "removeEventListener"]) &&
      typeof (value as AbortSignal).aborted === "boolean",
    action,
    name,
    "an AbortSignal",
    value,
  );
}

/** Checks the signal, the clock, the logger and the name where given. */
export function checkCommon(action: string, options: CommonOptions): void {
  const { signal, clock, logger, name } = options;
  checkSignal(action, signal);
  checkType(
    clock === undefined || hasMethods(clock, ["now", "setTimer"]),
    action,
    "clock",
    "a Clock",
    clock,
  );
  checkType(
    logger === undefined ||
      hasMethods(logger, ["debug", "info", "warn", "error"]),
    action,
    "logger",
    "a Logger",
    logger,
  );
  checkType(
    name === undefined || typeof name === "string",
    action,
    "name",
    "a string",
    name,
  );
}

/** Whether a value is a restart policy, which anybody may write. */
export function isRestartPolicy(value: unknown): boolean {
  const policy = value as { delay?: unknown } | null | undefined;
  return typeof policy?.delay === "function";
}

/** Checks a restart policy. */
export function checkRestartPolicy(
  action: string,
  name: string,
  value: unknown,
): void {
  checkType(isRestartPolicy(value), action, name, "a RestartPolicy", value);
}

/** Checks any number of strings. */
export function checkStrings(
  action: string,
  name: string,
  value: unknown,
): void {
  checkType(
    Array.isArray(value) && value.every((each) => typeof each === "string"),
    action,
    name,
    "an array of strings",
    value,
  );
}

/** Checks headers, or what makes them. */
export function checkHeaders(action: string, value: unknown): void {
  if (typeof value === "function") return;
  let isGood = typeof value === "object" && value !== null;
  try {
    if (isGood) new Headers(value as HeadersInit);
  } catch {
    isGood = false;
  }
  checkType(isGood, action, "headers", "headers or a function", value);
}
