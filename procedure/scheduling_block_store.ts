// Copyright 2026 the Longrun authors. MIT license.

/**
 * Scheduling blocks: what is to be observed, as definitions with activities,
 * and the instances that are made when one is executed.
 *
 * @module
 */

import { checkFiniteCount, checkFunction, checkOptions } from "./_arguments.ts";
import {
  definitionNotFound,
  makeInstance,
} from "./_scheduling_block_instance.ts";
import { checkDefinition, readDefinition } from "./_scheduling_block_wire.ts";
import { storedCopy } from "./_stored_value.ts";
import type { ActivityDefinition } from "./activity.ts";
import type { WaitOptions } from "./procedure_service.ts";

/** The definition of a scheduling block. */
export interface SchedulingBlockDefinition {
  /** What it is called. */
  readonly id: string;
  /** Which version of it this is, from 1. */
  readonly version: number;
  /** What can be executed, by name. */
  readonly activities: Readonly<Record<string, ActivityDefinition>>;
  /** The document of the block: what its scripts are given. Plain data. */
  readonly content?: unknown;
}

/** What an instance is made of. */
export interface NewSchedulingBlockInstance {
  /** The definition. */
  readonly sbdId: string;
  /** Its version. */
  readonly sbdVersion: number;
  /** The activity that is executed. */
  readonly activityName: string;
}

/** A scheduling block that is, or was, executed. */
export interface SchedulingBlockInstance extends NewSchedulingBlockInstance {
  /** What it is called. */
  readonly id: string;
  /** When it was made, in milliseconds since the epoch. */
  readonly time: number;
}

/** Where scheduling blocks are. */
export interface SchedulingBlockStore {
  /**
   * The newest version of a definition.
   *
   * @throws {ProcedureError} `"scheduling-block-not-found"`.
   */
  getDefinition(
    sbdId: string,
    options?: WaitOptions,
  ): Promise<SchedulingBlockDefinition>;
  /** Makes an instance, which stays. */
  addInstance(
    instance: NewSchedulingBlockInstance,
    options?: WaitOptions,
  ): Promise<SchedulingBlockInstance>;
  /** All instances, in the order in which they were made. */
  instances(options?: WaitOptions): Promise<readonly SchedulingBlockInstance[]>;
}

/** Options of {@linkcode InMemorySchedulingBlockStore}. */
export interface InMemorySchedulingBlockStoreOptions {
  /** The definitions that it has at first. */
  definitions?: Iterable<SchedulingBlockDefinition>;
  /**
   * The time of day, in milliseconds since the epoch.
   *
   * @default {Date.now}
   */
  now?: () => number;
  /**
   * What instances are called.
   *
   * @default {`sbi-` and a random UUID}
   */
  newId?: () => string;
}

/** What instances are called where nobody says otherwise. */
const randomId = (): string => `sbi-${crypto.randomUUID()}`;

/**
 * Keeps scheduling blocks as long as the program runs.
 *
 * @example Usage
 * ```ts
 * import { fileSystemScript, InMemorySchedulingBlockStore } from "@longrun/procedure";
 * import { assertEquals } from "@std/assert";
 *
 * const blocks = new InMemorySchedulingBlockStore();
 * const script = fileSystemScript("file:///scripts/observe.ts");
 * blocks.add({
 *   id: "sbd-1",
 *   version: 1,
 *   activities: { observe: { script, args: {} } },
 * });
 * const { version } = await blocks.getDefinition("sbd-1");
 * assertEquals(version, 1);
 * ```
 */
export class InMemorySchedulingBlockStore implements SchedulingBlockStore {
  readonly #definitions: Map<string, SchedulingBlockDefinition[]> = new Map();
  readonly #instances: SchedulingBlockInstance[] = [];
  readonly #now: () => number;
  readonly #newId: () => string;

  /**
   * Creates a store.
   *
   * @param options The definitions that it has at first.
   * @throws {TypeError} If one of them is none, or is there twice.
   */
  constructor(options: InMemorySchedulingBlockStoreOptions = {}) {
    const doing = "create InMemorySchedulingBlockStore";
    checkOptions(doing, options);
    const { definitions = [], now = Date.now, newId = randomId } = options;
    checkFunction(doing, "now", now);
    checkFunction(doing, "newId", newId);
    this.#now = now;
    this.#newId = newId;
    for (const definition of definitions) this.add(definition);
  }

  /**
   * Adds a definition, or a version of one.
   *
   * @param definition The definition. It is copied.
   * @throws {TypeError} If it is none, or its version is there already.
   */
  add(definition: SchedulingBlockDefinition): void {
    const doing = "add a definition";
    checkDefinition(doing, definition);
    const { id, version } = definition;
    checkFiniteCount(doing, "version", version, 1);
    const versions = this.#definitions.get(id) ?? [];
    if (versions.some((known) => known.version === version)) {
      throw new TypeError(
        `Cannot add a definition as version ${version} of '${id}' is there already`,
      );
    }
    versions.push(storedCopy(definition));
    versions.sort((one, other) => one.version - other.version);
    this.#definitions.set(id, versions);
  }

