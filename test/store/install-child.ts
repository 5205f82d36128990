import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../agent/platform/clock.ts";
import type { DiskOperation } from "../../agent/platform/memory-directory.ts";
import { NodeDirectory } from "../../agent/platform/node-directory.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { interceptedDirectory } from "../platform/intercepted-directory.ts";

/**
 * Installs the snapshot in argv[3] (its files and `manifest.json`) into the store in argv[2], and kills this process
 * before call number argv[4] that changes the disk. Says how many calls there were if it gets to the end.
 */
const [, , directory = "", snapshot = "", killAt = ""] = process.argv;
let calls = 0;

/** What another process would see. */
const CHANGING: ReadonlySet<DiskOperation> = new Set(["open", "write", "rename", "remove", "sync-directory"]);

const killing = interceptedDirectory(await NodeDirectory.open(directory), (operation) => {
  if (!CHANGING.has(operation)) return;
  calls += 1;
  if (calls === Number(killAt)) process.kill(process.pid, "SIGKILL");
});

const store = await openSqliteStore({
  directory,
  logger: { log: () => undefined },
  clock: systemClock,
  files: killing,
});
const manifest = JSON.parse(await readFile(join(snapshot, "manifest.json"), "utf8"));
const receiver = await store.receiveSnapshot(manifest);
for (const { name } of manifest.files) await receiver.write(name, 0, await readFile(join(snapshot, name)));
await receiver.install();
await store.finishInstall();
process.stdout.write(`${calls}\n`);
process.kill(process.pid, "SIGKILL");
