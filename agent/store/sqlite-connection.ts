import { pathToFileURL } from "node:url";
import { PreparedStatement } from "./prepared-statement.ts";
import { SQLITE_NOMEM, SQLITE_OK, SqliteError } from "./sqlite-error.ts";
import type { SqliteWasm } from "./sqlite-wasm.ts";

/** From sqlite3.h; the last one asks for extended result codes. */
const OPEN_READONLY = 0x1;
const OPEN_READWRITE = 0x2;
const OPEN_CREATE = 0x4;
const OPEN_URI = 0x40;
const OPEN_EXRESCODE = 0x02000000;
/** sqlite3_create_function_v2: UTF-8, and harmless enough for defaults and triggers. */
const UTF8_INNOCUOUS = 0x1 | 0x200000;

/** One open database. Every method throws `SqliteError`. */
export class SqliteConnection {
  readonly wasm: SqliteWasm;
  /** The C object `sqlite3`. */
  readonly pointer: number;
  /** Two pointers for results by reference. */
  readonly #out: number;
  #thrownInFunction: unknown;

  /** `read-only`: of a file that nobody writes; takes no lock, leaves nothing beside it and does not look there. */
  constructor(wasm: SqliteWasm, path: string, mode: "read-write" | "read-only" = "read-write") {
    this.wasm = wasm;
    const { api } = wasm;
    this.#out = api._malloc(8);
    const isWritten = mode === "read-write";
    const name = this.#allocateText(isWritten ? path : `${pathToFileURL(path).href}?immutable=1`);
    const flags = isWritten ? OPEN_READWRITE | OPEN_CREATE : OPEN_READONLY | OPEN_URI;
    const code = api._sqlite3_open_v2(name, this.#out, flags | OPEN_EXRESCODE, 0);
    api._free(name);
    this.pointer = wasm.memory().readInt32LE(this.#out);
    if (code !== SQLITE_OK) throw this.error(code);
  }

  /** True between BEGIN and its end. SQLite itself ends a transaction after some errors. */
  get inTransaction(): boolean {
    return this.wasm.api._sqlite3_get_autocommit(this.pointer) === 0;
  }

  /** Rows that the last INSERT, UPDATE or DELETE changed. */
  get changes(): number {
    return this.wasm.api._sqlite3_changes(this.pointer);
  }

  get lastInsertRowid(): bigint {
    return this.wasm.api._sqlite3_last_insert_rowid(this.pointer);
  }

  /**
   * Compiles the first statement in `sql`; the text after it is `tail` of the result. Null if there is none, such
   * as in a comment. `sql` must not contain NUL.
   */
  prepare(sql: string): PreparedStatement | null {
    const { api } = this.wasm;
    const text = this.#allocateText(sql);
    try {
      const code = api._sqlite3_prepare_v2(this.pointer, text, -1, this.#out, this.#out + 4);
      if (code !== SQLITE_OK) throw this.error(code);
      const memory = this.wasm.memory();
      const statement = memory.readInt32LE(this.#out);
      const tail = this.readText(memory.readInt32LE(this.#out + 4));
      return statement === 0 ? null : new PreparedStatement(this, statement, tail);
    } finally {
      api._free(text);
    }
  }

  /** Runs one statement without parameters and drops its rows. */
  run(sql: string): void {
    const statement = this.prepare(sql);
    try {
      statement?.runToEnd();
    } finally {
      statement?.finalize();
    }
  }

  /** The first column of the first row; undefined without a row. */
  readValue(sql: string): ReturnType<PreparedStatement["readColumn"]> | undefined {
    const statement = this.prepare(sql);
    try {
      return statement?.step() === true ? statement.readColumn(0) : undefined;
    } finally {
      statement?.finalize();
    }
  }

  /**
   * Registers a scalar SQL function; it takes the place of a built-in one of that name and arity. What `call` throws
   * is thrown again by the step that called it: nothing may unwind through C.
   */
  registerFunction(
    name: string,
    arity: number,
    call: (context: number, firstArgument: number) => void,
  ): void {
    const { api, memory } = this.wasm;
    const pointer = api.addFunction((context = 0, _count = 0, firstArgument = 0) => {
      try {
        call(context, arity > 0 ? memory().readInt32LE(firstArgument) : 0);
      } catch (error) {
        this.#thrownInFunction = error;
        api._sqlite3_result_error(context, this.#out, 0);
      }
    }, "viii");
    const text = this.#allocateText(name);
    const code = api._sqlite3_create_function_v2(
      this.pointer,
      text,
      arity,
      UTF8_INNOCUOUS,
      0,
      pointer,
      0,
      0,
      0,
    );
    api._free(text);
    if (code !== SQLITE_OK) throw this.error(code);
  }

  /** All statements must have been finalized. */
  close(): void {
    const code = this.wasm.api._sqlite3_close_v2(this.pointer);
    if (code !== SQLITE_OK) throw new SqliteError(code, "the database could not be closed");
    this.wasm.api._free(this.#out);
  }

  error(code: number): Error {
    const thrown = this.#thrownInFunction;
    this.#thrownInFunction = undefined;
    if (thrown instanceof Error) return thrown;
    return new SqliteError(code, this.readText(this.wasm.api._sqlite3_errmsg(this.pointer)));
  }

  /** The NUL-terminated text at `pointer`. */
  readText(pointer: number): string {
    const memory = this.wasm.memory();
    return memory.toString("utf8", pointer, memory.indexOf(0, pointer));
  }

  #allocateText(text: string): number {
    const size = Buffer.byteLength(text);
    const pointer = this.wasm.api._malloc(size + 1);
    if (pointer === 0) throw new SqliteError(SQLITE_NOMEM, "out of memory");
    const memory = this.wasm.memory();
    memory.write(text, pointer, size, "utf8");
    memory[pointer + size] = 0;
    return pointer;
  }
}
