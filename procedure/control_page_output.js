// Copyright 2026 the Longrun authors. MIT license.
// @ts-check

/**
 * The output of the chosen procedure that the control page keeps: a window over
 * its lines, at the end of them or on earlier ones. Pure functions.
 *
 * @module
 */

import { readPage } from "./control_page_wire.js";

/** @import { OutputLine } from "./control_page_wire.js" */

/** How many lines of output the page keeps. */
export const OUTPUT_LINES = 5_000;

/**
 * @typedef {object} Output
 * @property {number | null} pid
 * @property {readonly OutputLine[]} lines
 * @property {number} next After which line to go on.
 * @property {number} end The highest line that is known of.
 * @property {number} wanted How often the service told of further lines.
 * @property {number} had How many of these have been followed.
 * @property {boolean} following Whether the end is shown.
 *
 * @typedef {object} OutputPage An answer of the service.
 * @property {number} pid
 * @property {number} after After which line it was asked for.
 * @property {unknown} lines
 * @property {unknown} next
 * @property {number} had How much of what was wanted it is an answer to.
 */

/**
 * Nothing yet of a procedure.
 *
 * @param {number | null} pid
 * @param {number} [next]
 * @returns {Output}
 */
export function emptyOutput(pid, next = 0) {
  return {
    pid,
    lines: [],
    next,
    end: next,
    wanted: pid === null ? 0 : 1,
    had: 0,
    following: true,
  };
}

/**
 * The service told of further lines, or may have.
 *
 * @param {Output} output
 * @returns {Output}
 */
export function withMoreWanted(output) {
  return { ...output, wanted: output.wanted + 1 };
}

/**
 * Adds lines to the end. An answer to what is not wanted any more adds none.
 *
 * @param {Output} output
 * @param {OutputPage} page
 * @returns {Output}
 */
export function withPage(output, page) {
  if (
    page.pid !== output.pid || page.after !== output.next || !output.following
  ) return output;
  const { lines, next: told } = readPage(page);
  const added = lines.filter(({ line }) => line > page.after);
  const next = Math.max(page.after, told ?? 0, added.at(-1)?.line ?? 0);
  return {
    ...output,
    lines: added.length === 0
      ? output.lines
      : [...output.lines, ...added].slice(-OUTPUT_LINES),
    next,
    end: Math.max(output.end, next),
    had: page.had,
  };
}

/**
 * Shows earlier lines instead of the end.
 *
 * @param {Output} output
 * @param {number} pid
 * @param {readonly OutputLine[]} lines
 * @returns {Output}
 */
export function withEarlier(output, pid, lines) {
  return pid === output.pid
    ? { ...output, lines: lines.slice(-OUTPUT_LINES), following: false }
    : output;
}

/**
 * Goes back to the end.
 *
 * @param {Output} output
 * @returns {Output}
 */
export function atTheEnd(output) {
  return emptyOutput(output.pid, Math.max(0, output.end - OUTPUT_LINES));
}

/**
 * Whether further lines have to be fetched.
 *
 * @param {{ output: Output }} state
 * @returns {boolean}
 */
export function wantsOutput({ output }) {
  return output.pid !== null && output.following && output.had < output.wanted;
}
