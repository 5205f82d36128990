import { KEYWORDS, type Keyword } from "./sql-keywords.ts";

export type SqlTokenKind =
  /** Unquoted identifier or keyword. */
  | "word"
  /** Identifier in "", [] or ``. */
  | "name"
  /** Text in ''. SQLite takes it as an identifier where only that fits. */
  | "string"
  /** A number or a blob. */
  | "literal"
  /** With its prefix: ? : @ # $ */
  | "parameter"
  /** One character of punctuation. */
  | "operator"
  /** A quote that is not closed, with all that follows: SQLite takes the statement for an error. */
  | "illegal";

/**
 * What a token is, in one byte: the code of an operator's character, one of these, or `TAG_KEYWORD` and the index of the
 * keyword.
 */
export const TAG_WORD = 0x80;
export const TAG_NAME = 0x81;
export const TAG_STRING = 0x82;
export const TAG_LITERAL = 0x83;
export const TAG_PARAMETER = 0x84;
export const TAG_ILLEGAL = 0x85;
export const TAG_KEYWORD = 0x90;

/** An element for each token: a text of megabytes has hundreds of thousands, for which objects would take twenty times as long. */
export interface TokenColumns {
  readonly tags: Uint8Array;
  /** Offsets in the text; quotes and prefixes are part of a token. */
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
}

/** The tokens of a text, or some that follow one another in it. Beyond their ends there is nothing of any kind. */
export class SqlTokens {
  readonly length: number;
  readonly #sql: string;
  readonly #columns: TokenColumns;
  readonly #first: number;

  constructor(sql: string, columns: TokenColumns, first: number, length: number) {
    this.length = length;
    this.#sql = sql;
    this.#columns = columns;
    this.#first = first;
  }

  kind(at: number): SqlTokenKind | null {
    switch (this.#tag(at)) {
      case -1:
        return null;
      case TAG_NAME:
        return "name";
      case TAG_STRING:
        return "string";
      case TAG_LITERAL:
        return "literal";
      case TAG_PARAMETER:
        return "parameter";
      case TAG_ILLEGAL:
        return "illegal";
      default:
        return this.#tag(at) < TAG_WORD ? "operator" : "word";
    }
  }

  /** "" for all but the words in `KEYWORDS`. */
  keyword(at: number): Keyword | "" {
    const tag = this.#tag(at);
    return tag < TAG_KEYWORD ? "" : (KEYWORDS[tag - TAG_KEYWORD] ?? "");
  }

  isOperator(at: number, operator: string): boolean {
    return this.#tag(at) === operator.charCodeAt(0);
  }

  isParameter(at: number): boolean {
    return this.#tag(at) === TAG_PARAMETER;
  }

  /** True if it can name something, wherever it stands; text in '' can only where nothing else fits. */
  isName(at: number): boolean {
    const tag = this.#tag(at);
    return tag === TAG_WORD || tag === TAG_NAME || tag >= TAG_KEYWORD;
  }

  /** Quotes removed and doubled quotes undone; everything else as written. */
  text(at: number): string {
    const tag = this.#tag(at);
    if (tag < 0) return "";
    const { starts, ends } = this.#columns;
    const written = this.#sql.slice(starts[this.#first + at], ends[this.#first + at]);
    if (tag !== TAG_NAME && tag !== TAG_STRING) return written;
    const quote = written.charAt(0);
    const inner = written.slice(1, -1);
    return quote !== "[" && inner.includes(quote) ? inner.replaceAll(quote + quote, quote) : inner;
  }

  slice(from: number, to = this.length): SqlTokens {
    return new SqlTokens(this.#sql, this.#columns, this.#first + from, Math.max(0, to - from));
  }

  /** -1 if there is none. */
  findIndex(isSo: (at: number) => boolean): number {
    for (let at = 0; at < this.length; at++) if (isSo(at)) return at;
    return -1;
  }

  #tag(at: number): number {
    return at >= 0 && at < this.length ? (this.#columns.tags[this.#first + at] ?? -1) : -1;
  }
}
