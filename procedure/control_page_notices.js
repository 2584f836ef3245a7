// Copyright 2026 the Longrun authors. MIT license.

/**
 * What the control page says by itself: to who reads it, and to who cannot see
 * it.
 *
 * @module
 */

import { element, setText } from "./control_page_elements.js";

const ANNOUNCEMENTS_APART = 1_500;

/** Shows the result of what was asked for. */
export function showNotice(text, isWrong) {
  const notice = element("notice");
  notice.classList.toggle("wrong", isWrong);
  element("notice-text").setAttribute("role", isWrong ? "alert" : "status");
  notice.hidden = false;
  setText(element("notice-text"), text);
}

/**
 * Shows why something failed. That a token is needed shows by itself, and what
 * signing out has ended did not fail.
 */
export function showFailure(error) {
  if (error.status === 401 || error.name === "AbortError") return;
  showNotice(error.message, true);
}

/** Takes away what was shown last. */
export function hideNotice() {
  element("notice").hidden = true;
}

/** Says something to who cannot see it: the latest, and not too often. */
export function createAnnouncer() {
  let latest = "";
  let isWaiting = false;
  return (text) => {
    latest = text;
    if (isWaiting) return;
    isWaiting = true;
    setTimeout(() => {
      isWaiting = false;
      setText(element("announcer"), latest);
    }, ANNOUNCEMENTS_APART);
  };
}
