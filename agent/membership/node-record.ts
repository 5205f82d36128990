import { readWholeFile, replaceWholeFile } from "../platform/atomic-file.ts";
import type { Directory } from "../platform/directory.ts";
import { TrivetError } from "../platform/trivet-error.ts";

const RECORD_FILE = "node.json";
const FORMAT = 1;

/** What a node remembers of itself besides its key, its log and its databases. */
export interface NodeRecord {
  /** Whose record it is: it stays with its key. */
  readonly nodeId: string;
  /** 8 hex digits, made with the log: another log is another member. */
  readonly incarnation: string;
  /** Null until the node belongs to a cluster. */
  readonly clusterId: string | null;
  /** Node id of the founder that was last allowed to name this node; see `FoundingPromise`. */
  readonly promisedTo: string | null;
  /** Grows with each start, so that what was said before it is known to be old. */
  readonly session: number;
  /** The cluster has other members, as far as this node knows: they may hold what it loses. */
  readonly hasCompanions: boolean;
  /** Not null while this incarnation is to take the place of one whose log was damaged. */
  readonly rejoin: RejoinRecord | null;
}

export interface RejoinRecord {
  /** Of the quarantine that the damaged data goes to. */
  readonly slot: number;
  readonly stage: RejoinStage;
}

/**
 * `emptying`: the damaged data may be in its place still, or in part. `empty`: it is gone, and the new incarnation has
 * nothing and has said nothing. `begun`: it has a log, and from now on loses its memory with it.
 */
const REJOIN_STAGES = ["emptying", "empty", "begun"] as const;
export type RejoinStage = (typeof REJOIN_STAGES)[number];

/** Null if there is none. Rejects with `data-unreadable` if the file holds something else. */
export async function readNodeRecord(directory: Directory): Promise<NodeRecord | null> {
  const bytes = await readWholeFile(directory, RECORD_FILE);
  if (bytes === null) return null;
  const record = parseNodeRecord(bytes.toString("utf8"));
  if (record !== null) return record;
  throw new TrivetError(
    "data-unreadable",
    `${directory.path}/${RECORD_FILE} is damaged or of another version. Restore it from a backup, or start this node with an empty data directory.`,
  );
}

export async function writeNodeRecord(directory: Directory, record: NodeRecord): Promise<void> {
  await replaceWholeFile(
    directory,
    RECORD_FILE,
    Buffer.from(`${JSON.stringify({ format: FORMAT, ...record })}\n`),
  );
}

function parseNodeRecord(text: string): NodeRecord | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const {
    format,
    nodeId,
    incarnation,
    clusterId,
    promisedTo,
    session,
    hasCompanions = true,
    rejoin: foundRejoin = null,
  } = value as Readonly<Record<string, unknown>>;
  if (typeof nodeId !== "string") return null;
  if (format !== FORMAT || typeof incarnation !== "string" || !/^[0-9a-f]{8}$/.test(incarnation)) return null;
  if (clusterId !== null && typeof clusterId !== "string") return null;
  if (promisedTo !== null && typeof promisedTo !== "string") return null;
  if (typeof session !== "number" || !Number.isSafeInteger(session)) return null;
  if (typeof hasCompanions !== "boolean") return null;
  const rejoin = parseRejoin(foundRejoin);
  if (rejoin === undefined) return null;
  return { nodeId, incarnation, clusterId, promisedTo, session, hasCompanions, rejoin };
}

/** Undefined if it is none. */
function parseRejoin(value: unknown): RejoinRecord | null | undefined {
  if (typeof value !== "object" || value === null) return value === null ? null : undefined;
  const { slot, stage: found } = value as Readonly<Record<string, unknown>>;
  const stage = REJOIN_STAGES.find((each) => each === found);
  if (typeof slot !== "number" || !Number.isSafeInteger(slot) || stage === undefined) return undefined;
  return { slot, stage };
}
