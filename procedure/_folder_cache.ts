// Copyright 2026 the Longrun authors. MIT license.

import { CancelScope, onAbort, sleep } from "@longrun/tasks/cancellation";
import type { Clock } from "@longrun/tasks/clock";
import type { Logger } from "@longrun/tasks/logger";
import type { FileLock } from "./_file_lock.ts";
import { FolderStore, type StoredFolder } from "./_folder_store.ts";
import { withinSize } from "./_size_watch.ts";
import { ProcedureError, type ProcedureErrorCode } from "./procedure_errors.ts";

/** What a {@linkcode FolderCache} is made of. */
export interface FolderCacheOptions {
  /** Where the folders are. */
  directory: string;
  /** How many bytes they may take together. */
  sizeLimit: number;
  /** How many bytes one of them may take. */
  entryLimit: number;
  /** Which error it is when one takes more. */
  code: ProcedureErrorCode;
  /** What a folder holds, for messages. */
  what: string;
  clock: Clock;
  logger: Logger;
}

/** Fills a folder, which is empty. Everything in it is removed if it fails. */
export type BuildFolder = (
  folder: string,
  signal: AbortSignal,
) => Promise<void>;

/** A folder of the cache that is in use. */
export interface HeldFolder {
  readonly folder: string;
  /** Ends the use. Later calls do nothing. */
  release(): void;
}

/** A folder of the cache. */
export interface CachedFolder extends StoredFolder {
  /** Whether somebody in this process uses it. */
  readonly inUse: boolean;
}

interface Resident {
  users: number;
  readonly lock: FileLock;
}

interface FolderWait {
  resolve(held: HeldFolder): void;
  reject(reason: unknown): void;
}

interface Flight {
  readonly waits: Set<FolderWait>;
  readonly scope: CancelScope;
}

/** How often one is tried that whoever asks does not wait for. */
const LOCK_ATTEMPTS = 4;

/** How often a lock that another process has is tried again. */
const LOCK_INTERVAL = 50;

/**
 * Folders that take long to build, each under a key that says all that is in
 * it.
 *
 * All who ask while a folder is built, in whatever process, wait for the same
 * build. It is aborted when none of them waits any more; a failure is told to
 * those who wait and is forgotten. When the folders of the
 * {@linkcode FolderStore} take too much, those used least recently are removed,
 * but none that is in use.
 */
export class FolderCache {
  readonly #store: FolderStore;
  readonly #sizeLimit: number;
  readonly #entryLimit: number;
  readonly #what: string;
  readonly #code: ProcedureErrorCode;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #residents: Map<string, Resident> = new Map();
  readonly #flights: Map<string, Flight> = new Map();
  readonly #work: Set<Promise<void>> = new Set();
  #eviction: Promise<void> | undefined = undefined;
  #isTooLarge = false;
  #isClosed = false;

