import type { Entropy } from "./entropy.ts";
import { VALUE_BYTES_MAX } from "./limits.ts";
import type { SqliteConnection } from "./sqlite-connection.ts";
import { SQLITE_NOMEM, SQLITE_TOOBIG, SqliteError } from "./sqlite-error.ts";

/** sqlite3_result_*: SQLite copies the value before it returns. */
const TRANSIENT = -1;

/**
 * Replaces SQLite's random() and randomblob() on a connection, in defaults, triggers and ORDER BY too, by ones that
 * draw from `entropy()`. They answer like SQLite's: random() any 64-bit integer but the smallest (its absolute value
 * would overflow); randomblob(n) n bytes, at least 1.
 */
export function registerRandomFunctions(connection: SqliteConnection, entropy: () => Entropy): void {
  const { api, memory } = connection.wasm;
  connection.registerFunction("random", 0, (context) => {
    const value = Buffer.from(entropy().draw(8)).readBigInt64LE();
    api._sqlite3_result_int64(context, value === SMALLEST ? 0n : value);
  });
  connection.registerFunction("randomblob", 1, (context, argument) => {
    const wanted = api._sqlite3_value_int64(argument);
    if (wanted > BigInt(VALUE_BYTES_MAX)) throw new SqliteError(SQLITE_TOOBIG, "string or blob too big");
    const length = wanted < 1n ? 1 : Number(wanted);
    const pointer = api._malloc(length);
    if (pointer === 0) throw new SqliteError(SQLITE_NOMEM, "out of memory");
    memory().set(entropy().draw(length), pointer);
    api._sqlite3_result_blob(context, pointer, length, TRANSIENT);
    api._free(pointer);
  });
}

const SMALLEST = -(2n ** 63n);
