import type { SqlTokens } from "./sql-tokens.ts";

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

/** About one node's file or program, which differ from node to node: no input for data, and no entry of the log. */
const OF_ONE_NODE: ReadonlySet<string> = new Set([
  "collation_list",
  "compile_options",
  "freelist_count",
  "function_list",
  "integrity_check",
  "page_count",
  "quick_check",
]);

export type PragmaUse = "reads" | "writes" | "refused";

/** What `PRAGMA [schema.]name [= value | (value)]` does; `tokens` begin with PRAGMA. */
export function classifyPragma(tokens: SqlTokens): PragmaUse {
  // The connection's own temporary database is on one node only, and gone when it starts again.
  if (hasSchema(tokens) && tokens.text(1).toLowerCase() !== "main") return "refused";
  const nameAt = nameIndex(tokens);
  const name = nameOf(tokens);
  const hasArgument = tokens.length > nameAt + 1;
  if (READING.has(name)) return "reads";
  if (READABLE.has(name)) return hasArgument ? "refused" : "reads";
  if (SETTABLE.has(name)) return hasArgument ? "writes" : "reads";
  return "refused";
}

/** True if the answer is that of one node alone; `tokens` begin with PRAGMA. */
export function isPragmaOfOneNode(tokens: SqlTokens): boolean {
  return OF_ONE_NODE.has(nameOf(tokens));
}

function hasSchema(tokens: SqlTokens): boolean {
  return tokens.isOperator(2, ".");
}

function nameIndex(tokens: SqlTokens): number {
  return hasSchema(tokens) ? 3 : 1;
}

function nameOf(tokens: SqlTokens): string {
  return tokens.text(nameIndex(tokens)).toLowerCase();
}

/** True if the table-valued function `pragma_<name>` may stand in a statement that writes (or only reads). */
export function isPragmaFunctionAllowed(name: string, statementReads: boolean): boolean {
  if (OF_ONE_NODE.has(name)) return statementReads;
  return READING.has(name) || READABLE.has(name) || SETTABLE.has(name);
}

/** For the message of a refusal. */
export const ALLOWED_PRAGMAS: string = [...READING, ...READABLE, ...SETTABLE].sort().join(", ");
