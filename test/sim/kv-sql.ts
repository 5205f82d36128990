import type { SqlStatement, SqlValue } from "../../agent/store/types.ts";

/** The few statements that clients send and that the model of the store understands. */
const GET = "SELECT value FROM kv WHERE key = ?";
const PUT =
  "INSERT INTO kv (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const CAS = "UPDATE kv SET value = ? WHERE key = ? AND value IS ?";

export type KvOperation =
  | { readonly kind: "get"; readonly key: string }
  | { readonly kind: "put"; readonly key: string; readonly value: string }
  | { readonly kind: "cas"; readonly key: string; readonly from: string | null; readonly to: string };

/** What a client sends. A value that it writes takes at least `bytesMin`: large writes have ways of their own. */
export function statementOf(operation: KvOperation, bytesMin = 0): SqlStatement {
  switch (operation.kind) {
    case "get":
      return { sql: GET, parameters: [operation.key] };
    case "put":
      return { sql: PUT, parameters: [operation.key, operation.value.padEnd(bytesMin)] };
    case "cas":
      return { sql: CAS, parameters: [operation.to.padEnd(bytesMin), operation.key, operation.from] };
  }
}

export function operationOf({ sql, parameters }: SqlStatement): KvOperation {
  const [first, second, third] = parameters as readonly SqlValue[];
  switch (sql) {
    case GET:
      return { kind: "get", key: String(first) };
    case PUT:
      return { kind: "put", key: String(first), value: String(second).trimEnd() };
    case CAS:
      return {
        kind: "cas",
        key: String(second),
        from: third == null ? null : String(third),
        to: String(first).trimEnd(),
      };
    default:
      throw new Error(`the model of the store does not know: ${sql}`);
  }
}
