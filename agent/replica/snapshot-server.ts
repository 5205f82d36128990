import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import type { SnapshotStore, StoreSnapshot } from "../store/snapshot.ts";
import type { LogPosition } from "../store/types.ts";
import type { Transport } from "./ports.ts";
import { SnapshotReaders } from "./snapshot-readers.ts";
import {
  decodeClose,
  decodeOpen,
  decodeRead,
  encodeOpened,
  encodePiece,
  SNAPSHOT_CLOSE,
  SNAPSHOT_OPEN,
  SNAPSHOT_READ,
} from "./snapshot-wire.ts";

/** Who has taken all of it asks for the log behind it by then. */
const FOLLOW_MS = 3_000;

/** An opening that gets no further for so long is not waited for: the disk may hang, and another member have a better one. */
const OPENING_MS = 30_000;

const ID_BYTES = 8;

export interface SnapshotServerOptions {
  readonly clusterId: string;
  readonly store: Pick<SnapshotStore, "openSnapshot">;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Behind which position the log begins: from an older snapshot nobody could go on here. */
  readonly baseIndex: () => number;
  /** Throws if this member's copy is not one to give away. */
  readonly assertServing: () => void;
}

interface Open {
  readonly id: string;
  readonly snapshot: StoreSnapshot;
  readonly readers: SnapshotReaders;
}

/**
 * Gives the databases to members whose log cannot bring them up to date. One snapshot is open at a time, for all who read it:
 * checkpoints wait for its end.
 */
export class SnapshotServer {
  readonly #options: SnapshotServerOptions;
  readonly #stopHandling: readonly (() => void)[];
  #open: Open | null = null;
  #opening: Promise<Open> | null = null;
  /** When it got further last. */
  #openingMs = 0;
  #timer: Timer | null = null;
  /** The last one that was read to its end. */
  #followed: { readonly position: LogPosition; readonly untilMs: number } | null = null;
  #isStopped = false;

