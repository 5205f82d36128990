import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { ObjectsService } from "../replica/objects-service.ts";
import type { Answer } from "./answer.ts";
import { withDeadline } from "./answer-deadline.ts";
import type { ApiLimits } from "./api-limits.ts";
import type { ApiRequest } from "./api-request.ts";
import { JSON_HEADERS } from "./error-response.ts";
import { parseObjectPath } from "./object-path.ts";
import { ObjectWatch, WATCH_PIECE_BYTES } from "./object-watch.ts";
import type { QueryString } from "./query-string.ts";
import { WatchPages } from "./watch-pages.ts";
import { watchStream } from "./watch-stream.ts";

/**
 * What all watches together may keep in the buffers of their sockets, where clients do not read. Each is counted with all that it may
 * ever keep there, so that one that was let in never has to wait for another's room.
 */
const WATCH_BYTES_MAX = 16 * 1024 * 1024;
/** A watch holds a connection, too, for as long as its client likes: most of those must stay free for requests. */
const WATCHES_MAX = WATCH_BYTES_MAX / WATCH_PIECE_BYTES;

const NDJSON_HEADERS = { ...JSON_HEADERS, "content-type": "application/x-ndjson" } as const;

/** Watches of objects over HTTP: `/objects[/KIND[/NAMESPACE[/NAME]]]?watch&from=REVISION`. */
export class WatchHandler {
  readonly #objects: ObjectsService;
  readonly #limits: ApiLimits;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #watches = new Set<AbortController>();
  readonly #pages = new WatchPages();

  constructor(parts: {
    readonly objects: ObjectsService;
    readonly limits: ApiLimits;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    this.#objects = parts.objects;
    this.#limits = parts.limits;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
  }

  async watch({ incoming, outgoing, target }: ApiRequest, parameters: QueryString): Promise<Answer> {
    if (incoming.method === "HEAD") throw new TrivetError("bad-parameter", "A watch needs GET.");
    const filter = parseObjectPath(target);
    const from = parameters.integer("from", 0);
    const { queryTimeoutMs, requestTimeoutMsMax } = this.#limits;
    const timeoutMs = parameters.durationMs("timeout", queryTimeoutMs, requestTimeoutMsMax);
    if (this.#watches.size >= WATCHES_MAX) {
      throw new TrivetError("overloaded", `This node has ${WATCHES_MAX} watches already: ask another one.`);
    }
    const abort = new AbortController();
    this.#watches.add(abort);
    const end = (): void => {
      abort.abort();
      this.#watches.delete(abort);
      if (this.#watches.size === 0) this.#pages.clear();
    };
    // However it ends: its answer was sent to its end, or the client has gone.
    outgoing.once("close", end);
    const begin = async (): Promise<readonly [ObjectWatch, Uint8Array]> => {
      const place = await this.#objects.watchFrom({ timeoutMs, ...(from === undefined ? {} : { from }) });
      const { signal } = abort;
      const watch = new ObjectWatch({
        objects: this.#objects,
        pages: this.#pages,
        from: place,
        filter,
        signal,
      });
      const first = await watch.next();
      if (first === null) throw new TrivetError("stopping", "This node is stopping: ask another one.");
      return [watch, first];
    };
    try {
      const [watch, first] = await withDeadline(this.#clock, timeoutMs, begin());
      const cut = (): void => void outgoing.destroy();
      const body = watchStream(watch, first, { cut, logger: this.#logger });
      return { status: 200, headers: NDJSON_HEADERS, body };
    } catch (error) {
      end();
      throw error;
    }
  }

  /** Ends all watches: their clients go on elsewhere. */
  stop(): void {
    for (const watch of this.#watches) watch.abort();
  }
}
