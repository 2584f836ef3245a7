// Copyright 2026 the Longrun authors. MIT license.

/**
 * The part of `@std/testing/bdd` that the tests use, over `Deno.test` as it
 * is there, and over `node:test` where there is no Deno.
 *
 * @module
 */

import { test as nodeTest } from "node:test";

type Body = () => void | Promise<void>;

interface Suite {
  readonly name: string;
  readonly before: Body[];
  readonly after: Body[];
}

// Deno's own `node:test` lets a test pass although a promise that it left
// behind rejects or its module throws.
const register = globalThis.Deno?.test ??
  ((name: string, body: Body): void => void nodeTest(name, body));
const ignore = globalThis.Deno?.test.ignore ??
  ((name: string, body: Body): void => void nodeTest.skip(name, body));

const root: Suite = { name: "", before: [], after: [] };
let suites: readonly Suite[] = [root];

function innermost(): Suite {
  return suites.at(-1) ?? root;
}

function fullName(name: string): string {
  return [...suites.slice(1).map((suite) => suite.name), name].join(" > ");
}

export function describe(name: string, body: () => void): void {
  const outer = suites;
  suites = [...outer, { name, before: [], after: [] }];
  try {
    body();
  } finally {
    suites = outer;
  }
}

export function beforeEach(hook: Body): void {
  innermost().before.push(hook);
}

export function afterEach(hook: Body): void {
  innermost().after.push(hook);
}

function run(name: string, body: Body): void {
  const around = suites;
  register(fullName(name), async () => {
    try {
      for (const hook of around.flatMap((suite) => suite.before)) await hook();
      await body();
    } finally {
      const inwards = around.toReversed();
      for (const hook of inwards.flatMap((suite) => suite.after)) await hook();
    }
  });
}

function skip(name: string, body: Body): void {
  ignore(fullName(name), body);
}

/** Registers a test, or with `skip` one that is not run. */
export const test: typeof run & { readonly skip: typeof skip } = Object.assign(
  run,
  { skip },
);

export const it: typeof test = test;
