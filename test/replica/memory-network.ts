import { RemoteError } from "../../agent/bus/remote-error.ts";
import { WORDS_PER_SILENCE } from "../../agent/bus/request-server.ts";
import type { Clock, Timer } from "../../agent/platform/clock.ts";
import { isTrivetError, TrivetError } from "../../agent/platform/trivet-error.ts";
import type { RequestOptions, Transport } from "../../agent/replica/ports.ts";

type RequestHandler = Parameters<Transport["handle"]>[1];

interface Request {
  readonly method: string;
  readonly body: Uint8Array;
  readonly timeoutMs: number;
  /** Called now and then while it is worked on; null: the sender does not ask for that. */
  readonly word: { readonly everyMs: number; readonly say: () => void } | null;
}

type Outcome = { readonly body: Uint8Array } | { readonly code: string; readonly message: string };

/** Nodes in one process that send each other datagrams and requests; any pair can be cut, one way too. */
export class MemoryNetwork {
  readonly #clock: Clock;
  readonly #handlers = new Map<string, (fromNode: string, body: Uint8Array) => void>();
  readonly #requestHandlers = new Map<string, RequestHandler>();
  readonly #cuts = new Set<string>();
  /** Datagrams that arrived, by kind; requests that arrived, by method. */
  readonly delivered = new Map<string, number>();
  /** Requests that are being answered. */
  answering = 0;
  /** Methods of which the next answer does not arrive; nobody is told. */
  readonly answersToDrop = new Set<string>();
  /** How long an answer is on its way, and what it becomes there. */
  answerMs: (method: string) => number = () => 1;
  alterAnswer: (method: string, body: Uint8Array) => Uint8Array = (_method, body) => body;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Handlers of datagrams and of requests that have not been ended. */
  get listeners(): number {
    return this.#handlers.size + this.#requestHandlers.size;
  }

  cut(fromNode: string, toNode: string): void {
    this.#cuts.add(`${fromNode} ${toNode}`);
  }

  heal(): void {
    this.#cuts.clear();
  }

  transportOf(nodeId: string): Transport {
    return {
      send: (toNode, kind, body) => {
        this.#carry(nodeId, toNode, 1, () => {
          const handler = this.#handlers.get(`${toNode} ${kind}`);
          if (handler === undefined) return;
          this.#count(kind);
          handler(nodeId, body);
        });
        return true;
      },
      onDatagram: (kind, handler) => {
        this.#handlers.set(`${nodeId} ${kind}`, handler);
        return () => this.#handlers.delete(`${nodeId} ${kind}`);
      },
      request: (toNode, method, body, options) => this.#request(nodeId, toNode, method, body, options),
      handle: (method, handler) => {
        this.#requestHandlers.set(`${nodeId} ${method}`, handler);
        return () => this.#requestHandlers.delete(`${nodeId} ${method}`);
      },
    };
  }

  /** Does not arrive if the way is cut when it leaves. */
  #carry(fromNode: string, toNode: string, ms: number, arrive: () => void): void {
    if (this.#cuts.has(`${fromNode} ${toNode}`)) return;
    this.#clock.setTimer(ms, arrive);
  }

  #request(
    fromNode: string,
    toNode: string,
    method: string,
    body: Uint8Array,
    { timeoutMs, signal, silenceMs, onWorking }: RequestOptions,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const watchSilence = (): Timer | null => {
        if (silenceMs === undefined) return null;
        const silent = new TrivetError("request-timeout", `${method}: nothing heard for ${silenceMs} ms`);
        return this.#clock.setTimer(silenceMs, () => end(() => reject(silent)));
      };
      let silence = watchSilence();
      const say = (): void =>
        this.#carry(toNode, fromNode, 1, () => {
          if (isOver) return;
          silence?.cancel();
          silence = watchSilence();
          onWorking?.();
        });
      const word = silenceMs === undefined ? null : { everyMs: silenceMs / WORDS_PER_SILENCE, say };
      let isOver = false;
      const abort = (): void =>
        end(() => reject(new TrivetError("request-aborted", `${method} is given up`)));
      const timer = this.#clock.setTimer(timeoutMs, () =>
        end(() => reject(new TrivetError("request-timeout", `${method} had no answer in ${timeoutMs} ms`))),
      );
      const end = (settle: () => void): void => {
        isOver = true;
        timer.cancel();
        silence?.cancel();
        signal.removeEventListener("abort", abort);
        settle();
      };
      if (signal.aborted) return abort();
      signal.addEventListener("abort", abort, { once: true });
      this.#carry(fromNode, toNode, 1, () => {
        void this.#answer(fromNode, toNode, { method, body, timeoutMs, word }).then((outcome) => {
          if (this.answersToDrop.delete(method)) return;
          this.#carry(toNode, fromNode, this.answerMs(method), () =>
            end(() => {
              if ("body" in outcome) resolve(this.alterAnswer(method, outcome.body));
              else reject(new RemoteError(toNode, outcome.code, outcome.message));
            }),
          );
        });
      });
    });
  }

  async #answer(fromNode: string, toNode: string, request: Request): Promise<Outcome> {
    const { method, body, timeoutMs, word } = request;
    this.#count(method);
    const handler = this.#requestHandlers.get(`${toNode} ${method}`);
    if (handler === undefined) return { code: "unknown-method", message: `${toNode} knows no ${method}` };
    this.answering += 1;
    const deadlineMs = this.#clock.nowMs() + timeoutMs;
    const stopSaying = word === null ? () => undefined : this.#sayEvery(word, deadlineMs);
    try {
      return { body: await handler(fromNode, body, { deadlineMs }) };
    } catch (error) {
      if (isTrivetError(error)) return { code: error.code, message: error.message };
      return { code: "internal", message: `${error}` };
    } finally {
      this.answering -= 1;
      stopSaying();
    }
  }

  /** As the bus does (`RequestServer`). */
  #sayEvery({ everyMs, say }: NonNullable<Request["word"]>, deadlineMs: number): () => void {
    const wait = (): Timer =>
      this.#clock.setTimer(everyMs, () => {
        if (this.#clock.nowMs() > deadlineMs) return;
        say();
        timer = wait();
      });
    let timer = wait();
    return () => timer.cancel();
  }

  #count(kind: string): void {
    this.delivered.set(kind, (this.delivered.get(kind) ?? 0) + 1);
  }
}
