/**
 * SQL cut into tokens by SQLite's own rules (tokenize.c), as far as a check before execution needs them.
 * White space and comments are skipped.
 */

export type SqlTokenKind =
  /** Unquoted identifier or keyword. */
  | "word"
  /** Identifier in "", [] or ``. */
  | "name"
  /** Text in ''. SQLite takes it as an identifier where only that fits. */
  | "string"
  | "number"
  | "blob"
  | "parameter"
  | "operator"
  /** What SQLite will call an unrecognized token: a stray character, a quote that is not closed and all after it. */
  | "illegal";

export interface SqlToken {
  readonly kind: SqlTokenKind;
  /** Quotes removed and doubled quotes undone; everything else as written. */
  readonly text: string;
  /** Offset of the token in the SQL text, and of what follows it. */
  readonly start: number;
  readonly end: number;
}

const SKIPPED = /(?:[ \t\n\f\r\uFEFF]|--[^\n]*|\/\*[^*]*(?:\*(?!\/)[^*]*)*(?:\*\/|$))+/y;
const TOKEN = new RegExp(
  [
    /(?<blob>[xX]'(?:[0-9a-fA-F]{2})*')/,
    /(?<word>[A-Za-z_\u0080-\uFFFF][\w$\u0080-\uFFFF]*)/,
    /(?<string>'[^']*(?:''[^']*)*')/,
    /(?<name>"[^"]*(?:""[^"]*)*"|`[^`]*(?:``[^`]*)*`|\[[^\]]*\])/,
    /(?<number>(?:\d|\.\d)(?:[eE][+-]?\d|[\w$.\u0080-\uFFFF])*)/,
    /(?<parameter>\?\d*|[:@#$][\w$\u0080-\uFFFF]+)/,
    /(?<operator>->>|->|<=|<>|<<|>=|>>|==|!=|\|\||[-+*/%()=<>;,&|~.])/,
    /(?<illegal>['"`[][\s\S]*|[\s\S])/,
  ]
    .map((pattern) => pattern.source)
    .join("|"),
  "y",
);
const KINDS = ["word", "name", "string", "number", "blob", "parameter", "operator", "illegal"] as const;

/** The tokens of `sql`, in order. */
export function* tokenizeSql(sql: string): Generator<SqlToken, void, undefined> {
  let offset = 0;
  for (;;) {
    SKIPPED.lastIndex = offset;
    if (SKIPPED.test(sql)) offset = SKIPPED.lastIndex;
    TOKEN.lastIndex = offset;
    const groups = TOKEN.exec(sql)?.groups;
    if (groups === undefined) return;
    const kind = KINDS.find((candidate) => groups[candidate] !== undefined) ?? "illegal";
    const raw = groups[kind] ?? "";
    yield { kind, text: unquote(kind, raw), start: offset, end: offset + raw.length };
    offset += raw.length;
  }
}

function unquote(kind: SqlTokenKind, raw: string): string {
  if (kind !== "string" && kind !== "name") return raw;
  const quote = raw.charAt(0);
  const inner = raw.slice(1, -1);
  return quote === "[" ? inner : inner.replaceAll(quote + quote, quote);
}
