// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import * as fc from "fast-check";
import { TokenLock } from "../_token_lock.ts";
import { onAbort } from "../cancellation.ts";
import { type HeldLock, LockedError, type LockOptions } from "../lock.ts";
import { ManualClock } from "../testing.ts";
import { CountingController } from "./_listeners.ts";
import { turns } from "./_turns.ts";

/** A lock on virtual time, and three who want it. */
class Rig {
  readonly clock = new ManualClock();
  readonly lock: TokenLock = new TokenLock("camera", this.clock);
  readonly ada = { name: "ada" };
  readonly bob = { name: "bob" };
  readonly eve = { name: "eve" };

  /** Locks what is free. */
  async take(owner: object, options?: LockOptions): Promise<HeldLock> {
    const held = await this.lock.lock(owner, options);
    assert(held !== null, "was not given");
    assert(held.held);
    return held;
  }

  /** How a lock() has ended and when, without waiting for it. */
  watch(owner: object, options: LockOptions): Attempt {
    const attempt: Attempt = { outcome: undefined, at: undefined };
    this.lock.lock(owner, options).then(
      (held) => attempt.outcome = held === null ? "null" : held,
      (reason) => attempt.outcome = `rejected ${reason}`,
    ).then(() => attempt.at = this.clock.now());
    return attempt;
  }

  assertNobodyWaits(): void {
    assertEquals(this.lock.waiting, 0);
    assertEquals(this.clock.pending, []);
  }
}

interface Attempt {
  /** Undefined as long as it waits. */
  outcome: HeldLock | string | undefined;
  at: number | undefined;
}

const isGiven = ({ outcome }: Attempt): boolean =>
  typeof outcome === "object" && outcome.held;

// The lock tests of the original.

test("TokenLock is locked by lock(), with a token or without", async () => {
  for (const token of [undefined, "night"]) {
    const { lock, ada } = new Rig();
    assertEquals(lock.isLocked, false);
    const held = await lock.lock(ada, { token });
    assertEquals([held?.held, lock.isLocked], [true, true]);
    if (token !== undefined) assertEquals(held?.token, token);
  }
});

test("TokenLock is free after unlock() by its owner", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  assertEquals(rig.lock.unlock(rig.ada), true);
  assertEquals([rig.lock.isLocked, held.held], [false, false]);
});

test("TokenLock is not given to a second owner", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  assertEquals(await rig.lock.lock(rig.bob), null);
  assertEquals([rig.lock.isLocked, held.held], [true, true]);
  rig.assertNobodyWaits();
});

test("TokenLock is not unlocked by somebody else", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  assertEquals(rig.lock.unlock(rig.bob), false);
  assertEquals([rig.lock.isLocked, held.held], [true, true]);
});

test("TokenLock is unlocked by anybody by force", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  rig.lock.forceUnlock();
  assertEquals([rig.lock.isLocked, held.held], [false, false]);
});

test("TokenLock is unlocked by whoever has the token, and by no other token", async () => {
  const rig = new Rig();
  await rig.take(rig.ada, { token: "night" });
  assertEquals(rig.lock.unlock(rig.bob, "day"), false);
  assertEquals(rig.lock.isLocked, true);
  assertEquals(rig.lock.unlock(rig.bob, "night"), true);
  assertEquals(rig.lock.isLocked, false);
});

test("TokenLock is given the moment it is unlocked, within the timeout", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  const attempt = rig.watch(rig.bob, { timeout: 1000 });
  await rig.clock.advance(500);
  assertEquals(attempt.outcome, undefined);
  held.unlock();
  await rig.clock.advance(0);
  assertEquals([isGiven(attempt), attempt.at], [true, 500]);
  assertEquals(rig.lock.isLocked, true);
  rig.assertNobodyWaits();
});

test("TokenLock gives null when the timeout is over first", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  const attempt = rig.watch(rig.bob, { timeout: 400 });
  await rig.clock.advance(500);
  assertEquals([attempt.outcome, attempt.at], ["null", 400]);
  held.unlock();
  await rig.clock.advance(100);
  assertEquals(rig.lock.isLocked, false);
  rig.assertNobodyWaits();
});

test("TokenLock is unlocked by a successor of the owner who knows the token", async () => {
  const rig = new Rig();
  const { token } = await rig.take({ name: "gone" });
  assertEquals(rig.lock.unlock(rig.bob, token), true);
  assertEquals(rig.lock.isLocked, false);
});

