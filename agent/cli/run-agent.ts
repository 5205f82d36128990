import { type ApiServer, startApiServer } from "../api/start-api-server.ts";
import { Bus } from "../bus/bus.ts";
import { limitsForHeartbeats } from "../bus/bus-limits.ts";
import type { Settings } from "../config/settings.ts";
import { DataDirectory } from "../membership/data-directory.ts";
import { Membership } from "../membership/membership.ts";
import { systemClock as clock } from "../platform/clock.ts";
import { diskSpaceAt } from "../platform/disk-space.ts";
import type { Logger } from "../platform/logger.ts";
import { systemRandom as random } from "../platform/random.ts";
import { messageOf, TrivetError } from "../platform/trivet-error.ts";
import { DiskWatch } from "../replica/disk-watch.ts";
import { NodeStorage } from "./node-storage.ts";
import { VERSION } from "./version.ts";
import { waitForRoom } from "./wait-for-room.ts";

/**
 * One agent from start to stop: opens what it has, takes part in its cluster, serves the API.
 *
 * Resolves after a clean stop, which `signal` asks for. Rejects if it cannot start, or if the disk, the database or an invariant failed: then the process must end, since
 * what it holds in memory may no longer be what the disk has.
 */
export async function runAgent(options: {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { settings, logger, signal } = options;
  const failure = new Failure();
  const opened = new OpenedParts(logger);
  try {
    await waitForRoom(settings.data, logger, signal);
    const data = opened.add("data directory", await DataDirectory.open(settings.data, random, clock));
    const storage = opened.add("storage", new NodeStorage({ data, logger, clock }));
    const { nodeId } = data.identity;
    const { cluster, mqtt: listen, peers: seeds } = settings;
    const limits = limitsForHeartbeats(settings.heartbeatMs);
    const bus = opened.add(
      "bus",
      await Bus.open({
        cluster,
        nodeId,
        session: data.session,
        listen,
        seeds,
        limits,
        clock,
        random,
        logger,
      }),
    );
    const space = diskSpaceAt(data.path);
    const watermarkBytes = settings.diskWatermarkBytes;
    const onFailed = (error: unknown): void => failure.fail(failedRunning(error));
    const diskWatch = new DiskWatch({ space, watermarkBytes, clock, logger, onFailed });
    opened.add("disk watch", { close: async () => diskWatch.stop() });
    await diskWatch.start();
    let api: ApiServer | null = null;
    const membership = new Membership({
      node: { version: VERSION, name: settings.name, broker: bus.brokerUrl, api: () => api?.url ?? null },
      clusterName: cluster,
      expect: settings.bootstrapExpect,
      hasSeeds: seeds.length > 0,
      timing: {
        heartbeatMs: settings.heartbeatMs,
        electionMs: settings.electionTimeoutMs,
        electionMaxMs: settings.electionTimeoutMsMax,
      },
      logRetainBytes: settings.logRetainBytes,
      ...{ storage, data, diskWatch, bus, clock, random, logger, onFailed },
    });
    opened.add("membership", { close: async () => membership.stop() });
    api = await startApiServer({
      listen: settings.http,
      sql: membership.sql,
      objects: membership.objects,
      status: () => membership.status(),
      limits: settings,
      logger,
      clock,
    });
    opened.add("API", api);
    logger.log("info", "Serving.", {
      node: nodeId,
      name: settings.name,
      api: api.url,
      broker: bus.brokerUrl,
    });
    membership.start().catch((error: unknown) => {
      // A stop ends the wait for a cluster, which is no failure.
      if (!signal.aborted) failure.fail(error);
    });
    await Promise.race([failure.happened, aborted(signal)]);
    logger.log("info", "Stopping.", { reason: signal.reason });
    await membership.handOver();
  } catch (error) {
    // A stop while there was nothing to be stopped yet.
    if (!(signal.aborted && opened.isEmpty)) failure.fail(error);
  }
  failure.fail(await opened.closeAll());
  failure.throwIfAny();
}

/**
 * What fails while the agent runs is no matter of its configuration, after which service managers do not start it again: the next start
 * mends it, or says what stands in the way.
 */
function failedRunning(error: unknown): TrivetError {
  return new TrivetError("agent-failed", messageOf(error), { cause: error });
}

/** The first thing that went wrong for good. */
class Failure {
  readonly happened: Promise<never>;
  #first: unknown = null;
  #reject: (error: unknown) => void = () => undefined;

  constructor() {
    this.happened = new Promise((_, reject) => {
      this.#reject = reject;
    });
    // It may happen while nobody waits for it yet, or any more.
    this.happened.catch(() => undefined);
  }

  /** Only the first counts: what comes after it may be its consequence. Null is none. */
  fail(error: unknown): void {
    this.#first ??= error;
    if (this.#first !== null) this.#reject(this.#first);
  }

  throwIfAny(): void {
    if (this.#first !== null) throw this.#first;
  }
}

/** What has been opened, to be closed in the opposite order however far the start came. */
class OpenedParts {
  readonly #logger: Logger;
  readonly #parts: { readonly name: string; readonly part: { close(): Promise<void> } }[] = [];

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0;
  }

  add<Part extends { close(): Promise<void> }>(name: string, part: Part): Part {
    this.#parts.push({ name, part });
    return part;
  }

  /** Resolves with the first error; null if all went well. */
  async closeAll(): Promise<unknown> {
    let first: unknown = null;
    for (const { name, part } of this.#parts.reverse()) {
      try {
        await part.close();
      } catch (error) {
        // One that fails must not keep the others open.
        this.#logger.log("error", `The ${name} could not be closed cleanly.`, { reason: error });
        first ??= error;
      }
    }
    return first;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
