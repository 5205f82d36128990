import type { Clock } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { BusCounters } from "./bus-counters.ts";
import type { BusLimits } from "./bus-limits.ts";
import { type Envelope, EnvelopeCodec, type Fragment } from "./envelope.ts";
import { FragmentAssembler } from "./fragment-assembler.ts";
import { FragmentSender } from "./fragment-sender.ts";
import { ReplayGuard } from "./replay-window.ts";
import type { Route } from "./route.ts";
import { inboxTopic } from "./topics.ts";

/** `body` may be a view of the receive buffer: copy it to keep it for long. */
export type DatagramHandler = (from: string, body: Uint8Array) => void;

export interface DatagramsOptions {
  readonly cluster: string;
  readonly nodeId: string;
  readonly session: number;
  readonly limits: BusLimits;
  readonly clock: Clock;
  readonly counters: BusCounters;
  readonly routeTo: (nodeId: string) => Route | null;
}

export type SendResult = "sent" | "no-route" | "congested";

/**
 * Datagrams of any size up to the limit, each delivered at most once, to the handler of its kind. This is the path
 * that every Raft message takes: it is synchronous from the socket to the handler.
 */
export class Datagrams {
  readonly #options: DatagramsOptions;
  readonly #codec: EnvelopeCodec;
  readonly #replayGuard: ReplayGuard;
  readonly #assembler: FragmentAssembler;
  readonly #sender: FragmentSender;
  readonly #handlers = new Map<string, DatagramHandler>();
  #seq = 0;

  constructor(options: DatagramsOptions) {
    this.#options = options;
    this.#codec = new EnvelopeCodec(options);
    this.#replayGuard = new ReplayGuard(options.limits);
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
    if (this.#options.routeTo(to) === null) {
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
    if (!this.#isForUs(envelope) || !this.#isFresh(envelope)) return;
    const body = this.#wholeBody(envelope);
    if (body === null) return;
    const handler = this.#handlers.get(envelope.kind);
    if (handler === undefined) {
      this.#options.counters.droppedUnhandled += 1;
      return;
    }
    this.#options.counters.received += 1;
    handler(envelope.from, body);
  }

  /** Fragments that led to no body, so far. */
  get droppedFragments(): number {
    return this.#assembler.dropped;
  }

  close(): void {
    this.#sender.close();
    this.#assembler.close();
    this.#handlers.clear();
  }

  #sendOne(to: string, kind: string, body: Uint8Array, fragment: Fragment | null): SendResult {
    const { routeTo, counters, cluster } = this.#options;
    const route = routeTo(to);
    if (route === null) {
      counters.droppedNoRoute += 1;
      return "no-route";
    }
    if (!route.send(inboxTopic(cluster, to), this.#codec.encode(to, this.#seq++, kind, body, fragment))) {
      counters.droppedCongested += 1;
      return "congested";
    }
    counters.sent += 1;
    return "sent";
  }

  #backlogBytes(to: string): number | null {
    return this.#options.routeTo(to)?.backlogBytes(inboxTopic(this.#options.cluster, to)) ?? null;
  }

  #isForUs(envelope: Envelope): boolean {
    const { cluster, nodeId, counters } = this.#options;
    if (envelope.cluster === cluster && envelope.to === nodeId && envelope.from !== nodeId) return true;
    counters.droppedForeign += 1;
    return false;
  }

  #isFresh(envelope: Envelope): boolean {
    const verdict = this.#replayGuard.check(envelope.from, envelope.session, envelope.seq);
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