// What the original does not test.

test("TokenLock that nobody holds is unlocked by anybody, by force too", async () => {
  const rig = new Rig();
  rig.lock.forceUnlock();
  assertEquals(rig.lock.unlock(rig.ada), true);
  assertEquals(rig.lock.unlock(rig.ada, "night"), true);
  await rig.take(rig.ada);
});

test("TokenLock is not given to its owner again, unless he presents the token", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  assertEquals(await rig.lock.lock(rig.ada), null);
  assertEquals(await rig.lock.lock(rig.ada, { token: "night" }), null);
  assert(held.held);
  const { token } = held;
  const again = await rig.take(rig.ada, { token });
  assertEquals(again.token, token);
  again.unlock();
  assertEquals([held.held, rig.lock.isLocked], [false, false]);
});

test("TokenLock makes whoever presents the token an owner, past those who wait", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada, { token: "night" });
  const attempt = rig.watch(rig.eve, { timeout: Infinity });
  assertThrows(() => rig.lock.check(rig.bob, "expose"), LockedError);
  const shared = await rig.take(rig.bob, { token: "night" });
  rig.lock.check(rig.ada, "expose");
  rig.lock.check(rig.bob, "expose");
  assertEquals(rig.lock.unlock(rig.bob), true);
  assertEquals([held.held, shared.held], [false, false]);
  await rig.clock.advance(0);
  assert(isGiven(attempt));
  assertThrows(() => rig.lock.check(rig.bob, "expose"), LockedError);
});

test("TokenLock keeps small timeouts to the millisecond and below", async () => {
  const rig = new Rig();
  await rig.take(rig.ada);
  for (const timeout of [0.05, 1, 50, 250]) {
    const before = rig.clock.now();
    const attempt = rig.watch(rig.bob, { timeout });
    await rig.clock.advance(timeout);
    assertEquals([attempt.outcome, attempt.at], ["null", before + timeout]);
    rig.assertNobodyWaits();
  }
});

test("TokenLock waits for ever with a timeout of Infinity, and sets no timer", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  const attempt = rig.watch(rig.bob, { timeout: Infinity });
  assertEquals(rig.clock.pending, []);
  await rig.clock.advance(1e9);
  assertEquals(attempt.outcome, undefined);
  held.unlock();
  await rig.clock.advance(0);
  assert(isGiven(attempt));
});

test("TokenLock is handed over in order of coming, and nobody comes in between", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  const bob = rig.watch(rig.bob, { timeout: 1000 });
  const eve = rig.watch(rig.eve, { timeout: 1000 });
  held.unlock();
  // Handed over already, though nobody has been told.
  assertEquals([rig.lock.isLocked, rig.lock.waiting], [true, 1]);
  assertEquals(await rig.lock.lock(rig.ada), null);
  await rig.clock.advance(0);
  assertEquals([isGiven(bob), eve.outcome], [true, undefined]);
  assertEquals(rig.lock.unlock(rig.bob), true);
  await rig.clock.advance(0);
  assertEquals([isGiven(bob), isGiven(eve)], [false, true]);
  rig.lock.forceUnlock();
  assertEquals(rig.lock.isLocked, false);
  rig.assertNobodyWaits();
});

test("TokenLock that is unlocked by force goes to the first in line", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  const attempt = rig.watch(rig.bob, { timeout: 1000 });
  rig.lock.forceUnlock();
  await rig.clock.advance(0);
  assertEquals([held.held, isGiven(attempt)], [false, true]);
});

test("TokenLock goes to all in line who present the same token", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  const first = rig.watch(rig.bob, { timeout: 1000, token: "night" });
  const other = rig.watch(rig.eve, { timeout: 1000, token: "day" });
  const along = rig.watch(rig.ada, { timeout: 1000, token: "night" });
  held.unlock();
  await rig.clock.advance(0);
  assertEquals([first, other, along].map(isGiven), [true, false, true]);
  rig.lock.check(rig.ada, "expose");
  rig.lock.unlock(rig.ada);
  await rig.clock.advance(0);
  assertEquals([first, other, along].map(isGiven), [false, true, false]);
  rig.assertNobodyWaits();
});

