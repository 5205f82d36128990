import type { AgentProcess } from "../cluster/agent-process.ts";
import { until } from "../cluster/until.ts";
import { type Outcome, openSession, type Request, send } from "./sql-client.ts";

const DEADLINE_MS = 60_000;

/**
 * Sends writes under a client session. One that was refused, or whose answer got lost, is sent again through the next agent, with
 * the same sequence number, until the outcome is known: it must have happened exactly once then.
 */
export class SessionSender {
  /** How many requests were sent again. */
  repeated = 0;
  readonly #agents: readonly AgentProcess[];
  readonly #id: number;
  #sequence = 0;
  /** Which of the agents is asked. */
  #nth: number;

  /** Opens a session through the agent with this number, which is the first to be asked later, too. */
  static async open(agents: readonly AgentProcess[], nth: number): Promise<SessionSender> {
    const id = await until("a session", DEADLINE_MS, () => openSession(agents[nth] ?? null));
    return new SessionSender(agents, nth, id);
  }

  private constructor(agents: readonly AgentProcess[], nth: number, id: number) {
    this.#agents = agents;
    this.#nth = nth;
    this.#id = id;
  }

  /** Resolves with an outcome other than refused or unknown, and with the agent that told it. */
  async write(request: Request): Promise<{ readonly outcome: Outcome; readonly agent: AgentProcess }> {
    const guard = { id: this.#id, sequence: ++this.#sequence };
    return until("the outcome of a write under a session", DEADLINE_MS, async () => {
      const agent = this.#agents[this.#nth % this.#agents.length];
      if (agent?.isRunning === true) {
        const outcome = await send(agent, request, guard);
        if (outcome.kind === "done" || outcome.kind === "surprise") return { outcome, agent };
        this.repeated++;
      }
      this.#nth++;
      return null;
    });
  }
}
