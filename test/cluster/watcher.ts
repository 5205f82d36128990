import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import type { AgentProcess } from "./agent-process.ts";

interface WatchLine {
  readonly revision: number;
  readonly events: readonly {
    readonly type: string;
    readonly object: { readonly name: string; readonly body: string };
  }[];
}

/** A change as a watcher saw it. */
export interface Seen {
  readonly revision: number;
  readonly name: string;
  readonly body: string;
}

/** A client that follows all objects through one node, and goes on through the next one, from the last revision that it was told, when that one is gone. */
export class Watcher {
  readonly seen: Seen[] = [];
  /** How often it went on through another node. */
  resumed = 0;
  /** Lines that told of an error, or answers that were none. */
  readonly failures: string[] = [];
  readonly #agents: readonly AgentProcess[];
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;
  #revision: number;
  #agent: AgentProcess | null = null;

  constructor(agents: readonly AgentProcess[], from = 0) {
    this.#agents = agents;
    this.#revision = from;
    this.#done = this.#run();
  }

  /** The node that it follows now, or tries to. */
  get agent(): AgentProcess | null {
    return this.#agent;
  }

  get revision(): number {
    return this.#revision;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    for (let nth = 0; !this.#abort.signal.aborted; nth++) {
      this.#agent = this.#agents[nth % this.#agents.length] ?? null;
      try {
        await this.#follow(`${this.#agent?.url}/objects?watch&from=${this.#revision}`);
      } catch {
        // It is down, or was killed: the next one.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }

  async #follow(url: string): Promise<void> {
    const { signal } = this.#abort;
    const response = await fetch(url, { signal });
    if (response.status !== 200 || response.body === null) {
      const text = await response.text();
      // 504: that node is behind, and did not catch up with this place in time.
      if (response.status !== 503 && response.status !== 504)
        this.failures.push(`${response.status} ${text}`);
      return;
    }
    if (this.#revision > 0) this.resumed++;
    const lines = createInterface({ input: Readable.fromWeb(response.body as never) });
    for await (const line of lines) {
      const told: WatchLine & { readonly code?: string } = JSON.parse(line);
      if (told.code !== undefined) {
        if (told.code !== "stopping") this.failures.push(line);
        return;
      }
      for (const { object } of told.events) {
        const body = Buffer.from(object.body, "base64").toString();
        this.seen.push({ revision: told.revision, name: object.name, body });
      }
      this.#revision = told.revision;
    }
  }
}