  constructor(options: FolderCacheOptions) {
    this.#store = new FolderStore(options);
    this.#sizeLimit = options.sizeLimit;
    this.#entryLimit = options.entryLimit;
    this.#what = options.what;
    this.#code = options.code;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /**
   * Takes a folder into use, and builds it first where it is not there.
   *
   * @throws {ProcedureError} `"closed"`.
   * @throws {AbortSignal["reason"]} If the signal aborts first.
   * @throws What the build throws.
   */
  acquire(
    key: string,
    build: BuildFolder,
    signal?: AbortSignal,
  ): Promise<HeldFolder> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#isClosed) return Promise.reject(this.#closedError());
    const resident = this.#residents.get(key);
    if (resident !== undefined) {
      return Promise.resolve(this.#hold(key, resident));
    }
    const flight = this.#flights.get(key) ?? this.#start(key, build);
    return new Promise((resolve, reject) => {
      let forget = (): void => {};
      const wait: FolderWait = {
        resolve: (held) => {
          forget();
          resolve(held);
        },
        reject: (reason) => {
          forget();
          reject(reason);
        },
      };
      flight.waits.add(wait);
      if (signal === undefined) return;
      forget = onAbort(signal, (reason) => {
        flight.waits.delete(wait);
        reject(reason);
        if (flight.waits.size === 0) this.#abandon(key, flight, reason);
      });
    });
  }

  /**
   * Removes a folder.
   *
   * @returns `false` if somebody uses it, or builds it.
   */
  async remove(key: string): Promise<boolean> {
    if (this.#residents.has(key) || this.#flights.has(key)) return false;
    await this.#store.prepare();
    const lock = await this.#takeSoon(key);
    if (lock === undefined) return false;
    if (this.#residents.has(key) || this.#flights.has(key)) {
      lock.release();
      return false;
    }
    try {
      await this.#store.remove(key);
    } finally {
      await lock.remove();
    }
    return true;
  }

  /**
   * Takes the lock of a folder. A process that is just being started has a copy
   * of each lock of this one for a moment, also of those that were let go: so
   * one that is not to be had is tried again.
   */
  async #takeSoon(key: string): Promise<FileLock | undefined> {
    for (let attempt = 1;; attempt++) {
      const lock = await this.#store.lock(key, "exclusive");
      if (lock !== undefined || attempt === LOCK_ATTEMPTS) return lock;
      await sleep(LOCK_INTERVAL, { clock: this.#clock });
    }
  }

  /** All folders, the one that was used least recently first. */
  async list(): Promise<readonly CachedFolder[]> {
    const folders = await this.#store.list();
    return folders.map((each) => ({
      ...each,
      inUse: this.#residents.has(each.key),
    }));
  }

  /** Aborts all builds, and waits until all work has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const [key, flight] of [...this.#flights]) {
      const reason = this.#closedError();
      for (const wait of flight.waits) wait.reject(reason);
      flight.waits.clear();
      this.#abandon(key, flight, reason);
    }
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  #closedError(): ProcedureError {
    return new ProcedureError("closed", `The ${this.#what}s are closed`);
  }

  #hold(key: string, resident: Resident): HeldFolder {
    resident.users++;
    let isReleased = false;
    return {
      folder: this.#store.folderOf(key),
      release: () => {
        if (isReleased) return;
        isReleased = true;
        if (--resident.users === 0) this.#leave(key, resident);
      },
    };
  }

  #leave(key: string, resident: Resident): void {
    this.#residents.delete(key);
    this.#store.touch(key);
    resident.lock.release();
    if (this.#isTooLarge && !this.#isClosed) this.#track(this.#evict());
  }

  /** Keeps work that nobody waits for until it has ended. It never fails. */
  #track(work: Promise<void>): void {
    this.#work.add(work);
    work.then(() => this.#work.delete(work));
  }

  #start(key: string, build: BuildFolder): Flight {
    const flight = { waits: new Set<FolderWait>(), scope: new CancelScope() };
    this.#flights.set(key, flight);
    this.#track(this.#fly(key, flight, build));
    return flight;
  }

  #abandon(key: string, flight: Flight, reason: unknown): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
    flight.scope.abort(reason);
  }

  async #fly(key: string, flight: Flight, build: BuildFolder): Promise<void> {
    try {
      const lock = await this.#obtain(key, build, flight.scope.signal);
      if (flight.waits.size === 0) return lock.release();
      const resident = { users: 0, lock };
      this.#residents.set(key, resident);
      for (const wait of flight.waits) wait.resolve(this.#hold(key, resident));
    } catch (error) {
      for (const wait of flight.waits) wait.reject(error);
    } finally {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    }
  }

  /** Gets a shared lock on a folder that is there. */
  async #obtain(
    key: string,
    build: BuildFolder,
    signal: AbortSignal,
  ): Promise<FileLock> {
    await this.#store.prepare();
    for (;;) {
      signal.throwIfAborted();
      const shared = await this.#store.lock(key, "shared");
      if (shared !== undefined) {
        let isThere = false;
        try {
          isThere = await this.#store.has(key);
        } finally {
          if (!isThere) shared.release();
        }
        if (isThere) {
          this.#store.touch(key);
          return shared;
        }
      }
      const exclusive = await this.#store.lock(key, "exclusive");
      if (exclusive !== undefined) {
        const kept = await this.#settle(key, build, exclusive, signal);
        if (kept !== undefined) return kept;
      }
      await sleep(LOCK_INTERVAL, { signal, clock: this.#clock });
    }
  }

  /** Sees to it that the folder is there, as the only one who may. */
  async #settle(
    key: string,
    build: BuildFolder,
    lock: FileLock,
    signal: AbortSignal,
  ): Promise<FileLock | undefined> {
    try {
      if (!await this.#store.has(key)) await this.#build(key, build, signal);
      if (await lock.share() && await this.#store.has(key)) return lock;
    } catch (error) {
      await lock.remove();
      throw error;
    }
    lock.release();
    return undefined;
  }

  async #build(
    key: string,
    build: BuildFolder,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#store.make(key, async (folder) => {
      await this.#fill(folder, build, signal);
      signal.throwIfAborted();
    });
    await this.#evict();
  }

  #fill(folder: string, build: BuildFolder, signal: AbortSignal) {
    const limit = this.#entryLimit;
    const error = () =>
      new ProcedureError(
        this.#code,
        `The ${this.#what} has more than ${limit} bytes`,
      );
    const watch = { folder, limit, error, signal, clock: this.#clock };
    return withinSize(watch, (signal) => build(folder, signal));
  }

  /** Removes folders until the rest is small enough, one call at a time. */
  async #evict(): Promise<void> {
    while (this.#eviction !== undefined) await this.#eviction;
    const eviction = this.#evictNow();
    this.#eviction = eviction;
    await eviction;
    this.#eviction = undefined;
  }

  async #evictNow(): Promise<void> {
    try {
      if (this.#sizeLimit === Infinity) return;
      const folders = await this.list();
      let total = folders.reduce((sum, { size }) => sum + size, 0);
      for (const { key, size } of folders) {
        if (total <= this.#sizeLimit) break;
        if (!await this.remove(key)) continue;
        total -= size;
        this.#logger.debug(`A ${this.#what} was removed to make room`, { key });
      }
      this.#isTooLarge = total > this.#sizeLimit;
    } catch (error) {
      this.#logger.warn(`No ${this.#what} could be removed to make room`, {
        error,
      });
    }
  }
}
