import { readWholeFile, replaceWholeFile } from "../platform/atomic-file.ts";
import type { Directory } from "../platform/directory.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { LogPosition } from "./types.ts";

/** In the data directory, while a snapshot is being installed and until the log agrees with it. */
export const INSTALL_MARKER = "snapshot-install.json";

/**
 * `swapping`: the staged files are whole and take the place of the databases, whatever happens. This is the commit
 * point. `swapped`: they have; what is staged from now on is of another snapshot.
 */
const INSTALL_PHASES = ["swapping", "swapped"] as const;

export interface InstallMarker {
  readonly phase: (typeof INSTALL_PHASES)[number];
  /** Of the snapshot. */
  readonly position: LogPosition;
}

const FORMAT = 1;

/** Null if no snapshot was installed lately. Rejects with `store-damaged` if it cannot be read. */
export async function readInstallMarker(directory: Directory): Promise<InstallMarker | null> {
  const bytes = await readWholeFile(directory, INSTALL_MARKER);
  if (bytes === null) return null;
  const marker = parseMarker(bytes.toString());
  if (marker !== null) return marker;
  // It is written whole or not at all, so this is damage, and it is unknown which databases the files are.
  throw new TrivetError(
    "store-damaged",
    `${INSTALL_MARKER} in ${directory.path} cannot be read: the databases beside it may be of two snapshots. Let this node fetch a new copy.`,
  );
}

/** Durable when it resolves. Rejected: the old marker or the new one is there. */
export function writeInstallMarker(directory: Directory, marker: InstallMarker): Promise<void> {
  const text = `${JSON.stringify({ format: FORMAT, ...marker })}\n`;
  return replaceWholeFile(directory, INSTALL_MARKER, Buffer.from(text));
}

/** Durable when it resolves. Idempotent. */
export async function removeInstallMarker(directory: Directory): Promise<void> {
  if (!(await directory.list()).includes(INSTALL_MARKER)) return;
  await directory.remove(INSTALL_MARKER);
  await directory.sync();
}

function parseMarker(text: string): InstallMarker | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  const { format, phase, position } = fieldsOf(parsed);
  const { index, term } = fieldsOf(position);
  const known = INSTALL_PHASES.find((each) => each === phase);
  if (format !== FORMAT || known === undefined || !isCount(index) || !isCount(term)) return null;
  return { phase: known, position: { index, term } };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
