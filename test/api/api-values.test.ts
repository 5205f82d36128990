import fc from "fast-check";
import t from "tap";
import { encodeResults } from "../../agent/api/encode-results.ts";
import { parseGoDuration } from "../../agent/api/go-duration.ts";
import { parseJson } from "../../agent/api/parse-json.ts";
import { parseStatements } from "../../agent/api/parse-statements.ts";
import { QueryString } from "../../agent/api/query-string.ts";
import { RequestBudget } from "../../agent/api/request-budget.ts";
import { createRequestGuard } from "../../agent/api/request-guard.ts";
import { type JsonValue, writeJson } from "../../agent/api/write-json.ts";
import type { StatementResult } from "../../agent/store/types.ts";

const DEEP = 16;

t.test("parseJson() reads what JSON.parse() reads, the slow way too", async (t) => {
  const isSame = (text: string): boolean => {
    // Digits in a string force the slow path, and change nothing.
    const [value, digits] = parseJson(`[${text}, "${"1".repeat(DEEP)}"]`) as [unknown, string];
    const rounded = JSON.stringify(value, (_, item) => (typeof item === "bigint" ? Number(item) : item));
    return digits.length === DEEP && rounded === JSON.stringify(JSON.parse(text));
  };
  t.doesNotThrow(() => fc.assert(fc.property(fc.json({ maxDepth: 5 }), isSame)));
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
        isSame,
      ),
    ),
  );
});

