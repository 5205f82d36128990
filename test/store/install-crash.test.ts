import t, { type Test } from "tap";
import { type DiskCall, type DiskVerdict, MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { INSTALL_MARKER } from "../../agent/store/install-marker.ts";
import { SNAPSHOT_FILES, type SnapshotManifest, type SnapshotReceiver } from "../../agent/store/snapshot.ts";
import { SnapshotInstaller } from "../../agent/store/snapshot-installer.ts";
import { stagedName } from "../../agent/store/snapshot-staging.ts";
import { installStaged, recoverInstall } from "../../agent/store/swap-databases.ts";
import { seededRandom } from "../log/log-fixture.ts";
import { sha256 } from "./copy-snapshot.ts";

const POSITION = { index: 7, term: 2 };
const SEEDS = 12;

const NEW = new Map(SNAPSHOT_FILES.map((name) => [name, Buffer.from(`the new ${name} `.repeat(200))]));
const MANIFEST: SnapshotManifest = {
  position: POSITION,
  configuration: null,
  files: SNAPSHOT_FILES.map((name) => {
    const bytes = NEW.get(name) ?? Buffer.alloc(0);
    return { name, bytes: bytes.byteLength, sha256: sha256(bytes) };
  }),
};

async function put(directory: MemoryDirectory, name: string, bytes: Uint8Array): Promise<void> {
  const file = await directory.open(name);
  await file.write(0, bytes);
  await file.sync();
  await file.close();
}

/** Two databases with their write-ahead logs, all durable. */
async function createOld(): Promise<MemoryDirectory> {
  const directory = new MemoryDirectory();
  for (const name of SNAPSHOT_FILES) {
    await put(directory, name, Buffer.from(`the old ${name}`));
    await put(directory, `${name}-wal`, Buffer.from(`what the old ${name} lacks`));
  }
  await directory.sync();
  return directory;
}

/** What the next start would open: all of the one, or all of the other. */
async function stateOf(directory: MemoryDirectory): Promise<"old" | "new" | "mixed"> {
  const names = await directory.list();
  const found = await Promise.all(
    SNAPSHOT_FILES.map(async (name) => {
      const file = await directory.open(name);
      const bytes = await file.read(0, await file.size());
      await file.close();
      const hasWal = names.includes(`${name}-wal`);
      if (bytes.equals(Buffer.from(`the old ${name}`)) && hasWal) return "old";
      return bytes.equals(NEW.get(name) ?? bytes) && !hasWal ? "new" : "mixed";
    }),
  );
  return found.every((state) => state === found[0]) ? (found[0] ?? "mixed") : "mixed";
}

/** The databases are no real ones, so all that arrive are sound. */
function createInstaller(directory: MemoryDirectory): SnapshotInstaller {
  return new SnapshotInstaller({
    directory,
    check: async () => ({ kind: "sound", position: POSITION }),
    replaceFiles: (swap) => swap(),
    pendingInstall: null,
  });
}

async function writeAll(receiver: SnapshotReceiver): Promise<void> {
  for (const { name, bytes } of MANIFEST.files) {
    const content = NEW.get(name) ?? Buffer.alloc(0);
    for (let offset = 0; offset < bytes; offset += 1000) {
      await receiver.write(name, offset, content.subarray(offset, offset + 1000));
    }
  }
}

async function receiveInto(installer: SnapshotInstaller): Promise<void> {
  const receiver = await installer.receive(MANIFEST);
  await writeAll(receiver);
  await receiver.install();
}

/** Receives and installs a snapshot, as far as it gets. */
function receiveAndInstall(directory: MemoryDirectory): Promise<void> {
  return receiveInto(createInstaller(directory));
}

/** Lets `run` go on up to its call `number`, which halts; false if it has no such call. */
async function haltAt(
  directory: MemoryDirectory,
  number: number,
  run: () => Promise<unknown>,
): Promise<boolean> {
  let calls = 0;
  const halted = new Promise<true>((resolve) => {
    directory.onCall = (): DiskVerdict => {
      calls += 1;
      if (calls !== number) return undefined;
      resolve(true);
      return "halt";
    };
  });
  const isHalted = await Promise.race([halted, run().then(() => false)]);
  directory.onCall = undefined;
  return isHalted;
}

/** The disks that a process may leave which ends in any way at any call of `run`. */
async function* crashes(
  create: () => Promise<MemoryDirectory>,
  run: (directory: MemoryDirectory) => Promise<unknown>,
): AsyncGenerator<{ readonly directory: MemoryDirectory; readonly how: string }> {
  for (let number = 1; ; number += 1) {
    for (let seed = 0; seed <= SEEDS; seed += 1) {
      const directory = await create();
      if (!(await haltAt(directory, number, () => run(directory)))) return;
      const after = seed === 0 ? directory.kill() : directory.crash(seededRandom(seed));
      yield { directory: after, how: `call ${number}, ${seed === 0 ? "kill" : `power cut ${seed}`}` };
    }
  }
}

/** The result of the next start. */
async function requireWhole(t: Test, directory: MemoryDirectory, how: string): Promise<"old" | "new"> {
  const pending = await recoverInstall(directory);
  const state = await stateOf(directory);
  const names = await directory.list();
  if (state === "mixed") t.fail(`${how}: ${names.join(" ")}`);
  if (pending?.index !== (state === "new" ? POSITION.index : undefined))
    t.fail(`${how}: pending at ${pending?.index}`);
  for (const name of SNAPSHOT_FILES)
    if (names.includes(stagedName(name))) t.fail(`${how}: ${name} is left over`);
  return state === "new" ? "new" : "old";
}

t.test(
  "a process that ends at any call of an installation leaves the old state or the new one",
  async (t) => {
    const seen = { old: 0, new: 0 };
    for await (const { directory, how } of crashes(createOld, receiveAndInstall)) {
      seen[await requireWhole(t, directory, how)] += 1;
    }
    t.ok(seen.old > 100 && seen.new > 100, JSON.stringify(seen));
  },
);

t.test("a process that ends at any call of the recovery leaves it to the next one", async (t) => {
  const cut: MemoryDirectory[] = [];
  const staged = await createOld();
  for (const name of SNAPSHOT_FILES) await put(staged, stagedName(name), NEW.get(name) ?? Buffer.alloc(0));
  await staged.sync();
  // One disk for each call of the swap, as the power cut that loses least leaves it.
  for (let number = 1; ; number += 1) {
    const directory = staged.copy();
    if (!(await haltAt(directory, number, () => installStaged(directory, POSITION)))) break;
    cut.push(directory.kill());
  }
  let recoveries = 0;
  for (const [nth, first] of cut.entries()) {
    if (!(await first.list()).includes(INSTALL_MARKER)) continue;
    for await (const { directory, how } of crashes(async () => first.copy(), recoverInstall)) {
      recoveries += 1;
      const state = await requireWhole(t, directory, `${nth}, then ${how}`);
      if (state === "old") t.fail(`${nth}, then ${how}: the old state is back`);
    }
  }
  t.ok(recoveries > 500, `${recoveries} recoveries`);
});

t.test("a disk error at any call", async (t) => {
  for (const code of ["EIO", "ENOSPC"] as const) {
    const outcomes = new Set<string>();
    for (let number = 1; ; number += 1) {
      const directory = await createOld();
      const failed: DiskCall[] = [];
      let calls = 0;
      directory.onCall = (call): DiskVerdict => {
        calls += 1;
        if (calls !== number) return undefined;
        failed.push(call);
        return code;
      };
      const error: unknown = await receiveAndInstall(directory).then(
        () => null,
        (error: unknown) => error,
      );
      directory.onCall = undefined;
      if (failed.length === 0) break;
      const how = `${code} at call ${number}: ${failed[0]?.operation} ${failed[0]?.name}`;
      if (error === null) t.fail(how);
      const state = await requireWhole(t, directory.kill(), how);
      outcomes.add(`${state} ${error instanceof Error && "code" in error ? error.code : error}`);
    }
    t.ok(outcomes.has("old snapshot-failed"), [...outcomes].join(", "));
    t.ok(outcomes.has(`new ${code}`), "after the commit point it is the store that fails");
  }
});

t.test("finishInstall() never takes away the marker of the next installation", async (t) => {
  for (let number = 1; number <= 3; number += 1) {
    const directory = await createOld();
    const installer = createInstaller(directory);
    await receiveInto(installer);
    const receiver = await installer.receive(MANIFEST);
    await writeAll(receiver);
    // Its call `number` is held up until the second snapshot is installed, or waits for it.
    let calls = 0;
    let release: (verdict: undefined) => void = () => undefined;
    const held = new Promise<undefined>((resolve) => {
      release = resolve;
    });
    directory.onCall = () => {
      calls += 1;
      return calls === number ? held : undefined;
    };
    const finished = installer.finishInstall();
    const installed = receiver.install();
    for (let turn = 0; turn < 1000; turn += 1) await Promise.resolve();
    release(undefined);
    await Promise.all([finished, installed]);
    t.same(installer.pendingInstall, POSITION);
    t.ok((await directory.list()).includes(INSTALL_MARKER), `held up at call ${number}`);
    await installer.finishInstall();
    t.notOk((await directory.list()).includes(INSTALL_MARKER));
  }
});

t.test("recoverInstall() rejects a damaged marker", async (t) => {
  for (const text of ["", "{", '{"format":2,"phase":"swapped","position":{"index":1,"term":1}}', "[]"]) {
    const directory = await createOld();
    await put(directory, INSTALL_MARKER, Buffer.from(text));
    await t.rejects(recoverInstall(directory), { code: "store-damaged" }, text);
  }
});
