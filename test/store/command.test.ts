import fc from "fast-check";
import t from "tap";
import { encodeCbor } from "../../agent/platform/cbor.ts";
import { decodeCommand, encodeCommand } from "../../agent/store/command.ts";
import type { ObjectWrite } from "../../agent/store/objects.ts";
import type { Command, SqlCommand, SqlParameters } from "../../agent/store/types.ts";

const seed = Uint8Array.from({ length: 16 }, (_, at) => at);

function commandWith(parameters: SqlParameters): SqlCommand {
  const statements = [{ sql: "SELECT ?", parameters }];
  return { kind: "sql", timeMs: 1_700_000_000_000, session: null, seed, transaction: true, statements };
}

function roundTrip(command: SqlCommand): SqlCommand {
  const decoded = decodeCommand(encodeCommand(command));
  if (decoded.kind !== "sql") throw new Error(`it became ${decoded.kind}`);
  return decoded;
}

t.test("encodeCommand() keeps the type of every value", async (t) => {
  const values = [null, 0, -1, 1.5, 2 ** 53, 1e300, "", "a\0b", "žluťoučký 🐎", 2n ** 63n - 1n, -(2n ** 63n)];
  const parameters = [...values, Uint8Array.of(), Uint8Array.of(0, 255)];
  const decoded = roundTrip(commandWith(parameters));
  t.strictSame(
    decoded.statements[0]?.parameters,
    parameters.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : value)),
  );
  t.match(decoded, { kind: "sql", timeMs: 1_700_000_000_000, session: null, transaction: true });
  t.same([...decoded.seed], [...seed]);
});

t.test("encodeCommand() keeps parameters by name, and none", async (t) => {
  t.same(roundTrip(commandWith({ a: 1, b: "x" })).statements[0]?.parameters, {
    a: 1,
    b: "x",
  });
  t.same(roundTrip(commandWith([])).statements, [{ sql: "SELECT ?", parameters: [] }]);
  t.ok(encodeCommand(commandWith([])).byteLength < 50, "a small command stays small");
});

t.test("encodeCommand() rejects what SQLite cannot hold", async (t) => {
  t.throws(() => encodeCommand(commandWith([2n ** 63n])), { code: "malformed-command" });
  t.throws(() => encodeCommand({ ...commandWith([]), timeMs: 1.5 }), { code: "malformed-command" });
  t.throws(() => encodeCommand({ ...commandWith([]), seed: seed.subarray(1) }), {
    code: "malformed-command",
  });
});

t.test("encodeCommand() rejects a session and a revision that are none", async (t) => {
  for (const session of [
    { id: 0, sequence: 1 },
    { id: 7, sequence: 0 },
    { id: 7, sequence: 1.5 },
  ]) {
    t.throws(() => encodeCommand({ ...commandWith([]), session }), { code: "malformed-command" });
  }
  const compact: ObjectWrite = { kind: "compact", revision: -1 };
  t.throws(() => encodeCommand({ kind: "objects", timeMs: 1, session: null, writes: [compact] }), {
    code: "malformed-command",
  });
});

t.test("decodeCommand() gives back what encodeCommand() took, of every kind", async (t) => {
  const plain = { noNullPrototype: true };
  const number = fc.maxSafeNat();
  const session = fc.option(
    fc.record({ id: number.filter(Boolean), sequence: number.filter(Boolean) }, plain),
  );
  const key = fc.record({ kind: fc.string(), namespace: fc.string(), name: fc.string() }, plain);
  const wanted = fc.oneof(number, fc.constant("any" as const));
  const body = fc.uint8Array().map((bytes) => Buffer.from(bytes));
  const write = fc.oneof(
    fc.record({ kind: fc.constant("put" as const), key, body, revision: fc.option(wanted) }, plain),
    fc.record({ kind: fc.constant("delete" as const), key, revision: fc.option(wanted) }, plain),
    fc.record({ kind: fc.constant("require" as const), key, revision: wanted }, plain),
    fc.record({ kind: fc.constant("compact" as const), revision: number }, plain),
  );
  const sql = session.map(
    (guard): Command => ({ ...commandWith([1]), seed: Buffer.from(seed), session: guard }),
  );
  const command = fc.oneof(
    sql,
    fc.record({ kind: fc.constant("open-session" as const), timeMs: number }, plain),
    fc.record(
      { kind: fc.constant("objects" as const), timeMs: number, session, writes: fc.array(write) },
      plain,
    ),
  );
  fc.assert(
    fc.property(command, (each) => {
      t.strictSame(decodeCommand(encodeCommand(each)), each);
    }),
  );
});

t.test("decodeCommand() reads what earlier versions wrote", async (t) => {
  t.match(decodeCommand(encodeCbor([1, 1, 5, seed, 0, ["SELECT 1"]])), {
    kind: "sql",
    session: null,
    statements: [{ sql: "SELECT 1", parameters: [] }],
  });
});

t.test("decodeCommand() rejects what is not a command", async (t) => {
  const valid = [1, 1, 5, seed, 0, ["SELECT 1"]];
  const wrong: readonly unknown[] = [
    {},
    [2, ...valid.slice(1)],
    [1, 9, ...valid.slice(2)],
    [1, 1, -5, seed, 0],
    [1, 1, 5, seed.subarray(2), 0],
    [1, 1, 5, seed, true],
    [...valid, ["SELECT 1", [], 0]],
    [...valid, [7]],
    [...valid, ["SELECT 1", [[]]]],
    [...valid, ["SELECT 1", [true]]],
    [...valid, ["SELECT 1", null]],
    [1, 2],
    [1, 2, 5, 5],
    [1, 3, 5, ["put"]],
    [1, 3, 5, [1, "kind", "", "name", null]],
    [1, 3, 5, [2, "kind", "", 7, null]],
    [1, 3, 5, [3, "kind", "", "name", null]],
    [1, 3, 5, [9, 1]],
    [1, 4, 0, 1, ...valid.slice(2)],
    [1, 5, 7, -1, 5],
  ];
  for (const fields of wrong) {
    t.throws(() => decodeCommand(encodeCbor(fields)), { code: "malformed-command" }, JSON.stringify(fields));
  }
  t.throws(() => decodeCommand(Uint8Array.of(0x9f)), { code: "malformed-cbor" });
});
