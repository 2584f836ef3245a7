// Copyright 2026 the Longrun authors. MIT license.

/**
 * The elements of the control page: found, made, written where they differ and
 * nowhere else, taken out of use, and kept in step with lists.
 *
 * @module
 */

/** The element of the page with this identifier. */
export function element(id) {
  return document.getElementById(id);
}

/** Creates an element with a class and texts or elements in it. */
export function create(name, className, ...children) {
  const node = document.createElement(name);
  if (className !== "") node.className = className;
  node.append(...children);
  return node;
}

/** Sets a text and leaves the element alone if it has it already. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value === null) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

export function setHidden(node, isHidden) {
  if (node.hidden !== isHidden) node.hidden = isHidden;
}

export function setClass(node, className) {
  if (node.className !== className) node.className = className;
}

/**
 * Takes a control out of use, or puts it back. It stays where it is and can
 * have the focus, so that its reason can be found.
 */
export function setOutOfUse(control, isOut) {
  setAttribute(control, "aria-disabled", isOut ? "true" : null);
}

/** Takes a control out of use where there is a reason, and says it. */
export function setReason(control, place, reason) {
  setOutOfUse(control, reason !== null);
  setText(place, reason ?? "");
}

/** Whether a control is out of use. */
export function isOutOfUse(control) {
  return control.getAttribute("aria-disabled") === "true";
}

/** Does something when a control is clicked that is not out of use. */
export function onUse(control, use) {
  control.addEventListener("click", (event) => {
    if (!isOutOfUse(control)) use(event);
  });
}

/**
 * Keeps the children of an element in step with a list: those of items that are
 * the same stay untouched, those of items that have changed are updated, and
 * none is made anew, so that the focus stays.
 *
 * @param container The element.
 * @param keyOf The key of an item.
 * @param make Makes `{ node, update(item) }` for a key.
 * @param whereFocusGoes What has the focus when its element goes.
 */
export function keyedList(container, keyOf, make, whereFocusGoes) {
  const rows = new Map();
  return (items) => {
    const keys = new Set(items.map(keyOf));
    for (const [key, row] of rows) {
      if (keys.has(key)) continue;
      if (row.node.contains(document.activeElement)) whereFocusGoes?.focus();
      row.node.remove();
      rows.delete(key);
    }
    let at = container.firstElementChild;
    for (const item of items) {
      const key = keyOf(item);
      let row = rows.get(key);
      if (row === undefined) {
        row = { ...make(key), item: undefined };
        rows.set(key, row);
      }
      if (row.item !== item) {
        row.item = item;
        row.update(item);
      }
      if (row.node === at) at = at.nextElementSibling;
      else container.insertBefore(row.node, at);
    }
  };
}
