// Copyright 2026 the Longrun authors. MIT license.

/**
 * A lock on a file that all processes of the machine respect: one owner, or
 * any number of sharers. The system lets go of it when its owner dies, however
 * that comes about, so that no lock is ever stale.
 *
 * The file says who was its last owner. That is for people: nothing reads it.
 */
export class FileLock implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;

  private constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  /**
   * Takes the lock if that is possible at once.
   *
   * @returns The lock, or `undefined` if others have it.
   */
  static async take(
    path: string,
    mode: "exclusive" | "shared",
  ): Promise<FileLock | undefined> {
    for (;;) {
      const file = await Deno.open(path, {
        create: true,
        read: true,
        write: true,
        mode: 0o600,
      });
      let kept = false;
      try {
        if (!await file.tryLock(mode === "exclusive")) return undefined;
        // Whoever had it before may have removed the file.
        if (!await isAt(file, path)) continue;
        if (mode === "exclusive") await sign(file);
        kept = true;
        return new FileLock(path, file);
      } finally {
        if (!kept) file.close();
      }
    }
  }

  /**
   * Lets others share the lock.
   *
   * @returns `false` if another was quicker: then the lock is lost.
   */
  async share(): Promise<boolean> {
    return await this.#file.tryLock(false) &&
      await isAt(this.#file, this.#path);
  }

  /** Removes the file of a lock that is not shared, and lets go. */
  async remove(): Promise<void> {
    try {
      await Deno.remove(this.#path);
    } catch {
      // It is small, and the next one uses it.
    } finally {
      this.release();
    }
  }

  /** Lets go. */
  release(): void {
    this.#file.close();
  }

  /** Lets go. */
  [Symbol.dispose](): void {
    this.release();
  }
}

/** Whether a file is the one that has this name now. */
async function isAt(file: Deno.FsFile, path: string): Promise<boolean> {
  try {
    const [open, named] = await Promise.all([file.stat(), Deno.stat(path)]);
    return open.ino === named.ino && open.dev === named.dev;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function sign(file: Deno.FsFile): Promise<void> {
  const since = new Date().toISOString();
  const text = `${JSON.stringify({ pid: Deno.pid, since })}\n`;
  await file.truncate(0);
  await file.seek(0, Deno.SeekMode.Start);
  await file.write(new TextEncoder().encode(text));
}
