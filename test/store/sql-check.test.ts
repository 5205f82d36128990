import t from "tap";
import { TOKENS_MAX } from "../../agent/store/limits.ts";
import { traitsOf } from "../../agent/store/request-check.ts";
import { checkStatement } from "../../agent/store/sql-check.ts";

const TRIGGER =
  "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET a = CASE WHEN a THEN 1 ELSE 2 END; DELETE FROM t; END";

const REFUSED: Readonly<Record<string, readonly string[]>> = {
  "empty-statement": ["", " \n", ";", "-- nothing", "/* nothing */ ;", "/* open"],
  "several-statements": [
    "SELECT 1; SELECT 2",
    "SELECT 1;;/**/SELECT 2",
    `${TRIGGER}; SELECT 1`,
    "INSERT INTO t VALUES (';'); DROP TABLE t",
    "EXPLAIN SELECT 1; SELECT 2",
    "CREATE TABLE begin (a); SELECT 2",
  ],
  "nul-in-sql": ["SELECT 1\0", "SELECT '\0'"],
  attach: ["ATTACH 'state.db' AS s", "attach database 'x' as y", "/**/DETACH x", "EXPLAIN ATTACH 'x' AS y"],
  vacuum: ["VACUUM", "VACUUM INTO 'copy.db'"],
  "transaction-control": [
    "BEGIN",
    "begin immediate",
    "COMMIT",
    "END",
    "ROLLBACK",
    "SAVEPOINT s",
    "RELEASE s",
    "ROLLBACK TO s",
    ";; -- x\nCOMMIT",
  ],
  pragma: [
    "PRAGMA journal_mode = DELETE",
    "PRAGMA journal_mode",
    "PRAGMA main.journal_mode(off)",
    'PRAGMA "writable_schema" = 1',
    "PRAGMA writable_schema",
    "PRAGMA optimize",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA temp.user_version = 9",
    'PRAGMA "temp" . application_id',
    "PRAGMA defer_foreign_keys = ON",
    "PRAGMA query_only(1)",
    "PRAGMA database_list",
    "PRAGMA",
    "SELECT * FROM pragma_database_list",
    "INSERT INTO t SELECT * FROM pragma_page_count",
    "SELECT * FROM [pragma_journal_mode]",
  ],
  "temporary-object": [
    "CREATE TEMP TABLE t (a)",
    "create temporary view v AS SELECT 1",
    "CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END",
    "CREATE TABLE temp.t (a)",
    'CREATE TABLE IF NOT EXISTS "temp" . t (a)',
    "CREATE VIEW [temp].v AS SELECT 1",
    "CREATE VIRTUAL TABLE temp.f USING fts5 (a)",
  ],
  "reserved-name": [
    "SELECT * FROM _trivet_meta",
    'UPDATE "_Trivet_meta" SET value = 0',
    "SELECT * FROM [_TRIVET_meta]",
    "SELECT * FROM `_trivet_meta`",
    "SELECT * FROM '_trivet_meta'",
    "ALTER TABLE t RENAME TO _trivet_t",
    "SELECT * FROM main._trivet_meta",
    "CREATE VIRTUAL TABLE f USING fts5 (a, content='_trivet_meta')",
  ],
  "conflict-rollback": [
    "INSERT OR ROLLBACK INTO t VALUES (1)",
    "UPDATE or /**/ rollback t SET a = 1",
    "CREATE TABLE t (a UNIQUE ON CONFLICT ROLLBACK)",
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
  ],
  "file-layout": [
    "SELECT * FROM sqlite_dbpage",
    "INSERT INTO t SELECT pageno FROM dbstat",
    "INSERT INTO t SELECT pageno FROM 'dbstat'",
    'CREATE VIEW v AS SELECT * FROM "dbstat"',
  ],
  "planner-statistics": [
    "UPDATE sqlite_stat1 SET stat = '1'",
    "INSERT INTO 'sqlite_stat1' VALUES ('t', 'i', '9 9')",
    "DROP TABLE sqlite_stat4",
  ],
  "refused-function": [
    "SELECT total_changes()",
    "SELECT TOTAL_CHANGES ( )",
    "SELECT fts5_locale('en', 'x')",
    "SELECT load_extension('x')",
    "INSERT INTO t VALUES (sqlite_version())",
    "CREATE TABLE t (a DEFAULT (fts5_source_id()))",
  ],
};

