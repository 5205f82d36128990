import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { RestoredSnapshot } from "../raft/core.ts";
import { membersOf } from "../raft/quorum.ts";
import { type Configuration, type MemberId, NO_CONFIGURATION } from "../raft/types.ts";
import type { SnapshotManifest, SnapshotReceiver, SnapshotStore } from "../store/snapshot.ts";
import type { LogPosition, StoredConfiguration } from "../store/types.ts";
import { nodeIdOf } from "./member-id.ts";
import { decodeRecord } from "./membership-record.ts";
import type { Transport } from "./ports.ts";
import { SnapshotFetcher, type SnapshotProgress, type SnapshotWant } from "./snapshot-fetcher.ts";
import { SnapshotServer } from "./snapshot-server.ts";

/** Why this member's copy is of no use: the log cannot complete it (`empty`), or it differs from the others' (`diverged`). */
export type CopyFault = "empty" | "diverged";

export interface CopyKeeperOptions {
  readonly clusterId: string;
  readonly store: SnapshotStore;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly raft: () => {
    readonly id: MemberId;
    readonly leader: MemberId | null;
    readonly configuration: Configuration;
    readonly commitIndex: number;
    readonly applicableIndex: number;
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

/**
 * Keeps this member's copy of the data: gives it to others, and replaces it by another member's where the log cannot bring it up to
 * date, or it must not be trusted.
 *
 *     fetch -> hold the applier -> install -> consensus.restore -> release -> the log is durable -> finishInstall
 *
 * A crash anywhere leaves the old copy, or the new one with the store's word that the log has to follow (`alignLog`).
 */
export class CopyKeeper {
  readonly #options: CopyKeeperOptions;
  readonly #server: SnapshotServer;
  readonly #fetcher: SnapshotFetcher;
  #fault: CopyFault | null = null;
  /** Installed, and the log may not stand on it yet. */
  #unfinished: { readonly index: number; readonly waitsForLog: boolean } | null = null;
  #isStopped = false;

  constructor(options: CopyKeeperOptions) {
    this.#options = options;
    this.#server = new SnapshotServer({
      ...options,
      baseIndex: () => options.raft().base.index,
      assertServing: () => this.assertServing(),
    });
    this.#fetcher = new SnapshotFetcher({
      ...options,
      install: (receiver, manifest, want) => this.#install(receiver, manifest, want),
    });
  }

  /** Null while the copy can be trusted. Else nothing may be applied to it, read from it or given to others. */
  get fault(): CopyFault | null {
    return this.#fault;
  }

  /** The snapshot that is on its way here. */
  get progress(): SnapshotProgress | null {
    return this.#fetcher.progress;
  }

  /** The snapshot that is being given to others. */
  get sending(): LogPosition | null {
    return this.#server.position;
  }

  /** Ends it; who reads it begins anew. */
  endSending(): Promise<void> {
    return this.#server.end();
  }

  /** Throws `not-serving` if the copy is of no use. */
  assertServing(): void {
    if (this.#fault === null) return;
    const why = this.#fault === "empty" ? "has not got all of the data yet" : "differs from the others' data";
    throw new TrivetError(
      "not-serving",
      `This node's copy ${why}: it fetches a fresh one. Nothing was done; ask another node.`,
    );
  }

  /** The leader says that its log does not reach back to the end of ours. Asked again with every heartbeat. */
  needed(leader: MemberId): void {
    if (this.#fault !== null) return;
    const { raft, applier } = this.#options;
    const { commitIndex } = raft();
    this.#fetcher.want({
      minIndex: () => applier.appliedIndex + 1,
      sources: () => this.#sources(leader),
      // A new leader may have what the old one had not.
      isNeeded: () => raft().commitIndex <= commitIndex,
    });
  }

  /** The copy is not to be used any more: fetches another one, whatever it holds. Idempotent. */
  quarantine(fault: CopyFault): void {
    if (this.#fault !== null || this.#isStopped) return;
    const { logger, raft, applier } = this.#options;
    this.#fault = fault;
    // mark: replica: the own copy is put out of use
    logger.log("warn", "This node's copy of the data is put out of use: a fresh one is fetched.", { fault });
    void applier.hold("copy");
    this.#fetcher.want({
      // Never back behind what reads have been promised: one may wait for the store already.
      minIndex: () => Math.max(raft().base.index, applier.appliedIndex),
      sources: () => this.#sources(raft().leader),
      isNeeded: () => this.#fault !== null,
    });
  }

  /** The log stands on a snapshot of this position, durably. */
  logRestored({ index }: LogPosition): void {
    if (this.#unfinished?.waitsForLog === true && index >= this.#unfinished.index) this.#finish();
  }

  /** To be called when consensus has moved. */
  progressed(): void {
    this.#fetcher.reconsider();
    const unfinished = this.#unfinished;
    if (unfinished === null || unfinished.waitsForLog) return;
    if (this.#options.raft().applicableIndex >= unfinished.index) this.#finish();
  }

  stop(): void {
    this.#isStopped = true;
    this.#fetcher.stop();
    this.#server.stop().catch((reason: unknown) => {
      this.#options.logger.log("debug", "A snapshot could not be closed.", { reason });
    });
  }

  /** Nodes that may have what is needed: the leader first. What is diverged is replaced by the leader's only. */
  #sources(leader: MemberId | null): readonly string[] {
    const { id, configuration } = this.#options.raft();
    const others = [...membersOf(configuration)].filter((member) => member !== leader);
    const all = this.#fault === "diverged" ? [leader] : [leader, ...others];
    return all.filter((member) => member !== null && member !== id).map((member) => nodeIdOf(member ?? ""));
  }

  async #install(receiver: SnapshotReceiver, manifest: SnapshotManifest, want: SnapshotWant): Promise<void> {
    const { applier, restore, onInstalled, logger } = this.#options;
    await applier.hold("copy");
    try {
      // Meanwhile the log may have brought what the snapshot has, or may have gone on beyond it.
      const { position } = manifest;
      if (this.#isStopped || !want.isNeeded()) {
        // mark: replica: a snapshot came too late and was not installed
        await receiver.discard();
        return;
      }
      if (position.index < want.minIndex()) {
        await receiver.discard();
        throw new TrivetError(
          "snapshot-too-old",
          `The log goes on behind ${position.index} only: fetch another.`,
        );
      }
      await receiver.install();
      const waitsForLog = restore({ ...position, configuration: placed(manifest.configuration) });
      this.#unfinished = { index: position.index, waitsForLog };
      // mark: replica: a snapshot was installed
      logger.log("info", "A snapshot is installed.", { index: position.index, fault: this.#fault });
      this.#fault = null;
      onInstalled(position);
    } finally {
      if (this.#fault === null) applier.release("copy");
    }
    this.progressed();
  }

  #finish(): void {
    this.#unfinished = null;
    this.#options.store.finishInstall().catch((error: unknown) => {
      if (!this.#isStopped) this.#options.onFailed(error);
    });
  }
}

function placed(configuration: StoredConfiguration | null): RestoredSnapshot["configuration"] {
  if (configuration === null) return NO_CONFIGURATION;
  return { index: configuration.index, configuration: decodeRecord(configuration.bytes).configuration };
}
