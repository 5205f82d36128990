import type { Clock } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { BusCounters } from "./bus-counters.ts";
import type { BusLimits } from "./bus-limits.ts";
import { type Choice, chooseRoutes } from "./choose-routes.ts";
import { type Envelope, EnvelopeCodec, type Fragment } from "./envelope.ts";
import { FragmentAssembler } from "./fragment-assembler.ts";
import { FragmentSender } from "./fragment-sender.ts";
import { HeardPaths } from "./heard-paths.ts";
import type { PathHealth } from "./path-health.ts";
import { ReplayGuard } from "./replay-window.ts";
import type { Route } from "./route.ts";
import { inboxTopic } from "./topics.ts";

/** `body` may be a view of the receive buffer: copy it to keep it for long. */
/** `session`: of the process that sent it. */
export type DatagramHandler = (from: string, body: Uint8Array, session: number) => void;

export interface DatagramsOptions {
  readonly cluster: string;
  readonly nodeId: string;
  readonly session: number;
  readonly limits: BusLimits;
  readonly clock: Clock;
  readonly counters: BusCounters;
  /** All ways to a node, the shortest first. */
  readonly routesTo: (nodeId: string) => Iterable<Route>;
  readonly health: PathHealth;
}

/** Says nothing but on which paths the receiver was heard. It needs no confirmation itself. */
const CONFIRM_KIND = "$confirm";
const NOTHING = new Uint8Array();

export type SendResult = "sent" | "no-route" | "congested";

/**
 * Datagrams of any size up to the limit, each delivered at most once, to the handler of its kind. This is the path
 * that every Raft message takes: it is synchronous from the socket to the handler.
 *
 * Every datagram tells the receiver on which paths it was heard, so that a path that carries nothing any more is known,
 * and gone round, long before its connection ends.
 */
export class Datagrams {
  readonly #options: DatagramsOptions;
  readonly #codec: EnvelopeCodec;
  readonly #replayGuard: ReplayGuard;
  readonly #heard: HeardPaths;
  readonly #assembler: FragmentAssembler;
  readonly #sender: FragmentSender;
  readonly #handlers = new Map<string, DatagramHandler>();
  #seq = 0;