const ACCEPTED: Readonly<Record<"reads" | "writes", readonly string[]>> = {
  reads: [
    "SELECT 1;",
    "SELECT 1 -- the end",
    "/* a */ SELECT 1 /* b */ ; -- c",
    "WITH c AS (SELECT 1) SELECT * FROM c",
    "WITH RECURSIVE c (x) AS (VALUES (1) UNION SELECT x + 1 FROM c WHERE x < 9) VALUES (1)",
    "VALUES (1)",
    "EXPLAIN DELETE FROM t",
    "EXPLAIN QUERY PLAN UPDATE t SET a = 1",
    "PRAGMA table_info(t)",
    "PRAGMA main.index_list = t",
    "PRAGMA user_version",
    "SELECT * FROM pragma_table_info('t'), pragma_page_count",
    "SELECT ';COMMIT', \";\", [;], `;`",
    "SELECT sum(pgsize) FROM dbstat",
    "SELECT * FROM sqlite_stat1",
    "SELECT temp.value FROM temp",
    "SELECT 'it''s; fine', x'3b'",
  ],
  writes: [
    TRIGGER,
    `${TRIGGER};`,
    "INSERT INTO t VALUES ('ATTACH x; COMMIT')",
    "WITH c AS (SELECT 1) INSERT INTO t SELECT * FROM c",
    "WITH c AS (SELECT 1) DELETE FROM t",
    "REPLACE INTO t VALUES (1)",
    "INSERT INTO t VALUES (1) RETURNING *",
    "PRAGMA user_version = 5",
    "PRAGMA user_version(5)",
    "CREATE TABLE temperature (temp, rollback)",
    "ANALYZE",
    "REINDEX",
    "CREATE VIRTUAL TABLE f USING fts5 (a)",
    "NONSENSE",
    "INSERT INTO t VALUES ('open",
  ],
};

t.test("checkStatement() refuses what would not be the same on every node", async (t) => {
  for (const [code, texts] of Object.entries(REFUSED)) {
    for (const sql of texts) {
      const check = checkStatement(sql);
      t.match(check, { ok: false, code, message: /^[A-Z_a-z].*\.$/s }, JSON.stringify(sql));
    }
  }
});

const OF_ONE_NODE = [
  "EXPLAIN SELECT a FROM f WHERE f MATCH 'x'",
  "EXPLAIN QUERY PLAN DELETE FROM t",
  "SELECT unused FROM dbstat",
  "SELECT unused FROM 'dbstat'",
  "PRAGMA main.page_count",
  "PRAGMA integrity_check",
  "SELECT * FROM pragma_page_count",
  "SELECT * FROM 'pragma_compile_options'",
  "SELECT sqlite_version()",
  "SELECT * FROM sqlite_stat1",
];

t.test("checkStatement() tells what may be asked of a node, and may not become an entry", async (t) => {
  for (const sql of OF_ONE_NODE) t.match(checkStatement(sql), { ok: true, isOfOneNode: true }, sql);
  const ofTheData = ["SELECT 1", "PRAGMA table_info(t)", "PRAGMA user_version"];
  for (const sql of ofTheData) t.match(checkStatement(sql), { ok: true, isOfOneNode: false }, sql);
  for (const sql of ACCEPTED.writes) t.match(checkStatement(sql), { ok: true, isOfOneNode: false }, sql);
});

t.test("checkStatement() passes everything else on, and tells what only reads", async (t) => {
  for (const sql of ACCEPTED.reads) t.match(checkStatement(sql), { ok: true, isReadOnly: true }, sql);
  for (const sql of ACCEPTED.writes) t.match(checkStatement(sql), { ok: true, isReadOnly: false }, sql);
});

/** `part` so often, with || between. */
function joined(part: string, count: number): string {
  return Array.from({ length: count }, () => part).join(" || ");
}

