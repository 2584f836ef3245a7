// Copyright 2026 the Longrun authors. MIT license.

import { dirname, isAbsolute, join, resolve, sep } from "node:path";

/** Whether a path is a folder or lies in it; both without links. */
export function isInside(folder: string, path: string): boolean {
  const prefix = folder.endsWith(sep) ? folder : folder + sep;
  return path === folder || path.startsWith(prefix);
}

/** A size, none if what has it has gone. */
async function unlessGone(size: Promise<number>): Promise<number> {
  try {
    return await size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

async function sizeInside(folder: string): Promise<number> {
  let size = 0;
  for await (const entry of Deno.readDir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) size += await sizeOfTree(path);
    else size += await unlessGone(Deno.lstat(path).then(({ size }) => size));
  }
  return size;
}

/**
 * What the files below a folder take, in bytes; links are not followed. What
 * has gone while it was counted takes nothing.
 */
export function sizeOfTree(folder: string): Promise<number> {
  return unlessGone(sizeInside(folder));
}

/** Whether a link leads to something in the folder, and never leaves it. */
async function staysInside(
  root: string,
  path: string,
  target: string,
): Promise<boolean> {
  if (isAbsolute(target)) return false;
  if (!isInside(root, resolve(dirname(path), target))) return false;
  try {
    return isInside(root, await Deno.realPath(path));
  } catch {
    return false;
  }
}

/** Copies what is in a folder into another, which has to be there. */
export async function copyTree(
  from: string,
  to: string,
  signal: AbortSignal,
): Promise<void> {
  for await (const entry of Deno.readDir(from)) {
    signal.throwIfAborted();
    const path = join(from, entry.name);
    const copy = join(to, entry.name);
    if (entry.isDirectory) {
      await Deno.mkdir(copy);
      await copyTree(path, copy, signal);
    } else if (entry.isSymlink) {
      await Deno.symlink(await Deno.readLink(path), copy);
    } else if (entry.isFile) {
      await Deno.copyFile(path, copy);
    }
  }
}

/**
 * Removes the links below a folder that lead out of it, or to nothing: modules
 * could be imported through them.
 *
 * @returns The links that were removed.
 */
export async function removeOutwardLinks(
  folder: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const root = await Deno.realPath(folder);
  const outward: string[] = [];
  const look = async (folder: string): Promise<void> => {
    for await (const entry of Deno.readDir(folder)) {
      signal.throwIfAborted();
      const path = join(folder, entry.name);
      if (entry.isDirectory) await look(path);
      else if (
        entry.isSymlink &&
        !await staysInside(root, path, await Deno.readLink(path))
      ) outward.push(path);
    }
  };
  await look(root);
  await Promise.all(outward.map((path) => Deno.remove(path)));
  return outward.map((path) => path.slice(root.length + 1));
}
