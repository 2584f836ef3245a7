// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { controlPage } from "../control_page.ts";

function get(path: string, init?: RequestInit): Promise<Response> {
  return controlPage(new Request(`http://127.0.0.1${path}`, init));
}

test("controlPage serves the page and all that it names", async () => {
  const seen = new Set<string>();
  const wanted = ["/ui"];
  for (const path of wanted) {
    if (seen.has(path)) continue;
    seen.add(path);
    const response = await get(path);
    assertEquals(response.status, 200, path);
    const text = await response.text();
    const base = `http://127.0.0.1${path}`;
    for (
      const [, name] of text.matchAll(
        /(?:href|src)="(ui\/[^"]+)"|from "(\.[^"]+)"/g,
      ).map(([all, one, two]) => [all, one ?? two ?? ""])
    ) wanted.push(new URL(name ?? "", base).pathname);
  }

  assertEquals([...seen].sort(), [
    "/ui",
    "/ui/control_page.css",
    "/ui/control_page.js",
    "/ui/control_page_client.js",
    "/ui/control_page_commands.js",
    "/ui/control_page_elements.js",
    "/ui/control_page_forms.js",
    "/ui/control_page_inputs.js",
    "/ui/control_page_loading.js",
    "/ui/control_page_model.js",
    "/ui/control_page_notices.js",
    "/ui/control_page_output.js",
    "/ui/control_page_painter.js",
    "/ui/control_page_rows.js",
    "/ui/control_page_sign_in.js",
    "/ui/control_page_stream.js",
    "/ui/control_page_texts.js",
    "/ui/control_page_views.js",
    "/ui/control_page_wire.js",
  ]);
});

test("controlPage says of each file what it is, and forbids the rest", async () => {
  const types = {
    "/ui": "text/html; charset=utf-8",
    "/ui/control_page.css": "text/css; charset=utf-8",
    "/ui/control_page.js": "text/javascript; charset=utf-8",
  };
  for (const [path, type] of Object.entries(types)) {
    const { headers } = await get(path);
    assertEquals(headers.get("Content-Type"), type);
    assertEquals(headers.get("X-Content-Type-Options"), "nosniff");
    assertEquals(headers.get("Referrer-Policy"), "no-referrer");
    const policy = headers.get("Content-Security-Policy") ?? "";
    assertStringIncludes(policy, "default-src 'none'");
    assertStringIncludes(policy, "frame-ancestors 'none'");
    assert(!policy.includes("unsafe"));
  }
});

test("controlPage sends nothing that the browser has already", async () => {
  const first = await get("/ui");
  const tag = first.headers.get("ETag") ?? "";
  assertMatch(tag, /^"[0-9a-f]{32}"$/);

  for (const condition of [tag, `W/${tag}`, `"other", ${tag}`, "*"]) {
    const again = await get("/ui", { headers: { "If-None-Match": condition } });
    assertEquals(again.status, 304, condition);
    assertEquals(again.headers.get("ETag"), tag);
    assertEquals(await again.text(), "");
  }
  const other = await get("/ui", { headers: { "If-None-Match": '"other"' } });
  assertEquals(other.status, 200);
});

test("controlPage answers HEAD without a body and refuses to be written", async () => {
  const head = await get("/ui", { method: "HEAD" });
  assertEquals([head.status, await head.text()], [200, ""]);

  const post = await get("/ui", { method: "POST" });
  assertEquals(post.status, 405);
  assertEquals(post.headers.get("Allow"), "GET, HEAD");
});

test("controlPage serves nothing else", async () => {
  for (
    const path of [
      "/",
      "/uix",
      "/ui/mod.ts",
      "/ui/control_page.html",
      "/ui/control_page.ts",
      "/ui/..%2fmod.ts",
      "/ui/__proto__",
      "/ui/a/b",
    ]
  ) assertEquals((await get(path)).status, 404, path);
  const slash = await get("/ui/");
  assertEquals([slash.status, slash.headers.get("Location")], [308, "../ui"]);
});

test("controlPage tells the page where the interface is", async () => {
  const request = new Request("http://127.0.0.1/north/ui");

  const response = await controlPage(request, { basePath: "/north/oet/v7" });

  assertStringIncludes(
    await response.text(),
    '<meta name="longrun-base-path" content="/north/oet/v7"',
  );
  for (const basePath of ['/a"><script>', "api", "/api/"]) {
    await assertRejects(
      () => controlPage(request, { basePath }),
      TypeError,
      "Cannot serve the control page as 'basePath' must be a path like",
    );
  }
});

test("controlPage reads its files from where its module came from", async () => {
  const folder = new URL("../", import.meta.url);
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const name = new URL(request.url).pathname.slice(1);
      const type = name.endsWith(".ts") ? "text/typescript" : "text/plain";
      const text = await Deno.readTextFile(new URL(name, folder));
      return new Response(text, { headers: { "Content-Type": type } });
    },
  );
  const origin = `127.0.0.1:${server.addr.port}`;
  const program = `
    import { controlPage } from "http://${origin}/control_page.ts";
    const page = await controlPage(new Request("http://127.0.0.1/ui"));
    const style = await controlPage(
      new Request("http://127.0.0.1/ui/control_page.css"),
    );
    console.log((await page.text()).length, (await style.text()).length);
  `;
  try {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-config",
        "--no-lock",
        "--node-modules-dir=none",
        `--reload=http://${origin}`,
        `--allow-import=${origin}`,
        `--allow-net=${origin}`,
        `data:application/typescript,${encodeURIComponent(program)}`,
      ],
      stdout: "piped",
      stderr: "piped",
    }).output();
    const sizes = await Promise.all(
      ["control_page.html", "control_page.css"].map(async (name) =>
        (await Deno.readTextFile(new URL(name, folder))).length
      ),
    );
    assertEquals(
      new TextDecoder().decode(stdout).trim(),
      sizes.join(" "),
      new TextDecoder().decode(stderr),
    );
  } finally {
    await server.shutdown();
  }
});
