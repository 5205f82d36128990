import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { RestoredSnapshot } from "../raft/core.ts";
import type { Configuration, MemberId } from "../raft/types.ts";
import type { SnapshotManifest, SnapshotReceiver, SnapshotStore } from "../store/snapshot.ts";
import type { Store } from "../store/store.ts";
import type { LogPosition } from "../store/types.ts";
import { placedConfiguration } from "./membership-record.ts";
import type { Transport } from "./ports.ts";
import { SnapshotFetcher, type SnapshotProgress } from "./snapshot-fetcher.ts";
import { SnapshotServer } from "./snapshot-server.ts";
import { type CopyFault, minIndexOf, type SnapshotWant, type WantingMember } from "./snapshot-want.ts";

export interface CopyKeeperOptions {
  readonly clusterId: string;
  readonly store: SnapshotStore & Pick<Store, "toleratedDamage">;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly raft: () => {
    readonly id: MemberId;
    readonly leader: MemberId | null;
    readonly configuration: Configuration;
    readonly commitIndex: number;
    readonly base: LogPosition;
  };
  /** What feeds the store. */
  readonly applier: {
    readonly appliedIndex: number;
    hold(holder: "copy"): Promise<void>;
    release(holder: "copy"): void;
  };
  /** The store was replaced: consensus goes on from there. True if its log must follow, which `logRestored` will tell. */
  readonly restore: (snapshot: RestoredSnapshot) => boolean;
  /** After the store was replaced and before anything is applied to it. */
  readonly onInstalled: (position: LogPosition) => void;
  readonly onFailed: (error: unknown) => void;
}

const WHY_NOT_SERVING: Readonly<Record<CopyFault, string>> = {
  empty: "has not got all of the data yet",
  diverged: "differs from the others' data",
  damaged: "is damaged",
  doubtful: "has a damaged page",
};

type CopyState =
  | { readonly kind: "sound" }
  /** Sound as well, and installed: the log may not stand on it yet, which the store's word is kept for. */
  | { readonly kind: "installed" }
  /** Out of use. The store's word of an earlier installation stays, until another one is finished or the agent starts again. */
  | { readonly kind: "faulty"; readonly fault: CopyFault };

/**
 * Keeps this member's copy of the data: gives it to others, and replaces it by another member's where the log cannot bring it up to
 * date, or it must not be trusted.
 *
 *     fetch -> hold the applier -> install -> consensus.restore -> release -> the log is durable -> finishInstall
 *
 * A crash anywhere leaves the old copy, or the new one with the store's word that the log has to follow (`alignLog`).
 *
 * A copy with a page that is not what was written is served as long as nobody has a better one, and given to nobody. The member stays
 * the voter that it is: what its log has promised, the page does not touch.
 *
 *     sound -> doubtful, once another member has a whole one open -> installed; or sound again, if that does not come
 */
export class CopyKeeper {
  readonly #options: CopyKeeperOptions;
  readonly #server: SnapshotServer;
  readonly #fetcher: SnapshotFetcher;
  #state: CopyState = { kind: "sound" };
  /** Where the newest snapshot ends that the log is to stand on and does not durably yet; null if there is none. */
  #logFollowsTo: number | null = null;
  #isStopped = false;

