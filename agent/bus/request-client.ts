import type { Clock, Timer } from "../platform/clock.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { SendResult } from "./datagrams.ts";
import { RemoteError } from "./remote-error.ts";
import { decodeReply, encodeRequest } from "./request-codec.ts";

export const REQUEST_KIND = "$request";
export const REPLY_KIND = "$reply";

export interface RequestOptions {
  /** From now until the answer must be here. The handler is told how much of it is left. */
  readonly timeoutMs: number;
  /** Ends the wait with `request-aborted`; the other node may go on with it. */
  readonly signal?: AbortSignal;
  /**
   * The same as the deadline, once neither the answer nor a word that the other node is at work has come for so long: a lost datagram
   * is noticed, and slow work waited for. Left out: only the deadline counts.
   */
  readonly silenceMs?: number;
  /** Called with each word that the other node is at work. */
  readonly onWorking?: () => void;
}

interface Pending {
  readonly to: string;
  /** Of the process that was asked; null if it was not known. */
  readonly session: number | null;
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (error: Error) => void;
  readonly timer: Timer;
  /** Ends what is silent; null where that does not count. */
  silence: Timer | null;
  /** It is at work: the silence begins anew. */
  readonly isWorking: () => void;
  readonly stopListening: () => void;
}

export interface RequestClientOptions {
  /** Of this node: tells what it asks from what its earlier processes have asked. */
  readonly session: number;
  readonly limits: { readonly requestsMax: number };
  readonly clock: Clock;
  /** The newest session of a node that is known. */
  readonly sessionOf: (nodeId: string) => number | null;
  readonly send: (to: string, kind: string, body: Uint8Array) => SendResult;
}

/** Our requests that wait for an answer. Each ends exactly once: by its answer, its deadline, or a lost peer. */
export class RequestClient {
  readonly #options: RequestClientOptions;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  #closed = false;

  constructor(options: RequestClientOptions) {
    this.#options = options;
  }

  request(to: string, method: string, body: Uint8Array, options: RequestOptions): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(options.signal);
      if (refusal !== null) return reject(refusal);
      const id = this.#nextId++;
      const { timeoutMs, signal, silenceMs, onWorking } = options;
      const { session, clock, sessionOf, send } = this.#options;
      const remainingMs = timeoutMs;
      const question = encodeRequest({ session, id, method, remainingMs, silenceMs: silenceMs ?? 0, body });
      const sent = send(to, REQUEST_KIND, question);
      if (sent !== "sent") return reject(notSent(to, method, sent));
      const abort = () => this.#fail(id, aborted(method));
      signal?.addEventListener("abort", abort, { once: true });
      const timer = clock.setTimer(timeoutMs, () => this.#fail(id, timedOut(to, method, timeoutMs)));
      const stopListening = () => signal?.removeEventListener("abort", abort);
      const watchSilence = () =>
        silenceMs === undefined
          ? null
          : clock.setTimer(silenceMs, () => this.#fail(id, timedOut(to, method, silenceMs)));
      const isWorking = () => {
        pending.silence?.cancel();
        pending.silence = watchSilence();
        onWorking?.();
      };
      const settling = { resolve, reject, timer, stopListening };
      const pending = { to, session: sessionOf(to), ...settling, silence: watchSilence(), isWorking };
      this.#pending.set(id, pending);
    });
  }

  /**
   * Takes the body of a reply datagram, from a process of session `sender`. False if it is none, or nobody waits for it (any more).
   *
   * A copy of the question may have reached the node's next process, which refuses it, or works on it: that says nothing of what the
   * one before did.
   */
  receive(from: string, body: Uint8Array, sender: number): boolean {
    const reply = decodeReply(body);
    if (reply === null || reply.session !== this.#options.session) return false;
    const pending = this.#pending.get(reply.id);
    if (pending === undefined || pending.to !== from) return false;
    const { session } = pending;
    const isOfAnother = session !== null && session !== sender;
    if (reply.kind === "working") {
      if (!isOfAnother) pending.isWorking();
      return true;
    }
    this.#settle(reply.id, pending);
    if (reply.kind === "result") pending.resolve(reply.body);
    else if (isOfAnother) pending.reject(peerDown(from));
    else pending.reject(new RemoteError(from, reply.code, reply.message));
    return true;
  }

  /** The node is gone: nothing that waits for it is answered. */
  peerDown(nodeId: string): void {
    for (const [id, pending] of this.#pending) {
      if (pending.to === nodeId) this.#fail(id, peerDown(nodeId));
    }
  }

  close(): void {
    this.#closed = true;
    for (const id of this.#pending.keys()) this.#fail(id, busClosed());
  }

  #refusal(signal: AbortSignal | undefined): TrivetError | null {
    if (this.#closed) return busClosed();
    if (signal?.aborted === true) return aborted("the request");
    const { requestsMax } = this.#options.limits;
    if (this.#pending.size < requestsMax) return null;
    return new TrivetError(
      "too-many-requests",
      `${requestsMax} requests to other nodes wait for an answer already: try again later.`,
    );
  }

  #fail(id: number, error: TrivetError): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#settle(id, pending);
    pending.reject(error);
  }

  #settle(id: number, pending: Pending): void {
    this.#pending.delete(id);
    pending.timer.cancel();
    pending.silence?.cancel();
    pending.stopListening();
  }
}

function notSent(to: string, method: string, why: "no-route" | "congested"): TrivetError {
  const found = why === "no-route" ? "no hub reaches it" : "the way there is full";
  return new TrivetError("no-route", `"${method}" was not sent to node ${to}: ${found}. Try again later.`);
}

function timedOut(to: string, method: string, timeoutMs: number): TrivetError {
  return new TrivetError(
    "request-timeout",
    `Node ${to} did not answer "${method}" within ${timeoutMs} ms; whether it was done is unknown.`,
  );
}

function peerDown(to: string): TrivetError {
  return new TrivetError("peer-down", `Node ${to} went away before it answered; what it did is unknown.`);
}

function aborted(method: string): TrivetError {
  return new TrivetError("request-aborted", `The caller gave up on "${method}".`);
}

function busClosed(): TrivetError {
  return new TrivetError("bus-closed", "This agent is stopping: it sends no more requests.");
}
