import { DurableLog } from "../../agent/log/durable-log.ts";
import type { LogBatch } from "../../agent/log/log-types.ts";
import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import { alignLog } from "../../agent/replica/align-log.ts";
import { ClusterSql } from "../../agent/replica/cluster-sql.ts";
import { beginLog, foundCluster, isBlank } from "../../agent/replica/found-cluster.ts";
import { LeaderAccess } from "../../agent/replica/leader-access.ts";
import { decodeMessage } from "../../agent/replica/message-codec.ts";
import type { ReplicaLog } from "../../agent/replica/ports.ts";
import { Replica } from "../../agent/replica/replica.ts";
import { diskFaults } from "./disk-faults.ts";
import type { Machine } from "./machine.ts";
import { ModelStore } from "./model-store.ts";
import type { Packet } from "./sim-network.ts";
import { SimTransport } from "./sim-transport.ts";
import { check } from "./violation.ts";
import { rememberWrites } from "./write-memory.ts";

const CLUSTER_ID = "simulated-cluster";
const TIMING = { heartbeatMs: 150, electionMs: 900, electionMaxMs: 10_000 };
const HAND_OVER_MS = 2_000;
/** How long a callback waits behind what is ready already. */
const DEFER_MS_MAX = 0.2;

/** A vote is small: what is larger need not be decoded to know that it is none. */
const VOTE_BYTES_MAX = 128;

/** Whoever waited for a process that is gone. */
export class ProcessDied extends Error {
  override readonly name = "ProcessDied";
}

/** Errors of the log that a bad disk explains. */
const DISK_ERRORS = ["log-failed", "log-full"];

/** One process of a node: the real log, replica and SQL service, on this node's disk and the common network. */
export class SimProcess {
  readonly #machine: Machine;
  readonly session: string;
  readonly #deaths = new Set<() => void>();
  #isAlive = true;
  #hadDiskFault = false;
  #storeFreeMs = 0;
  #log: DurableLog | null = null;
  #store: ModelStore | null = null;
  #transport: SimTransport | null = null;
  #leader: LeaderAccess | null = null;
  replica: Replica | null = null;
  sql: ClusterSql | null = null;

  constructor(machine: Machine, session: string) {
    this.#machine = machine;
    this.session = session;
  }

  /** Opens what is on the disk and takes part. Resolves when it does. */
  async run(): Promise<void> {
    const { around, memberId } = this.#machine;
    const { log, recovered } = await this.#openLog();
    this.#log = log;
    const watched = this.#watch(log);
    const transport = this.#openTransport();
    const store = this.#openStore();
    this.#store = store;
    const isFounder = memberId === around.founders[0] && !this.#machine.hasBegun;
    let start = recovered;
    if (isBlank(recovered)) {
      check(!this.#machine.hasBegun, () => `node ${this.#machine.number} finds its log empty`);
      const begun = isFounder ? await foundCluster(watched, around.founders) : await beginLog(watched);
      start = { ...recovered, ...begun };
    }
    this.#machine.hasBegun = true;
    const aligned = await alignLog({ log: watched, store, recovered: start });
    around.watch.started(memberId, Math.max(aligned.hardState.commit, store.applied.index));
    const clock = this.#machine.clock.forProcess(
      this.#machine.number,
      this.#alive,
      () => around.random.float() * DEFER_MS_MAX,
    );
    const replica = new Replica({
      clusterId: CLUSTER_ID,
      memberId,
      timing: TIMING,
      recovered: aligned,
      isFounder,
      log: watched,
      store,
      logRetainBytes: around.mix.logRetainBytes,
      transport,
      clock,
      random: around.random,
      logger: { log: (_level, message, fields) => this.#note(message, fields) },
      onFailed: (error) => this.#machine.processFailed(this.session, error),
    });
    this.replica = replica;
    this.#leader = new LeaderAccess({ replica, transport, clock });
    this.sql = new ClusterSql({ leader: this.#leader, store, clock });
    around.network.attach(this.#machine.number, (from, packet) => {
      this.#machine.clock.after(0, this.#machine.number, this.#alive, () => transport.receive(from, packet));
    });
    this.#checkpointAgain();
  }

  /** As the agent does: hands over, then closes everything. */
  async stop(): Promise<void> {
    try {
      await this.replica?.handOver(HAND_OVER_MS);
      this.#leader?.stop();
      this.replica?.stop();
      await this.#store?.close();
      await this.#log?.close();
    } catch (error) {
      this.#machine.processFailed(this.session, error);
    }
  }

  /** Settles like `promise`; rejects with `ProcessDied` if the process dies before. */
  whileAlive<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const died = () => reject(new ProcessDied(`process ${this.session} died`));
      this.#deaths.add(died);
      promise.then(resolve, reject).finally(() => this.#deaths.delete(died));
    });
  }

