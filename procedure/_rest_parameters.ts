// Copyright 2026 the Longrun authors. MIT license.

/**
 * What paths and queries of requests say. They are text of whoever asks: what
 * is not as it should be is a problem that says where.
 *
 * @module
 */

import { type Place, unprocessable } from "./_problem.ts";
import { MOST_LINES } from "./_rest_routes.ts";
import type { OutputOptions } from "./procedure_service.ts";

const MOST_PATTERNS = 100;
const PATTERN = /^(\*|[^\s.*]+(\.[^\s.*]+)*(\.\*)?)$/;

function readNumber(
  place: string,
  text: string | null | undefined,
  part: Place["part"],
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  const number = /^\d{1,16}$/.test(text ?? "") ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  const range = most === Number.MAX_SAFE_INTEGER
    ? `of at least ${least}`
    : `from ${least} to ${most}`;
  const message = `must be an integer ${range}`;
  throw unprocessable([{ place, message, part, rule: "int_parsing" }]);
}

/**
 * The number in a path.
 *
 * @throws {Problem} If it is none.
 */
export function readId(text: string | undefined): number {
  return readNumber("id", text, "path", 1);
}

/**
 * Which lines of the output are wanted.
 *
 * @throws {Problem} If they are no numbers, or too many.
 */
export function readPage(query: URLSearchParams): Required<OutputOptions> {
  const after = query.get("after") ?? "0";
  const limit = query.get("limit") ?? "1000";
  return {
    after: readNumber("after", after, "query", 0),
    limit: readNumber("limit", limit, "query", 1, MOST_LINES),
  };
}

/**
 * Which topics are wanted; none is all.
 *
 * @throws {Problem} If they are no topics, or too many.
 */
export function readTopics(query: URLSearchParams): readonly string[] {
  const patterns = query.getAll("topics")
    .flatMap((each) => each.split(","))
    .map((each) => each.trim())
    .filter((each) => each !== "");
  const wrong = patterns.length > MOST_PATTERNS
    ? `must not be more than ${MOST_PATTERNS}`
    : patterns.every((each) => PATTERN.test(each))
    ? undefined
    : "must be topics, or prefixes such as procedure.*";
  if (wrong === undefined) return patterns;
  throw unprocessable([{
    place: "topics",
    message: wrong,
    part: "query",
    rule: "pattern",
  }]);
}
