// Copyright 2026 the Longrun authors. MIT license.

/** Waits so many milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until something holds. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string,
  ms = 20_000,
): Promise<void> {
  const deadline = performance.now() + ms;
  while (!await holds()) {
    if (performance.now() > deadline) throw new Error(`Never ${what}`);
    await pause(10);
  }
}

/** The names in a folder, in order; none if it is not there. */
export function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Whether a process is there and has not ended. */
export function isAlive(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return !/^\d+ \(.*\) [ZX]/s.test(stat);
  } catch {
    return false;
  }
}

/** The processes that one has started and that have not gone. */
export function childrenOf(pid: number): number[] {
  const tasks = `/proc/${pid}/task`;
  return [...Deno.readDirSync(tasks)].flatMap(({ name }) => {
    try {
      return Deno.readTextFileSync(`${tasks}/${name}/children`).split(" ");
    } catch {
      // The thread has ended since.
      return [];
    }
  }).filter((word) => word.trim() !== "").map(Number);
}
