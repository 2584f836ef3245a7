// Copyright 2026 the Longrun authors. MIT license.

/**
 * The decisions: each has a page of the same parts, and a line in the list.
 *
 * @module
 */

import { find, fromRoot } from "./files.ts";

const DIRECTORY = "docs/decisions";
const LIST = `${DIRECTORY}/README.md`;
const PARTS = ["What.", "Why.", "Rejected.", "What it costs."];

/** Checks that all decisions are listed once, and have all their parts. */
export function areDecisionsListed(): boolean {
  const list = Deno.readTextFileSync(fromRoot(LIST));
  const listed = [...list.matchAll(/\]\((\w+\.md)\)/g)]
    .map((match) => `${DIRECTORY}/${match[1]}`);
  const pages = find(DIRECTORY, ".md").filter((path) => path !== LIST);
  const faults = listed
    .filter((path, at) => !pages.includes(path) || listed.indexOf(path) !== at)
    .map((path) => `${LIST} has ${path}, which is not there or listed before`);
  for (const path of pages) {
    if (!listed.includes(path)) faults.push(`${LIST} does not have ${path}`);
    const text = Deno.readTextFileSync(fromRoot(path));
    for (const part of PARTS) {
      if (!text.includes(`\n**${part}**`)) faults.push(`${path}: no '${part}'`);
    }
  }
  for (const fault of faults) console.error(fault);
  return faults.length === 0;
}
