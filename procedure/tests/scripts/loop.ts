// Copyright 2026 the Longrun authors. MIT license.

export function main(): void {
  for (;;);
}
