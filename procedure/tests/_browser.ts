// Copyright 2026 the Longrun authors. MIT license.

/**
 * A real browser for tests, where there is one.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { test } from "@std/testing/bdd";
import { type Browser, chromium } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";

const isRequired = Deno.env.get("LONGRUN_BROWSER") === "required";
const isThere = existsSync(CHROMIUM);

let launched: Promise<Browser> | undefined;

/** One browser for all tests of a file. It ends with this process. */
function launch(): Promise<Browser> {
  launched ??= chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox"],
  });
  return launched;
}

/**
 * A test with a browser. Without Chromium it is skipped and says so; with
 * `LONGRUN_BROWSER=required` it fails.
 */
export function testInBrowser(
  name: string,
  body: (browser: Browser) => Promise<void>,
): void {
  if (!isThere && !isRequired) {
    console.log(`Skipped, as there is no ${CHROMIUM}: ${name}`);
    test.skip(name, () => {});
    return;
  }
  test(name, async () => {
    if (!isThere) {
      throw new Error(`LONGRUN_BROWSER=required, but no ${CHROMIUM}`);
    }
    const browser = await launch();
    try {
      await body(browser);
    } finally {
      for (const context of browser.contexts()) await context.close();
    }
  });
}
