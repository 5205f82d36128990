import type { StorePositions } from "../../agent/replica/one-history.ts";
import type { SnapshotFileName } from "../../agent/store/snapshot.ts";
import type { LogPosition } from "../../agent/store/types.ts";
import { ModelFile, type PackedContent } from "./model-file.ts";
import type { HistoryLimits } from "./model-objects.ts";
import type { SimRandom } from "./sim-random.ts";

/** Of the crashes: one file keeps all, and the other nothing. */
const APART_RATE = 0.3;

/** As the store's own marker (`InstallMarker`). */
interface Marker {
  readonly phase: "swapping" | "swapped";
  readonly position: LogPosition;
}

/** The two database files of a node, and what an installation keeps beside them. They outlive its processes. */
export class ModelFiles {
  readonly app: ModelFile;
  readonly state: ModelFile;
  /** They are found not to be databases any more, or have been found to be flipped. */
  isDamaged = false;
  readonly #staged = new Map<SnapshotFileName, PackedContent>();
  #marker: Marker | null = null;

  constructor(history: HistoryLimits) {
    this.app = new ModelFile("app", history);
    this.state = new ModelFile("state", history);
  }

  /** Of a snapshot that was installed, until the log stands on it. */
  get pendingInstall(): LogPosition | null {
    return this.#marker?.position ?? null;
  }

  /** What the next process finds in them, an installation that was cut included. */
  get positions(): StorePositions {
    const { app, state, pendingInstall } = this;
    if (this.#marker?.phase === "swapping") return { newest: this.#marker.position, pendingInstall };
    const isAppAhead = app.position.index >= state.position.index;
    return { newest: isAppAhead ? app.position : state.position, pendingInstall };
  }

  /** That a bit has flipped in one of them, as the sums of its pages tell whoever looks. */
  get isFlipped(): boolean {
    return this.app.state.isFlipped || this.state.state.isFlipped;
  }

  /** What they hold stays, also if the power goes. */
  makeDurable(): void {
    this.app.checkpoint();
    this.state.checkpoint();
  }

  finishInstall(): void {
    this.#marker = null;
  }

  /** Of what was not checkpointed, the whole or nothing are as likely to be kept as everything in between. */
  crash(random: SimRandom): void {
    const app = Math.min(1, Math.max(0, random.between(-0.5, 1.5)));
    const state = Math.min(1, Math.max(0, random.between(-0.5, 1.5)));
    // One may be as far ahead of the other as can be: each has its own checkpoints.
    const areApart = random.isTrue(APART_RATE);
    this.app.crash(areApart ? Math.round(app) : app);
    this.state.crash(areApart ? 1 - Math.round(app) : state);
  }

  /** While the new files take the place of the old ones: until then nobody has looked at what came. */
  get isSwapping(): boolean {
    return this.#marker?.phase === "swapping";
  }

  /**
   * The steps of an installation, each durable, `onInstalled` being part of the last. A crash leaves the old files before the second
   * one is done, and the new ones after it.
   */
  installSteps(
    position: LogPosition,
    images: ReadonlyMap<SnapshotFileName, Buffer>,
    onInstalled: () => void,
  ): readonly (() => void)[] {
    return [
      () => {
        for (const [name, image] of images) this.#staged.set(name, JSON.parse(String(image)));
      },
      () => {
        this.#marker = { phase: "swapping", position };
      },
      () => this.#swap("app.db", this.app),
      () => this.#swap("state.db", this.state),
      () => {
        this.#marker = { phase: "swapped", position };
        onInstalled();
      },
    ];
  }

  /** At the start: brings an installation to its end that a crash has cut. Its position; null if there was none. */
  recoverInstall(): LogPosition | null {
    const marker = this.#marker;
    if (marker?.phase !== "swapping") {
      this.#staged.clear();
      return null;
    }
    this.#swap("app.db", this.app);
    this.#swap("state.db", this.state);
    this.#marker = { ...marker, phase: "swapped" };
    return marker.position;
  }

  /** A file whose staged one is gone is the new one already. */
  #swap(name: SnapshotFileName, file: ModelFile): void {
    const staged = this.#staged.get(name);
    if (staged !== undefined) file.unpack(staged);
    this.#staged.delete(name);
  }
}
