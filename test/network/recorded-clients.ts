import type { AgentProcess } from "../cluster/agent-process.ts";
import type { TestCluster } from "../cluster/test-cluster.ts";
import { until } from "../cluster/until.ts";
import { APPEND_LIST, type AppendListInput, type AppendListOutput } from "../linearizability/append-list.ts";
import { checkLinearizable, describeVerdict } from "../linearizability/check-linearizable.ts";
import type { History, Model } from "../linearizability/history.ts";
import { HistoryRecorder } from "../linearizability/history-recorder.ts";
import { KEY_VALUE, type KeyValueInput, type KeyValueOutput } from "../linearizability/key-value.ts";
import type { Value } from "../linearizability/register.ts";
import { type Chance, chanceFrom } from "../raft/chance.ts";
import * as sql from "./kept-tables.ts";
import { SessionSender } from "./session-sender.ts";
import { type Outcome, type Request, send } from "./sql-client.ts";

const DEADLINE_MS = 60_000;

/** A write that was acknowledged: through which agent, when it was sent and when the answer came. */
interface Acknowledged {
  readonly agent: AgentProcess;
  readonly sentMs: number;
  readonly acknowledgedMs: number;
}

interface Client {
  readonly agent: AgentProcess;
  readonly name: string;
  readonly chance: Chance;
  /** What its writes go through; null if it gives up those whose answer is lost. */
  readonly session: SessionSender | null;
}

/** What the check of a recorded history came to. */
export interface Checked {
  readonly isLinearizable: boolean;
  readonly summary: string;
  /** For a person who has to find out why it is not. */
  readonly report: string;
}

/**
 * Clients of every agent that read and write the same few keys without a pause, and write down what they asked and were told. What
 * the agent says was not done must never show, and what it does not know may. One client of each agent has a session, and repeats
 * through other agents what was not acknowledged: that must show once.
 */
export class RecordedClients {
  /** How requests ended, by outcome and code. */
  readonly outcomes = new Map<string, number>();
  /** Answers that no request of ours should get. */
  readonly surprises: string[] = [];
  readonly #acknowledged: Acknowledged[] = [];
  readonly #keyValue = new HistoryRecorder<KeyValueInput, KeyValueOutput>(() => performance.now());
  readonly #lists = new HistoryRecorder<AppendListInput, AppendListOutput>(() => performance.now());
  readonly #sessions: readonly SessionSender[];
  readonly #running: readonly Promise<void>[];
  #isStopped = false;

  /** Makes the tables and starts the clients. */
  static async start(
    cluster: TestCluster,
    options: { readonly perAgent: number; readonly seed: number },
  ): Promise<RecordedClients> {
    const [first] = cluster.agents;
    const answer = await first?.execute(sql.CREATE, "?transaction");
    const failed = answer?.results?.find(({ error }) => error !== undefined) ?? answer?.code;
    if (failed !== undefined) throw new Error(`The tables were not made: ${JSON.stringify(failed)}`);
    const sessions = await Promise.all(
      cluster.agents.map((_, nth) => SessionSender.open(cluster.agents, nth)),
    );
    return new RecordedClients(cluster.agents, sessions, options);
  }

