// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { CommandHandle } from "./_lrc_client.ts";
import type { LrcCallback, LrcSettings } from "./_lrc_client_options.ts";
import {
  CommandError,
  invocationError,
  ResultCodeError,
  show,
} from "./_lrc_errors.ts";
import { commandNameOf, listOf, parseResultCode } from "./_lrc_messages.ts";
import { codeOfError, failureOf, type LrcResult } from "./_lrc_outcome.ts";
import { lease, type LrcLease } from "./_lrc_scheduler.ts";
import { UNKNOWN_STATE } from "./_lrc_state.ts";
import { sendAbort } from "./_lrc_timeout.ts";
import { followPromise } from "./_promise_fanout.ts";
import { report } from "./_report.ts";
import { abortable, CancelScope } from "./cancellation.ts";
import { type DeviceProxy, ResultCode } from "./device_proxy.ts";

/** A command and whom it is for. */
export interface Invocation<R> {
  readonly callback: LrcCallback | null;
  readonly proxy: DeviceProxy;
  readonly command: string;
  readonly argument: unknown;
  readonly settings: LrcSettings<R>;
}

/** The most of an argument that is shown in an error. */
const MOST_SHOWN = 200;

/** Sends a command, once its events are listened to. */
export async function begin<R>(
  invocation: Invocation<R>,
): Promise<CommandHandle<R>> {
  const { callback, proxy, command, settings } = invocation;
  const { clock, timeout } = settings;
  settings.signal?.throwIfAborted();
  const deadline = clock.now() + timeout;
  const limit = new Limit(
    `Command '${command}' of '${proxy.name}' was not accepted`,
    settings,
  );
  const { signal } = limit;
  let share: LrcLease | undefined;
  try {
    const joined = share = await join(invocation.proxy, settings, signal);
    await joined.stream.confirm(signal);
    const expectation = joined.stream.expect();
    let commandId: string;
    try {
      commandId = await send(invocation, limit);
    } catch (error) {
      expectation.cancel();
      throw error;
    }
    const handle = new CommandHandle({
      proxy,
      subject: { device: proxy.name, command, commandId },
      lease: joined,
      settings,
      callback,
      deadline,
      isAttached: false,
      listen: (listener) => expectation.claim(commandId, listener),
    });
    handle.begin();
    return handle;
  } catch (error) {
    share?.release();
    throw error;
  } finally {
    limit.end();
  }
}

/** Listens to a command that was sent earlier. */
export async function attach<R>(
  callback: LrcCallback | null,
  proxy: DeviceProxy,
  commandId: string,
  command: string | undefined,
  settings: LrcSettings<R>,
): Promise<CommandHandle<R>> {
  settings.signal?.throwIfAborted();
  const deadline = settings.clock.now() + settings.timeout;
  const name = command ?? commandNameOf(commandId) ?? "";
  const limit = new Limit(
    `Command '${commandId}' of '${proxy.name}' was not attached to`,
    settings,
  );
  try {
    const share = await join(proxy, settings, limit.signal);
    const handle = new CommandHandle({
      proxy,
      subject: { device: proxy.name, command: name, commandId },
      lease: share,
      settings,
      callback,
      deadline,
      isAttached: true,
      listen: (listener) => share.stream.listen(commandId, listener),
    });
    handle.begin();
    return handle;
  } finally {
    limit.end();
  }
}

/** Sends a command and waits for its end. Never rejects. */
export async function execute<R>(
  invocation: Invocation<R>,
): Promise<LrcResult<R>> {
  const { proxy, command, settings } = invocation;
  try {
    return await (await begin(invocation)).done;
  } catch (error) {
    const subject = { device: proxy.name, command, commandId: undefined };
    const code = codeOfError(error, settings.signal);
    return failureOf(subject, UNKNOWN_STATE, error, code);
  }
}

function join<R>(
  proxy: DeviceProxy,
  settings: LrcSettings<R>,
  signal: AbortSignal,
): Promise<LrcLease> {
  const { scheduler, clock, logger, polls } = settings;
  return lease(scheduler, proxy, { hasEvents: !polls, clock, logger, signal });
}

/** Ends the wait for what comes before the handle of a command. */
class Limit {
  readonly #scope: CancelScope;
  readonly #cancel: () => void;
  isOverdue = false;

  /** @param sentence Says what was not done in time. */
  constructor(sentence: string, settings: LrcSettings<unknown>) {
    const { signal, clock, timeout } = settings;
    this.#scope = new CancelScope(signal);
    this.#cancel = timeout === Infinity ? () => {} : clock.setTimer(() => {
      this.isOverdue = true;
      this.#scope.abort(
        new DOMException(`${sentence} within ${timeout} ms`, "TimeoutError"),
      );
    }, timeout);
  }

  get signal(): AbortSignal {
    return this.#scope.signal;
  }

  end(): void {
    this.#cancel();
    this.#scope.dispose();
  }
}

/** Sends a command; returns its id. */
async function send<R>(
  invocation: Invocation<R>,
  limit: Limit,
): Promise<string> {
  const { proxy, command, argument, settings } = invocation;
  const { signal } = limit;
  // What was aborted since the device was subscribed to is not sent.
  signal.throwIfAborted();
  let sending: Promise<unknown> | undefined;
  try {
    sending = proxy.command(command, argument, { signal });
    const answer = await abortable(sending, signal);
    return readAnswer(command, answer);
  } catch (error) {
    if (error instanceof CommandError || error instanceof ResultCodeError) {
      throw error;
    }
    if (signal.aborted) {
      if (sending !== undefined) watch(sending, invocation);
      if (limit.isOverdue && settings.abortOnTimeout) {
        sendAbort(proxy, settings.logger);
      }
      throw error;
    }
    const shown = show(argument).slice(0, MOST_SHOWN);
    const desc = argument === undefined
      ? `Invocation of command '${command}' failed`
      : `Invocation of command '${command}' failed with ${shown}`;
    throw invocationError(error, desc);
  }
}

/** The id in the answer to a command. */
function readAnswer(command: string, answer: unknown): string {
  const [codes, texts] = Array.isArray(answer) ? answer : [];
  const [first] = listOf(codes);
  const code = parseResultCode(first);
  const [text] = listOf(texts);
  if (code === ResultCode.REJECTED) {
    throw new CommandError(command, typeof text === "string" ? text : "");
  }
  if (code !== ResultCode.QUEUED && code !== ResultCode.STARTED) {
    throw new ResultCodeError(command, code, answer);
  }
  if (typeof text !== "string" || text === "") {
    throw new ResultCodeError(command, undefined, answer);
  }
  return text;
}

/** A command that is accepted when nobody waits any more must not be secret. */
function watch<R>(sending: Promise<unknown>, invocation: Invocation<R>): void {
  const { proxy, command, settings } = invocation;
  const device = proxy.name;
  followPromise(sending, (answer) => {
    const sentence =
      `Command '${command}' of '${device}' was accepted when nobody waited`;
    report(settings.logger, "warn", sentence, { device, command, answer });
  }, () => {});
}
