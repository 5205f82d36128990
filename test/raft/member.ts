import type { Message } from "../../agent/raft/messages.ts";
import type { LogWrite } from "../../agent/raft/outbox.ts";
import type { Timing } from "../../agent/raft/pace.ts";
import { Raft } from "../../agent/raft/raft.ts";
import { DEFAULT_RAFT_LIMITS } from "../../agent/raft/raft-limits.ts";
import type { ReadResult } from "../../agent/raft/reads.ts";
import { type MemberId, NO_CONFIGURATION } from "../../agent/raft/types.ts";
import {
  baseOf,
  compactDisk,
  type Disk,
  EMPTY_STORE,
  type Store,
  storeOf,
  termAt,
  writeToDisk,
} from "./disk.ts";

export interface MemberOptions {
  readonly id: MemberId;
  readonly disk: Disk;
  readonly timing: Timing;
  /** A float in [0, 1). */
  readonly random: () => number;
}

/**
 * One real `Raft` on a pretended disk, played by hand: every message, write and crash happens when the test says so.
 * It does what an owner must do and nothing else.
 *
 * `disk` holds what is durable; `writes` what was handed out and is not: a crash loses it. `store` has applied what may
 * be applied; of that, `disk.store` is durable, as the databases' last checkpoint is.
 */
export class Member {
  readonly id: MemberId;
  readonly disk: Disk;
  store: Store = EMPTY_STORE;
  writes: LogWrite[] = [];
  /** Of the last `collect`. */
  reads: readonly ReadResult[] = [];
  snapshotFrom: MemberId | null = null;
  readonly #options: MemberOptions;
  #raft: Raft | null = null;
  /** Raft counts its milliseconds from its own start. */
  #startedMs = 0;

  constructor(options: MemberOptions) {
    this.id = options.id;
    this.disk = { ...options.disk, entries: [...options.disk.entries] };
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#raft !== null;
  }

  get raft(): Raft {
    if (this.#raft === null) throw new Error(`${this.id} is down`);
    return this.#raft;
  }

  get deadlineMs(): number {
    return this.#raft === null ? Number.POSITIVE_INFINITY : this.#startedMs + this.#raft.deadlineMs;
  }

  /** The state machine was lost, and the log does not reach back to its beginning. */
  get isIncomplete(): boolean {
    return this.store.index < this.raft.base.index;
  }

  start(nowMs: number): void {
    this.store = storeOf(this.disk);
    const { index, configuration } = this.store;
    // A snapshot was installed, and the crash came before the log knew: as `alignLog` does.
    if (termAt(this.disk, index) !== this.store.term) {
      compactDisk(this.disk, this.store);
      const { term } = this.store;
      if (term > this.disk.hardState.term) this.disk.hardState = { ...this.disk.hardState, term, vote: null };
    }
    const { entries, hardState } = this.disk;
    this.#startedMs = nowMs;
    this.#raft = new Raft({
      ...{ id: this.id, timing: this.#options.timing, random: this.#options.random },
      limits: DEFAULT_RAFT_LIMITS,
      ...{ base: baseOf(this.disk), entries: [...entries], configuration },
      hardState: { ...hardState, commit: Math.max(hardState.commit, index) },
    });
  }

  /** Everything that is not on the disk is gone. */
  crash(): void {
    this.#raft = null;
    this.writes = [];
    this.reads = [];
  }

  /** Before each input. */
  advance(nowMs: number): void {
    this.raft.advance(nowMs - this.#startedMs);
  }

  /** After one or more inputs: keeps the write and the reads, returns what is to be sent. */
  collect(nowMs: number): readonly Message[] {
    this.raft.tick(nowMs - this.#startedMs);
    const { messages, write, reads, snapshotFrom } = this.raft.takeEffects();
    if (write !== null) this.writes.push(write);
    this.reads = reads;
    this.snapshotFrom = snapshotFrom;
    this.#apply();
    return messages;
  }

  /** Writes that a snapshot makes void before they reach the disk: an owner may leave them out. */
  forgetVoidWrites(): void {
    const at = this.writes.findLastIndex(({ restored }) => restored !== null);
    if (at > 0) this.writes = this.writes.slice(at);
  }

  /** The oldest write reaches the disk, without an answer yet. */
  writeOldest(): LogWrite | undefined {
    const write = this.writes.shift();
    if (write !== undefined) writeToDisk(this.disk, write);
    return write;
  }

  /** The oldest write reaches the disk, and raft is told. */
  persistOldest(): LogWrite | undefined {
    const write = this.writeOldest();
    if (write !== undefined) this.raft.persisted(write.sequence);
    return write;
  }

  /** The state machine is checkpointed, and the log forgets all but its last `kept` applied entries. */
  compact(kept = 0): void {
    this.disk.store = this.store;
    const index = this.store.index - kept;
    const term = this.raft.termAt(index);
    if (term === undefined || this.isIncomplete) return;
    this.raft.compact({ index, term });
    // The log does it in turn, behind what is being written; what is there by now can be taken at once.
    const isBehind = this.writes.some(({ entries }) => (entries[0]?.index ?? index + 1) <= index);
    if (!isBehind) compactDisk(this.disk, { index, term });
  }

  /** A snapshot was fetched: it takes the place of the state machine, durably, before consensus hears of it. */
  install(snapshot: Store): void {
    this.store = snapshot;
    this.disk.store = snapshot;
  }

  /** The state machine is gone; the log is not. To be called while the member is down. */
  loseStore(): void {
    this.disk.store = { ...EMPTY_STORE, configuration: NO_CONFIGURATION };
  }

  #apply(): void {
    if (this.isIncomplete) return;
    const { store, raft } = this;
    for (const entry of raft.entries(store.index + 1, raft.applicableIndex, Number.POSITIVE_INFINITY)) {
      const { index, term } = entry;
      const configuration =
        entry.kind === "configuration"
          ? { index, configuration: entry.configuration }
          : this.store.configuration;
      this.store = { index, term, configuration };
    }
  }
}
