import type { FaultMix } from "./fault-mix.ts";
import { MEDIUM_FAULTS } from "./medium-damage.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";

/** Damages what nodes keep, as long as the cluster can do without it. */
export class DamageChaos {
  readonly #random: SimRandom;
  readonly #silentRandom: SimRandom;
  readonly #mix: FaultMix;

  constructor(random: SimRandom, silentRandom: SimRandom, mix: FaultMix) {
    this.#random = random;
    this.#silentRandom = silentRandom;
    this.#mix = mix;
  }

  /** Before the node crashes. */
  crashing(node: SimNode): void {
    const { process, damage } = this.#mix;
    const { data, around } = node;
    if (this.#random.isTrue(process.rotRate) && this.#canLose(node)) {
      data.mediumFault = this.#random.pick(MEDIUM_FAULTS);
      around.lost.add(node.memberId);
    }
    // Where they alone tell that the log is damaged, nobody would know.
    if (this.#random.isTrue(damage.databaseRate) && this.#canLose(node) && !data.hasLostEnd) {
      data.files.isDamaged = true;
      around.lost.add(node.memberId);
    }
  }

  /** Whether it is up or down; as often as not one that leads, from which most get their copies. */
  flip(nodes: readonly SimNode[]): void {
    const leaders = nodes.filter(({ process }) => process?.replica?.leadership.isLeader);
    const isOfThem = leaders.length > 0 && this.#silentRandom.isTrue(0.5);
    const node = this.#silentRandom.pick(isOfThem ? leaders : nodes);
    const { data, around } = node;
    // Bits that flip within a copy that comes are for its checksum to find.
    if (!this.#canLose(node) || data.hasLostEnd || data.files.isSwapping) return;
    const file = this.#silentRandom.pick([data.files.app, data.files.state]);
    file.flip(`flip ${this.#silentRandom.below(1e9)}`);
    around.lost.add(node.memberId);
    around.log(node.number, `a bit flips in the ${file.kind} database`);
  }

  wipe(node: SimNode): void {
    if (!this.#canLose(node)) return;
    if (this.#random.isTrue(this.#mix.damage.logOnlyRate)) node.loseLog();
    else node.lose("its disk is wiped");
  }

  /** Whatever configuration is in force, a majority of its voters must keep what they have. */
  #canLose({ memberId, isOut, around }: SimNode): boolean {
    return !isOut && around.watch.hasQuorumWithout(new Set([...around.lost, memberId]));
  }
}
