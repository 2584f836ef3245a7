// Copyright 2026 the Longrun authors. MIT license.

type Fetch = (request: Request) => Promise<Response>;

/** The way to a handler, without sockets, which may break. */
export class Way {
  readonly #fetch: Fetch;
  readonly #cuts: Set<(reason: unknown) => void> = new Set();
  /** All requests that were sent, as method and path. */
  readonly requests: string[] = [];
  /** The ids that streams were to go on from. */
  readonly lastIds: (string | null)[] = [];
  isDown = false;
  /** Answers in the place of the handler. */
  instead: ((request: Request) => Response | undefined) | undefined = undefined;

  constructor(fetch: Fetch) {
    this.#fetch = fetch;
  }

  /** How many streams are open. */
  get streams(): number {
    return this.#cuts.size;
  }

  readonly fetch = async (request: Request): Promise<Response> => {
    const { pathname, search } = new URL(request.url);
    const path = pathname.replace(/^.*\/devices\/[^/]*/, "");
    this.requests.push(`${request.method} ${path}${search}`);
    if (path === "/events") {
      this.lastIds.push(request.headers.get("last-event-id"));
    }
    if (this.isDown) throw new TypeError("connection refused");
    const response = this.instead?.(request) ?? await this.#fetch(request);
    const { body, headers } = response;
    const isStream = headers.get("content-type") === "text/event-stream";
    if (body === null || !isStream) return response;
    return new Response(this.#breakable(body), response);
  };

  /** Breaks all streams; with `lasting` nothing gets through from now on. */
  cut(lasting = false): void {
    this.isDown = lasting;
    for (const cut of [...this.#cuts]) cut(new TypeError("connection reset"));
  }

  #breakable(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const reader = body.getReader();
    const cuts = this.#cuts;
    let cut: (reason: unknown) => void = () => {};
    return new ReadableStream({
      start(controller) {
        cut = (reason) => {
          cuts.delete(cut);
          controller.error(reason);
          reader.cancel().catch(() => {});
        };
        cuts.add(cut);
      },
      async pull(controller) {
        const { done, value } = await reader.read();
        if (!cuts.has(cut)) return;
        if (!done) {
          controller.enqueue(value);
          return;
        }
        cuts.delete(cut);
        controller.close();
      },
      async cancel() {
        cuts.delete(cut);
        await reader.cancel();
      },
    }, { highWaterMark: 0 });
  }
}
