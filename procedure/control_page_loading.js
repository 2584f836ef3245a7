// Copyright 2026 the Longrun authors. MIT license.
// @ts-check

/**
 * Fetches for the control page what events do not tell: the lists, and the
 * output of the chosen procedure. Each as soon as the state lacks something,
 * one request after the other, and not too often.
 *
 * @module
 */

import { ApiError } from "./control_page_client.js";
import { OUTPUT_LINES, wantsOutput } from "./control_page_output.js";
import { readPage } from "./control_page_wire.js";

/** @import { Client } from "./control_page_client.js" */
/** @import { Action, State } from "./control_page_model.js" */
/** @import { OutputLine } from "./control_page_wire.js" */

const RELOADS_APART = 1_000;
const OUTPUT_APART = 250;
const OUTPUT_RETRIES_APART = 2_000;
const OUTPUT_PAGE = 1_000;

/**
 * @typedef {object} Store
 * @property {State} state
 * @property {(action: Action) => void} dispatch
 *
 * @typedef {object} LoadingOptions
 * @property {Store} store
 * @property {Pick<Client, "get">} client
 * @property {() => AbortSignal} session Aborts when the reader signs out.
 */

/**
 * @param {number} milliseconds
 * @returns {Promise<void>}
 */
function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** @param {unknown} error */
const isAbsent = (error) =>
  error instanceof ApiError && [404, 405, 501].includes(error.status);

/**
 * @param {unknown} error
 * @returns {{ status?: number, message?: string }}
 */
const failureOf = (error) => /** @type {object} */ (error);

/**
 * Loads the lists whenever there is a reason to.
 *
 * @param {LoadingOptions & { onFailure: (message: string) => void }} options
 * @returns {{ look: () => void, forget: () => void }} `look` is called after
 * each change, `forget` when the state is forgotten.
 */
export function createListLoader({ store, client, session, onFailure }) {
  let reloaded = 0;
  let isLoading = false;

  /** @param {AbortSignal} signal */
  async function load(signal) {
    const since = store.state.sequence;
    /**
     * @param {string} path
     * @param {(answer: unknown) => Action} told
     * @param {Action} [absent] What it means where there is no such thing.
     */
    const get = async (path, told, absent) => {
      try {
        const answer = await client.get(path, signal);
        if (!signal.aborted) store.dispatch(told(answer));
      } catch (error) {
        if (absent === undefined || !isAbsent(error)) throw error;
        store.dispatch(absent);
      }
    };
    await Promise.all([
      get("/procedures", (list) => ({ type: "procedures", list, since })),
      get(
        "/activities",
        (list) => ({ type: "activities", list, since }),
        { type: "no-activities", reason: "This service runs no activities" },
      ),
      get(
        "/context",
        (context) => ({ type: "context", context }),
        { type: "no-context", reason: "Not offered by this service" },
      ),
    ]);
  }

  const isDue = () => store.state.reloads > reloaded;

  async function reload() {
    isLoading = true;
    const signal = session();
    while (isDue() && !signal.aborted) {
      const upTo = store.state.reloads;
      try {
        await load(signal);
        // Who signs in next begins to count anew.
        if (!signal.aborted) reloaded = Math.max(reloaded, upTo);
      } catch (error) {
        const { status, message } = failureOf(error);
        if (signal.aborted) break;
        // Without a connection the lists are loaded as soon as there is one.
        if (store.state.connection.status !== "live") reloaded = upTo;
        else if (status !== 401) {
          onFailure(`The lists could not be loaded: ${message}`);
        }
      }
      await pause(RELOADS_APART);
    }
    isLoading = false;
    if (!session().aborted) look();
  }

  function look() {
    if (isDue() && !isLoading) reload();
  }

  return {
    look,
    forget() {
      reloaded = 0;
    },
  };
}

/**
 * Fetches the output of the chosen procedure whenever there may be more of it.
 *
 * @param {LoadingOptions} options
 * @returns {{ look: () => void, earlier: () => Promise<boolean> }} `look` is
 * called after each change; `earlier` shows earlier lines, and says whether
 * there are any.
 */
export function createOutputLoader({ store, client, session }) {
  let isFetching = false;
  /** @type {number | null} */
  let chosen = null;
  let hurry = () => {};

  /**
   * Waits so long, or until another procedure is chosen.
   *
   * @param {number} milliseconds
   * @returns {Promise<void>}
   */
  const pauseForChoice = (milliseconds) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  /**
   * @param {number} pid
   * @param {number} after
   * @param {number} limit
   */
  const getPage = (pid, after, limit) =>
    client.get(
      `/procedures/${pid}/output?after=${after}&limit=${limit}`,
      session(),
    );

  async function fetchOutput() {
    isFetching = true;
    while (wantsOutput(store.state) && !session().aborted) {
      const { pid, next: after, wanted, had } = store.state.output;
      if (pid === null) break;
      const within = session();
      let wait = OUTPUT_APART;
      try {
        const page = await getPage(pid, after, OUTPUT_PAGE);
        const { lines = [], next } = /** @type {any} */ (page ?? {});
        const isFull = lines.length >= OUTPUT_PAGE;
        if (isFull) wait = 0;
        store.dispatch({
          type: "output",
          pid,
          after,
          lines,
          next,
          had: isFull ? had : wanted,
        });
      } catch (error) {
        const { status } = failureOf(error);
        if (status === 401) break;
        if (session() !== within) continue;
        // One that is gone has no output.
        if (status === 404) {
          store.dispatch({
            type: "output",
            pid,
            after,
            lines: [],
            next: after,
            had: wanted,
          });
        }
        wait = OUTPUT_RETRIES_APART;
      }
      await pauseForChoice(wait);
    }
    isFetching = false;
  }

  return {
    look() {
      const { output } = store.state;
      if (output.pid !== chosen) {
        chosen = output.pid;
        hurry();
      }
      if (wantsOutput(store.state) && !isFetching) fetchOutput();
    },
    async earlier() {
      const { pid, lines } = store.state.output;
      if (pid === null) return false;
      const first = lines[0]?.line ?? 1;
      /** @type {OutputLine[]} */
      const found = [];
      let after = Math.max(0, first - 1 - OUTPUT_LINES);
      while (after < first - 1) {
        const limit = Math.min(OUTPUT_PAGE, first - 1 - after);
        const { lines } = readPage(await getPage(pid, after, limit));
        const last = lines.at(-1);
        if (last === undefined) break;
        found.push(...lines.filter(({ line }) => line < first));
        after = last.line;
      }
      if (found.length === 0) return false;
      store.dispatch({ type: "earlier-output", pid, lines: found });
      return true;
    },
  };
}
