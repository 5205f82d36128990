import { TrivetError } from "../../agent/platform/trivet-error.ts";
import type { ObjectEvent, ObjectReads } from "../../agent/store/objects.ts";
import type { QueryPlan } from "../../agent/store/query-plan.ts";
import type {
  SnapshotFileName,
  SnapshotManifest,
  SnapshotReceiver,
  StoreSnapshot,
} from "../../agent/store/snapshot.ts";
import type { HiddenWork, RehearsalOptions, Rehearsed, Store } from "../../agent/store/store.ts";
import type {
  CommandResult,
  LogPosition,
  ResultDigest,
  SqlStatement,
  StoredConfiguration,
  StoreEntry,
} from "../../agent/store/types.ts";
import type { DataTraits } from "../../agent/store/write-bound.ts";
import { operationOf } from "./kv-sql.ts";
import { type Effect, type ModelFile, rowsOf } from "./model-file.ts";
import type { ModelFiles } from "./model-files.ts";
import type { ModelObjects } from "./model-objects.ts";
import { ModelReceiver } from "./model-receiver.ts";
import { imagesOf } from "./model-snapshot.ts";
import type { ModelWork } from "./model-work.ts";
import { RehearsalWatch } from "./rehearsal-watch.ts";
import type { WrongResults } from "./wrong-results.ts";

export interface ModelStoreOptions {
  readonly files: ModelFiles;
  /** At least so large are the files of a snapshot. */
  readonly snapshotBytesMin: number;
  /** Every write is tried out first. */
  readonly hasHiddenWork: boolean;
  readonly work: ModelWork;
  readonly results: WrongResults;
  /** Resolves after one pass over the files, of which `onProgress` is told. */
  readonly readOver: (onProgress: () => void) => Promise<void>;
  readonly onInstalled: (position: LogPosition) => void;
  /** An entry has come into a file. */
  readonly onApplied: (entry: StoreEntry, file: ModelFile, effect: Effect) => void;
}

/** The replicated state machine without SQLite: a few keys and values, objects, and what a crash does to them. */
export class ModelStore implements Store {
  readonly #options: ModelStoreOptions;
  readonly #files: ModelFiles;
  #applied: LogPosition;
  readonly #work: ModelWork;
  readonly #listeners = new Set<(events: readonly ObjectEvent[]) => void>();
  readonly #rehearsals = new RehearsalWatch();
  #openSnapshots = 0;
  #damage: string | null = null;

  constructor(options: ModelStoreOptions) {
    this.#options = options;
    this.#files = options.files;
    this.#work = options.work;
    this.#applied = earlier(options.files.app.position, options.files.state.position);
  }

  get applied(): LogPosition {
    return this.#applied;
  }

