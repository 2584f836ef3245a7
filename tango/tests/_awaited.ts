// Copyright 2026 the Longrun authors. MIT license.

/** A wait beyond this time is a failure, in milliseconds. */
const PATIENCE = 20_000;

/** Waits for what becomes true when something has happened. */
export class Awaited {
  readonly #checks: Set<() => void> = new Set();

  /** Tells that something has happened. */
  notify(): void {
    for (const check of this.#checks) check();
  }

  /** Waits until a condition holds; `describe` says what was waited for. */
  async until(holds: () => boolean, describe: () => string): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#checks.delete(check);
      };
      const check = (): void => {
        if (!holds()) return;
        end();
        resolve();
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error(`Waited in vain for ${describe()}`));
      }, PATIENCE);
      this.#checks.add(check);
    });
  }
}
