import { TrivetError } from "../../agent/platform/trivet-error.ts";
import type {
  SnapshotFileName,
  SnapshotManifest,
  SnapshotReceiver,
  StoreSnapshot,
} from "../../agent/store/snapshot.ts";
import type { Store } from "../../agent/store/store.ts";
import type {
  CommandResult,
  LogPosition,
  ResultDigest,
  SqlStatement,
  StoredConfiguration,
  StoreEntry,
} from "../../agent/store/types.ts";
import type { CopyState } from "./copy-watch.ts";
import { operationOf } from "./kv-sql.ts";
import { type Effect, ModelFile, rowsOf } from "./model-file.ts";
import { ModelReceiver } from "./model-receiver.ts";
import { imagesOf } from "./model-snapshot.ts";
import type { SimRandom } from "./sim-random.ts";
import type { WrongResults } from "./wrong-results.ts";

/** The two database files of a node. They outlive its processes. */
export class ModelFiles {
  readonly app = new ModelFile("app");
  readonly state = new ModelFile("state");
  /** Of a snapshot that was installed, until the log stands on it. */
  pendingInstall: LogPosition | null = null;
  /** They are found not to be databases any more. */
  isDamaged = false;

  crash(random: SimRandom): void {
    this.app.crash(random);
    this.state.crash(random);
  }
}

export interface ModelStoreOptions {
  readonly files: ModelFiles;
  /** At least so large are the files of a snapshot. */
  readonly snapshotBytesMin: number;
  /** Does things one after the other, each after some time; never again once the process has died. */
  readonly later: (act: () => void) => void;
  readonly results: WrongResults;
  readonly onInstalled: (position: LogPosition, state: CopyState) => void;
  /** An entry has come into both files. `state` is after it. */
  readonly onApplied: (entry: StoreEntry, state: CopyState, effect: Effect) => void;
}

/** The replicated state machine without SQLite: a few keys and values, and what a crash does to them. */
export class ModelStore implements Store {
  readonly #options: ModelStoreOptions;
  readonly #files: ModelFiles;
  #applied: LogPosition;
  #isClosed = false;
  #openSnapshots = 0;

  constructor(options: ModelStoreOptions) {
    this.#options = options;
    this.#files = options.files;
    this.#applied = earlier(options.files.app.position, options.files.state.position);
  }

  get applied(): LogPosition {
    return this.#applied;
  }

  get newest(): LogPosition {
    return later(this.#files.app.position, this.#files.state.position);
  }

  get hasHiddenWork(): boolean {
    return false;
  }

  apply(entries: readonly StoreEntry[]): Promise<readonly CommandResult[]> {
    return this.#later(() => entries.map((entry) => this.#apply(entry)));
  }

  query(statements: readonly SqlStatement[]): Promise<CommandResult> {
    return this.#later(() =>
      statements.map((statement) => rowsOf(this.#files.app.read(operationOf(statement).key))),
    );
  }

  rehearse(): Promise<void> {
    return this.#later(() => undefined);
  }

  async checkpoint(): Promise<LogPosition> {
    if (this.#openSnapshots === 0) {
      await this.#later(() => this.#files.state.checkpoint());
      await this.#later(() => this.#files.app.checkpoint());
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

  get objects(): never {
    throw new Error("the model of the store knows no objects");
  }

  onObjectEvents(): () => void {
    return () => undefined;
  }

  async openSnapshot(): Promise<StoreSnapshot> {
    await this.checkpoint();
    const { app, state } = this.#files;
    const { manifest, images } = await this.#later(() => {
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
    let isOpen = true;
    return {
      ...manifest,
      read: (name, offset, length) =>
        this.#later(() => Uint8Array.from(images[name].subarray(offset, offset + length))),
      close: async () => {
        if (isOpen) this.#openSnapshots -= 1;
        isOpen = false;
      },
    };
  }

  receiveSnapshot(manifest: SnapshotManifest): Promise<SnapshotReceiver> {
    const later = <T>(act: () => T) => this.#later(act);
    return this.#later(
      () =>
        new ModelReceiver({ manifest, later, install: (images) => this.#install(manifest.position, images) }),
    );
  }

  get pendingInstall(): LogPosition | null {
    return this.#files.pendingInstall;
  }

  finishInstall(): Promise<void> {
    return this.#later(() => {
      this.#files.pendingInstall = null;
    });
  }

  /** All at once: that a crash in the middle leaves one of both is tried with the real files elsewhere. */
  #install(position: LogPosition, images: ReadonlyMap<SnapshotFileName, Buffer>): void {
    const { app, state } = this.#files;
    app.unpack(JSON.parse(String(images.get("app.db"))));
    state.unpack(JSON.parse(String(images.get("state.db"))));
    this.#files.pendingInstall = position;
    this.#applied = position;
    this.#options.onInstalled(position, app.state);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    await this.checkpoint();
    this.#isClosed = true;
  }

  #apply(entry: StoreEntry): CommandResult {
    const { app, state } = this.#files;
    if (entry.index !== this.#applied.index + 1) {
      throw new Error(`entry ${entry.index} applied after ${this.#applied.index}`);
    }
    this.#applied = { index: entry.index, term: entry.term };
    if (state.position.index < entry.index) state.apply(entry);
    // A crash may have left one file ahead of the other: what it has it does not take again.
    if (app.position.index >= entry.index) return [];
    const { results, onApplied } = this.#options;
    const effect = app.apply(entry, results);
    onApplied(entry, app.state, effect);
    return effect.result;
  }

  #later<T>(act: () => T): Promise<T> {
    if (this.#isClosed) return Promise.reject(new TrivetError("store-closed", "The store is closed."));
    return new Promise((resolve, reject) => {
      this.#options.later(() => {
        try {
          resolve(act());
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}

function later(one: LogPosition, other: LogPosition): LogPosition {
  return one.index >= other.index ? one : other;
}

function earlier(one: LogPosition, other: LogPosition): LogPosition {
  return one.index <= other.index ? one : other;
}
