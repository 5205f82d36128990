import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import type { SnapshotStore, StoreSnapshot } from "../store/snapshot.ts";
import type { LogPosition } from "../store/types.ts";
import type { Transport } from "./ports.ts";
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

/** Receivers at once: more would only share the same disk and link. */
const READERS_MAX = 4;

/** Who asks for nothing so long has gone, or has found another source. Longer than a receiver waits before it gives this one up. */
const IDLE_MS = 30_000;

/** Who reads asks for the next piece sooner than that, also where some are lost. Longer, it holds up nobody who needs a newer snapshot. */
const READING_MS = 5_000;

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
  /** Nodes that read it, and when each asked for something last. */
  readonly readers: Map<string, number>;
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
  #timer: Timer | null = null;
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

  /** What is being sent: the log is to be kept from here on. Null if nothing is. */
  get position(): LogPosition | null {
    return this.#open?.snapshot.position ?? null;
  }

  /** Ends what is being sent; its readers must begin anew. */
  async end(): Promise<void> {
    const open = this.#open;
    this.#open = null;
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
    const { id, snapshot, readers } = await this.#openFor(from, minIndex);
    readers.set(from, this.#options.clock.nowMs());
    return encodeOpened({ id, manifest: snapshot });
  }

  async #answerRead(from: string, body: Uint8Array): Promise<Uint8Array> {
    const { id, name, offset, length } = decodeRead(body);
    const open = this.#open;
    if (open?.id !== id || !open.readers.has(from)) throw snapshotGone();
    open.readers.set(from, this.#options.clock.nowMs());
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
    open.readers.delete(from);
    if (open.readers.size === 0) await this.end();
  }

  /** The open snapshot if it is new enough, else a new one if nobody else reads the old one. */
  async #openFor(from: string, minIndex: number): Promise<Open> {
    const usefulIndex = Math.max(minIndex, this.#options.baseIndex());
    const open = (await this.#opening) ?? this.#open;
    if (open !== null && open === this.#open && open.snapshot.position.index >= usefulIndex) {
      if (!open.readers.has(from) && open.readers.size >= READERS_MAX) throw busy();
      return open;
    }
    if (open !== null && this.#isReadByOthers(open, from)) throw busy();
    this.#opening ??= this.#openNew().finally(() => {
      this.#opening = null;
    });
    const opened = await this.#opening;
    const { index } = opened.snapshot.position;
    if (index >= usefulIndex) return opened;
    throw new TrivetError(
      "snapshot-too-old",
      `This node has applied entry ${index} and cannot give a snapshot from ${usefulIndex} on: ask the leader.`,
    );
  }

  #isReadByOthers({ readers }: Open, from: string): boolean {
    const sinceMs = this.#options.clock.nowMs() - READING_MS;
    return [...readers].some(([reader, seenMs]) => reader !== from && seenMs > sinceMs);
  }

  async #openNew(): Promise<Open> {
    const { store, random, logger, assertServing } = this.#options;
    await this.end();
    const snapshot = await store.openSnapshot();
    try {
      if (this.#isStopped) throw snapshotGone();
      // It may have been put out of use meanwhile.
      assertServing();
    } catch (error) {
      await snapshot.close();
      throw error;
    }
    const id = Array.from(random.bytes(ID_BYTES), (byte) => byte.toString(16).padStart(2, "0")).join("");
    const open = { id, snapshot, readers: new Map<string, number>() };
    this.#open = open;
    this.#watchIdle(open);
    const bytes = snapshot.files.reduce((sum, file) => sum + file.bytes, 0);
    logger.log("info", "A snapshot is open for others.", { index: snapshot.position.index, bytes });
    return open;
  }

  /** Forgets readers that have gone without a word, and with the last one closes. */
  #watchIdle(open: Open): void {
    const { clock } = this.#options;
    const lastMs = open.readers.size > 0 ? Math.max(...open.readers.values()) : clock.nowMs();
    this.#timer = clock.setTimer(lastMs + IDLE_MS - clock.nowMs(), () => {
      const sinceMs = clock.nowMs() - IDLE_MS;
      for (const [reader, seenMs] of open.readers) if (seenMs <= sinceMs) open.readers.delete(reader);
      if (open.readers.size > 0) {
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

function snapshotGone(): TrivetError {
  return new TrivetError("snapshot-gone", "This snapshot is not open any more: open another one.");
}

function busy(): TrivetError {
  return new TrivetError("busy", "This node sends another snapshot: try again later.");
}
