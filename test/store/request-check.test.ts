import t from "tap";
import { REQUEST_BYTES_MAX, STATEMENTS_MAX, TOKENS_MAX } from "../../agent/store/limits.ts";
import { checkRequest, NO_TRAITS, traitsOf } from "../../agent/store/request-check.ts";
import { statement } from "./store-node.ts";

t.test("checkRequest() bounds the statements, the bytes and the tokens of a request", async (t) => {
  const most = Array.from({ length: STATEMENTS_MAX }, () => statement("SELECT 1"));
  t.equal(checkRequest(most).length, STATEMENTS_MAX);
  t.throws(() => checkRequest([...most, statement("SELECT 1")]), {
    code: "too-large",
    message: /4096 statements/,
  });
  const large = statement("SELECT ?", [new Uint8Array(REQUEST_BYTES_MAX)]);
  t.throws(() => checkRequest([large]), { code: "too-large", message: /2097152 bytes/ });

  const half = statement(`SELECT ${"(".repeat(TOKENS_MAX / 2 - 1)}`);
  t.equal(checkRequest([half, half]).length, 2);
  const tooManyTokens = { code: "too-large", message: /262144 words/ };
  t.throws(() => checkRequest([half, statement("SELECT 1"), half]), tooManyTokens);
  t.throws(() => checkRequest([statement(`${half.sql} ${half.sql} 1`)]), tooManyTokens);
});

t.test("checkRequest() tells of each statement, traitsOf() of all together", async (t) => {
  const checks = checkRequest(
    ["SELECT 1", "COMMIT", "DELETE FROM t", "CREATE TABLE t (a)"].map((sql) => statement(sql)),
  );
  t.match(checks, [
    { ok: true, isReadOnly: true },
    { ok: false, code: "transaction-control" },
    { ok: true, isReadOnly: false },
    { ok: true, isReadOnly: false },
  ]);
  t.same(traitsOf(checks.slice(2)), { isBounded: true, mayChangeSchema: true });
  t.same(traitsOf(checks.slice(2, 3)), { isBounded: true, mayChangeSchema: false });
  t.same(traitsOf(checks.slice(0, 1)), { isBounded: false, mayChangeSchema: false });
  t.same(traitsOf([]), NO_TRAITS);
});
