// Copyright 2026 the Longrun authors. MIT license.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "@std/testing/bdd";
import { assertType, type IsExact } from "@std/testing/types";
import { Effect, Schema } from "effect";
import * as fc from "fast-check";
import {
  SchemaRegistry,
  type StandardIssue,
  type StandardSchema,
  Strictness,
  toPlainObject,
  validate,
  ValidationError,
} from "../validation.ts";
import { CountingController } from "./_listeners.ts";
import { RecordingLogger } from "./_recording_logger.ts";

interface Scan {
  interface: string;
  beams: number;
  rate: number;
}

type Fields = Record<string, unknown>;

/** A schema by hand: numbers, with defaults, and nothing else if it is strict. */
function scanSchema(
  { isStrict = true, rate = 1, isSlow = false } = {},
): StandardSchema<Scan> {
  const check = (value: unknown) => {
    const fields = { rate, ...value as Fields };
    const issues: StandardIssue[] = [];
    for (const [key, field] of Object.entries(fields)) {
      if (key === "interface") continue;
      if (key !== "beams" && key !== "rate") {
        if (isStrict) issues.push({ message: "is unknown", path: [{ key }] });
      } else if (typeof field !== "number") {
        issues.push({ message: "must be a number", path: [key] });
      }
    }
    if (!("beams" in fields)) {
      issues.push({ message: "is missing", path: ["beams"] });
    }
    return issues.length > 0
      ? { issues }
      : { value: fields as unknown as Scan };
  };
  return {
    "~standard": {
      version: 1,
      vendor: "by hand",
      validate: (value) =>
        isSlow ? Promise.resolve(check(value)) : check(value),
    },
  };
}

const failing = (...issues: StandardIssue[]): StandardSchema<never> => ({
  "~standard": { version: 1, vendor: "by hand", validate: () => ({ issues }) },
});

const NAME = "https://schema.example.org/scan";
const scan = (version: string, fields: Fields = {}) => ({
  interface: `${NAME}/${version}`,
  ...fields,
});

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (error) => error,
  );
  assertInstanceOf(error, ValidationError);
  assert(error.issues.length > 0);
  return error.message;
}

test("validate() gives a valid value with its defaults, and leaves the original alone", async () => {
  for (const isSlow of [false, true]) {
    for (const strictness of Object.values(Strictness)) {
      const value = scan("2.3", { beams: 4 });
      const result = await validate(scanSchema({ isSlow }), value, {
        strictness,
      });
      assertEquals(result, { ...value, beams: 4, rate: 1 });
      assertEquals(Object.keys(value), ["interface", "beams"]);
    }
  }
});

test("validate() refuses what is not valid, and says all that is wrong and where", async () => {
  const error = await validate(scanSchema(), {
    beams: "4",
    rate: null,
    colour: "red",
  }).catch((error) => error);
  assertInstanceOf(error, ValidationError);
  assertEquals(error.name, "ValidationError");
  assertEquals(error.issues, [
    { path: "rate", keys: ["rate"], message: "must be a number" },
    { path: "beams", keys: ["beams"], message: "must be a number" },
    { path: "colour", keys: ["colour"], message: "is unknown" },
  ]);
  assertEquals(
    error.message,
    "The value is not valid: rate: must be a number; beams: must be a number; colour: is unknown",
  );
});

test("ValidationError spells out three issues and counts the others", async () => {
  const issue = (n: number): StandardIssue => ({ message: `m${n}`, path: [n] });
  assertEquals(
    await refusal(
      validate(failing(...[0, 1, 2, 3, 4].map(issue)), {}, { name: "Scan" }),
    ),
    "Scan is not valid: [0]: m0; [1]: m1; [2]: m2; and 2 more",
  );
});

test("ValidationIssue has a path that reads like code", async () => {
  const symbol = Symbol("x");
  for (
    const [keys, path] of [
      [[], ""],
      [["scan"], "scan"],
      [["scan", "beams", 2, "frequency"], "scan.beams[2].frequency"],
      [["a key"], '["a key"]'],
      [["a", "1st", ""], 'a["1st"][""]'],
      [["größe", "$x", "_y"], "größe.$x._y"],
      [[0, 1], "[0][1]"],
      [[symbol], "[Symbol(x)]"],
    ] as [PropertyKey[], string][]
  ) {
    const schema = failing({ message: "no", path: keys });
    const error = await validate(schema, {}).catch((error) => error);
    assertEquals(error.issues, [{ path, keys, message: "no" }]);
  }
  const bare = await validate(failing({ message: "no" }), {})
    .catch((error) => error);
  assertEquals(bare.issues, [{ path: "", keys: [], message: "no" }]);
  assertEquals(bare.message, "The value is not valid: no");
});