  /**
   * The newest version of a definition.
   *
   * @param sbdId What it is called.
   * @param options What ends the wait.
   * @returns A promise of it.
   * @throws {ProcedureError} `"scheduling-block-not-found"`.
   */
  // deno-lint-ignore require-await
  async getDefinition(
    sbdId: string,
    options: WaitOptions = {},
  ): Promise<SchedulingBlockDefinition> {
    options.signal?.throwIfAborted();
    const definition = this.#definitions.get(sbdId)?.at(-1);
    if (definition !== undefined) return definition;
    throw definitionNotFound(sbdId);
  }

  /**
   * Makes an instance.
   *
   * @param instance What it is made of.
   * @param options What ends the wait.
   * @returns A promise of it.
   */
  // deno-lint-ignore require-await
  async addInstance(
    instance: NewSchedulingBlockInstance,
    options: WaitOptions = {},
  ): Promise<SchedulingBlockInstance> {
    options.signal?.throwIfAborted();
    const made = makeInstance(this.#newId(), instance, this.#now());
    this.#instances.push(made);
    return made;
  }

  /**
   * All instances, in the order in which they were made.
   *
   * @param options What ends the wait.
   * @returns A promise of them.
   */
  // deno-lint-ignore require-await
  async instances(
    options: WaitOptions = {},
  ): Promise<readonly SchedulingBlockInstance[]> {
    options.signal?.throwIfAborted();
    return [...this.#instances];
  }
}

/**
 * The definition of a JSON document:
 *
 * ```json
 * {
 *   "sbd_id": "sbd-1",
 *   "version": 1,
 *   "activities": {
 *     "observe": {
 *       "script": {
 *         "script_type": "filesystem",
 *         "script_uri": "file:///scripts/observe.ts"
 *       },
 *       "script_args": { "main": { "kwargs": { "scans": 3 } } }
 *     }
 *   }
 * }
 * ```
 *
 * The whole document is the `content` of the definition, with all it has
 * besides.
 *
 * @param text The document.
 * @param name What it is called in errors.
 * @returns The definition.
 * @throws {TypeError} If the text is no JSON, or not as it should be.
 *
 * @example Usage
 * ```ts
 * import { parseSchedulingBlock } from "@longrun/procedure";
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(
 *   () => parseSchedulingBlock('{ "sbd_id": 1, "activities": {} }'),
 *   TypeError,
 *   "'sbd_id' must be a string",
 * );
 * ```
 */
export function parseSchedulingBlock(
  text: string,
  name = "the document",
): SchedulingBlockDefinition {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new TypeError(
      `Cannot read the scheduling block in ${name}: ${
        (error as Error).message
      }`,
      { cause: error },
    );
  }
  return readDefinition(document, name);
}

/**
 * The definitions of a folder: one for each file that ends in `.json`.
 *
 * @param folder The folder.
 * @param options What ends the wait.
 * @returns A promise of the definitions, in the order of the names of the files.
 * @throws {TypeError} If a file is not as it should be, or two files have the
 * same version of a definition.
 * @throws {Deno.errors.NotFound} If there is no such folder.
 *
 * @example Usage
 * ```ts
 * import {
 *   InMemorySchedulingBlockStore,
 *   loadSchedulingBlocks,
 * } from "@longrun/procedure";
 *
 * const folder = await Deno.makeTempDir();
 * const definitions = await loadSchedulingBlocks(folder);
 * const blocks = new InMemorySchedulingBlockStore({ definitions });
 * await Deno.remove(folder);
 * ```
 */
export async function loadSchedulingBlocks(
  folder: string,
  options: WaitOptions = {},
): Promise<SchedulingBlockDefinition[]> {
  const { signal } = options;
  signal?.throwIfAborted();
  const names: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    if (!entry.isDirectory && entry.name.endsWith(".json")) {
      names.push(entry.name);
    }
  }
  const definitions: SchedulingBlockDefinition[] = [];
  const files = new Map<string, string>();
  for (const name of names.sort()) {
    const text = await Deno.readTextFile(`${folder}/${name}`, { signal });
    const definition = parseSchedulingBlock(text, `'${name}'`);
    const key = JSON.stringify([definition.id, definition.version]);
    const other = files.get(key);
    if (other !== undefined) {
      throw new TypeError(
        `Cannot read the scheduling block in '${name}' as version ${definition.version} of '${definition.id}' is in '${other}', too`,
      );
    }
    files.set(key, name);
    definitions.push(definition);
  }
  return definitions;
}
