// Copyright 2026 the Longrun authors. MIT license.

import { checkName, checkOptions, checkType } from "./_arguments.ts";
import { encodeScript } from "./_script_json.ts";
import type { ActivityDefinition } from "./activity.ts";
import { type ProcedureInput, procedureInput } from "./procedure.ts";
import type { SchedulingBlockDefinition } from "./scheduling_block_store.ts";
import {
  type ExecutableScript,
  fileSystemScript,
  gitScript,
} from "./script.ts";

type Members = Readonly<Record<string, unknown>>;

/** Where in a document something is, as in `activities.observe.script`. */
class Place {
  readonly #document: string;
  readonly #path: string;

  constructor(document: string, path = "") {
    this.#document = document;
    this.#path = path;
  }

  at(name: string): Place {
    const path = this.#path === "" ? name : `${this.#path}.${name}`;
    return new Place(this.#document, path);
  }

  refuse(must: string, options?: ErrorOptions): never {
    const what = this.#path === "" ? "it" : `'${this.#path}'`;
    throw new TypeError(
      `Cannot read the scheduling block in ${this.#document} as ${what} ${must}`,
      options,
    );
  }

  members(value: unknown, known?: readonly string[]): Members {
    if (
      typeof value !== "object" || value === null || Array.isArray(value)
    ) this.refuse("must be an object");
    for (const name of Object.keys(value as Members)) {
      if (name === "__proto__") this.refuse("has a member '__proto__'");
      if (known !== undefined && !known.includes(name)) {
        const names = known.map((each) => `'${each}'`).join(", ");
        this.at(name).refuse(`is none of ${names}`);
      }
    }
    return value as Members;
  }

  text(value: unknown): string {
    if (typeof value === "string" && value !== "") return value;
    this.refuse("must be a string, and not empty");
  }

  optionalText(value: unknown): string | undefined {
    return value === undefined || value === null ? undefined : this.text(value);
  }

  flag(value: unknown): boolean {
    if (value === undefined) return false;
    if (typeof value === "boolean") return value;
    this.refuse("must be a boolean");
  }

  version(value: unknown): number {
    if (value === undefined) return 1;
    if (Number.isSafeInteger(value) && (value as number) >= 1) {
      return value as number;
    }
    this.refuse("must be a positive integer");
  }
}

function readInput(value: unknown, place: Place): ProcedureInput {
  const { args = [], kwargs = {} } = place.members(value, ["args", "kwargs"]);
  if (!Array.isArray(args)) place.at("args").refuse("must be an array");
  return procedureInput(
    place.at("kwargs").members(kwargs),
    args as unknown[],
  );
}

function readScript(value: unknown, place: Place): ExecutableScript {
  const { script_type, script_uri, git_args, create_env } = place.members(
    value,
    ["script_type", "script_uri", "git_args", "create_env"],
  );
  const uri = place.at("script_uri").text(script_uri);
  try {
    if (script_type === "filesystem") return fileSystemScript(uri);
    if (script_type !== "git") {
      place.at("script_type").refuse("must be 'filesystem' or 'git'");
    }
  } catch (error) {
    refuseScript(error, place);
  }
  const git = place.at("git_args");
  const { git_repo, git_branch, git_commit } = git.members(
    git_args,
    ["git_repo", "git_branch", "git_commit"],
  );
  const branch = git.at("git_branch").optionalText(git_branch);
  const commit = git.at("git_commit").optionalText(git_commit);
  const options = {
    repo: git.at("git_repo").text(git_repo),
    createEnv: place.at("create_env").flag(create_env),
    ...(branch === undefined ? {} : { branch }),
    ...(commit === undefined ? {} : { commit }),
  };
  try {
    return gitScript(uri, options);
  } catch (error) {
    refuseScript(error, place);
  }
}

function refuseScript(error: unknown, place: Place): never {
  const { message } = error as Error;
  if (message.startsWith("Cannot read the scheduling block")) throw error;
  place.refuse(`is no script: ${message}`, { cause: error });
}

function readActivity(value: unknown, place: Place): ActivityDefinition {
  const { script, script_args = {} } = place.members(
    value,
    ["script", "script_args"],
  );
  const functions = place.at("script_args");
  const args = Object.entries(functions.members(script_args)).map(
    ([fn, input]) => [fn, readInput(input, functions.at(fn))] as const,
  );
  return {
    script: readScript(script, place.at("script")),
    args: Object.fromEntries(args),
  };
}

/**
 * The definition of a document of JSON. Members of the document that are not
 * known stay in its `content`; those of activities are refused.
 *
 * @throws {TypeError} If the document is not as it should be: says where.
 */
export function readDefinition(
  document: unknown,
  name: string,
): SchedulingBlockDefinition {
  const place = new Place(name);
  const { sbd_id, version, activities } = place.members(document);
  const all = place.at("activities");
  const entries = Object.entries(all.members(activities)).map(
    ([activity, value]) =>
      [activity, readActivity(value, all.at(activity))] as const,
  );
  return {
    id: place.at("sbd_id").text(sbd_id),
    version: place.at("version").version(version),
    activities: Object.fromEntries(entries),
    content: document,
  };
}

/** Checks what every definition has, whatever its version. */
export function checkDefinition(
  action: string,
  definition: Pick<SchedulingBlockDefinition, "id" | "activities">,
): void {
  checkOptions(action, definition);
  const { id, activities } = definition;
  checkName(action, "id", id);
  checkType(
    typeof activities === "object" && activities !== null,
    action,
    "activities",
    "an object",
    activities,
  );
}

/** The document of a definition that has none of its own. */
export function writeDefinition(
  { id, version, activities }: SchedulingBlockDefinition,
): Members {
  const entries = Object.entries(activities).map(([name, activity]) => [
    name,
    {
      script: encodeScript(activity.script, undefined),
      script_args: activity.args,
    },
  ]);
  return { sbd_id: id, version, activities: Object.fromEntries(entries) };
}
