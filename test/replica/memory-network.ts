import type { Clock } from "../../agent/platform/clock.ts";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import type { Transport } from "../../agent/replica/ports.ts";

/** Nodes in one process that send each other datagrams; any pair can be cut, one way too. */
export class MemoryNetwork {
  readonly #clock: Clock;
  readonly #handlers = new Map<string, (fromNode: string, body: Uint8Array) => void>();
  readonly #cuts = new Set<string>();
  /** Datagrams that arrived, by kind. */
  readonly delivered = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
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
        if (this.#cuts.has(`${nodeId} ${toNode}`)) return true;
        this.#clock.setTimer(1, () => {
          const handler = this.#handlers.get(`${toNode} ${kind}`);
          if (handler === undefined) return;
          this.delivered.set(kind, (this.delivered.get(kind) ?? 0) + 1);
          handler(nodeId, body);
        });
        return true;
      },
      onDatagram: (kind, handler) => {
        this.#handlers.set(`${nodeId} ${kind}`, handler);
        return () => this.#handlers.delete(`${nodeId} ${kind}`);
      },
      request: () => Promise.reject(new TrivetError("no-route", "This network carries datagrams only.")),
      handle: () => () => undefined,
    };
  }
}