const BOUNDED = [
  "INSERT INTO t VALUES (1), (2)",
  "INSERT INTO t VALUES ('SELECT') ON CONFLICT DO UPDATE SET a = excluded.a RETURNING *",
  "REPLACE INTO t (a) VALUES (?)",
  'INSERT INTO "select" ("from", [in]) VALUES (1, 2) -- SELECT',
  "UPDATE t SET a = a + 1 WHERE b IN (1, 2) AND c NOT IN (3)",
  "DELETE FROM t",
  "delete from t where a like '%x%'",
  "INSERT INTO t VALUES (lower(hex(randomblob(16))), trim(?), hex(?1), quote(a), zeroblob(1024))",
  "INSERT INTO t VALUES (?1, :a, ?1) ON CONFLICT DO UPDATE SET a = ?1, b = :a || b, c = coalesce(c, 0) + 1",
  "CREATE TABLE t (a VARCHAR (20) PRIMARY KEY, b CHECK (length(b) < 9), c DEFAULT (hex(randomblob(8))))",
  "CREATE TABLE t (a CHECK (a IN (1, 2)))",
  `UPDATE t SET a = ${joined("a", 16)}`,
  `UPDATE t SET a = b || ${joined("'x'", 15)}`,
  `UPDATE t SET a = ${joined("'x'", 900)} WHERE b = ?`,
  `DELETE FROM t WHERE a IN (${"'x', ".repeat(9999)} 1)`,
  `INSERT INTO t VALUES (${joined("'line' || char(10)", 90)})`,
  `INSERT INTO t VALUES ${"(NULL, 1), ".repeat(9999)} (NULL, 1)`,
  "CREATE INDEX i ON t (a)",
  "CREATE VIRTUAL TABLE f USING fts5 (a)",
  "ALTER TABLE t DROP COLUMN a",
  "DROP TABLE t",
  "ANALYZE",
  "REINDEX",
  "PRAGMA user_version = 5",
  "VALUES (1), (2)",
  "EXPLAIN SELECT 1",
  "NONSENSE",
  TRIGGER,
].map((sql) => [sql, true] as const);
const UNBOUNDED = [
  "SELECT 1",
  "INSERT INTO t SELECT * FROM t",
  "INSERT INTO t VALUES ((SELECT 1))",
  "INSERT INTO t VALUES (/**/(sElEcT 1))",
  "WITH c (x) AS (VALUES (1)) INSERT INTO t VALUES (1)",
  "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) DELETE FROM t WHERE a IN c",
  "UPDATE t SET a = 1 FROM u",
  "UPDATE t SET a = (SELECT max(a) FROM t)",
  "DELETE FROM t WHERE a IN endless_view",
  "DELETE FROM t WHERE a NOT IN main.endless_view",
  "DELETE FROM t WHERE a IN json_each('[1]')",
  'DELETE FROM t WHERE a IN "endless view"',
  "DELETE FROM t WHERE ?1in endless_view",
  "DELETE FROM t WHERE EXISTS (SELECT 1)",
  "DELETE FROM t RETURNING (SELECT 1)",
  "INSERT INTO t VALUES (instr(?, ?))",
  "INSERT INTO t VALUES (REPLACE (a, b, c), 1)",
  "INSERT INTO t VALUES (zeroblob(16000000))",
  "INSERT INTO t VALUES (randomblob(?))",
  "INSERT INTO t VALUES (hex(hex(a)))",
  "INSERT INTO t VALUES (hex(randomblob(16) || a))",
  'INSERT INTO t VALUES (quote("quote"(a)))',
  "INSERT INTO t VALUES (trim(a, b))",
  "INSERT INTO t VALUES (printf('%1000000d', 1))",
  "UPDATE t SET a = json_set(a, '$.b', 1)",
  "DELETE FROM t WHERE a LIKE b",
  "DELETE FROM t WHERE a LIKE '%' || ?",
  `DELETE FROM t WHERE a GLOB '${"*a".repeat(40)}'`,
  `INSERT INTO t VALUES ${"(?1),".repeat(17)} (1)`,
  `INSERT INTO t VALUES ${"(:large),".repeat(17)} (1)`,
  `INSERT INTO t VALUES (${Array.from({ length: 17 }, (_, nth) => `?${"0".repeat(nth)}1`).join(", ")})`,
  `UPDATE t SET a = ${joined("a", 17)}`,
  `UPDATE t SET a = ${joined("a", 900)}`,
  `UPDATE t SET a = ${joined("'' || a", 10)}`,
  `UPDATE t SET a = b || ${joined("'x'", 900)}`,
  `DELETE FROM t WHERE ${joined("(a)", 17)} = 'x'`,
  `UPDATE t SET a = a IN (${"a + 1, ".repeat(9999)} 1)`,
  `INSERT INTO t VALUES (${joined("?", 1100)})`,
  `INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = ${joined("a", 17)}`,
  "CREATE TABLE t (a CHECK (a LIKE b))",
  "CREATE INDEX i ON t (instr(a, b))",
  "CREATE TABLE u AS SELECT 1",
  "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END",
].map((sql) => [sql, false] as const);

t.test("checkStatement() tells whose work is bounded by its text and one pass", async (t) => {
  for (const [sql, isBounded] of [...BOUNDED, ...UNBOUNDED]) {
    t.equal(traitsOf([checkStatement(sql)], [{ sql, parameters: [] }]).isBounded, isBounded, sql);
  }
});

t.test("checkStatement() takes time in proportion to the text", async (t) => {
  const size = 256 * 1024;
  const texts = [
    "[",
    "'",
    '"',
    "/*",
    "--\n",
    ";",
    "(",
    "/* * ",
    "a.",
    "''",
    "$",
    "CREATE TRIGGER a BEGIN ;",
  ].map((part) => part.repeat(size / part.length));
  texts.push(
    `CREATE TRIGGER a BEGIN ${";".repeat(size)}`,
    `SELECT '${"''".repeat(size / 2)}'`,
    `/*${"*".repeat(size)}`,
  );
  const start = process.cpuUsage();
  for (const sql of texts) checkStatement(sql);
  const { user } = process.cpuUsage(start);
  t.ok(user < 5_000_000, `${texts.length} texts of ${size} bytes took ${user / 1000} ms of CPU`);
});

t.test("checkStatement() bounds the tokens, and says what to do", async (t) => {
  const most = `INSERT INTO t VALUES ${"(".repeat(TOKENS_MAX - 4)}`;
  t.match(checkStatement(most), { ok: true });
  t.match(checkStatement(`${most}(`), {
    ok: false,
    code: "too-large",
    message: /262144.*as parameters, or send/,
  });
  t.match(checkStatement(`COMMIT${";".repeat(TOKENS_MAX)}`), { ok: false, code: "too-large" });
});
