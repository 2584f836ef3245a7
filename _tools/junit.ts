// Copyright 2026 the Longrun authors. MIT license.

/**
 * Counting tests by their report in JUnit's format.
 *
 * @module
 */

import { counted, failure, sum, type Totals } from "./totals.ts";

const testCase =
  /<testcase\b((?:[^>"']|"[^"]*"|'[^']*')*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;

/** How many lines of an error are told again. */
const lines = 25;

const entities: Record<string, string> = {
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  amp: "&",
};

function unescape(text: string): string {
  return text
    .replaceAll(
      /&#(x?)([0-9a-f]+);/gi,
      (_, hex, code) => String.fromCodePoint(parseInt(code, hex ? 16 : 10)),
    )
    .replaceAll(/&(lt|gt|quot|apos|amp);/g, (_, name) => entities[name] ?? "");
}

function attribute(name: string, text: string): string {
  return unescape(new RegExp(`\\b${name}="([^"]*)"`).exec(text)?.[1] ?? "");
}

/** The name of a failed test, where it is, and how its error begins. */
function describe(attributes: string, body: string): string {
  const place = attribute("file", attributes) ||
    attribute("classname", attributes);
  const error = unescape(
    body.replaceAll(/<(?!failure|error)[^>]*>/g, "")
      .replaceAll(/<\/?(?:failure|error)\b(?:[^>"']|"[^"]*"|'[^']*')*>/g, "")
      .replaceAll(/<!\[CDATA\[|\]\]>/g, ""),
  );
  const told = error.trim().split("\n").slice(0, lines);
  return [`${attribute("name", attributes)} (${place})`, ...told].join("\n  ");
}

/** Counts the tests of a report in JUnit's format. */
export function readReport(report: string): Totals {
  const cases = [...report.matchAll(testCase)].map((match) => ({
    attributes: match[1] ?? "",
    name: attribute("name", match[1] ?? ""),
    body: match[2] ?? "",
  }));
  // Deno reports a group besides its tests, and as failed when one of them is.
  const isGroup = (name: string) =>
    cases.some((other) => other.name.startsWith(`${name} > `));
  return sum(
    cases.filter(({ name }) => !isGroup(name)).map(({ attributes, body }) =>
      /<(failure|error)\b/.test(body)
        ? failure(describe(attributes, body))
        : counted(/<skipped\b/.test(body) ? { skipped: 1 } : { passed: 1 })
    ),
  );
}

/**
 * Runs tests that write a report, and counts them. Tests that fail without a
 * word in the report count as one failure, and so does a lack of tests.
 */
export async function countTests(
  run: (report: string) => Promise<boolean>,
): Promise<Totals> {
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const success = await run(report);
    const totals = readReport(await Deno.readTextFile(report));
    if (success && totals.passed === 0) {
      return sum([totals, failure("a run without tests")]);
    }
    if (!success && totals.failed === 0) {
      return sum([
        totals,
        failure("a run that says of no test that it failed"),
      ]);
    }
    return totals;
  } finally {
    await Deno.remove(report);
  }
}
