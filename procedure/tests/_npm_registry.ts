// Copyright 2026 the Longrun authors. MIT license.

import { createHash } from "node:crypto";
import { join } from "node:path";

/** A registry of one package, "tiny", whose scripts leave a trace. */
export class NpmRegistry implements AsyncDisposable {
  /** What was asked for, with what authorization. */
  readonly requests: string[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #tarball: Uint8Array<ArrayBuffer>;
  readonly #scripts: Readonly<Record<string, string>>;

  private constructor(
    tarball: Uint8Array<ArrayBuffer>,
    scripts: Readonly<Record<string, string>>,
  ) {
    this.#tarball = tarball;
    this.#scripts = scripts;
    this.#server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {},
      handler: (request) => this.#answer(request),
    });
  }

  static async start(folder: string, trap: string): Promise<NpmRegistry> {
    const scripts = Object.fromEntries(
      ["preinstall", "install", "postinstall"]
        .map((name) => [name, `touch ${trap}`]),
    );
    const manifest = { name: "tiny", version: "1.0.0", main: "i.js", scripts };
    await Deno.mkdir(join(folder, "package"), { recursive: true });
    const write = (name: string, text: string) =>
      Deno.writeTextFile(join(folder, "package", name), text);
    await write("package.json", JSON.stringify(manifest));
    await write("i.js", "module.exports = 42;");
    const { stdout } = await new Deno.Command("tar", {
      args: ["-C", folder, "-cz", "package"],
    }).output();
    return new NpmRegistry(stdout, scripts);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  #answer(request: Request): Response {
    const authorization = request.headers.get("authorization") ?? "";
    const { pathname } = new URL(request.url);
    this.requests.push(`${pathname} ${authorization}`.trim());
    if (pathname.endsWith(".tgz")) return new Response(this.#tarball);
    const hash = createHash("sha512").update(this.#tarball).digest("base64");
    const version = {
      name: "tiny",
      version: "1.0.0",
      hasInstallScript: true,
      scripts: this.#scripts,
      dist: { tarball: `${this.url}tiny.tgz`, integrity: `sha512-${hash}` },
    };
    return Response.json({
      name: "tiny",
      "dist-tags": { latest: "1.0.0" },
      versions: { "1.0.0": version },
      time: { "1.0.0": "2020-01-01T00:00:00Z" },
    });
  }
}
