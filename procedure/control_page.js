// Copyright 2026 the Longrun authors. MIT license.

/**
 * The control page: puts its parts together.
 *
 * @module
 */

import { ApiError, createClient, findApi } from "./control_page_client.js";
import {
  element,
  isOutOfUse,
  onUse,
  setReason,
  setText,
} from "./control_page_elements.js";
import {
  readActivityForm,
  readHash,
  readPrepareForm,
  readStartForm,
} from "./control_page_forms.js";
import { initialState, reduce } from "./control_page_model.js";
import { hideNotice, showNotice } from "./control_page_notices.js";
import { OUTPUT_LINES, wantsOutput } from "./control_page_output.js";
import { follow } from "./control_page_stream.js";
import { hasEnded, scriptText } from "./control_page_texts.js";
import { createViews } from "./control_page_views.js";
import { readPage } from "./control_page_wire.js";

const TOKEN = "longrun.token";
const PAINTS_APART = 100;
const TITLES_APART = 500;
const RELOADS_APART = 1_000;
const OUTPUT_APART = 250;
const OUTPUT_PAGE = 1_000;
const DRAFTS = 200;

const views = createViews();
let state = initialState();
let token = sessionStorage.getItem(TOKEN);
let session = new AbortController();

const api = findApi(
  location.pathname,
  document.querySelector("meta[name=longrun-base-path]").content,
);
const client = createClient({
  api,
  token: () => token,
  onUnauthorized: askForToken,
});

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

// What is known and what is shown

let isPaintDue = false;
let isTitleDue = false;
let nextPaint = -Infinity;

function paint() {
  isPaintDue = false;
  const began = performance.now();
  nextPaint = began + PAINTS_APART;
  views.paint(state);
  // Where a paint takes long, most of the time stays free for the reader.
  setTimeout(() => {
    const took = performance.now() - began;
    nextPaint = began + Math.min(Math.max(PAINTS_APART, 3 * took), 1_000);
  });
}

function dispatch(action) {
  state = reduce(state, action);
  if (!isPaintDue) {
    isPaintDue = true;
    const early = nextPaint - performance.now();
    if (early <= 0) requestAnimationFrame(paint);
    else setTimeout(() => requestAnimationFrame(paint), early);
  }
  // No frame comes while the tab is in the background.
  if (!isTitleDue) {
    isTitleDue = true;
    setTimeout(() => {
      isTitleDue = false;
      views.paintTitle(state);
    }, TITLES_APART);
  }
  if (state.reloads > reloaded) reload();
  if (wantsOutput(state)) fetchOutput();
}

setInterval(() => {
  if (!document.hidden) views.tick(state);
}, 1_000);

// Lists

let reloaded = 0;
let isReloading = false;

async function load() {
  const { signal } = session;
  const since = state.sequence;
  const absent = (error) =>
    error instanceof ApiError && [404, 405, 501].includes(error.status);
  await Promise.all([
    (async () => {
      const list = await client.get("/procedures", signal);
      if (!signal.aborted) dispatch({ type: "procedures", list, since });
    })(),
    (async () => {
      try {
        const list = await client.get("/activities", signal);
        if (!signal.aborted) dispatch({ type: "activities", list, since });
      } catch (error) {
        if (!absent(error)) throw error;
        const reason = "This service runs no activities";
        dispatch({ type: "no-activities", reason });
      }
    })(),
    (async () => {
      try {
        const context = await client.get("/context", signal);
        if (!signal.aborted) dispatch({ type: "context", context });
      } catch (error) {
        if (!absent(error)) throw error;
        dispatch({ type: "no-context", reason: "Not offered by this service" });
      }
    })(),
  ]);
}

async function reload() {
  if (isReloading) return;
  isReloading = true;
  const { signal } = session;
  while (state.reloads > reloaded && !signal.aborted) {
    const upTo = state.reloads;
    try {
      await load();
      reloaded = Math.max(reloaded, upTo);
    } catch (error) {
      // Without a connection the lists are loaded as soon as there is one.
      if (state.connection.status !== "live") reloaded = upTo;
      else if (!signal.aborted && error.status !== 401) {
        showNotice(`The lists could not be loaded: ${error.message}`, true);
      }
    }
    await pause(RELOADS_APART);
  }
  isReloading = false;
  if (state.reloads > reloaded && !session.signal.aborted) reload();
}

// Output

let isFetching = false;

async function fetchOutput() {
  if (isFetching) return;
  isFetching = true;
  while (wantsOutput(state) && !session.signal.aborted) {
    const { pid, next: after, wanted, had } = state.output;
    const within = session;
    let wait = OUTPUT_APART;
    try {
      const path =
        `/procedures/${pid}/output?after=${after}&limit=${OUTPUT_PAGE}`;
      const page = await client.get(path, session.signal);
      const { lines = [], next } = page ?? {};
      const isFull = lines.length >= OUTPUT_PAGE;
      if (isFull) wait = 0;
      dispatch({
        type: "output",
        pid,
        after,
        lines,
        next,
        had: isFull ? had : wanted,
      });
    } catch (error) {
      if (error.status === 401) break;
      if (session !== within) continue;
      // One that is gone has no output.
      if (error.status === 404) {
        dispatch({
          type: "output",
          pid,
          after,
          lines: [],
          next: after,
          had: wanted,
        });
      }
      wait = 2_000;
    }
    await Promise.race([pause(wait), hasChosen.promise]);
  }
  isFetching = false;
}