test("TokenLock leaves no trace of a wait that its signal has ended", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  const controller = new CountingController();
  const { signal } = controller;
  const attempt = rig.watch(rig.bob, { timeout: 1000, signal });
  const next = rig.watch(rig.eve, { timeout: 1000 });
  await rig.clock.advance(10);
  controller.abort("dawn");
  await rig.clock.advance(0);
  assertEquals([attempt.outcome, attempt.at], ["rejected dawn", 10]);
  assertEquals([controller.listeners, rig.lock.waiting], [0, 1]);
  held.unlock();
  await rig.clock.advance(0);
  assert(isGiven(next));
  rig.assertNobodyWaits();
});

test("TokenLock has no listener and no timer left once it was given", async () => {
  const rig = new Rig();
  const controller = new CountingController();
  const { signal } = controller;
  const held = await rig.take(rig.ada, { timeout: 1000, signal });
  const attempt = rig.watch(rig.bob, { timeout: 1000, signal });
  held.unlock();
  await rig.clock.advance(0);
  rig.assertNobodyWaits();
  assertEquals(controller.listeners, 0);
  controller.abort("dawn");
  assert(isGiven(attempt));
});

test("TokenLock rejects on an aborted signal, even when it is free or closed", async () => {
  const { lock, ada } = new Rig();
  const signal = AbortSignal.abort("before");
  for (let time = 0; time < 2; time++) {
    const reason = await lock.lock(ada, { signal }).catch((reason) => reason);
    assertEquals([reason, lock.isLocked], ["before", false]);
    lock.close();
  }
});

test("TokenLock is not handed to somebody whose signal has made the owner unlock", async () => {
  const rig = new Rig();
  const controller = new AbortController();
  const { signal } = controller;
  const held = await rig.take(rig.ada);
  onAbort(signal, () => held.unlock());
  const attempt = rig.watch(rig.bob, { timeout: 1000, signal });
  const other = rig.watch(rig.eve, { timeout: 1000 });
  controller.abort("dawn");
  await rig.clock.advance(0);
  assertEquals([attempt.outcome, isGiven(other)], ["rejected dawn", true]);
  rig.assertNobodyWaits();
});

test("TokenLock.check() names the object and never a token", async () => {
  const rig = new Rig();
  rig.lock.check(rig.bob, "expose");
  await rig.take(rig.ada, { token: "night" });
  rig.lock.check(rig.ada, "expose");
  const error = assertThrows(
    () => rig.lock.check(rig.bob, "set settings"),
    LockedError,
    "Cannot set settings as 'camera' is locked by another owner",
  );
  assertInstanceOf(error, Error);
  assertEquals(error.name, "LockedError");
  assertEquals(
    `${error.stack}${JSON.stringify(error)}`.includes("night"),
    false,
  );
});

test("TokenLock.close() sends away who waits and who comes, not who holds it", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada, { token: "night" });
  const controller = new CountingController();
  const { signal } = controller;
  const attempts = [rig.bob, rig.eve].map((owner) =>
    rig.watch(owner, { timeout: Infinity, signal })
  );
  rig.lock.close();
  await rig.clock.advance(0);
  assertEquals(attempts.map(({ outcome }) => outcome), ["null", "null"]);
  assertEquals(controller.listeners, 0);
  assertEquals(await rig.lock.lock(rig.ada, { token: "night" }), null);
  assertEquals([held.held, held.unlock()], [true, true]);
  assertEquals(await rig.lock.lock(rig.bob, { timeout: Infinity }), null);
  rig.assertNobodyWaits();
});

test("HeldLock unlocks when it is disposed of", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  held[Symbol.dispose]();
  assertEquals([held.held, rig.lock.isLocked], [false, false]);
});

test("HeldLock.unlock() says whether it was held until then", async () => {
  const rig = new Rig();
  const held = await rig.take(rig.ada);
  assertEquals([held.unlock(), held.held, held.unlock()], [true, false, false]);
});

test("HeldLock that is stale does not touch a later lock, whoever has it", async () => {
  const rig = new Rig();
  const stale = await rig.take(rig.ada, { token: "night" });
  rig.lock.forceUnlock();
  for (
    const [owner, token] of [
      [rig.bob, undefined],
      [rig.ada, undefined],
      [rig.ada, "night"],
    ] as const
  ) {
    const held = await rig.take(owner, { token });
    assertEquals([stale.held, stale.unlock()], [false, false]);
    stale[Symbol.dispose]();
    assertEquals([held.held, rig.lock.isLocked], [true, true]);
    held.unlock();
  }
  assertEquals(stale.unlock(), false);
});

