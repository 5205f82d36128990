import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { marksIn } from "./rewrite-source.ts";

/** What the simulator runs of the agent as it is: whole folders, and of another one these files. */
const FOLDERS = ["raft", "log", "replica"];
const FILES = ["open-storage.js", "rejoin.js", "repairer.js"].map((name) => join("membership", name));
/** In place of the databases. */
const MODEL = join("..", "test", "sim", "model-store.js");

/** All marks in these, by name. `root` holds the compiled agent. */
export function listMarks(root: string): readonly string[] {
  const agent = join(root, "agent");
  const inFolders = FOLDERS.flatMap((folder) => {
    const names = readdirSync(join(agent, folder)).filter((name) => name.endsWith(".js"));
    return names.sort().map((name) => join(folder, name));
  });
  return [...inFolders, ...FILES, MODEL].flatMap((path) => marksIn(readFileSync(join(agent, path), "utf8")));
}
