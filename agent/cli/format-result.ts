import { drawTable, printable } from "./text-table.ts";

/** One statement's answer, as it came over HTTP. */
export interface SqlAnswer {
  readonly error?: string;
  readonly code?: string;
  readonly columns?: readonly string[];
  readonly types?: readonly string[];
  readonly values?: readonly (readonly unknown[])[];
  readonly rows_affected?: number | bigint;
}

/** Lines for a person: a table of rows, or what was changed. Not for errors. */
export function formatResult(answer: SqlAnswer): string[] {
  const { columns, values = [], rows_affected: affected = 0 } = answer;
  if (columns === undefined)
    return affected === 0 ? ["ok"] : [count(affected, "row affected", "rows affected")];
  const isNumeric = columns.map((_, index) =>
    values.every((row) => isNumber(row[index]) || row[index] === null),
  );
  const table = drawTable(
    columns.map((title, index) => ({ title: printable(title), align: isNumeric[index] ? "right" : "left" })),
    values.map((row) => row.map(formatCell)),
  );
  return [...table, count(values.length, "row", "rows")];
}

function formatCell(value: unknown): string {
  if (value === null) return "NULL";
  return typeof value === "string" ? printable(value) : String(value);
}

function isNumber(value: unknown): boolean {
  return typeof value === "number" || typeof value === "bigint";
}

function count(amount: number | bigint, one: string, many: string): string {
  return `${amount} ${Number(amount) === 1 ? one : many}`;
}