  constructor(options: CopyKeeperOptions) {
    this.#options = options;
    this.#server = new SnapshotServer({
      ...options,
      baseIndex: () => options.raft().base.index,
      assertServing: () => this.#assertGiving(),
    });
    this.#fetcher = new SnapshotFetcher({
      ...options,
      member: () => this.#member(),
      onOpened: (want) => this.#doubt(want),
      onIdle: () => this.#goOn(),
      install: (receiver, manifest, want) => this.#install(receiver, manifest, want),
    });
  }

  /** Null while the copy can be trusted. Else nothing may be applied to it, read from it or given to others. */
  get fault(): CopyFault | null {
    return this.#state.kind === "faulty" ? this.#state.fault : null;
  }

  /** True if it can be trusted, and all of it is what was written as far as is known. */
  get isWhole(): boolean {
    return this.fault === null && this.#options.store.toleratedDamage === null;
  }

  /** The snapshot that is on its way here. */
  get progress(): SnapshotProgress | null {
    return this.#fetcher.progress;
  }

  /** See `SnapshotServer.heldPosition`. */
  get heldPosition(): LogPosition | null {
    return this.#server.heldPosition;
  }

  /** See `SnapshotServer.sentFraction`. */
  get sentFraction(): number | null {
    return this.#server.sentFraction;
  }

  /** Ends it; who reads it begins anew. */
  endSending(): Promise<void> {
    return this.#server.end();
  }

  /** Fetches nothing more until `resumeFetching`: there is no room. */
  pauseFetching(): void {
    this.#fetcher.pause();
  }

  resumeFetching(): void {
    this.#fetcher.resume();
  }

  /** Throws `not-serving` if the copy is of no use. */
  assertServing(): void {
    const { fault } = this;
    if (fault === null) return;
    throw new TrivetError(
      "not-serving",
      `This node's copy ${WHY_NOT_SERVING[fault]}: it fetches a fresh one. Nothing was done; ask another node.`,
    );
  }

  /** The leader says that its log does not reach back to the end of ours. Asked again with every heartbeat. */
  needed(leader: MemberId): void {
    if (this.fault !== null) return;
    const { commitIndex } = this.#options.raft();
    this.#fetcher.want({ reason: "behind", leader, commitIndex });
  }

  /** The copy is not to be used any more: fetches another one, whatever it holds. `judge`: see `SnapshotWant`. Idempotent. */
  quarantine(fault: "empty" | "diverged", judge: MemberId | null = null): void {
    if ((this.fault !== null && this.fault !== "doubtful") || this.#isStopped) return;
    const { logger, applier } = this.#options;
    this.#state = { kind: "faulty", fault };
    // mark: replica: the own copy is put out of use
    logger.log("warn", "This node's copy of the data is put out of use: a fresh one is fetched.", { fault });
    void applier.hold("copy");
    // Who reads it has to begin anew, at another member.
    this.endSending().catch((reason: unknown) => this.#notClosed(reason));
    this.#fetcher.want(fault === "empty" ? { reason: fault } : { reason: fault, judge });
  }

  /** The databases are damaged: the copy is out of use, and stays so until the agent has opened them anew. */
  abandon(): void {
    this.#state = { kind: "faulty", fault: "damaged" };
    this.stop();
  }

  /** The log stands on a snapshot of this position, durably. */
  logRestored({ index }: LogPosition): void {
    if (this.#logFollowsTo === null || index < this.#logFollowsTo) return;
    this.#logFollowsTo = null;
    this.#maybeFinish();
  }

  /** To be called when consensus has moved. */
  progressed(): void {
    const isDamaged = this.#state.kind === "sound" && !this.isWhole;
    if (isDamaged && !this.#fetcher.isWanting) this.#fetcher.want({ reason: "doubtful" });
    this.#fetcher.reconsider();
  }

  stop(): void {
    this.#isStopped = true;
    this.#fetcher.stop();
    this.#server.stop().catch((reason: unknown) => this.#notClosed(reason));
  }

  #assertGiving(): void {
    this.assertServing();
    if (this.isWhole) return;
    // mark: replica: a copy with a damaged page is given to nobody
    throw new TrivetError(
      "not-serving",
      "A page of this node's copy is damaged: ask another node for a copy.",
    );
  }

  /** From here on it may take long: the others serve, and lead. */
  async #doubt({ reason }: SnapshotWant): Promise<void> {
    if (reason !== "doubtful" || this.#state.kind !== "sound") return;
    this.#state = { kind: "faulty", fault: reason };
    // mark: replica: a copy with a damaged page is put out of use for a whole one
    this.#options.logger.log("warn", "A page of this node's copy is damaged: another one is fetched.");
    await this.#options.applier.hold("copy");
  }

  /** A copy with a damaged page is better than none. */
  #goOn(): void {
    if (this.fault !== "doubtful") return;
    this.#state = { kind: "sound" };
    this.#options.applier.release("copy");
  }

  #notClosed(reason: unknown): void {
    this.#options.logger.log("debug", "A snapshot could not be closed.", { reason });
  }

  #member(): WantingMember {
    const { raft, applier } = this.#options;
    const { id, leader, configuration, base, commitIndex } = raft();
    const { appliedIndex } = applier;
    const { fault } = this;
    const hasDamage = this.#options.store.toleratedDamage !== null;
    return { id, leader, configuration, baseIndex: base.index, commitIndex, appliedIndex, fault, hasDamage };
  }

  async #install(receiver: SnapshotReceiver, manifest: SnapshotManifest, want: SnapshotWant): Promise<void> {
    const { applier, restore, onInstalled, logger } = this.#options;
    await applier.hold("copy");
    try {
      const { position } = manifest;
      if (!this.#mends(want)) {
        await receiver.discard();
        throw new TrivetError(
          "snapshot-unfit",
          "This copy will not do for the reason there is now: fetch another.",
        );
      }
      // The batch that was waited for may have brought what the snapshot has. All else that may come meanwhile (the log goes on beyond it,
      // the replica stops) may as well come during the installation, and does no harm there.
      if (position.index < minIndexOf(want, this.#member())) {
        await receiver.discard();
        throw new TrivetError(
          "snapshot-too-old",
          `The log goes on behind ${position.index} only: fetch another.`,
        );
      }
      await receiver.install();
      const waitsForLog = restore({
        ...position,
        configuration: placedConfiguration(manifest.configuration),
      });
      // mark: replica: a snapshot was installed
      logger.log("info", "A snapshot is installed.", { index: position.index, reason: want.reason });
      // Where this one is no news to the log, it may still be on its way to one that was installed before, and put out of use.
      if (waitsForLog) this.#logFollowsTo = position.index;
      // What was found out meanwhile, it need not mend: the fetcher goes on with that want. Where the databases were given up, the store's
      // word stays, for whoever opens them.
      if (this.#mends(want) && !this.#isStopped) this.#state = { kind: "installed" };
      onInstalled(position);
    } finally {
      if (this.fault === null) applier.release("copy");
    }
    this.#maybeFinish();
  }

  /**
   * False where the copy is out of use for another reason than the want's: what will do for one need not for the other. Any copy will do
   * for one that is doubtful.
   */
  #mends(want: SnapshotWant): boolean {
    return this.fault === null || this.fault === "doubtful" || this.fault === want.reason;
  }

  #maybeFinish(): void {
    if (this.#state.kind !== "installed" || this.#logFollowsTo !== null) return;
    this.#state = { kind: "sound" };
    this.#options.store.finishInstall().catch((error: unknown) => {
      if (!this.#isStopped) this.#options.onFailed(error);
    });
  }
}
