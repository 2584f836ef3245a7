// Copyright 2026 the Longrun authors. MIT license.

const LINE_END = 10;

/**
 * Counts the empty lines of a stream, which end its events, in pieces that may
 * be cut anywhere.
 */
export function eventCounter(): (piece: Uint8Array) => number {
  let isAtLineEnd = false;
  return (piece) => {
    let count = 0;
    let from = 0;
    if (isAtLineEnd && piece[0] === LINE_END) {
      count++;
      from = 1;
    }
    if (piece.length > 0) isAtLineEnd = false;
    for (
      let at = piece.indexOf(LINE_END, from);
      at >= 0;
      at = piece.indexOf(LINE_END, at + 2)
    ) {
      if (at + 1 === piece.length) isAtLineEnd = true;
      else if (piece[at + 1] === LINE_END) count++;
    }
    return count;
  };
}
