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
  /** What failed, and how: a name, and lines of the error below it. */
  failures: string[];
}

/** The totals of one check. */
export function check(name: string, success: boolean): Totals {
  console.log(`${success ? "ok" : "FAILED"} ${name}`);
  return success ? counted({ passed: 1 }) : failure(name);
}

/** Totals that count nothing but what is given. */
export function counted(some: Partial<Totals>): Totals {
  return { passed: 0, failed: 0, skipped: 0, failures: [], ...some };
}

/** The totals of one failure. */
export function failure(text: string): Totals {
  return counted({ failed: 1, failures: [text] });
}

/** Adds totals up. */
export function sum(all: Totals[]): Totals {
  return all.reduce((left, right) => ({
    passed: left.passed + right.passed,
    failed: left.failed + right.failed,
    skipped: left.skipped + right.skipped,
    failures: [...left.failures, ...right.failures],
  }), counted({}));
}

/** Totals as text. */
export function show({ passed, failed, skipped }: Totals): string {
  const rest = skipped > 0 ? `, ${skipped} skipped` : "";
  return `${passed} passed, ${failed} failed${rest}`;
}

/**
 * Prints what failed and the totals, and ends the tool. What failed comes last:
 * who sees only the end of a long output sees what there is to do.
 */
export function end(totals: Totals): never {
  for (const text of totals.failures) console.log(`FAILED ${text}\n`);
  console.log(show(totals));
  Deno.exit(totals.failed > 0 ? 1 : 0);
}
