// Copyright 2026 the Longrun authors. MIT license.
// This module is browser compatible.

import { callHook } from "./_hooks.ts";
import type { LrcSettings } from "./_lrc_client_options.ts";
import type { LrcSubject } from "./_lrc_outcome.ts";
import type { LrcState } from "./_lrc_state.ts";
import { report } from "./_report.ts";
import { type DeviceProxy, TaskStatus } from "./device_proxy.ts";

const nameOf = (status: TaskStatus | undefined): string =>
  Object.entries(TaskStatus).find(([, value]) => value === status)?.[0] ??
    "nothing";

/** The error of a command that took too long, with what was seen of it. */
export function timeoutOf(
  kind: "overall" | "idle",
  subject: LrcSubject,
  settings: LrcSettings<unknown>,
  state: LrcState,
  now: number,
): DOMException {
  const { timeout, extendOnProgress, idleTimeout, firstEventTimeout } =
    settings;
  const { status, progress, history } = state;
  const last = history.at(-1);
  const isFirst = last === undefined && progress === undefined;
  const extension = extendOnProgress > 0 && progress !== undefined
    ? `, nor within ${extendOnProgress} ms after its last progress`
    : "";
  const what = kind === "overall"
    ? `has not ended within ${timeout} ms${extension}`
    : isFirst
    ? `has told nothing within ${firstEventTimeout} ms`
    : `has told nothing new for ${idleTimeout} ms`;
  const seen = isFirst
    ? "nothing was seen of it"
    : `last seen ${nameOf(status)}` +
      (progress === undefined ? "" : `, progress ${progress}`) +
      (last === undefined ? "" : `, ${Math.round(now - last.time)} ms ago`);
  return new DOMException(
    `Command '${subject.command}' of '${subject.device}' ${what}: ${seen}`,
    "TimeoutError",
  );
}

/** Sends `Abort` to a device, and lets the logger know if that fails. */
export function sendAbort(
  proxy: DeviceProxy,
  logger: LrcSettings<unknown>["logger"],
): void {
  const device = proxy.name;
  callHook(
    () => proxy.command("Abort", undefined),
    (error) =>
      report(logger, "warn", `Device '${device}' could not be aborted`, {
        device,
        error,
      }),
  );
}
