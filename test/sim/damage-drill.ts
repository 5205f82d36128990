import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";

export interface DamageDrillOptions {
  readonly random: SimRandom;
  /** Of the nodes that are well and belong to the cluster. */
  readonly members: () => readonly SimNode[];
  /** Resolves when it holds, in the time that there is. */
  readonly until: (what: string, isMet: () => boolean) => Promise<void>;
  readonly log: (text: string) => void;
}

/**
 * When all is well bits flip in several copies at once, maybe in all but one. However many they are, and whoever leads: each must be
 * replaced by a whole one, and no member may leave for it.
 */
export async function drillDamage({ random, members, until, log }: DamageDrillOptions): Promise<void> {
  const all = members();
  const whole = random.pick(all);
  const others = all.filter((node) => node !== whole);
  const first = others.length === 0 ? null : random.pick(others);
  const damaged = others.filter((node) => node === first || random.isTrue(0.7));
  for (const { number, data } of damaged) {
    const file = random.pick([data.files.app, data.files.state]);
    file.flip(`drilled flip ${random.below(1e9)}`);
    log(`a bit flips in the ${file.kind} database of node ${number}`);
  }
  // A change that was under way when all was healed may vote some of them out.
  const stillMembers = () => members().filter((node) => damaged.includes(node));
  await until("all copies are whole again", () =>
    stillMembers().every(
      ({ data, process }) => !data.files.isFlipped && process?.replica?.status().copyFault === null,
    ),
  );
}
