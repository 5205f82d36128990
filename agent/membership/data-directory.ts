import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../platform/clock.ts";
import { type Directory, systemErrorCode } from "../platform/directory.ts";
import { NodeDirectory } from "../platform/node-directory.ts";
import type { Random } from "../platform/random.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import { memberIdOf } from "../replica/member-id.ts";
import { readDamageNote, writeDamageNote } from "./damage-note.ts";
import { type Identity, openIdentity } from "./identity.ts";
import { InstanceLock } from "./instance-lock.ts";
import { type NodeRecord, readNodeRecord, writeNodeRecord } from "./node-record.ts";
import { DATABASE_DATA, freeSlot, LOG_DATA, moveToQuarantine, thinOutQuarantine } from "./quarantine.ts";

/**
 * Everything that a node keeps, under one lock:
 *
 *     identity.key   who the node is
 *     node.json      which member of which cluster; twice, as node.json.copy
 *     lock           held by the agent that runs
 *     raft/          the log: the truth
 *     state.db, app.db   what the log made
 *     snapshot-*     a copy of these from another node, until it has taken their place
 *     quarantine/    what was found damaged
 */
export class DataDirectory {
  readonly path: string;
  readonly identity: Identity;
  /**
   * Set if the log of a member is gone: whatever opens in its place must not vote (design: a member is one incarnation). Null
   * says only that there are files.
   */
  get lostLog(): TrivetError | null {
    return this.#lostLog;
  }
  #lostLog: TrivetError | null;
  /** Set if the databases were found to be damaged while they were at work: then nobody need look at them to know. */
  get damagedDatabases(): TrivetError | null {
    return this.#damagedDatabases;
  }
  #damagedDatabases: TrivetError | null;
  #raft: Directory;
  readonly #directory: Directory;
  readonly #lock: InstanceLock;
  #record: NodeRecord;
  #lastWrite: Promise<void> = Promise.resolve();
  /** Since a slot was added to it. */
  #isQuarantineThin = false;

  private constructor(parts: {
    readonly directory: Directory;
    readonly raft: Directory;
    readonly identity: Identity;
    readonly lock: InstanceLock;
    readonly record: NodeRecord;
    readonly lostLog: TrivetError | null;
    readonly damagedDatabases: TrivetError | null;
  }) {
    this.path = parts.directory.path;
    this.#lostLog = parts.lostLog;
    this.#damagedDatabases = parts.damagedDatabases;
    this.#raft = parts.raft;
    this.identity = parts.identity;
    this.#directory = parts.directory;
    this.#lock = parts.lock;
    this.#record = parts.record;
  }

  /**
   * Opens or makes it, and begins a new session. Rejects with `data-unreadable`, `data-locked`, `identity-unreadable`,
   * `identity-mismatch`, or `log-lost` if the log has no record of its member.
   */
  static async open(path: string, random: Random, clock: Clock): Promise<DataDirectory> {
    const directory = await openReadable(path);
    const lock = await InstanceLock.take(directory.path);
    try {
      const identity = await openIdentity(directory);
      const found = await readNodeRecord(directory);
      if (found !== null && found.nodeId !== identity.nodeId) throw foreignRecord(directory.path);
      const known = await finishEmptying(directory.path, found);
      const raft = await openReadable(join(directory.path, "raft"));
      const { nodeId } = identity;
      const wallMs = clock.wallMs();
      const lostLog = await judgeLog(directory, raft, known);
      const damagedDatabases = await readDamageNote(directory);
      const record = await beginSession({ directory, known, nodeId, random, wallMs });
      return new DataDirectory({ directory, raft, identity, lock, record, lostLog, damagedDatabases });
    } catch (error) {
      await lock.release();
      throw toReadable(error, directory.path);
    }
  }

  /** Where the log lives. */
  get raft(): Directory {
    return this.#raft;
  }

