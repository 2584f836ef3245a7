// Copyright 2026 the Longrun authors. MIT license.

/**
 * Where `@std` comes from.
 *
 * @module
 */

import { fromRoot } from "./files.ts";

async function registryAnswers(): Promise<boolean> {
  const registry = Deno.env.get("JSR_URL") ?? "https://jsr.io";
  try {
    const response = await fetch(new URL("/@std/assert/meta.json", registry), {
      signal: AbortSignal.timeout(3000),
    });
    return (await response.json()).name === "assert";
  } catch {
    return false;
  }
}

async function choose(): Promise<string[]> {
  if (Deno.args.includes("--compat")) {
    console.log("@std from compat");
  } else if (await registryAnswers()) {
    console.log("@std from JSR");
    return ["--node-modules-dir=none"];
  } else {
    console.log("@std from compat (JSR does not answer)");
  }
  return [
    "--node-modules-dir=none",
    `--import-map=${fromRoot("compat/import_map.json")}`,
  ];
}

let flags: Promise<string[]> | undefined;

/**
 * The flags with which Deno finds everything that the tests import, without
 * node_modules: `@std` from JSR, or from compat where JSR does not answer or
 * the tool was called with `--compat`.
 */
export function resolution(): Promise<string[]> {
  return flags ??= choose();
}

/** The arguments of the tool that are not its own. */
export function passedOn(): string[] {
  return Deno.args.filter((argument) => argument !== "--compat");
}
