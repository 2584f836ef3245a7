// Copyright 2026 the Longrun authors. MIT license.

import { dirname, isAbsolute, join, resolve, sep } from "node:path";

/** Whether a path is a folder or lies in it; both without links. */
export function isInside(folder: string, path: string): boolean {
  const prefix = folder.endsWith(sep) ? folder : folder + sep;
  return path === folder || path.startsWith(prefix);
}

/** What the files below a folder take, in bytes; links are not followed. */
export async function sizeOfTree(folder: string): Promise<number> {
  let size = 0;
  for await (const entry of Deno.readDir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) size += await sizeOfTree(path);
    else size += (await Deno.lstat(path)).size;
  }
  return size;
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

/**
 * Copies what is in a folder into another, which has to be there. Links that
 * lead out of the folder, or to nothing, are left out: whoever writes to the
 * copy shall write nowhere else.
 *
 * @returns The links that were left out.
 */
export async function copyTree(
  from: string,
  to: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const root = await Deno.realPath(from);
  const omitted: string[] = [];
  const copyFolder = async (source: string, target: string): Promise<void> => {
    for await (const entry of Deno.readDir(source)) {
      signal.throwIfAborted();
      const path = join(source, entry.name);
      const copy = join(target, entry.name);
      if (entry.isDirectory) {
        await Deno.mkdir(copy);
        await copyFolder(path, copy);
      } else if (entry.isSymlink) {
        const link = await Deno.readLink(path);
        if (await staysInside(root, path, link)) await Deno.symlink(link, copy);
        else omitted.push(path.slice(root.length + 1));
      } else if (entry.isFile) {
        await Deno.copyFile(path, copy);
      }
    }
  };
  await copyFolder(root, to);
  return omitted;
}
