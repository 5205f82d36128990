import fc from "fast-check";
import t from "tap";
import { isBlankSql, splitStatements } from "../../agent/cli/sql-text.ts";
import { drawTable, printable } from "../../agent/cli/text-table.ts";

t.test("splitStatements() ends statements where SQLite does", async (t) => {
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    ["", [], ""],
    ["SELECT 1", [], "SELECT 1"],
    ["SELECT 1; SELECT 2;\nSELECT", ["SELECT 1", "SELECT 2"], "\nSELECT"],
    [";;; SELECT 1;", ["SELECT 1"], ""],
    ["SELECT ';', \";\", `;`, [;];", ["SELECT ';', \";\", `;`, [;]"], ""],
    ["SELECT 'it''s;';", ["SELECT 'it''s;'"], ""],
    ["SELECT 'open;", [], "SELECT 'open;"],
    ["SELECT 1 -- a;\n;", ["SELECT 1 -- a;"], ""],
    ["SELECT 1 /* ; */; /* open ;", ["SELECT 1 /* ; */"], " /* open ;"],
    [
      "CREATE TEMP TRIGGER a AFTER INSERT ON b BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 3; END; SELECT 4;",
      [
        "CREATE TEMP TRIGGER a AFTER INSERT ON b BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 3; END",
        "SELECT 4",
      ],
      "",
    ],
    [
      "CREATE TRIGGER a AFTER INSERT ON b BEGIN SELECT 1;",
      [],
      "CREATE TRIGGER a AFTER INSERT ON b BEGIN SELECT 1;",
    ],
    ["CREATE TABLE trigger_log (x); END;", ["CREATE TABLE trigger_log (x)", "END"], ""],
  ];
  for (const [text, statements, rest] of cases) t.same(splitStatements(text), { statements, rest }, text);
});

t.test("splitStatements() loses nothing, however the text is cut", async (t) => {
  const piece = fc.constantFrom(
    "SELECT",
    " ",
    "'",
    '"',
    "--",
    "/*",
    "*/",
    ";",
    "\n",
    "x",
    "[",
    "]",
    "`",
    "END",
  );
  const isWhole = (pieces: readonly string[], at: number): boolean => {
    const text = pieces.join("");
    const cut = at % (text.length + 1);
    const first = splitStatements(text.slice(0, cut));
    const second = splitStatements(first.rest + text.slice(cut));
    const whole = splitStatements(text);
    // A comment that is cut in its two opening characters may swallow a semicolon: only count where it is not.
    if (/[-/*]$/.test(text.slice(0, cut))) return true;
    return JSON.stringify([...first.statements, ...second.statements]) === JSON.stringify(whole.statements);
  };
  t.doesNotThrow(() => fc.assert(fc.property(fc.array(piece), fc.nat(), isWhole), { numRuns: 2000 }));
});

t.test("isBlankSql() sees through comments", async (t) => {
  for (const text of ["", " \n", "-- a", "/* a */ -- b\n"]) t.ok(isBlankSql(text));
  for (const text of [";", "a", "'a"]) t.notOk(isBlankSql(text));
});

t.test("printable() leaves no way to command a terminal", async (t) => {
  const control = /[\p{Cc}\p{Bidi_Control}]/u;
  t.doesNotThrow(() =>
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => !control.test(printable(text)))),
  );
  t.equal(printable("a\tb\u001b[31m\u202e"), "a\\tb\\u001b[31m\\u202e");
});

t.test("drawTable() aligns columns, wide characters outside the basic plane too", async (t) => {
  const columns = [
    { title: "n", align: "right" },
    { title: "name", align: "left" },
  ] as const;
  t.same(
    drawTable(columns, [
      ["1", "𝄞"],
      ["100", "ab"],
    ]),
    ["  n  name", "---  ----", "  1  𝄞", "100  ab"],
  );
});
