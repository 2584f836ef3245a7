// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

const MONTHS: readonly string[] = [
  "Jan",
  "Feb",
  "Mar",
  "Apr",
  "May",
  "Jun",
  "Jul",
  "Aug",
  "Sep",
  "Oct",
  "Nov",
  "Dec",
];

const MONTH = `(?<month>${MONTHS.join("|")})`;
const TIME = "(?<hour>\\d{2}):(?<minute>\\d{2}):(?<second>\\d{2})";

/** The form of today and the two that are obsolete, but still to be read. */
const FORMS: readonly RegExp[] = [
  `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?<day>\\d{2}) ${MONTH} (?<year>\\d{4}) ${TIME} GMT`,
  `(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?<day>\\d{2})-${MONTH}-(?<year>\\d{2}) ${TIME} GMT`,
  `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ${MONTH} (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})`,
].map((form) => new RegExp(`^${form}$`));

/** A year of two digits lies at most so many years ahead. */
const MOST_YEARS_AHEAD = 50;

function fullYear(digits: string, now: number): number {
  if (digits.length === 4) return Number(digits);
  const thisYear = new Date(now).getUTCFullYear();
  const year = thisYear - thisYear % 100 + Number(digits);
  return year > thisYear + MOST_YEARS_AHEAD ? year - 100 : year;
}

/**
 * Reads a date of HTTP, in any of its three forms.
 *
 * @returns The time in milliseconds since 1970, `undefined` for what is none.
 */
export function parseHttpDate(text: string, now: number): number | undefined {
  for (const form of FORMS) {
    const groups = form.exec(text)?.groups;
    if (groups === undefined) continue;
    const { day, month, year, hour, minute, second } = groups;
    const date = new Date(0);
    date.setUTCFullYear(
      fullYear(String(year), now),
      MONTHS.indexOf(String(month)),
      Number(day),
    );
    const isReal = date.getUTCDate() === Number(day) && Number(hour) < 24 &&
      Number(minute) < 60 && Number(second) <= 60;
    if (!isReal) return undefined;
    return date.setUTCHours(Number(hour), Number(minute), Number(second));
  }
  return undefined;
}

/**
 * How long to wait, as `Retry-After` says: seconds or a date. A date is
 * compared with that of the answer, where it has one: the clocks of both sides
 * need not agree then.
 *
 * @param now The date of here, in milliseconds since 1970.
 * @returns The time in milliseconds, `undefined` if nothing readable is said.
 */
export function parseRetryAfter(
  headers: Headers,
  now: number,
): number | undefined {
  const text = headers.get("retry-after")?.trim();
  if (text === undefined) return undefined;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const until = parseHttpDate(text, now);
  if (until === undefined) return undefined;
  const sent = parseHttpDate(headers.get("date")?.trim() ?? "", now) ?? now;
  return Math.max(until - sent, 0);
}
