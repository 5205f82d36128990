import type { StoreEntry } from "../../agent/store/types.ts";
import { entry, statement } from "./store-node.ts";

/** The entry at `index` of an endless log: every row says which entry made it, and how many there were before. */
export function crashEntry(index: number): StoreEntry {
  if (index === 1) return entry(1, ["CREATE TABLE log (entry INTEGER, count INTEGER, noise)"]);
  return entry(index, [
    statement("INSERT INTO log SELECT ?, count(*), hex(randomblob(50)) FROM log", [index]),
    statement("UPDATE log SET noise = hex(randomblob(60)) WHERE entry = ?", [2 + (index % 7)]),
  ]);
}
