import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { readSnapshot } from "./copy-snapshot.ts";
import { entry, StoreNode } from "./store-node.ts";

const script = fileURLToPath(new URL("./install-child.js", import.meta.url));
/** `install-crash.test.ts` goes through every call; here each third one stands for its neighbours. */
const STEP = 3;

const insert = (index: number) => entry(index, [`INSERT INTO t VALUES (${index}, hex(randomblob(300)))`]);
const log = [entry(1, ["CREATE TABLE t (a, b)"]), ...Array.from({ length: 60 }, (_, nth) => insert(nth + 2))];

t.test(
  "install() killed anywhere leaves databases that go on from the old state or the new one",
  async (t) => {
    const root = await mkdtemp(join(tmpdir(), "trivet-install-"));
    t.teardown(() => rm(root, { recursive: true }));
    const [source, target, whole] = await Promise.all([
      StoreNode.create(),
      StoreNode.create(),
      StoreNode.create(),
    ]);
    for (const node of [source, target, whole]) t.teardown(() => node.remove());
    await source.store.apply(log.slice(0, 50));
    await whole.store.apply(log);
    const expected = await whole.dump();
    const snapshot = await source.store.openSnapshot();
    await writeFile(join(root, "manifest.json"), JSON.stringify(snapshot));
    for (const { name } of snapshot.files)
      await writeFile(join(root, name), await readSnapshot(snapshot, name));
    await snapshot.close();
    await target.store.apply(log.slice(0, 10));

    const outcomes = new Set<number>();
    let total = Number.POSITIVE_INFINITY;
    for (let killAt = 1; killAt <= total; killAt += STEP) {
      const directory = join(root, `killed-${killAt}`);
      // Of a store that is open: as a killed process leaves it.
      await cp(target.directory, directory, { recursive: true });
      const child = spawn(process.execPath, [script, directory, root, String(killAt)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let output = "";
      child.stdout.on("data", (text) => {
        output += text;
      });
      const [, signal] = await once(child, "close");
      t.equal(signal, "SIGKILL");
      if (output !== "") total = Number(output);

      const node = await StoreNode.open(directory);
      const { applied, pendingInstall } = node.store;
      outcomes.add(applied.index);
      if (applied.index < 50) t.ok(applied.index <= 10, `the old state at ${applied.index}`);
      if (applied.index < 50) t.equal(pendingInstall, null);
      await node.store.apply(log.slice(applied.index));
      t.same(await node.dump(), expected, `killed at ${killAt}: went on from ${applied.index}`);
      await node.remove();
    }
    t.ok(outcomes.has(50) && outcomes.size > 1, [...outcomes].join(" "));
  },
);
