import { createHash } from "node:crypto";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import {
  SNAPSHOT_FILES,
  type SnapshotFileName,
  type SnapshotManifest,
  type SnapshotReceiver,
  type StoreSnapshot,
} from "../../agent/store/snapshot.ts";

type Files = Readonly<Record<SnapshotFileName, Uint8Array>>;

/** Two databases as bytes in memory, to be sent and to be replaced: the part of a store that snapshots need. */
export class MemorySnapshots {
  index: number;
  files: Files;
  opened = 0;
  closed = 0;
  discarded = 0;
  /** Reads reject with `snapshot-gone` from now on. */
  isGone = false;

  constructor(index: number, files: Files) {
    this.index = index;
    this.files = files;
  }

  async openSnapshot(_onProgress?: () => void): Promise<StoreSnapshot> {
    this.opened += 1;
    const { files } = this;
    return {
      position: { index: this.index, term: 1 },
      configuration: null,
      files: SNAPSHOT_FILES.map((name) => ({
        name,
        bytes: files[name].byteLength,
        sha256: sha256(files[name]),
      })),
      read: async (name, offset, length) => {
        if (this.isGone) throw new TrivetError("snapshot-gone", "ended");
        return files[name].slice(offset, offset + length);
      },
      close: async () => {
        this.closed += 1;
      },
    };
  }

  async receiveSnapshot(manifest: SnapshotManifest): Promise<SnapshotReceiver> {
    const received: Record<SnapshotFileName, Uint8Array> = {
      "app.db": new Uint8Array(sizeOf(manifest, "app.db")),
      "state.db": new Uint8Array(sizeOf(manifest, "state.db")),
    };
    return {
      write: async (name, offset, bytes) => received[name].set(bytes, offset),
      install: async () => {
        for (const { name, sha256: expected } of manifest.files) {
          if (sha256(received[name]) !== expected) throw new TrivetError("snapshot-damaged", name);
        }
        this.files = received;
        this.index = manifest.position.index;
      },
      discard: async () => {
        this.discarded += 1;
      },
    };
  }
}

function sizeOf({ files }: SnapshotManifest, name: SnapshotFileName): number {
  return files.find((file) => file.name === name)?.bytes ?? 0;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
