import t from "tap";
import { tokenizeSql } from "../../agent/store/tokenize-sql.ts";

/** Each token as its kind and text; a keyword in capitals behind them. */
function tokensOf(sql: string, countMax?: number): readonly string[] {
  const tokens = tokenizeSql(sql, countMax);
  return Array.from({ length: tokens.length }, (_, at) =>
    `${tokens.kind(at)} ${tokens.text(at)} ${tokens.keyword(at)}`.trim(),
  );
}

const TOKENS: Readonly<Record<string, readonly string[]>> = {
  "sElect a$1_é FROM[b]]": ["word sElect SELECT", "word a$1_é", "word FROM FROM", "name b", "operator ]"],
  "ſelect selec selects": ["word ſelect", "word selec", "word selects"],
  '\'it\'\'s\' "a""b" `c` [d""]': ["string it's", 'name a"b', "name c", 'name d""'],
  "x'ab''cd' X'' x": ["literal x'ab'", "string cd", "literal X''", "word x"],
  "1.5e3 ?1in ? ?? :a@b": [
    "literal 1",
    "operator .",
    "literal 5e3",
    "parameter ?1",
    "word in IN",
    "parameter ?",
    "parameter ?",
    "parameter ?",
    "parameter :a",
    "parameter @b",
  ],
  "a--'\n/b/*;*/->c /* ": ["word a", "operator /", "word b", "operator -", "operator >", "word c"],
  "\uFEFFa\uFEFFin\f\uFEFF": ["word a\uFEFFin"],
  "a 'b": ["word a", "illegal 'b"],
  "x'ab": ["illegal x'ab"],
  " \n": [],
};

t.test("tokenizeSql() cuts as SQLite does", async (t) => {
  for (const [sql, tokens] of Object.entries(TOKENS)) t.same(tokensOf(sql), tokens, JSON.stringify(sql));
});

t.test("tokenizeSql() stops after as many as were asked for", async (t) => {
  t.same(tokensOf("a b c", 2), ["word a", "word b"]);
  t.same(tokensOf("a b", 2), ["word a", "word b"]);
});

t.test("SqlTokens has nothing of any kind beyond its ends", async (t) => {
  const tokens = tokenizeSql("( SELECT ) FROM").slice(1, 3);
  for (const at of [-1, 2]) {
    t.match(
      { kind: tokens.kind(at), text: tokens.text(at), keyword: tokens.keyword(at) },
      { kind: null, text: "" },
    );
    t.notOk(tokens.isName(at) || tokens.isOperator(at, "("), `${at}`);
  }
  t.equal(tokens.length, 2);
});