async function showEarlier() {
  const { pid, lines } = state.output;
  const first = lines[0]?.line ?? 1;
  const found = [];
  let after = Math.max(0, first - 1 - OUTPUT_LINES);
  try {
    while (after < first - 1) {
      const limit = Math.min(OUTPUT_PAGE, first - 1 - after);
      const path = `/procedures/${pid}/output?after=${after}&limit=${limit}`;
      const { lines } = readPage(await client.get(path, session.signal));
      if (lines.length === 0) break;
      found.push(...lines.filter(({ line }) => line < first));
      after = lines.at(-1).line;
    }
    if (found.length > 0) {
      dispatch({ type: "earlier-output", pid, lines: found });
    } else showNotice("The service keeps no earlier lines.", false);
  } catch (error) {
    tellFailure(error);
  }
}

// The stream

function connect() {
  const { signal } = session;
  let brokenSince = null;
  dispatch({
    type: "connection",
    connection: { status: "connecting", since: Date.now() },
  });
  follow({
    signal,
    open: (lastId, signal) =>
      client.open(
        "/stream",
        {
          Accept: "text/event-stream",
          ...(lastId === null ? {} : { "Last-Event-ID": lastId }),
        },
        signal,
      ),
    onEvents(events) {
      if (!signal.aborted) dispatch({ type: "events", events });
    },
    onLive() {
      brokenSince = null;
      dispatch({
        type: "connection",
        connection: { status: "live", since: Date.now() },
      });
      // What happened while nobody listened is in the lists.
      dispatch({ type: "stale" });
    },
    onLost(reason) {
      brokenSince ??= Date.now();
      dispatch({
        type: "connection",
        connection: { status: "reconnecting", since: brokenSince, reason },
      });
    },
    wait: (milliseconds, signal) =>
      new Promise((resolve) => {
        const end = () => {
          clearTimeout(timer);
          globalThis.removeEventListener("online", end);
          signal.removeEventListener("abort", end);
          resolve();
        };
        const timer = setTimeout(end, milliseconds);
        globalThis.addEventListener("online", end);
        signal.addEventListener("abort", end);
      }),
  });
}

// Signing in and out

function paintSignOut() {
  setReason(
    element("sign-out"),
    element("sign-out-reason"),
    token === null ? "Not signed in with a token" : null,
  );
}

function askForToken(message) {
  session.abort();
  dispatch({
    type: "connection",
    connection: { status: "signed-out", since: Date.now() },
  });
  const dialog = element("token-dialog");
  setText(element("token-mistake"), message);
  if (dialog.open) return;
  // Only one dialog at a time, and this one comes first.
  for (const other of document.querySelectorAll("dialog[open]")) other.close();
  dialog.showModal();
}

function begin() {
  session.abort();
  session = new AbortController();
  paintSignOut();
  connect();
}

element("token-dialog").addEventListener("cancel", (event) => {
  event.preventDefault();
});
element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const value = element("token").value.trim();
  if (!/^[\x21-\x7e]+$/.test(value)) {
    setText(
      element("token-mistake"),
      "Fill in the token: letters, digits and signs without spaces.",
    );
    element("token").focus();
    return;
  }
  token = value;
  sessionStorage.setItem(TOKEN, token);
  element("token").value = "";
  element("token-dialog").close();
  begin();
});
onUse(element("sign-out"), () => {
  token = null;
  sessionStorage.removeItem(TOKEN);
  dispatch({ type: "forget" });
  reloaded = 0;
  paintSignOut();
  askForToken("");
});

// What is asked of the service

function tellFailure(error) {
  if (error.status !== 401) showNotice(error.message, true);
}

function fieldsOf(form) {
  return Object.fromEntries(new FormData(form));
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

/** Sends a form once it has no mistakes, once at a time. */
function onSubmit(id, read, send) {
  const form = element(id);
  let isSending = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    if (isSending || isOutOfUse(button)) return;
    const { body, mistakes } = read(fieldsOf(form));
    const refusal = form.querySelector(".refusal");
    setText(refusal, "");
    if (!showMistakes(form, mistakes)) return;
    isSending = true;
    try {
      await send(body);
    } catch (error) {
      if (error.status !== 401) setText(refusal, error.message);
    } finally {
      isSending = false;
    }
  });
}

onSubmit("prepare-form", readPrepareForm, async (body) => {
  const summary = await client.send("POST", "/procedures", body);
  dispatch({ type: "procedure", summary });
  showNotice(`Procedure ${summary.id} is being prepared.`, false);
  location.hash = `#procedure/${summary.id}`;
});

