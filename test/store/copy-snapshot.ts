import { createHash } from "node:crypto";
import type { SnapshotFileName, SnapshotReceiver, StoreSnapshot } from "../../agent/store/snapshot.ts";
import type { Store } from "../../agent/store/store.ts";

/** As a manifest has it. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Odd, so that pieces begin and end anywhere in a page. */
const PIECE_BYTES = 10_007;

/** Reads all of `snapshot` into `receiver`, last piece first; `between` runs before each piece. */
export async function copySnapshot(
  snapshot: StoreSnapshot,
  receiver: SnapshotReceiver,
  between: () => Promise<unknown> = async () => undefined,
): Promise<void> {
  for (const { name, bytes } of snapshot.files) {
    const offsets = Array.from({ length: Math.ceil(bytes / PIECE_BYTES) }, (_, nth) => nth * PIECE_BYTES);
    for (const offset of offsets.reverse()) {
      await between();
      await receiver.write(name, offset, await snapshot.read(name, offset, PIECE_BYTES));
    }
  }
}

/** All of one file. */
export async function readSnapshot(snapshot: StoreSnapshot, name: SnapshotFileName): Promise<Uint8Array> {
  const bytes = snapshot.files.find((file) => file.name === name)?.bytes ?? 0;
  return await snapshot.read(name, 0, bytes);
}

/** A snapshot of `from` takes the place of what `to` has. */
export async function transfer(from: Store, to: Store): Promise<void> {
  const snapshot = await from.openSnapshot();
  const receiver = await to.receiveSnapshot(snapshot);
  await copySnapshot(snapshot, receiver);
  await snapshot.close();
  await receiver.install();
}
