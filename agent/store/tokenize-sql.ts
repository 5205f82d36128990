import { findKeyword } from "./sql-keywords.ts";
import {
  SqlTokens,
  TAG_ILLEGAL,
  TAG_KEYWORD,
  TAG_LITERAL,
  TAG_NAME,
  TAG_PARAMETER,
  TAG_STRING,
  TAG_WORD,
  type TokenColumns,
} from "./sql-tokens.ts";

/**
 * Cuts SQL into tokens by SQLite's own rules (tokenize.c), as far as a check before execution needs them, and passes over white
 * space and comments. No more than the first `countMax`.
 *
 * Written by hand, and with nothing allocated for a token: it runs on the main thread over texts of megabytes.
 */
export function tokenizeSql(sql: string, countMax = Infinity): SqlTokens {
  // As many as there can be; what is not used of it takes no memory.
  const capacity = Math.min(sql.length, countMax);
  const columns: TokenColumns = {
    tags: new Uint8Array(capacity),
    starts: new Uint32Array(capacity),
    ends: new Uint32Array(capacity),
  };
  let count = 0;
  let at = skipBlank(sql, 0);
  for (; at < sql.length && count < countMax; count++) at = skipBlank(sql, putToken(columns, count, sql, at));
  return new SqlTokens(sql, columns, 0, count);
}

/** Punctuation. */
const CLASS_OTHER = 0;
const CLASS_BLANK = 1;
const CLASS_WORD_START = 2;
const CLASS_DIGIT = 3;
const CLASS_QUOTE = 4;
/** Begins a parameter with a name: : @ # $ */
const CLASS_NAMED = 5;
/** Begins a parameter with a number, or with nothing: ? */
const CLASS_NUMBERED = 6;
/** Punctuation that may begin a comment: - / */
const CLASS_COMMENT = 7;

/** Class of each ASCII character. */
const CLASSES = new Uint8Array(128);
for (const blank of " \t\n\f\r") CLASSES[blank.charCodeAt(0)] = CLASS_BLANK;
for (const letter of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") {
  CLASSES[letter.charCodeAt(0)] = CLASS_WORD_START;
}
for (const digit of "0123456789") CLASSES[digit.charCodeAt(0)] = CLASS_DIGIT;
for (const quote of "'\"`[") CLASSES[quote.charCodeAt(0)] = CLASS_QUOTE;
for (const prefix of ":@#$") CLASSES[prefix.charCodeAt(0)] = CLASS_NAMED;
CLASSES["?".charCodeAt(0)] = CLASS_NUMBERED;
for (const beginning of "-/") CLASSES[beginning.charCodeAt(0)] = CLASS_COMMENT;
const APOSTROPHE = "'".charCodeAt(0);
const DOLLAR = "$".charCodeAt(0);
/** Where no word goes on, SQLite takes a byte order mark for white space; every other character beyond ASCII is a letter. */
const BYTE_ORDER_MARK = 0xfeff;

function classAt(sql: string, at: number): number {
  const code = sql.charCodeAt(at);
  if (code < 128) return CLASSES[code] ?? 0;
  return code === BYTE_ORDER_MARK ? CLASS_BLANK : CLASS_WORD_START;
}

function skipBlank(sql: string, start: number): number {
  let at = start;
  while (at < sql.length) {
    const kind = classAt(sql, at);
    if (kind === CLASS_BLANK) at += 1;
    else if (kind !== CLASS_COMMENT) break;
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

/** What ends nowhere in the text. */
const UNCLOSED = -1;

/** Puts the token that begins at `start` into place `nth`; returns its end. */
function putToken({ tags, starts, ends }: TokenColumns, nth: number, sql: string, start: number): number {
  const kind = classAt(sql, start);
  const isWord = kind === CLASS_WORD_START && !isBlob(sql, start);
  const found = isWord ? findWordEnd(sql, start + 1) : findEnd(kind, sql, start);
  const end = found === UNCLOSED ? sql.length : found;
  starts[nth] = start;
  ends[nth] = end;
  if (isWord) tags[nth] = tagOfWord(sql, start, end);
  else tags[nth] = found === UNCLOSED ? TAG_ILLEGAL : tagOfOther(kind, sql.charCodeAt(start));
  return end;
}

function tagOfWord(sql: string, start: number, end: number): number {
  const keyword = findKeyword(sql, start, end);
  return keyword < 0 ? TAG_WORD : TAG_KEYWORD + keyword;
}

function tagOfOther(kind: number, first: number): number {
  if (kind === CLASS_OTHER || kind === CLASS_COMMENT) return first;
  if (kind === CLASS_QUOTE) return first === APOSTROPHE ? TAG_STRING : TAG_NAME;
  return kind === CLASS_NAMED || kind === CLASS_NUMBERED ? TAG_PARAMETER : TAG_LITERAL;
}

function findEnd(kind: number, sql: string, start: number): number {
  switch (kind) {
    case CLASS_WORD_START:
      return findClose(sql, "'", start + 2);
    case CLASS_QUOTE:
      return findQuoteEnd(sql, start);
    case CLASS_DIGIT:
    case CLASS_NAMED:
      return findWordEnd(sql, start + 1);
    case CLASS_NUMBERED:
      return findDigitsEnd(sql, start + 1);
    default:
      return start + 1;
  }
}

/** x'...' */
function isBlob(sql: string, start: number): boolean {
  return sql.charCodeAt(start + 1) === APOSTROPHE && (sql[start] === "x" || sql[start] === "X");
}

/** Behind the letters, digits, _ and $ from `start` on. */
function findWordEnd(sql: string, start: number): number {
  let end = start;
  for (; end < sql.length; end++) {
    const code = sql.charCodeAt(end);
    if (code >= 128 || code === DOLLAR) continue;
    const kind = CLASSES[code];
    if (kind !== CLASS_WORD_START && kind !== CLASS_DIGIT) break;
  }
  return end;
}

/** Whatever follows is no part of the parameter: `?1in` is two tokens. */
function findDigitsEnd(sql: string, start: number): number {
  let end = start;
  while (classAt(sql, end) === CLASS_DIGIT) end += 1;
  return end;
}

/** A doubled quote stands for itself, but not in []. */
function findQuoteEnd(sql: string, start: number): number {
  const quote = sql.charAt(start);
  if (quote === "[") return findClose(sql, "]", start + 1);
  let end = findClose(sql, quote, start + 1);
  while (end !== UNCLOSED && sql[end] === quote) end = findClose(sql, quote, end + 1);
  return end;
}

/** Behind the next `closing`. */
function findClose(sql: string, closing: string, from: number): number {
  const found = sql.indexOf(closing, from);
  return found < 0 ? UNCLOSED : found + 1;
}