  get memberId(): string {
    return memberIdOf(this.identity.nodeId, this.#record.incarnation);
  }

  get clusterId(): string | null {
    return this.#record.clusterId;
  }

  get session(): number {
    return this.#record.session;
  }

  /** From now on, for good, the node belongs to this cluster. The log must be there already, durably. */
  joinCluster(clusterId: string, hasCompanions: boolean): Promise<void> {
    return this.#write({ clusterId, hasCompanions });
  }

  /** As before `joinCluster`. Only while nobody has heard from this member: the next start removes its log. */
  leaveCluster(): Promise<void> {
    return this.#write({ clusterId: null, hasCompanions: false });
  }

  /** There are, or were when it was last known, other members that may hold what this one loses. */
  get hasCompanions(): boolean {
    return this.#record.hasCompanions;
  }

  async noteCompanions(hasCompanions: boolean): Promise<void> {
    if (hasCompanions !== this.#record.hasCompanions) await this.#write({ hasCompanions });
  }

  /** True from `beginAnew` until `tookPlace`: the cluster may not know this incarnation yet. */
  get isRejoining(): boolean {
    return this.#record.rejoin !== null;
  }

  /** True while an empty log is not a lost one. */
  get mayBeBlank(): boolean {
    return this.#record.clusterId === null || this.#record.rejoin?.stage === "empty";
  }

  /**
   * Puts the log and the databases into quarantine and begins another incarnation of the member, with nothing. To be called
   * only where a quorum of others has confirmed that it holds the data. Resolves with where the old data is.
   *
   * The record comes first: from then on the old member never speaks again, and a crash in the middle is made good by the
   * next `open`.
   */
  async beginAnew(random: Random): Promise<string> {
    // The databases may have been put by before in the same session.
    const slot = await freeSlot(this.path, this.#record.session);
    await this.#write({ incarnation: newIncarnation(random), rejoin: { slot, stage: "emptying" } });
    // mark: data directory: a damaged log goes to quarantine
    const path = await emptyInto(this.path, slot);
    this.#raft = await openReadable(join(this.path, "raft"));
    this.#lostLog = null;
    this.#damagedDatabases = null;
    await this.#write({ rejoin: { slot, stage: "empty" } });
    return path;
  }

  /** The new incarnation has a log, durably, and is about to speak. */
  async beganLog(): Promise<void> {
    const { rejoin } = this.#record;
    if (rejoin?.stage === "empty") await this.#write({ rejoin: { ...rejoin, stage: "begun" } });
  }

  /** The cluster has taken this incarnation. */
  async tookPlace(): Promise<void> {
    if (this.isRejoining) await this.#write({ rejoin: null });
  }

  /**
   * The log stays, and so does the member. To be called only where the log makes the databases anew, or a quorum of others has
   * confirmed that it holds the data. Resolves with where the databases are.
   */
  async quarantineDatabases(): Promise<string> {
    this.#isQuarantineThin = false;
    // An agent may do this more than once in its life.
    const slot = await freeSlot(this.path, this.#record.session);
    const path = await moveToQuarantine(this.path, slot, DATABASE_DATA);
    this.#damagedDatabases = null;
    return path;
  }

  /** The databases were found to be damaged while they were at work: also the next start must know. */
  async noteDamage(reason: string): Promise<void> {
    this.#damagedDatabases = await writeDamageNote(this.#directory, reason);
  }

  /** The node has a whole copy that it trusts: removes what is not needed of the quarantine. Looks there once after each damage. */
  async becameWhole(): Promise<void> {
    if (this.#isQuarantineThin) return;
    await thinOutQuarantine(this.path);
    this.#isQuarantineThin = true;
  }

  get promisedTo(): string | null {
    return this.#record.promisedTo;
  }

  promiseTo(founder: string): Promise<void> {
    return this.#write({ promisedTo: founder });
  }

  /** Lets another agent have it. */
  close(): Promise<void> {
    return this.#lock.release();
  }

  /** One after the other: a promise that is being written must not undo that a cluster was joined. */
  #write(change: Partial<NodeRecord>): Promise<void> {
    const write = async (): Promise<void> => {
      const record = { ...this.#record, ...change };
      await writeNodeRecord(this.#directory, record);
      this.#record = record;
    };
    this.#lastWrite = this.#lastWrite.then(write, write);
    return this.#lastWrite;
  }
}

/**
 * Compares the files of the log with what the record says of them. Resolves with the error if the log is gone; rejects
 * with it if nothing is known of the member that it belonged to.
 */
async function judgeLog(
  directory: Directory,
  raft: Directory,
  known: NodeRecord | null,
): Promise<TrivetError | null> {
  const logFiles = await raft.list();
  if (known === null && logFiles.length > 0)
    throw logLost(directory.path, "there is a log in raft/ but no node.json");
  // Consensus starts only after a cluster is joined: until then nothing in the log was ever said to anyone, and a
  // crash may have left half of a founding there.
  if (known?.clusterId === null) for (const name of logFiles) await raft.remove(name);
  if (known === null || known.clusterId === null || logFiles.length > 0) return null;
  return known.rejoin?.stage === "empty" ? null : logLost(directory.path, "the log in raft/ is gone");
}

/** After a crash in the middle of `beginAnew`. */
async function finishEmptying(path: string, found: NodeRecord | null): Promise<NodeRecord | null> {
  if (found?.rejoin?.stage !== "emptying") return found;
  // mark: data directory: a move to quarantine that was cut off is finished
  await emptyInto(path, found.rejoin.slot);
  return { ...found, rejoin: { ...found.rejoin, stage: "empty" } };
}

async function beginSession(options: {
  readonly directory: Directory;
  readonly known: NodeRecord | null;
  readonly nodeId: string;
  readonly random: Random;
  readonly wallMs: number;
}): Promise<NodeRecord> {
  const { directory, known, nodeId, random, wallMs } = options;
  // The others take no session of this identity that is below one they have seen, and node.json may have been lost with
  // the count: so the clock counts too, where it is ahead.
  const session = Math.max((known?.session ?? 0) + 1, Math.floor(wallMs));
  const record: NodeRecord = {
    nodeId,
    incarnation: newIncarnation(random),
    clusterId: null,
    promisedTo: null,
    hasCompanions: false,
    rejoin: null,
    ...known,
    session,
  };
  await writeNodeRecord(directory, record);
  return record;
}

function emptyInto(path: string, slot: number): Promise<string> {
  return moveToQuarantine(path, slot, [...LOG_DATA, ...DATABASE_DATA]);
}

function newIncarnation(random: Random): string {
  return Buffer.from(random.bytes(4)).toString("hex");
}

async function openReadable(path: string): Promise<Directory> {
  try {
    const directory = await NodeDirectory.open(path);
    await access(directory.path, constants.R_OK | constants.W_OK | constants.X_OK);
    return directory;
  } catch (error) {
    throw toReadable(error, path);
  }
}

const UNREADABLE = ["ENOENT", "EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST", "ENAMETOOLONG"];

function toReadable(error: unknown, path: string): unknown {
  const code = systemErrorCode(error);
  if (error instanceof TrivetError || code === undefined || !UNREADABLE.includes(code)) return error;
  return new TrivetError(
    "data-unreadable",
    `The data directory ${path} cannot be used (${code}): it must be a directory that this user may read and write. Mend its owner and mode, or choose another one with --data.`,
    { cause: error },
  );
}

function foreignRecord(path: string): TrivetError {
  return new TrivetError(
    "identity-mismatch",
    `In ${path}, identity.key and node.json are of two nodes. Restore the key that belongs to this data, or empty the directory to start as a new node.`,
  );
}

/**
 * A member that lost its log has forgotten whom it voted for and what it acknowledged: it must never speak under its old
 * id again (design: a member is one incarnation).
 */
export function logLost(path: string, found: string): TrivetError {
  return new TrivetError(
    "log-lost",
    `In ${path}, ${found}. This member must not vote any more. Restore the whole directory as it was when the agent last stopped, or empty it to start as a new member.`,
  );
}
