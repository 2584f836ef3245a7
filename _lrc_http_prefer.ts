// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

/** What a client prefers, of what RFC 7240 lets it prefer. */
export interface Preferences {
  /** It does not want to wait for the end. */
  readonly respondAsync: boolean;
  /** How long it waits, in milliseconds; `undefined` if it does not say. */
  readonly wait: number | undefined;
}

/** Reads the header `Prefer`. What cannot be understood is not preferred. */
export function parsePrefer(header: string | null): Preferences {
  let respondAsync = false;
  let wait: number | undefined;
  for (const part of (header ?? "").split(",")) {
    const [preference = ""] = part.split(";");
    const [name = "", value = ""] = preference.split("=");
    switch (name.trim().toLowerCase()) {
      case "respond-async":
        respondAsync = true;
        break;
      case "wait": {
        const text = value.trim().replace(/^"(.*)"$/, "$1");
        // The first of several counts.
        if (/^\d{1,9}$/.test(text)) wait ??= Number(text) * 1000;
      }
    }
  }
  return { respondAsync, wait };
}
