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
 * Leaves out what is empty: texts, lists and records without anything in them.
 *
 * @param {Record<string, string | object | null>} all
 * @returns {Record<string, string | object | null>}
 */
function filled(all) {
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) =>
      Object.keys(value ?? {}).length > 0
    ),
  );
}

/** Reads the fields of a form, and remembers what is wrong with them. */
class Fields {
  /**
   * What is wrong, by the name of the field.
   *
   * @type {Mistakes}
   */
  mistakes = new Map();
  /** @type {Record<string, string>} */
  #texts;

  /** @param {Record<string, string>} texts */
  constructor(texts) {
    this.#texts = texts;
  }

  /** @param {string} name */
  text(name) {
    return (this.#texts[name] ?? "").trim();
  }

  /**
   * A text that must not be empty.
   *
   * @param {string} name
   * @param {string} what
   */
  needed(name, what) {
    const value = this.text(name);
    if (value === "") this.mistakes.set(name, `Fill in ${what}.`);
    return value;
  }

  /** @param {string} name */
  isOn(name) {
    return this.#texts[name] === "on";
  }

  /**
   * JSON of one kind, `null` if it is not.
   *
   * @param {string} name
   * @param {"object" | "array"} kind
   */
  json(name, kind) {
    const { value, mistake } = readJson(this.#texts[name] ?? "", kind);
    if (mistake !== null) this.mistakes.set(name, mistake);
    return value;
  }

  /**
   * The arguments of a function.
   *
   * @param {string} prefix
   */
  input(prefix) {
    return filled({
      args: this.json(`${prefix}args`, "array"),
      kwargs: this.json(`${prefix}kwargs`, "object"),
    });
  }
}

/**
 * The request to prepare a procedure.
 *
 * @param {Record<string, string>} texts
 * @returns {{ body: object, mistakes: Mistakes }}
 */
export function readPrepareForm(texts) {
  const fields = new Fields(texts);
  const { mistakes } = fields;
  const isGit = fields.text("script_type") === "git";
  const prefix = isGit ? "git://" : "file://";
  const uri = fields.needed("script_uri", "the address of the script");
  if (uri !== "" && (!uri.startsWith(prefix) || uri === prefix)) {
    mistakes.set(
      "script_uri",
      isGit
        ? "This has to begin with git:// and go on with a path in the repository, like git://scripts/observe.ts."
        : "This has to begin with file:// and go on with an absolute path, like file:///scripts/observe.ts.",
    );
  }
  const script = isGit
    ? {
      script_type: "git",
      script_uri: uri,
      git_args: {
        git_repo: fields.needed("git_repo", "the address of the repository"),
        ...filled({
          git_branch: fields.text("git_branch"),
          git_commit: fields.text("git_commit"),
        }),
      },
      create_env: fields.isOn("create_env"),
    }
    : { script_type: "filesystem", script_uri: uri };
  const script_args = filled({ init: fields.input("init_") });
  return { body: { script, ...filled({ script_args }) }, mistakes };
}

/**
 * The request to run an activity.
 *
 * @param {Record<string, string>} texts
 * @returns {{ body: object, mistakes: Mistakes }}
 */
export function readActivityForm(texts) {
  const fields = new Fields(texts);
  const { mistakes } = fields;
  const name = fields.needed("activity_name", "the name of the activity");
  const sbdId = fields.needed(
    "sbd_id",
    "the identifier of the scheduling block definition",
  );
  const script_args = fields.json("script_args", "object");
  if (
    Object.values(script_args ?? {}).some((input) =>
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
      prepare_only: fields.isOn("prepare_only"),
      create_env: fields.isOn("create_env"),
      ...filled({ script_args }),
    },
    mistakes,
  };
}

/**
 * The request to start a procedure.
 *
 * @param {Record<string, string>} texts
 * @returns {{ body: object, mistakes: Mistakes }}
 */
export function readStartForm(texts) {
  const fields = new Fields(texts);
  const script_args = filled({ main: fields.input("main_") });
  return {
    body: { state: "RUNNING", ...filled({ script_args }) },
    mistakes: fields.mistakes,
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
