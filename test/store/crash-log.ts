import type { StoreEntry } from "../../agent/store/types.ts";
import { configurationEntry, entry, objectsEntry, sessionEntry, statement } from "./store-node.ts";

/** The only session of the log. */
const SESSION = 2;

/**
 * The entry at `index` of an endless log: every row says which entry made it, and how many there were before. Commands
 * belong to a session, and some of them come twice.
 */
export function crashEntry(index: number): StoreEntry {
  if (index === 1) return entry(1, ["CREATE TABLE log (entry INTEGER, count INTEGER, noise)"]);
  if (index === SESSION) return sessionEntry(index);
  switch (index % 7) {
    case 3: {
      const key = { kind: "crash", namespace: "", name: `name ${index % 5}` };
      return objectsEntry(index, [{ kind: "put", key, body: Buffer.from(`${index}`), revision: null }]);
    }
    case 5:
      return insertion(index, index - 1);
    case 6:
      return configurationEntry(index, `members as of ${index}`);
    default:
      return insertion(index, index);
  }
}

/** True if the entry adds a row: it is an insertion, and not one for the second time. */
export function addsRow(index: number): boolean {
  return index > SESSION && ![3, 5, 6].includes(index % 7);
}

function insertion(index: number, sequence: number): StoreEntry {
  const statements = [
    statement("INSERT INTO log SELECT ?, count(*), hex(randomblob(50)) FROM log", [index]),
    statement("UPDATE log SET noise = hex(randomblob(60)) WHERE entry = ?", [2 + (index % 7)]),
  ];
  return entry(index, statements, false, { id: SESSION, sequence });
}
