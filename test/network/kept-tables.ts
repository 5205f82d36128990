import type { QueryResult } from "../cluster/agent-process.ts";
import type { Values } from "../linearizability/key-value.ts";
import type { Value } from "../linearizability/register.ts";
import type { Request } from "./sql-client.ts";

/** Keys of one group are written together. */
export const GROUPS: readonly (readonly string[])[] = [
  ["a1", "a2", "a3"],
  ["b1", "b2"],
  ["c1", "c2"],
];
/** Several, so that each stays short: a read gives the whole list. */
export const LISTS: readonly string[] = ["l1", "l2", "l3", "l4"];

export const CREATE: readonly string[] = [
  "CREATE TABLE kept (key TEXT PRIMARY KEY, value TEXT)",
  `INSERT INTO kept (key) VALUES ${GROUPS.flat().map((key) => `('${key}')`)}`,
  "CREATE TABLE lists (key TEXT PRIMARY KEY, entries TEXT)",
  `INSERT INTO lists VALUES ${LISTS.map((key) => `('${key}', '')`)}`,
];

/** Everything, for a comparison of copies. */
export const CONTENT = "SELECT key, value FROM kept UNION ALL SELECT key, entries FROM lists ORDER BY key";

export function readKeys(keys: readonly string[]): Request {
  const sql = `SELECT key, value FROM kept WHERE key IN (${keys.map(() => "?")})`;
  return { kind: "read", statements: [[sql, ...keys]] };
}

export function valuesIn(result: QueryResult, keys: readonly string[]): readonly Value[] {
  const values = new Map(result.values as readonly (readonly [string, Value])[] | undefined);
  return keys.map((key) => values.get(key) ?? null);
}

/** One statement for each key in one transaction, or, with a condition (of one key), one statement for all. */
export function update(values: Values, expected: Values): Request {
  const pairs = Object.entries(values);
  const [condition] = Object.entries(expected);
  if (condition === undefined) {
    const statements = pairs.map(([key, value]) => ["UPDATE kept SET value = ? WHERE key = ?", value, key]);
    return { kind: "write", statements };
  }
  const sql =
    `UPDATE kept SET value = CASE key ${pairs.map(() => "WHEN ? THEN ?").join(" ")} END ` +
    `WHERE key IN (${pairs.map(() => "?")}) AND (SELECT value FROM kept WHERE key = ?) IS ?`;
  const keys = pairs.map(([key]) => key);
  return { kind: "write", statements: [[sql, ...pairs.flat(), ...keys, ...condition]] };
}

export function append(key: string, value: string): Request {
  const sql = "UPDATE lists SET entries = entries || ? || ',' WHERE key = ?";
  return { kind: "write", statements: [[sql, value, key]] };
}

export function readList(key: string): Request {
  return { kind: "read", statements: [["SELECT entries FROM lists WHERE key = ?", key]] };
}

export function listIn(result: QueryResult): readonly string[] {
  const text = String(result.values?.[0]?.[0] ?? "");
  return text === "" ? [] : text.split(",").slice(0, -1);
}
