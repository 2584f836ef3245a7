// Copyright 2026 the Longrun authors. MIT license.

/**
 * Who is signed in on the control page: the token, kept for the tab, the dialog
 * that asks for it, and a signal that aborts when it is not to be used any more.
 *
 * @module
 */

import { element, onUse, setReason, setText } from "./control_page_elements.js";

const TOKEN = "longrun.token";

/**
 * Creates it, with what is called when the reader has signed in or needs no
 * token, when another token is needed, and when the reader wants to be
 * forgotten.
 */
export function createSignIn({ onBegin, onEnd, onForget }) {
  let token = sessionStorage.getItem(TOKEN);
  let session = new AbortController();
  const dialog = element("token-dialog");
  const field = element("token");
  const mistake = element("token-mistake");

  function paintSignOut() {
    setReason(
      element("sign-out"),
      element("sign-out-reason"),
      token === null ? "Not signed in with a token" : null,
    );
  }

  function ask(message) {
    session.abort();
    onEnd();
    setText(mistake, message);
    if (dialog.open) return;
    // Only one dialog at a time, and this one comes first.
    for (const other of document.querySelectorAll("dialog[open]")) {
      other.close();
    }
    dialog.showModal();
  }

  function begin() {
    session.abort();
    session = new AbortController();
    paintSignOut();
    onBegin(session.signal);
  }

  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
  });
  element("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const value = field.value.trim();
    if (!/^[\x21-\x7e]+$/.test(value)) {
      setText(
        mistake,
        "Fill in the token: letters, digits and signs without spaces.",
      );
      field.focus();
      return;
    }
    token = value;
    sessionStorage.setItem(TOKEN, token);
    field.value = "";
    dialog.close();
    begin();
  });
  onUse(element("sign-out"), () => {
    token = null;
    sessionStorage.removeItem(TOKEN);
    onForget();
    paintSignOut();
    ask("");
  });

  return {
    /** The token, `null` without one. */
    token: () => token,
    /** The signal of the present session. */
    signal: () => session.signal,
    /** Asks for a token, and says why. */
    ask,
    /** Begins a session. */
    begin,
  };
}
