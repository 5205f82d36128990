import type { DurableLog, UnopenedLog } from "../../agent/log/durable-log.ts";
import type { LogContent } from "../../agent/log/log-types.ts";
import { logLost } from "../../agent/membership/data-directory.ts";
import type { DamagedData, Storage } from "../../agent/membership/open-storage.ts";
import type { Logger } from "../../agent/platform/logger.ts";
import { isTrivetError, TrivetError } from "../../agent/platform/trivet-error.ts";
import { isBlank } from "../../agent/replica/found-cluster.ts";
import { assertOneHistory, endUnproven } from "../../agent/replica/one-history.ts";
import { Silence } from "../../agent/store/silence.ts";
import type { LogPosition } from "../../agent/store/types.ts";
import type { Machine } from "./machine.ts";
import { ModelStore } from "./model-store.ts";
import { ModelWork } from "./model-work.ts";
import { readSimLog, watchLog } from "./sim-log.ts";
import { check } from "./violation.ts";

/** How long a small file takes to be written. */
const RECORD_MS = 5;

/** In which a pass over the files is made. */
const OPENING_STEPS = 10;

/** Of the stores, where some are slow: is. */
const SLOW_RATE = 0.4;

/** Errors that a bad disk explains. */
const DISK_ERRORS = ["log-failed", "log-full"];

export interface SimStorageOptions {
  readonly machine: Machine;
  readonly clusterId: string;
  readonly isAlive: () => boolean;
  readonly logger: Logger;
  readonly onStoreFailed: (error: unknown) => void;
}

/** The log and the databases of one process, as `NodeStorage` opens them; and the data that they are of, as `DataDirectory` keeps it. */
export class SimStorage implements DamagedData {
  readonly #options: SimStorageOptions;
  #hadDiskFault = false;
  #hadStoreFault = false;
  #log: DurableLog | null = null;
  #store: ModelStore | null = null;

  constructor(options: SimStorageOptions) {
    this.#options = options;
  }

  get clusterId(): string | null {
    return this.#data.hasJoined ? this.#options.clusterId : null;
  }

  /** That nobody else holds anything is the rule that chaos keeps to: it never damages what could be the last copy. */
  readonly hasCompanions = true;

  get memberId(): string {
    return this.#data.memberId;
  }

  get identity(): { readonly nodeId: string } {
    const { around, number } = this.#options.machine;
    return { nodeId: around.nodeIds[number] ?? "" };
  }

  get store(): ModelStore | null {
    return this.#store;
  }

  async open(): Promise<Storage> {
    const { machine, isAlive } = this.#options;
    const data = this.#data;
    if (data.rejoin === "emptying") this.#empty();
    const { content, wasClosed, open } = await this.#readLog();
    if (isBlank(content) && !data.mayBeBlank) {
      // Of a log with a few batches only, damage may leave none.
      const mayBeGone = data.isLogLost || data.mediumFault !== null;
      check(mayBeGone, () => `node ${machine.number} finds its log empty`);
      throw logLost(data.disk.path, "the log is blank");
    }
    if (data.files.isDamaged) {
      const damage = new TrivetError("store-damaged", "The databases of the model are damaged.");
      if (!wasClosed && this.clusterId !== null) throw endUnproven(damage);
      if (content.base.index > 0) throw damage;
      this.#renewFiles();
    }
    const store = this.#openStore();
    try {
      this.#assertOneHistory(store, content);
      const { log, recovered } = await open();
      machine.around.watch.logOf(data.memberId).opened(recovered);
      this.#log = log;
      this.#store = store;
      return { log: watchLog(log, machine, isAlive), recovered, store };
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#store?.close();
    await this.#log?.close();
  }

  /** See `DataDirectory`. The record of who the node is comes first; a crash in the middle is made good by the next start. */
  async beginAnew(): Promise<string> {
    this.#checkExpendable();
    await this.#recordWritten();
    this.#data.renew();
    this.#data.rejoin = "emptying";
    await this.#recordWritten();
    this.#empty();
    return "elsewhere";
  }

  async quarantineDatabases(): Promise<string> {
    this.#checkExpendable();
    await this.#recordWritten();
    this.#data.renewFiles();
    return "elsewhere";
  }

  hasReasonToFail(error: unknown): boolean {
    if (!isTrivetError(error)) return false;
    if (error.code === "store-failed") return this.#hadStoreFault;
    return this.#hadDiskFault && DISK_ERRORS.includes(error.code);
  }

  get #data(): Machine["data"] {
    return this.#options.machine.data;
  }

