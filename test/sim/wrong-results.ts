import type { CommandResult } from "../../agent/store/types.ts";
import type { SimRandom } from "./sim-random.ts";

/**
 * Makes a member compute something else than the others do, now and then: a bit flips in its memory, its library has a bug. What
 * clients ask for stays right, so that everything else can still be held to it: wrong is the id of a row that they do not look at.
 */
export class WrongResults {
  readonly #number: number;
  readonly #random: SimRandom;
  readonly #rate: number;
  readonly #mayErr: () => boolean;
  #isForced = false;

  /** `rate` of the results of writes are wrong while `mayErr`. */
  constructor(options: {
    readonly number: number;
    readonly random: SimRandom;
    readonly rate: number;
    readonly mayErr: () => boolean;
  }) {
    this.#number = options.number;
    this.#random = options.random;
    this.#rate = options.rate;
    this.#mayErr = options.mayErr;
  }

  /** The next result that can be wrong is. */
  force(): void {
    this.#isForced = true;
  }

  /** Another result in place of `result`; or null, which it mostly is. */
  replacementOf(result: CommandResult): CommandResult | null {
    if (!result.some(({ kind }) => kind === "changed")) return null;
    const isDrawn = this.#rate > 0 && this.#random.isTrue(this.#rate) && this.#mayErr();
    if (!isDrawn && !this.#isForced) return null;
    this.#isForced = false;
    return result.map((each) => {
      return each.kind === "changed" ? { ...each, lastInsertId: 1 + this.#number } : each;
    });
  }
}