test('validate() with "warning" lets through what is not valid, and logs it once', async () => {
  const logger = new RecordingLogger();
  const value = { beams: "4", colour: "red" };
  const result = await validate(scanSchema(), value, {
    strictness: "warning",
    name: "Scan",
    logger,
  });
  assertStrictEquals<unknown>(result, value);
  assertEquals(logger.lines, [
    "warn Scan is not valid: beams: must be a number; colour: is unknown",
  ]);
});

test('validate() with "permissive" lets through what is not valid, and says nothing', async () => {
  const logger = new RecordingLogger();
  const value = { beams: "4" };
  const options = { strictness: "permissive", logger } as const;
  assertStrictEquals<unknown>(
    await validate(scanSchema(), value, options),
    value,
  );
  assertEquals(logger.lines, []);
});

test("validate() with a permissive schema takes the defaults from there, and insists on it", async () => {
  const logger = new RecordingLogger();
  const permissive = scanSchema({ isStrict: false, rate: 7 });
  const value = { beams: 4, colour: "red" };
  for (const strictness of ["permissive", "warning"] as const) {
    const options = { strictness, permissive, logger };
    assertEquals<unknown>(await validate(scanSchema(), value, options), {
      rate: 7,
      beams: 4,
      colour: "red",
    });
    assertEquals(
      await refusal(
        validate(scanSchema(), { colour: "red" }, { ...options, name: "Scan" }),
      ),
      "Scan is not valid: beams: is missing",
    );
  }
  assertEquals(logger.lines, [
    "warn The value is not valid: colour: is unknown",
  ]);
  await refusal(validate(scanSchema(), value, { permissive }));
});

test("validate() survives a logger that fails", async () => {
  const logger = new RecordingLogger();
  logger.warn = () => {
    throw new Error("no disk");
  };
  const { error } = console;
  const said: unknown[] = [];
  console.error = (...args) => said.push(args);
  try {
    await validate(scanSchema(), {}, { strictness: "warning", logger });
  } finally {
    console.error = error;
  }
  assertEquals(said.length, 1);
});

test("validate() takes validators as they are, functions too", async () => {
  const Beam = Schema.Struct({ id: Schema.Number });
  const schema = Schema.toStandardSchemaV1(Schema.Struct({
    beams: Schema.Array(Beam),
    rate: Schema.Number.pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(5)),
    ),
  }));
  const value = await validate(schema, { beams: [{ id: 1 }] });
  assertEquals(value, { beams: [{ id: 1 }], rate: 5 });
  assertType<
    IsExact<
      typeof value,
      {
        readonly beams: readonly { readonly id: number }[];
        readonly rate: number;
      }
    >
  >(true);
  const error = await validate(schema, { beams: [{ id: 1 }, { id: "2" }] })
    .catch((error) => error);
  assertInstanceOf(error, ValidationError);
  assertEquals(error.issues[0]?.path, "beams[1].id");

  const callable = Object.assign(() => {}, scanSchema());
  assertEquals(await validate(callable, { beams: 1 }), {
    beams: 1,
    rate: 1,
  } as unknown as Scan);
});

