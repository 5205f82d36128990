import type { Clock } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { Entry } from "../raft/types.ts";
import type { ReplicatedState, Store } from "../store/store.ts";
import type { CommandResult, LogPosition, StoreEntry } from "../store/types.ts";
import { DIGEST_STRIDE } from "./divergence.ts";
import { decodeRecord, encodeRecord, type MembershipRecord, nextRecord } from "./membership-record.ts";

/** Entries handed to the store at once: enough to share its costs, little enough to answer soon. */
const BATCH_BYTES_MAX = 256 * 1024;

export interface ApplierOptions {
  readonly clock: Clock;
  readonly store: Store;
  /** Entries `from` to `to`, as many as fit, at least one. */
  readonly entries: (from: number, to: number, bytesMax: number) => readonly Entry[];
  /** Called in log order, once for each entry. */
  readonly onApplied: (entry: Entry, result: CommandResult) => void;
  /** Called after the last entry of each batch. */
  readonly onBatch: () => void;
  /** The store failed: nothing may be applied any more. */
  readonly onFailed: (error: unknown) => void;
}

/** Each may stop the applier for a while: another copy is being installed, or the disk is full. */
export type Holder = "copy" | "disk";

/** The membership that is applied, and the index of the entry that it came with. */
export interface AppliedMembership extends MembershipRecord {
  readonly index: number;
}

/** Feeds committed entries to the store in order, one batch at a time. */
export class Applier {
  readonly #options: ApplierOptions;
  #applied: LogPosition;
  #membership: AppliedMembership | null;
  #target = 0;
  #running: Promise<void> | null = null;
  /** What is with the store; null if nothing is. */
  #batch: { readonly sinceMs: number; readonly lastIndex: number } | null = null;
  readonly #holders = new Set<Holder>();
  #isStopped = false;

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#applied = options.store.applied;
    this.#membership = membershipOf(options.store);
  }

  get appliedIndex(): number {
    return this.#applied.index;
  }

  /** Null until the first configuration is applied. */
  get membership(): AppliedMembership | null {
    return this.#membership;
  }

  /** For how long the store has been at the present batch, milliseconds; 0 if it has none. */
  get batchAgeMs(): number {
    return this.#batch === null ? 0 : this.#options.clock.nowMs() - this.#batch.sinceMs;
  }

  /** Where this member stands once the store is done with the present batch. */
  get batchEndIndex(): number {
    return this.#batch?.lastIndex ?? this.#applied.index;
  }

  /** Entries up to `index` may be applied. */
  advance(index: number): void {
    this.#target = Math.max(this.#target, index);
    this.#maybeRun();
  }

  /** Applies nothing until `release` by the same holder. Resolves once the store has nothing of it any more. Idempotent. */
  async hold(holder: Holder): Promise<void> {
    this.#holders.add(holder);
    await this.#running;
  }

  /** Goes on behind what the store holds now, which the holder `copy` may have replaced meanwhile. */
  release(holder: Holder): void {
    this.#holders.delete(holder);
    if (holder === "copy") {
      invariant(this.#running === null, "the store is at work while the applier is held");
      this.#applied = this.#options.store.applied;
      this.#membership = membershipOf(this.#options.store);
    }
    this.#maybeRun();
  }

  /** Applies nothing more; a batch that is with the store still ends. */
  stop(): void {
    this.#isStopped = true;
  }

  get #mayRun(): boolean {
    return !this.#isStopped && this.#holders.size === 0 && this.#applied.index < this.#target;
  }

  #maybeRun(): void {
    if (this.#running !== null || !this.#mayRun) return;
    this.#running = this.#run().finally(() => {
      this.#running = null;
      // More may have come since the last look.
      this.#maybeRun();
    });
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    try {
      while (this.#mayRun) await this.#applyBatch();
    } catch (error) {
      // Once stopped, the store may close under the last batch: the log has it.
      if (this.#isStopped) return;
      this.#isStopped = true;
      this.#options.onFailed(error);
    }
  }

  async #applyBatch(): Promise<void> {
    const { entries, store, onApplied, onBatch } = this.#options;
    const from = this.#applied.index + 1;
    // Every member ends a batch there, so that running hashes of busy members meet at equal indexes.
    const stride = Math.ceil(from / DIGEST_STRIDE) * DIGEST_STRIDE;
    const batch = entries(from, Math.min(this.#target, stride), BATCH_BYTES_MAX);
    let membership = this.#membership;
    const storeEntries = batch.map((entry): StoreEntry => {
      const { index, term } = entry;
      if (entry.kind === "command") return { index, term, command: entry.command };
      // One of the two files may be ahead after a crash: then the store knows it already, and what came behind it.
      if (entry.kind === "noop" || index <= (membership?.index ?? 0)) return { index, term, command: null };
      membership = { index, ...nextRecord(membership, entry.configuration) };
      return { index, term, command: null, configuration: encodeRecord(membership) };
    });
    this.#batch = { sinceMs: this.#options.clock.nowMs(), lastIndex: from + batch.length - 1 };
    const results = await store.apply(storeEntries);
    this.#batch = null;
    invariant(results.length === batch.length, "the store answered another number of entries than it got");
    this.#membership = membership;
    for (const [nth, entry] of batch.entries()) {
      this.#applied = { index: entry.index, term: entry.term };
      onApplied(entry, results[nth] ?? []);
    }
    onBatch();
  }
}

function membershipOf({ configuration }: ReplicatedState): AppliedMembership | null {
  if (configuration === null) return null;
  return { index: configuration.index, ...decodeRecord(configuration.bytes) };
}
