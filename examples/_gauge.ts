// Copyright 2026 the Longrun authors. MIT license.

/** A part of a whole as a bar. */
export function gauge(part: number, width: number): string {
  const full = Math.round(Math.min(Math.max(part, 0), 1) * width);
  return "█".repeat(full) + "░".repeat(width - full);
}
