// Copyright 2026 the Longrun authors. MIT license.
// @ts-check

/**
 * Follows the events of the service for the control page.
 *
 * @module
 */

/** @import { WireEvent } from "./control_page_wire.js" */

const LONGEST_EVENT = 16 * 1024 * 1024;

/**
 * @typedef {object} EventParser
 * @property {(chunk: string) => WireEvent[]} push Takes a piece of the stream
 * and returns the events that it ends.
 * @property {() => string | null} lastId The identifier of the last event that
 * is whole.
 * @property {() => number | null} retry How long the service asks to wait
 * before the next try, in milliseconds.
 */

/**
 * Reads server-sent events piece by piece. What is no event of the service is
 * left out.
 *
 * @param {string | null} [lastId]
 * @returns {EventParser}
 */
export function createParser(lastId = null) {
  let rest = "";
  let isFirst = true;
  let endedInReturn = false;
  /** @type {string | null} */
  let id = lastId;
  let seen = lastId;
  /** @type {number | null} */
  let retry = null;
  /** @type {string[]} */
  let data = [];
  let size = 0;

  /** @param {string} line */
  function readField(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (name === "data") {
      data.push(value);
      size += value.length;
    } else if (name === "id" && !value.includes("\0")) id = value;
    else if (name === "retry" && /^\d+$/.test(value)) retry = Number(value);
    if (size > LONGEST_EVENT) throw new RangeError("An event is too long");
  }

  /** @returns {WireEvent[]} */
  function endEvent() {
    const lines = data;
    data = [];
    size = 0;
    seen = id;
    if (lines.length === 0) return [];
    try {
      const event = JSON.parse(lines.join("\n"));
      return typeof event === "object" && event !== null &&
          typeof event.topic === "string"
        ? [event]
        : [];
    } catch {
      return [];
    }
  }

  return {
    push(chunk) {
      let piece = chunk;
      if (piece === "") return [];
      if (isFirst && piece.startsWith("\uFEFF")) piece = piece.slice(1);
      isFirst = false;
      if (endedInReturn && piece.startsWith("\n")) piece = piece.slice(1);
      endedInReturn = chunk.endsWith("\r");
      const lines = piece.split(/\r\n|\n|\r/);
      lines[0] = rest + lines[0];
      rest = lines.pop() ?? "";
      if (rest.length > LONGEST_EVENT) {
        throw new RangeError("An event is too long");
      }
      /** @type {WireEvent[]} */
      const events = [];
      for (const line of lines) {
        if (line === "") events.push(...endEvent());
        else readField(line);
      }
      return events;
    },
    lastId: () => seen,
    retry: () => retry,
  };
}

/**
 * How long to wait before the next try, in milliseconds.
 *
 * @param {number} attempt From 1.
 * @param {number} random From 0 to 1.
 * @returns {number}
 */
export function backoff(attempt, random) {
  const longest = Math.min(15_000, 500 * 2 ** Math.min(attempt - 1, 10));
  return longest / 2 + random * longest / 2;
}

/**
 * @typedef {object} FollowOptions
 * @property {(lastId: string | null, signal: AbortSignal) => Promise<Response>} open
 * Asks for the stream. Rejects with an error whose `status` is 401 when a token
 * is needed: that ends it.
 * @property {(events: WireEvent[]) => void} onEvents
 * @property {() => void} onLive Each time the stream has begun.
 * @property {(reason: string) => void} onLost Each time it has ended.
 * @property {(milliseconds: number, signal: AbortSignal) => Promise<void>} wait
 * Resolves after that time, or earlier. Never rejects.
 * @property {AbortSignal} signal Ends it.
 * @property {number} [quiet] After how many milliseconds without a sign of life
 * the stream is taken for dead.
 * @property {() => number} [random]
 */

/**
 * Follows the stream, and begins anew whenever it ends, after the last event
 * that came. Resolves when the signal has aborted, or a token is needed.
 *
 * @param {FollowOptions} options
 * @returns {Promise<void>}
 */
export async function follow(options) {
  const { open, onEvents, onLive, onLost, wait, signal } = options;
  const { quiet = 45_000, random = Math.random } = options;
  /** @type {string | null} */
  let lastId = null;
  let attempt = 0;
  while (!signal.aborted) {
    const controller = new AbortController();
    const abort = () => controller.abort(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    let heard = performance.now();
    const watch = setInterval(() => {
      if (performance.now() - heard < quiet) return;
      controller.abort(new Error("no sign of life"));
    }, quiet / 3);
    let retry = 0;
    try {
      const response = await open(lastId, controller.signal);
      const parser = createParser(lastId);
      if (response.body === null) throw new Error("an empty answer");
      const reader = response.body.pipeThrough(new TextDecoderStream())
        .getReader();
      onLive();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        heard = performance.now();
        attempt = 0;
        const events = parser.push(value);
        lastId = parser.lastId();
        retry = parser.retry() ?? retry;
        if (events.length > 0) onEvents(events);
      }
      if (!signal.aborted) onLost("the service ended the stream");
    } catch (error) {
      if (signal.aborted) return;
      const failure = /** @type {{ status?: number, message?: string }} */ (
        error
      );
      if (failure.status === 401) return;
      onLost(failure.message ?? String(error));
    } finally {
      clearInterval(watch);
      signal.removeEventListener("abort", abort);
      controller.abort();
    }
    attempt++;
    await wait(Math.max(retry, backoff(attempt, random())), signal);
  }
}
