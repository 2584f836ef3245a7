// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertStringIncludes,
} from "@std/assert";
import axe from "axe-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { testInBrowser } from "./_browser.ts";
import {
  startStubServer,
  type StubServer,
  type StubServerOptions,
} from "./_stub_server.ts";

const READY = ["CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "READY"];
const PATIENCE = 15_000;

interface OpenOptions extends BrowserContextOptions {
  readonly hash?: string;
  /** Runs in the page before its own scripts. */
  readonly script?: string;
}

/** Opens the page. What goes wrong in it fails the test at its end. */
class Opened {
  readonly page: Page;
  readonly errors: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.setDefaultTimeout(PATIENCE);
    page.on("pageerror", (error) => this.errors.push(String(error)));
    page.on("console", (message) => {
      const text = message.text();
      // What Chromium itself says of answers like 401 and 409.
      if (message.type() === "error" && !text.startsWith("Failed to load")) {
        this.errors.push(text);
      }
    });
  }

  static async open(
    browser: Browser,
    server: { readonly url: string },
    { hash = "", script, ...options }: OpenOptions = {},
  ): Promise<Opened> {
    const context = await browser.newContext(options);
    if (script !== undefined) await context.addInitScript(script);
    const opened = new Opened(await context.newPage());
    await opened.page.goto(server.url + hash);
    return opened;
  }

  /** Waits until an element says something. */
  async says(selector: string, text: string): Promise<void> {
    await this.page.locator(selector).filter({ hasText: text }).first()
      .waitFor({ state: "attached" });
  }

  /** Waits until the page is connected and has its lists. */
  async isLive(): Promise<void> {
    await this.says("#connection", "Live");
    await this.until(
      "!document.querySelector('#no-procedures').textContent.includes('Loading')",
    );
  }

  text(selector: string): Promise<string> {
    return this.page.locator(selector).innerText();
  }

  evaluate<T>(expression: string): Promise<T> {
    return this.page.evaluate(expression) as Promise<T>;
  }

  /** Waits until something holds. The page lets nobody else evaluate it. */
  async until(condition: string): Promise<void> {
    const patience = Date.now() + PATIENCE;
    while (!await this.evaluate(condition)) {
      if (Date.now() > patience) throw new Error(`Never: ${condition}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function testPage(
  name: string,
  body: (
    open: (options?: OpenOptions) => Promise<Opened>,
    server: StubServer,
  ) => Promise<void>,
  options?: StubServerOptions,
): void {
  testInBrowser(name, async (browser) => {
    const server = startStubServer(options);
    const all: Opened[] = [];
    try {
      await body(async (options) => {
        const opened = await Opened.open(browser, server, options);
        all.push(opened);
        return opened;
      }, server);
      assertEquals(all.flatMap(({ errors }) => errors), []);
    } finally {
      await server.close();
    }
  });
}

testPage(
  "The control page shows procedures and follows them",
  async (open, server) => {
    const first = server.add(READY, { uri: "file:///scripts/point.ts" });
    const view = await open();
    await view.says("#procedures tr", "point.ts");
    await view.says("#procedures tr", "READY");
    await view.isLive();

    const second = server.add(["CREATING"], { uri: "file:///scripts/scan.ts" });
    server.move(first, "RUNNING");
    await view.says("#procedures tr:first-child", "scan.ts");
    await view.says("#procedures tr:last-child", "RUNNING");
    await view.says("#counts", "1 running, 2 live");
    await view.until("document.title === '(1 running) Longrun'");

    server.remove(second);
    await view.until(
      "document.querySelectorAll('#procedures tr').length === 1",
    );
  },
);

testPage(
  "The control page shows the procedure that its address names",
  async (open, server) => {
    server.add(READY);
    const id = server.add(READY, { seconds: 10, kwargs: { subarray_id: 3 } });
    server.write(id, ["first line", "second line"]);
    const view = await open({ hash: `#procedure/${id}` });
    await view.says("#detail-heading", `Procedure ${id}`);
    await view.says("#detail-state", "READY");
    await view.says("#calls", "init(subarray_id: 3)");
    await view.says("#output", "second line");
    assertEquals(await view.page.locator("#history tr").count(), READY.length);
    assertStringIncludes(await view.text("#history tr:first-child"), "10.0 s");
    assertEquals(
      await view.page.locator("#timeline .segment").count(),
      READY.length,
    );
    const time = view.page.locator("#history time").first();
    const iso = await time.getAttribute("title") ?? "";
    assertEquals(new Date(iso).toISOString(), iso);

    server.move(id, "RUNNING");
    server.move(id, "FAILED", "Error: no gain\n    at main");
    await view.says("#trace", "Error: no gain");
    await view.says("#detail-state", "FAILED");
    await view.says("#announcer", "FAILED");

    await view.page.click("#procedures tr:last-child a");
    await view.says("#detail-heading", "Procedure 1");
    assertEquals(await view.page.locator("#trace-section").isHidden(), true);
    await view.page.goBack();
    await view.says("#detail-heading", `Procedure ${id}`);
    assertEquals(
      await view.page.locator("#procedures [aria-current=true]").innerText(),
      String(id),
    );
  },
);

testPage(
  "The control page follows the output, in order and once",
  async (open, server) => {
    const id = server.add(READY);
    const view = await open({ hash: `#procedure/${id}` });
    await view.isLive();
    const texts = Array.from({ length: 2_500 }, (_, index) => `line ${index}`);
    for (let at = 0; at < texts.length; at += 100) {
      server.write(id, texts.slice(at, at + 100));
    }
    server.write(id, ["the end"], "stderr");

    await view.says("#output", "the end");

    const shown = await view.evaluate<string[]>(
      "[...document.querySelectorAll('#output .text')].map((n) => n.textContent)",
    );
    assertEquals(shown, [...texts, "the end"]);
    await view.until(
      "(({scrollHeight, scrollTop, clientHeight}) => scrollHeight - scrollTop - clientHeight < 30)(document.querySelector('#output'))",
    );
  },
);

testPage(
  "The control page keeps the latest output and fetches earlier lines",
  async (open, server) => {
    const id = server.add(READY);
    const texts = Array.from(
      { length: 7_200 },
      (_, index) => `line ${index + 1};`,
    );
    server.write(id, texts);
    const view = await open({ hash: `#procedure/${id}` });
    await view.says("#output-count", "lines 2201 to 7200");
    assertEquals(await view.page.locator("#output .row").count(), 5_000);

    await view.page.click("#output-earlier");
    await view.says("#output-count", "lines 1 to 2200");
    server.write(id, ["later"]);

    await view.page.click("#output-latest");
    await view.says("#output", "later");
    await view.says("#output-count", "to 7201");
  },
);

testPage(
  "The control page goes to the end with the latest lines, however late it paints",
  async (open, server) => {
    const id = server.add(READY);
    server.write(id, Array.from({ length: 7_200 }, (_, at) => `line ${at};`));
    const script = `
      const request = requestAnimationFrame;
      window.requestAnimationFrame = (callback) =>
        setTimeout(() => request(callback), 300);
    `;
    const view = await open({ hash: `#procedure/${id}`, script });
    const isAtEnd =
      "(({scrollHeight, scrollTop, clientHeight}) => scrollHeight - scrollTop - clientHeight < 30)(document.querySelector('#output'))";
    await view.says("#output-count", "lines 2201 to 7200");
    await view.until(isAtEnd);
    await view.page.click("#output-earlier");
    await view.says("#output-count", "lines 1 to 2200");
    assertEquals(
      await view.evaluate("document.querySelector('#output').scrollTop"),
      0,
    );

    await view.page.click("#output-latest");

    await view.says("#output-count", "lines 2201 to 7200");
    await view.until(isAtEnd);
  },
);

testPage(
  "The control page shows hostile texts as texts",
  async (open, server) => {
    const hostile =
      `<img src=x onerror="window.harm=1"><script>window.harm=2</` +
      `script>"'\`\${1}\u202e\u0000&amp;]]>`;
    const id = server.add(READY, {
      uri: `file:///${hostile}`,
      kwargs: { [hostile]: hostile, __proto__: { hostile } },
    });
    server.write(id, [hostile], hostile);
    const view = await open({ hash: `#procedure/${id}` });
    await view.isLive();
    server.emit([
      {
        topic: hostile,
        msg_src: hostile,
        data: { [hostile]: hostile },
        pid: id,
      },
      { topic: "__proto__", msg_src: "constructor", data: hostile, pid: id },
      {
        topic: "activity.lifecycle.running",
        result: {
          id: 1,
          procedure_id: id,
          sbd_id: hostile,
          activity_name: hostile,
          state: hostile,
          activity_states: [[hostile, 1]],
        },
      },
    ]);
    server.move(id, "FAILED", `Error: ${hostile}`);
    server.answers.set(
      `PUT /procedures/${id}`,
      () => Response.json({ detail: hostile }, { status: 409 }),
    );

    await view.says("#trace", "onerror");
    await view.says("#events", "constructor");
    await view.says("#output", "onerror");
    await view.says("#activities", "onerror");
    assertEquals(await view.page.locator("img, main script").count(), 0);
    assertEquals(await view.evaluate("window.harm ?? null"), null);
    assertEquals(
      await view.evaluate(
        "document.querySelector('#output .text').textContent",
      ),
      hostile,
    );
  },
);

testPage("The control page prepares a procedure", async (open, server) => {
  const view = await open();
  await view.isLive();
  await view.page.click("#prepare-details summary");
  await view.page.fill("#script-uri", "/scripts/observe.ts");
  await view.page.fill("#init-kwargs", "{subarray_id: 1}");
  await view.page.click("#prepare-form [type=submit]");
  await view.says("#script-uri-mistake", "file://");
  await view.says("#init-kwargs-mistake", "line 1, column 2");
  assertEquals(
    await view.evaluate("document.activeElement.id"),
    "script-uri",
  );
  assertEquals(
    await view.page.getAttribute("#init-kwargs", "aria-invalid"),
    "true",
  );

  await view.page.fill("#script-uri", "file:///scripts/observe.ts");
  await view.page.fill("#init-kwargs", '{"subarray_id": 1}');
  await view.page.press("#script-uri", "Enter");
  await view.says("#detail-heading", "Procedure 1");
  await view.says("#notice-text", "Procedure 1 is being prepared");
  assertEquals(server.requests.find(({ method }) => method === "POST")?.body, {
    script: {
      script_type: "filesystem",
      script_uri: "file:///scripts/observe.ts",
    },
    script_args: { init: { kwargs: { subarray_id: 1 } } },
  });
  assertEquals(
    await view.page.inputValue("#init-kwargs"),
    '{"subarray_id": 1}',
  );

  server.answers.set(
    "POST /procedures",
    () => Response.json({ detail: "Too many procedures" }, { status: 503 }),
  );
  await view.page.click("#prepare-form [type=submit]");
  await view.says("#prepare-form .refusal", "Too many procedures");
});

testPage(
  "The control page starts and stops a procedure by the keyboard alone",
  async (open, server) => {
    const id = server.add(READY);
    const { page, ...view } = await open();
    const opened = { page, ...view };
    await page.locator("#procedures a").waitFor();
    await page.keyboard.press("Tab");
    assertEquals(
      await page.evaluate("document.activeElement.className"),
      "skip",
    );
    const tabTo = async (id: string) => {
      for (let count = 0; count < 60; count++) {
        await page.keyboard.press("Tab");
        const at = await page.evaluate(
          "document.activeElement.id || document.activeElement.getAttribute('href')",
        );
        if (at === id) return;
      }
      throw new Error(`No way to ${id}`);
    };
    await tabTo(`#procedure/${id}`);
    await page.keyboard.press("Enter");
    await page.locator("#detail-heading", { hasText: `Procedure ${id}` })
      .waitFor();
    await page.click("#start-details summary");
    await page.fill("#main-kwargs", '{"scans": 3}');
    await page.locator("#start").focus();
    await page.keyboard.press("Enter");
    await page.locator("#detail-state", { hasText: "RUNNING" }).waitFor();
    await page.locator("#calls", { hasText: "main(scans: 3)" }).waitFor();
    await page.locator("#start-reason", {
      hasText: "It is RUNNING, not READY.",
    })
      .waitFor();
    assertEquals(await page.evaluate("document.activeElement.id"), "start");
    await page.keyboard.press("Enter");

    await tabTo("stop");
    await page.keyboard.press("Enter");
    await page.locator("#stop-dialog[open]").waitFor();
    assertEquals(
      await page.evaluate("document.activeElement.id"),
      "stop-cancel",
    );
    await page.keyboard.press("Escape");
    assertEquals(await page.evaluate("document.activeElement.id"), "stop");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Space");
    await tabTo("stop-confirm");
    await page.keyboard.press("Enter");
    await page.locator("#detail-state", { hasText: "STOPPED" }).waitFor();
    await page.locator("#notice-text", { hasText: "aborted subarray" })
      .waitFor();
    const puts = server.requests.filter(({ method }) => method === "PUT");
    assertEquals(puts.map(({ body }) => body), [
      {
        state: "RUNNING",
        script_args: { main: { kwargs: { scans: 3 } } },
      },
      { state: "STOPPED", abort: true },
    ]);
    assertEquals(opened.errors, []);
  },
);

testPage(
  "The control page says why the service refuses a start",
  async (open, server) => {
    const id = server.add(READY);
    const view = await open({ hash: `#procedure/${id}` });
    await view.says("#detail-state", "READY");
    const detail = "Cannot start PID 1: PID #2 is RUNNING";
    server.answers.set(
      `PUT /procedures/${id}`,
      () => Response.json({ detail }, { status: 409 }),
    );

    await view.page.click("#start");

    await view.says("#start-form .refusal", detail);
    await view.until("!document.querySelector('#start').ariaDisabled");
  },
);

testPage(
  "The control page says of which procedure a start was refused, and lets start another",
  async (open, server) => {
    const [first, second] = [server.add(READY), server.add(READY)];
    const view = await open({ hash: `#procedure/${first}` });
    await view.says("#detail-state", "READY");
    const refusal = Promise.withResolvers<Response>();
    server.answers.set(`PUT /procedures/${first}`, () => refusal.promise);
    try {
      await view.page.click("#start");
      await view.says("#start-reason", "Asked to start it.");

      await view.page.click(`#procedures [href="#procedure/${second}"]`);
      await view.says("#detail-heading", `Procedure ${second}`);
      await view.until("!document.querySelector('#start').ariaDisabled");
      await view.page.click("#start");
      await view.says("#detail-state", "RUNNING");
    } finally {
      refusal.resolve(Response.json({ detail: "No gain" }, { status: 409 }));
    }

    await view.says("#notice-text", `Procedure ${first}: No gain`);
    assertEquals(await view.text("#start-form .refusal"), "");
  },
);

testPage(
  "The control page bears a click on what it has not painted yet",
  async (open, server) => {
    const id = server.add(READY);
    const view = await open({ hash: `#procedure/${id}` });
    await view.isLive();
    await view.says("#detail-state", "READY");
    await view.until("!document.querySelector('#qa').ariaDisabled");
    await view.evaluate(`addEventListener("hashchange", () => {
      document.querySelector("#stop").click();
      document.querySelector("#sign-out").ariaDisabled = null;
      document.querySelector("#sign-out").click();
      document.querySelector("#qa").click();
      window.hasClicked = true;
    })`);
    await view.evaluate("void (location.hash = '#procedure/99')");
    await view.until("window.hasClicked");

    await view.page.locator("#token-dialog[open]").waitFor();
    assertEquals(await view.page.locator("#stop-dialog[open]").count(), 0);
  },
);

testPage("The control page runs an activity", async (open, server) => {
  const view = await open();
  await view.isLive();
  await view.page.click("#activity-details summary");
  await view.page.fill("#activity-name", "observe");
  await view.page.fill("#sbd-id", "sbd-1");
  await view.page.fill("#script-args", '{"main": {"kwargs": {"scans": 3}}}');
  await view.page.click("#run-activity");
  await view.says("#activities", "observe · sbd-1");
  await view.says("#detail-heading", "Procedure 1");

  server.emit([{
    topic: "activity.lifecycle.statechange",
    id: 1,
    new_state: "RUNNING",
  }]);
  await view.says("#activities", "RUNNING");
});

testPage(
  "The control page switches the wait for QA and overrides it",
  async (open, server) => {
    const view = await open();
    await view.until("document.querySelector('#qa').checked");
    await view.page.click("#qa");
    await view.until("!document.querySelector('#qa').checked");
    server.emit([{ topic: "operator.wait_for_qa_ready.enable" }]);
    await view.until("document.querySelector('#qa').checked");
    await view.page.click("#qa-override");
    await view.page.click("#qa-dialog .danger");
    await view.says("#notice-text", "told to go on");
    assertEquals(
      server.requests.filter(({ method }) => method !== "GET")
        .map(({ path, body }) => [path, body]),
      [
        ["/context", { wait_for_qa_ready: false }],
        ["/operator/wait_for_qa_ready/override", {}],
      ],
    );
  },
);

testPage(
  "The control page says what a service does not offer",
  async (open) => {
    const view = await open();
    await view.says("#no-activities", "This service runs no activities");
    await view.says("#qa-reason", "Not offered by this service");
    await view.page.click("#qa", { force: true });
    assertEquals(
      await view.page.getAttribute("#run-activity", "aria-disabled"),
      "true",
    );
  },
  { complete: false, basePath: "/north/api/v7" },
);

testPage(
  "The control page reconnects after the last event, and loads what it missed",
  async (open, server) => {
    const id = server.add(READY);
    const view = await open({ hash: `#procedure/${id}` });
    await view.isLive();
    server.emit([{ topic: "a.b", msg_src: String(id), data: 1 }]);
    await view.says("#events", "a.b");
    server.answers.set(
      "GET /stream",
      () => new Response(null, { status: 503 }),
    );
    server.breakStreams();
    await view.says("#connection", "Reconnecting since");
    server.move(id, "RUNNING");
    server.write(id, ["while nobody listened"]);

    server.answers.delete("GET /stream");

    await view.says("#connection", "Live");
    await view.says("#detail-state", "RUNNING");
    await view.says("#output", "while nobody listened");
    const streams = server.requests.filter(({ path }) => path === "/stream");
    assertEquals(streams[0]?.lastEventId, null);
    assertEquals(streams.at(-1)?.lastEventId, "1-2");
    assertEquals(await view.page.locator("#lost").innerText(), "");
  },
);

testPage(
  "The control page tells how many events were lost, and loads the lists",
  async (open, server) => {
    const id = server.add(READY);
    const view = await open();
    await view.isLive();
    const count = () =>
      server.requests.filter(({ path }) => path === "/procedures").length;
    const before = count();
    server.emit([{ topic: "stream.gap", dropped: 41 }]);
    await view.says("#lost", "41 events lost");
    await view.says("#announcer", "41 events lost");
    const patience = Date.now() + PATIENCE;
    while (count() === before && Date.now() < patience) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assertGreater(count(), before);
    assertEquals(id, 1);
  },
);

testPage(
  "The control page forgets what was before a restart of the service",
  async (open, server) => {
    for (let count = 0; count < 3; count++) server.add([...READY, "RUNNING"]);
    const view = await open();
    await view.says("#counts", "3 running");
    server.restart();
    server.add(["CREATING"], { uri: "file:///new.ts" });
    await view.says("#counts", "0 running, 1 live");
    await view.says("#procedures", "new.ts");
  },
);

testPage(
  "The control page asks for a token, keeps it for the tab and signs out",
  async (open, server) => {
    server.add(READY, { uri: "file:///secret.ts" });
    const view = await open();
    await view.page.locator("#token-dialog[open]").waitFor();
    assertEquals(await view.evaluate("document.activeElement.id"), "token");
    await view.page.keyboard.press("Escape");
    await view.page.fill("#token", "wrong");
    await view.page.keyboard.press("Enter");
    await view.says("#token-mistake", "The token is not known");
    await view.page.fill("#token", "right");
    await view.page.keyboard.press("Enter");
    await view.says("#procedures", "secret.ts");
    await view.isLive();

    await view.page.reload();
    await view.says("#procedures", "secret.ts");
    assertEquals(await view.evaluate("localStorage.length"), 0);

    await view.page.click("#sign-out");
    await view.page.locator("#token-dialog[open]").waitFor();
    await view.says("#connection", "Signed out");
    await view.until(
      "document.querySelectorAll('#procedures tr').length === 0",
    );
    assertEquals(
      await view.evaluate("sessionStorage.getItem('longrun.token')"),
      null,
    );
    const { length } = server.requests;
    await new Promise((resolve) => setTimeout(resolve, 300));
    assertEquals(server.requests.length, length);

    server.token = "other";
    await view.page.fill("#token", "other");
    await view.page.keyboard.press("Enter");
    await view.isLive();
    await view.says("#procedures", "secret.ts");
  },
  { token: "right" },
);

testPage(
  "The control page tells no failure of what a sign-out has ended",
  async (open, server) => {
    const id = server.add(READY);
    server.write(id, Array.from({ length: 5_100 }, (_, at) => `line ${at};`));
    const view = await open({ hash: `#procedure/${id}` });
    await view.page.fill("#token", "right");
    await view.page.keyboard.press("Enter");
    await view.says("#output-count", "lines 101 to 5100");
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<Response>();
    server.answers.set(`GET /procedures/${id}/output`, () => {
      asked.resolve();
      return answer.promise;
    });
    try {
      await view.page.click("#output-earlier");
      await asked.promise;

      await view.page.click("#sign-out");
      await view.page.locator("#token-dialog[open]").waitFor();
      await new Promise((resolve) => setTimeout(resolve, 100));
    } finally {
      answer.resolve(new Response());
    }

    assertEquals(await view.page.locator("#notice").isHidden(), true);
  },
  { token: "right" },
);

testPage(
  "The control page keeps the focus and what was filled in",
  async (open, server) => {
    const ids = [1, 2, 3].map(() => server.add(READY));
    const view = await open({ hash: "#procedure/2" });
    await view.isLive();
    await view.page.click("#prepare-details summary");
    await view.page.fill("#script-uri", "file:///half");
    await view.page.click("#start-details summary");
    await view.page.fill("#main-kwargs", '{"half');
    await view.page.locator("#procedures a", { hasText: "2" }).focus();
    for (const id of ids) server.move(id, "RUNNING");
    server.add(["CREATING"]);
    server.breakStreams();
    await view.says("#counts", "3 running, 4 live");
    await view.isLive();
    server.move(2, "STOPPED");
    await view.says("#detail-state", "STOPPED");

    assertEquals(
      await view.evaluate("document.activeElement.getAttribute('href')"),
      "#procedure/2",
    );
    assertEquals(await view.page.inputValue("#script-uri"), "file:///half");
    assertEquals(await view.page.inputValue("#main-kwargs"), '{"half');
    await view.page.click("#procedures tr:last-child a");
    await view.says("#detail-heading", "Procedure 1");
    assertEquals(await view.page.inputValue("#main-kwargs"), "");
    await view.page.goBack();
    await view.says("#detail-heading", "Procedure 2");
    assertEquals(await view.page.inputValue("#main-kwargs"), '{"half');

    await view.page.locator("#procedures a", { hasText: "2" }).focus();
    server.remove(2);
    await view.says("#detail-state", "There is none with this number");
    assertEquals(
      await view.evaluate("document.activeElement.id"),
      "procedures-heading",
    );
  },
);

const COUNT_WRITES = `
  window.writes = 0;
  window.frames_ = 0;
  window.said = 0;
  const request = requestAnimationFrame;
  window.requestAnimationFrame = (callback) => {
    window.frames_++;
    return request(callback);
  };
  new MutationObserver((records) => {
    window.writes += records.length;
    for (const { target } of records) {
      const element = target.nodeType === 1 ? target : target.parentElement;
      if (element?.closest("[role=status],[role=alert]")) window.said++;
    }
  }).observe(document, {
    subtree: true, childList: true, attributes: true, characterData: true,
  });
`;

testPage(
  "The control page writes a bounded amount however many events come",
  async (open, server) => {
    const PROCEDURES = 200;
    const EVENTS = 10_000;
    for (let id = 0; id < PROCEDURES; id++) server.add(READY);
    const view = await open({ hash: "#procedure/7", script: COUNT_WRITES });
    await view.isLive();
    await view.until(
      `document.querySelectorAll('#procedures tr').length === ${PROCEDURES}`,
    );
    await view.evaluate(
      "writes = 0; frames_ = 0; said = 0; began = performance.now()",
    );
    const events = Array.from({ length: EVENTS }, (_, index) => {
      const pid = index % PROCEDURES + 1;
      const isOdd = Math.floor(index / PROCEDURES) % 2 === 1;
      return {
        topic: "procedure.lifecycle.statechange",
        msg_src: String(pid),
        pid,
        new_state: isOdd ? "READY" : "RUNNING",
        time: Date.now() / 1000 + index / 1000,
      };
    });
    for (let at = 0; at < EVENTS; at += 100) {
      server.emit(events.slice(at, at + 100));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    server.emit([{ topic: "the.end", pid: 7 }]);
    await view.says("#events", "the.end");
    await view.says("#counts", `0 running, ${PROCEDURES} live`);

    const { writes, frames, said, took } = await view.evaluate<
      { writes: number; frames: number; said: number; took: number }
    >("({ writes, frames: frames_, said, took: performance.now() - began })");
    assertLess(frames, took / 100 + 3);
    assertLess(writes, (frames + 1) * (PROCEDURES * 7 + 500 * 3));
    assertLess(said, took / 1_000 + 5);
    const shown = await view.page.locator("#events li").count();
    assert(shown <= 500);
    assertEquals(
      await view.page.locator("#procedures .badge", { hasText: "READY" })
        .count(),
      PROCEDURES,
    );
  },
);

async function violations(view: Opened): Promise<string[]> {
  await view.evaluate(axe.source);
  return await view.evaluate(`axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa",
      "best-practice"],
  }).then(({ violations }) => violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) =>
      id + " " + target + " " + failureSummary)))`);
}

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [1280, 320]) {
    testPage(
      `The control page is accessible, ${colorScheme}, at ${width} pixels`,
      async (open, server) => {
        for (
          const state of ["RUNNING", "COMPLETE", "STOPPED", "UNKNOWN", "IDLE"]
        ) server.add([...READY, state]);
        const id = server.add(READY, { kwargs: { subarray_id: 1 } });
        server.write(id, ["a line"]);
        server.write(id, ["a warning"], "stderr");
        const view = await open({
          hash: `#procedure/${id}`,
          colorScheme,
          viewport: { width, height: 800 },
          bypassCSP: true,
        });
        await view.isLive();
        await view.says("#output", "a warning");
        server.emit([
          { topic: "a.b", msg_src: String(id), data: 1 },
          { topic: "stream.gap", dropped: 3 },
        ]);
        await view.says("#lost", "3 events lost");
        assertEquals(await violations(view), []);

        server.move(id, "FAILED", "Error: it failed");
        await view.says("#trace", "it failed");
        await view.page.click("#prepare-details summary");
        await view.page.click("[value=git]");
        await view.page.fill("#init-args", "{");
        await view.page.click("#prepare-form [type=submit]");
        await view.page.click("#activity-details summary");
        await view.page.click("#run-activity");
        await view.page.click("#start-details summary");
        assertEquals(await violations(view), []);

        await view.page.click("#qa-override");
        assertEquals(await violations(view), []);
        server.token = "some";
        await view.page.click("#qa-dialog .danger");
        await view.page.locator("#token-dialog[open]").waitFor();
        assertEquals(await violations(view), []);
        assertEquals(
          await view.evaluate("document.documentElement.scrollWidth"),
          width,
        );
      },
    );
  }
}

testPage(
  "The control page fits a screen at twice the size, and keeps still if asked to",
  async (open, server) => {
    const id = server.add(READY, { uri: `file:///${"long".repeat(40)}.ts` });
    server.write(id, ["x".repeat(500)]);
    const view = await open({
      hash: `#procedure/${id}`,
      viewport: { width: 640, height: 400 },
      deviceScaleFactor: 2,
      reducedMotion: "reduce",
    });
    await view.says("#output", "xxx");
    assertEquals(
      await view.evaluate("document.documentElement.scrollWidth"),
      640,
    );
    assertEquals(
      await view.evaluate(
        "getComputedStyle(document.querySelector('#stop')).transitionDuration",
      ),
      "0s",
    );
  },
);
