// Copyright 2026 the Longrun authors. MIT license.

/**
 * Tests with real Tango servers.
 *
 * @module
 */

import { test } from "@std/testing/bdd";
import process from "node:process";
import { OracleFault } from "./_oracle.ts";
import { missingDatabase, missingTango } from "./_tango_process.ts";

export * from "./_tango_process.ts";

const isRequired = process.env.LONGRUN_TANGO === "required";

/** How often a test is begun when PyTango, that it compares with, fails. */
const ATTEMPTS = 5;

async function compare(
  name: string,
  body: () => void | Promise<void>,
): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return await body();
    } catch (error) {
      if (!(error instanceof OracleFault) || attempt === ATTEMPTS) throw error;
      console.log(`${name}: begins anew. ${error.message}`);
    }
  }
}

function register(
  missing: string | undefined,
  name: string,
  body: () => void | Promise<void>,
): void {
  if (missing === undefined) {
    test(name, () => compare(name, body));
  } else if (isRequired) {
    test(name, () => {
      throw new Error(`LONGRUN_TANGO=required, but ${missing}`);
    });
  } else {
    test.skip(`${name} (skipped: ${missing})`, body);
  }
}

/**
 * Registers a test that needs Tango. Without Tango it is skipped, or fails if
 * `LONGRUN_TANGO` is `required`.
 */
export function tangoTest(
  name: string,
  body: () => void | Promise<void>,
): void {
  register(missingTango, name, body);
}

/** Registers a test that needs a database of Tango besides. */
export function databaseTest(
  name: string,
  body: () => void | Promise<void>,
): void {
  register(missingDatabase, name, body);
}
