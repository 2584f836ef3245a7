// Copyright 2026 the Longrun authors. MIT license.

/** Whether typed arrays here have the lower bytes of a number first. */
export const isHostLittleEndian: boolean =
  new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
