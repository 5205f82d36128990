import { DurableLog } from "../../agent/log/durable-log.ts";
import type { LogBatch } from "../../agent/log/log-types.ts";
import type { Logger } from "../../agent/platform/logger.ts";
import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import type { ReplicaLog } from "../../agent/replica/ports.ts";
import { diskFaults } from "./disk-faults.ts";
import type { Machine } from "./machine.ts";
import { damageMedium } from "./medium-damage.ts";
import { rememberWrites } from "./write-memory.ts";

export interface SimLogOptions {
  readonly machine: Machine;
  readonly isAlive: () => boolean;
  readonly logger: Logger;
  /** A call on the disk fails: the process may give up because of it. */
  readonly onFault: () => void;
}

/** Opens the log on the disk of a node, with the faults of that disk, and with what happened to it while nobody looked. */
export async function openSimLog(options: SimLogOptions): ReturnType<typeof DurableLog.open> {
  const { machine, isAlive, logger, onFault } = options;
  const { data, around, number, clock, space } = machine;
  const { disk, writes } = data;
  const { random, mix, isBad } = around;
  disk.onCall = undefined;
  if (isBad() && data.mediumFault !== null)
    await damageMedium(disk, writes, data.mediumFault, around.streamOf(`medium ${number}`));
  disk.onCall = diskFaults({
    mix: mix.disk,
    random,
    isBad,
    isFull: () => space.isFull,
    wait: (ms) => new Promise((resolve) => clock.after(ms, number, isAlive, resolve)),
    onDeath: () => {
      const isPowerCut = random.isTrue(mix.process.powerCutRate);
      around.world.at(0, number, () => {
        if (isAlive()) machine.crash({ isPowerCut });
      });
    },
    onFault,
  });
  const directory = rememberWrites(disk, writes);
  return DurableLog.open({ directory, logger, segmentBytes: mix.segmentBytes });
}

/** The log as the replica has it; what is written to it is seen from above. */
export function watchLog(log: DurableLog, machine: Machine, isAlive: () => boolean): ReplicaLog {
  const watch = machine.around.watch.logOf(machine.data.memberId);
  return {
    append: async (batch: LogBatch) => {
      watch.write(batch);
      try {
        await log.append(batch);
        if (isAlive()) watch.persisted(batch);
      } catch (error) {
        if (isAlive() && isTrivetError(error, "log-full")) watch.refused(batch);
        throw error;
      }
    },
    compact: async (base) => {
      watch.compact(base);
      await log.compact(base);
    },
  };
}
