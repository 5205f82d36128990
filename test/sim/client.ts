import { READ_LEVELS, type ReadLevel } from "../../agent/replica/read-level.ts";
import type { CommandResult, SessionGuard } from "../../agent/store/types.ts";
import type { Operation } from "../linearizability/history.ts";
import type { RegisterInput, RegisterOutput, Value } from "../linearizability/register.ts";
import { ClientSession } from "./client-session.ts";
import type { ClusterWatch } from "./cluster-watch.ts";
import type { CopyWatch } from "./copy-watch.ts";
import type { FaultMix } from "./fault-mix.ts";
import { type KvOperation, statementOf } from "./kv-sql.ts";
import { ReadFloor } from "./read-floor.ts";
import { endOfRead, endOfWrite, type RequestEnd } from "./request-end.ts";
import type { SimNode } from "./sim-node.ts";
import { ProcessDied } from "./sim-process.ts";
import type { SimRandom } from "./sim-random.ts";
import type { RequestKind, Tally } from "./tally.ts";
import type { ValueWatch } from "./value-watch.ts";
import { check } from "./violation.ts";
import { NOBODY, type World } from "./world.ts";

export type KvHistory = Operation<RegisterInput, RegisterOutput>[];

type Write = Exclude<KvOperation, { readonly kind: "get" }>;

/** How often a read asks for less than the history can be held to. */
const LESSER_READ_RATE = 0.15;
const STRONG_READ_RATE = 0.15;
/** How often a write of a session is given up rather than sent once more. */
const GIVE_UP_RATE = 0.1;

export interface ClientOptions {
  readonly name: string;
  readonly world: World;
  readonly random: SimRandom;
  readonly mix: FaultMix["clients"];
  readonly nodes: readonly SimNode[];
  readonly watch: ClusterWatch;
  readonly copies: CopyWatch;
  readonly values: ValueWatch;
  readonly history: KvHistory;
  readonly tally: Tally;
}

/** What a request came to. */
type Outcome = { readonly kind: "answered"; readonly output: RegisterOutput } | { readonly kind: RequestEnd };

const REFUSAL: Outcome = { kind: "refused" };