  constructor(options: DatagramsOptions) {
    this.#options = options;
    this.#codec = new EnvelopeCodec(options);
    this.#replayGuard = new ReplayGuard(options.limits);
    this.#heard = new HeardPaths({ ...options, confirm: (to) => this.#confirm(to) });
    this.#assembler = new FragmentAssembler(options.limits, options.clock);
    this.#sender = new FragmentSender({
      limits: options.limits,
      clock: options.clock,
      backlogBytes: (to) => this.#backlogBytes(to),
      sendFragment: (to, kind, part, fragment) => this.#sendOne(to, kind, part, fragment) === "sent",
    });
  }

  /** Calls `handler` for each datagram of `kind`; one handler a kind. Returns what ends that. */
  handle(kind: string, handler: DatagramHandler): () => void {
    invariant(!this.#handlers.has(kind), `second handler for datagrams of kind "${kind}"`);
    this.#handlers.set(kind, handler);
    return () => {
      if (this.#handlers.get(kind) === handler) this.#handlers.delete(kind);
    };
  }

  /** Sends now, or queues the fragments of a large body. Throws `too-large`. */
  send(to: string, kind: string, body: Uint8Array): SendResult {
    const { limits, counters } = this.#options;
    if (body.byteLength <= limits.fragmentBytes) return this.#sendOne(to, kind, body, null);
    if (body.byteLength > limits.bodyBytesMax) throw tooLarge(body.byteLength, limits.bodyBytesMax);
    if (this.#choose(to).routes.length === 0) {
      counters.droppedNoRoute += 1;
      return "no-route";
    }
    if (this.#sender.send(to, kind, body)) return "sent";
    counters.droppedCongested += 1;
    return "congested";
  }

  /** Takes what arrived in the inbox. Never throws because of what the bytes are. */
  receive(payload: Buffer): void {
    const envelope = this.#codec.decode(payload);
    if (envelope === null) {
      this.#options.counters.droppedMalformed += 1;
      return;
    }
    if (!this.#isForUs(envelope) || !this.#admit(envelope)) return;
    this.#options.health.confirmed(envelope.from, envelope.heard, this.#options.clock.nowMs());
    if (envelope.kind === CONFIRM_KIND) return;
    const body = this.#wholeBody(envelope);
    if (body === null) return;
    const handler = this.#handlers.get(envelope.kind);
    if (handler === undefined) {
      this.#options.counters.droppedUnhandled += 1;
      return;
    }
    this.#options.counters.received += 1;
    handler(envelope.from, body, envelope.session);
  }

  /** Fragments that led to no body, so far. */
  get droppedFragments(): number {
    return this.#assembler.dropped;
  }

  close(): void {
    this.#sender.close();
    this.#heard.close();
    this.#assembler.close();
    this.#handlers.clear();
  }

  #sendOne(to: string, kind: string, body: Uint8Array, fragment: Fragment | null): SendResult {
    const { counters, cluster, clock, health, limits } = this.#options;
    const { routes: all, isDetour } = this.#choose(to);
    // Heartbeats prove a way soon enough: copies of large ones would only burden those who have a reason to be slow.
    const routes = body.byteLength > limits.copyBytesMax ? all.slice(-1) : all;
    if (routes.length === 0) {
      counters.droppedNoRoute += 1;
      return "no-route";
    }
    const seq = this.#seq++;
    const heard = this.#heard.take(to);
    let result: SendResult = "congested";
    for (const route of routes) {
      const { path } = route;
      const envelope = this.#codec.encode({ to, seq, path, heard, kind, body, fragment });
      if (!route.send(inboxTopic(cluster, to), envelope)) continue;
      if (kind !== CONFIRM_KIND) health.sent(to, path, clock.nowMs());
      counters.sent += 1;
      result = "sent";
    }
    if (isDetour) counters.detoured += 1;
    if (result === "congested") counters.droppedCongested += 1;
    return result;
  }

  /** With no way to the node nothing is lost by that: nobody waits for it. */
  #confirm(to: string): void {
    if (this.#choose(to).routes.length > 0) this.#sendOne(to, CONFIRM_KIND, NOTHING, null);
  }

  #choose(to: string): Choice {
    const { routesTo, health, clock } = this.#options;
    const nowMs = clock.nowMs();
    return chooseRoutes(routesTo(to), {
      state: ({ path }) => health.state(to, path, nowMs),
      sentMs: ({ path }) => health.sentMs(to, path),
    });
  }

  /** Where a fragment would go; null if there is no way. */
  #backlogBytes(to: string): number | null {
    const route = this.#choose(to).routes.at(-1);
    return route?.backlogBytes(inboxTopic(this.#options.cluster, to)) ?? null;
  }

  #isForUs(envelope: Envelope): boolean {
    const { cluster, nodeId, counters } = this.#options;
    if (envelope.cluster === cluster && envelope.to === nodeId && envelope.from !== nodeId) return true;
    counters.droppedForeign += 1;
    return false;
  }

  /** Notes which path it came by. False for what is no news. */
  #admit(envelope: Envelope): boolean {
    const verdict = this.#replayGuard.check(envelope.from, envelope.session, envelope.seq);
    // A copy says that its path works, though the other one was faster.
    if (verdict !== "old-session" && envelope.kind !== CONFIRM_KIND)
      this.#heard.note(envelope.from, envelope.path);
    if (verdict === "duplicate") this.#options.counters.droppedReplayed += 1;
    if (verdict === "old-session") this.#options.counters.droppedOldSession += 1;
    return verdict === "fresh";
  }

  #wholeBody(envelope: Envelope): Uint8Array | null {
    if (envelope.fragment === null) return envelope.body;
    return this.#assembler.add(envelope, envelope.fragment);
  }
}

function tooLarge(bytes: number, bytesMax: number): TrivetError {
  return new TrivetError(
    "too-large",
    `A message of ${bytes} bytes is above the limit of ${bytesMax}: split it, or ask for less at once.`,
  );
}
