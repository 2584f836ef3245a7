// Copyright 2026 the Longrun authors. MIT license.

/** A module that never ends loading. */
await new Promise(() => {});

export {};
