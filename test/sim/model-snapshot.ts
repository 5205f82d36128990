import { createHash } from "node:crypto";
import type { SnapshotFileName, SnapshotManifest } from "../../agent/store/snapshot.ts";
import { SNAPSHOT_FILES } from "../../agent/store/snapshot.ts";
import type { LogPosition, StoredConfiguration } from "../../agent/store/types.ts";

/** Both files as bytes, and what is said of them. */
export interface ModelImages {
  readonly manifest: SnapshotManifest;
  readonly images: Readonly<Record<SnapshotFileName, Buffer>>;
}

/** Files of at least `bytesMin`: a snapshot of one piece would say little. */
export function imagesOf(
  contents: Readonly<Record<SnapshotFileName, unknown>>,
  options: {
    readonly position: LogPosition;
    readonly configuration: StoredConfiguration | null;
    readonly bytesMin: number;
  },
): ModelImages {
  const { position, configuration, bytesMin } = options;
  const imageOf = (content: unknown) => Buffer.from(JSON.stringify(content).padEnd(bytesMin));
  const images = { "app.db": imageOf(contents["app.db"]), "state.db": imageOf(contents["state.db"]) };
  const files = SNAPSHOT_FILES.map((name) => ({
    name,
    bytes: images[name].length,
    sha256: sha256(images[name]),
  }));
  return { manifest: { position, configuration, files }, images };
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
