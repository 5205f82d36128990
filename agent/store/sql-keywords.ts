/** The keywords of SQL that anything here asks for; all others are words like any other. */
export const KEYWORDS = [
  "ALTER",
  "ANALYZE",
  "AND",
  "ATTACH",
  "BEGIN",
  "BETWEEN",
  "CASE",
  "COMMIT",
  "CONFLICT",
  "CREATE",
  "DELETE",
  "DETACH",
  "DROP",
  "END",
  "EXPLAIN",
  "FROM",
  "GLOB",
  "IF",
  "IN",
  "INDEX",
  "INSERT",
  "INTO",
  "LIKE",
  "LIMIT",
  "MATCH",
  "OR",
  "ORDER",
  "PLAN",
  "PRAGMA",
  "QUERY",
  "RAISE",
  "REGEXP",
  "REINDEX",
  "RELEASE",
  "REPLACE",
  "RETURNING",
  "ROLLBACK",
  "SAVEPOINT",
  "SELECT",
  "SET",
  "TABLE",
  "TEMP",
  "TEMPORARY",
  "TRIGGER",
  "UPDATE",
  "VACUUM",
  "VALUES",
  "VIEW",
  "WHERE",
  "WITH",
] as const;
export type Keyword = (typeof KEYWORDS)[number];

/** Set in the code of a small ASCII letter, clear in that of its capital. */
const SMALL = 0x20;
/** The low bits of a letter tell which one it is, small or capital. */
const LETTERS = 32;

/** Indexes in `KEYWORDS` by length and first letter: most words of a text are in none of these, and need no closer look. */
const SIMILAR: (readonly number[] | undefined)[] = [];
for (const [nth, word] of KEYWORDS.entries()) {
  const slot = slotOf(word, 0, word.length);
  SIMILAR[slot] = [...(SIMILAR[slot] ?? []), nth];
}

/** The index in `KEYWORDS` of the word from `start` to `end`, in any letter case; -1 if it is none. Cuts nothing out of the text. */
export function findKeyword(sql: string, start: number, end: number): number {
  const similar = SIMILAR[slotOf(sql, start, end)];
  if (similar === undefined) return -1;
  return similar.find((nth) => isSame(KEYWORDS[nth] ?? "", sql, start)) ?? -1;
}

function slotOf(text: string, start: number, end: number): number {
  return (end - start) * LETTERS + (text.charCodeAt(start) % LETTERS);
}

/** SQLite folds ASCII letters only; words have nothing else whose code differs from a letter's by this bit alone. */
function isSame(keyword: string, sql: string, start: number): boolean {
  for (let at = 0; at < keyword.length; at++) {
    if ((sql.charCodeAt(start + at) & ~SMALL) !== keyword.charCodeAt(at)) return false;
  }
  return true;
}
