import type { Bus } from "../bus/bus.ts";
import type { Peer } from "../bus/peer-table.ts";
import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import type { Transport } from "../replica/ports.ts";
import { asArray, asString } from "../replica/wire-fields.ts";
import { FOUNDING_MS_MAX, FoundingPromise, type PromiseRecord } from "./founding-promise.ts";
import { askToRejoin } from "./rejoin.ts";

/** Asks a member of a cluster whether this node belongs to it; the answer is the cluster's id. */
const WHICH_CLUSTER = "cluster/which";
/** Asks a newcomer whether it may be named as a voter of a new cluster: `[member id]`. */
const MAY_NAME = "cluster/may-name";

/** Besides every change in who is there, newcomers look around at this interval. */
const LOOK_MS = 500;
const ASK_TIMEOUT_MS = 2_000;

/** How a newcomer came to its cluster. */
export type Founded =
  /** `endMs`: until when, on the clock, the others' promises can be relied on. Null: there are no others. */
  | { readonly kind: "founder"; readonly voters: readonly string[]; readonly endMs: number | null }
  | { readonly kind: "invited"; readonly clusterId: string };

export interface FoundingOptions {
  readonly bus: Bus;
  readonly nodeId: string;
  readonly memberId: string;
  readonly promises: PromiseRecord;
  /** How many nodes found a cluster together. */
  readonly expect: number;
  /** How long to look for a cluster before one is founded alone, milliseconds. */
  readonly discoveryMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Turns newcomers into a cluster, once (design 6, `bootstrap: expect N`).
 *
 * The newcomer with the lowest node id founds it when it sees N of them and no cluster, and every one that it wants to name
 * has promised to let nobody else name it meanwhile: what one node sees may differ from what another sees. It writes the
 * configuration that names them all as the first entry of its log. The others learn from it that they are named, and take
 * part; they know the configuration once it reaches them through the log like any entry, and vote for its author before.
 */
export function foundOrJoin(options: FoundingOptions): Promise<Founded> {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    const founding = new Founding(
      options,
      (founded) => end(() => resolve(founded)),
      (error) => end(() => reject(error)),
    );
    const onAbort = (): void =>
      end(() => reject(new TrivetError("stopping", "The node stopped before it had a cluster.")));
    const end = (settle: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      founding.stop();
      settle();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    else founding.look();
  });
}

class Founding {
  readonly #options: FoundingOptions;
  readonly #done: (founded: Founded) => void;
  readonly #failed: (error: unknown) => void;
  readonly #promise: FoundingPromise;
  readonly #discoveryEndMs: number;
  readonly #stopListening: readonly (() => void)[];
  #timer: Timer | null = null;
  #isLooking = false;
  #isStopped = false;
  #told = "";

  constructor(options: FoundingOptions, done: (founded: Founded) => void, failed: (error: unknown) => void) {
    this.#options = options;
    this.#done = done;
    this.#failed = failed;
    this.#promise = new FoundingPromise(options.clock, options.promises);
    this.#discoveryEndMs = options.clock.nowMs() + options.discoveryMs;
    this.#stopListening = [
      options.bus.onPeer(() => this.look()),
      options.bus.handle(MAY_NAME, (from, body) => this.#promiseTo(from, body)),
    ];
  }

