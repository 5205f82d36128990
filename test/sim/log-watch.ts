import { crc32 } from "node:zlib";
import type { LogBatch, RecoveredLog } from "../../agent/log/log-types.ts";
import type { Configuration, Entry, HardState, LogPosition } from "../../agent/raft/types.ts";
import { check } from "./violation.ts";

/** What an entry is, but for where it stands. */
interface Known {
  readonly fingerprint: number;
  readonly previousTerm: number | undefined;
}

/** The terms of a log by index; holes where a snapshot took the place of entries. */
type Terms = (number | undefined)[];

/** All entries ever made, by index and term: the Log Matching Property (Raft 5.3) over all nodes and all times. */
export class KnownEntries {
  readonly #known = new Map<string, Known>();

  check(entry: Entry, previousTerm: number | undefined): void {
    const key = `${entry.index}/${entry.term}`;
    const fingerprint = fingerprintOf(entry);
    const known = this.#known.get(key);
    if (known === undefined) {
      this.#known.set(key, { fingerprint, previousTerm });
      return;
    }
    check(known.fingerprint === fingerprint, () => `there are two different entries ${key}`);
    check(
      known.previousTerm === previousTerm || known.previousTerm === undefined || previousTerm === undefined,
      () => `entry ${key} stands behind term ${previousTerm} and behind term ${known.previousTerm}`,
    );
  }
}

/** The log of one member, seen from its disk port: what it was told to write, and what it said is durable. */
export class LogWatch {
  readonly #name: string;
  readonly #entries: KnownEntries;
  readonly #isCommitted: (index: number) => boolean;
  #written: Terms = [0];
  #durable: Terms = [0];
  #hardState: HardState = { term: 0, vote: null, commit: 0 };
  #configurations: { readonly index: number; readonly configuration: Configuration }[] = [];
  readonly #inFlight: LogBatch[] = [];
  /** Writes that were under way when everything went: their entries are gone when they are done. */
  readonly #overtaken = new WeakSet<LogBatch>();
  /** Up to here the state machine stands for the entries. */
  #baseIndex = 0;
  /** A snapshot takes the place of the whole log, up to here, and is not known to be durable. */
  #resetIndex: number | null = null;

  constructor(name: string, entries: KnownEntries, isCommitted: (index: number) => boolean) {
    this.#name = name;
    this.#entries = entries;
    this.#isCommitted = isCommitted;
  }

  /** The term of an entry that was written, durable or not yet. */
  term(index: number): number | undefined {
    return this.#written[index];
  }

  get baseIndex(): number {
    return this.#baseIndex;
  }

  durableTerm(index: number): number | undefined {
    return this.#durable[index];
  }

  /** Where the last one that was written stands; 0 if there is none. */
  get configurationIndex(): number {
    return this.#configurations.at(-1)?.index ?? 0;
  }

  configurationAt(index: number): Configuration | undefined {
    return this.#configurations.findLast((placed) => placed.index === index)?.configuration;
  }

  /** Those that were written from the last one at or before `index` on: each may be in force, or come into it again. */
  configurationsFrom(index: number): readonly Configuration[] {
    const first = this.#configurations.findLastIndex((placed) => placed.index <= index);
    return this.#configurations.slice(Math.max(0, first)).map(({ configuration }) => configuration);
  }

