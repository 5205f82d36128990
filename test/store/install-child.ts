import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../agent/platform/clock.ts";
import type { Directory } from "../../agent/platform/directory.ts";
import { NodeDirectory } from "../../agent/platform/node-directory.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";

/**
 * Installs the snapshot in argv[3] (its files and `manifest.json`) into the store in argv[2], and kills this process
 * before call number argv[4] that changes the disk. Says how many calls there were if it gets to the end.
 */
const [, , directory = "", snapshot = "", killAt = ""] = process.argv;
let calls = 0;

function killInTime(): void {
  calls += 1;
  if (calls === Number(killAt)) process.kill(process.pid, "SIGKILL");
}

function killing(real: Directory): Directory {
  return {
    path: real.path,
    list: () => real.list(),
    rename: (from, to) => {
      killInTime();
      return real.rename(from, to);
    },
    remove: (name) => {
      killInTime();
      return real.remove(name);
    },
    sync: () => {
      killInTime();
      return real.sync();
    },
    open: async (name) => {
      killInTime();
      const file = await real.open(name);
      return {
        size: () => file.size(),
        read: (offset, length) => file.read(offset, length),
        close: () => file.close(),
        sync: () => file.sync(),
        write: (offset, bytes) => {
          killInTime();
          return file.write(offset, bytes);
        },
      };
    },
  };
}

const store = await openSqliteStore({
  directory,
  logger: { log: () => undefined },
  clock: systemClock,
  files: killing(await NodeDirectory.open(directory)),
});
const manifest = JSON.parse(await readFile(join(snapshot, "manifest.json"), "utf8"));
const receiver = await store.receiveSnapshot(manifest);
for (const { name } of manifest.files) await receiver.write(name, 0, await readFile(join(snapshot, name)));
await receiver.install();
await store.finishInstall();
process.stdout.write(`${calls}\n`);
process.kill(process.pid, "SIGKILL");
