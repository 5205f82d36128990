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
import { type Outcome, type Request, send } from "./sql-client.ts";

const DEADLINE_MS = 60_000;

/** A write that was acknowledged: through which agent, when it was sent and when the answer came. */
interface Acknowledged {
  readonly agent: AgentProcess;
  readonly sentMs: number;
  readonly acknowledgedMs: number;
}

/** What the check of a recorded history came to. */
export interface Checked {
  readonly isLinearizable: boolean;
  /** For a person. */
  readonly report: string;
}

/**
 * Clients of every agent that read and write the same few keys without a pause, and write down what they asked and were told. What
 * the agent says was not done must never show, and what it does not know may.
 */
export class RecordedClients {
  /** How requests ended, by outcome and code. */
  readonly outcomes = new Map<string, number>();
  /** Answers that no request of ours should get. */
  readonly surprises: string[] = [];
  readonly #acknowledged: Acknowledged[] = [];
  readonly #keyValue = new HistoryRecorder<KeyValueInput, KeyValueOutput>(() => performance.now());
  readonly #lists = new HistoryRecorder<AppendListInput, AppendListOutput>(() => performance.now());
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
    return new RecordedClients(cluster.agents, options);
  }

  private constructor(
    agents: readonly AgentProcess[],
    { perAgent, seed }: { readonly perAgent: number; readonly seed: number },
  ) {
    this.#running = agents.flatMap((agent, nth) =>
      Array.from({ length: perAgent }, (_, other) =>
        this.#run(agent, `${agent.name}.${other + 1}`, chanceFrom(seed * 1_000 + nth * perAgent + other)),
      ),
    );
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

  async #run(agent: AgentProcess, name: string, chance: Chance): Promise<void> {
    for (let nth = 0; !this.#isStopped; nth++) {
      const value = `${name}-${nth}`;
      if (!agent.isRunning)
        await until(`${agent.name} runs again`, DEADLINE_MS, async () => agent.isRunning || null);
      if (chance.float() < 0.3) await this.#useList(agent, name, value, chance);
      else await this.#useKeys(agent, name, value, chance);
    }
  }

  async #useList(agent: AgentProcess, name: string, value: string, chance: Chance): Promise<void> {
    const key = chance.pick(sql.LISTS);
    if (chance.float() < 0.5) {
      const open = this.#lists.call(name, { kind: "append", key, value });
      const outcome = await this.#send(agent, sql.append(key, value));
      if (outcome.kind === "done") open.answered(null);
      else if (outcome.kind === "refused") open.refused();
    } else {
      const open = this.#lists.call(name, { kind: "read", key });
      const outcome = await this.#send(agent, sql.readList(key));
      if (outcome.kind === "done") open.answered(sql.listIn(outcome.result));
      else open.refused();
    }
  }

  async #useKeys(agent: AgentProcess, name: string, value: string, chance: Chance): Promise<void> {
    const group = chance.pick(sql.GROUPS);
    const kind = chance.float();
    if (kind < 0.5) {
      const keys = kind < 0.4 ? [chance.pick(group)] : group;
      await this.#readKeys(agent, name, keys);
      return;
    }
    const keys = kind < 0.65 ? [chance.pick(group)] : group;
    const values = Object.fromEntries(keys.map((key) => [key, value]));
    if (kind < 0.85) {
      await this.#updateKeys(agent, name, { kind: "update", values, expected: {} });
      return;
    }
    // Of what was just read, it may well have changed meanwhile.
    const key = chance.pick(group);
    const seen = await this.#readKeys(agent, name, [key]);
    if (seen !== null)
      await this.#updateKeys(agent, name, { kind: "update", values, expected: { [key]: seen[0] ?? null } });
  }

  async #readKeys(
    agent: AgentProcess,
    name: string,
    keys: readonly string[],
  ): Promise<readonly Value[] | null> {
    const open = this.#keyValue.call(name, { kind: "read", keys });
    const outcome = await this.#send(agent, sql.readKeys(keys));
    if (outcome.kind !== "done") {
      open.refused();
      return null;
    }
    const values = sql.valuesIn(outcome.result, keys);
    open.answered(values);
    return values;
  }

  async #updateKeys(
    agent: AgentProcess,
    name: string,
    input: KeyValueInput & { readonly kind: "update" },
  ): Promise<void> {
    const open = this.#keyValue.call(name, input);
    const outcome = await this.#send(agent, sql.update(input.values, input.expected));
    if (outcome.kind === "done") open.answered((outcome.result.rows_affected ?? 0) > 0);
    else if (outcome.kind === "refused") open.refused();
  }

  async #send(agent: AgentProcess, request: Request): Promise<Outcome> {
    const sentMs = performance.now();
    const outcome = await send(agent, request);
    const what = outcome.kind === "done" ? "done" : `${outcome.kind}: ${outcome.code}`;
    this.outcomes.set(what, (this.outcomes.get(what) ?? 0) + 1);
    if (outcome.kind === "surprise") this.surprises.push(`${agent.name}: ${outcome.code}`);
    if (outcome.kind === "done" && request.kind === "write")
      this.#acknowledged.push({ agent, sentMs, acknowledgedMs: performance.now() });
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
  const report = `${what}: ${history.length} operations, ${open} of unknown outcome: ${describeVerdict(verdict, model)}, in ${tookMs} ms`;
  return { isLinearizable: verdict.kind === "linearizable", report };
}
