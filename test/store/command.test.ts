import t from "tap";
import { encodeCbor } from "../../agent/platform/cbor.ts";
import { decodeCommand, encodeCommand } from "../../agent/store/command.ts";
import type { SqlCommand, SqlParameters } from "../../agent/store/types.ts";

const seed = Uint8Array.from({ length: 16 }, (_, at) => at);

function commandWith(parameters: SqlParameters): SqlCommand {
  const statements = [{ sql: "SELECT ?", parameters }];
  return { kind: "sql", timeMs: 1_700_000_000_000, seed, transaction: true, statements };
}

t.test("encodeCommand() keeps the type of every value", async (t) => {
  const values = [null, 0, -1, 1.5, 2 ** 53, 1e300, "", "a\0b", "žluťoučký 🐎", 2n ** 63n - 1n, -(2n ** 63n)];
  const parameters = [...values, Uint8Array.of(), Uint8Array.of(0, 255)];
  const decoded = decodeCommand(encodeCommand(commandWith(parameters)));
  t.strictSame(
    decoded.statements[0]?.parameters,
    parameters.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : value)),
  );
  t.match(decoded, { kind: "sql", timeMs: 1_700_000_000_000, transaction: true });
  t.same([...decoded.seed], [...seed]);
});

t.test("encodeCommand() keeps parameters by name, and none", async (t) => {
  t.same(decodeCommand(encodeCommand(commandWith({ a: 1, b: "x" }))).statements[0]?.parameters, {
    a: 1,
    b: "x",
  });
  t.same(decodeCommand(encodeCommand(commandWith([]))).statements, [{ sql: "SELECT ?", parameters: [] }]);
  t.ok(encodeCommand(commandWith([])).byteLength < 50, "a small command stays small");
});

t.test("encodeCommand() rejects what SQLite cannot hold", async (t) => {
  t.throws(() => encodeCommand(commandWith([2n ** 63n])), { code: "malformed-command" });
  t.throws(() => encodeCommand({ ...commandWith([]), timeMs: 1.5 }), { code: "malformed-command" });
  t.throws(() => encodeCommand({ ...commandWith([]), seed: seed.subarray(1) }), {
    code: "malformed-command",
  });
});

t.test("decodeCommand() rejects what is not a command", async (t) => {
  const valid = [1, 1, 5, seed, 0, ["SELECT 1"]];
  t.same(decodeCommand(encodeCbor(valid)).statements.length, 1);
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
  ];
  for (const fields of wrong) {
    t.throws(() => decodeCommand(encodeCbor(fields)), { code: "malformed-command" }, JSON.stringify(fields));
  }
  t.throws(() => decodeCommand(Uint8Array.of(0x9f)), { code: "malformed-cbor" });
});
