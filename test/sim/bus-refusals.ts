import type { SimRandom } from "./sim-random.ts";

/** How often a bus says at once that it does not carry something: of what is sent, while the bad time lasts. */
export interface BusMix {
  /** Nobody knows a way to the node, or the way there is full. */
  readonly noRouteRate: number;
  /** Too many requests of this agent wait already. */
  readonly tooManyRate: number;
  /** Of the requests that arrive: the agent works on too many. */
  readonly busyRate: number;
}

export function drawBusMix(random: SimRandom): BusMix {
  const maybe = () => (random.isTrue(0.3) ? random.magnitude(0.002, 0.2) : 0);
  return { noRouteRate: maybe(), tooManyRate: maybe(), busyRate: maybe() };
}

/** What the bus of one agent refuses. */
export class BusRefusals {
  readonly #random: SimRandom;
  readonly #mix: BusMix;
  readonly #isBad: () => boolean;

  constructor(random: SimRandom, mix: BusMix, isBad: () => boolean) {
    this.#random = random;
    this.#mix = mix;
    this.#isBad = isBad;
  }

  get hasRoute(): boolean {
    return !this.#isDrawn(this.#mix.noRouteRate);
  }

  /** The code that a request is refused with before it leaves; null if it is not. */
  get ofRequest(): "no-route" | "too-many-requests" | null {
    if (!this.hasRoute) return "no-route";
    return this.#isDrawn(this.#mix.tooManyRate) ? "too-many-requests" : null;
  }

  get isBusy(): boolean {
    return this.#isDrawn(this.#mix.busyRate);
  }

  #isDrawn(rate: number): boolean {
    return rate > 0 && this.#random.isTrue(rate) && this.#isBad();
  }
}