test("TokenLock denies an owner and a token that are stale", async () => {
  const rig = new Rig();
  const { token } = await rig.take(rig.ada);
  rig.lock.forceUnlock();
  rig.lock.check(rig.ada, "expose");
  await rig.take(rig.bob);
  assertThrows(() => rig.lock.check(rig.ada, "expose"), LockedError);
  assertEquals(rig.lock.unlock(rig.ada), false);
  assertEquals(rig.lock.unlock(rig.ada, token), false);
  assertEquals(await rig.lock.lock(rig.ada, { token }), null);
});

test("HeldLock has a token that nobody else has, and stays with it", async () => {
  const rig = new Rig();
  const tokens = new Set<string>();
  for (let time = 0; time < 10; time++) {
    const held = await rig.take(rig.ada);
    tokens.add(held.token);
    assertEquals(held.token, held.token);
    held.unlock();
  }
  assertEquals(tokens.size, 10);
  const unlocked = await rig.take(rig.ada);
  unlocked.unlock();
  const held = await rig.take(rig.ada);
  assertNotEquals(unlocked.token, held.token);
  assertEquals(unlocked.held, false);
});

test("TokenLock refuses bad arguments by name", async () => {
  const { lock, ada } = new Rig();
  const refuses = (options: unknown, message: string): Promise<Error> =>
    assertRejects(
      () => lock.lock(ada, options as LockOptions),
      Error,
      message,
    );
  await refuses(null, "Cannot lock as 'options' must be an object");
  for (const timeout of [NaN, -1]) {
    assertInstanceOf(
      await refuses(
        { timeout },
        `Cannot lock as 'timeout' must be a non-negative number: current value is ${timeout}`,
      ),
      RangeError,
    );
  }
  await refuses({ timeout: "1" }, "'timeout'");
  for (const token of ["", 1, null]) {
    const error = await refuses(
      { token },
      "Cannot lock as 'token' must be a non-empty string",
    );
    assertInstanceOf(error, TypeError);
    assertThrows(() => lock.unlock(ada, token as never), TypeError, "'token'");
  }
  await refuses(
    { signal: 1 },
    "Cannot lock as 'signal' must be an AbortSignal",
  );
  assertEquals(lock.isLocked, false);
});

// The lock against a model.

type Step =
  | { kind: "lock"; owner: number; token?: string; timeout: number }
  | { kind: "unlock"; owner: number; token?: string }
  | { kind: "unlock held" | "abort"; request: number }
  | { kind: "advance"; ms: number }
  | { kind: "force" };

const owner = fc.nat(2);
const request = fc.nat(15);
const token = fc.constantFrom(undefined, undefined, "night", "day");

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("lock" as const),
      owner,
      token,
      timeout: fc.constantFrom(0, 5, 20, 100, Infinity, Infinity),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("unlock" as const),
      owner,
      token,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("unlock held" as const, "abort" as const),
      request,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("advance" as const),
      ms: fc.constantFrom(0, 1, 5, 30),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "force" }) },
);

interface Waiter {
  request: number;
  owner: number;
  token: string | undefined;
  deadline: number;
}

/** How a request has ended: by a number, if with a lock. */
type Outcome = "null" | "aborted" | number | undefined;

/** What the lock should do, as simply as can be. */
class Model {
  readonly outcomes: Outcome[] = [];
  line: Waiter[] = [];
  /** The lock that is held: the number of the request it came by. */
  current: { id: number; token: string | undefined; owners: number[] } | null =
    null;
  #now = 0;

