import type { AgentProcess } from "./agent-process.ts";

/** When a write was sent and when its answer came, in milliseconds of `performance.now()`. */
export interface Acknowledged {
  readonly id: number;
  readonly sentMs: number;
  readonly acknowledgedMs: number;
}

/**
 * A client that writes one row after the other through one node, without a pause, and remembers what was acknowledged. It repeats
 * nothing: an id that failed is given up, and may or may not be there later.
 */
export class Writer {
  readonly agent: AgentProcess;
  readonly acknowledged: Acknowledged[] = [];
  /** Answers other than success, by code. */
  readonly failures = new Map<string, number>();
  readonly #firstId: number;
  #nextId: number;
  #isStopped = false;
  readonly #done: Promise<void>;

  constructor(agent: AgentProcess, firstId: number) {
    this.agent = agent;
    this.#firstId = firstId;
    this.#nextId = firstId;
    this.#done = this.#run();
  }

  /** True if this writer sent the id, acknowledged or not. */
  hasSent(id: number): boolean {
    return id >= this.#firstId && id < this.#nextId;
  }

  /** The first write that was sent after `sinceMs` and acknowledged; null if there is none yet. */
  firstSentAfter(sinceMs: number): Acknowledged | null {
    return this.acknowledged.find(({ sentMs }) => sentMs >= sinceMs) ?? null;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const id = this.#nextId++;
      const sentMs = performance.now();
      const failure = await this.#write(id);
      if (failure === null) this.acknowledged.push({ id, sentMs, acknowledgedMs: performance.now() });
      else this.failures.set(failure, (this.failures.get(failure) ?? 0) + 1);
      // A node that is down refuses at once: let others run.
      if (failure === "unreachable") await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Null if it was acknowledged. */
  async #write(id: number): Promise<string | null> {
    try {
      const answer = await this.agent.execute([
        ["INSERT INTO kept (id, writer) VALUES (?, ?)", id, this.agent.name],
      ]);
      const [result] = answer.results ?? [];
      if (answer.status === 200 && result?.rows_affected === 1) return null;
      return answer.code ?? result?.error ?? `status ${answer.status}`;
    } catch {
      return "unreachable";
    }
  }
}
