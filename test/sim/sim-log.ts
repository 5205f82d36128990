import { DurableLog, type UnopenedLog } from "../../agent/log/durable-log.ts";
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

/** Reads the log on the disk of a node, with the faults of that disk, and with what happened to it while nobody looked. */
export async function readSimLog(options: SimLogOptions): Promise<UnopenedLog> {
  const { machine, isAlive, logger, onFault } = options;
  const { data, around, number, clock, space } = machine;
  const { disk, writes } = data;
  const { random, mix, isBad } = around;
  disk.onCall = undefined;
  if (isBad()) await damage(machine);
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
  return DurableLog.read({ directory, logger, segmentBytes: mix.segmentBytes });
}

async function damage({ data, around, number }: Machine): Promise<void> {
  const { disk, writes, files, mediumFault: fault } = data;
  if (fault === null) return;
  const databases = files.isDamaged ? null : files.positions;
  const random = around.streamOf(`medium ${number}`);
  if (!(await damageMedium({ disk, writes, fault, random, databases }))) return;
  // They alone tell: a power cut that takes that from them before anyone has looked leaves nobody who could.
  files.makeDurable();
  data.hasLostEnd = true;
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
        const isRefused = isTrivetError(error, "log-full") || isTrivetError(error, "log-busy");
        if (isAlive() && isRefused) watch.refused(batch);
        throw error;
      }
    },
    compact: async (base) => {
      watch.compact(base);
      await log.compact(base);
    },
  };
}
