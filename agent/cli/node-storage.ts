import { DurableLog } from "../log/durable-log.ts";
import { type DataDirectory, logLost } from "../membership/data-directory.ts";
import type { MemberStorage, Storage, StoreOwner } from "../membership/open-storage.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import { isBlank } from "../replica/found-cluster.ts";
import { assertOneHistory, endUnproven } from "../replica/one-history.ts";
import { openSqliteStore } from "../store/sqlite-store.ts";
import type { Store } from "../store/store.ts";

/** The log and the databases of the node: opened when membership asks for them, and closed together, maybe several times. */
export class NodeStorage implements MemberStorage {
  readonly #options: { readonly data: DataDirectory; readonly logger: Logger; readonly clock: Clock };
  #log: DurableLog | null = null;
  #store: Store | null = null;
  #lastOpening: Promise<unknown> = Promise.resolve();

  constructor(options: { readonly data: DataDirectory; readonly logger: Logger; readonly clock: Clock }) {
    this.#options = options;
  }

  /**
   * Rejects with `log-lost`, `log-corrupt`, `log-behind-store` or `log-unproven` if this member must not speak any more, with
   * `store-damaged` if the databases are damaged and the log does not reach back to make them anew, and with what else opening the log or
   * the store may reject with. Then nothing is open, nothing was moved, and the log is as it was. `owner` hears of it if the store fails after
   * that.
   */
  open(owner: StoreOwner = {}): Promise<Storage> {
    const opening = this.#open(owner);
    this.#lastOpening = opening.catch(() => undefined);
    return opening;
  }

  /** What is being opened is opened first. */
  async close(): Promise<void> {
    await this.#lastOpening;
    const [store, log] = [this.#store, this.#log];
    this.#store = null;
    this.#log = null;
    try {
      await store?.close();
    } finally {
      await log?.close();
    }
  }

  async #open(owner: StoreOwner): Promise<Storage> {
    const { data, logger } = this.#options;
    if (data.lostLog !== null) throw data.lostLog;
    const { content, wasClosed, open } = await DurableLog.read({ directory: data.raft, logger });
    if (isBlank(content) && !data.mayBeBlank) throw logLost(data.path, "the log in raft/ is blank");
    const store = await this.#openStore({ isWhole: content.base.index === 0, wasClosed }, owner);
    try {
      assertOneHistory(store, content);
      const { log, recovered } = await open();
      this.#log = log;
      this.#store = store;
      return { log, recovered, store };
    } catch (error) {
      // That makes durable what they hold: the next start must find them beyond the log, too.
      await store.close();
      throw error;
    }
  }

  /** A log that `isWhole` makes the databases anew, from its first entry on. Then nobody need be asked for what they held. */
  async #openStore(
    log: { readonly isWhole: boolean; readonly wasClosed: boolean },
    owner: StoreOwner,
  ): Promise<Store> {
    const { data, logger, clock } = this.#options;
    const options = { directory: data.path, logger, clock, ...owner };
    try {
      if (data.damagedDatabases !== null) throw data.damagedDatabases;
      return await openSqliteStore(options);
    } catch (error) {
      if (!isTrivetError(error, "store-damaged")) throw error;
      // Alone, or before it has a cluster, it has broken no promise to anyone.
      if (!log.wasClosed && data.clusterId !== null && data.hasCompanions) throw endUnproven(error);
      if (!log.isWhole) throw error;
      // mark: agent: damaged databases are made anew from the log
      const quarantine = await data.quarantineDatabases();
      logger.log("error", "The databases are damaged: they are put by, and made anew from the log.", {
        reason: error.message,
        quarantine,
        ...(!log.wasClosed && { log: "was not closed in good order: its last entries may be missing" }),
      });
      return openSqliteStore(options);
    }
  }
}
