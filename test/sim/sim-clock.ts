import type { Clock, Timer } from "../../agent/platform/clock.ts";
import type { World } from "./world.ts";

/** When the wall clocks of all nodes begin: no year matters. */
const WALL_START_MS = 1_700_000_000_000;

/**
 * The clock of one node: runs a little fast or slow, and its wall clock jumps. While the node is paused (SIGSTOP, a
 * hypervisor that does something else) its time goes on and nothing of it runs.
 */
export class SimClock {
  readonly #world: World;
  readonly #rate: number;
  readonly #offsetMs: number;
  #wallOffsetMs = 0;
  #pausedUntilMs = 0;

  /** `rate` 1 is exact, 1.01 gains a hundredth. */
  constructor(world: World, options: { readonly rate: number; readonly offsetMs: number }) {
    this.#world = world;
    this.#rate = options.rate;
    this.#offsetMs = options.offsetMs;
  }

  nowMs(): number {
    return this.#offsetMs + this.#world.nowMs * this.#rate;
  }

  wallMs(): number {
    return Math.floor(WALL_START_MS + this.#world.nowMs * this.#rate + this.#wallOffsetMs);
  }

  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  pause(ms: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#world.nowMs + ms);
  }

  get isPaused(): boolean {
    return this.#pausedUntilMs > this.#world.nowMs;
  }

  wake(): void {
    this.#pausedUntilMs = 0;
  }

  /** Runs `act` after `delayMs` of world time; later if the node is paused then. Never if `isAlive` says no. */
  after(delayMs: number, actor: number, isAlive: () => boolean, act: () => void): { cancel(): void } {
    let isCancelled = false;
    const schedule = (waitMs: number) => this.#world.at(waitMs, actor, fire);
    const fire = () => {
      if (isCancelled || !isAlive()) return;
      const waitMs = this.#pausedUntilMs - this.#world.nowMs;
      if (waitMs > 0) event = schedule(waitMs);
      else act();
    };
    let event = schedule(delayMs);
    return {
      cancel: () => {
        isCancelled = true;
        event.run = null;
      },
    };
  }

  /** As one process sees it; nothing is called any more once `isAlive` says no. */
  forProcess(actor: number, isAlive: () => boolean, deferMs: () => number): Clock {
    return {
      nowMs: () => this.nowMs(),
      wallMs: () => this.wallMs(),
      setTimer: (delayMs, callback): Timer => this.after(delayMs / this.#rate, actor, isAlive, callback),
      defer: (callback) => {
        this.after(deferMs(), actor, isAlive, callback);
      },
    };
  }
}
