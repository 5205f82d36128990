import { memberIdOf } from "../../agent/replica/member-id.ts";
import { Chaos, HINT_MS_MAX, HINT_MS_MIN } from "./chaos.ts";
import { Client, type KvHistory } from "./client.ts";
import { ClusterWatch, isMajorityLeft } from "./cluster-watch.ts";
import { CopyWatch } from "./copy-watch.ts";
import { DamageChaos } from "./damage-chaos.ts";
import { drawFaultMix } from "./fault-mix.ts";
import { HangChaos } from "./hang-chaos.ts";
import { historyFault } from "./history-fault.ts";
import { LeadershipSwing } from "./leadership-swing.ts";
import type { Surroundings } from "./machine.ts";
import { ObjectClient } from "./object-client.ts";
import { ObjectWatch } from "./object-watch.ts";
import { ObjectWatcher } from "./object-watcher.ts";
import { Operator } from "./operator.ts";
import { Recovery } from "./recovery.ts";
import { SimNetwork } from "./sim-network.ts";
import { SimNode } from "./sim-node.ts";
import { peersSeenFrom } from "./sim-presence.ts";
import { SimRandom } from "./sim-random.ts";
import { SpaceChaos } from "./space-chaos.ts";
import { type Counts, Tally } from "./tally.ts";
import { ValueWatch } from "./value-watch.ts";
import { type FailureKind, failureKindOf, Violation } from "./violation.ts";
import { NOBODY, World } from "./world.ts";

export interface SeedResult {
  readonly seed: number;
  /** What was broken; null if nothing was. */
  readonly violation: string | null;
  readonly failure: FailureKind | null;
  readonly requests: Counts;
  readonly steps: number;
  readonly virtualMs: number;
  readonly traceHash: number;
  readonly operations: number;
  readonly commits: number;
  readonly elections: number;
}

/** Called with each line of a run's log. */
export type RunLog = (line: string) => void;

const BAD_TIME_MS_MIN = 8_000;
const BAD_TIME_MS_MAX = 60_000;

