// Copyright 2026 the Longrun authors. MIT license.
// @ts-check

/**
 * Reads what was filled in on the control page: pure functions from texts to
 * the bodies of requests.
 *
 * @module
 */

/**
 * What is wrong, by the name of the field.
 *
 * @typedef {Map<string, string>} Mistakes
 */

/**
 * Where in a text the parser of JSON stumbled.
 *
 * @param {string} text
 * @param {string} message What the parser said.
 * @returns {string}
 */
function placeOf(text, message) {
  const said = /position (\d+)/.exec(message);
  const position = said ? Number(said[1]) : text.length;
  const before = text.slice(0, position).split("\n");
  return `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
}

/**
 * Reads JSON of one kind. An empty text is an empty value.
 *
 * @param {string} text
 * @param {"object" | "array"} kind
 * @returns {{ value: any, mistake: null } | { value: null, mistake: string }}
 */
export function readJson(text, kind) {
  if (text.trim() === "") {
    return { value: kind === "array" ? [] : {}, mistake: null };
  }
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      value: null,
      mistake: `This is not JSON, at ${placeOf(text, message)}: ${
        message.replace(/ in JSON at position.*$| \(line.*$/s, "")
      }. Names and texts need double quotes.`,
    };
  }
  const found = Array.isArray(value)
    ? "an array"
    : value === null
    ? "null"
    : typeof value === "object"
    ? "an object"
    : `a ${typeof value}`;
  const wanted = kind === "array" ? "an array" : "an object";
  return found === wanted ? { value, mistake: null } : {
    value: null,
    mistake: `This has to be ${wanted}, like ${
      kind === "array" ? '[1, "two"]' : '{"subarray_id": 1}'
    }: it is ${found}.`,
  };
}

/**
 * @param {Record<string, string>} fields
 * @param {Mistakes} mistakes
 * @param {string} prefix
 * @returns {{ args?: unknown[], kwargs?: Record<string, unknown> } | undefined}
 * `undefined` if there are none.
 */
function readInput(fields, mistakes, prefix) {
  const args = readJson(fields[`${prefix}args`] ?? "", "array");
  const kwargs = readJson(fields[`${prefix}kwargs`] ?? "", "object");
  if (args.mistake !== null) mistakes.set(`${prefix}args`, args.mistake);
  if (kwargs.mistake !== null) mistakes.set(`${prefix}kwargs`, kwargs.mistake);
  if (args.mistake !== null || kwargs.mistake !== null) return undefined;
  const input = {
    ...(args.value.length > 0 ? { args: args.value } : {}),
    ...(Object.keys(kwargs.value).length > 0 ? { kwargs: kwargs.value } : {}),
  };
  return Object.keys(input).length > 0 ? input : undefined;
}

/**
 * @param {Record<string, string>} fields
 * @param {Mistakes} mistakes
 * @param {string} name
 * @param {string} what
 */
function readText(fields, mistakes, name, what) {
  const value = (fields[name] ?? "").trim();
  if (value === "") mistakes.set(name, `Fill in ${what}.`);
  return value;
}

/**
 * The request to prepare a procedure.
 *
 * @param {Record<string, string>} fields
 * @returns {{ body: object, mistakes: Mistakes }}
 */
export function readPrepareForm(fields) {
  /** @type {Mistakes} */
  const mistakes = new Map();
  const isGit = fields.script_type === "git";
  const prefix = isGit ? "git://" : "file://";
  const uri = readText(
    fields,
    mistakes,
    "script_uri",
    "the address of the script",
  );
  if (uri !== "" && (!uri.startsWith(prefix) || uri === prefix)) {
    mistakes.set(
      "script_uri",
      isGit
        ? "This has to begin with git:// and go on with a path in the repository, like git://scripts/observe.ts."
        : "This has to begin with file:// and go on with an absolute path, like file:///scripts/observe.ts.",
    );
  }
  /** @type {Record<string, unknown>} */
  const script = { script_type: isGit ? "git" : "filesystem", script_uri: uri };
  if (isGit) {
    const branch = (fields.git_branch ?? "").trim();
    const commit = (fields.git_commit ?? "").trim();
    script.git_args = {
      git_repo: readText(
        fields,
        mistakes,
        "git_repo",
        "the address of the repository",
      ),
      ...(branch === "" ? {} : { git_branch: branch }),
      ...(commit === "" ? {} : { git_commit: commit }),
    };
    script.create_env = fields.create_env === "on";
  }
  const init = readInput(fields, mistakes, "init_");
  return {
    body: { script, ...(init === undefined ? {} : { script_args: { init } }) },
    mistakes,
  };
}

/**
 * The request to run an activity.
 *
 * @param {Record<string, string>} fields
 * @returns {{ body: object, mistakes: Mistakes }}
 */
export function readActivityForm(fields) {
  /** @type {Mistakes} */
  const mistakes = new Map();
  const name = readText(
    fields,
    mistakes,
    "activity_name",
    "the name of the activity",
  );
  const sbdId = readText(
    fields,
    mistakes,
    "sbd_id",
    "the identifier of the scheduling block definition",
  );
  const args = readJson(fields.script_args ?? "", "object");
  if (args.mistake !== null) mistakes.set("script_args", args.mistake);
  else if (
    Object.values(args.value).some((input) =>
      typeof input !== "object" || input === null || Array.isArray(input)
    )
  ) {
    mistakes.set(
      "script_args",
      'Each function needs an object, like {"main": {"kwargs": {"scans": 3}}}.',
    );
  }
  return {
    body: {
      sbd_id: sbdId,
      activity_name: name,
      prepare_only: fields.prepare_only === "on",
      create_env: fields.create_env === "on",
      ...(args.mistake === null && Object.keys(args.value).length > 0
        ? { script_args: args.value }
        : {}),
    },
    mistakes,
  };
}

/**
 * The request to start a procedure.
 *
 * @param {Record<string, string>} fields
 * @returns {{ body: object, mistakes: Mistakes }}
 */
export function readStartForm(fields) {
  /** @type {Mistakes} */
  const mistakes = new Map();
  const main = readInput(fields, mistakes, "main_");
  return {
    body: {
      state: "RUNNING",
      ...(main === undefined ? {} : { script_args: { main } }),
    },
    mistakes,
  };
}

/**
 * The procedure that an address names.
 *
 * @param {string} hash
 * @returns {number | null}
 */
export function readHash(hash) {
  const found = /^#procedure\/([1-9]\d{0,14})$/.exec(hash);
  return found ? Number(found[1]) : null;
}
