// Copyright 2026 the Longrun authors. MIT license.

import { ManualClock } from "@longrun/tasks/testing";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "@std/testing/bdd";
import { deserialize, serialize } from "node:v8";
import { ScriptConversation } from "../_script_conversation.ts";
import {
  type Cloner,
  decodeFrame,
  encodeFrame,
  type FromRunner,
  readFrames,
  type ToChild,
  writeAll,
} from "../_script_messages.ts";
import { Budget } from "../_script_output.ts";
import { procedureInput } from "../procedure.ts";
import { ScriptError } from "../script_error.ts";
import { CONTEXT } from "./_script_rig.ts";

const CLONER: Cloner = { serialize, deserialize };
const URL = "file:///observe.ts";
const INPUT = procedureInput();

/** A conversation with a child that says what the test says. */
class Talk implements AsyncDisposable {
  readonly conversation: ScriptConversation;
  readonly clock: ManualClock = new ManualClock();
  readonly published: unknown[] = [];
  readonly lines: string[] = [];
  readonly complaints: string[] = [];
  breaches = 0;
  readonly #child: Deno.TcpConn;
  readonly #heard: AsyncGenerator<{ cloned: boolean; body: Uint8Array }, void>;
  #hasEnded = false;

  private constructor(parent: Deno.TcpConn, child: Deno.TcpConn) {
    this.#child = child;
    this.#heard = readFrames(child);
    const note = (message: string) => void this.complaints.push(message);
    this.conversation = new ScriptConversation({
      options: {
        pid: 7,
        onPublish: (_, data) => void this.published.push(data),
      },
      connection: parent,
      pipes: {
        line: (_, text) => void this.lines.push(text),
        callEnd: () => Promise.resolve(),
        drain: () => Promise.resolve(),
        effort: new Budget(1_000, 1_000, () => 0),
      },
      clock: this.clock,
      logger: { debug: note, info: note, warn: note, error: note },
      onBreach: () => void this.breaches++,
    });
  }

  static async begin(): Promise<Talk> {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const [parent, child] = await Promise.all([
      listener.accept(),
      Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    ]);
    return new Talk(parent, child);
  }

  /** The child says something. */
  async say(message: FromRunner | { type: "nonsense" }): Promise<void> {
    await writeAll(this.#child, encodeFrame(message, CLONER));
  }

  /** What the child hears next. */
  async hear(): Promise<ToChild> {
    const { value } = await this.#heard.next();
    if (value === undefined) throw new Error("The parent has gone");
    return decodeFrame(value, CLONER) as ToChild;
  }

  /** Loads a script with these functions. */
  async load(...names: string[]): Promise<void> {
    const loading = this.conversation.load(URL);
    assertEquals(await this.hear(), { type: "load", url: URL });
    await this.say({ type: "loaded", names });
    assertEquals(await loading, names);
  }

  /** The process ends. */
  end(guess?: string): ReturnType<ScriptConversation["end"]> {
    this.#hasEnded = true;
    this.#child.close();
    return this.conversation.end(() => guess);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasEnded) await this.end();
  }
}

test("ScriptConversation takes an answer for the call that it belongs to", async () => {
  await using talk = await Talk.begin();
  await talk.load("main");
  const calling = talk.conversation.run("main", INPUT, CONTEXT);
  const call = await talk.hear();
  assertEquals(call.type, "run");
  await assertRejects(
    () => talk.conversation.run("main", INPUT, CONTEXT),
    TypeError,
    "a call of it is under way",
  );
  const failure = { name: "Error", message: "Never", stack: "" };
  await talk.say({ type: "threw", id: 99, error: failure });
  await talk.say({ type: "returned", id: 1 });
  await calling;
  const next = talk.conversation.run("main", INPUT, CONTEXT);
  await talk.hear();
  await talk.say({ type: "returned", id: 1 });
  await talk.say({
    type: "threw",
    id: 2,
    error: { ...failure, message: "Clouds" },
  });
  await assertRejects(() => next, ScriptError, "Clouds");
});

test("ScriptConversation says that there is room for as many events as it took", async () => {
  await using talk = await Talk.begin();
  for (let data = 0; data < 100; data++) {
    await talk.say({ type: "publish", topic: "user.count", data });
  }
  let taken = 0;
  while (taken < 100) {
    const message = await talk.hear();
    if (message.type === "taken") taken += message.count;
  }
  assertEquals(taken, 100);
  assertEquals(talk.published, Array.from({ length: 100 }, (_, i) => i));
});

test("ScriptConversation ends with what nobody understands", async () => {
  await using talk = await Talk.begin();
  const loading = talk.conversation.load(URL);
  await talk.hear();
  await talk.say({ type: "nonsense" });
  await talk.say({ type: "loaded", names: ["main"] });
  assertEquals(await talk.end("it was ended by SIGKILL"), {
    reason: "it broke the protocol",
  });
  await assertRejects(() => loading, ScriptError, "it broke the protocol");
  assertEquals(talk.breaches, 1);
  assertEquals(talk.complaints, [
    "Procedure #7: Its process said something odd",
  ]);
});

test("ScriptConversation tells all who wait how it has ended, and all who come later", async () => {
  await using talk = await Talk.begin();
  await talk.load("main");
  const calling = talk.conversation.run("main", INPUT, CONTEXT);
  await talk.hear();
  const ending = talk.end("out of memory");
  const meanwhile = talk.conversation.run("main", INPUT, CONTEXT);
  const ends = assertRejects(() => calling, ScriptError, "out of memory");
  await assertRejects(() => meanwhile, ScriptError, "out of memory");
  await ends;
  assertEquals(await ending, { reason: "out of memory" });
  await assertRejects(
    () => talk.conversation.run("main", INPUT, CONTEXT),
    ScriptError,
    "out of memory",
  );
  assertThrows(() => talk.conversation.load(URL), TypeError);
});

test("ScriptConversation takes what was said before the end", async () => {
  await using talk = await Talk.begin();
  await talk.say({ type: "log", text: "one\ntwo" });
  await talk.say({
    type: "gone",
    reason: "it called exit",
    error: { name: "Error", message: "Rain", stack: "" },
  });
  const { reason, error } = await talk.end("it ended with code 1");
  assertEquals(reason, "it called exit");
  assertEquals(error?.message, "Rain");
  assertEquals(talk.lines, ["one", "two"]);
  await assertRejects(() => talk.conversation.load(URL), ScriptError, "Rain");
});

test("ScriptConversation begins no call during a stop, and calls its end one", async () => {
  await using talk = await Talk.begin();
  await talk.load("main");
  const calling = talk.conversation.run("main", INPUT, CONTEXT);
  await talk.hear();
  talk.conversation.beginStop();
  const asking = talk.conversation.askToEnd(500);
  assertEquals(await talk.hear(), { type: "abort" });
  await talk.clock.advance(500);
  assertEquals(await asking, false);
  await talk.say({ type: "noticed" });
  assertEquals(await talk.conversation.askToEnd(500), true);
  await talk.say({ type: "returned", id: 1 });
  await calling;
  await assertRejects(
    () => talk.conversation.run("main", INPUT, CONTEXT),
    DOMException,
    "Procedure #7 is stopped",
  );
  await talk.end();
  await assertRejects(
    () => talk.conversation.run("main", INPUT, CONTEXT),
    DOMException,
    "Procedure #7 is stopped",
  );
});

test("ScriptConversation waits for no answer from a process that has ended", async () => {
  await using talk = await Talk.begin();
  const asking = talk.conversation.askToEnd(500);
  await talk.end();
  assertEquals(await asking, false);
});
