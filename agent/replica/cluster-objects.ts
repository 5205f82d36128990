import type { Clock } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { ObjectKey, ObjectList, ObjectWrite } from "../store/objects.ts";
import type { Store } from "../store/store.ts";
import { assertBounded } from "./command-draft.ts";
import { Deadline } from "./deadline.ts";
import type { LeaderAccess } from "./leader-access.ts";
import { ObjectFeed } from "./object-feed.ts";
import type {
  ObjectChange,
  ObjectListOptions,
  ObjectReadOptions,
  ObjectsService,
  ObjectWatchOptions,
  ObjectWriteOptions,
} from "./objects-service.ts";
import type { Replica } from "./replica.ts";
import { stopping, throwIfRefused } from "./sql-errors.ts";
import { watchObjects } from "./watch-objects.ts";

export interface ClusterObjectsOptions {
  readonly replica: Pick<Replica, "copy" | "onInstalled">;
  readonly leader: LeaderAccess;
  readonly store: Store;
  readonly clock: Clock;
}

/**
 * Objects from any node: writes go to the leader, reads and watches are served here; reads once this node has caught up
 * with what the level asks for.
 */
export class ClusterObjects implements ObjectsService {
  readonly #replica: ClusterObjectsOptions["replica"];
  readonly #leader: LeaderAccess;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #feed: ObjectFeed;
  readonly #stopListening: () => void;

  /** To be made while the store applies nothing. */
  constructor({ replica, leader, store, clock }: ClusterObjectsOptions) {
    this.#replica = replica;
    this.#leader = leader;
    this.#store = store;
    this.#clock = clock;
    this.#feed = new ObjectFeed(store, clock);
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
    const draft = { kind: "objects", session: options.session ?? null, writes } as const;
    assertBounded(draft);
    const { result } = await this.#leader.propose(draft, new Deadline(this.#clock, options.timeoutMs));
    throwIfRefused(result);
    const [written] = result;
    invariant(written?.kind === "objects", "a write of objects was answered as something else");
    return { revision: written.revision, uids: written.uids };
  }

  watch({ from, filter, signal }: ObjectWatchOptions): AsyncIterable<ObjectChange> {
    const parts = {
      feed: this.#feed,
      objects: this.#store.objects,
      clock: this.#clock,
      assertServing: () => this.#replica.copy.assertServing(),
    };
    return watchObjects(parts, { revision: from ?? this.#store.applied.index, filter, signal });
  }

  /** Ends every watch. */
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
