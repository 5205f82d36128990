import { SQLITE_DONE, SQLITE_NOMEM, SQLITE_OK, SQLITE_ROW, SqliteError } from "./sqlite-error.ts";
import type { SqliteWasm } from "./sqlite-wasm.ts";
import { StatementError } from "./statement-error.ts";
import type { SqlParameters, SqlValue } from "./types.ts";

/** What a statement needs of its connection. */
export interface StatementOwner {
  readonly wasm: SqliteWasm;
  /** The error that SQLite reports for its last call, which returned `code`. */
  error(code: number): Error;
}

const WRONG_PARAMETERS = "wrong-parameters";
/** sqlite3_bind_*: SQLite copies the value before it returns. */
const TRANSIENT = -1;
const TYPE_INTEGER = 1;
const TYPE_FLOAT = 2;
const TYPE_TEXT = 3;
const TYPE_BLOB = 4;
const TYPE_NAMES: readonly (string | undefined)[] = [undefined, "integer", "real", "text", "blob"];

/**
 * One compiled statement. Use: `bind`, `step` until it answers false, `reset`; then again, or `finalize`. A
 * statement that is neither at its end nor reset keeps its transaction from ending.
 */
export class PreparedStatement {
  /** The SQL text behind the statement. */
  readonly tail: string;
  readonly parameterCount: number;
  /** 0 for a statement that gives no rows. Changes with the schema: ask after a step. */
  get columnCount(): number {
    return this.#owner.wasm.api._sqlite3_column_count(this.pointer);
  }
  readonly #owner: StatementOwner;
  /** The C object `sqlite3_stmt`. */
  readonly pointer: number;

  constructor(owner: StatementOwner, pointer: number, tail: string) {
    this.#owner = owner;
    this.pointer = pointer;
    this.tail = tail;
    this.parameterCount = this.#countParameters();
  }

  /** Binds all parameters. Throws a `StatementError` `wrong-parameters` if `parameters` are not exactly those of the statement. */
  bind(parameters: SqlParameters): void {
    if (isPositional(parameters)) this.#bindByPosition(parameters);
    else this.#bindByName(parameters);
  }

  /** True if there is a row to read. False at the end: the statement has been carried out. */
  step(): boolean {
    const code = this.#owner.wasm.api._sqlite3_step(this.pointer);
    if (code === SQLITE_ROW) return true;
    if (code === SQLITE_DONE) return false;
    throw this.#owner.error(code);
  }

  /** Carries it out and drops its rows. */
  runToEnd(): void {
    try {
      while (this.step());
    } finally {
      this.reset();
    }
  }

  /** Ready to be used again. An error that `step` has thrown already is not thrown again. */
  reset(): void {
    this.#owner.wasm.api._sqlite3_reset(this.pointer);
    this.#owner.wasm.api._sqlite3_clear_bindings(this.pointer);
  }

  finalize(): void {
    this.#owner.wasm.api._sqlite3_finalize(this.pointer);
  }

  readColumnNames(): string[] {
    const { api, memory } = this.#owner.wasm;
    return Array.from({ length: this.columnCount }, (_, column) => {
      const pointer = api._sqlite3_column_name(this.pointer, column);
      if (pointer === 0) throw new SqliteError(SQLITE_NOMEM, "out of memory");
      return memory().toString("utf8", pointer, memory().indexOf(0, pointer));
    });
  }

