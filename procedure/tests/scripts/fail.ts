// Copyright 2026 the Longrun authors. MIT license.

export function main(): void {
  throw new RangeError("the dish is stuck", { cause: new Error("no power") });
}
