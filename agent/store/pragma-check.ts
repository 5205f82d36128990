import { isOperator } from "./sql-shape.ts";
import type { SqlToken } from "./sql-tokens.ts";

/** PRAGMAs that tell about the schema or the data, and change nothing whatever their argument. */
const READING: ReadonlySet<string> = new Set([
  "collation_list",
  "compile_options",
  "foreign_key_check",
  "foreign_key_list",
  "function_list",
  "index_info",
  "index_list",
  "index_xinfo",
  "integrity_check",
  "quick_check",
  "table_info",
  "table_list",
  "table_xinfo",
]);

/** Readable; setting them would change one connection only, or a file that exists already. */
const READABLE: ReadonlySet<string> = new Set([
  "encoding",
  "foreign_keys",
  "freelist_count",
  "page_count",
  "page_size",
  "recursive_triggers",
]);

/** Numbers in the file's header that migration tools keep: part of the transaction, so they are replicated. */
const SETTABLE: ReadonlySet<string> = new Set(["application_id", "user_version"]);

/** About the layout of one node's file: no input for data. */
const FILE_LAYOUT: ReadonlySet<string> = new Set(["freelist_count", "page_count"]);

export type PragmaUse = "reads" | "writes" | "refused";

/** What `PRAGMA [schema.]name [= value | (value)]` does; `tokens` begin with PRAGMA. */
export function classifyPragma(tokens: readonly SqlToken[]): PragmaUse {
  const hasSchema = isOperator(tokens[2], ".");
  // The connection's own temporary database is on one node only, and gone when it starts again.
  if (hasSchema && tokens[1]?.text.toLowerCase() !== "main") return "refused";
  const nameAt = hasSchema ? 3 : 1;
  const name = tokens[nameAt]?.text.toLowerCase() ?? "";
  const hasArgument = tokens.length > nameAt + 1;
  if (READING.has(name)) return "reads";
  if (READABLE.has(name)) return hasArgument ? "refused" : "reads";
  if (SETTABLE.has(name)) return hasArgument ? "writes" : "reads";
  return "refused";
}

/** True if the table-valued function `pragma_<name>` may stand in a statement that writes (or only reads). */
export function isPragmaFunctionAllowed(name: string, statementReads: boolean): boolean {
  if (FILE_LAYOUT.has(name)) return statementReads;
  return READING.has(name) || READABLE.has(name) || SETTABLE.has(name);
}

/** For the message of a refusal. */
export const ALLOWED_PRAGMAS: string = [...READING, ...READABLE, ...SETTABLE].sort().join(", ");
