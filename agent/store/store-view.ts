import type { ObjectEvent } from "./objects.ts";
import type { HiddenWork } from "./store.ts";
import type { LogPosition, ResultDigest, StoredConfiguration } from "./types.ts";
import type { StoreState } from "./worker-protocol.ts";
import type { DataTraits } from "./write-bound.ts";

export type ObjectEventListener = (events: readonly ObjectEvent[]) => void;

/**
 * The store as the main thread knows it: as of the last entry that was answered, whatever a worker may have applied beyond
 * or applies again. So nobody hears of an event twice.
 */
export class StoreView {
  #applied: LogPosition;
  #state: StoreState;
  #tables: DataTraits["tables"];
  readonly #listeners = new Set<ObjectEventListener>();

  constructor(applied: LogPosition, state: StoreState) {
    this.#applied = applied;
    this.#state = state;
    this.#tables = state.tables ?? new Map();
  }

  get applied(): LogPosition {
    return this.#applied;
  }

  /** See `Store.newest`. */
  get newest(): LogPosition {
    return this.#state.newest;
  }

  /** See `Store.hiddenWork`. */
  get hiddenWork(): HiddenWork {
    return this.#state.hiddenWork;
  }

  /** See `Store.data`. */
  get data(): DataTraits {
    return { bytes: this.#state.dataBytes, tables: this.#tables };
  }

  get lastTimeMs(): number {
    return this.#state.lastTimeMs;
  }

  get digest(): ResultDigest {
    return this.#state.digest;
  }

  get configuration(): StoredConfiguration | null {
    return this.#state.configuration;
  }

  onObjectEvents(listener: ObjectEventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Entries up to `applied` are answered; `events` are theirs. */
  advance({ index, term }: LogPosition, state: StoreState, events: readonly ObjectEvent[]): void {
    this.#applied = { index, term };
    this.#state = state;
    if (state.tables !== null) this.#tables = state.tables;
    if (events.length === 0) return;
    for (const listener of this.#listeners) listener(events);
  }
}
