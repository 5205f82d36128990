import { PAGE_BYTES, REWRITTEN_BYTES_MAX, VALUE_BYTES_MAX, WRITTEN_BYTES_MAX } from "./limits.ts";
import { PASSES_MAX } from "./sql-bounds.ts";
import type { WriteShape } from "./sql-writes.ts";

/** One statement of a request. */
export interface Write {
  readonly shape: WriteShape;
  /** Of its parameters. */
  readonly parameterBytes: number;
}

/** What is in the user's file, as far as it decides what a statement may write. */
export interface DataTraits {
  /** Of the file, with what is not checkpointed yet. */
  readonly bytes: number;
  /** By their name in small letters. */
  readonly tables: ReadonlyMap<string, TableTraits>;
}

export interface TableTraits {
  /** Where a row is written: in the table, and in each of its indexes. */
  readonly copies: number;
  /** Of the texts that a row gets where no value is given. */
  readonly defaultLength: number;
  /** Columns, in small letters, that no two rows have the same values of. */
  readonly keys: readonly (readonly string[])[];
  /** True if a foreign key changes or deletes rows elsewhere when a row leaves. */
  readonly actsOnDelete: boolean;
  /** The same when a row changes. */
  readonly actsOnUpdate: boolean;
  /** True if a row that comes may change any number of others: a full-text table, or one that replaces rows by itself. */
  readonly isOpaque: boolean;
}

/** A row that comes or leaves changes a page, and now and then one more is split off it. */
const PAGES_PER_ROW = 2;
/** Less than what any row takes, with its key and its place in the page: so many may be in a file. */
const ROW_BYTES_MIN = 8;

/**
 * True if a request may write more than `WRITTEN_BYTES_MAX`, so that it has to be tried out. On the safe side, but for what a few rows hold
 * that are found by their key: up to `PASSES_MAX` of them are rewritten unseen, each of which may have `VALUE_BYTES_MAX`.
 *
 * Pages of the file are counted once, however often they are written: SQLite overwrites them in its write-ahead log. What entries that
 * are not applied yet add to the file is not counted; each of them is bounded as well.
 */
export function mayWriteMuch(writes: readonly Write[], { bytes, tables }: DataTraits): boolean {
  const isKnown = writes.every(({ shape }) => tables.has(shape.table));
  const unknown = isKnown ? NO_TRAITS : worstOf(tables);
  let [pages, grown, keyed] = [0, 0, 0];
  for (const { shape, parameterBytes } of writes) {
    if (shape.reach === "none" && shape.rows === 0) continue;
    const table = tables.get(shape.table) ?? unknown;
    const { copies, defaultLength } = table;
    const given = shape.sqlLength + parameterBytes * shape.parameterUses;
    grown += copies * (given + shape.rows * (defaultLength + ROW_BYTES_MIN));
    pages += shape.rows * copies * PAGES_PER_ROW;
    const changed = rowsChanged(shape, table);
    if (changed === 0) continue;
    const set = shape.setLength + (shape.setsParameters ? parameterBytes * shape.parameterUses : 0);
    grown += copies * set * Math.min(changed, bytes / ROW_BYTES_MIN);
    if (changed === Number.POSITIVE_INFINITY) {
      pages = changed;
      grown += bytes * shape.setNames;
    } else {
      pages += changed * copies * PAGES_PER_ROW;
      keyed += changed;
    }
  }
  if (keyed > PASSES_MAX && bytes > WRITTEN_BYTES_MAX) return true;
  if (keyed * Math.min(bytes, VALUE_BYTES_MAX) > REWRITTEN_BYTES_MAX) return true;
  return Math.min(bytes, pages * PAGE_BYTES) + grown > WRITTEN_BYTES_MAX;
}

/** How many rows that are there it changes, at most; infinite if any number. */
function rowsChanged({ reach, rows, equated }: WriteShape, table: TableTraits): number {
  if (reach === "none" && !table.isOpaque) return 0;
  if (reach === "all" || table.isOpaque) return Number.POSITIVE_INFINITY;
  const leaves = reach === "deleted" || reach === "replaced";
  if (leaves ? table.actsOnDelete : table.actsOnUpdate) return Number.POSITIVE_INFINITY;
  // A new row meets at most one old one in each key, and changes the first that it meets.
  if (reach === "replaced") return rows * Math.max(1, table.keys.length);
  if (reach === "upserted") return rows;
  const isOne = table.keys.some((key) => key.every((column) => equated.includes(column)));
  return isOne ? 1 : Number.POSITIVE_INFINITY;
}

const NO_TRAITS: TableTraits = {
  copies: 1,
  defaultLength: 0,
  keys: [],
  actsOnDelete: true,
  actsOnUpdate: true,
  isOpaque: false,
};

/** For a table that is not known. */
function worstOf(tables: DataTraits["tables"]): TableTraits {
  let worst = NO_TRAITS;
  for (const { copies, defaultLength, isOpaque } of tables.values()) {
    worst = {
      ...worst,
      copies: Math.max(copies, worst.copies),
      defaultLength: Math.max(defaultLength, worst.defaultLength),
      isOpaque: isOpaque || worst.isOpaque,
    };
  }
  return worst;
}
