import type { AgentProcess } from "./agent-process.ts";

const REQUEST_MS = 5_000;

/** What a session's client sends: the id is new with each write, the attempt with each time that it is sent. */
export type SendWrite = (
  agent: AgentProcess,
  write: { readonly id: number; readonly attempt: number; readonly guard: string },
) => Promise<Response>;

/**
 * A client that writes one id after the other in a session of its own, and sends each again, through another node, until it is
 * acknowledged.
 */
export class SessionWriter {
  /** Ids in order, each with the attempt that was acknowledged. */
  readonly acknowledged: { readonly id: number; readonly attempt: number }[] = [];
  /** Answers that no client with a session should get. */
  readonly refusals: string[] = [];
  readonly #agents: readonly AgentProcess[];
  readonly #firstId: number;
  readonly #send: SendWrite;
  readonly #done: Promise<void>;
  #sends = 0;
  #isStopped = false;

  constructor(agents: readonly AgentProcess[], firstId: number, send: SendWrite) {
    this.#agents = agents;
    this.#firstId = firstId;
    this.#send = send;
    this.#done = this.#run();
  }

  /** Resolves when the last write is acknowledged. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    const session = await this.#openSession();
    for (let sequence = 1; !this.#isStopped; sequence++) {
      await this.#write(this.#firstId + sequence, `session=${session}&sequence=${sequence}`);
    }
  }

  async #openSession(): Promise<number> {
    for (;;) {
      const answer = await this.#ask((agent) => fetch(`${agent.url}/db/session`, { method: "POST" }));
      if (answer?.status === 200) return Number((answer.body as { session: number }).session);
    }
  }

  async #write(id: number, guard: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#ask((agent) => this.#send(agent, { id, attempt, guard }));
      if (answer === null || answer.status >= 503) continue;
      if (answer.status === 200) this.acknowledged.push({ id, attempt });
      else this.refusals.push(`${id}: ${answer.status} ${JSON.stringify(answer.body)}`);
      return;
    }
  }

  /** Of the next node that answers within the time; null if this one did not. */
  async #ask(
    send: (agent: AgentProcess) => Promise<Response>,
  ): Promise<{ readonly status: number; readonly body: unknown } | null> {
    const agent = this.#agents[this.#sends++ % this.#agents.length];
    if (agent === undefined) throw new Error("there are no agents");
    try {
      const response = await send(agent);
      return { status: response.status, body: await response.json() };
    } catch {
      // A node that is down refuses at once: let others run.
      await new Promise((resolve) => setImmediate(resolve));
      return null;
    }
  }
}

/**
 * A row without a key, so that one that is applied twice shows, with the attempt that was applied. Some clients hang up early:
 * kills alone do not lose many answers.
 */
export const insertKept: SendWrite = (agent, { id, attempt, guard }) =>
  fetch(`${agent.url}/db/execute?timeout=3s&${guard}`, {
    method: "POST",
    body: JSON.stringify([["INSERT INTO kept (id, attempt) VALUES (?, ?)", id, attempt]]),
    signal: AbortSignal.timeout(attempt === 1 && id % 3 === 0 ? 1 + 2 * (id % 20) : REQUEST_MS),
  });

/** An object that is written over and over, so that a change that is applied twice shows in its history. */
export const putNote: SendWrite = (agent, { id, attempt, guard }) =>
  fetch(`${agent.url}/objects/note/-/n${id % 10}?timeout=3s&${guard}`, {
    method: "PUT",
    body: JSON.stringify([id, attempt]),
    signal: AbortSignal.timeout(REQUEST_MS),
  });
