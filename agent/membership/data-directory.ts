import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../platform/clock.ts";
import { type Directory, systemErrorCode } from "../platform/directory.ts";
import { NodeDirectory } from "../platform/node-directory.ts";
import type { Random } from "../platform/random.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import { memberIdOf } from "../replica/member-id.ts";
import { type Identity, openIdentity } from "./identity.ts";
import { InstanceLock } from "./instance-lock.ts";
import { type NodeRecord, readNodeRecord, writeNodeRecord } from "./node-record.ts";

/**
 * Everything that a node keeps, under one lock:
 *
 *     identity.key   who the node is
 *     node.json      which member of which cluster
 *     lock           held by the agent that runs
 *     raft/          the log: the truth
 *     state.db, app.db   what the log made
 */
export class DataDirectory {
  readonly path: string;
  readonly identity: Identity;
  /** Where the log lives. */
  readonly raft: Directory;
  readonly #directory: Directory;
  readonly #lock: InstanceLock;
  #record: NodeRecord;
  #lastWrite: Promise<void> = Promise.resolve();

  private constructor(parts: {
    readonly directory: Directory;
    readonly raft: Directory;
    readonly identity: Identity;
    readonly lock: InstanceLock;
    readonly record: NodeRecord;
  }) {
    this.path = parts.directory.path;
    this.raft = parts.raft;
    this.identity = parts.identity;
    this.#directory = parts.directory;
    this.#lock = parts.lock;
    this.#record = parts.record;
  }

  /**
   * Opens or makes it, and begins a new session. Rejects with `data-unreadable`, `data-locked`, `identity-unreadable`,
   * `identity-mismatch` or `log-lost`.
   */
  static async open(path: string, random: Random, clock: Clock): Promise<DataDirectory> {
    const directory = await openReadable(path);
    const lock = await InstanceLock.take(directory.path);
    try {
      const raft = await openReadable(join(directory.path, "raft"));
      const identity = await openIdentity(directory);
      const record = await beginSession({
        directory,
        raft,
        nodeId: identity.nodeId,
        random,
        wallMs: clock.wallMs(),
      });
      return new DataDirectory({ directory, raft, identity, lock, record });
    } catch (error) {
      await lock.release();
      throw toReadable(error, directory.path);
    }
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
  joinCluster(clusterId: string): Promise<void> {
    return this.#write({ clusterId });
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

async function beginSession(options: {
  readonly directory: Directory;
  readonly raft: Directory;
  readonly nodeId: string;
  readonly random: Random;
  readonly wallMs: number;
}): Promise<NodeRecord> {
  const { directory, raft, nodeId, random, wallMs } = options;
  const known = await readNodeRecord(directory);
  if (known !== null && known.nodeId !== nodeId) throw foreignRecord(directory.path);
  const logFiles = await raft.list();
  if (known === null && logFiles.length > 0)
    throw logLost(directory.path, "there is a log in raft/ but no node.json");
  if (known?.clusterId && logFiles.length === 0) throw logLost(directory.path, "the log in raft/ is gone");
  // Consensus starts only after a cluster is joined: until then nothing in the log was ever said to anyone, and a
  // crash may have left half of a founding there.
  if (known?.clusterId === null) for (const name of logFiles) await raft.remove(name);
  // The others take no session of this identity that is below one they have seen, and node.json may have been lost with
  // the count: so the clock counts too, where it is ahead.
  const session = Math.max((known?.session ?? 0) + 1, Math.floor(wallMs));
  const record: NodeRecord = {
    nodeId,
    incarnation: newIncarnation(random),
    clusterId: null,
    promisedTo: null,
    ...known,
    session,
  };
  await writeNodeRecord(directory, record);
  return record;
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
