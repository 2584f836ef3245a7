// Copyright 2026 the Longrun authors. MIT license.

/**
 * The control page: puts its parts together.
 *
 * @module
 */

import { createClient, findApi } from "./control_page_client.js";
import { listenForCommands } from "./control_page_commands.js";
import { element, onUse } from "./control_page_elements.js";
import { readHash } from "./control_page_forms.js";
import { createDrafts } from "./control_page_inputs.js";
import {
  createListLoader,
  createOutputLoader,
} from "./control_page_loading.js";
import { initialState, reduce } from "./control_page_model.js";
import { hideNotice, showFailure, showNotice } from "./control_page_notices.js";
import { createPainter } from "./control_page_painter.js";
import { createSignIn } from "./control_page_sign_in.js";
import { follow } from "./control_page_stream.js";
import { createViews } from "./control_page_views.js";

const views = createViews();
const store = {
  state: initialState(),
  dispatch(action) {
    store.state = reduce(store.state, action);
    repaint();
    lists.look();
    output.look();
  },
};
const repaint = createPainter({
  paint: () => views.paint(store.state),
  paintTitle: () => views.paintTitle(store.state),
  onFrame: requestAnimationFrame,
});
const signIn = createSignIn({
  onBegin: connect,
  onEnd: () => setConnection("signed-out"),
  onForget() {
    store.dispatch({ type: "forget" });
    lists.forget();
  },
});
const client = createClient({
  api: findApi(
    location.pathname,
    document.querySelector("meta[name=longrun-base-path]").content,
  ),
  token: signIn.token,
  onUnauthorized: signIn.ask,
});
const loading = { store, client, session: signIn.signal };
const lists = createListLoader({
  ...loading,
  onFailure: (message) => showNotice(message, true),
});
const output = createOutputLoader(loading);

// The stream

function setConnection(status, since = Date.now(), reason) {
  const connection = { status, since, reason };
  store.dispatch({ type: "connection", connection });
}

/** Waits so long, or until the browser is online. */
function waitForNetwork(milliseconds, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      globalThis.removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    globalThis.addEventListener("online", end);
    signal.addEventListener("abort", end);
  });
}

function connect(signal) {
  let brokenSince = null;
  setConnection("connecting");
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
      if (!signal.aborted) store.dispatch({ type: "events", events });
    },
    onLive() {
      brokenSince = null;
      setConnection("live");
      // What happened while nobody listened is in the lists.
      store.dispatch({ type: "stale" });
    },
    onLost(reason) {
      brokenSince ??= Date.now();
      setConnection("reconnecting", brokenSince, reason);
    },
    wait: waitForNetwork,
  });
}

// Which procedure is shown

const swapDrafts = createDrafts("start-form", ["main_kwargs", "main_args"]);

function choose() {
  const pid = readHash(location.hash);
  if (pid === null && location.hash !== "") return;
  if (pid === store.state.chosen) return;
  swapDrafts(store.state.chosen, pid);
  store.dispatch({ type: "choose", pid });
  if (pid !== null && matchMedia("(max-width: 62rem)").matches) {
    element("detail-heading").focus();
    element("detail").scrollIntoView();
  }
}

// What the reader does

listenForCommands({ store, client });
addEventListener("hashchange", choose);
element("all-events").addEventListener("change", () => {
  views.paint(store.state);
});
onUse(element("output-earlier"), async () => {
  try {
    if (await output.earlier()) return;
    showNotice("The service keeps no earlier lines.", false);
  } catch (error) {
    showFailure(error);
  }
});
onUse(element("output-latest"), () => {
  store.dispatch({ type: "latest-output" });
});
element("notice-close").addEventListener("click", () => {
  hideNotice();
  element("detail-heading").focus();
});
setInterval(() => {
  if (!document.hidden) views.tick(store.state);
}, 1_000);

signIn.begin();
choose();