t.test("parseJson() refuses what JSON.parse() refuses, with the place", async (t) => {
  const isSame = (text: string): boolean => {
    const isFine = (read: (text: string) => unknown): boolean => {
      try {
        read(text);
        return true;
      } catch {
        return false;
      }
    };
    return isFine(JSON.parse) === isFine(parseJson) && isFine(JSON.parse) === isFine((text) => slowly(text));
  };
  const slowly = (text: string): unknown => parseJson(`["${"1".repeat(DEEP)}",${text}]`);
  const nearlyJson = fc
    .tuple(
      fc.json({ maxDepth: 3 }),
      fc.nat(),
      fc.constantFrom("", ",", '"', "}", "[", "\\", "0", "-", "\n", "e"),
    )
    .map(([text, at, change]) => {
      const place = at % (text.length + 1);
      return `${text.slice(0, place)}${change}${text.slice(place + 1)}`;
    })
    // In an array, a list of values is as good as one.
    .filter((text) => !/^[^"]*,/.test(text));
  t.doesNotThrow(() => fc.assert(fc.property(nearlyJson, isSame), { numRuns: 2000 }));

  const places: readonly (readonly [string, RegExp])[] = [
    ["", /line 1, column 1: expected a value, found the end/],
    ['["a",\n  b]', /line 2, column 3: expected a value, found "b"/],
    ['["a"', /line 1, column 5: expected "," or "]", found the end/],
    ['["a"] x', /line 1, column 7: expected the end, found "x"/],
    ['{"a" 1}', /line 1, column 6: expected ":", found "1"/],
    ["{a:1}", /expected a key in double quotes, found "a"/],
    ['["a', /expected the closing "/],
    ['["\\x"]', /column 2: expected a string with valid escapes/],
    ["[01]", /expected "," or "]", found "1"/],
    [`${"[".repeat(200)}1234567890123456`, /at most 100 levels/],
  ];
  for (const [text, message] of places)
    t.throws(() => parseJson(text), { code: "malformed-json", message }, text);
});

t.test("parseJson() and writeJson() keep 64-bit integers exactly", async (t) => {
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  const isKept = (integer: bigint): boolean => {
    const read = parseJson(`[${integer}]`) as JsonValue[];
    return BigInt(read[0] as bigint) === integer && writeJson(read) === `[${integer}]`;
  };
  t.doesNotThrow(() => fc.assert(fc.property(int64, isKept)));
  t.equal(parseJson("9007199254740991"), 9_007_199_254_740_991);
  t.equal(parseJson("9007199254740993"), 9_007_199_254_740_993n);
  // Beyond 64 bits it is a double, as it is in SQLite.
  t.equal(parseJson("9223372036854775808"), 2 ** 63);
  t.equal(parseJson("1".repeat(400)), Number.POSITIVE_INFINITY);
});

t.test("writeJson() writes what JSON.stringify() writes, indented or not", async (t) => {
  const isSame = (value: unknown, indent: number): boolean =>
    writeJson(value as JsonValue, indent) === JSON.stringify(value, null, indent);
  t.doesNotThrow(() => fc.assert(fc.property(fc.jsonValue(), fc.constantFrom(0, 4), isSame)));
  t.equal(writeJson([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]), "[9e999,-9e999,null]");
});

const parse = (body: string): unknown => parseStatements(Buffer.from(body));

t.test("parseStatements() takes rqlite's forms", async (t) => {
  t.same(parse('["SELECT 1", ["SELECT ?, ?", 1, "a"], ["SELECT :a", {"a": null}], ["SELECT 2"]]'), [
    { sql: "SELECT 1", parameters: [] },
    { sql: "SELECT ?, ?", parameters: [1, "a"] },
    { sql: "SELECT :a", parameters: { a: null } },
    { sql: "SELECT 2", parameters: [] },
  ]);
  t.same(parse('[["?", true, false, [0, 255], 1.5, 9007199254740993]]'), [
    { sql: "?", parameters: [1, 0, Uint8Array.of(0, 255), 1.5, 9_007_199_254_740_993n] },
  ]);
  t.same(parse('[["?", {":a": 1, "$b": 2}, {"@c": 3}]]'), [{ sql: "?", parameters: { a: 1, b: 2, c: 3 } }]);
});

t.test("parseStatements() says which statement has the wrong shape", async (t) => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ["{}", /the body: it must be a JSON array/],
    ["[]", /the body/],
    ['"SELECT 1"', /the body/],
    ['["a", 1]', /statement 2: it must be text/],
    ["[[]]", /statement 1/],
    ["[[1]]", /statement 1/],
    ['[["a", {"b": {}}]]', /statement 1, parameter "b"/],
    ['[["a", 1, {"b": 2}]]', /not mixed/],
    ['[["a", [256]]]', /statement 1, parameter 1: .*bytes/],
    ['[["a", 1e400]]', /too large/],
    [`[${'"a",'.repeat(10_000)}"a"]`, /at most 10000/],
  ];
  for (const [body, message] of refused) t.throws(() => parse(body), { code: "wrong-shape", message });
  t.throws(() => parseStatements(Uint8Array.of(0x5b, 0x22, 0xff, 0x22, 0x5d)), { code: "malformed-json" });
  // A name like this is a parameter, not a prototype.
  t.match(parse('[["a", {"__proto__": 1}]]'), [{ parameters: JSON.parse('{"__proto__": 1}') }]);
});

t.test("encodeResults() answers in rqlite's forms", async (t) => {
  const results: StatementResult[] = [
    { kind: "changed", lastInsertId: 7, rowsAffected: 1 },
    { kind: "changed", lastInsertId: 0, rowsAffected: 0 },
    { kind: "error", code: "sql", message: 'near "x": syntax error' },
    {
      kind: "rows",
      columns: ["id", "b"],
      types: ["integer", "blob"],
      values: [[2n ** 62n, Uint8Array.of(1, 2, 3)]],
    },
    { kind: "rows", columns: ["id"], types: ["integer"], values: [] },
  ];
  const plain = { associative: false, blobArray: false, pretty: false, seconds: undefined };
  t.equal(
    encodeResults(results, plain).text,
    '{"results":[{"last_insert_id":7,"rows_affected":1},{},{"error":"near \\"x\\": syntax error","code":"sql"},' +
      '{"columns":["id","b"],"types":["integer","blob"],"values":[[4611686018427387904,"AQID"]]},' +
      '{"columns":["id"],"types":["integer"]}]}',
  );
  t.equal(
    encodeResults(results.slice(3), { ...plain, associative: true, blobArray: true, seconds: 0.5 }).text,
    '{"results":[{"types":{"id":"integer","b":"blob"},"rows":[{"id":4611686018427387904,"b":[1,2,3]}]},' +
      '{"types":{"id":"integer"},"rows":[]}],"time":0.5}',
  );
});

t.test("encodeResults() gives a long answer away piece by piece", async (t) => {
  const values = Array.from({ length: 5_000 }, (_, nth) => [nth, "\u{1f3d4} é".repeat(20)]);
  const plain = { associative: false, blobArray: false, pretty: false, seconds: undefined };
  const pieces = encodeResults([{ kind: "rows", columns: ["n", "a"], types: ["", ""], values }], plain);
  const text = JSON.stringify({ results: [{ columns: ["n", "a"], types: ["", ""], values }] });
  t.equal(pieces.text, null, "not as one text");
  t.equal(pieces.bytes, Buffer.byteLength(text));

  const taken: Uint8Array[] = [];
  for (let piece = pieces.take(); piece !== undefined; piece = pieces.take()) {
    taken.push(piece);
    const rest = Buffer.byteLength(text) - taken.reduce((sum, { length }) => sum + length, 0);
    t.equal(pieces.bytes, rest);
  }
  t.ok(taken.length > 5 && taken.every(({ length }) => length < 256 * 1024), `${taken.length} pieces`);
  t.ok(Buffer.concat(taken).toString() === text);
});

t.test("parseGoDuration() reads Go's durations", async (t) => {
  const known = {
    "5s": 5000,
    "300ms": 300,
    "1m30s": 90_000,
    "1.5h": 5_400_000,
    ".5s": 500,
    "0": 0,
    "10us": 0.01,
  };
  for (const [text, ms] of Object.entries(known)) t.equal(parseGoDuration(text), ms, text);
  for (const text of ["", "5", "s", "-1s", "1 s", "1d", "1e3s", "..s"])
    t.equal(parseGoDuration(text), undefined, text);
});

t.test("QueryString guesses nothing", async (t) => {
  const query = new QueryString("pretty&transaction=false&level=Strong&q=a+b%3D%C3%A9&timeout=2s");
  t.equal(query.flag("pretty"), true);
  t.equal(query.flag("transaction"), false);
  t.equal(query.flag("timings"), false);
  t.equal(query.choice("level", ["none", "strong"], "none"), "strong");
  t.equal(query.text("q"), "a b=é");
  t.equal(query.durationMs("timeout", 1, 5000), 2000);
  const refused: readonly (() => unknown)[] = [
    () => new QueryString("a=%zz"),
    () => new QueryString("a=%ff"),
    () => new QueryString("a=1&a=2"),
    () => new QueryString("pretty=maybe").flag("pretty"),
    () => new QueryString("level=best").choice("level", ["none"], "none"),
    () => new QueryString("timeout=6s").durationMs("timeout", 1, 5000),
    () => new QueryString("timeout=0").durationMs("timeout", 1, 5000),
    () => new QueryString("timeout=5").durationMs("timeout", 1, 5000),
  ];
  for (const run of refused) t.throws(run, { code: "bad-parameter" });
});

t.test("createRequestGuard() lets programs in and other sites' pages out", async (t) => {
  const guard = createRequestGuard({ host: "127.0.0.5", isLoopback: true });
  for (const host of ["localhost:4001", "LOCALHOST", "127.0.0.1:1", "[::1]:4001", "127.0.0.5", undefined]) {
    t.doesNotThrow(() => guard(host === undefined ? {} : { host }), String(host));
  }
  t.doesNotThrow(() => guard({ host: "localhost:4001", origin: "http://localhost:4001" }));
  for (const host of [
    "evil.example",
    "evil.example:4001",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "",
  ]) {
    t.throws(() => guard({ host }), { code: "foreign-host" }, host);
  }
  for (const origin of ["http://evil.example", "null", "http://localhost", "https://localhost:4001", ""]) {
    t.throws(() => guard({ host: "localhost:4001", origin }), { code: "foreign-origin" }, origin);
  }
  const open = createRequestGuard({ host: "10.0.0.1", isLoopback: false });
  t.doesNotThrow(() => open({ host: "shop-1.example" }));
});

t.test("RequestBudget gives back what ended, and refuses what is too much", async (t) => {
  const budget = new RequestBudget({ requestsMax: 2, bytesMax: 10 });
  let end: () => void = () => undefined;
  const first = budget.run(async (claim) => {
    claim(8);
    await new Promise<void>((resolve) => {
      end = resolve;
    });
  });
  await t.rejects(
    budget.run(async (claim) => claim(3)),
    { code: "overloaded" },
  );
  await t.resolves(budget.run(async (claim) => claim(2)));
  const second = budget.run(() => first);
  await t.rejects(
    budget.run(async () => undefined),
    { code: "overloaded" },
  );
  end();
  await second;
  await t.resolves(budget.run(async (claim) => claim(10)));
});
