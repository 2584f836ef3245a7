// Copyright 2026 the Longrun authors. MIT license.

/** The modules that run in the process of a script. */
const CHILD_MODULES = [
  "_script_child.ts",
  "_script_runner.ts",
  "_script_messages.ts",
  "_script_error_value.ts",
  "_script_stack.ts",
  "_script_subscription.ts",
] as const;

/** Where the modules of the child are on this machine. */
export interface ChildSources {
  /** The path of the module to run. */
  readonly entry: string;
  /** The paths of all modules: the Worker loads them under permissions. */
  readonly modules: readonly string[];
}

function inFolder(folder: string): ChildSources {
  const modules = CHILD_MODULES.map((name) => `${folder}/${name}`);
  return { entry: `${folder}/${CHILD_MODULES[0]}`, modules };
}

/** The path of a `file:` address. */
function pathOf(url: URL): string {
  const path = decodeURIComponent(url.pathname);
  return Deno.build.os === "windows"
    ? path.replace(/^\/(?=[a-zA-Z]:)/, "").replaceAll("/", "\\")
    : path;
}

async function copy(base: string): Promise<ChildSources> {
  const texts = await Promise.all(CHILD_MODULES.map(async (name) => {
    const response = await fetch(new URL(name, base));
    if (!response.ok) {
      await response.body?.cancel();
      throw new Error(`${response.status} for ${response.url}`);
    }
    return [name, await response.text()] as const;
  }));
  const folder = await Deno.makeTempDir({ prefix: "longrun-procedure-" });
  // A process that is killed cannot: the folder is small and for one user.
  globalThis.addEventListener("unload", () => {
    try {
      Deno.removeSync(folder, { recursive: true });
    } catch {
      // Somebody else has.
    }
  });
  for (const [name, text] of texts) {
    await Deno.writeTextFile(`${folder}/${name}`, text);
  }
  return inFolder(await Deno.realPath(folder));
}

let copying: Promise<ChildSources> | undefined;

/**
 * Finds the modules of the child. A script can be imported from a file by files
 * alone, so where the package itself was imported from the network they are
 * copied, once.
 */
export function locateChild(
  base: string = import.meta.url,
): Promise<ChildSources> {
  const url = new URL("./", base);
  if (url.protocol === "file:") {
    return Promise.resolve(inFolder(pathOf(url).replace(/[/\\]$/, "")));
  }
  copying ??= copy(url.href).catch((error) => {
    copying = undefined;
    throw error;
  });
  return copying;
}
