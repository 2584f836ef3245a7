// Copyright 2026 the Longrun authors. MIT license.

/**
 * Follows an operation of a REST API:
 * `deno run --allow-net=127.0.0.1 examples/follow_operation.ts`.
 *
 * A server on the loopback interface takes two seconds to survey the sky. It
 * is asked what the survey is at, is busy once, and is left in the middle: the
 * rest is followed from a text, as after a restart. Ctrl-C ends it early.
 */

import { followOperation, onAbort, type OperationHandle } from "../mod.ts";

const app = new AbortController();
const { signal } = app;
const interrupt = (): void =>
  app.abort(new DOMException("Interrupted", "AbortError"));
Deno.addSignalListener("SIGINT", interrupt);

/** A server with one operation, which begins with a POST. */
function serve(signal: AbortSignal): Deno.HttpServer<Deno.NetAddr> {
  const duration = 2000;
  let begun = 0;
  let asked = 0;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => {
      const { pathname } = new URL(request.url);
      if (request.method === "POST" && pathname === "/surveys") {
        begun = performance.now();
        return Response.json({ id: 1 }, {
          status: 202,
          headers: { "operation-location": "/operations/1" },
        });
      }
      if (pathname === "/surveys/1") return Response.json({ stars: 48_231 });
      if (pathname !== "/operations/1") {
        return new Response(null, { status: 404 });
      }
      if (++asked === 8) {
        return new Response(null, {
          status: 503,
          headers: { "retry-after": "0.5" },
        });
      }
      const part = Math.min((performance.now() - begun) / duration, 1);
      return Response.json({
        id: "1",
        status: part < 0.2 ? "Slewing" : part < 1 ? "Exposing" : "Succeeded",
        percentComplete: Math.round(part * 100),
        ...(part < 1 ? {} : { resourceLocation: "/surveys/1" }),
      });
    },
  );
  onAbort(signal, () => void server.shutdown());
  return server;
}

/** Prints what comes, until a part is done. */
async function show(handle: OperationHandle, until: number): Promise<void> {
  for await (
    const { status, stage = "Accepted", progress = 0, error } of handle
  ) {
    const bar = "#".repeat(progress / 5).padEnd(20, ".");
    const what = error === undefined
      ? stage
      : status === "running"
      ? `${error}, asks again`
      : String(error);
    console.log(`${bar} ${String(progress).padStart(3)} %  ${what}`);
    if (progress >= until) break;
  }
}

const server = serve(signal);
try {
  const url = `http://127.0.0.1:${server.addr.port}/surveys`;
  const response = await fetch(url, { method: "POST", signal });
  const options = { signal, interval: 200, timeout: 60_000 };

  let text: string;
  {
    await using handle = followOperation(response, options);
    await show(handle, 50);
    text = handle.serialize();
  }
  console.log(`left, to go on with ${text.length} characters`);

  const handle = followOperation<{ stars: number }>(text, options);
  await show(handle, Infinity);
  const { status, value, message } = await handle.done;
  const { asked, throttled } = handle.counters;
  console.log(
    status === "succeeded"
      ? `${value?.stars} stars`
      : `The survey: ${status}, ${message}`,
  );
  console.log(`asked ${asked} times more, ${throttled} times too early`);
} finally {
  app.abort();
  Deno.removeSignalListener("SIGINT", interrupt);
  await server.finished;
}
