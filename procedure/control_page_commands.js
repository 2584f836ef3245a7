// Copyright 2026 the Longrun authors. MIT license.

/**
 * What the reader of the control page may ask of the service: to prepare, start
 * and stop a procedure, to run an activity, and what scripts do about QA. What
 * can do harm is asked again in a dialog.
 *
 * @module
 */

import {
  element,
  isOutOfUse,
  onUse,
  setText,
} from "./control_page_elements.js";
import {
  readActivityForm,
  readPrepareForm,
  readStartForm,
} from "./control_page_forms.js";
import { onSubmit } from "./control_page_inputs.js";
import { showFailure, showNotice } from "./control_page_notices.js";
import { hasEnded, scriptText } from "./control_page_texts.js";

function showProcedure(pid) {
  location.hash = `#procedure/${pid}`;
}

/**
 * A button that opens a dialog before it does something. `ask` fills the dialog
 * in, and says whether there is something to ask.
 */
function onConfirm(id, name, { ask = () => true, act }) {
  const dialog = element(`${name}-dialog`);
  onUse(element(id), () => {
    if (ask()) dialog.showModal();
  });
  element(`${name}-cancel`).addEventListener("click", () => dialog.close());
  element(`${name}-form`).addEventListener("submit", async (event) => {
    event.preventDefault();
    dialog.close();
    try {
      await act();
    } catch (error) {
      showFailure(error);
    }
  });
}

/** Listens to what the reader asks for. */
export function listenForCommands({ store, client }) {
  const { dispatch } = store;

  /** Asks something of a procedure. Meanwhile it is not asked again. */
  async function change(pid, what, body) {
    dispatch({ type: "asked", pid, what });
    try {
      return await client.send("PUT", `/procedures/${pid}`, body);
    } finally {
      dispatch({ type: "asked", pid, what: null });
    }
  }

  const chosen = () => store.state.chosen;

  onSubmit("prepare-form", {
    read: readPrepareForm,
    async send(body) {
      const summary = await client.send("POST", "/procedures", body);
      dispatch({ type: "procedure", summary });
      showNotice(`Procedure ${summary.id} is being prepared.`, false);
      showProcedure(summary.id);
    },
  });

  onSubmit("activity-form", {
    read: readActivityForm,
    async send(body) {
      const summary = await client.send("POST", "/activities", body);
      dispatch({ type: "activity", summary });
      showNotice(`Activity ${summary.id} was asked for.`, false);
      const pid = summary.procedure_id ?? null;
      if (pid !== null) showProcedure(pid);
    },
  });

  onSubmit("start-form", {
    read: readStartForm,
    about: chosen,
    async send(body) {
      const summary = await change(chosen(), "start", body);
      dispatch({ type: "procedure", summary });
    },
    onLate(pid, { message }) {
      showNotice(`Procedure ${pid}: ${message}`, true);
    },
  });

  let stopping = null;
  onConfirm("stop", "stop", {
    ask() {
      stopping = chosen();
      const procedure = store.state.procedures.get(stopping);
      // What is shown may be older than what is known.
      if (procedure === undefined) return false;
      setText(element("stop-dialog-heading"), `Stop procedure ${stopping}?`);
      setText(
        element("stop-dialog-text"),
        `${scriptText(procedure.script)}, ${procedure.state}`,
      );
      element("stop-abort").checked = false;
      return true;
    },
    async act() {
      const pid = stopping;
      const procedure = store.state.procedures.get(pid);
      if (procedure === undefined || hasEnded(procedure.state)) {
        showNotice(`Procedure ${pid} had ended before.`, false);
        return;
      }
      const abort = element("stop-abort").checked;
      const answer = await change(pid, "stop", { state: "STOPPED", abort });
      showNotice(
        answer?.abort_message ?? `Procedure ${pid} was asked to stop.`,
        false,
      );
      dispatch({ type: "stale" });
    },
  });

  element("qa").addEventListener("click", async (event) => {
    // The switch shows what the service says, not what was asked for.
    event.preventDefault();
    const { context: known } = store.state;
    if (isOutOfUse(element("qa")) || known === null) return;
    const wanted = !known.waitForQaReady;
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
      showFailure(error);
    }
  });
  onConfirm("qa-override", "qa", {
    async act() {
      await client.send("POST", "/operator/wait_for_qa_ready/override", {});
      showNotice("The scripts that wait for QA were told to go on.", false);
    },
  });

  const { elements } = element("prepare-form");
  for (const kind of elements.script_type) {
    kind.addEventListener("change", () => {
      const isGit = elements.script_type.value === "git";
      element("git-fields").hidden = !isGit;
      setText(
        element("script-uri-hint"),
        isGit
          ? "git:// and the path in the repository"
          : "file:// and an absolute path on the machine of the service",
      );
    });
  }
}
