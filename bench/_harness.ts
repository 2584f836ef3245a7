// Copyright 2026 the Longrun authors. MIT license.

/**
 * What the benchmarks share: rounds that alternate between the cases, the heap
 * after a forced collection, and results as lines of JSON.
 *
 * @module
 */

import process from "node:process";

/** What a case was measured to be, by the names of the columns. */
export type Values = Record<string, number | string>;

/** A line of a table, as a benchmark prints it. */
export interface Row {
  table: string;
  name: string;
  values: Values;
}

/** Prints a row for whoever runs the benchmark. */
export function report(table: string, name: string, values: Values): void {
  console.log(JSON.stringify({ table, name, values } satisfies Row));
}

interface Collecting {
  gc?: () => void;
  Bun?: { gc(force: boolean): void };
}

/** Collects garbage, where the flags of the runtime allow it. */
export function collect(): void {
  const { gc, Bun } = globalThis as Collecting;
  if (Bun === undefined) gc?.();
  else Bun.gc(true);
}

/** Turns of the event loop, in which runtimes clean up. */
export async function settle(ms = 0): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, ms));
}

/** The bytes of the heap that are in use. */
export async function heapUsed(): Promise<number> {
  // What one collection finalizes a later one frees.
  for (let round = 0; round < 3; round++) {
    await settle(10);
    collect();
  }
  return process.memoryUsage().heapUsed;
}

export function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1
    ? upper
    : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

export function percentile(numbers: number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? NaN;
}

/** One execution of a case: durations by the names of the columns. */
export type Measurement = Record<string, number>;

/** Something to measure. */
export interface Case {
  name: string;
  /** Executes it once. */
  measure(): Measurement | Promise<Measurement>;
  /** How long its traces stay, in milliseconds. */
  aftermath?: number;
}

/**
 * Measures the cases in rounds, each round all of them in turn, so that what
 * disturbs the machine for a while disturbs all of them alike. Gives the
 * median and the minimum of each column.
 */
export async function alternate(
  cases: Case[],
  rounds: number,
  warmUps = 2,
): Promise<Map<string, { median: Measurement; min: Measurement }>> {
  const measured = new Map<string, Map<string, number[]>>();
  for (let round = -warmUps; round < rounds; round++) {
    for (const { name, measure, aftermath } of cases) {
      collect();
      await settle();
      const measurement = await measure();
      if (aftermath !== undefined) await settle(aftermath);
      if (round < 0) continue;
      const columns = measured.get(name) ?? new Map<string, number[]>();
      measured.set(name, columns);
      for (const [column, value] of Object.entries(measurement)) {
        const values = columns.get(column) ?? [];
        columns.set(column, values);
        values.push(value);
      }
    }
  }
  const each = (reduce: (values: number[]) => number) =>
  (
    columns: Map<string, number[]>,
  ): Measurement =>
    Object.fromEntries(
      [...columns].map(([column, values]) => [column, reduce(values)]),
    );
  return new Map(
    [...measured].map(([name, columns]) => [name, {
      median: each(median)(columns),
      min: each((values) => Math.min(...values))(columns),
    }]),
  );
}

/** Ends the process, whatever timers a peer has left behind. */
export function exit(): never {
  process.exit(0);
}
