import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { marksIn } from "./rewrite-source.ts";

/** The folders of the agent that the simulator runs as they are. */
const FOLDERS = ["raft", "log", "replica"];

/** All marks of these folders, by name. `root` holds the compiled agent. */
export function listMarks(root: string): readonly string[] {
  return FOLDERS.flatMap((folder) => {
    const directory = join(root, "agent", folder);
    const files = readdirSync(directory).filter((name) => name.endsWith(".js"));
    return files.sort().flatMap((name) => marksIn(readFileSync(join(directory, name), "utf8")));
  });
}
