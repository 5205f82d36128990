/**
 * SQL cut into tokens by SQLite's own rules (tokenize.c), as far as a check before execution needs them. White space
 * and comments are skipped. Written by hand: it runs on the main thread over texts of megabytes.
 */
export type SqlTokenKind =
  /** Unquoted identifier or keyword. */
  | "word"
  /** Identifier in "", [] or ``. */
  | "name"
  /** Text in ''. SQLite takes it as an identifier where only that fits. */
  | "string"
  /** Numbers, blobs, parameters: nothing that could be a name. */
  | "literal"
  /** One character of punctuation. */
  | "operator"
  /** A quote that is not closed, with all that follows: SQLite takes the statement for an error. */
  | "illegal";

export interface SqlToken {
  readonly kind: SqlTokenKind;
  /** Quotes removed and doubled quotes undone; everything else as written. */
  readonly text: string;
  /** Offset of what follows it. */
  readonly end: number;
}

/** The tokens of `sql`, in order. */
export function tokenizeSql(sql: string): readonly SqlToken[] {
  const tokens: SqlToken[] = [];
  let at = skipBlank(sql, 0);
  while (at < sql.length) {
    const token = readToken(sql, at);
    tokens.push(token);
    at = skipBlank(sql, token.end);
  }
  return tokens;
}

const CLASS_BLANK = 1;
const CLASS_WORD_START = 2;
const CLASS_DIGIT = 3;
const CLASS_QUOTE = 4;
/** Begins a parameter: ? : @ # $ */
const CLASS_PARAMETER = 5;

/** Class of each ASCII character; 0 is punctuation. */
const CLASSES = new Uint8Array(128);
for (const blank of " \t\n\f\r") CLASSES[blank.charCodeAt(0)] = CLASS_BLANK;
for (const letter of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") {
  CLASSES[letter.charCodeAt(0)] = CLASS_WORD_START;
}
for (const digit of "0123456789") CLASSES[digit.charCodeAt(0)] = CLASS_DIGIT;
for (const quote of "'\"`[") CLASSES[quote.charCodeAt(0)] = CLASS_QUOTE;
for (const prefix of "?:@#$") CLASSES[prefix.charCodeAt(0)] = CLASS_PARAMETER;
/** SQLite takes a byte order mark for white space, and every other character beyond ASCII for a letter. */
const BYTE_ORDER_MARK = 0xfeff;

function classAt(sql: string, at: number): number {
  const code = sql.charCodeAt(at);
  if (code < 128) return CLASSES[code] ?? 0;
  return code === BYTE_ORDER_MARK ? CLASS_BLANK : CLASS_WORD_START;
}

function skipBlank(sql: string, start: number): number {
  let at = start;
  while (at < sql.length) {
    if (classAt(sql, at) === CLASS_BLANK) at += 1;
    else if (sql.startsWith("--", at)) at = endAfter(sql, "\n", at + 2);
    else if (sql.startsWith("/*", at)) at = endAfter(sql, "*/", at + 2);
    else break;
  }
  return at;
}

/** An open comment takes the rest of the text. */
function endAfter(sql: string, terminator: string, from: number): number {
  const found = sql.indexOf(terminator, from);
  return found < 0 ? sql.length : found + terminator.length;
}

function readToken(sql: string, start: number): SqlToken {
  switch (classAt(sql, start)) {
    case CLASS_WORD_START:
      return isBlob(sql, start) ? readBlob(sql, start) : readWord("word", sql, start);
    case CLASS_QUOTE:
      return readQuoted(sql, start);
    case CLASS_DIGIT:
    case CLASS_PARAMETER:
      return readWord("literal", sql, start);
    default:
      return { kind: "operator", text: sql.charAt(start), end: start + 1 };
  }
}

/** x'...' */
function isBlob(sql: string, start: number): boolean {
  return (sql[start] === "x" || sql[start] === "X") && sql[start + 1] === "'";
}

/** Its first character, and then letters, digits, _ and $. */
function readWord(kind: "word" | "literal", sql: string, start: number): SqlToken {
  let end = start + 1;
  while (end < sql.length) {
    const follower = classAt(sql, end);
    if (follower !== CLASS_WORD_START && follower !== CLASS_DIGIT && sql[end] !== "$") break;
    end += 1;
  }
  return { kind, text: sql.slice(start, end), end };
}

function readBlob(sql: string, start: number): SqlToken {
  const { kind, text, end } = readQuoted(sql, start + 1);
  return { kind: kind === "illegal" ? kind : "literal", text, end };
}

/** A doubled quote stands for itself, but not in []. */
function readQuoted(sql: string, start: number): SqlToken {
  const quote = sql.charAt(start);
  const closing = quote === "[" ? "]" : quote;
  let close = sql.indexOf(closing, start + 1);
  while (close >= 0 && closing === quote && sql[close + 1] === quote) close = sql.indexOf(quote, close + 2);
  if (close < 0) return { kind: "illegal", text: sql.slice(start), end: sql.length };
  const inner = sql.slice(start + 1, close);
  const text = closing === quote && inner.includes(quote) ? inner.replaceAll(quote + quote, quote) : inner;
  return { kind: quote === "'" ? "string" : "name", text, end: close + 1 };
}
