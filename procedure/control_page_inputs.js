// Copyright 2026 the Longrun authors. MIT license.

/**
 * What is filled in on the control page: sent once at a time and without
 * mistakes, and kept where the reader looks at something else in between.
 *
 * @module
 */

import { element, isOutOfUse, setText } from "./control_page_elements.js";

const DRAFTS = 200;

function setRefusal(form, text) {
  setText(form.querySelector(".refusal"), text);
}

/** Shows what is wrong, and takes the reader to the first of it. */
function showMistakes(form, mistakes) {
  let first = null;
  for (const place of form.querySelectorAll("[data-for]")) {
    const mistake = mistakes.get(place.dataset.for);
    const field = form.elements[place.dataset.for];
    setText(place, mistake ?? "");
    if (mistake === undefined) field.removeAttribute("aria-invalid");
    else {
      field.setAttribute("aria-invalid", "true");
      first ??= field;
    }
  }
  if (first === null) return true;
  first.closest("details").open = true;
  first.focus();
  return false;
}

/**
 * Sends a form once it has no mistakes, once at a time for each of what `about`
 * says that it is about. `onLate` is told of what was refused when the form was
 * about something else already.
 */
export function onSubmit(id, { read, send, about = () => null, onLate }) {
  const form = element(id);
  const sending = new Set();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    const key = about();
    if (sending.has(key) || isOutOfUse(button)) return;
    const { body, mistakes } = read(Object.fromEntries(new FormData(form)));
    setRefusal(form, "");
    if (!showMistakes(form, mistakes)) return;
    sending.add(key);
    try {
      await send(body);
    } catch (error) {
      if (error.status === 401) return;
      if (about() === key) setRefusal(form, error.message);
      else onLate(key, error);
    } finally {
      sending.delete(key);
    }
  });
}

/**
 * Keeps what was filled in for each of many things in one form. What is returned
 * is called with the key of what was shown, and that of what is shown now.
 */
export function createDrafts(id, names) {
  const form = element(id);
  const drafts = new Map();
  return (before, after) => {
    const fields = names.map((name) => form.elements[name]);
    if (before !== null) {
      drafts.delete(before);
      drafts.set(before, fields.map(({ value }) => value));
      if (drafts.size > DRAFTS) drafts.delete(drafts.keys().next().value);
    }
    const values = drafts.get(after);
    fields.forEach((field, index) => {
      field.value = values?.[index] ?? "";
    });
    showMistakes(form, new Map());
    setRefusal(form, "");
  };
}
