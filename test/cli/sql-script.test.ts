import t from "tap";
import { type SqlRequest, SqlScript } from "../../agent/cli/sql-script.ts";
import { REQUEST_BYTES_MAX, STATEMENTS_MAX } from "../../agent/store/limits.ts";

/** What is sent for these statements, and what is said. */
function requestsOf(...statements: readonly string[]): { requests: SqlRequest[]; notes: string[] } {
  const notes: string[] = [];
  const script = new SqlScript((note) => notes.push(note));
  const requests = statements.map((sql) => script.take(sql)).filter((request) => request !== null);
  script.end();
  return { requests, notes };
}

const alone = (sql: string): SqlRequest => ({ statements: [sql], isTransaction: false });

t.test("take() makes one request of what stands between BEGIN and COMMIT", async (t) => {
  t.strictSame(requestsOf("SELECT 1", "DELETE FROM t").requests, [alone("SELECT 1"), alone("DELETE FROM t")]);
  const inside = ["CREATE TABLE t (a)", "INSERT INTO t VALUES ('BEGIN')", "SELECT 1", "EXPLAIN COMMIT"];
  for (const [begin, end] of [
    ["BEGIN TRANSACTION", "COMMIT"],
    ["begin immediate", "End transaction"],
    ["-- a comment\nBEGIN", "COMMIT TRANSACTION"],
  ] as const) {
    t.strictSame(requestsOf("SELECT 0", begin, ...inside, end, "SELECT 2").requests, [
      alone("SELECT 0"),
      { statements: inside, isTransaction: true },
      alone("SELECT 2"),
    ]);
  }
});

t.test("take() sends nothing of what is rolled back or empty", async (t) => {
  t.strictSame(requestsOf("BEGIN", "DELETE FROM t", "ROLLBACK", "SELECT 1").requests, [alone("SELECT 1")]);
  t.strictSame(requestsOf("BEGIN", "COMMIT").requests, []);
});

t.test("take() passes over the switch of foreign keys of a dump, and says so", async (t) => {
  for (const off of ["PRAGMA foreign_keys=OFF", "pragma foreign_keys (1)"]) {
    const { requests, notes } = requestsOf(off, "BEGIN TRANSACTION", off, "DELETE FROM t", "COMMIT");
    t.strictSame(requests, [{ statements: ["DELETE FROM t"], isTransaction: true }]);
    t.match(notes, [/foreign keys are always checked/, /foreign_keys is passed over/]);
  }
  t.strictSame(requestsOf("PRAGMA foreign_keys").requests, [alone("PRAGMA foreign_keys")], "it may be asked");
});

t.test("take() and end() refuse a transaction that is not whole", async (t) => {
  const refused = { code: "transaction-control" };
  t.throws(() => requestsOf("BEGIN", "BEGIN"), { ...refused, message: /within a transaction/ });
  t.throws(() => requestsOf("COMMIT"), { ...refused, message: /COMMIT stands outside/ });
  t.throws(() => requestsOf("ROLLBACK"), { ...refused, message: /ROLLBACK stands outside/ });
  t.throws(() => requestsOf("BEGIN", "DELETE FROM t"), { ...refused, message: /ends within.*nothing/ });
  const toSavepoint = requestsOf("BEGIN", "ROLLBACK TO a", "COMMIT").requests;
  t.strictSame(toSavepoint, [{ statements: ["ROLLBACK TO a"], isTransaction: true }], "the node refuses it");
});

t.test("take() refuses a transaction that is larger than a request may be", async (t) => {
  const inserts = Array.from({ length: STATEMENTS_MAX }, () => "DELETE FROM t");
  t.equal(requestsOf("BEGIN", ...inserts, "COMMIT").requests[0]?.statements.length, STATEMENTS_MAX);
  const tooLarge = {
    code: "too-large",
    message: /4096 statements and 2097152 bytes.*Leave its BEGIN and COMMIT out/,
  };
  t.throws(() => requestsOf("BEGIN", ...inserts, "DELETE FROM t"), tooLarge);
  const half = `INSERT INTO t VALUES ('${"ä".repeat(REQUEST_BYTES_MAX / 4)}')`;
  t.throws(() => requestsOf("BEGIN", half, half), tooLarge);
  t.equal(requestsOf(half, half, half).requests.length, 3, "outside each is its own");
});
