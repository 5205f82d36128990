import { membersOf } from "../../agent/raft/quorum.ts";
import type { Configuration } from "../../agent/raft/types.ts";
import { chanceFrom } from "./chance.ts";
import { bootstrapDisk, EMPTY_DISK } from "./disk.ts";
import { drawConfiguration } from "./draw-configuration.ts";
import { Trouble } from "./trouble.ts";
import { Upheaval } from "./upheaval.ts";
import { TIMING, WalkWorld } from "./walk-world.ts";

/** Virtual milliseconds of trouble, and what is given to recover from it afterwards. */
const TROUBLE_MS = 10_000;
const RECOVERY_MS = 20_000;

export interface WalkResult {
  readonly elections: number;
  readonly committed: number;
  readonly confirmedReads: number;
  readonly crashes: number;
  readonly changes: number;
  readonly restores: number;
  /** From the end of the trouble to a new entry that everyone has applied. */
  readonly recoveryMs: number;
}

/** One run of a cluster through trouble and recovery; the same seed is the same run. Throws at a broken rule. */
export function walk(seed: number, trace?: (line: string) => void): WalkResult {
  const chance = chanceFrom(seed);
  const configuration = drawConfiguration(chance);
  const world: WalkWorld = new WalkWorld({
    chance,
    ...(trace && { trace }),
    onSnapshotNeeded: (member) => upheaval.fetch(member, member.snapshotFrom),
  });
  const upheaval = new Upheaval(world);
  found(world, configuration);
  const trouble = new Trouble(world, upheaval);
  world.at(0, () => trouble.begin());
  world.runTo(TROUBLE_MS, () => false);
  const recoveryMs = recover(world, trouble);
  const { elections, committed, confirmedReads } = world.safety;
  return {
    elections,
    committed: committed.length,
    confirmedReads,
    crashes: world.crashes,
    changes: upheaval.changes,
    restores: upheaval.restores,
    recoveryMs,
  };
}

/** All start: with the configuration in their logs, or, sometimes, all but one with nothing. */
function found(world: WalkWorld, configuration: Configuration): void {
  const isFresh = world.chance.float() < 0.5;
  const genesis = bootstrapDisk(configuration);
  for (const id of membersOf(configuration)) world.add(id, isFresh && id !== "a" ? EMPTY_DISK : genesis);
  for (const member of world.members.values()) world.start(member);
}

/** Everything works again: all must come to agree, and soon. Returns how long it took; throws if it took too long. */
function recover(world: WalkWorld, trouble: Trouble): number {
  world.calm();
  const { safety } = world;
  const startMs = world.nowMs;
  let proposed = Number.POSITIVE_INFINITY;
  let retryMs = startMs;
  world.runTo(startMs + RECOVERY_MS, () => {
    if (world.nowMs >= retryMs && safety.committed.length < proposed) {
      // The entry of a leader that lost its term may never come to be: try again with the next one.
      const index = trouble.propose();
      if (index !== null) [proposed, retryMs] = [index, world.nowMs + TIMING.electionMs];
    }
    const { configuration } = safety;
    return (
      // Not only that all of nobody have it: a cluster that has never committed has no members either.
      safety.committed.length >= proposed &&
      configuration.outgoing.length === 0 &&
      [...membersOf(configuration)].every((id) => (world.members.get(id)?.store.index ?? 0) >= proposed)
    );
  });
  const recoveryMs = world.nowMs - startMs;
  if (recoveryMs < RECOVERY_MS) return recoveryMs;
  const states = [...world.members.values()].map(
    ({ id, raft }) => `${id} ${raft.role} in ${raft.term}, commit ${raft.commitIndex} of ${raft.lastIndex}`,
  );
  throw new Error(`no agreement ${RECOVERY_MS} ms after everything was healed: ${states.join("; ")}`);
}
