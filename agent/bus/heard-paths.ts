import type { Clock, Timer } from "../platform/clock.ts";

interface Heard {
  readonly paths: Set<number>;
  readonly sinceMs: number;
}

export interface HeardPathsOptions {
  readonly limits: {
    readonly confirmDelayMs: number;
    readonly sendersMax: number;
    readonly linksMax: number;
  };
  readonly clock: Clock;
  /** Sends the node something that confirms what it may be told: nothing went to it by itself for too long. */
  readonly confirm: (nodeId: string) => void;
}

/**
 * On which of its paths we heard each node, until we told it. That goes with what is sent to the node anyway: Raft
 * answers nearly everything, so that most of it costs no message.
 */
export class HeardPaths {
  readonly #options: HeardPathsOptions;
  readonly #heard = new Map<string, Heard>();
  #timer: Timer | null = null;

  constructor(options: HeardPathsOptions) {
    this.#options = options;
  }

  note(nodeId: string, path: number): void {
    const { clock, limits } = this.#options;
    let heard = this.#heard.get(nodeId);
    if (heard === undefined) {
      if (this.#heard.size >= limits.sendersMax) return;
      heard = { paths: new Set(), sinceMs: clock.nowMs() };
      this.#heard.set(nodeId, heard);
      this.#timer ??= clock.setTimer(limits.confirmDelayMs, () => this.#confirmOverdue());
    }
    // Its links, and its own broker.
    if (heard.paths.size <= limits.linksMax) heard.paths.add(path);
  }

  /** What the node has not been told, to be told now. */
  take(nodeId: string): readonly number[] {
    const heard = this.#heard.get(nodeId);
    if (heard === undefined) return NONE;
    this.#heard.delete(nodeId);
    return [...heard.paths];
  }

  close(): void {
    this.#timer?.cancel();
    this.#heard.clear();
  }

  /** The map is in the order of `sinceMs`: entries are made anew after each `take`. */
  #confirmOverdue(): void {
    const { clock, limits, confirm } = this.#options;
    const nowMs = clock.nowMs();
    this.#timer = null;
    for (const [nodeId, { sinceMs }] of this.#heard) {
      const leftMs = sinceMs + limits.confirmDelayMs - nowMs;
      if (leftMs > 0) {
        this.#timer = clock.setTimer(leftMs, () => this.#confirmOverdue());
        return;
      }
      confirm(nodeId);
      // With no way to it, there is nobody to tell.
      this.#heard.delete(nodeId);
    }
  }
}

const NONE: readonly number[] = [];