  died(): void {
    this.#isAlive = false;
    for (const tell of this.#deaths) tell();
    this.#deaths.clear();
  }

  peerDown(node: number, nodeId: string): void {
    this.#transport?.peerDown(node);
    this.replica?.nodeLost(nodeId);
  }

  hasReasonToFail(error: unknown): boolean {
    return this.#hadDiskFault && isTrivetError(error) && DISK_ERRORS.includes(error.code);
  }

  isCorruption(error: unknown): boolean {
    return isTrivetError(error, "log-corrupt");
  }

  readonly #alive = (): boolean => this.#isAlive;

  async #openLog(): ReturnType<typeof DurableLog.open> {
    const { disk, writes, around, number, memberId } = this.#machine;
    const { random, mix, isBad } = around;
    disk.onCall = undefined;
    if (isBad() && this.#machine.isRotten) writes.rot(disk, random, new Set(await disk.list()));
    const faults = diskFaults({
      mix: mix.disk,
      random,
      isBad,
      isFull: () => this.#machine.isFull,
      wait: (ms) => new Promise((resolve) => this.#machine.clock.after(ms, number, this.#alive, resolve)),
      onDeath: () => {
        const isPowerCut = random.isTrue(mix.process.powerCutRate);
        around.world.at(0, number, () => {
          if (this.#isAlive) this.#machine.crash({ isPowerCut });
        });
      },
      onFault: () => {
        this.#hadDiskFault = true;
      },
    });
    disk.onCall = faults;
    const opened = await DurableLog.open({
      directory: rememberWrites(disk, writes),
      logger: { log: (_level, message, fields) => this.#note(message, fields) },
      segmentBytes: mix.segmentBytes,
    });
    around.watch.logOf(memberId).opened(opened.recovered);
    return opened;
  }

  #watch(log: DurableLog): ReplicaLog {
    const watch = this.#machine.around.watch.logOf(this.#machine.memberId);
    return {
      append: async (batch: LogBatch) => {
        watch.write(batch);
        try {
          await log.append(batch);
          if (this.#isAlive) watch.persisted(batch);
        } catch (error) {
          if (this.#isAlive && isTrivetError(error, "log-full")) watch.refused(batch);
          throw error;
        }
      },
      compact: async (base) => {
        const isReset = watch.compact(base);
        await log.compact(base);
        if (isReset && this.#isAlive) watch.resetDone();
      },
    };
  }

  #openTransport(): SimTransport {
    const { around, number } = this.#machine;
    const transport = new SimTransport({
      session: this.session,
      nodeIds: around.nodeIds,
      send: (to, packet) => {
        this.#watchVote(to, packet);
        around.network.send(number, to, packet);
      },
      setTimer: (delayMs, callback) => this.#machine.clock.after(delayMs, number, this.#alive, callback),
      isAlive: this.#alive,
    });
    this.#transport = transport;
    return transport;
  }

  #watchVote(to: number, packet: Packet): void {
    if (packet.kind !== "datagram" || packet.body.length > VOTE_BYTES_MAX) return;
    const { nodeIds, watch } = this.#machine.around;
    const message = decodeMessage(packet.body, nodeIds[this.#machine.number] ?? "", nodeIds[to] ?? "");
    if (message.kind !== "vote-response" || !message.granted) return;
    watch.voted(message.from, message.term, message.to);
  }

  #openStore(): ModelStore {
    const { files, around, clock, number, memberId } = this.#machine;
    const { world, random, mix, watch } = around;
    return new ModelStore({
      files,
      snapshotBytesMin: mix.store.snapshotBytesMin,
      onInstalled: (position, hash) => watch.installed(memberId, position, hash),
      later: (act) => {
        const ms = mix.store.applyMs * random.between(0.5, 1.5);
        this.#storeFreeMs = Math.max(this.#storeFreeMs, world.nowMs) + ms;
        clock.after(this.#storeFreeMs - world.nowMs, number, this.#alive, act);
      },
      onApplied: (entry, hash, effect) => watch.applied(memberId, entry, hash, effect),
    });
  }

  #checkpointAgain(): void {
    const { around, clock, number } = this.#machine;
    const ms = around.mix.store.checkpointEveryMs * around.random.between(0.5, 1.5);
    clock.after(ms, number, this.#alive, () => {
      void this.#store?.checkpoint().then(
        () => this.#checkpointAgain(),
        () => undefined,
      );
    });
  }

  #note(message: string, fields: unknown): void {
    if (this.#isAlive)
      this.#machine.around.log(this.#machine.number, `${message} ${JSON.stringify(fields ?? {})}`);
  }
}
