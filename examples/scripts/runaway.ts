// Copyright 2026 the Longrun authors. MIT license.

/** Never waits and never ends: no signal reaches it. */
export function main(): void {
  for (;;);
}
