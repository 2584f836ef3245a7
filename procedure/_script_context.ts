// Copyright 2026 the Longrun authors. MIT license.

import { checkType } from "./_arguments.ts";
import { encodeStored } from "./_stored_value.ts";
import type { ScriptContext } from "./procedure.ts";

/** What is added stays, and each call is given all of it. */
const MOST_CONTEXT = 65_536;

/**
 * What holds for scripts, frozen and of its own.
 *
 * @throws {TypeError} If it is no object, or `waitForQaReady` no boolean.
 * @throws {RangeError} If it is too long.
 * @throws {DOMException} If a value cannot be cloned.
 */
export function scriptContext(
  context: Readonly<Record<string, unknown>>,
): ScriptContext {
  checkType(
    typeof context === "object" && context !== null,
    "set the context of scripts",
    "context",
    "an object",
    context,
  );
  const copy: ScriptContext = {
    waitForQaReady: true,
    ...structuredClone(context),
  };
  checkType(
    typeof copy.waitForQaReady === "boolean",
    "set the context of scripts",
    "waitForQaReady",
    "a boolean",
    copy.waitForQaReady,
  );
  const { length } = encodeStored(copy);
  if (length <= MOST_CONTEXT) return Object.freeze(copy);
  throw new RangeError(
    `Cannot set the context of scripts as it must have at most ${MOST_CONTEXT} characters: it has ${length}`,
  );
}
