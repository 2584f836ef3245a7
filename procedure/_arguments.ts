// Copyright 2026 the Longrun authors. MIT license.

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null) {
    return Object.prototype.toString.call(value);
  }
  if (typeof value === "function") return `function ${value.name}`.trimEnd();
  return String(value);
}

/** What is wrong with an argument, in the grammar of all such errors. */
export function complain(
  action: string,
  name: string,
  must: string,
  value: unknown,
): string {
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

/** Checks a duration that may be `Infinity` but not zero. */
export function checkPositive(
  action: string,
  name: string,
  value: unknown,
): void {
  if (typeof value === "number" && value > 0) return;
  refuseNumber(action, name, "a positive number", value);
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

/** Checks a text. */
export function checkString(
  action: string,
  name: string,
  value: unknown,
): void {
  checkType(typeof value === "string", action, name, "a string", value);
}

function isName(value: unknown): boolean {
  return typeof value === "string" && value !== "" && !value.includes("\0");
}

/** Checks a name. */
export function checkName(action: string, name: string, value: unknown): void {
  checkType(
    isName(value),
    action,
    name,
    "a string, not empty and without a NUL character",
    value,
  );
}

/** Checks names. */
export function checkNames(action: string, name: string, value: unknown): void {
  checkType(
    Array.isArray(value) && value.every(isName),
    action,
    name,
    "an array of strings, not empty and without a NUL character",
    value,
  );
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

/** Checks a callback. */
export function checkFunction(
  action: string,
  name: string,
  value: unknown,
): void {
  checkType(typeof value === "function", action, name, "a function", value);
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

const hasMethods = (value: unknown, methods: readonly string[]): boolean =>
  typeof value === "object" && value !== null &&
  methods.every((method) =>
    typeof (value as Record<string, unknown>)[method] === "function"
  );

/** Checks the signal and the clock where given. */
export function checkCommon(
  action: string,
  options: { signal?: unknown; clock?: unknown },
): void {
  const { signal, clock } = options;
  checkType(
    signal === undefined || signal instanceof AbortSignal,
    action,
    "signal",
    "an AbortSignal",
    signal,
  );
  checkType(
    clock === undefined || hasMethods(clock, ["now", "setTimer"]),
    action,
    "clock",
    "a Clock",
    clock,
  );
}

/** Checks an object whose values are texts. */
export function checkRecord(
  action: string,
  name: string,
  value: unknown,
): void {
  checkType(
    typeof value === "object" && value !== null &&
      Object.values(value).every((each) => typeof each === "string"),
    action,
    name,
    "an object of strings",
    value,
  );
}

/** Checks the logger. */
export function checkLogger(action: string, value: unknown): void {
  checkType(
    hasMethods(value, ["debug", "info", "warn", "error"]),
    action,
    "logger",
    "a Logger",
    value,
  );
}

/** Checks the arguments of a function of a script, which may come from anywhere. */
export function checkInput(action: string, name: string, value: unknown): void {
  const isObject = (one: unknown): one is object =>
    typeof one === "object" && one !== null && !Array.isArray(one);
  checkType(
    isObject(value) && Array.isArray(Reflect.get(value, "args")) &&
      isObject(Reflect.get(value, "kwargs")),
    action,
    name,
    "an object with 'args' and 'kwargs'",
    value,
  );
}

/** Checks a script, which may come from anywhere. */
export function checkScript(
  action: string,
  name: string,
  value: unknown,
): void {
  const { type, uri, git, createEnv } = Object(value);
  const { repo, branch, commit } = Object(git);
  const isTextOrNone = (one: unknown): boolean =>
    one === undefined || typeof one === "string";
  // What other kinds have, their loaders look at.
  const isKind = typeof type === "string" && type !== "" && type !== "git";
  const isGit = type === "git" && typeof repo === "string" &&
    isTextOrNone(branch) && isTextOrNone(commit) &&
    (createEnv === undefined || typeof createEnv === "boolean");
  checkType(
    typeof uri === "string" && (isKind || isGit),
    action,
    name,
    "a script",
    value,
  );
}
