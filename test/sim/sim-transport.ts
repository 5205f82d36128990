import { DEFAULT_BUS_LIMITS } from "../../agent/bus/bus-limits.ts";
import type { Peer } from "../../agent/bus/peer-table.ts";
import { ReplayGuard } from "../../agent/bus/replay-window.ts";
import { WORDS_PER_SILENCE } from "../../agent/bus/request-server.ts";
import type { MemberBus } from "../../agent/membership/member.ts";
import type { Clock, Timer } from "../../agent/platform/clock.ts";
import { isTrivetError, TrivetError } from "../../agent/platform/trivet-error.ts";
import type { RequestOptions } from "../../agent/replica/ports.ts";
import type { BusRefusals } from "./bus-refusals.ts";
import type { Message, Packet } from "./sim-network.ts";

export interface SimTransportOptions {
  /** Which process of its node this is: each later one has a higher number. */
  readonly session: number;
  readonly nodeIds: readonly string[];
  readonly send: (to: number, packet: Packet) => void;
  /** Of the process that runs on a node, or ran there last. */
  readonly sessionOf: (node: number) => number;
  /** What is heard of the other nodes. */
  readonly peers: () => ReadonlyMap<string, Peer>;
  readonly clock: Clock;
  readonly refusals: BusRefusals;
  /** Something else than a `TrivetError` came out of a handler: a bug, which must not pass for one more lost answer. */
  readonly onProgramError: (error: unknown) => void;
  /** False once the process has died: nothing leaves any more. */
  readonly isAlive: () => boolean;
}

interface Pending {
  readonly to: number;
  readonly isWorking: () => void;
  /** Of the process that was asked. */
  readonly session: number;
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (error: TrivetError) => void;
}

type PeerListener = Parameters<MemberBus["onPeer"]>[0];
type DatagramHandler = (fromNode: string, body: Uint8Array) => void;
type RequestHandler = Parameters<MemberBus["handle"]>[1];

type Request = Extract<Message, { kind: "request" }>;

/**
 * The bus of one process: datagrams, requests and their answers, and the bus's errors. It drops doubled requests and answers as the
 * bus does, with the same guard, which knows what came to this process only. What is for Raft comes through doubled: it has to stand more.
 */
export class SimTransport implements MemberBus {
  readonly #options: SimTransportOptions;
  readonly #datagramHandlers = new Map<string, DatagramHandler>();
  readonly #requestHandlers = new Map<string, RequestHandler>();
  readonly #peerListeners = new Set<PeerListener>();
  readonly #pending = new Map<string, Pending>();
  readonly #replayGuard = new ReplayGuard(DEFAULT_BUS_LIMITS);
  #lastId = 0;
  #lastSeq = 0;

  constructor(options: SimTransportOptions) {
    this.#options = options;
  }