  #assertOneHistory(store: ModelStore, content: LogContent): void {
    try {
      assertOneHistory(store, content);
    } catch (error) {
      const { number } = this.#options.machine;
      check(this.#data.mediumFault !== null, () => `node ${number} finds its log cut short without a fault`);
      throw error;
    }
  }

  async #readLog(): Promise<UnopenedLog> {
    const { machine } = this.#options;
    const onFault = () => {
      this.#hadDiskFault = true;
    };
    try {
      return await readSimLog({ ...this.#options, onFault });
    } catch (error) {
      const isCorrupt = isTrivetError(error, "log-corrupt");
      check(
        !isCorrupt || this.#data.mediumFault !== null,
        () => `node ${machine.number} finds its log corrupt without a fault`,
      );
      throw error;
    }
  }

  #empty(): void {
    this.#data.clear();
    this.#data.rejoin = "empty";
  }

  /** Made anew from the log, without anyone. */
  #renewFiles(): void {
    const { around } = this.#options.machine;
    this.#data.renewFiles();
    if (this.#data.mediumFault === null) around.lost.delete(this.#data.memberId);
  }

  /** The old member's data goes only if a quorum of others holds what it may hold. */
  #checkExpendable(): void {
    const { machine } = this.#options;
    machine.around.watch.givenUp(this.#data.memberId);
    machine.around.log(machine.number, "gives its data up");
  }

  #recordWritten(): Promise<void> {
    const { machine, isAlive } = this.#options;
    return new Promise((resolve) => machine.clock.after(RECORD_MS, machine.number, isAlive, resolve));
  }

  #openStore(): ModelStore {
    const { machine } = this.#options;
    const { around, data } = machine;
    const { mix, watch, copies, objects, values } = around;
    const { memberId, files } = data;
    const installed = ({ index, term }: LogPosition) => {
      watch.installed(memberId, { index, term });
      check(!files.isFlipped, () => `${memberId} has got a copy with a flipped bit`);
      for (const file of [files.app, files.state]) copies.installed(memberId, file.kind, index, file.state);
      if (data.mediumFault === null) around.lost.delete(memberId);
    };
    const recovered = files.recoverInstall();
    if (recovered !== null) installed(recovered);
    return new ModelStore({
      files,
      snapshotBytesMin: mix.store.snapshotBytesMin,
      hasHiddenWork: mix.store.hasHiddenWork,
      results: machine.results,
      work: this.#openWork(),
      readOver: (onProgress) => this.#readOver(onProgress),
      onInstalled: installed,
      onApplied: (entry, file, effect) => {
        watch.applied(memberId, entry, effect);
        copies.applied(memberId, file.kind, entry.index, file.state);
        objects.happened(effect.events);
        values.happened(entry.index, effect.written);
      },
    });
  }

  async #readOver(onProgress: () => void): Promise<void> {
    const { around, clock, number } = this.#options.machine;
    const stepMs = around.mix.storeFaults.openMs / OPENING_STEPS;
    for (let step = 0; step < OPENING_STEPS && stepMs > 0 && around.isBad(); step += 1) {
      await new Promise<void>((resolve) => clock.after(stepMs, number, this.#options.isAlive, resolve));
      onProgress();
    }
  }

  #openWork(): ModelWork {
    const { machine, isAlive } = this.#options;
    const { around, clock, number, hang } = machine;
    const { world, random, mix, isBad } = around;
    const faults = around.streamOf(`store ${number}`);
    const { slowestFactor } = mix.storeFaults;
    const slowness = slowestFactor > 0 && faults.isTrue(SLOW_RATE) ? faults.magnitude(1, slowestFactor) : 1;
    let freeMs = 0;
    return new ModelWork({
      later: (act) => {
        const ms = mix.store.applyMs * random.between(0.5, 1.5) * (isBad() ? slowness : 1);
        freeMs = Math.max(freeMs, world.nowMs) + ms;
        clock.after(freeMs - world.nowMs, number, isAlive, () => {
          // Behind what waits already.
          if (hang.isOn) hang.wait(() => clock.after(0, number, isAlive, act));
          else act();
        });
      },
      after: (ms, act) => clock.after(ms, number, isAlive, act),
      silence: new Silence(clock),
      transferred: async () => {
        const ms = mix.storeFaults.transferMs * faults.between(0.5, 1.5);
        if (ms > 0 && isBad())
          await new Promise<void>((resolve) => clock.after(ms, number, isAlive, resolve));
      },
      goesWrong: (kind) => {
        const rate = mix.storeFaults.rates[kind];
        const isWrong = rate > 0 && faults.isTrue(rate) && isBad();
        if (isWrong && kind === "change") this.#hadStoreFault = true;
        return isWrong;
      },
      onFailed: (error) => this.#options.onStoreFailed(error),
    });
  }
}
