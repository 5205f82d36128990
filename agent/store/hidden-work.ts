import type { DatabaseFile } from "./database-file.ts";

/** FTS5 takes any beginning of the word `content` for it. */
const CONTENT_OPTION = /[(,]\s*c\w*\s*=/i;

/**
 * True if the schema has something that makes a plain write run what its text does not show: a trigger, or a full-text
 * table that reads its content from elsewhere, which may be a view. Reads the whole schema.
 */
export function hasHiddenWork(file: DatabaseFile): boolean {
  const suspects =
    "SELECT type, sql FROM sqlite_schema WHERE type = 'trigger' OR sql LIKE 'CREATE VIRTUAL TABLE %'";
  return file.statements.use(suspects, (read) => {
    while (read?.prepared.step() === true) {
      const isTrigger = read.prepared.readColumn(0) === "trigger";
      if (isTrigger || CONTENT_OPTION.test(String(read.prepared.readColumn(1)))) return true;
    }
    return false;
  });
}
