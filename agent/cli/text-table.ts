export interface TextColumn {
  readonly title: string;
  readonly align: "left" | "right";
}

/** Lines of a table: titles, a rule, rows; columns as wide as they must be. Cells come from `printable`. */
export function drawTable(columns: readonly TextColumn[], rows: readonly (readonly string[])[]): string[] {
  const titles = columns.map(({ title }) => title);
  const widths = columns.map((_, index) => {
    return [titles, ...rows].reduce((width, row) => Math.max(width, widthOf(row[index] ?? "")), 0);
  });
  const drawRow = (row: readonly string[]): string =>
    columns
      .map(({ align }, index) => {
        const cell = row[index] ?? "";
        const space = " ".repeat((widths[index] ?? 0) - widthOf(cell));
        return align === "right" ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd();
  return [drawRow(titles), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(drawRow)];
}

/** Text that neither breaks a table nor commands the terminal: control characters are shown as escapes. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}|\p{Zl}|\p{Zp}|\p{Bidi_Control}/gu, (character) => {
    const short = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[character];
    return short ?? `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
  });
}

/** In characters, not in cells: wide ones shift their row. */
function widthOf(text: string): number {
  return [...text].length;
}
