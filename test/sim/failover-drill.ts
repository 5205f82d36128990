import type { FaultMix } from "./fault-mix.ts";
import type { SimNode } from "./sim-node.ts";
import { check } from "./violation.ts";
import type { World } from "./world.ts";

/**
 * Who is next campaigns some 30 ms after the one before at least (`Leadership.nodeLost`). Where a round trip and a sync take longer, the
 * vote is split now and then, and an election timeout decides after all.
 */
const DELAY_MS_MAX = 4;
const SYNC_MS_MAX = 5;

/** Far less than what is left of an election timeout when the leader dies, and more than seven voters take to campaign in turn. */
const HINTED_MS_MAX = 600;
/** One of so many leaders is followed in time: a campaign may still fail by chance. */
const TRIES = 3;

export interface FailoverDrillOptions {
  readonly mix: FaultMix;
  readonly world: World;
  /** Of the nodes that are well and belong to the cluster. */
  readonly members: () => readonly SimNode[];
  readonly leader: () => SimNode | undefined;
  /** Resolves when it holds, in the time that there is. */
  readonly until: (what: string, isMet: () => boolean) => Promise<void>;
  readonly hasConverged: () => boolean;
  readonly log: (text: string) => void;
}

/** When all is well the leader is killed, and the others are told at once: nobody waits for an election timeout. */
export async function drillFailover(options: FailoverDrillOptions): Promise<void> {
  const { mix, world, members, leader, until, hasConverged, log } = options;
  const isReliable = mix.network.delayMs <= DELAY_MS_MAX && mix.disk.syncMs <= SYNC_MS_MAX;
  if (!isReliable) return;
  const tookMs: number[] = [];
  while (tookMs.length < TRIES) {
    await until("all have applied the same before the leader is killed", hasConverged);
    const victim = leader();
    if (victim === undefined || !victim.isSpare) return;
    const others = members().filter((node) => node !== victim);
    const killedMs = world.nowMs;
    log(`the leader, node ${victim.number}, is killed, and all are told`);
    victim.crash({ isPowerCut: false });
    for (const { process } of others) process?.peerDown(victim.number);
    await until("another one leads", () => leader() !== undefined);
    const ms = world.nowMs - killedMs;
    if (ms <= HINTED_MS_MAX) return;
    tookMs.push(Math.round(ms));
  }
  check(
    false,
    () => `all were told each time that the leader was killed, and another led after ${tookMs} ms`,
  );
}
