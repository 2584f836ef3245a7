// Copyright 2026 the Longrun authors. MIT license.

/**
 * Counting what passed and what failed.
 *
 * @module
 */

/** How many tests or checks passed, failed and were skipped. */
export interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

/** The totals of one check. */
export function check(name: string, success: boolean): Totals {
  console.log(`${success ? "ok" : "FAILED"} ${name}`);
  return success ? one("passed") : one("failed");
}

function one(kind: keyof Totals): Totals {
  return { passed: 0, failed: 0, skipped: 0, [kind]: 1 };
}

/** Adds totals up. */
export function sum(all: Totals[]): Totals {
  return all.reduce((left, right) => ({
    passed: left.passed + right.passed,
    failed: left.failed + right.failed,
    skipped: left.skipped + right.skipped,
  }), { passed: 0, failed: 0, skipped: 0 });
}

/** Totals as text. */
export function show({ passed, failed, skipped }: Totals): string {
  const rest = skipped > 0 ? `, ${skipped} skipped` : "";
  return `${passed} passed, ${failed} failed${rest}`;
}

/** Prints the totals and ends the tool. */
export function end(totals: Totals): never {
  console.log(show(totals));
  Deno.exit(totals.failed > 0 ? 1 : 0);
}

const testCase =
  /<testcase\b((?:[^>"']|"[^"]*"|'[^']*')*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;

/** Counts the tests of a report in JUnit's format. */
function readReport(report: string): Totals {
  const cases = [...report.matchAll(testCase)].map((match) => ({
    name: /\bname="([^"]*)"/.exec(match[1] ?? "")?.[1] ?? "",
    body: match[2] ?? "",
  }));
  // Deno reports a group besides its tests, and as failed when one of them is.
  const isGroup = (name: string) =>
    cases.some((other) => other.name.startsWith(`${name} &gt; `));
  return sum(
    cases.filter(({ name }) => !isGroup(name)).map(({ body }) =>
      one(
        /<(failure|error)\b/.test(body)
          ? "failed"
          : /<skipped\b/.test(body)
          ? "skipped"
          : "passed",
      )
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
    const silent = success ? totals.passed === 0 : totals.failed === 0;
    return silent ? sum([totals, one("failed")]) : totals;
  } finally {
    await Deno.remove(report);
  }
}
