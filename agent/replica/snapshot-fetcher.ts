import { Backoff } from "../bus/backoff.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { isTrivetError, messageOf, TrivetError } from "../platform/trivet-error.ts";
import type { SnapshotManifest, SnapshotReceiver, SnapshotStore } from "../store/snapshot.ts";
import { isStoreEnded } from "../store/store-failure.ts";
import type { LogPosition } from "../store/types.ts";
import { askSource } from "./ask-source.ts";
import { Gate } from "./gate.ts";
import { pause } from "./pause.ts";
import type { Transport } from "./ports.ts";
import { SnapshotDownload } from "./snapshot-download.ts";
import { isNeeded, minIndexOf, type SnapshotWant, sourcesOf, type WantingMember } from "./snapshot-want.ts";
import {
  decodeOpened,
  encodeClose,
  encodeOpen,
  type OpenedSnapshot,
  SNAPSHOT_CLOSE,
  SNAPSHOT_OPEN,
} from "./snapshot-wire.ts";

/**
 * Opening takes a checkpoint, and one pass over the databases for their checksums: it is waited for as long as the source gets on with
 * it (`SnapshotServer`), and says so. A source that is silent must not hold up the others; who asks again waits for the same opening.
 */
const OPEN_TIMEOUT_MS = 3_600_000;
const OPEN_SILENCE_MS = 3_000;
const CLOSE_TIMEOUT_MS = 1_000;

/** So long a download waits for its link to come back if nobody else leads now. Its source keeps it open no longer, either. */
const STALL_MS = 30_000;

/** A source that gives nothing for so long is left if another node leads by now: it may be cut off with the old leader, or be it. */
const SILENT_MS = 1_000;

/** Waits between tries. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 3_000;

/** So many refusals tell what there is to know. */
const ATTEMPTS_TOLD = 8;

/** Why a try ended: see `SILENT_MS`. */
const OUTDONE = "snapshot-outdone";

export interface SnapshotProgress {
  /** Node that it comes from. */
  readonly source: string;
  readonly position: LogPosition;
  readonly receivedBytes: number;
  readonly totalBytes: number;
  /** See `SnapshotFetcher.pause`. */
  readonly isPaused: boolean;
}

export interface SnapshotFetcherOptions {
  readonly clusterId: string;
  readonly store: Pick<SnapshotStore, "receiveSnapshot">;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where the member stands now. */
  readonly member: () => WantingMember;
  /** A source has one open, for this want. */
  readonly onOpened: (want: SnapshotWant) => Promise<void>;
  /** The try has ended, and nothing is on its way. */
  readonly onIdle: () => void;
  /** All of it is here: replaces the store, or discards it and rejects if it is too old by now. */
  readonly install: (
    receiver: SnapshotReceiver,
    manifest: SnapshotManifest,
    want: SnapshotWant,
  ) => Promise<void>;
  readonly onFailed: (error: unknown) => void;
}

/**
 * Fetches a snapshot until one is installed: from one source as long as that answers, also when it does not lead any more; then
 * from whoever is best.
 */
