import type { Clock, Timer } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import { isTrivetError, messageOf, TrivetError } from "../platform/trivet-error.ts";
import type { SendResult } from "./datagrams.ts";
import { REPLY_KIND } from "./request-client.ts";
import { decodeRequest, encodeReply, type ReplyMessage, type RequestMessage } from "./request-codec.ts";

export interface RequestContext {
  /** Fires when the sender has given up, or the bus closes. */
  readonly signal: AbortSignal;
  /** On the agent's clock: when the sender gives up. */
  readonly deadlineMs: number;
}

/** Answers a request. A `TrivetError` that it rejects with reaches the sender with its code and sentence. */
export type RequestHandler = (
  from: string,
  body: Uint8Array,
  context: RequestContext,
) => Promise<Uint8Array> | Uint8Array;

/** So many words, of which some may be lost, come in the time after which the sender takes its request for lost. */
export const WORDS_PER_SILENCE = 4;
/** Whatever the sender asks for. */
const WORD_MS_MIN = 50;

/** No sender waits longer, whatever it says; also keeps timers within what Node can count. */
const REMAINING_MS_MAX = 3_600_000;

export interface RequestServerOptions {
  readonly limits: { readonly handlersMax: number; readonly handlersPerPeerMax: number };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly send: (to: string, kind: string, body: Uint8Array) => SendResult;
}

/**
 * Runs the handlers of other nodes' requests, a bounded number at a time. A request that comes twice as a datagram
 * is executed once: the replay window drops the second.
 */
export class RequestServer {
  readonly #options: RequestServerOptions;
  readonly #handlers = new Map<string, RequestHandler>();
  /** What ends each. */
  readonly #running = new Set<() => void>();
  readonly #runningByPeer = new Map<string, number>();

  constructor(options: RequestServerOptions) {
    this.#options = options;
  }

  /** Calls `handler` for each request of `method`; one handler a method. Returns what ends that. */
  handle(method: string, handler: RequestHandler): () => void {
    invariant(!this.#handlers.has(method), `second handler for requests "${method}"`);
    this.#handlers.set(method, handler);
    return () => {
      if (this.#handlers.get(method) === handler) this.#handlers.delete(method);
    };
  }

  /** Takes the body of a request datagram. False if it is none. */
  receive(from: string, body: Uint8Array): boolean {
    const request = decodeRequest(body);
    if (request === null) return false;
    const handler = this.#handlers.get(request.method);
    const refusal = handler === undefined ? unknownMethod(request.method) : this.#refusal(from);
    if (handler === undefined || refusal !== null) {
      const error = refusal ?? unknownMethod(request.method);
      this.#reply(from, errorReply(request, error));
    } else {
      void this.#run(from, request, handler);
    }
    return true;
  }

  close(): void {
    this.#handlers.clear();
    for (const end of this.#running) end();
  }

  #refusal(from: string): TrivetError | null {
    const { handlersMax, handlersPerPeerMax } = this.#options.limits;
    if (this.#running.size < handlersMax && (this.#runningByPeer.get(from) ?? 0) < handlersPerPeerMax)
      return null;
    return new TrivetError("busy", "The node works on too many requests already: try again later.");
  }

  async #run(from: string, request: RequestMessage, handler: RequestHandler): Promise<void> {
    const { clock } = this.#options;
    const controller = new AbortController();
    const remainingMs = Math.min(request.remainingMs, REMAINING_MS_MAX);
    const timer = clock.setTimer(remainingMs, () => end());
    const stopTelling = this.#tellThatItWorks(from, request);
    const end = (): void => {
      timer.cancel();
      stopTelling();
      controller.abort();
    };
    this.#running.add(end);
    this.#runningByPeer.set(from, (this.#runningByPeer.get(from) ?? 0) + 1);
    const context = { signal: controller.signal, deadlineMs: clock.nowMs() + remainingMs };
    const reply = await this.#answer(from, request, handler, context);
    timer.cancel();
    stopTelling();
    this.#running.delete(end);
    const left = (this.#runningByPeer.get(from) ?? 1) - 1;
    if (left > 0) this.#runningByPeer.set(from, left);
    else this.#runningByPeer.delete(from);
    // After its deadline nobody waits for the reply.
    if (!controller.signal.aborted) this.#reply(from, reply);
  }

  /** Again and again, where the sender wants to know. Returns what ends that. */
  #tellThatItWorks(from: string, { session, id, silenceMs }: RequestMessage): () => void {
    if (silenceMs === 0) return () => undefined;
    const everyMs = Math.max(WORD_MS_MIN, silenceMs / WORDS_PER_SILENCE);
    const wait = (): Timer =>
      this.#options.clock.setTimer(everyMs, () => {
        this.#reply(from, { kind: "working", session, id });
        timer = wait();
      });
    let timer = wait();
    return () => timer.cancel();
  }

  async #answer(
    from: string,
    request: RequestMessage,
    handler: RequestHandler,
    context: RequestContext,
  ): Promise<ReplyMessage> {
    const { session, id } = request;
    try {
      return { kind: "result", session, id, body: await handler(from, request.body, context) };
    } catch (error) {
      return this.#errorReply(from, request, error);
    }
  }

  #errorReply(from: string, request: RequestMessage, error: unknown): ReplyMessage {
    if (isTrivetError(error)) return errorReply(request, error);
    const { method } = request;
    this.#options.logger.log("error", "A request failed for a reason that is a bug.", {
      method,
      from,
      error,
    });
    return errorReply(request, { code: "internal", message: `"${method}" failed: ${messageOf(error)}` });
  }

  #reply(to: string, reply: ReplyMessage): void {
    const { send, logger } = this.#options;
    try {
      const sent = send(to, REPLY_KIND, encodeReply(reply));
      if (sent !== "sent") logger.log("debug", "A reply was not sent.", { to, why: sent });
    } catch (error) {
      if (!isTrivetError(error, "too-large") || reply.kind !== "result") throw error;
      this.#reply(to, errorReply(reply, error));
    }
  }
}

function errorReply(
  { session, id }: Pick<RequestMessage, "session" | "id">,
  { code, message }: Pick<TrivetError, "code" | "message">,
): ReplyMessage {
  return { kind: "error", session, id, code, message };
}

function unknownMethod(method: string): TrivetError {
  return new TrivetError(
    "unknown-method",
    `The node does not answer "${method}": it takes no part in that yet, or no more, or runs an older version.`,
  );
}