  stop(): void {
    this.#isStopped = true;
    for (const stop of this.#stopListening) stop();
    this.#timer?.cancel();
  }

  /** Looks around now; at most one look at a time. */
  look(): void {
    if (this.#isLooking || this.#isStopped) return;
    this.#isLooking = true;
    this.#timer?.cancel();
    this.#look().then(
      (founded) => {
        this.#isLooking = false;
        if (this.#isStopped) return;
        if (founded !== null) this.#done(founded);
        else this.#timer = this.#options.clock.setTimer(LOOK_MS, () => this.look());
      },
      (error: unknown) => this.#failed(error),
    );
  }

  async #look(): Promise<Founded | null> {
    const { bus, nodeId, memberId, expect } = this.#options;
    const up = [...bus.peers().values()].filter((peer) => peer.up);
    const members = up.filter((peer) => typeof peer.presence?.clusterId === "string");
    if (members.length > 0) return this.#askMembers(members);

    const newcomers = [...up.flatMap(newcomerOf), { nodeId, memberId }].sort(byNodeId);
    if (newcomers.length < expect) {
      this.#tell("info", "Waiting for more nodes to found a cluster.", { found: newcomers.length, expect });
      return null;
    }
    // Who founds alone asks nobody, so it looks first whether there is a cluster already.
    if (expect === 1 && this.#options.clock.nowMs() < this.#discoveryEndMs) return null;
    const named = newcomers.slice(0, expect);
    if (named[0]?.memberId !== memberId) return null;
    return this.#found(named);
  }

  /** Null if one of the named does not agree, or not in time. */
  async #found(named: readonly Newcomer[]): Promise<Founded | null> {
    const { nodeId, clock } = this.#options;
    if (!(await this.#promise.give(nodeId))) {
      this.#tell("info", "Another node is founding a cluster.", { founder: this.#promise.founder });
      return null;
    }
    const endMs = clock.nowMs() + FOUNDING_MS_MAX;
    const others = named.filter((newcomer) => newcomer.nodeId !== nodeId);
    const refusals = (await Promise.all(others.map((other) => this.#mayName(other)))).filter(
      (refusal) => refusal !== null,
    );
    if (refusals.length > 0) {
      const level = refusals.every(({ isPassing }) => isPassing) ? "info" : "warn";
      this.#tell(level, "The cluster cannot be founded yet.", {
        reasons: refusals.map(({ reason }) => reason),
      });
      return null;
    }
    if (clock.nowMs() > endMs) return null;
    const voters = named.map((newcomer) => newcomer.memberId);
    return { kind: "founder", voters, endMs: others.length > 0 ? endMs : null };
  }

  /** Null if the newcomer agrees. */
  async #mayName({ nodeId, memberId }: Newcomer): Promise<Refusal | null> {
    const { bus, signal } = this.#options;
    try {
      await bus.request(nodeId, MAY_NAME, encodeCbor([memberId]), { timeoutMs: ASK_TIMEOUT_MS, signal });
      return null;
    } catch (error) {
      if (!isTrivetError(error)) throw error;
      // It is seen before it has opened what it needs to answer.
      if (error.code !== "unknown-method") return { reason: `${nodeId}: ${error.message}`, isPassing: false };
      return { reason: `${nodeId}: It is not ready yet.`, isPassing: true };
    }
  }

  async #promiseTo(founder: string, body: Uint8Array): Promise<Uint8Array> {
    const named = asString(asArray(decodeCbor(body))[0]);
    if (named !== this.#options.memberId) {
      throw new TrivetError("not-this-member", "This node is another member by now: look again.");
    }
    if (!(await this.#promise.give(founder))) {
      throw new TrivetError(
        "promised",
        `This node has let ${this.#promise.founder} name it for now. Ask again later.`,
      );
    }
    return encodeCbor([]);
  }

  async #askMembers(members: readonly Peer[]): Promise<Founded | null> {
    const reasons: string[] = [];
    for (const { nodeId } of members) {
      const answer = await this.#askMember(nodeId);
      if ("clusterId" in answer) return { kind: "invited", clusterId: answer.clusterId };
      reasons.push(`${nodeId}: ${answer.refusal}`);
    }
    await this.#askToReturn();
    this.#tell("warn", "A cluster is here, but this node is not part of it yet.", {
      reasons: reasons.sort(),
    });
    return null;
  }

  /**
   * The key may be all that is left of a member: then its node comes back as another member. The next look finds it to be one; a node
   * that the cluster does not know is turned away.
   */
  async #askToReturn(): Promise<void> {
    const { bus, nodeId, memberId, signal } = this.#options;
    for (const { presence } of bus.peers().values()) {
      const clusterId = presence?.clusterId;
      if (clusterId == null || presence?.raft.leader == null) continue;
      await askToRejoin({ bus, nodeId, clusterId, signal }, memberId);
      return;
    }
  }

  async #askMember(nodeId: string): Promise<{ readonly clusterId: string } | { readonly refusal: string }> {
    const { bus, memberId, signal } = this.#options;
    try {
      const body = encodeCbor([memberId]);
      const answer = await bus.request(nodeId, WHICH_CLUSTER, body, { timeoutMs: ASK_TIMEOUT_MS, signal });
      return { clusterId: asString(asArray(decodeCbor(answer))[0]) };
    } catch (error) {
      if (!isTrivetError(error)) throw error;
      return { refusal: error.message };
    }
  }

  /** Once, until something else is to be said. */
  #tell(level: "info" | "warn", message: string, fields: Readonly<Record<string, unknown>>): void {
    const line = `${message} ${JSON.stringify(fields)}`;
    if (line === this.#told) return;
    this.#told = line;
    this.#options.logger.log(level, message, fields);
  }
}

/** Answers newcomers whether the cluster's configuration names them. Returns what ends that. */
export function answerNewcomers(
  bus: Pick<Transport, "handle">,
  cluster: { readonly id: string; isMember(memberId: string): boolean },
): () => void {
  return bus.handle(WHICH_CLUSTER, async (_from, body) => {
    const memberId = asString(asArray(decodeCbor(body))[0]);
    if (cluster.isMember(memberId)) return encodeCbor([cluster.id]);
    throw new TrivetError(
      "not-a-member",
      "The cluster was founded without this node, and this version cannot add members to a living cluster.",
    );
  });
}

/** Why a newcomer may not be named now. */
interface Refusal {
  readonly reason: string;
  /** True if nothing is wrong: soon it will be otherwise. */
  readonly isPassing: boolean;
}

interface Newcomer {
  readonly nodeId: string;
  readonly memberId: string;
}

function newcomerOf(peer: Peer): readonly Newcomer[] {
  return peer.presence === null ? [] : [{ nodeId: peer.nodeId, memberId: peer.presence.memberId }];
}

function byNodeId(a: Newcomer, b: Newcomer): number {
  return a.nodeId < b.nodeId ? -1 : 1;
}
