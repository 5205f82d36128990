import { TrivetError } from "../platform/trivet-error.ts";
import { parseGoDuration } from "./go-duration.ts";
import type { SessionGuard } from "./sql-types.ts";

/**
 * The parameters after `?` in a request's URL, read strictly: what cannot be decoded, stands there twice or has a
 * value that is not known is refused with `bad-parameter`, never guessed.
 */
export class QueryString {
  readonly #values: ReadonlyMap<string, string>;

  /** `query` is what stood behind the question mark, as it came over the wire. */
  constructor(query: string) {
    const values = new Map<string, string>();
    for (const part of query.split("&")) {
      if (part === "") continue;
      const equals = part.indexOf("=");
      const name = decode(equals < 0 ? part : part.slice(0, equals));
      if (values.has(name)) throw badParameter(`${JSON.stringify(name)} is given twice`);
      values.set(name, equals < 0 ? "" : decode(part.slice(equals + 1)));
    }
    this.#values = values;
  }

  text(name: string): string | undefined {
    return this.#values.get(name);
  }

  /** rqlite's way: being there is enough. A value that says no is honoured, too. */
  flag(name: string): boolean {
    const value = this.#values.get(name)?.toLowerCase();
    if (value === undefined) return false;
    if (["", "1", "t", "true", "yes"].includes(value)) return true;
    if (["0", "f", "false", "no"].includes(value)) return false;
    throw badParameter(`${name} must be given without a value, or as true or false`);
  }

  choice<const T extends string>(name: string, words: readonly T[], otherwise: T): T {
    const value = this.#values.get(name);
    if (value === undefined) return otherwise;
    const word = words.find((candidate) => candidate === value.toLowerCase());
    if (word === undefined) throw badParameter(`${name} must be one of ${words.join(", ")}`);
    return word;
  }

  /** A Go duration from 1 ms to `maxMs`, in milliseconds. */
  durationMs(name: string, otherwiseMs: number, maxMs: number): number {
    const value = this.#values.get(name);
    if (value === undefined) return otherwiseMs;
    const durationMs = parseGoDuration(value);
    if (durationMs === undefined || durationMs < 1 || durationMs > maxMs) {
      throw badParameter(`${name} must be a duration from 1ms to ${maxMs}ms, such as 5s or 300ms`);
    }
    return durationMs;
  }

  /** A whole number from `min` on; undefined if it is not given. */
  integer(name: string, min: number): number | undefined {
    const value = this.#values.get(name);
    if (value === undefined) return undefined;
    const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
    if (Number.isSafeInteger(number) && number >= min) return number;
    throw badParameter(`${name} must be a whole number from ${min} on`);
  }

  /** The session of a write and its place in it: both, or neither. */
  session(): SessionGuard | null {
    const id = this.integer("session", 1);
    const sequence = this.integer("sequence", 1);
    if (id === undefined && sequence === undefined) return null;
    if (id !== undefined && sequence !== undefined) return { id, sequence };
    throw badParameter("session and sequence must be given together");
  }

  /** Refuses what this version does not do and what changes the meaning of the answer. */
  refuse(name: string, why: string): void {
    if (this.#values.has(name)) throw badParameter(`${name} is not supported: ${why}`);
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch (cause) {
    throw new TrivetError("bad-parameter", "The query string is not percent-encoded UTF-8.", { cause });
  }
}

function badParameter(reason: string): TrivetError {
  return new TrivetError("bad-parameter", `Cannot take the query string: ${reason}.`);
}