/** One run: a cluster, a bad time, a good end. A function of the seed, and of the code under test. */
export async function runSeed(seed: number, log: RunLog | null): Promise<SeedResult> {
  const random = new SimRandom(seed);
  const streams = new Map<string, SimRandom>();
  const streamOf = (purpose: string): SimRandom => {
    const stream = streams.get(purpose) ?? SimRandom.forPurpose(seed, purpose);
    streams.set(purpose, stream);
    return stream;
  };
  const mix = drawFaultMix(random, streamOf);
  const world = new World();
  const watch = new ClusterWatch();
  const copies = new CopyWatch(() => world.nowMs);
  const objects = new ObjectWatch();
  const values = new ValueWatch();
  const network = new SimNetwork(
    world,
    { random: random.fork(), copyRandom: streamOf("slow copies on their way") },
    mix.network,
  );
  const nodeCount = random.pick([1, 2, 3, 3, 3, 3, 4, 5, 5]);
  const spareCount = random.pick([0, 0, 1, 2]);
  const nodeIds = Array.from(
    { length: nodeCount + spareCount },
    (_, nth) => "abcdef0"[nth]?.repeat(32) ?? "",
  );
  const badTimeMs = random.magnitude(BAD_TIME_MS_MIN, BAD_TIME_MS_MAX);
  const isBad = () => world.nowMs < badTimeMs;
  const nodes: SimNode[] = [];
  const write = (who: string, text: string) => log?.(`${world.nowMs.toFixed(3).padStart(11)} ${who} ${text}`);
  log?.(
    `seed ${seed}: ${nodeCount} founders, ${spareCount} more, bad time ${Math.round(badTimeMs)} ms, ${JSON.stringify(mix)}`,
  );

  const around: Surroundings = {
    world,
    random: random.fork(),
    streamOf,
    mix,
    network,
    watch,
    copies,
    objects,
    values,
    nodeIds,
    lost: new Set(),
    founders: nodeIds.slice(0, nodeCount).map((nodeId) => memberIdOf(nodeId, "00000001")),
    peersOf: (node) => peersSeenFrom(node, nodes, network),
    isBad,
    log: (node, text) => {
      if (log !== null) write(`node ${node}`, text);
    },
    sessionOf: (node) => nodes[node]?.starts ?? 0,
    onDown: (down) => {
      for (const other of nodes) {
        if (!random.isTrue(mix.network.hintRate)) continue;
        const ms = random.magnitude(HINT_MS_MIN, HINT_MS_MAX);
        world.at(ms, other.number, () => other.process?.peerDown(down));
      }
    },
  };
  for (const number of nodeIds.keys()) nodes.push(new SimNode(number, around));
  world.onStep = (actor) => {
    const node = actor === NOBODY ? undefined : nodes[actor];
    const replica = node?.process?.replica;
    if (replica == null) return;
    watch.observe(replica.raft, replica.copy.fault);
    copies.observe(replica.raft.id, replica.copy.fault);
  };

  const tally = new Tally();
  const history: KvHistory = [];
  const clientOptions = {
    world,
    random: random.fork(),
    mix: mix.clients,
    nodes,
    watch,
    copies,
    values,
    history,
    tally,
  };
  const clients = Array.from(
    { length: mix.clients.count },
    (_, nth) => new Client({ ...clientOptions, name: `c${nth}` }),
  );
  const objectHistory: KvHistory = [];
  const objectOptions = { world, random: streamOf("objects"), mix: mix.objects, nodes, tally };
  const objectClients = Array.from(
    { length: mix.objects.clients },
    (_, nth) =>
      new ObjectClient({
        ...objectOptions,
        sessionRandom: streamOf("object sessions"),
        name: `b${nth}`,
        history: objectHistory,
      }),
  );
  const watchers = Array.from(
    { length: mix.objects.watchers },
    (_, nth) =>
      new ObjectWatcher({
        ...objectOptions,
        wayRandom: streamOf("ways of watchers"),
        name: `w${nth}`,
        watch: objects,
      }),
  );
  const chaos = new Chaos({
    world,
    random: random.fork(),
    mix,
    network,
    hintRandom: streamOf("hints of cuts"),
    damage: new DamageChaos(streamOf("damage"), streamOf("silent damage"), mix),
    nodes,
    isBad,
    log: (text) => write("world ", text),
  });
  const recovery = new Recovery({
    world,
    mix,
    random: random.fork(),
    network,
    nodes,
    clients: [...clients, ...objectClients],
    watchers,
    clientOptions,
    objects,
    copies,
    drillRandom: mix.results.hasDrill ? streamOf("divergence drill") : null,
    damageRandom: mix.damage.hasDrill ? streamOf("damage drill") : null,
    leaderRandom: streamOf("ailing leader"),
    closingRandom: streamOf("closing requests"),
    hangRandom: streamOf("a hang in the end"),
    log: (text) => write("world ", text),
  });
  for (const node of nodes) node.start();
  for (const client of [...clients, ...objectClients, ...watchers]) client.start();
  chaos.start();
  new SpaceChaos({
    world,
    random: streamOf("space"),
    mix: mix.space,
    nodes,
    isBad,
    log: (text) => write("world ", text),
  }).start();
  new HangChaos({
    world,
    random: streamOf("hangs"),
    everyMs: mix.storeFaults.hangEveryMs,
    nodes,
    isBad,
    log: (text) => write("world ", text),
  }).start();
  new LeadershipSwing({
    ...{ world, mix, network, nodes, isBad },
    random: streamOf("leadership swing"),
    clientOptions,
    log: (text) => write("world ", text),
  }).start();
  new Operator({
    world,
    random: random.fork(),
    mix: mix.operator,
    nodes,
    canRely: (voters) => isMajorityLeft(voters, around.lost),
    wants: (voters) => watch.wanted(voters),
    isBad,
    partRandom: streamOf("parts of a change"),
    cutOff: (part) => chaos.cutOff(part),
    tally,
    log: (text) => write("world ", text),
  }).start();
  world.at(badTimeMs, NOBODY, () => recovery.begin());

  const end = await world.run();
  for (const client of [...clients, ...objectClients]) client.finish();
  const error = end.kind === "violation" ? end.error : historyFault([history, objectHistory]);
  return {
    seed,
    violation: error === null ? null : describe(error),
    failure: error === null ? null : failureKindOf(error),
    requests: tally.counts,
    steps: world.steps,
    virtualMs: world.nowMs,
    traceHash: world.traceHash,
    operations: history.length + objectHistory.length,
    commits: watch.commitIndex,
    elections: watch.elections,
  };
}

function describe(error: unknown): string {
  if (error instanceof Violation) {
    return error.cause instanceof Error ? `${error.message}\n${error.cause.stack}` : error.message;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
