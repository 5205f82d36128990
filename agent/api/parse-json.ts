import { TrivetError } from "../platform/trivet-error.ts";

/**
 * JSON (RFC 8259) without loss: an integer that a double cannot hold but SQLite can (64 bits, signed) becomes a
 * BigInt. Everything else is as `JSON.parse` has it. `JSON.parse` does the work unless such an integer may be
 * there; errors are located by the slow path, since V8's messages differ from version to version.
 *
 * Throws a `TrivetError` `malformed-json` that says where.
 */
export function parseJson(text: string): unknown {
  if (!/\d{16}/.test(text)) {
    try {
      return JSON.parse(text);
    } catch {
      return new JsonParser(text).parse();
    }
  }
  return new JsonParser(text).parse();
}

const DEPTH_MAX = 100;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
/** As many characters as the longest 64-bit integer has, sign included. */
const INT64_LENGTH_MAX = 20;

class JsonParser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): unknown {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#text.length) this.#fail("the end");
    return value;
  }

  #value(depth: number): unknown {
    if (depth > DEPTH_MAX) this.#fail(`at most ${DEPTH_MAX} levels`);
    this.#skipSpace();
    switch (this.#text[this.#at]) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return this.#string();
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  #object(depth: number): unknown {
    const entries: [string, unknown][] = [];
    this.#at++;
    if (this.#accept("}")) return {};
    do {
      this.#skipSpace();
      if (this.#text[this.#at] !== '"') this.#fail("a key in double quotes");
      const key = this.#string();
      if (!this.#accept(":")) this.#fail('":"');
      entries.push([key, this.#value(depth + 1)]);
    } while (this.#accept(","));
    if (!this.#accept("}")) this.#fail('"," or "}"');
    // Defines own properties, `__proto__` included, as `JSON.parse` does.
    return Object.fromEntries(entries);
  }

  #array(depth: number): unknown {
    const items: unknown[] = [];
    this.#at++;
    if (this.#accept("]")) return items;
    do items.push(this.#value(depth + 1));
    while (this.#accept(","));
    if (!this.#accept("]")) this.#fail('"," or "]"');
    return items;
  }

  #string(): string {
    const start = this.#at;
    let end = start + 1;
    while (end < this.#text.length && this.#text[end] !== '"') {
      if (this.#text.charCodeAt(end) < 0x20) {
        this.#at = end;
        this.#fail("an escaped control character");
      }
      end += this.#text[end] === "\\" ? 2 : 1;
    }
    if (end >= this.#text.length) {
      this.#at = this.#text.length;
      this.#fail('the closing "');
    }
    const literal = this.#text.slice(start, end + 1);
    try {
      const value: string = JSON.parse(literal);
      this.#at = end + 1;
      return value;
    } catch {
      return this.#fail("a string with valid escapes");
    }
  }

  #number(): number | bigint {
    const pattern = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return this.#fail("a value");
    this.#at = pattern.lastIndex;
    const [literal, fraction, exponent] = match;
    const value = Number(literal);
    const isExact = fraction !== undefined || exponent !== undefined || Number.isSafeInteger(value);
    if (isExact || literal.length > INT64_LENGTH_MAX) return value;
    const integer = BigInt(literal);
    return integer >= INT64_MIN && integer <= INT64_MAX ? integer : value;
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#fail("a value");
    this.#at += word.length;
    return value;
  }

  #accept(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    const space = /[ \t\n\r]*/y;
    space.lastIndex = this.#at;
    space.exec(this.#text);
    this.#at = space.lastIndex;
  }

  #fail(expected: string): never {
    const before = this.#text.slice(0, this.#at);
    const line = before.split("\n").length;
    const column = this.#at - before.lastIndexOf("\n");
    const found = this.#at < this.#text.length ? JSON.stringify(this.#text[this.#at]) : "the end";
    throw new TrivetError(
      "malformed-json",
      `The JSON is malformed at line ${line}, column ${column}: expected ${expected}, found ${found}.`,
    );
  }
}
