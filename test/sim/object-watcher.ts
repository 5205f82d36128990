import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import type { ObjectChange, ObjectsService } from "../../agent/replica/objects-service.ts";
import { OBJECT_KIND } from "./object-client.ts";
import type { ObjectMix } from "./object-mix.ts";
import type { ObjectWatch } from "./object-watch.ts";
import { endOfRead } from "./request-end.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimProcess } from "./sim-process.ts";
import type { SimRandom } from "./sim-random.ts";
import type { Tally } from "./tally.ts";
import { check } from "./violation.ts";
import { NOBODY, type World } from "./world.ts";

const RETRY_MS = 50;
const PROGRESS_MS = 10_000;
/** How often a watcher waits for a node's next change at once, before it has asked what there is. */
const TRUSTING_RATE = 0.5;
/** In the end it has come so far with a node before it tries another one that it cannot go on for ever like that. */
const HASTY_PATIENCE_MS = 20_000;
/** More than there are. */
const LIST_MAX = 1_000;

export interface ObjectWatcherOptions {
  readonly name: string;
  readonly world: World;
  readonly random: SimRandom;
  /** Of how it goes from node to node. */
  readonly wayRandom: SimRandom;
  readonly mix: ObjectMix;
  readonly nodes: readonly SimNode[];
  readonly watch: ObjectWatch;
  readonly tally: Tally;
}

/** Follows all objects, through one node after the other: must be told of every change once, in order. */
export class ObjectWatcher {
  readonly #options: ObjectWatcherOptions;
  /** It has seen everything up to this revision. */
  #place = 0;
  #nodes: () => readonly SimNode[];
  #ending = new AbortController();
  #isInHaste = false;

  constructor(options: ObjectWatcherOptions) {
    this.#options = options;
    this.#nodes = () => options.nodes;
  }

  get place(): number {
    return this.#place;
  }

  /** From now on it goes to these only: others may never hear of what happens. */
  stayWith(nodes: () => readonly SimNode[]): void {
    this.#nodes = nodes;
    this.#isInHaste = true;
    this.#ending.abort();
  }

  start(): void {
    this.#goOn().catch((error: unknown) => this.#options.world.end({ kind: "violation", error }));
  }

  async #goOn(): Promise<never> {
    const { random } = this.#options;
    for (;;) {
      const nodes = this.#nodes();
      const process = nodes.length > 0 ? random.pick(nodes).process : null;
      if (process?.objects != null) await this.#follow(process, process.objects);
      await this.#goAway();
    }
  }

  /** Long enough at times to find that a node has started again meanwhile, or keeps no more what it has missed; not in the end. */
  async #goAway(): Promise<void> {
    const { world, wayRandom, mix } = this.#options;
    const ms = this.#isInHaste ? RETRY_MS : RETRY_MS + mix.awayMs * wayRandom.float();
    await new Promise<void>((resolve) => world.at(ms, NOBODY, resolve));
  }

  /** Until it has seen enough of this node, or the node has. */
  async #follow(process: SimProcess, objects: ObjectsService): Promise<void> {
    const { world, random, mix, name, watch, tally } = this.#options;
    const ending = new AbortController();
    this.#ending = ending;
    const patienceMs = this.#isInHaste ? HASTY_PATIENCE_MS : mix.patienceMs;
    world.at(patienceMs * random.between(0.1, 1), NOBODY, () => ending.abort());
    const { signal } = ending;
    const filter = { kind: OBJECT_KIND };
    const tell = (change: ObjectChange): void => {
      watch.told(name, this.#place, change);
      this.#place = change.revision;
    };
    try {
      const options = { from: this.#place, timeoutMs: mix.timeoutMs };
      await process.whileAlive(objects.watchFrom(options));
      for (let waitMs = this.#firstWaitMs(); !signal.aborted; waitMs = PROGRESS_MS) {
        await this.#digest();
        const wanted = { after: this.#place, filter, waitMs, signal };
        const page = process.whileAlive(objects.changes(wanted));
        const { changes, revision } = await tally.count("page of object changes", page);
        for (const change of changes) tell(change);
        tell({ revision, events: [] });
      }
    } catch (error) {
      // The place was told by the cluster itself.
      check(!isTrivetError(error, "revision-unknown"), () => `${name} is at ${this.#place}: ${error}`);
      if (isTrivetError(error, "revision-compacted")) await this.#list(process, objects);
      else endOfRead(error);
    }
  }

  /** The API asks at once at first; others need not, and must miss nothing either. */
  #firstWaitMs(): number {
    const { wayRandom } = this.#options;
    return !this.#isInHaste && wayRandom.isTrue(TRUSTING_RATE) ? PROGRESS_MS : 0;
  }

  /** Slow enough at times to fall behind what the agent keeps at hand; not in the end. */
  async #digest(): Promise<void> {
    const { world, random, mix } = this.#options;
    if (mix.digestMs === 0 || this.#isInHaste) return;
    await new Promise<void>((resolve) => world.at(mix.digestMs * random.float(), NOBODY, resolve));
  }

  /** What it missed is not kept any more: begins anew from all that there is. */
  async #list(process: SimProcess, objects: ObjectsService): Promise<void> {
    const { name, watch, mix } = this.#options;
    const options = { level: "none", kind: OBJECT_KIND, limit: LIST_MAX, timeoutMs: mix.timeoutMs } as const;
    try {
      const list = await process.whileAlive(objects.list(options));
      if (list.revision < this.#place) return;
      watch.listed(name, list);
      this.#place = list.revision;
    } catch (error) {
      endOfRead(error);
    }
  }
}
