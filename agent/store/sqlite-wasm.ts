import { invariant } from "../platform/invariant.ts";
import { countDiskWrites, type DiskWrites } from "./disk-writes.ts";
import { enlargeStack } from "./stack-size.ts";

/**
 * The C interface of SQLite as the `node-sqlite3-wasm` build exports it; pointers are numbers. The package's own
 * classes are not used: they give rows by column name, cut text at NUL and hide the error codes.
 */
export interface SqliteApi {
  _malloc(size: number): number;
  _free(pointer: number): void;
  _sqlite3_open_v2(path: number, db: number, flags: number, vfs: number): number;
  _sqlite3_close_v2(db: number): number;
  _sqlite3_errmsg(db: number): number;
  _sqlite3_get_autocommit(db: number): number;
  _sqlite3_changes(db: number): number;
  _sqlite3_last_insert_rowid(db: number): bigint;
  _sqlite3_prepare_v2(db: number, sql: number, length: number, statement: number, tail: number): number;
  _sqlite3_step(statement: number): number;
  _sqlite3_reset(statement: number): number;
  _sqlite3_clear_bindings(statement: number): number;
  _sqlite3_finalize(statement: number): number;
  _sqlite3_bind_null(statement: number, position: number): number;
  _sqlite3_bind_int64(statement: number, position: number, value: bigint): number;
  _sqlite3_bind_double(statement: number, position: number, value: number): number;
  _sqlite3_bind_text(statement: number, position: number, text: number, size: number, free: number): number;
  _sqlite3_bind_blob(statement: number, position: number, blob: number, size: number, free: number): number;
  _sqlite3_bind_parameter_index(statement: number, name: number): number;
  _sqlite3_column_count(statement: number): number;
  _sqlite3_column_name(statement: number, column: number): number;
  _sqlite3_column_type(statement: number, column: number): number;
  _sqlite3_column_int64(statement: number, column: number): bigint;
  _sqlite3_column_double(statement: number, column: number): number;
  _sqlite3_column_text(statement: number, column: number): number;
  _sqlite3_column_blob(statement: number, column: number): number;
  _sqlite3_column_bytes(statement: number, column: number): number;
  _sqlite3_create_function_v2(
    db: number,
    name: number,
    arity: number,
    flags: number,
    data: number,
    call: number,
    step: number,
    final: number,
    free: number,
  ): number;
  _sqlite3_value_int64(value: number): bigint;
  _sqlite3_result_int64(context: number, value: bigint): void;
  _sqlite3_result_blob(context: number, blob: number, size: number, free: number): void;
  _sqlite3_result_error(context: number, message: number, size: number): void;
  /** Makes a JavaScript function callable from C; `signature` is emscripten's (`viii`: three ints, no result). */
  addFunction(callback: (...args: number[]) => void, signature: string): number;
}

export interface SqliteWasm {
  readonly api: SqliteApi;
  /** The module's memory as it is now: growing replaces it, so never keep it across a call of `api`. */
  memory(): Buffer;
  /** How large it may grow from now on; beyond it SQLite is out of memory. It never shrinks. */
  setMemoryLimit(bytes: number): void;
  readonly writes: DiskWrites;
}

/**
 * Loads the module into this thread. The package keeps its memory and its stack to itself, so they are caught
 * where they are made: at the `WebAssembly.Instance` of the load. Once a thread, before anything else imports the package.
 */
export async function loadSqliteWasm(): Promise<SqliteWasm> {
  const Instance = WebAssembly.Instance;
  let exports: Readonly<Record<string, unknown>> = {};
  WebAssembly.Instance = class extends Instance {
    constructor(module: WebAssembly.Module, imports?: object) {
      super(module, imports);
      exports = this.exports;
    }
  };
  let api: unknown;
  try {
    api = Reflect.get(await import("node-sqlite3-wasm"), "default");
  } finally {
    WebAssembly.Instance = Instance;
  }
  const memory = Object.values(exports).find((value) => value instanceof WebAssembly.Memory);
  invariant(
    memory !== undefined,
    "node-sqlite3-wasm was loaded before loadSqliteWasm(), or changed its shape",
  );
  invariant(isSqliteApi(api), "node-sqlite3-wasm does not export all of SqliteApi");
  enlargeStack(exports, api._malloc);
  const grow = memory.grow.bind(memory);
  let limit = Number.POSITIVE_INFINITY;
  memory.grow = (pages) => {
    const size = memory.buffer.byteLength + pages * WASM_PAGE_BYTES;
    if (size > limit) throw new RangeError(`SQLite may not take ${size} bytes of memory`);
    return grow(pages);
  };
  let view = Buffer.from(memory.buffer);
  return {
    api,
    memory() {
      if (view.buffer !== memory.buffer) view = Buffer.from(memory.buffer);
      return view;
    },
    setMemoryLimit(bytes) {
      limit = bytes;
    },
    writes: countDiskWrites(),
  };
}

const WASM_PAGE_BYTES = 64 * 1024;

const API_NAMES = [
  "_malloc",
  "_free",
  "_sqlite3_open_v2",
  "_sqlite3_close_v2",
  "_sqlite3_errmsg",
  "_sqlite3_get_autocommit",
  "_sqlite3_changes",
  "_sqlite3_last_insert_rowid",
  "_sqlite3_prepare_v2",
  "_sqlite3_step",
  "_sqlite3_reset",
  "_sqlite3_clear_bindings",
  "_sqlite3_finalize",
  "_sqlite3_bind_null",
  "_sqlite3_bind_int64",
  "_sqlite3_bind_double",
  "_sqlite3_bind_text",
  "_sqlite3_bind_blob",
  "_sqlite3_bind_parameter_index",
  "_sqlite3_column_count",
  "_sqlite3_column_name",
  "_sqlite3_column_type",
  "_sqlite3_column_int64",
  "_sqlite3_column_double",
  "_sqlite3_column_text",
  "_sqlite3_column_blob",
  "_sqlite3_column_bytes",
  "_sqlite3_create_function_v2",
  "_sqlite3_value_int64",
  "_sqlite3_result_int64",
  "_sqlite3_result_blob",
  "_sqlite3_result_error",
  "addFunction",
] as const satisfies readonly (keyof SqliteApi)[];

function isSqliteApi(value: unknown): value is SqliteApi {
  if (typeof value !== "object" || value === null) return false;
  return API_NAMES.every((name) => typeof Reflect.get(value, name) === "function");
}
