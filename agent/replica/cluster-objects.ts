import type { Clock } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { ObjectKey, ObjectList, ObjectWrite, PageLimits } from "../store/objects.ts";
import type { Store } from "../store/store.ts";
import { acceptDraft } from "./command-draft.ts";
import { Deadline } from "./deadline.ts";
import type { LeaderAccess } from "./leader-access.ts";
import { ObjectChangesReader } from "./object-changes.ts";
import { type FeedLimits, ObjectFeed } from "./object-feed.ts";
import type {
  ObjectChanges,
  ObjectChangesOptions,
  ObjectListOptions,
  ObjectReadOptions,
  ObjectsService,
  ObjectWriteOptions,
} from "./objects-service.ts";
import type { Replica } from "./replica.ts";
import { stopping, throwIfRefused } from "./sql-errors.ts";

export interface ClusterObjectsOptions {
  readonly replica: Pick<Replica, "copy" | "onInstalled">;
  readonly leader: LeaderAccess;
  readonly store: Store;
  readonly clock: Clock;
  /** How much is kept for watchers, and told at once; as usual if left out. */
  readonly limits?: ObjectLimits;
}

export interface ObjectLimits {
  readonly feed: FeedLimits;
  readonly page: PageLimits;
}

/**
 * Objects from any node: writes go to the leader, reads and watches are served here; reads once this node has caught up
 * with what the level asks for.
 */
export class ClusterObjects implements ObjectsService {
  readonly #leader: LeaderAccess;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #feed: ObjectFeed;
  readonly #changes: ObjectChangesReader;
  readonly #stopListening: () => void;

  /** To be made while the store applies nothing. */
  constructor({ replica, leader, store, clock, limits }: ClusterObjectsOptions) {
    this.#leader = leader;
    this.#store = store;
    this.#clock = clock;
    this.#feed = new ObjectFeed(store, clock, limits?.feed);
    this.#changes = new ObjectChangesReader({
      feed: this.#feed,
      objects: store.objects,
      clock,
      ...(limits && { page: limits.page }),
      assertServing: () => replica.copy.assertServing(),
    });
    this.#stopListening = replica.onInstalled(() => this.#feed.restart());
  }

  async get(key: ObjectKey, options: ObjectReadOptions): ReturnType<ObjectsService["get"]> {
    const timeoutMs = await this.#catchUp(options);
    return this.#store.objects.get(key, { timeoutMs });
  }

  async list(options: ObjectListOptions): Promise<ObjectList> {
    const { level: _, ...wanted } = options;
    const timeoutMs = await this.#catchUp(options);
    return this.#store.objects.list({ ...wanted, timeoutMs });
  }

  async write(
    writes: readonly ObjectWrite[],
    options: ObjectWriteOptions,
  ): Promise<{ readonly revision: number; readonly uids: readonly string[] }> {
    const draft = acceptDraft({ kind: "objects", session: options.session ?? null, writes });
    const { result } = await this.#leader.propose(draft, new Deadline(this.#clock, options.timeoutMs));
    throwIfRefused(result);
    const [written] = result;
    invariant(written?.kind === "objects", "a write of objects was answered as something else");
    return { revision: written.revision, uids: written.uids };
  }

  async watchFrom({
    from,
    timeoutMs,
  }: {
    readonly from?: number;
    readonly timeoutMs: number;
  }): Promise<number> {
    const { applied } = this.#store;
    if (from === undefined || from <= applied.index) return from ?? applied.index;
    // Whatever was committed before is applied here after it; so nobody can have been told of what is still beyond.
    await this.#catchUp({ level: "linearizable", timeoutMs });
    if (from <= this.#store.applied.index) return from;
    throw revisionUnknown(from, this.#store.applied.index);
  }

  changes(options: ObjectChangesOptions): Promise<ObjectChanges> {
    return this.#changes.next(options);
  }

  /** Ends every wait for changes. */
  stop(): void {
    this.#stopListening();
    this.#feed.stop(stopping());
  }

  /** Resolves with what is left of the time. */
  async #catchUp({ level, timeoutMs }: ObjectReadOptions): Promise<number> {
    const deadline = new Deadline(this.#clock, timeoutMs);
    await this.#leader.catchUp(level, deadline);
    return deadline.remainingMs;
  }
}

function revisionUnknown(revision: number, newest: number): TrivetError {
  return new TrivetError(
    "revision-unknown",
    `This cluster has come to revision ${newest} and has no ${revision}: it belongs to another cluster, or one that was founded anew. List the objects, then watch from the revision of the list.`,
  );
}
