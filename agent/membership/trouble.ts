import type { Peer } from "../bus/peer-table.ts";
import { describeRoom } from "../replica/disk-state.ts";
import type { DiskWatch } from "../replica/disk-watch.ts";
import { isStuck, type ReplicaStatus } from "../replica/replica-status.ts";
import type { CopyFault } from "../replica/snapshot-want.ts";
import type { Damage } from "./open-storage.ts";

/** What may be wrong with a node. Others hear of it by these words, which follow the node's name. */
export const TROUBLES = {
  damaged: "is damaged",
  rejoining: "is coming back as a new member",
  "disk-low": "is short of disk space",
  "disk-critical": "has a full disk",
  diverged: "has diverged",
  incomplete: "is fetching a copy",
  behind: "is far behind",
  "page-damaged": "has a damaged page",
  stuck: "is stuck",
  "log-full": "stores no entries",
} as const;
export type TroubleCode = keyof typeof TROUBLES;

export interface Trouble {
  readonly code: TroubleCode;
  /** For a person at this node: what is wrong, and what to do. */
  readonly text: string;
}

/**
 * A node with any other may not be able to stand in for another that fails. What has a damaged page votes and serves, but gives nobody
 * a copy: after one more failure there may be no whole one.
 */
const TOLERABLE: readonly TroubleCode[] = ["disk-low"];

export function mayStandIn(codes: readonly TroubleCode[]): boolean {
  return codes.every((code) => TOLERABLE.includes(code));
}

/** Longer than a log needs to get room of its own. */
const ENTRIES_WAIT_MS = 10_000;

/** What a node says of its own troubles with its presence. */
export function troubleCodesOf({ up, presence }: Peer): readonly TroubleCode[] {
  const codes = presence?.extra?.["troubles"];
  if (!up || !Array.isArray(codes)) return [];
  return codes.filter((code: unknown) => typeof code === "string" && code in TROUBLES);
}

const COPY_TROUBLES: Readonly<Record<CopyFault, Trouble>> = {
  empty: {
    code: "incomplete",
    text: "its log does not complete its databases, so it serves nothing until it has the others' copy",
  },
  diverged: {
    code: "diverged",
    text: "its databases differ from the others', so it serves nothing until it has their copy",
  },
  damaged: {
    code: "damaged",
    text: "its databases are damaged, so it serves nothing until it has the others' copy",
  },
  doubtful: {
    code: "page-damaged",
    text: "a page of its databases is damaged, and another node's copy is on its way: it serves nothing until that is there",
  },
};

/** What is wrong with this node, the worst first. */
export function troublesOf(state: {
  readonly damage: Damage | null;
  readonly isRejoining: boolean;
  readonly disk: Pick<DiskWatch, "state" | "freeBytes" | "watermarkBytes">;
  readonly replica: ReplicaStatus | null;
}): readonly Trouble[] {
  const { damage, isRejoining, disk, replica } = state;
  const troubles: Trouble[] = [];
  if (damage !== null) {
    const { error, waitsFor } = damage;
    const text = `${error.message} It comes back by itself, with a fresh copy, once a quorum of the others confirms that it holds the data (${waitsFor}). Until then nothing is changed, and a start with the data restored works.`;
    troubles.push({ code: "damaged", text });
  } else if (isRejoining) {
    troubles.push({
      code: "rejoining",
      text: "its log was damaged, or may have been, and it fetches what the others hold",
    });
  }
  // With damage, which has been told of, it is only there to hand over.
  if (replica !== null && damage === null) troubles.push(...replicaTroublesOf(replica));
  if (disk.state === "low") {
    const text = `${roomOf(disk)}; it takes no writes and gives leadership away. Free space on the file system of its data`;
    troubles.push({ code: "disk-low", text });
  } else if (disk.state === "critical") {
    const text = `${roomOf(disk)}; it stores nothing more, and fetches no copy, until there is room. Free space on the file system of its data`;
    troubles.push({ code: "disk-critical", text });
  }
  return troubles;
}

function replicaTroublesOf(replica: ReplicaStatus): readonly Trouble[] {
  const { copyFault, copyDamage, snapshot, entryWait, appliedIndex, stalledMs } = replica;
  const troubles: Trouble[] = [];
  if (copyFault !== null) troubles.push(COPY_TROUBLES[copyFault]);
  else if (snapshot !== null)
    troubles.push({
      code: "behind",
      text: "it fetches a copy of what the others' logs do not hold any more",
    });
  if (copyFault === null && copyDamage !== null) {
    const text = `${copyDamage}. It is served all the same, until another node has a whole copy to give: that is fetched by itself. Bring back the nodes that are missing, and look at its disk`;
    troubles.push({ code: "page-damaged", text });
  }
  if (isStuck(replica)) {
    const text = `its database is stuck behind entry ${appliedIndex} for ${Math.round(stalledMs / 1000)} s`;
    troubles.push({ code: "stuck", text });
  }
  if (entryWait !== null && entryWait.ms > ENTRIES_WAIT_MS) {
    const text = `entries wait for room in its log for ${Math.round(entryWait.ms / 1000)} s: ${entryWait.reason}`;
    troubles.push({ code: "log-full", text });
  }
  return troubles;
}

function roomOf({ freeBytes, watermarkBytes }: Pick<DiskWatch, "freeBytes" | "watermarkBytes">): string {
  return `${describeRoom(freeBytes)} is left, the watermark is ${describeRoom(watermarkBytes)}`;
}
