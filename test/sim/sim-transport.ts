import type { Peer } from "../../agent/bus/peer-table.ts";
import type { MemberBus } from "../../agent/membership/member.ts";
import type { Timer } from "../../agent/platform/clock.ts";
import { isTrivetError, TrivetError } from "../../agent/platform/trivet-error.ts";
import type { Packet } from "./sim-network.ts";

export interface SimTransportOptions {
  /** Tells the requests of different processes apart. */
  readonly session: string;
  readonly nodeIds: readonly string[];
  readonly send: (to: number, packet: Packet) => void;
  /** What is heard of the other nodes. */
  readonly peers: () => ReadonlyMap<string, Peer>;
  readonly setTimer: (delayMs: number, callback: () => void) => Timer;
  /** Something else than a `TrivetError` came out of a handler: a bug, which must not pass for one more lost answer. */
  readonly onProgramError: (error: unknown) => void;
  /** False once the process has died: nothing leaves any more. */
  readonly isAlive: () => boolean;
}

interface Pending {
  readonly to: number;
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (error: TrivetError) => void;
}

type PeerListener = Parameters<MemberBus["onPeer"]>[0];
type DatagramHandler = (fromNode: string, body: Uint8Array) => void;
type RequestHandler = Parameters<MemberBus["handle"]>[1];

/** The bus of one process: datagrams, requests and their answers, and the bus's errors. */
export class SimTransport implements MemberBus {
  readonly #options: SimTransportOptions;
  readonly #datagramHandlers = new Map<string, DatagramHandler>();
  readonly #requestHandlers = new Map<string, RequestHandler>();
  readonly #peerListeners = new Set<PeerListener>();
  readonly #pending = new Map<string, Pending>();
  #lastId = 0;

  constructor(options: SimTransportOptions) {
    this.#options = options;
  }

  send(toNode: string, name: string, body: Uint8Array): boolean {
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
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<Uint8Array> {
    if (signal.aborted) return Promise.reject(lost("request-aborted", method));
    const to = this.#options.nodeIds.indexOf(toNode);
    const id = `${this.#options.session}/${++this.#lastId}`;
    return new Promise((resolve, reject) => {
      const fail = (code: string) => this.#settle(id)?.reject(lost(code, method));
      const timer = this.#options.setTimer(timeoutMs, () => fail("request-timeout"));
      const abort = () => fail("request-aborted");
      const ended = () => {
        timer.cancel();
        signal.removeEventListener("abort", abort);
      };
      this.#pending.set(id, {
        to,
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
      this.#send(to, { kind: "request", id, method, body });
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
    switch (packet.kind) {
      case "datagram":
        this.#datagramHandlers.get(packet.name)?.(fromNode, packet.body);
        return;
      case "request":
        void this.#answer(from, fromNode, packet);
        return;
      case "reply":
        this.#settle(packet.id)?.resolve(packet.body);
        return;
      case "refusal":
        this.#settle(packet.id)?.reject(new TrivetError(packet.code, packet.message));
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

  async #answer(
    from: number,
    fromNode: string,
    request: Extract<Packet, { kind: "request" }>,
  ): Promise<void> {
    const { id, method, body } = request;
    try {
      const handler = this.#requestHandlers.get(method);
      if (handler === undefined) throw new TrivetError("unknown-method", `Nobody here answers ${method}.`);
      this.#send(from, { kind: "reply", id, body: await handler(fromNode, body) });
    } catch (error) {
      if (isTrivetError(error))
        this.#send(from, { kind: "refusal", id, code: error.code, message: error.message });
      else this.#options.onProgramError(error);
    }
  }

  #send(to: number, packet: Packet): void {
    if (this.#options.isAlive()) this.#options.send(to, packet);
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