onSubmit("activity-form", readActivityForm, async (body) => {
  const summary = await client.send("POST", "/activities", body);
  dispatch({ type: "activity", summary });
  showNotice(`Activity ${summary.id} was asked for.`, false);
  const pid = summary.procedure_id ?? null;
  if (pid !== null) location.hash = `#procedure/${pid}`;
});

onSubmit("start-form", readStartForm, async (body) => {
  const pid = state.chosen;
  dispatch({ type: "asked", pid, what: "start" });
  try {
    const summary = await client.send("PUT", `/procedures/${pid}`, body);
    dispatch({ type: "procedure", summary });
  } finally {
    dispatch({ type: "asked", pid, what: null });
  }
});

let stopping = null;

onUse(element("stop"), () => {
  stopping = state.chosen;
  const procedure = state.procedures.get(stopping);
  setText(element("stop-dialog-heading"), `Stop procedure ${stopping}?`);
  setText(
    element("stop-dialog-text"),
    `${scriptText(procedure.script)}, ${procedure.state}`,
  );
  element("stop-abort").checked = false;
  element("stop-dialog").showModal();
});
element("stop-cancel").addEventListener("click", () => {
  element("stop-dialog").close();
});
element("stop-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const pid = stopping;
  const abort = element("stop-abort").checked;
  element("stop-dialog").close();
  const procedure = state.procedures.get(pid);
  if (procedure === undefined || hasEnded(procedure.state)) {
    showNotice(`Procedure ${pid} had ended before.`, false);
    return;
  }
  dispatch({ type: "asked", pid, what: "stop" });
  try {
    const body = { state: "STOPPED", abort };
    const answer = await client.send("PUT", `/procedures/${pid}`, body);
    showNotice(
      answer?.abort_message ?? `Procedure ${pid} was asked to stop.`,
      false,
    );
    dispatch({ type: "stale" });
  } catch (error) {
    tellFailure(error);
  } finally {
    dispatch({ type: "asked", pid, what: null });
  }
});

element("qa").addEventListener("click", async (event) => {
  // The switch shows what the service says, not what was asked for.
  event.preventDefault();
  if (isOutOfUse(element("qa"))) return;
  const wanted = !state.context.waitForQaReady;
  try {
    const body = { wait_for_qa_ready: wanted };
    const context = await client.send("PUT", "/context", body);
    dispatch({ type: "context", context: context ?? body });
    showNotice(
      wanted
        ? "Scripts that start from now on wait for QA."
        : "Scripts that start from now on do not wait for QA.",
      false,
    );
  } catch (error) {
    tellFailure(error);
  }
});
onUse(element("qa-override"), () => element("qa-dialog").showModal());
element("qa-cancel").addEventListener("click", () => {
  element("qa-dialog").close();
});
element("qa-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  element("qa-dialog").close();
  try {
    await client.send("POST", "/operator/wait_for_qa_ready/override", {});
    showNotice("The scripts that wait for QA were told to go on.", false);
  } catch (error) {
    tellFailure(error);
  }
});

// Which procedure is shown

let hasChosen = Promise.withResolvers();
const drafts = new Map();

/** Each procedure keeps what was filled in for its start. */
function swapDrafts(before, after) {
  const form = element("start-form");
  const names = ["main_kwargs", "main_args"];
  if (before !== null) {
    drafts.delete(before);
    drafts.set(before, names.map((name) => form.elements[name].value));
    if (drafts.size > DRAFTS) drafts.delete(drafts.keys().next().value);
  }
  const values = drafts.get(after) ?? ["", ""];
  names.forEach((name, index) => {
    form.elements[name].value = values[index];
  });
  showMistakes(form, new Map());
  setText(form.querySelector(".refusal"), "");
}

function choose() {
  const pid = readHash(location.hash);
  if (pid === null && location.hash !== "") return;
  if (pid === state.chosen) return;
  swapDrafts(state.chosen, pid);
  dispatch({ type: "choose", pid });
  hasChosen.resolve();
  hasChosen = Promise.withResolvers();
  if (pid !== null && matchMedia("(max-width: 62rem)").matches) {
    element("detail-heading").focus();
    element("detail").scrollIntoView();
  }
}

addEventListener("hashchange", choose);
element("all-events").addEventListener("change", () => views.paint(state));
onUse(element("output-earlier"), showEarlier);
onUse(element("output-latest"), () => dispatch({ type: "latest-output" }));
element("notice-close").addEventListener("click", () => {
  hideNotice();
  element("detail-heading").focus();
});
for (const kind of element("prepare-form").elements.script_type) {
  kind.addEventListener("change", () => {
    const isGit = element("prepare-form").elements.script_type.value === "git";
    element("git-fields").hidden = !isGit;
    setText(
      element("script-uri-hint"),
      isGit
        ? "git:// and the path in the repository"
        : "file:// and an absolute path on the machine of the service",
    );
  });
}

begin();
choose();
