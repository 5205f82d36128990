import type { Machine, Surroundings } from "./machine.ts";
import { NodeData } from "./node-data.ts";
import { SimClock } from "./sim-clock.ts";
import { SimDiskSpace } from "./sim-disk-space.ts";
import { ProcessDied, SimProcess } from "./sim-process.ts";
import { StoreHang } from "./store-hang.ts";
import { Violation } from "./violation.ts";
import { WrongResults } from "./wrong-results.ts";

const RESTART_MS_MIN = 50;
const RESTART_MS_MAX = 4_000;
/** How long an agent that has failed takes to end. */
const CLOSING_MS_MIN = 0.1;
const CLOSING_MS_MAX = 500;

/** A machine: its disk and its clock, and now and then a process that runs an agent's consensus on them. */
export class SimNode implements Machine {
  readonly number: number;
  readonly nodeId: string;
  readonly clock: SimClock;
  readonly around: Surroundings;
  readonly data: NodeData;
  /** Never comes back: the disk is lost or damaged. */
  isOut = false;
  readonly space: SimDiskSpace;
  readonly results: WrongResults;
  readonly hang = new StoreHang();
  #process: SimProcess | null = null;
  #starts = 0;

  constructor(number: number, around: Surroundings) {
    this.number = number;
    this.around = around;
    this.nodeId = around.nodeIds[number] ?? "";
    this.data = new NodeData(this.nodeId, around.mix.objects.history);
    const { world, random, mix, streamOf, isBad } = around;
    const space = streamOf(`space ${number}`);
    this.space = new SimDiskSpace(space, () => isBad() && space.isTrue(mix.space.unreadableRate));
    this.results = new WrongResults({
      number,
      random: streamOf(`results ${number}`),
      rate: mix.results.wrongRate,
      // Two at once that differ leave nobody who could tell.
      mayErr: () => isBad() && around.copies.areAlike,
    });
    this.clock = new SimClock(world, {
      rate: 1 + random.between(-1, 1) * mix.clock.driftMax,
      offsetMs: random.between(0, 1e6),
    });
  }

  get memberId(): string {
    return this.data.memberId;
  }

  /** Null while it is down. */
  get process(): SimProcess | null {
    return this.#process;
  }

  /** How many processes it has had. */
  get starts(): number {
    return this.#starts;
  }

  get isUp(): boolean {
    return this.#process?.replica != null;
  }

  /** A quorum is left without it. */
  get isSpare(): boolean {
    const { watch, lost } = this.around;
    return watch.hasQuorumWithout(new Set([...lost, this.memberId]));
  }

  start(): void {
    if (this.#process !== null || this.isOut) return;
    this.#starts += 1;
    this.around.log(this.number, "starts");
    const process = new SimProcess(this, this.#starts);
    this.#process = process;
    const { world, random, mix, isBad } = this.around;
    if (isBad() && random.isTrue(mix.process.crashLoopRate)) {
      world.at(random.magnitude(0.1, 200), this.number, () => {
        if (this.#process === process && isBad())
          this.crash({ isPowerCut: random.isTrue(mix.process.powerCutRate) });
      });
    }
    process.run().catch((error: unknown) => this.processFailed(process.session, error));
  }

  /** The process ended by itself, with an error. That is right only where the world gave it a reason. */
  processFailed(session: string, error: unknown): void {
    const process = this.#process;
    if (error instanceof ProcessDied || process?.session !== session) return;
    const { world, streamOf } = this.around;
    const reason = error instanceof Error ? error.message : String(error);
    this.around.log(this.number, `fails: ${reason}`);
    if (!process.hasReasonToFail(error)) {
      const violation = new Violation(`node ${this.number} failed without a fault: ${reason}`, {
        cause: error,
      });
      world.end({ kind: "violation", error: violation });
      return;
    }
    // The agent closes its parts one after the other: meanwhile others still hear of it, and from it.
    const closingMs = streamOf(`closing ${this.number}`).magnitude(CLOSING_MS_MIN, CLOSING_MS_MAX);
    world.at(closingMs, this.number, () => {
      if (this.#process !== process) return;
      this.#end(false);
      this.#restartLater();
    });
  }

  /** kill -9, or the power goes. Comes back by itself. */
  crash({ isPowerCut }: { readonly isPowerCut: boolean }): void {
    if (this.#process === null) return;
    this.around.log(this.number, isPowerCut ? "loses power" : "is killed");
    this.#end(isPowerCut);
    this.#restartLater();
  }

  /** A stop in good order, and a start again. */
  async restart(): Promise<void> {
    const process = this.#process;
    if (process === null) return;
    this.around.log(this.number, "stops");
    await process.stop();
    if (this.#process !== process) return;
    this.#end(false);
    this.#restartLater();
  }

  /** The power goes, and when it comes back the log is gone; the node knows who it is. */
  loseLog(): void {
    this.around.log(this.number, "loses its log");
    this.around.lost.add(this.memberId);
    this.crash({ isPowerCut: true });
    this.data.loseLog();
  }

  /** The disk is gone for good, and with it this member. */
  lose(why: string): void {
    this.around.log(this.number, `is lost: ${why}`);
    this.around.lost.add(this.memberId);
    this.#end(true);
    this.around.copies.gone(this.memberId);
    this.isOut = true;
  }

  /** With an empty disk, as a new member (design 2). */
  comeBack(): void {
    if (!this.isOut) return;
    this.data.renew();
    this.data.clear();
    this.data.hasJoined = false;
    this.data.rejoin = null;
    this.isOut = false;
    this.start();
  }

  #end(isPowerCut: boolean): void {
    const { network, random, onDown } = this.around;
    const process = this.#process;
    this.#process = null;
    network.attach(this.number, null);
    this.clock.wake();
    this.data.crash(random, isPowerCut);
    process?.died();
    onDown(this.number);
  }

  #restartLater(): void {
    const { world, random } = this.around;
    world.at(random.magnitude(RESTART_MS_MIN, RESTART_MS_MAX), this.number, () => this.start());
  }
}
