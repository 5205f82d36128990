import { createHash } from "node:crypto";
import { readWholeFile, replaceWholeFile } from "../platform/atomic-file.ts";
import { type Directory, isMediumError } from "../platform/directory.ts";
import { TrivetError } from "../platform/trivet-error.ts";

/** The same twice: this small file decides over all the large ones, and media lose single blocks. */
const RECORD_FILE = "node.json";
const COPY_FILE = "node.json.copy";
const FORMAT = 2;

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

/**
 * Null if there is none. Where one of the two files is damaged or gone, the other one counts; rejects with `data-unreadable` if none
 * can be read.
 */
export async function readNodeRecord(directory: Directory): Promise<NodeRecord | null> {
  const found = [await readFile(directory, RECORD_FILE), await readFile(directory, COPY_FILE)];
  const there = found.filter((each) => each !== "absent");
  if (there.length === 0) return null;
  const record = there.find((each) => each !== "damaged");
  if (record !== undefined) return record;
  throw new TrivetError(
    "data-unreadable",
    `${directory.path}/${RECORD_FILE} and ${COPY_FILE} are damaged or of another version. Restore them from a backup, or start this node with an empty data directory.`,
  );
}

/** Durable when it resolves. The copy comes first: it is never older than the file that it stands in for. */
export async function writeNodeRecord(directory: Directory, record: NodeRecord): Promise<void> {
  const file = { format: FORMAT, sha256: checksumOf(record), record };
  const bytes = Buffer.from(`${JSON.stringify(file)}\n`);
  for (const name of [COPY_FILE, RECORD_FILE]) await replaceWholeFile(directory, name, bytes);
}

async function readFile(directory: Directory, name: string): Promise<NodeRecord | "absent" | "damaged"> {
  try {
    const bytes = await readWholeFile(directory, name);
    return bytes === null ? "absent" : (parseFile(bytes.toString("utf8")) ?? "damaged");
  } catch (error) {
    // A block that the medium has lost is one of the two ways in which a file is damaged.
    if (isMediumError(error)) return "damaged";
    throw error;
  }
}

/** Null if it is damaged. */
function parseFile(text: string): NodeRecord | null {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof file !== "object" || file === null) return null;
  const { format, sha256: checksum, record } = file as Readonly<Record<string, unknown>>;
  return format === FORMAT && checksum === checksumOf(record) ? parseRecord(record) : null;
}

function checksumOf(record: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(record) ?? "")
    .digest("hex");
}

function parseRecord(value: unknown): NodeRecord | null {
  if (typeof value !== "object" || value === null) return null;
  const {
    nodeId,
    incarnation,
    clusterId,
    promisedTo,
    session,
    hasCompanions,
    rejoin: foundRejoin,
  } = value as Readonly<Record<string, unknown>>;
  if (typeof nodeId !== "string") return null;
  if (typeof incarnation !== "string" || !/^[0-9a-f]{8}$/.test(incarnation)) return null;
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