  constructor(options: SnapshotServerOptions) {
    this.#options = options;
    const { transport } = options;
    this.#stopHandling = [
      transport.handle(SNAPSHOT_OPEN, (from, body) => this.#answerOpen(from, body)),
      transport.handle(SNAPSHOT_READ, (from, body) => this.#answerRead(from, body)),
      transport.handle(SNAPSHOT_CLOSE, async (from, body) => {
        await this.#readerLeft(from, decodeClose(body));
        return new Uint8Array(0);
      }),
    ];
  }

  /** What is being sent. Null if nothing is. */
  get position(): LogPosition | null {
    return this.#open?.snapshot.position ?? null;
  }

  /** The log is to be kept from here on, for who reads a snapshot or is about to go on behind it. Null if nobody is. */
  get heldPosition(): LogPosition | null {
    const followed = this.#followed;
    if (this.position !== null || followed === null) return this.position;
    return this.#options.clock.nowMs() < followed.untilMs ? followed.position : null;
  }

  /**
   * How much of what is being sent the slowest of those has who get on with it, from 0 to 1. Null if nobody does. Who waits for an
   * opening has nothing yet.
   */
  get sentFraction(): number | null {
    if (this.#opening !== null) return 0;
    return this.#open?.readers.sentFraction ?? null;
  }

  /** Ends what is being sent; its readers must begin anew. */
  async end(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    this.#followed = null;
    this.#timer?.cancel();
    this.#timer = null;
    await open?.snapshot.close();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const stop of this.#stopHandling) stop();
    await this.end();
  }

  async #answerOpen(from: string, body: Uint8Array): Promise<Uint8Array> {
    const { clusterId, minIndex } = decodeOpen(body);
    if (clusterId !== this.#options.clusterId)
      throw new TrivetError("other-cluster", "This node belongs to another cluster: its data is not yours.");
    this.#options.assertServing();
    const open = await this.#openFor(from, minIndex);
    // Also of those that have waited for its opening together.
    if (!open.readers.mayJoin(from)) throw busy();
    open.readers.seen(from, 0);
    const { id, snapshot } = open;
    return encodeOpened({ id, manifest: snapshot });
  }

  async #answerRead(from: string, body: Uint8Array): Promise<Uint8Array> {
    const { id, name, offset, length } = decodeRead(body);
    const open = this.#open;
    if (open?.id !== id || !open.readers.has(from)) throw snapshotGone();
    open.readers.seen(from, length);
    try {
      return encodePiece(await open.snapshot.read(name, offset, length));
    } catch (error) {
      if (isTrivetError(error, "snapshot-gone") && this.#open === open) await this.end();
      throw error;
    }
  }

  async #readerLeft(from: string, id: string): Promise<void> {
    const open = this.#open;
    if (open?.id !== id) return;
    open.readers.left(from);
    if (!open.readers.isEmpty) return;
    const ended = this.end();
    // At once: what comes behind it must not be dropped while it closes.
    const untilMs = this.#options.clock.nowMs() + FOLLOW_MS;
    this.#followed = { position: open.snapshot.position, untilMs };
    await ended;
  }

  /** The open snapshot if it is new enough, else a new one if nobody else reads the old one. */
  async #openFor(from: string, minIndex: number): Promise<Open> {
    const usefulIndex = Math.max(minIndex, this.#options.baseIndex());
    const open = (await this.#untilOpen()) ?? this.#open;
    if (open !== null && open === this.#open && open.snapshot.position.index >= usefulIndex) return open;
    if (open?.readers.isReadByOthers(from)) throw busy();
    this.#opening ??= this.#openNew().finally(() => {
      this.#opening = null;
    });
    const opened = await this.#untilOpen();
    if (opened === null) throw snapshotGone();
    const { index } = opened.snapshot.position;
    if (index >= usefulIndex) return opened;
    throw new TrivetError(
      "snapshot-too-old",
      `This node has applied entry ${index} and cannot give a snapshot from ${usefulIndex} on: ask the leader.`,
    );
  }

  /** Null if none is being opened. Rejects with `snapshot-stalled` while it does not get on; it may, later. */
  async #untilOpen(): Promise<Open | null> {
    const { clock } = this.#options;
    const opening = this.#opening;
    if (opening === null) return null;
    return await new Promise((resolve, reject) => {
      const watch = (waitMs: number): Timer =>
        clock.setTimer(waitMs, () => {
          const leftMs = this.#openingMs + OPENING_MS - clock.nowMs();
          if (leftMs > 0) timer = watch(Math.max(1, leftMs));
          else reject(stalled());
        });
      let timer = watch(OPENING_MS);
      opening.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  async #openNew(): Promise<Open> {
    const { store, random, logger, assertServing } = this.#options;
    await this.end();
    const getsOn = (): void => {
      this.#openingMs = this.#options.clock.nowMs();
    };
    getsOn();
    const snapshot = await store.openSnapshot(getsOn);
    try {
      if (this.#isStopped) throw snapshotGone();
      // It may have been put out of use meanwhile.
      assertServing();
    } catch (error) {
      await snapshot.close();
      throw error;
    }
    const id = Array.from(random.bytes(ID_BYTES), (byte) => byte.toString(16).padStart(2, "0")).join("");
    const totalBytes = bytesOf(snapshot);
    const open = { id, snapshot, readers: new SnapshotReaders(this.#options.clock, totalBytes) };
    this.#open = open;
    this.#watchIdle(open);
    logger.log("info", "A snapshot is open for others.", {
      index: snapshot.position.index,
      bytes: totalBytes,
    });
    return open;
  }

  /** Forgets readers that have gone without a word, and with the last one closes. */
  #watchIdle(open: Open): void {
    const { clock } = this.#options;
    const { readers } = open;
    // What is due now by a rounding is not due by the next look: never at once again.
    this.#timer = clock.setTimer(Math.max(1, readers.idleInMs), () => {
      readers.forgetIdle();
      if (!readers.isEmpty) {
        this.#watchIdle(open);
        return;
      }
      // mark: replica: a snapshot that nobody reads any more was closed
      this.end().catch((error: unknown) => {
        this.#options.logger.log("warn", "A snapshot could not be closed.", { reason: error });
      });
    });
  }
}

function bytesOf({ files }: Pick<StoreSnapshot, "files">): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

function snapshotGone(): TrivetError {
  return new TrivetError("snapshot-gone", "This snapshot is not open any more: open another one.");
}

function stalled(): TrivetError {
  return new TrivetError(
    "snapshot-stalled",
    `For ${OPENING_MS} ms this node has got no further with the snapshot: ask another node, or later.`,
  );
}

function busy(): TrivetError {
  return new TrivetError("busy", "This node sends another snapshot: try again later.");
}