/** Sends one request after the other to nodes of its choice, and writes down what it saw. */
export class Client {
  readonly #options: ClientOptions;
  /** Its writes are to be guarded by a session, and repeated. */
  readonly #usesSession: boolean;
  readonly #session: ClientSession;
  #writes = 0;
  /** What was last seen of each key: a compare-and-set that asks for it may succeed. */
  readonly #seen = new Map<string, Value>();
  #isStopped = false;
  /** The write that is under way. */
  #open: { readonly operation: Write; readonly called: number } | null = null;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#usesSession = options.random.isTrue(options.mix.sessionRate);
    this.#session = new ClientSession({ ...options, drawTimeoutMs: () => this.#drawTimeoutMs() });
  }

  start(): void {
    this.#goOn().catch((error: unknown) => this.#options.world.end({ kind: "violation", error }));
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** The run is over: a write that is still under way may have happened. */
  finish(): void {
    if (this.#open !== null) this.#record(this.#open.operation, this.#open.called, { kind: "unknown" });
    this.#open = null;
  }

  /** One request to this node. True if it was answered. */
  async ask(node: SimNode, operation: KvOperation): Promise<boolean> {
    if (operation.kind === "get") return this.#read(node, operation.key);
    const called = this.#options.world.nowMs;
    const outcome = await this.#send(node, operation, null);
    this.#record(operation, called, outcome);
    return outcome.kind === "answered";
  }

  async #goOn(): Promise<void> {
    const { random, mix, nodes, name } = this.#options;
    while (!this.#isStopped) {
      await this.#pause();
      const key = `k${random.below(mix.keys)}`;
      if (random.isTrue(mix.readRate)) await this.#read(random.pick(nodes), key);
      else {
        const value = `${name}.${++this.#writes}`;
        const from = this.#seen.get(key) ?? null;
        await this.#write(
          random.isTrue(0.7)
            ? { kind: "put", key, value }
            : { kind: "cas", key, from: from === null ? null : String(from), to: value },
        );
      }
    }
  }

  #pause(): Promise<void> {
    const { world, mix, random } = this.#options;
    return new Promise((resolve) => world.at(mix.thinkMs * random.between(0.2, 1.8), NOBODY, resolve));
  }

  async #read(node: SimNode, key: string): Promise<boolean> {
    const { random, world, nodes, watch, copies, values, name } = this.#options;
    const level = this.#drawLevel();
    const { process } = node;
    if (process?.sql == null) return false;
    const called = world.nowMs;
    const operation = { kind: "get", key } as const;
    const options = { timeoutMs: this.#drawTimeoutMs(), level };
    const floor = new ReadFloor({ nodes, watch, copies }).at(process, level);
    const outcome = await this.#outcome(operation, `${level} read`, () =>
      process.whileAlive(
        process.sql?.query([statementOf(operation)], options) ?? Promise.reject(new ProcessDied()),
      ),
    );
    if (outcome.kind !== "answered") return false;
    const range = { from: floor(), to: watch.commitIndex };
    values.read(`what ${name} was told by a ${level} read`, key, outcome.output as Value, range);
    this.#seen.set(key, random.isTrue(0.9) ? (outcome.output as Value) : null);
    if (level === "linearizable" || level === "strong") this.#record(operation, called, outcome);
    return true;
  }

  /** With a session again and again, through any node, until it is answered. */
  async #write(operation: Write): Promise<void> {
    const { world, random, nodes } = this.#options;
    const guard = this.#usesSession ? await this.#session.guard(this.#writes) : null;
    if (guard === null && this.#usesSession) return;
    const called = world.nowMs;
    this.#open = { operation, called };
    let outcome = await this.#send(random.pick(nodes), operation, guard);
    let isInDoubt = outcome.kind === "unknown";
    while (guard !== null && isInDoubt && outcome.kind !== "answered") {
      if (!this.#session.isOpen || this.#isStopped || random.isTrue(GIVE_UP_RATE)) break;
      await this.#pause();
      outcome = await this.#send(random.pick(nodes), operation, guard);
      isInDoubt ||= outcome.kind === "unknown";
    }
    this.#open = null;
    this.#record(operation, called, outcome.kind === "refused" && isInDoubt ? { kind: "unknown" } : outcome);
  }

  #send({ process }: SimNode, operation: Write, session: SessionGuard | null): Promise<Outcome> {
    const { random, watch } = this.#options;
    if (process?.sql == null) return Promise.resolve(REFUSAL);
    const options = { timeoutMs: this.#drawTimeoutMs(), transaction: random.isTrue(0.5), session };
    const statement = statementOf(operation, this.#drawWriteBytes());
    return this.#outcome(operation, kindOf(operation, session), async () => {
      const answer = process.sql?.execute([statement], options) ?? Promise.reject(new ProcessDied());
      const result = await process.whileAlive(answer);
      if (operation.kind === "put" || outputOf(operation, result) === true) {
        watch.acknowledged(operation.kind === "put" ? operation.value : operation.to);
      }
      return result;
    });
  }

  async #outcome(
    operation: KvOperation,
    kind: RequestKind,
    request: () => Promise<CommandResult>,
  ): Promise<Outcome> {
    try {
      const result = await this.#options.tally.count(kind, request());
      return { kind: "answered", output: outputOf(operation, result) };
    } catch (error) {
      this.#session.failed(error);
      return { kind: operation.kind === "get" ? endOfRead(error) : endOfWrite(error) };
    }
  }

  #record(operation: KvOperation, called: number, outcome: Outcome): void {
    if (outcome.kind === "refused") return;
    const { name, world, history } = this.#options;
    const answer = outcome.kind === "answered" ? { time: world.nowMs, output: outcome.output } : null;
    history.push({ client: name, input: inputOf(operation), called, answer });
  }

  #drawTimeoutMs(): number {
    return this.#options.mix.timeoutMs * this.#options.random.between(0.5, 1.5);
  }

  #drawWriteBytes(): number {
    const { random, mix } = this.#options;
    return mix.writeBytesMax === 0 ? 0 : random.below(mix.writeBytesMax);
  }

  #drawLevel(): ReadLevel {
    const { random } = this.#options;
    if (random.isTrue(LESSER_READ_RATE)) return random.pick(READ_LEVELS);
    return random.isTrue(STRONG_READ_RATE) ? "strong" : "linearizable";
  }
}

function kindOf(operation: Write, session: SessionGuard | null): RequestKind {
  if (session !== null) return "write of a session";
  return operation.kind === "cas" ? "compare-and-set" : "write";
}

function inputOf(operation: KvOperation): RegisterInput {
  switch (operation.kind) {
    case "get":
      return { kind: "read", key: operation.key };
    case "put":
      return { kind: "write", key: operation.key, value: operation.value };
    case "cas":
      return operation;
  }
}

function outputOf({ kind }: KvOperation, [result]: CommandResult): RegisterOutput {
  check(
    result !== undefined && result.kind !== "error",
    () => `a ${kind} was answered ${JSON.stringify(result)}`,
  );
  if (result.kind === "rows") return (result.values[0]?.[0] ?? null) as Value;
  return kind === "cas" && result.kind === "changed" ? result.rowsAffected === 1 : null;
}
