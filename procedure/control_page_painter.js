// Copyright 2026 the Longrun authors. MIT license.
// @ts-check

/**
 * When the control page is painted: soon after a change, once for many of them,
 * and the more seldom the longer a paint takes.
 *
 * @module
 */

const PAINTS_APART = 100;
const LONGEST_APART = 1_000;
const TITLES_APART = 500;

/**
 * Creates what is called after each change.
 *
 * @param {object} options
 * @param {() => void} options.paint Paints the page.
 * @param {() => void} options.paintTitle Writes the title.
 * @param {(callback: () => void) => void} options.onFrame Calls back with the
 * next frame. None comes while the tab is in the background.
 * @param {() => number} [options.now] In milliseconds.
 * @returns {() => void}
 */
export function createPainter(
  { paint, paintTitle, onFrame, now = () => performance.now() },
) {
  let isPaintDue = false;
  let isTitleDue = false;
  let nextPaint = -Infinity;

  function paintNow() {
    isPaintDue = false;
    const began = now();
    nextPaint = began + PAINTS_APART;
    paint();
    // Where a paint takes long, most of the time stays free for the reader.
    setTimeout(() => {
      const took = now() - began;
      const apart = Math.max(PAINTS_APART, 3 * took);
      nextPaint = began + Math.min(apart, LONGEST_APART);
    });
  }

  return () => {
    if (!isPaintDue) {
      isPaintDue = true;
      const early = nextPaint - now();
      if (early <= 0) onFrame(paintNow);
      else setTimeout(() => onFrame(paintNow), early);
    }
    // Also a tab in the background has a title.
    if (!isTitleDue) {
      isTitleDue = true;
      setTimeout(() => {
        isTitleDue = false;
        paintTitle();
      }, TITLES_APART);
    }
  };
}