  get newest(): LogPosition {
    return later(this.#files.app.position, this.#files.state.position);
  }

  get hiddenWork(): HiddenWork {
    return this.#options.hasHiddenWork ? "of-any-write" : "none";
  }

  /** Nothing that a write could make much of. */
  readonly data: DataTraits = { bytes: 0, tables: new Map() };

  apply(entries: readonly StoreEntry[]): Promise<readonly CommandResult[]> {
    return this.#work.do("change", () => {
      const events: ObjectEvent[] = [];
      const results = entries.map((entry) => this.#apply(entry, events));
      if (events.length > 0) for (const listener of this.#listeners) listener(events);
      return results;
    });
  }

  get toleratedDamage(): string | null {
    return this.#damage;
  }

  get silentMs(): number {
    return this.#work.silentMs;
  }

  query(
    { asked, complete }: QueryPlan,
    { timeoutMs }: { readonly timeoutMs: number },
  ): Promise<CommandResult> {
    const read = () =>
      complete(asked.map((statement) => rowsOf(this.#files.app.read(operationOf(statement).key))));
    return this.#work.do("question", read, timeoutMs);
  }

  rehearse(
    _statements: readonly SqlStatement[],
    { session = null, timeMs, seed, timeoutMs }: RehearsalOptions,
  ): Promise<Rehearsed> {
    const rehearse = () => {
      if (seed !== undefined) this.#rehearsals.rehearsed(seed);
      const isAnswered = session !== null && this.#files.app.hasAnswer(session, timeMs);
      return isAnswered ? "answered" : "tried-out";
    };
    return this.#work.do("question", rehearse, timeoutMs);
  }

  async checkpoint(): Promise<LogPosition> {
    if (this.#openSnapshots === 0) {
      await this.#work.do("change", () => this.#files.state.checkpoint());
      await this.#work.do("change", () => this.#files.app.checkpoint());
    }
    return earlier(this.#files.app.durable, this.#files.state.durable);
  }

  get lastTimeMs(): number {
    return this.#files.app.timeMs;
  }

  get configuration(): StoredConfiguration | null {
    return this.#files.state.configuration;
  }

  get digest(): ResultDigest {
    const { app, state } = this.#files;
    const isLevel = app.position.index === state.position.index;
    const hash = Buffer.alloc(32);
    if (!isLevel) return { index: 0, hash };
    hash.writeUInt32LE(app.state.hash, 0);
    hash.writeUInt32LE(state.state.hash, 4);
    return { index: app.position.index, hash };
  }

  get objects(): ObjectReads {
    const ask = <T>(act: (objects: ModelObjects) => T, { timeoutMs }: { readonly timeoutMs: number }) => {
      const answer = () => ({
        ...act(this.#files.state.objects),
        revision: this.#files.state.position.index,
      });
      return this.#work.do("question", answer, timeoutMs);
    };
    return {
      get: (key, options) => ask((objects) => ({ object: objects.get(key) }), options),
      list: (options) => ask((objects) => objects.list(options.kind), options),
      history: (after, limits) => ask((objects) => objects.after(after, limits), limits),
    };
  }

  onObjectEvents(listener: (events: readonly ObjectEvent[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at the sums of all pages. */
  scrub(): void {
    if (!this.#files.isFlipped) return;
    // mark: model of the store: a flipped bit was found
    this.#damage = "The model finds a flipped bit.";
  }

  async openSnapshot(onProgress: () => void = () => undefined): Promise<StoreSnapshot> {
    await this.checkpoint();
    const { app, state } = this.#files;
    const { manifest, images } = await this.#work.do("transfer", () => {
      if (this.#files.isFlipped) {
        // mark: model of the store: a snapshot with a flipped bit was not given
        this.scrub();
        throw new TrivetError("snapshot-failed", "The model finds a flipped bit.");
      }
      // What is applied now: the file goes on under the reader only behind its checkpoint.
      app.checkpoint();
      state.checkpoint();
      if (app.position.index !== state.position.index) {
        throw new TrivetError("snapshot-not-level", "A file of the model is ahead of the other.");
      }
      const { configuration } = state;
      const options = { position: this.#applied, configuration, bytesMin: this.#options.snapshotBytesMin };
      return imagesOf({ "app.db": app.pack(), "state.db": state.pack() }, options);
    });
    this.#openSnapshots += 1;
    await this.#options.readOver(onProgress);
    let isOpen = true;
    return {
      ...manifest,
      read: (name, offset, length) =>
        this.#work.do("transfer", () => Uint8Array.from(images[name].subarray(offset, offset + length))),
      close: async () => {
        if (isOpen) this.#openSnapshots -= 1;
        isOpen = false;
      },
    };
  }

  receiveSnapshot(manifest: SnapshotManifest): Promise<SnapshotReceiver> {
    const later = <T>(act: () => T) => this.#work.do("transfer", act);
    const install = (images: ReadonlyMap<SnapshotFileName, Buffer>) =>
      this.#install(manifest.position, images);
    return later(() => new ModelReceiver({ manifest, later, install }));
  }

  get pendingInstall(): LogPosition | null {
    return this.#files.pendingInstall;
  }

  finishInstall(): Promise<void> {
    return this.#work.do("change", () => this.#files.finishInstall());
  }

  #install(position: LogPosition, images: ReadonlyMap<SnapshotFileName, Buffer>): Promise<void> {
    const installed = () => {
      this.#applied = position;
      this.#damage = null;
      this.#rehearsals.installed();
      this.#options.onInstalled(position);
    };
    return this.#work.doExclusively(this.#files.installSteps(position, images, installed));
  }

  async close(): Promise<void> {
    if (this.#work.isClosed) return;
    await this.checkpoint();
    this.#work.close();
  }

  #apply(entry: StoreEntry, events: ObjectEvent[]): CommandResult {
    const { app, state } = this.#files;
    const { results, onApplied } = this.#options;
    const { index, term } = entry;
    if (index !== this.#applied.index + 1) {
      throw new Error(`entry ${index} applied after ${this.#applied.index}`);
    }
    this.#applied = { index, term };
    this.#rehearsals.applied(entry);
    let result: CommandResult = [];
    // A crash may have left one file ahead of the other: what it has it does not take again.
    if (state.position.index < index) {
      const effect = state.apply(entry);
      onApplied(entry, state, effect);
      events.push(...effect.events);
      result = effect.result;
    } else {
      // Who follows has not been told by this process.
      events.push(...state.objects.at(index));
    }
    if (app.position.index >= index) return result;
    const effect = app.apply(entry, results);
    onApplied(entry, app, effect);
    return effect.result.length > 0 ? effect.result : result;
  }
}

function later(one: LogPosition, other: LogPosition): LogPosition {
  return one.index >= other.index ? one : other;
}

function earlier(one: LogPosition, other: LogPosition): LogPosition {
  return one.index <= other.index ? one : other;
}