  #give({ request, owner, token }: Waiter): void {
    this.current ??= { id: request, token, owners: [] };
    this.current.owners.push(owner);
    this.outcomes[request] = this.current.id;
  }

  #canHave({ token }: Waiter): boolean {
    if (this.current === null) return true;
    return token !== undefined && this.current.token === token;
  }

  #end(): void {
    this.current = null;
    const [first] = this.line;
    if (first === undefined) return;
    this.#give(first);
    this.line = this.line.slice(1);
    for (const waiter of this.line) {
      if (this.#canHave(waiter)) this.#give(waiter);
    }
    this.line = this.line.filter((waiter) => !this.#canHave(waiter));
  }

  lock(owner: number, token: string | undefined, timeout: number): void {
    const request = this.outcomes.push(undefined) - 1;
    const waiter = { request, owner, token, deadline: this.#now + timeout };
    if (this.#canHave(waiter)) this.#give(waiter);
    else if (timeout === 0) this.outcomes[request] = "null";
    else this.line.push(waiter);
  }

  unlock(owner: number, token: string | undefined): boolean {
    if (this.current === null) return true;
    const isOwner = this.current.owners.includes(owner);
    const knows = token !== undefined && token === this.current.token;
    if (isOwner || knows) this.#end();
    return isOwner || knows;
  }

  unlockHeld(request: number): boolean {
    if (!this.isHeld(request)) return false;
    this.#end();
    return true;
  }

  force(): void {
    if (this.current !== null) this.#end();
  }

  isHeld(request: number): boolean {
    return this.current !== null && this.outcomes[request] === this.current.id;
  }

  abort(request: number): void {
    if (!this.line.some((waiter) => waiter.request === request)) return;
    this.line = this.line.filter((waiter) => waiter.request !== request);
    this.outcomes[request] = "aborted";
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const { request, deadline } of this.line) {
      if (deadline <= this.#now) this.outcomes[request] = "null";
    }
    this.line = this.line.filter(({ deadline }) => deadline > this.#now);
  }
}

test("TokenLock does what a simple model does", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 40 }),
      async (steps) => {
        const { lock, clock, ada, bob, eve } = new Rig();
        const owners = [ada, bob, eve];
        const ownerOf = (index: number): object => owners[index] ?? ada;
        const model = new Model();
        const controllers: CountingController[] = [];
        const ends: (HeldLock | "null" | "aborted" | undefined)[] = [];

        const begin = (owner: object, options: LockOptions): void => {
          const controller = new CountingController();
          controllers.push(controller);
          const request = ends.push(undefined) - 1;
          lock.lock(owner, { ...options, signal: controller.signal }).then(
            (held) => ends[request] = held ?? "null",
            () => ends[request] = "aborted",
          );
        };
        const heldOf = (request: number): HeldLock | undefined => {
          const end = ends[request];
          return typeof end === "object" ? end : undefined;
        };
        const perform = async (step: Step): Promise<void> => {
          switch (step.kind) {
            case "lock": {
              const { token, timeout } = step;
              model.lock(step.owner, token, timeout);
              begin(ownerOf(step.owner), { token, timeout });
              break;
            }
            case "unlock":
              assertEquals(
                lock.unlock(ownerOf(step.owner), step.token),
                model.unlock(step.owner, step.token),
              );
              break;
            case "unlock held":
              assertEquals(
                heldOf(step.request)?.unlock() ?? false,
                model.unlockHeld(step.request),
              );
              break;
            case "abort":
              model.abort(step.request);
              controllers[step.request]?.abort();
              break;
            case "advance":
              model.advance(step.ms);
              await clock.advance(step.ms);
              break;
            case "force":
              model.force();
              lock.forceUnlock();
          }
        };

        const compare = (): void => {
          const tokens = new Set<string>();
          for (const [request, outcome] of model.outcomes.entries()) {
            const end = ends[request];
            if (typeof outcome !== "number") {
              assertEquals(end, outcome);
              continue;
            }
            const held = heldOf(request);
            assert(held !== undefined);
            assertEquals(held.held, model.isHeld(request));
            if (held.held) tokens.add(held.token);
          }
          assert(tokens.size <= 1);
          assertEquals(lock.isLocked, model.current !== null);
          assertEquals(lock.waiting, model.line.length);
          for (const [index, owner] of owners.entries()) {
            let isDenied = false;
            try {
              lock.check(owner, "expose");
            } catch {
              isDenied = true;
            }
            const { current } = model;
            assertEquals(
              isDenied,
              current !== null && !current.owners.includes(index),
            );
          }
        };

        for (const step of steps) {
          await perform(step);
          await turns(3);
          compare();
        }
        lock.close();
        await turns(3);
        assert(!ends.includes(undefined), "a wait has not ended");
        assertEquals(clock.pending, []);
        assert(controllers.every(({ listeners }) => listeners === 0));
      },
    ),
    { numRuns: 300 },
  );
});
