import { Member } from "../../agent/membership/member.ts";
import { openSoundStorage, type Storage } from "../../agent/membership/open-storage.ts";
import { incarnationsOf, untilMember } from "../../agent/membership/rejoin.ts";
import type { Clock } from "../../agent/platform/clock.ts";
import type { Logger } from "../../agent/platform/logger.ts";
import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import { alignLog } from "../../agent/replica/align-log.ts";
import type { ClusterObjects } from "../../agent/replica/cluster-objects.ts";
import type { ClusterSql } from "../../agent/replica/cluster-sql.ts";
import { DiskWatch } from "../../agent/replica/disk-watch.ts";
import { beginLog, foundCluster, isBlank } from "../../agent/replica/found-cluster.ts";
import { decodeMessage } from "../../agent/replica/message-codec.ts";
import type { Replica } from "../../agent/replica/replica.ts";
import { BusRefusals } from "./bus-refusals.ts";
import type { Machine } from "./machine.ts";
import { WATERMARK_BYTES } from "./sim-disk-space.ts";
import type { Message as BusMessage } from "./sim-network.ts";
import { SimStorage } from "./sim-storage.ts";
import { SimTransport } from "./sim-transport.ts";

const CLUSTER_ID = "simulated-cluster";
const TIMING = { heartbeatMs: 150, electionMs: 900, electionMaxMs: 10_000 };
const HAND_OVER_MS = 2_000;
/** How long a callback waits behind what is ready already. */
const DEFER_MS_MAX = 0.2;
/** How often the databases are looked through, in bad times and in good ones. */
const SCRUB_MS_MIN = 1_000;
const SCRUB_MS_MAX = 30_000;
const SCRUB_MS_GOOD = 5_000;
/** How often a node that came back looks whether it has the place of the member that it was. */
const LOOK_MS = 500;

/** A vote is small: what is larger need not be decoded to know that it is none. */
const VOTE_BYTES_MAX = 128;

/** Whoever waited for a process that is gone. */
export class ProcessDied extends Error {
  override readonly name = "ProcessDied";
}

/** One process of a node: a real member of the cluster, on this node's disk and the common network. */
export class SimProcess {
  readonly #machine: Machine;
  readonly session: string;
  readonly #start: number;
  readonly #deaths = new Set<() => void>();
  readonly #logger: Logger = { log: (_level, message, fields) => this.#note(message, fields) };
  readonly #clock: Clock;
  readonly #transport: SimTransport;
  readonly #storage: SimStorage;
  readonly #stopping = new AbortController();
  #isAlive = true;
  #stopped: Promise<void> | null = null;
  #diskWatch: DiskWatch | null = null;
  #member: Member | null = null;