  /** Storage class of a value of the current row: integer, real, text, blob, or null. */
  readColumnType(column: number): string {
    return TYPE_NAMES[this.#owner.wasm.api._sqlite3_column_type(this.pointer, column)] ?? "null";
  }

  /** A value of the current row. Integers beyond 2^53 are BigInt; text is read to its length, through any NUL. */
  readColumn(column: number): SqlValue {
    const { api, memory } = this.#owner.wasm;
    switch (api._sqlite3_column_type(this.pointer, column)) {
      case TYPE_INTEGER:
        return toNumberIfExact(api._sqlite3_column_int64(this.pointer, column));
      case TYPE_FLOAT:
        return api._sqlite3_column_double(this.pointer, column);
      case TYPE_TEXT: {
        const pointer = api._sqlite3_column_text(this.pointer, column);
        const size = api._sqlite3_column_bytes(this.pointer, column);
        if (pointer === 0) throw new SqliteError(SQLITE_NOMEM, "out of memory");
        return memory().toString("utf8", pointer, pointer + size);
      }
      case TYPE_BLOB: {
        const pointer = api._sqlite3_column_blob(this.pointer, column);
        const size = api._sqlite3_column_bytes(this.pointer, column);
        return Uint8Array.prototype.slice.call(memory(), pointer, pointer + size);
      }
      default:
        return null;
    }
  }

  #bindByPosition(values: readonly SqlValue[]): void {
    if (values.length !== this.parameterCount) {
      throw new StatementError(
        WRONG_PARAMETERS,
        `The statement has ${count(this.parameterCount)}, ${values.length} given.`,
      );
    }
    for (const [offset, value] of values.entries()) this.#bindValue(offset + 1, value);
  }

  #bindByName(values: Readonly<Record<string, SqlValue>>): void {
    let bound = 0;
    for (const [name, value] of Object.entries(values)) {
      const positions = [":", "@", "$"]
        .map((prefix) => this.#positionOf(prefix + name))
        .filter((at) => at > 0);
      if (positions.length === 0)
        throw new StatementError(WRONG_PARAMETERS, `The statement has no parameter named ${name}.`);
      for (const position of positions) this.#bindValue(position, value);
      bound += positions.length;
    }
    if (bound !== this.parameterCount) {
      throw new StatementError(
        WRONG_PARAMETERS,
        `The statement has ${count(this.parameterCount)}, ${bound} given by name.`,
      );
    }
  }

  #positionOf(name: string): number {
    const { api } = this.#owner.wasm;
    const pointer = this.#copyIn(Buffer.from(`${name}\0`));
    const position = api._sqlite3_bind_parameter_index(this.pointer, pointer);
    api._free(pointer);
    return position;
  }

  #bindValue(position: number, value: SqlValue): void {
    const code = this.#bindValueCode(position, value);
    if (code !== SQLITE_OK) throw this.#owner.error(code);
  }

  #bindValueCode(position: number, value: SqlValue): number {
    const { api } = this.#owner.wasm;
    const statement = this.pointer;
    if (value === null) return api._sqlite3_bind_null(statement, position);
    if (typeof value === "bigint") return api._sqlite3_bind_int64(statement, position, value);
    if (typeof value === "number") {
      return Number.isSafeInteger(value)
        ? api._sqlite3_bind_int64(statement, position, BigInt(value))
        : api._sqlite3_bind_double(statement, position, value);
    }
    const bytes = typeof value === "string" ? Buffer.from(value) : value;
    const pointer = this.#copyIn(bytes);
    const bind = typeof value === "string" ? api._sqlite3_bind_text : api._sqlite3_bind_blob;
    const code = bind(statement, position, pointer, bytes.byteLength, TRANSIENT);
    api._free(pointer);
    return code;
  }

  /** Never the null pointer, which SQLite would take as NULL instead of an empty value. */
  #copyIn(bytes: Uint8Array): number {
    const pointer = this.#owner.wasm.api._malloc(bytes.byteLength + 1);
    if (pointer === 0) throw new SqliteError(SQLITE_NOMEM, "out of memory");
    this.#owner.wasm.memory().set(bytes, pointer);
    return pointer;
  }

  /** sqlite3_bind_parameter_count is not exported: the first position out of range tells. */
  #countParameters(): number {
    let position = 1;
    while (this.#owner.wasm.api._sqlite3_bind_null(this.pointer, position) === SQLITE_OK) position += 1;
    return position - 1;
  }
}

function isPositional(parameters: SqlParameters): parameters is readonly SqlValue[] {
  return Array.isArray(parameters);
}

/** A number if no digit is lost, else the BigInt. */
export function toNumberIfExact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function count(parameters: number): string {
  return parameters === 1 ? "1 parameter" : `${parameters} parameters`;
}
