import type { Message } from "../../agent/raft/messages.ts";
import type { LogWrite } from "../../agent/raft/outbox.ts";
import type { Timing } from "../../agent/raft/pace.ts";
import { Raft } from "../../agent/raft/raft.ts";
import type { ReadResult } from "../../agent/raft/reads.ts";
import {
  type Configuration,
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  type MemberId,
  NO_CONFIGURATION,
} from "../../agent/raft/types.ts";

/** What survives a crash. */
export interface Disk {
  entries: Entry[];
  hardState: HardState;
}

export const EMPTY_DISK: Disk = { entries: [], hardState: INITIAL_HARD_STATE };

/** A log that holds one configuration entry, and the term it was made in: what a bootstrap leaves behind. */
export function bootstrapDisk(configuration: Configuration): Disk {
  const term = 1;
  return {
    entries: [{ kind: "configuration", index: 1, term, configuration }],
    hardState: { term, vote: null, commit: 0 },
  };
}

export function votersOnly(voters: readonly MemberId[]): Configuration {
  return { voters, outgoing: [], learners: [] };
}

/** A log whose entries have these terms, from index 1, the way the Raft paper draws logs; the first is the configuration. */
export function diskOfTerms(configuration: Configuration, terms: readonly number[]): Disk {
  const entries = terms.map(
    (term, at): Entry =>
      at === 0
        ? { kind: "configuration", index: 1, term, configuration }
        : { kind: "noop", index: at + 1, term },
  );
  return { entries, hardState: { term: terms.at(-1) ?? 0, vote: null, commit: 0 } };
}

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
 * `disk` holds what is durable; `writes` what was handed out and is not: a crash loses it.
 */
export class Member {
  readonly id: MemberId;
  readonly disk: Disk;
  writes: LogWrite[] = [];
  /** Of the last `collect`. */
  reads: readonly ReadResult[] = [];
  readonly #options: MemberOptions;
  #raft: Raft | null = null;
  /** Raft counts its milliseconds from its own start. */
  #startedMs = 0;

  constructor(options: MemberOptions) {
    this.id = options.id;
    this.disk = { entries: [...options.disk.entries], hardState: options.disk.hardState };
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

  /** `appliedIndex` is what the store holds: it was committed. */
  start(nowMs: number, appliedIndex = 0): void {
    const { hardState } = this.disk;
    this.#startedMs = nowMs;
    this.#raft = new Raft({
      id: this.id,
      timing: this.#options.timing,
      random: this.#options.random,
      base: { index: 0, term: 0 },
      configuration: NO_CONFIGURATION,
      entries: [...this.disk.entries],
      hardState: { ...hardState, commit: Math.max(hardState.commit, appliedIndex) },
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
    const { messages, write, reads } = this.raft.takeEffects();
    if (write !== null) this.writes.push(write);
    this.reads = reads;
    return messages;
  }

  /** The oldest write reaches the disk, without an answer yet. */
  writeOldest(): LogWrite | undefined {
    const write = this.writes.shift();
    if (write === undefined) return undefined;
    const first = write.entries[0];
    if (first !== undefined) {
      this.disk.entries.length = Math.min(this.disk.entries.length, first.index - 1);
      this.disk.entries.push(...write.entries);
    }
    this.disk.hardState = write.hardState;
    return write;
  }

  /** The oldest write reaches the disk, and raft is told. */
  persistOldest(): LogWrite | undefined {
    const write = this.writeOldest();
    if (write !== undefined) this.raft.persisted(write.sequence);
    return write;
  }
}