test("validate() calls a validator as the method that it may be", async () => {
  class Named {
    readonly version = 1;
    readonly vendor = "by hand";
    readonly #name = "Vela";
    validate(value: unknown) {
      return { value: [this.#name, value] };
    }
  }
  assertEquals(await validate({ "~standard": new Named() }, 5), ["Vela", 5]);
});

test("validate() passes on what a validator throws", async () => {
  const schema: StandardSchema = {
    "~standard": {
      version: 1,
      vendor: "broken",
      validate: () => {
        throw new RangeError("too deep");
      },
    },
  };
  await assertRejects(() => validate(schema, {}), RangeError, "too deep");
  const nonsense = {
    "~standard": { version: 1, vendor: "broken", validate: () => null },
  } as unknown as StandardSchema;
  await assertRejects(
    () => validate(nonsense, {}),
    TypeError,
    "Cannot validate with a schema of broken as 'its result' must be an object: current value is null",
  );
  const wordy = {
    "~standard": {
      version: 1,
      vendor: "broken",
      validate: () => ({ issues: "many" }),
    },
  } as unknown as StandardSchema;
  await assertRejects(
    () => validate(wordy, {}),
    TypeError,
    `'its issues' must be an array: current value is "many"`,
  );
  assertEquals(
    await refusal(validate(failing(), {})),
    "The value is not valid: nobody says why",
  );
});

test("validate() does not wait beyond the abort of its signal", async () => {
  const controller = new CountingController();
  const { signal } = controller;
  const never: StandardSchema = {
    "~standard": {
      version: 1,
      vendor: "slow",
      validate: () => new Promise(() => {}),
    },
  };
  const result = validate(never, {}, { signal }).catch((reason) => reason);
  await Promise.resolve();
  controller.abort("dawn");
  assertEquals(await result, "dawn");
  assertEquals(controller.listeners, 0);
  const late = validate(scanSchema(), {}, { signal });
  assertEquals(await late.catch((reason) => reason), "dawn");
});

test("SchemaRegistry validates by the schema of the interface", async () => {
  const registry = new SchemaRegistry<Scan>()
    .add(`${NAME}/2.3`, scanSchema({ rate: 23 }))
    .add(`${NAME}/3.0`, scanSchema({ rate: 30 }))
    .add("other/2.3", scanSchema({ rate: 0 }));
  const rateOf = async (version: string) =>
    (await registry.validate(scan(version, { beams: 1 }))).rate;
  assertEquals(await rateOf("2.3"), 23);
  assertEquals(await rateOf("3.0"), 30);
  assertEquals(
    await registry.validate({ interface: "other/2.3", beams: 1 }),
    { interface: "other/2.3", beams: 1, rate: 0 },
  );
  assertEquals(registry.interfaces, [
    `${NAME}/3.0`,
    `${NAME}/2.3`,
    "other/2.3",
  ]);
});

test("SchemaRegistry.find() gives the version itself, else the newest that is for it", () => {
  const registry = new SchemaRegistry()
    .add("scan/2.3", scanSchema())
    .add("scan/2.10", scanSchema(), { since: "2.2" })
    .add("scan/2.9", scanSchema(), { since: "2.1" })
    .add("scan/10.0", scanSchema());
  for (
    const [asked, found] of [
      ["2.3", "2.3"],
      ["2.4", "2.10"],
      ["2.9", "2.9"],
      ["2.10", "2.10"],
      ["2.2", "2.10"],
      ["2.1", "2.9"],
      ["2.0", "2.3"],
      ["2.11", undefined],
      ["1.0", undefined],
      ["3.0", undefined],
      ["10.0", "10.0"],
      ["02.03", "2.3"],
    ]
  ) {
    const result = registry.find(`scan/${asked}`)?.interface;
    assertEquals(result, found && `scan/${found}`, asked);
  }
  for (
    const uri of ["", "scan", "scan/", "scan/2", "2.3", "/2.3", "scan/2.x"]
  ) {
    assertEquals(registry.find(uri), undefined, uri);
  }
});

test("SchemaRegistry.find() always gives a version that is for the one asked for", () => {
  const minor = fc.nat(12);
  fc.assert(fc.property(
    fc.uniqueArray(fc.tuple(minor, minor), { selector: ([own]) => own }),
    minor,
    (versions, asked) => {
      const registry = new SchemaRegistry();
      for (const [own, since] of versions) {
        registry.add(`scan/2.${own}`, scanSchema(), {
          since: `2.${Math.min(own, since)}`,
        });
      }
      const found = registry.find(`scan/2.${asked}`)?.interface;
      const fit = versions
        .filter(([own, since]) => own >= asked && Math.min(own, since) <= asked)
        .map(([own]) => own);
      const best = fit.includes(asked) ? asked : Math.max(...fit);
      assertEquals(found, fit.length === 0 ? undefined : `scan/2.${best}`);
    },
  ));
});

test("SchemaRegistry knows no versions that are too large to tell apart", async () => {
  const registry = new SchemaRegistry<Scan>()
    .add(`${NAME}/999999999999999.0`, scanSchema());
  assert(registry.find(`${NAME}/999999999999999.0`) !== undefined);
  for (const version of ["9007199254740993.0", "1.9007199254740993"]) {
    assertThrows(
      () => registry.add(`${NAME}/${version}`, scanSchema()),
      TypeError,
      "an interface with a version",
    );
    assertEquals(registry.find(`${NAME}/${version}`), undefined);
    assertEquals(
      await refusal(registry.validate(scan(version))),
      "The value is not valid: interface: must be a name with a version, such as 'scan/2.3'",
    );
  }
});

test("SchemaRegistry refuses what has no interface that it knows, however strict it is", async () => {
  const registry = new SchemaRegistry<Scan>()
    .add(`${NAME}/2.6`, scanSchema(), { since: "2.3" })
    .add(`${NAME}/3.0`, scanSchema());
  const wrong =
    "The value is not valid: interface: must be a name with a version, such as 'scan/2.3'";
  const cases: [unknown, string][] = [
    [null, "The value is not valid: must be an object"],
    [[], "The value is not valid: must be an object"],
    ["x", "The value is not valid: must be an object"],
    [{}, wrong],
    [{ interface: 2.3 }, wrong],
    [{ interface: NAME }, wrong],
    [{ interface: `${NAME}/2` }, wrong],
    [
      { interface: "scan/2.3" },
      "The value is not valid: interface: there is no schema of 'scan'",
    ],
    [
      scan("2.2"),
      "The value is not valid: interface: version 2.2 should be 2.3 to 2.6 or 3.0",
    ],
    [
      scan("2.7"),
      "The value is not valid: interface: version 2.7 should be 2.3 to 2.6 or 3.0",
    ],
  ];
  for (const strictness of Object.values(Strictness)) {
    for (const [value, message] of cases) {
      assertEquals(
        await refusal(registry.validate(value, { strictness })),
        message,
      );
    }
  }
});

test("SchemaRegistry is as strict as it was made, unless the call says otherwise", async () => {
  const logger = new RecordingLogger();
  const other = new RecordingLogger();
  const registry = new SchemaRegistry<Scan>({ strictness: "warning", logger })
    .add(`${NAME}/2.3`, scanSchema(), {
      permissive: scanSchema({ isStrict: false }),
    });
  const value = scan("2.3", { beams: 1, colour: "red" });
  const filled = { ...value, rate: 1 };
  assertEquals<unknown>(await registry.validate(value), filled);
  assertEquals(logger.lines, [
    `warn ${NAME}/2.3 is not valid: colour: is unknown`,
  ]);
  assertEquals<unknown>(
    await registry.validate(value, { logger: other }),
    filled,
  );
  assertEquals(other.lines.length, 1);
  assertEquals<unknown>(
    await registry.validate(value, { strictness: "permissive" }),
    filled,
  );
  assertEquals(logger.lines.length, 1);
  assertEquals(
    await refusal(registry.validate(value, { strictness: "strict" })),
    `${NAME}/2.3 is not valid: colour: is unknown`,
  );
});

test("SchemaRegistry.parse() reads a text", async () => {
  const registry = new SchemaRegistry<Scan>()
    .add(`${NAME}/2.3`, scanSchema({ isSlow: true }));
  const text = JSON.stringify(scan("2.3", { beams: 4 }));
  assertEquals(await registry.parse(text), scan("2.3", { beams: 4, rate: 1 }));
  assertEquals(
    await registry.parse(JSON.stringify(await registry.parse(text))),
    await registry.parse(text),
  );
  const error = await registry.parse("{ beams: 4 }").catch((error) => error);
  assertInstanceOf(error, ValidationError);
  assertInstanceOf(error.cause, SyntaxError);
  assertEquals(error.issues, [
    { path: "", keys: [], message: error.cause.message },
  ]);
});

test("Validation is clear at the door", async () => {
  const wrong = (value: unknown): never => value as never;
  const registry = new SchemaRegistry().add("scan/2.3", scanSchema());
  for (
    const [act, message] of [
      [
        () => registry.add("scan", scanSchema()),
        `Cannot add schema as 'uri' must be an interface with a version, such as 'scan/2.3': current value is "scan"`,
      ],
      [
        () => registry.add(wrong(5), scanSchema()),
        "Cannot add schema as 'uri' must be",
      ],
      [
        () => registry.add("scan/2.4", wrong({})),
        "Cannot add schema as 'schema' must be a Standard Schema of version 1: current value is [object Object]",
      ],
      [
        () => registry.add("scan/2.4", wrong({ "~standard": { version: 2 } })),
        "Cannot add schema as 'schema' must be",
      ],
      [
        () => registry.add("scan/2.4", scanSchema(), { permissive: wrong(1) }),
        "Cannot add schema as 'permissive' must be a Standard Schema",
      ],
      [
        () => registry.add("scan/2.4", scanSchema(), { since: wrong(2.1) }),
        "Cannot add schema as 'since' must be a string: current value is 2.1",
      ],
      [
        () => new SchemaRegistry({ strictness: wrong(2) }),
        `Cannot create SchemaRegistry as 'strictness' must be "permissive" or "warning" or "strict": current value is 2`,
      ],
      [
        () => new SchemaRegistry({ logger: wrong({}) }),
        "Cannot create SchemaRegistry as 'logger' must be a Logger",
      ],
    ] as const
  ) {
    assertThrows(act, TypeError, message);
  }
  for (
    const [act, message] of [
      [
        () => registry.add("scan/2.3", scanSchema()),
        "Cannot add schema as 'scan/2.3' has one already",
      ],
      [
        () => registry.add("scan/02.3", scanSchema()),
        "Cannot add schema as 'scan/02.3' has one already",
      ],
      ...["2.5", "1.0", "x", "2"].map((since) =>
        [
          () => registry.add("scan/2.4", scanSchema(), { since }),
          `Cannot add schema as 'since' must be a version from 2.0 to 2.4: current value is "${since}"`,
        ] as const
      ),
    ] as const
  ) {
    assertThrows(act, RangeError, message);
  }
  assertEquals(registry.interfaces, ["scan/2.3"]);
  const value = { interface: "scan/2.3", beams: 1 };
  await assertRejects(
    () => validate(wrong(null), value),
    TypeError,
    "Cannot validate as 'schema' must be",
  );
  await assertRejects(
    () => registry.validate(value, { strictness: wrong("none") }),
    TypeError,
    "'strictness' must be",
  );
  await assertRejects(
    () => registry.parse(wrong(value)),
    TypeError,
    "Cannot parse as 'text' must be a string",
  );
  await assertRejects(
    () => registry.parse("{}", { signal: wrong(1) }),
    TypeError,
    "'signal' must be an AbortSignal",
  );
});

class Beam {
  readonly id: number;
  readonly since = new Date(0);
  readonly #secret = "x";
  readonly describe = (): string => this.#secret;

  constructor(id: number) {
    this.id = id;
  }

  get name(): string {
    return `beam ${this.id}`;
  }

  method(): void {}
}

test("toPlainObject() takes the fields of instances, deep", () => {
  class Scan {
    readonly beams = new Map([["low", new Beam(1)], ["high", new Beam(2)]]);
    readonly flags = new Set(["a", "b"]);
    readonly nested = { list: [new Beam(3), [null, true]], none: undefined };
    readonly samples = new Float32Array([0.5, 1.5]);
    readonly large = 2n;
  }
  const since = "1970-01-01T00:00:00.000Z";
  assertEquals(toPlainObject(new Scan()), {
    beams: { low: { id: 1, since }, high: { id: 2, since } },
    flags: ["a", "b"],
    nested: { list: [{ id: 3, since }, [null, true]] },
    samples: [0.5, 1.5],
    large: 2n,
  });
});

test("toPlainObject() takes a map with names for keys", () => {
  const map = new Map<unknown, unknown>([["a", 1], [2, new Map([["b", 3]])]]);
  assertEquals(toPlainObject(map), { a: 1, 2: { b: 3 } });
  assertThrows(
    () => toPlainObject({ x: [new Map([[{}, 1]])] }),
    TypeError,
    "Cannot make a plain object as 'x[0]' has a key of type object",
  );
});

test("toPlainObject() takes errors with what they say", () => {
  class DiskError extends Error {
    override readonly name: string = "DiskError";
    readonly code = 5;
  }
  const error = new DiskError("full", { cause: new RangeError("too much") });
  assertEquals(toPlainObject({ exception: error }), {
    exception: {
      name: "DiskError",
      message: "full",
      cause: { name: "RangeError", message: "too much" },
      code: 5,
    },
  });
});

test("toPlainObject() leaves out what is no data, as JSON does", () => {
  const value = {
    undefined,
    method() {},
    symbol: Symbol("x"),
    [Symbol("y")]: 1,
    list: [undefined, () => {}, Symbol("z"), 1],
    // deno-lint-ignore no-sparse-arrays
    holes: [1, , 3],
    map: new Map([["gone", undefined]]),
  };
  assertEquals(toPlainObject(value), {
    list: [null, null, null, 1],
    holes: [1, null, 3],
    map: {},
  });
});

test("toPlainObject() asks what has a toJSON(), but for the outermost", () => {
  class Angle {
    readonly degrees = 90;
    toJSON(): string {
      return `${this.degrees}°`;
    }
  }
  class Dish {
    readonly angle = new Angle();
    readonly url = new URL("https://example.org/dish");
    readonly parts: Dish[] = [];
    toJSON() {
      return toPlainObject(this);
    }
  }
  const dish = new Dish();
  dish.parts.push(new Dish());
  const one = { angle: "90°", url: "https://example.org/dish" };
  const expected = { ...one, parts: [{ ...one, parts: [] }] };
  assertEquals<unknown>(toPlainObject(dish), expected);
  assertEquals(JSON.parse(JSON.stringify(dish)), expected);
  assertEquals(toPlainObject(new Angle()), { degrees: 90 });
  assertEquals(toPlainObject({ x: { toJSON: () => undefined } }), { x: null });
});

test("toPlainObject() refuses what leads back to itself, and says where", () => {
  interface Node {
    next?: unknown;
    toJSON?: () => unknown;
  }
  const self: Node = {};
  self.next = self;
  const cases: [() => object, string][] = [
    [() => self, "next"],
    [() => {
      const list: unknown[] = [];
      list.push([list]);
      return { list };
    }, "list[0][0]"],
    [() => {
      const map = new Map<string, unknown>();
      map.set("a key", new Set([map]));
      return { map };
    }, 'map["a key"][0]'],
    [() => {
      const error = new Error("x");
      error.cause = { error };
      return { error };
    }, "error.cause.error"],
    [() => {
      const [a, b]: [Node, Node] = [{}, {}];
      a.next = b;
      b.next = a;
      b.toJSON = () => toPlainObject(b);
      return a;
    }, "next"],
    [() => {
      const a: Node = {};
      a.next = { toJSON: () => a };
      return a;
    }, "next"],
  ];
  for (const [make, path] of cases) {
    assertThrows(
      () => toPlainObject(make()),
      TypeError,
      `Cannot make a plain object as '${path}' leads back to what it is part of`,
    );
  }
  // Nothing is remembered of those.
  delete self.next;
  assertEquals(toPlainObject(self), {});
});

test("toPlainObject() makes two of what is in two places", () => {
  const shared = { x: 1 };
  const result = toPlainObject({ a: shared, b: [shared, shared] });
  assertEquals(result, { a: { x: 1 }, b: [{ x: 1 }, { x: 1 }] });
  assert(result.a !== shared);
});

test("toPlainObject() refuses what cannot be plain, and says where", () => {
  const wrong = (value: unknown): never => value as never;
  for (
    const [value, message] of [
      [{ image: Promise.resolve() }, "'image' is a promise"],
      [{ x: { at: new Date(NaN) } }, "'x.at' is an invalid date"],
      [{ x: new DataView(new ArrayBuffer(1)) }, "'x' is a DataView"],
      [[1], "it is a list"],
      [new Set(), "it is a list"],
      [new Uint8Array(1), "it is a list"],
      [new Date(0), "it is a date"],
      [null, "it is null"],
      [undefined, "it is undefined"],
      [5, "it is a number"],
      [() => {}, "it is a function"],
    ] as const
  ) {
    assertThrows(
      () => toPlainObject(wrong(value)),
      TypeError,
      `Cannot make a plain object as ${message}`,
    );
  }
});

test("toPlainObject() does with a field called __proto__ what it does with any", () => {
  const value = JSON.parse(`{ "__proto__": { "admin": true }, "x": 1 }`);
  const result = toPlainObject(value);
  assertEquals(Object.keys(result), ["__proto__", "x"]);
  assertEquals(Object.getPrototypeOf(result), Object.prototype);
  assertEquals("admin" in result, false);
  const map = toPlainObject(new Map([["__proto__", 1]]));
  assertEquals(Object.keys(map), ["__proto__"]);
});

test("toPlainObject() agrees with JSON on whatever JSON can say", () => {
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.jsonValue(),
      fc.constantFrom(undefined, null, -0, "", () => {}),
      fc.date({ noInvalidDate: true }),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.string(), tie("value"), { maxKeys: 4 }),
      tie("value").map((x) => Object.assign(new Beam(1), { x })),
      tie("value").map((x) => ({ toJSON: () => ({ x }) })),
    ),
  }));
  fc.assert(
    fc.property(fc.dictionary(fc.string(), value), (value) => {
      const plain = toPlainObject(value);
      assertEquals<unknown>(
        JSON.parse(JSON.stringify(plain)),
        JSON.parse(JSON.stringify(value)),
      );
      assertEquals(toPlainObject(plain), plain);
    }),
  );
});
