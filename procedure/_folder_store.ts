// Copyright 2026 the Longrun authors. MIT license.

import type { Logger } from "@longrun/tasks/logger";
import { join } from "node:path";
import { FileLock } from "./_file_lock.ts";
import { sizeOfTree } from "./_file_tree.ts";

/** What a {@linkcode FolderStore} is made of. */
export interface FolderStoreOptions {
  /** Where the folders are. */
  directory: string;
  /** What a folder holds, for messages. */
  what: string;
  logger: Logger;
}

/** A folder that is whole. */
export interface StoredFolder {
  readonly key: string;
  readonly folder: string;
  /** In bytes. */
  readonly size: number;
  /** When it was taken or released last, in milliseconds since the epoch. */
  readonly usedAt: number;
}

const RECORD = "entry.json";
/** Comes between the key and the random name of a folder that is no hit. */
const SEPARATOR = "+";

/**
 * Folders on the disk, each under a key, each whole or not there: they are
 * filled elsewhere and renamed, and before they are removed they are renamed,
 * too. Whatever a crash leaves is seen to be no whole folder, and is swept away.
 *
 * In front of every folder is a {@linkcode FileLock} that all processes
 * respect: exclusive for whoever makes or removes the folder, shared by those
 * who use it. The store hands the locks out; who takes which is up to others.
 */
export class FolderStore {
  readonly #directory: string;
  readonly #what: string;
  readonly #logger: Logger;
  #prepared: Promise<void> | undefined = undefined;

  constructor({ directory, what, logger }: FolderStoreOptions) {
    this.#directory = directory;
    this.#what = what;
    this.#logger = logger;
  }

  /** Makes the directory; removes what crashes have left, once. */
  async prepare(): Promise<void> {
    // Each time, as whoever needs room may have removed it.
    await Deno.mkdir(this.#directory, { recursive: true, mode: 0o700 });
    if (this.#prepared === undefined) {
      const prepared = this.#sweepAll();
      this.#prepared = prepared;
      prepared.catch(() => this.#prepared = undefined);
    }
    await this.#prepared;
  }

  /** Where a folder is, or would be. */
  folderOf(key: string): string {
    return join(this.#directory, key);
  }

  /** Takes the lock of a folder if that is possible at once. */
  lock(
    key: string,
    mode: "exclusive" | "shared",
  ): Promise<FileLock | undefined> {
    return FileLock.take(this.#lockOf(key), mode);
  }

  /** Whether a folder is there. */
  async has(key: string): Promise<boolean> {
    return await this.#sizeOf(key) !== undefined;
  }

  /** Notes that a folder is used now. */
  touch(key: string): void {
    const now = new Date();
    try {
      Deno.utimeSync(this.#lockOf(key), now, now);
    } catch {
      // Then it counts as used less recently than it was.
    }
  }

  /** All folders, the one that was used least recently first. */
  async list(): Promise<StoredFolder[]> {
    await this.prepare();
    const folders: StoredFolder[] = [];
    for await (const { name, isDirectory } of Deno.readDir(this.#directory)) {
      if (!isDirectory || name.includes(SEPARATOR)) continue;
      const found = await this.#describe(name);
      if (found !== undefined) folders.push(found);
    }
    return folders.sort((one, other) => one.usedAt - other.usedAt);
  }

  /**
   * Makes a folder. Only for whoever has its exclusive lock.
   *
   * @throws What `fill` throws; what it has filled is removed then.
   */
  async make(
    key: string,
    fill: (folder: string) => Promise<void>,
  ): Promise<void> {
    await this.#sweep(key);
    const folder = this.#aside(key);
    await Deno.mkdir(folder, { mode: 0o700 });
    try {
      await fill(folder);
      const record = { size: await sizeOfTree(folder) };
      await Deno.writeTextFile(join(folder, RECORD), JSON.stringify(record));
      // What is there has no record, or it would be a hit.
      await this.#discard(this.folderOf(key));
      await Deno.rename(folder, this.folderOf(key));
    } catch (error) {
      await this.#discard(folder);
      throw error;
    }
  }

  /** Removes a folder. Only for whoever has its exclusive lock. */
  async remove(key: string): Promise<void> {
    const gone = this.#aside(key);
    try {
      await Deno.rename(this.folderOf(key), gone);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    await this.#discard(gone);
  }

  #lockOf(key: string): string {
    return join(this.#directory, `${key}.lock`);
  }

  #aside(key: string): string {
    return this.folderOf(`${key}${SEPARATOR}${crypto.randomUUID()}`);
  }

  async #sizeOf(key: string): Promise<number | undefined> {
    try {
      const path = join(this.folderOf(key), RECORD);
      const { size } = JSON.parse(await Deno.readTextFile(path));
      return typeof size === "number" ? size : undefined;
    } catch (error) {
      if (
        error instanceof Deno.errors.NotFound || error instanceof SyntaxError
      ) return undefined;
      throw error;
    }
  }

  async #describe(key: string): Promise<StoredFolder | undefined> {
    const size = await this.#sizeOf(key);
    if (size === undefined) return undefined;
    const usedAt = await timeOf(this.#lockOf(key));
    return { key, folder: this.folderOf(key), size, usedAt };
  }

  async #sweepAll(): Promise<void> {
    const keys = new Set<string>();
    for await (const { name } of Deno.readDir(this.#directory)) {
      const end = name.indexOf(SEPARATOR);
      if (end !== -1) keys.add(name.slice(0, end));
    }
    for (const key of keys) {
      const lock = await this.lock(key, "exclusive");
      if (lock === undefined) continue;
      let isThere = true;
      try {
        await this.#sweep(key);
        isThere = await this.has(key);
      } finally {
        await (isThere ? lock.release() : lock.remove());
      }
    }
  }

  /** Removes half-built folders. Only for whoever has the exclusive lock. */
  async #sweep(key: string): Promise<void> {
    for await (const { name } of Deno.readDir(this.#directory)) {
      if (name.startsWith(key + SEPARATOR)) {
        await this.#discard(this.folderOf(name));
      }
    }
  }

  async #discard(folder: string): Promise<void> {
    try {
      await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      this.#logger.warn(
        `A folder of the ${this.#what}s could not be removed; it is tried again later`,
        { folder, error },
      );
    }
  }
}

async function timeOf(path: string): Promise<number> {
  try {
    return (await Deno.stat(path)).mtime?.getTime() ?? 0;
  } catch {
    return 0;
  }
}
