import { Backoff } from "../bus/backoff.ts";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import type { SnapshotFileName, SnapshotManifest, SnapshotReceiver } from "../store/snapshot.ts";
import { askSource } from "./ask-source.ts";
import type { Gate } from "./gate.ts";
import { pause } from "./pause.ts";
import type { Transport } from "./ports.ts";
import {
  decodePiece,
  encodeRead,
  type OpenedSnapshot,
  PIECE_BYTES_MAX,
  SNAPSHOT_READ,
} from "./snapshot-wire.ts";

/** Pieces on their way at once: enough to fill a link, and little enough that a heartbeat never waits long behind them. */
const WINDOW_PIECES = 4;

const READ_TIMEOUT_MS = 2_000;
/** How long one piece is asked for before the download is interrupted. */
const PATIENCE_MS = 3_000;
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1_000;

/** What passes by itself: the link was lost, or the piece was. */
const PASSING = [
  "no-route",
  "request-timeout",
  "peer-down",
  "busy",
  "too-many-requests",
  "piece-damaged",
  "malformed-datagram",
  "malformed-cbor",
];

export interface SnapshotDownloadOptions {
  readonly source: string;
  readonly opened: OpenedSnapshot;
  readonly receiver: SnapshotReceiver;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  /** Shut while there is no room for more. */
  readonly room: Gate;
}

interface Piece {
  readonly name: SnapshotFileName;
  readonly offset: number;
  readonly length: number;
}

/**
 * One snapshot of one source on its way here, piece by piece. What fails is asked for again; a download that was interrupted goes on
 * where it ended while the source keeps the snapshot open.
 */
export class SnapshotDownload {
  readonly #options: SnapshotDownloadOptions;
  readonly #pieces: Iterator<Piece>;
  /** Taken, and not received. */
  readonly #returned: Piece[] = [];
  readonly totalBytes: number;
  #receivedBytes = 0;
  #receivedMs: number;

  constructor(options: SnapshotDownloadOptions) {
    this.#options = options;
    this.#receivedMs = options.clock.nowMs();
    this.#pieces = piecesOf(options.opened.manifest);
    this.totalBytes = options.opened.manifest.files.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get source(): string {
    return this.#options.source;
  }

  get opened(): OpenedSnapshot {
    return this.#options.opened;
  }

  get receiver(): SnapshotReceiver {
    return this.#options.receiver;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Since the last piece came. */
  get stalledMs(): number {
    return this.#options.clock.nowMs() - this.#receivedMs;
  }

  /**
   * Resolves once every piece is written. Rejects with what ended it: `snapshot-gone` and the like of the source, what the
   * receiver's disk says, or the reason of `signal`.
   */
  async run(signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const end = (): void => ended.abort(signal.reason);
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
    try {
      const workers = Array.from({ length: WINDOW_PIECES }, () =>
        this.#work(ended.signal).catch((error: unknown) => {
          // The first failure ends all; those that it ends say no more than that.
          ended.abort(error);
        }),
      );
      await Promise.all(workers);
    } finally {
      signal.removeEventListener("abort", end);
    }
    ended.signal.throwIfAborted();
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (let piece = this.#take(); piece !== null; piece = this.#take()) {
      try {
        await this.#untilRoom(signal);
        const bytes = await this.#fetch(piece, signal);
        await this.#options.receiver.write(piece.name, piece.offset, bytes);
        this.#receivedBytes += piece.length;
        this.#receivedMs = this.#options.clock.nowMs();
      } catch (error) {
        this.#returned.push(piece);
        throw error;
      }
    }
  }

  async #untilRoom(signal: AbortSignal): Promise<void> {
    const { room, clock } = this.#options;
    if (!room.isShut) return;
    // mark: replica: a snapshot on its way waits for room
    await room.pass(signal);
    // It was not the source that took so long.
    this.#receivedMs = clock.nowMs();
  }

  #take(): Piece | null {
    const returned = this.#returned.pop();
    if (returned !== undefined) return returned;
    const { value, done } = this.#pieces.next();
    return done === true ? null : value;
  }

  async #fetch(piece: Piece, signal: AbortSignal): Promise<Uint8Array> {
    const { source, opened, transport, clock, random } = this.#options;
    const body = encodeRead({ id: opened.id, ...piece });
    const backoff = new Backoff(RETRY_MIN_MS, RETRY_MAX_MS, random);
    const giveUpMs = clock.nowMs() + PATIENCE_MS;
    for (;;) {
      signal.throwIfAborted();
      try {
        const options = { timeoutMs: READ_TIMEOUT_MS, signal };
        return decodePiece(await askSource(transport, source, SNAPSHOT_READ, body, options), piece.length);
      } catch (error) {
        const isPassing = isTrivetError(error) && PASSING.includes(error.code);
        if (!isPassing || signal.aborted || clock.nowMs() >= giveUpMs) throw error;
        // mark: replica: a piece of a snapshot is asked for again
        await pause(clock, backoff.nextMs(), signal);
      }
    }
  }
}

function* piecesOf({ files }: SnapshotManifest): Generator<Piece, undefined> {
  for (const { name, bytes } of files) {
    for (let offset = 0; offset < bytes; offset += PIECE_BYTES_MAX) {
      yield { name, offset, length: Math.min(PIECE_BYTES_MAX, bytes - offset) };
    }
  }
}
