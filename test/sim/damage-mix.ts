import type { SimRandom } from "./sim-random.ts";

/** What is damaged in one run besides what `FaultMix` says. */
export interface DamageMix {
  /** Of the crashes: the databases are found damaged. */
  readonly databaseRate: number;
  /** A bit flips in the databases of some node, which it takes for sound until it looks at the sums. */
  readonly flipEveryMs: number;
  /** Bits flip in several copies at once when all is well: see `drillDamage`. */
  readonly hasDrill: boolean;
  /** Of the disks that are wiped: only the log goes, and the node knows who it is. */
  readonly logOnlyRate: number;
}

export function drawDamageMix(random: SimRandom, silent: SimRandom): DamageMix {
  return {
    databaseRate: random.isTrue(0.2) ? random.magnitude(0.05, 0.4) : 0,
    flipEveryMs: silent.isTrue(0.2) ? silent.magnitude(500, 10_000) : Number.POSITIVE_INFINITY,
    hasDrill: silent.isTrue(0.2),
    logOnlyRate: random.pick([0, 0.5, 1]),
  };
}