export class SnapshotFetcher {
  readonly #options: SnapshotFetcherOptions;
  readonly #stopping = new AbortController();
  /** Ends what is being tried for the present want. */
  #trying = new AbortController();
  readonly #backoff: Backoff;
  readonly #room = new Gate();
  #want: SnapshotWant | null = null;
  #download: SnapshotDownload | null = null;
  /** Whom the present try asks and what for, and whom it was best to ask when it began. */
  #asked: {
    readonly source: string;
    readonly reason: SnapshotWant["reason"];
    readonly best: string;
    /** When it was asked, or has said that it is at work. */
    heardMs: number;
  } | null = null;
  /** Sources that were tried in vain. */
  #attempts = 0;
  #isRunning = false;

  constructor(options: SnapshotFetcherOptions) {
    this.#options = options;
    this.#backoff = new Backoff(RETRY_MIN_MS, RETRY_MAX_MS, options.random);
  }

  /** True until one is installed, or is not needed any more. */
  get isWanting(): boolean {
    return this.#want !== null;
  }

  /** Null while no snapshot is on its way. */
  get progress(): SnapshotProgress | null {
    const download = this.#download;
    if (download === null) return null;
    const { source, receivedBytes, totalBytes } = download;
    const { position } = download.opened.manifest;
    return { source, position, receivedBytes, totalBytes, isPaused: this.#room.isShut };
  }

  /** Idempotent while one is wanted: only the newest want counts. */
  want(want: SnapshotWant): void {
    this.#want = want;
    if (this.#stopping.signal.aborted) return;
    if (this.#isRunning) this.#leaveUnfitSource(want);
    else void this.#run();
  }

  /**
   * To be called when consensus has moved, and that is often: what the log has brought need not travel any further, and another
   * node may lead.
   */
  reconsider(): void {
    if (this.#want === null) return;
    if (this.#isNeeded(this.#want)) {
      this.#leaveSilentSource(this.#want);
      return;
    }
    this.#trying.abort(new TrivetError("snapshot-not-needed", "The log has brought what was being fetched."));
  }

  /**
   * Asks for nothing more until `resume`, because there is no room for it; what is on its way is kept. What is all here is installed
   * yet: that makes room.
   */
  pause(): void {
    this.#room.shut();
  }

  resume(): void {
    this.#room.open();
  }

  stop(): void {
    const reason = new Error("The replica stops.");
    this.#stopping.abort(reason);
    this.#trying.abort(reason);
  }

  async #run(): Promise<void> {
    const { clock, logger, onFailed } = this.#options;
    const { signal } = this.#stopping;
    this.#isRunning = true;
    try {
      while (this.#want !== null) {
        signal.throwIfAborted();
        this.#trying = new AbortController();
        const met = this.#isNeeded(this.#want) ? await this.#tryOnce(this.#want) : this.#want;
        if (met !== null) await this.#discard();
        if (this.#download === null) this.#options.onIdle();
        if (met === null) {
          await pause(clock, this.#backoff.nextMs(), signal);
          continue;
        }
        // One that came meanwhile is not met by that.
        if (this.#want === met) this.#want = null;
      }
    } catch (error) {
      if (!signal.aborted) onFailed(error);
      else
        await this.#discard().catch((reason: unknown) => {
          logger.log("debug", "A snapshot on its way could not be discarded.", { reason });
        });
    } finally {
      this.#isRunning = false;
      this.#asked = null;
      this.#attempts = 0;
      this.#backoff.reset();
    }
  }

  /** The want that is met: its snapshot is installed, or not needed any more. Null: not yet. */
  async #tryOnce(want: SnapshotWant): Promise<SnapshotWant | null> {
    const sources = sourcesOf(want, this.#options.member());
    const resumed = sources.find((source) => source === this.#download?.source);
    const source = resumed ?? sourceOf(sources, this.#attempts);
    if (source === undefined) return null;
    const { reason } = want;
    this.#asked = { source, reason, best: sources[0] ?? source, heardMs: this.#options.clock.nowMs() };
    try {
      return await this.#fetchFrom(source, want);
    } catch (error) {
      if (this.#stopping.signal.aborted || !isTrivetError(error) || isStoreEnded(error)) throw error;
      const newest = this.#want ?? want;
      if (!this.#isNeeded(newest)) {
        // mark: replica: the log overtakes a snapshot on its way
        this.#options.logger.log("info", "A snapshot is not needed any more.", { from: source });
        return newest;
      }
      // What is only doubtful may have to wait for days: until another node is mended.
      const isNews = newest.reason !== "doubtful" || this.#attempts < ATTEMPTS_TOLD;
      this.#options.logger.log(isNews ? "info" : "debug", "A snapshot could not be fetched yet.", {
        from: source,
        reason: messageOf(error),
      });
      if (isTrivetError(this.#trying.signal.reason, OUTDONE)) {
        await this.#discard();
        this.#attempts = 0;
        this.#backoff.reset();
        return null;
      }
      // A link that was lost may come back: then the download goes on. A copy that is only doubtful is served again before that.
      const patienceMs = newest.reason === "doubtful" ? 0 : STALL_MS;
      const isHopeless = (this.#download?.stalledMs ?? 0) > patienceMs || error.code === "snapshot-gone";
      const isOutdone = resumed !== undefined && resumed !== sources[0];
      if (isHopeless || isOutdone) await this.#discard();
      this.#attempts += 1;
      return null;
    }
  }

  /** Who would do for the reason so far need not for a new one: what is diverged is not replaced by just any copy. */
  #leaveUnfitSource(want: SnapshotWant): void {
    const asked = this.#asked;
    if (asked === null || asked.reason === want.reason) return;
    if (sourcesOf(want, this.#options.member()).includes(asked.source)) return;
    this.#trying.abort(
      new TrivetError(OUTDONE, "The source's copy will not do for the reason there is now."),
    );
  }

  #leaveSilentSource(want: SnapshotWant): void {
    const asked = this.#asked;
    // What is not asked for does not come.
    if (asked === null || this.#room.isShut) return;
    const [best] = sourcesOf(want, this.#options.member());
    if (best === undefined || best === asked.source || best === asked.best) return;
    const silentMs = this.#options.clock.nowMs() - asked.heardMs;
    if (Math.min(silentMs, this.#download?.stalledMs ?? silentMs) < SILENT_MS) return;
    // mark: replica: a silent source of a snapshot is left for a new leader
    this.#trying.abort(
      new TrivetError(OUTDONE, "Another node leads, and the source of the snapshot is silent."),
    );
  }

  async #fetchFrom(source: string, want: SnapshotWant): Promise<SnapshotWant> {
    const { clusterId, store, transport, clock, random, logger, install } = this.#options;
    const { member, onOpened } = this.#options;
    const { signal } = this.#trying;
    await this.#room.pass(signal);
    let download = this.#download;
    const onWorking = (): void => {
      if (this.#asked !== null) this.#asked.heardMs = clock.nowMs();
    };
    const patience = { timeoutMs: OPEN_TIMEOUT_MS, silenceMs: OPEN_SILENCE_MS, onWorking };
    const open = async (): Promise<OpenedSnapshot> => {
      const body = encodeOpen({ clusterId, minIndex: minIndexOf(want, member()) });
      return decodeOpened(await askSource(transport, source, SNAPSHOT_OPEN, body, { ...patience, signal }));
    };
    let opened = await open();
    await onOpened(want);
    // What was applied while it was opened, reads may have seen.
    if (opened.manifest.position.index < minIndexOf(want, member())) opened = await open();
    const { manifest } = opened;
    if (download?.source === source && download.opened.id === opened.id) {
      // mark: replica: a snapshot is fetched on from where the link was lost
      logger.log("info", "Fetching a snapshot goes on.", { from: source, received: download.receivedBytes });
    } else {
      await this.#discard();
      logger.log("info", "Fetching a snapshot.", { from: source, index: manifest.position.index });
      const receiver = await store.receiveSnapshot(manifest);
      download = new SnapshotDownload({
        source,
        opened,
        receiver,
        transport,
        clock,
        random,
        room: this.#room,
      });
      this.#download = download;
    }
    await download.run(signal);
    // It may have been left while the last piece was written.
    signal.throwIfAborted();
    this.#asked = null;
    // What it holds is the receiver's from here on: installed or discarded there.
    this.#download = null;
    // Meanwhile another reason may have come.
    const newest = this.#want ?? want;
    await install(download.receiver, manifest, newest);
    this.#tellDone(source, opened.id);
    return newest;
  }

  #isNeeded(want: SnapshotWant): boolean {
    return isNeeded(want, this.#options.member());
  }

  async #discard(): Promise<void> {
    const download = this.#download;
    this.#download = null;
    if (download === null) return;
    this.#tellDone(download.source, download.opened.id);
    await download.receiver.discard();
  }

  /** A courtesy: else the source finds out by itself. */
  #tellDone(source: string, id: string): void {
    const { transport, logger } = this.#options;
    const options = { timeoutMs: CLOSE_TIMEOUT_MS, signal: this.#stopping.signal };
    transport.request(source, SNAPSHOT_CLOSE, encodeClose(id), options).catch((reason: unknown) => {
      logger.log("debug", "The source of a snapshot was not told that it is done.", { from: source, reason });
    });
  }
}

/** The first, which is the leader where there is one, every other time; the rest in turn: they may all be dead but one. */
function sourceOf(sources: readonly string[], attempt: number): string | undefined {
  const others = sources.length - 1;
  if (attempt % 2 === 0 || others === 0) return sources[0];
  return sources[1 + (((attempt - 1) / 2) % others)];
}
