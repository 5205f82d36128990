import { DurableLog } from "../log/durable-log.ts";
import { type DataDirectory, logLost } from "../membership/data-directory.ts";
import type { OpenStorage } from "../membership/open-storage.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import { isBlank } from "../replica/found-cluster.ts";
import { openSqliteStore } from "../store/sqlite-store.ts";
import type { Store } from "../store/store.ts";

/** The log and the databases of the node: opened when membership asks for them, maybe twice, and closed together. */
export class NodeStorage {
  readonly #options: { readonly data: DataDirectory; readonly logger: Logger; readonly clock: Clock };
  #log: DurableLog | null = null;
  #store: Store | null = null;
  #lastOpening: Promise<unknown> = Promise.resolve();

  constructor(options: { readonly data: DataDirectory; readonly logger: Logger; readonly clock: Clock }) {
    this.#options = options;
  }

  /**
   * Rejects with `log-lost` or `log-corrupt` if this member must not speak any more, with `store-damaged` if this is the only
   * copy of what the databases held, and with what else opening the log or the store may reject with.
   */
  open(): ReturnType<OpenStorage> {
    const opening = this.#open();
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

  async #open(): ReturnType<OpenStorage> {
    const { data, logger } = this.#options;
    if (data.lostLog !== null) throw data.lostLog;
    const { log, recovered } = await DurableLog.open({ directory: data.raft, logger });
    this.#log = log;
    if (isBlank(recovered) && !data.mayBeBlank) {
      this.#log = null;
      await log.close();
      throw logLost(data.path, "the log in raft/ is blank");
    }
    // From its first entry on, the log makes the databases anew without anyone.
    const isExpendable = data.hasCompanions || recovered.base.index === 0;
    this.#store = await this.#openStore(isExpendable);
    return { log, recovered, store: this.#store };
  }

  async #openStore(isExpendable: boolean): Promise<Store> {
    const { data, logger, clock } = this.#options;
    try {
      return await openSqliteStore({ directory: data.path, logger, clock });
    } catch (error) {
      if (!isTrivetError(error, "store-damaged") || !isExpendable) throw error;
      // mark: agent: a damaged database goes to quarantine
      const quarantine = await data.quarantineDatabases();
      logger.log(
        "error",
        "The databases are damaged: they are put by, and made anew from the log or another node.",
        {
          reason: error.message,
          quarantine,
        },
      );
      return openSqliteStore({ directory: data.path, logger, clock });
    }
  }
}
