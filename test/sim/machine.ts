import type { Peer } from "../../agent/bus/peer-table.ts";
import type { ClusterWatch } from "./cluster-watch.ts";
import type { CopyWatch } from "./copy-watch.ts";
import type { FaultMix } from "./fault-mix.ts";
import type { NodeData } from "./node-data.ts";
import type { ObjectWatch } from "./object-watch.ts";
import type { SimClock } from "./sim-clock.ts";
import type { SimDiskSpace } from "./sim-disk-space.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { SimRandom } from "./sim-random.ts";
import type { StoreHang } from "./store-hang.ts";
import type { ValueWatch } from "./value-watch.ts";
import type { World } from "./world.ts";
import type { WrongResults } from "./wrong-results.ts";

/** What all nodes of a run share. */
export interface Surroundings {
  readonly world: World;
  readonly random: SimRandom;
  /** The chance of one purpose, the same stream for as long as the run takes. */
  readonly streamOf: (purpose: string) => SimRandom;
  readonly mix: FaultMix;
  readonly network: SimNetwork;
  readonly watch: ClusterWatch;
  readonly copies: CopyWatch;
  readonly objects: ObjectWatch;
  readonly values: ValueWatch;
  readonly nodeIds: readonly string[];
  /** The members that the cluster is founded with. */
  readonly founders: readonly string[];
  /** Members whose disks are lost, or may be found damaged. */
  readonly lost: Set<string>;
  /** Which process of a node runs, or ran last. */
  readonly sessionOf: (node: number) => number;
  /** What a node has heard of the others. */
  readonly peersOf: (node: number) => ReadonlyMap<string, Peer>;
  /** False in the end, when nothing goes wrong any more. */
  readonly isBad: () => boolean;
  /** The process of a node is gone: told to the others, sometimes. */
  readonly onDown: (node: number) => void;
  readonly log: (node: number, text: string) => void;
}

/** What a process sees of the node that it runs on. */
export interface Machine {
  readonly number: number;
  readonly around: Surroundings;
  readonly clock: SimClock;
  readonly data: NodeData;
  readonly space: SimDiskSpace;
  readonly results: WrongResults;
  readonly hang: StoreHang;
  crash(options: { readonly isPowerCut: boolean }): void;
  /** The process of this session ended by itself. */
  processFailed(session: string, error: unknown): void;
}
