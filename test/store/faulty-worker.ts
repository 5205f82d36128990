import fs from "node:fs";
import { join } from "node:path";
import { workerData } from "node:worker_threads";

/**
 * The store's worker on a disk that fails on command: SQLite's files go through these functions. `faults` in the data
 * directory names the calls that fail now, with their error ("writeSync ENOSPC"), or "exit" to end the thread at the
 * next call, or "hang" to have it wait in the system for a writer of the pipe `pipe`: until then nothing can end it. Every sync is written down in `syncs`, and every start in `starts`.
 */
const directory: string = workerData.directory;
const { readlinkSync, existsSync, readFileSync, appendFileSync } = fs;
const { writeSync, fsyncSync, readSync } = fs;

function failIfTold(call: string): void {
  const path = join(directory, "faults");
  if (!existsSync(path)) return;
  const [told, code] = readFileSync(path, "utf8").split(" ");
  if (told === "exit") process.exit(3);
  if (told === "hang") readFileSync(join(directory, "pipe"));
  if (told === call) throw Object.assign(new Error(`${code}: told to fail`), { code });
}

Object.assign(fs, {
  writeSync: (...parameters: Parameters<typeof writeSync>) => {
    failIfTold("writeSync");
    return writeSync(...parameters);
  },
  readSync: (...parameters: Parameters<typeof readSync>) => {
    failIfTold("readSync");
    return readSync(...parameters);
  },
  fsyncSync: (fd: number) => {
    failIfTold("fsyncSync");
    fsyncSync(fd);
    appendFileSync(join(directory, "syncs"), `${readlinkSync(`/proc/self/fd/${fd}`)}\n`);
  },
});
appendFileSync(join(directory, "starts"), "started\n");
await import("../../agent/store/store-worker.ts");
