// Copyright 2026 the Longrun authors. MIT license.

import { join, resolve } from "node:path";

/** What scripts share with the others who use a `DENO_DIR`. */
const SHARED = ["gen", "npm", "remote"];

/** Where Deno keeps what is stored with `caches` and in databases. */
const STORED = "location_data";

const NAME = "longrun_scripts";

async function share(denoDir: string, folder: string, name: string) {
  const shared = resolve(denoDir, name);
  await Deno.mkdir(shared, { recursive: true });
  const target = Deno.build.os === "windows" ? shared : `../${name}`;
  try {
    await Deno.symlink(target, join(folder, name), { type: "junction" });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

/** Sees to it that there is a file where Deno would make a folder. */
async function seal(path: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, "", { createNew: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    if ((await Deno.lstat(path)).isFile) return;
    await Deno.remove(path, { recursive: true });
    await seal(path);
  }
}

/**
 * A `DENO_DIR` with the modules of another and no place to store anything. In
 * an ordinary one a script can fill the disk with `caches`, and tell others
 * whatever it likes: Deno asks for no permission.
 *
 * @returns Its path; that of the other where nothing can be written there.
 */
export async function sealDenoDir(denoDir: string): Promise<string> {
  const folder = resolve(denoDir, NAME);
  try {
    await Deno.mkdir(folder, { recursive: true });
    await seal(join(folder, STORED));
    await Promise.all(SHARED.map((name) => share(denoDir, folder, name)));
    return folder;
  } catch {
    // Nor can Deno store anything in it, then.
    return denoDir;
  }
}