  /** `start`: which process of its node this is. */
  constructor(machine: Machine, start: number) {
    const { around, number } = machine;
    const session = `${number}.${start}`;
    this.#machine = machine;
    this.#start = start;
    this.session = session;
    const deferMs = () => around.random.float() * DEFER_MS_MAX;
    this.#clock = machine.clock.forProcess(number, this.#alive, deferMs);
    this.#transport = this.#openTransport(start);
    this.#storage = new SimStorage({
      ...{ machine, logger: this.#logger, isAlive: this.#alive, clusterId: CLUSTER_ID },
      onStoreFailed: (error) => machine.processFailed(session, error),
    });
  }

  get clusterId(): string | null {
    return this.#storage.clusterId;
  }

  /** Null until it takes part. */
  get replica(): Replica | null {
    return this.#member?.replica ?? null;
  }

  get objects(): ClusterObjects | null {
    return this.#member?.objects ?? null;
  }

  get sql(): ClusterSql | null {
    return this.#member?.sql ?? null;
  }

  /** Opens what is on the disk and takes part, as `Membership` does. Resolves when it does. */
  async run(): Promise<void> {
    try {
      await this.#run();
    } catch (error) {
      // A stop takes back what the start has asked others for.
      const { aborted, reason } = this.#stopping.signal;
      throw aborted && isTrivetError(error, "request-aborted") ? reason : error;
    }
  }

  async #run(): Promise<void> {
    const { around, data, number } = this.#machine;
    around.network.attach(number, (from, packet) => {
      this.#machine.clock.after(0, number, this.#alive, () => this.#transport.receive(from, packet));
    });
    const storage = await openSoundStorage({
      open: () => this.#storage.open(),
      data: this.#storage,
      bus: this.#transport,
      clock: this.#clock,
      random: around.random,
      logger: this.#logger,
      signal: this.#stopping.signal,
      onDamage: (damage) => this.#note("waits", damage?.waitsFor),
    });
    const { memberId } = data;
    const isFounder = memberId === around.founders[0] && !data.hasJoined;
    const recovered = await this.#begin(storage, isFounder);
    data.hasJoined = true;
    if (data.rejoin === "empty") data.rejoin = "begun";
    around.copies.started(memberId, data.files.app.state.taint);
    around.watch.started(memberId, Math.max(recovered.hardState.commit, storage.store.newest.index));
    await this.#takePart({ ...storage, recovered }, isFounder);
    if (data.rejoin !== null) await this.#rejoin(memberId);
  }

  /** As the agent does: hands over, then closes everything; once, however often it is told to. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    try {
      this.#stopping.abort(new ProcessDied(`process ${this.session} stops`));
      await this.replica?.leadership.handOver(HAND_OVER_MS);
      this.#member?.stop();
      this.#diskWatch?.stop();
      await this.#storage.close();
    } catch (error) {
      this.#machine.processFailed(this.session, error);
    }
  }

  /** Settles like `promise`; rejects with `ProcessDied` if the process dies before, or is dead already. */
  whileAlive<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const died = () => reject(new ProcessDied(`process ${this.session} died`));
      if (!this.#isAlive) died();
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
    this.#transport.peerDown(node);
  }

  hasReasonToFail(error: unknown): boolean {
    return this.#storage.hasReasonToFail(error);
  }

  readonly #alive = (): boolean => this.#isAlive;

  /** What the replica starts from. */
  #begin({ log, store, recovered }: Storage, isFounder: boolean): Promise<Storage["recovered"]> {
    if (!isBlank(recovered)) return alignLog({ log, store, recovered });
    return isFounder ? foundCluster(log, this.#machine.around.founders) : beginLog(log);
  }

  async #takePart(storage: Storage, isFounder: boolean): Promise<void> {
    const { around, data, space } = this.#machine;
    const onFailed = (error: unknown) => this.#machine.processFailed(this.session, error);
    const parts = { clock: this.#clock, logger: this.#logger, onFailed };
    const diskWatch = new DiskWatch({ ...parts, space, watermarkBytes: WATERMARK_BYTES });
    this.#diskWatch = diskWatch;
    await diskWatch.start();
    this.#member = new Member({
      ...parts,
      ...storage,
      clusterId: CLUSTER_ID,
      memberId: data.memberId,
      session: this.#start,
      timing: TIMING,
      raftLimits: around.mix.raftLimits,
      isFounder,
      logRetainBytes: around.mix.logRetainBytes,
      objectLimits: around.mix.objects.limits,
      diskWatch,
      bus: this.#transport,
      random: around.random,
    });
    this.#checkpointAgain();
    this.#scrubAgain();
  }

  /** Until the cluster has taken this member for the one that was damaged. */
  async #rejoin(memberId: string): Promise<void> {
    const { around, data, number } = this.#machine;
    await untilMember(
      {
        bus: this.#transport,
        nodeId: this.#storage.identity.nodeId,
        clusterId: CLUSTER_ID,
        clock: this.#clock,
        signal: this.#stopping.signal,
        onWait: (reason) => this.#note("is no member yet", reason),
      },
      memberId,
    );
    const look = () => {
      const status = this.replica?.status();
      const ours = status === undefined ? [] : incarnationsOf(status, around.nodeIds[number] ?? "");
      if (ours.length === 1 && ours[0] === memberId) data.rejoin = null;
      else this.#clock.setTimer(LOOK_MS, look);
    };
    look();
  }

  #openTransport(start: number): SimTransport {
    const { around, number } = this.#machine;
    const { mix, streamOf, isBad } = around;
    return new SimTransport({
      session: start,
      nodeIds: around.nodeIds,
      send: (to, packet) => {
        this.#watchVote(to, packet.message);
        around.network.send(number, to, packet);
      },
      sessionOf: around.sessionOf,
      peers: () => around.peersOf(number),
      clock: this.#clock,
      refusals: new BusRefusals(streamOf(`bus ${number}`), mix.bus, isBad),
      onProgramError: (error) => around.world.end({ kind: "violation", error }),
      isAlive: this.#alive,
    });
  }

  #watchVote(to: number, sent: BusMessage): void {
    if (sent.kind !== "datagram" || sent.body.length > VOTE_BYTES_MAX) return;
    const { nodeIds, watch } = this.#machine.around;
    const message = decodeMessage(sent.body, nodeIds[this.#machine.number] ?? "", nodeIds[to] ?? "");
    const { kind, from, term } = message;
    if (kind === "vote-response" && message.granted) watch.voted(from, term, message.to);
    // Who asks has voted for itself, and may forget it no more than a vote for another.
    if (kind === "vote-request") watch.voted(from, term, from);
  }

  #checkpointAgain(): void {
    const { around, clock, number } = this.#machine;
    const ms = around.mix.store.checkpointEveryMs * around.random.between(0.5, 1.5);
    clock.after(ms, number, this.#alive, () => {
      void this.#storage.store?.checkpoint().then(
        () => this.#checkpointAgain(),
        () => undefined,
      );
    });
  }

  #scrubAgain(): void {
    const { around, clock, number } = this.#machine;
    const ms = around.streamOf(`scrub ${number}`).magnitude(SCRUB_MS_MIN, SCRUB_MS_MAX);
    clock.after(around.isBad() ? ms : SCRUB_MS_GOOD, number, this.#alive, () => {
      this.#storage.store?.scrub();
      this.#scrubAgain();
    });
  }

  #note(message: string, fields: unknown): void {
    if (this.#isAlive)
      this.#machine.around.log(this.#machine.number, `${message} ${JSON.stringify(fields ?? {})}`);
  }
}
