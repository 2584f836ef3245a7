// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/**
 * A program that was held up itself comes to its timers before it reads what
 * was sent to it meanwhile. It gets a little time for that, once, or it would
 * take its own slowness for that of others.
 *
 * @module
 */

/** So much too late, in milliseconds, and the program was held up itself. */
export const HELD_UP = 100;

/** So long it then reads what came meanwhile, before anything is too late. */
export const CATCH_UP = 50;
