import type { DurableLog } from "../../agent/log/durable-log.ts";
import { Member } from "../../agent/membership/member.ts";
import type { Logger } from "../../agent/platform/logger.ts";
import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import { alignLog } from "../../agent/replica/align-log.ts";
import type { ClusterSql } from "../../agent/replica/cluster-sql.ts";
import { DiskWatch } from "../../agent/replica/disk-watch.ts";
import { beginLog, foundCluster, isBlank } from "../../agent/replica/found-cluster.ts";
import { decodeMessage } from "../../agent/replica/message-codec.ts";
import type { Replica } from "../../agent/replica/replica.ts";
import type { Machine } from "./machine.ts";
import { ModelStore } from "./model-store.ts";
import { WATERMARK_BYTES } from "./sim-disk-space.ts";
import { openSimLog, watchLog } from "./sim-log.ts";
import type { Packet } from "./sim-network.ts";
import { SimTransport } from "./sim-transport.ts";
import { check } from "./violation.ts";

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

/** One process of a node: a real member of the cluster, on this node's disk and the common network. */
export class SimProcess {
  readonly #machine: Machine;
  readonly session: string;
  readonly #deaths = new Set<() => void>();
  readonly #logger: Logger = { log: (_level, message, fields) => this.#note(message, fields) };
  #isAlive = true;
  #hadDiskFault = false;
  #storeFreeMs = 0;
  #log: DurableLog | null = null;
  #store: ModelStore | null = null;
  #transport: SimTransport | null = null;
  #diskWatch: DiskWatch | null = null;
  #member: Member | null = null;

  constructor(machine: Machine, session: string) {
    this.#machine = machine;
    this.session = session;
  }

  /** Null until it takes part. */
  get replica(): Replica | null {
    return this.#member?.replica ?? null;
  }

  get sql(): ClusterSql | null {
    return this.#member?.sql ?? null;
  }

  /** Opens what is on the disk and takes part. Resolves when it does. */
  async run(): Promise<void> {
    const { around, memberId, number } = this.#machine;
    const onFault = () => {
      this.#hadDiskFault = true;
    };
    const { log, recovered } = await openSimLog({
      machine: this.#machine,
      isAlive: this.#alive,
      logger: this.#logger,
      onFault,
    });
    this.#log = log;
    const watched = watchLog(log, this.#machine, this.#alive);
    const transport = this.#openTransport();
    const store = this.#openStore();
    this.#store = store;
    const isFounder = memberId === around.founders[0] && !this.#machine.hasBegun;
    let start = recovered;
    if (isBlank(recovered)) {
      check(!this.#machine.hasBegun, () => `node ${number} finds its log empty`);
      const begun = isFounder ? await foundCluster(watched, around.founders) : await beginLog(watched);
      start = { ...recovered, ...begun };
    }
    this.#machine.hasBegun = true;
    const aligned = await alignLog({ log: watched, store, recovered: start });
    around.copies.started(memberId, this.#machine.files.app.state.taint);
    around.watch.started(memberId, Math.max(aligned.hardState.commit, store.newest.index));
    const clock = this.#machine.clock.forProcess(
      number,
      this.#alive,
      () => around.random.float() * DEFER_MS_MAX,
    );
    const onFailed = (error: unknown) => this.#machine.processFailed(this.session, error);
    const { space } = this.#machine;
    const diskWatch = new DiskWatch({
      space,
      watermarkBytes: WATERMARK_BYTES,
      clock,
      logger: this.#logger,
      onFailed,
    });
    this.#diskWatch = diskWatch;
    await diskWatch.start();
    this.#member = new Member({
      clusterId: CLUSTER_ID,
      memberId,
      timing: TIMING,
      recovered: aligned,
      isFounder,
      log: watched,
      store,
      logRetainBytes: around.mix.logRetainBytes,
      diskWatch,
      bus: transport,
      clock,
      random: around.random,
      logger: this.#logger,
      onFailed,
    });
    around.network.attach(number, (from, packet) => {
      this.#machine.clock.after(0, number, this.#alive, () => transport.receive(from, packet));
    });
    this.#checkpointAgain();
  }

  /** As the agent does: hands over, then closes everything. */
  async stop(): Promise<void> {
    try {
      await this.replica?.handOver(HAND_OVER_MS);
      this.#member?.stop();
      this.#diskWatch?.stop();
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

  peerDown(node: number): void {
    this.#transport?.peerDown(node);
  }

  hasReasonToFail(error: unknown): boolean {
    return this.#hadDiskFault && isTrivetError(error) && DISK_ERRORS.includes(error.code);
  }

  isCorruption(error: unknown): boolean {
    return isTrivetError(error, "log-corrupt");
  }

  readonly #alive = (): boolean => this.#isAlive;

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
    const { world, random, mix, watch, copies } = around;
    return new ModelStore({
      files,
      snapshotBytesMin: mix.store.snapshotBytesMin,
      results: this.#machine.results,
      onInstalled: (position, state) => {
        watch.installed(memberId, position);
        copies.installed(memberId, position.index, state);
      },
      later: (act) => {
        const ms = mix.store.applyMs * random.between(0.5, 1.5);
        this.#storeFreeMs = Math.max(this.#storeFreeMs, world.nowMs) + ms;
        clock.after(this.#storeFreeMs - world.nowMs, number, this.#alive, act);
      },
      onApplied: (entry, state, effect) => {
        watch.applied(memberId, entry, effect);
        copies.applied(memberId, entry.index, state);
      },
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