  /** A process has opened the log and found this. Nothing that was durable may be gone. */
  opened({ base, entries, hardState }: Pick<RecoveredLog, "base" | "entries" | "hardState">): void {
    const found: Terms = [];
    found[base.index] = base.term;
    for (const { index, term } of entries) found[index] = term;
    // What was on its way may have reached the disk or not.
    const uncertainFrom = Math.min(Number.POSITIVE_INFINITY, ...this.#inFlight.map(firstIndexOf));
    const end = this.#resetIndex !== null ? 0 : Math.min(this.#durable.length, uncertainFrom);
    for (let index = base.index; index < end; index += 1) {
      check(
        found[index] === this.#durable[index],
        () =>
          `${this.#name} lost entry ${index}/${this.#durable[index]}, which was durable; found ${found[index]}`,
      );
    }
    const { term, vote } = this.#hardState;
    check(
      hardState.term > term || (hardState.term === term && (vote === null || hardState.vote === vote)),
      () => `${this.#name} forgot term ${term} and its vote for ${vote}: found ${JSON.stringify(hardState)}`,
    );
    for (let index = 0; index < base.index; index += 1) found[index] = this.#durable[index];
    this.#written = found;
    this.#durable = [...found];
    this.#hardState = hardState;
    this.#inFlight.length = 0;
    this.#resetIndex = null;
    this.#baseIndex = base.index;
    this.#configurations = this.#configurations.filter(({ index }) => index <= base.index);
    for (const entry of entries) this.#noteConfiguration(entry);
  }

  write(batch: LogBatch): void {
    const { base, entries } = batch;
    if (base) this.compact(base);
    this.#inFlight.push(batch);
    const first = entries[0];
    if (first === undefined) return;
    let previousTerm = this.#written[first.index - 1];
    for (const entry of entries) {
      this.#entries.check(entry, previousTerm);
      previousTerm = entry.term;
      this.#noteConfiguration(entry);
      this.#checkJointLeft();
    }
    take(this.#written, entries);
  }

  /** A write, of those that are under way the oldest, is durable. */
  persisted(batch: LogBatch): void {
    const { base, entries, hardState } = batch;
    const oldest = this.#inFlight.shift();
    check(oldest === batch, () => `${this.#name} told of a write before one that it follows`);
    if (!this.#overtaken.has(batch)) take(this.#durable, entries);
    if (hardState !== undefined) this.#hardState = hardState;
    if (this.#resetIndex !== null && (base?.index ?? 0) >= this.#resetIndex) this.#resetIndex = null;
  }

  /** Nothing of the write has been done, nor will be: it is to be made again. */
  refused(batch: LogBatch): void {
    const at = this.#inFlight.indexOf(batch);
    if (at !== -1) this.#inFlight.splice(at, 1);
  }

  /** The log is told to forget what is up to `base`. If it does not hold that, everything goes: then nothing is certain until it has. */
  compact(base: LogPosition): void {
    if (base.index <= this.#baseIndex) return;
    this.#baseIndex = base.index;
    if (this.#written[base.index] === base.term) return;
    this.#written = [];
    this.#durable = [];
    this.#written[base.index] = base.term;
    this.#durable[base.index] = base.term;
    this.#configurations = [];
    this.#resetIndex = base.index;
    for (const batch of this.#inFlight) this.#overtaken.add(batch);
  }

  /** A joint configuration is left once it is committed: until then it may never come into force (Raft 6). */
  #checkJointLeft(): void {
    const [before, last] = this.#configurations.slice(-2);
    if (before === undefined || last === undefined || before.configuration.outgoing.length === 0) return;
    check(
      this.#isCommitted(before.index),
      () => `${this.#name} leaves the joint configuration of ${before.index}, which is not committed`,
    );
  }

  #noteConfiguration(entry: Entry): void {
    while ((this.#configurations.at(-1)?.index ?? 0) >= entry.index) this.#configurations.pop();
    if (entry.kind !== "configuration") return;
    this.#configurations.push({ index: entry.index, configuration: entry.configuration });
  }
}

function take(terms: Terms, entries: readonly Entry[]): void {
  const first = entries[0];
  if (first === undefined) return;
  terms.length = Math.min(terms.length, first.index);
  for (const { index, term } of entries) terms[index] = term;
}

function firstIndexOf({ entries }: LogBatch): number {
  return entries[0]?.index ?? Number.POSITIVE_INFINITY;
}

function fingerprintOf(entry: Entry): number {
  switch (entry.kind) {
    case "noop":
      return 0;
    case "command":
      return crc32(entry.command);
    case "configuration":
      return crc32(JSON.stringify(entry.configuration));
  }
}
