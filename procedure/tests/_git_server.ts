// Copyright 2026 the Longrun authors. MIT license.

interface CgiAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
}

function readAnswer(bytes: Uint8Array<ArrayBuffer>): CgiAnswer {
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, 4096));
  const end = head.indexOf("\r\n\r\n");
  const headers = new Headers();
  let status = 200;
  for (const line of head.slice(0, end).split("\r\n")) {
    const [name = "", value = ""] = line.split(": ");
    if (name === "Status") status = Number.parseInt(value);
    else headers.set(name, value);
  }
  return { status, headers, body: bytes.slice(end + 4) };
}

/** Serves the repositories below a folder over HTTP, as real servers do. */
export class GitServer implements AsyncDisposable {
  /** How many packs were asked for. */
  fetches = 0;
  /** How many requests are to fail from now on. */
  failures = 0;
  /** What each request waits for. */
  gate: Promise<void> = Promise.resolve();
  readonly #root: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(root: string) {
    this.#root = root;
    this.#server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {},
      handler: (request) => this.#answer(request),
    });
  }

  url(name: string): string {
    return `http://127.0.0.1:${this.#server.addr.port}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #answer(request: Request): Promise<Response> {
    const body = new Uint8Array(await request.arrayBuffer());
    await this.gate;
    if (this.failures > 0) {
      this.failures--;
      return new Response("Out of order", { status: 500 });
    }
    const { pathname, search } = new URL(request.url);
    // With the second version of the protocol the refs are asked for likewise.
    const text = new TextDecoder("latin1").decode(body);
    if (text.includes("command=fetch")) this.fetches++;
    const child = new Deno.Command("git", {
      args: ["http-backend"],
      env: {
        CONTENT_LENGTH: String(body.length),
        CONTENT_TYPE: request.headers.get("content-type") ?? "",
        GIT_CONFIG_GLOBAL: "/dev/null",
        GIT_HTTP_EXPORT_ALL: "1",
        GIT_PROJECT_ROOT: this.#root,
        GIT_PROTOCOL: request.headers.get("git-protocol") ?? "",
        HTTP_CONTENT_ENCODING: request.headers.get("content-encoding") ?? "",
        PATH_INFO: pathname,
        QUERY_STRING: search.slice(1),
        REQUEST_METHOD: request.method,
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(body).catch(() => {});
    await writer.close().catch(() => {});
    const { stdout } = await child.output();
    const answer = readAnswer(stdout);
    return new Response(answer.body, answer);
  }
}