  private constructor(
    agents: readonly AgentProcess[],
    sessions: readonly SessionSender[],
    { perAgent, seed }: { readonly perAgent: number; readonly seed: number },
  ) {
    this.#sessions = sessions;
    this.#running = agents.flatMap((agent, nth) =>
      Array.from({ length: perAgent }, (_, other) => {
        const name = `${agent.name}.${other + 1}`;
        const session = other === 0 ? (sessions[nth] ?? null) : null;
        return this.#run({ agent, name, session, chance: chanceFrom(seed * 1_000 + nth * perAgent + other) });
      }),
    );
  }

  /** Writes under a session that were sent again. */
  get repeated(): number {
    return this.#sessions.reduce((sum, { repeated }) => sum + repeated, 0);
  }

  /** Resolves with the time of the first acknowledgement of a write that was sent through one of `agents` after `sinceMs`. */
  firstWriteAfter(sinceMs: number, agents: readonly AgentProcess[]): Promise<number> {
    return until("an acknowledged write", DEADLINE_MS, async () => {
      const found = this.#acknowledged.find(
        ({ agent, sentMs }) => sentMs >= sinceMs && agents.includes(agent),
      );
      return found?.acknowledgedMs ?? null;
    });
  }

  /** Resolves when through each of `agents` so many writes have been acknowledged that were sent after `sinceMs`. */
  async writesThroughEach(agents: readonly AgentProcess[], count: number, sinceMs: number): Promise<void> {
    await until(`${count} writes through each of ${agents.length} agents`, DEADLINE_MS, async () => {
      const recent = this.#acknowledged.filter(({ sentMs }) => sentMs >= sinceMs);
      const isMet = agents.every((agent) => recent.filter((write) => write.agent === agent).length >= count);
      return isMet ? true : null;
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#running);
  }

  check(): readonly Checked[] {
    return [
      check("keys", this.#keyValue.history, KEY_VALUE),
      check("lists", this.#lists.history, APPEND_LIST),
    ];
  }

  async #run(client: Client): Promise<void> {
    const { agent, name, chance } = client;
    for (let nth = 0; !this.#isStopped; nth++) {
      const value = `${name}-${nth}`;
      if (!agent.isRunning) await this.#untilThere(agent);
      if (chance.float() < 0.3) await this.#useList(client, value);
      else await this.#useKeys(client, value);
    }
  }

  async #untilThere(agent: AgentProcess): Promise<void> {
    await until(`${agent.name} answers`, DEADLINE_MS, async () => {
      if (this.#isStopped) return true;
      return agent.isRunning
        ? agent.status().then(
            () => true,
            () => null,
          )
        : null;
    });
  }

  async #useList(client: Client, value: string): Promise<void> {
    const { name, chance } = client;
    const key = chance.pick(sql.LISTS);
    if (chance.float() < 0.5) {
      const open = this.#lists.call(name, { kind: "append", key, value });
      const outcome = await this.#send(client, sql.append(key, value));
      if (outcome.kind === "done") open.answered(null);
      else if (outcome.kind === "refused") open.refused();
    } else {
      const open = this.#lists.call(name, { kind: "read", key });
      const outcome = await this.#send(client, sql.readList(key));
      if (outcome.kind === "done") open.answered(sql.listIn(outcome.result));
      else open.refused();
    }
  }

  async #useKeys(client: Client, value: string): Promise<void> {
    const { chance } = client;
    const group = chance.pick(sql.GROUPS);
    const kind = chance.float();
    if (kind < 0.5) {
      await this.#readKeys(client, kind < 0.4 ? [chance.pick(group)] : group);
      return;
    }
    const keys = kind < 0.65 ? [chance.pick(group)] : group;
    const values = Object.fromEntries(keys.map((key) => [key, value]));
    if (kind < 0.85) {
      await this.#updateKeys(client, { kind: "update", values, expected: {} });
      return;
    }
    // Of what was just read, it may well have changed meanwhile.
    const key = chance.pick(group);
    const seen = await this.#readKeys(client, [key]);
    if (seen !== null)
      await this.#updateKeys(client, { kind: "update", values, expected: { [key]: seen[0] ?? null } });
  }

  async #readKeys(client: Client, keys: readonly string[]): Promise<readonly Value[] | null> {
    const open = this.#keyValue.call(client.name, { kind: "read", keys });
    const outcome = await this.#send(client, sql.readKeys(keys));
    if (outcome.kind !== "done") {
      open.refused();
      return null;
    }
    const values = sql.valuesIn(outcome.result, keys);
    open.answered(values);
    return values;
  }

  async #updateKeys(client: Client, input: KeyValueInput & { readonly kind: "update" }): Promise<void> {
    const open = this.#keyValue.call(client.name, input);
    const outcome = await this.#send(client, sql.update(input.values, input.expected));
    if (outcome.kind === "done") open.answered((outcome.result.rows_affected ?? 0) > 0);
    else if (outcome.kind === "refused") open.refused();
  }

  async #send({ agent, session }: Client, request: Request): Promise<Outcome> {
    const sentMs = performance.now();
    const isGuarded = session !== null && request.kind === "write";
    const sent = isGuarded ? await session.write(request) : { agent, outcome: await send(agent, request) };
    const { outcome } = sent;
    // One that is not there refuses at once: whoever asks on would only keep the machine busy.
    if (outcome.kind === "refused" && outcome.code === "ECONNREFUSED") await this.#untilThere(sent.agent);
    const what = outcome.kind === "done" ? "done" : `${outcome.kind}: ${outcome.code}`;
    this.outcomes.set(what, (this.outcomes.get(what) ?? 0) + 1);
    if (outcome.kind === "surprise") this.surprises.push(`${sent.agent.name}: ${outcome.code}`);
    if (outcome.kind === "done" && request.kind === "write")
      this.#acknowledged.push({ agent: sent.agent, sentMs, acknowledgedMs: performance.now() });
    return outcome;
  }
}

function check<State, Input, Output>(
  what: string,
  history: History<Input, Output>,
  model: Model<State, Input, Output>,
): Checked {
  const startMs = performance.now();
  const verdict = checkLinearizable(history, model);
  const open = history.filter(({ answer }) => answer === null).length;
  const tookMs = (performance.now() - startMs).toFixed(0);
  const summary = `${what}: ${history.length} operations, ${open} of unknown outcome: ${verdict.kind}, in ${tookMs} ms`;
  return {
    isLinearizable: verdict.kind === "linearizable",
    summary,
    report: describeVerdict(verdict, model),
  };
}
