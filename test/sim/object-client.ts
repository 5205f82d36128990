import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import type { ObjectWrite } from "../../agent/store/objects.ts";
import type { SessionGuard } from "../../agent/store/types.ts";
import type { RegisterInput, RegisterOutput, Value } from "../linearizability/register.ts";
import type { KvHistory } from "./client.ts";
import { ClientSession } from "./client-session.ts";
import type { ObjectMix } from "./object-mix.ts";
import { endOfRead, endOfWrite, type RequestEnd } from "./request-end.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";
import type { Tally } from "./tally.ts";
import { NOBODY, type World } from "./world.ts";

export const OBJECT_KIND = "thing";
const COMPACT_RATE = 0.02;
/** How often a write of a session is given up rather than sent once more. */
const GIVE_UP_RATE = 0.1;

export interface ObjectClientOptions {
  readonly name: string;
  readonly world: World;
  readonly random: SimRandom;
  /** Of its sessions. */
  readonly sessionRandom: SimRandom;
  readonly mix: ObjectMix;
  readonly nodes: readonly SimNode[];
  /** An object is a register: its body, or null. Bodies are never the same, so a revision stands for one. */
  readonly history: KvHistory;
  readonly tally: Tally;
}

/** What was last seen of an object. */
interface Seen {
  readonly revision: number;
  readonly body: Value;
}

const NOTHING: Seen = { revision: 0, body: null };

/** Reads and writes objects, mostly with preconditions, and writes down what it saw. */
export class ObjectClient {
  readonly #options: ObjectClientOptions;
  readonly #seen = new Map<string, Seen>();
  #writes = 0;
  #isStopped = false;
  #open: { readonly input: RegisterInput; readonly called: number } | null = null;
  /** Its writes are guarded by it, and repeated; null if they are not. */
  readonly #session: ClientSession | null;

  constructor(options: ObjectClientOptions) {
    this.#options = options;
    const { mix, sessionRandom } = options;
    const drawTimeoutMs = () => mix.timeoutMs * sessionRandom.between(0.5, 1.5);
    this.#session = sessionRandom.isTrue(mix.sessionRate)
      ? new ClientSession({ ...options, random: sessionRandom, drawTimeoutMs })
      : null;
  }

  start(): void {
    this.#goOn().catch((error: unknown) => this.#options.world.end({ kind: "violation", error }));
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** The run is over: a write that is still under way may have happened. */
  finish(): void {
    if (this.#open !== null) this.#record(this.#open.input, this.#open.called, null);
    this.#open = null;
  }

  async #goOn(): Promise<void> {
    const { random, mix, nodes } = this.#options;
    while (!this.#isStopped) {
      await this.#pause();
      const name = `o${random.below(mix.names)}`;
      const node = random.pick(nodes);
      if (random.isTrue(0.4)) await this.#read(node, name);
      else if (random.isTrue(COMPACT_RATE)) await this.#compact(node, name);
      else await this.#write(node, name);
    }
  }

  async #read({ process }: SimNode, name: string): Promise<void> {
    const objects = process?.objects;
    if (process == null || objects == null) return;
    const { world, mix, tally } = this.#options;
    const called = world.nowMs;
    const options = { level: "linearizable", timeoutMs: mix.timeoutMs } as const;
    const reading = process.whileAlive(objects.get(keyOf(name), options));
    const found = await tally.count("object read", reading).catch(endOfRead);
    if (typeof found === "string") return;
    const { object } = found;
    const body = object === null ? null : String(Buffer.from(object.body));
    this.#seen.set(name, { revision: object?.revision ?? 0, body });
    this.#record({ kind: "read", key: name }, called, { output: body });
  }

  /** With a session again and again, through any node, until it is answered. */
  async #write(node: SimNode, name: string): Promise<void> {
    const { world, random, nodes, name: client } = this.#options;
    if (node.process?.objects == null) return;
    const seen = random.isTrue(0.1) ? NOTHING : (this.#seen.get(name) ?? NOTHING);
    const body = `${client}.${++this.#writes}`;
    const isDelete = random.isTrue(0.2);
    const revision = random.isTrue(0.7) ? seen.revision : null;
    const key = keyOf(name);
    const to = isDelete ? null : body;
    const write: ObjectWrite = isDelete
      ? { kind: "delete", key, revision }
      : { kind: "put", key, body: Buffer.from(body), revision };
    const input: RegisterInput =
      revision === null
        ? { kind: "write", key: name, value: to }
        : { kind: "cas", key: name, from: seen.body, to };
    const guard = (await this.#session?.guard(this.#writes)) ?? null;
    if (guard === null && this.#session !== null) return;
    const called = world.nowMs;
    this.#open = { input, called };
    let written = await this.#send(node, write, guard);
    let isInDoubt = written === "unknown";
    while (guard !== null && isInDoubt && typeof written === "string") {
      if (this.#session?.isOpen !== true || this.#isStopped || random.isTrue(GIVE_UP_RATE)) break;
      await this.#pause();
      written = await this.#send(random.pick(nodes), write, guard);
      isInDoubt ||= written === "unknown";
    }
    this.#open = null;
    if (written === "refused" && !isInDoubt) return;
    if (typeof written === "string") return this.#record(input, called, null);
    const { at } = written;
    if (at === null) this.#seen.delete(name);
    else this.#seen.set(name, isDelete ? NOTHING : { revision: at, body });
    this.#record(input, called, { output: input.kind === "cas" ? at !== null : null });
  }

  /** Where it was written; null if its precondition did not hold. */
  async #send(
    { process }: SimNode,
    write: ObjectWrite,
    session: SessionGuard | null,
  ): Promise<{ readonly at: number | null } | RequestEnd> {
    const { mix, tally } = this.#options;
    if (process?.objects == null) return "refused";
    const writing = process.whileAlive(process.objects.write([write], { timeoutMs: mix.timeoutMs, session }));
    try {
      const { revision } = await tally.count("object write", writing);
      return { at: revision };
    } catch (error) {
      if (isTrivetError(error, "conflict")) return { at: null };
      this.#session?.failed(error);
      return endOfWrite(error);
    }
  }

  #pause(): Promise<void> {
    const { world, mix, random } = this.#options;
    return new Promise((resolve) => world.at(mix.thinkMs * random.between(0.2, 1.8), NOBODY, resolve));
  }

  async #compact({ process }: SimNode, name: string): Promise<void> {
    const revision = this.#seen.get(name)?.revision ?? 0;
    if (process?.objects == null || revision === 0) return;
    const { timeoutMs } = this.#options.mix;
    const compacting = process.objects.write([{ kind: "compact", revision }], { timeoutMs });
    await process.whileAlive(compacting).catch(endOfWrite);
  }

  #record(input: RegisterInput, called: number, answer: { readonly output: RegisterOutput } | null): void {
    const { name, world, history } = this.#options;
    history.push({
      client: name,
      input,
      called,
      answer: answer === null ? null : { time: world.nowMs, output: answer.output },
    });
  }
}

function keyOf(name: string): { readonly kind: string; readonly namespace: string; readonly name: string } {
  return { kind: OBJECT_KIND, namespace: "", name };
}