  send(toNode: string, name: string, body: Uint8Array): boolean {
    if (!this.#options.refusals.hasRoute) return false;
    this.#send(this.#options.nodeIds.indexOf(toNode), { kind: "datagram", name, body });
    return true;
  }

  onDatagram(name: string, handler: DatagramHandler): () => void {
    this.#datagramHandlers.set(name, handler);
    return () => this.#datagramHandlers.delete(name);
  }

  request(
    toNode: string,
    method: string,
    body: Uint8Array,
    { timeoutMs, signal, silenceMs, onWorking }: RequestOptions,
  ): Promise<Uint8Array> {
    if (signal.aborted) return Promise.reject(lost("request-aborted", method));
    const refusal = this.#options.refusals.ofRequest;
    if (refusal !== null) return Promise.reject(new TrivetError(refusal, `${method} was not sent.`));
    const to = this.#options.nodeIds.indexOf(toNode);
    const id = `${this.#options.session}/${++this.#lastId}`;
    return new Promise((resolve, reject) => {
      const fail = (code: string) => this.#settle(id)?.reject(lost(code, method));
      const { clock } = this.#options;
      const timer = clock.setTimer(timeoutMs, () => fail("request-timeout"));
      const watchSilence = () =>
        silenceMs === undefined ? null : clock.setTimer(silenceMs, () => fail("request-timeout"));
      let silence = watchSilence();
      const abort = () => fail("request-aborted");
      const ended = () => {
        timer.cancel();
        silence?.cancel();
        signal.removeEventListener("abort", abort);
      };
      this.#pending.set(id, {
        to,
        session: this.#options.sessionOf(to),
        isWorking: () => {
          silence?.cancel();
          silence = watchSilence();
          onWorking?.();
        },
        resolve: (answer) => {
          ended();
          resolve(answer);
        },
        reject: (error) => {
          ended();
          reject(error);
        },
      });
      signal.addEventListener("abort", abort, { once: true });
      this.#send(to, { kind: "request", id, method, timeoutMs, silenceMs: silenceMs ?? 0, body });
    });
  }

  handle(method: string, handler: RequestHandler): () => void {
    this.#requestHandlers.set(method, handler);
    return () => this.#requestHandlers.delete(method);
  }

  peers(): ReadonlyMap<string, Peer> {
    return this.#options.peers();
  }

  onPeer(listener: PeerListener): () => void {
    this.#peerListeners.add(listener);
    return () => this.#peerListeners.delete(listener);
  }

  /** Something arrived from another node. */
  receive(from: number, packet: Packet): void {
    const fromNode = this.#options.nodeIds[from] ?? "";
    const { session, seq, message } = packet;
    const verdict = this.#replayGuard.check(fromNode, session, seq);
    if (message.kind === "datagram") this.#datagramHandlers.get(message.name)?.(fromNode, message.body);
    else if (verdict === "fresh") this.#take(from, fromNode, message, session);
  }

  #take(
    from: number,
    fromNode: string,
    message: Exclude<Message, { kind: "datagram" }>,
    session: number,
  ): void {
    switch (message.kind) {
      case "request":
        void this.#answer(from, fromNode, message);
        return;
      case "working": {
        const pending = this.#pending.get(message.id);
        if (pending?.session === session) pending.isWorking();
        return;
      }
      case "reply":
        this.#settle(message.id)?.resolve(message.body);
        return;
      case "refusal": {
        const pending = this.#settle(message.id);
        // As the bus does (`RequestClient.receive`).
        const isOfAnother = pending?.session !== session;
        pending?.reject(
          isOfAnother ? lost("peer-down", "a request") : new TrivetError(message.code, message.message),
        );
      }
    }
  }

  /** The bus heard that the node is gone: nothing that waits for it is answered. */
  peerDown(node: number): void {
    for (const [id, { to }] of this.#pending) {
      if (to === node) this.#settle(id)?.reject(lost("peer-down", "a request"));
    }
    const nodeId = this.#options.nodeIds[node] ?? "";
    const peer = { nodeId, session: 0, presence: null, up: false, suspect: false };
    for (const listener of this.#peerListeners) listener({ kind: "down", nodeId, peer });
  }

  async #answer(from: number, fromNode: string, request: Request): Promise<void> {
    const { id, method, timeoutMs, body } = request;
    const deadlineMs = this.#options.clock.nowMs() + timeoutMs;
    const stopTelling = this.#tellThatItWorks(from, request, deadlineMs);
    try {
      if (this.#options.refusals.isBusy) throw new TrivetError("busy", `${method} was not begun.`);
      const handler = this.#requestHandlers.get(method);
      if (handler === undefined) throw new TrivetError("unknown-method", `Nobody here answers ${method}.`);
      this.#send(from, { kind: "reply", id, body: await handler(fromNode, body, { deadlineMs }) });
    } catch (error) {
      if (isTrivetError(error))
        this.#send(from, { kind: "refusal", id, code: error.code, message: error.message });
      else this.#options.onProgramError(error);
    } finally {
      stopTelling();
    }
  }

  /** As the bus does (`RequestServer`). */
  #tellThatItWorks(from: number, { id, silenceMs }: Request, deadlineMs: number): () => void {
    if (silenceMs === 0) return () => undefined;
    const { clock } = this.#options;
    const wait = (): Timer =>
      clock.setTimer(silenceMs / WORDS_PER_SILENCE, () => {
        if (clock.nowMs() > deadlineMs) return;
        this.#send(from, { kind: "working", id });
        timer = wait();
      });
    let timer = wait();
    return () => timer.cancel();
  }

  #send(to: number, message: Message): void {
    const { isAlive, send, session } = this.#options;
    if (isAlive()) send(to, { session, seq: this.#lastSeq++, message });
  }

  #settle(id: string): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}

function lost(code: string, method: string): TrivetError {
  return new TrivetError(code, `No answer to ${method}; what it did is unknown.`);
}
