import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import type { SessionGuard } from "../../agent/store/types.ts";
import { endOfWrite } from "./request-end.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";
import type { Tally } from "./tally.ts";

export interface ClientSessionOptions {
  readonly random: SimRandom;
  readonly nodes: readonly SimNode[];
  readonly drawTimeoutMs: () => number;
  readonly tally: Tally;
}

/** The session that guards the writes of one client: opened when one is needed, and anew when it has expired. */
export class ClientSession {
  readonly #options: ClientSessionOptions;
  #id: number | null = null;

  constructor(options: ClientSessionOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#id !== null;
  }

  /** For the write of this sequence; null if no session could be opened. */
  async guard(sequence: number): Promise<SessionGuard | null> {
    this.#id ??= await this.#open();
    return this.#id === null ? null : { id: this.#id, sequence };
  }

  /** A write that it guards was answered so. */
  failed(error: unknown): void {
    if (isTrivetError(error, "session-expired")) this.#id = null;
  }

  async #open(): Promise<number | null> {
    const { random, nodes, drawTimeoutMs, tally } = this.#options;
    const { process } = random.pick(nodes);
    if (process?.sql == null) return null;
    try {
      const opening = process.sql.openSession({ timeoutMs: drawTimeoutMs() });
      return await tally.count("session", process.whileAlive(opening));
    } catch (error) {
      endOfWrite(error);
      return null;
    }
  }
}
