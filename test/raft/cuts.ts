import type { MemberId } from "../../agent/raft/types.ts";
import type { Chance } from "./chance.ts";

/** Which members cannot speak to which: a link may be cut in one direction only. */
export class Cuts {
  readonly #chance: Chance;
  #links = new Set<string>();

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  isCut(from: MemberId, to: MemberId): boolean {
    return this.#links.has(`${from}>${to}`);
  }

  heal(): void {
    this.#links = new Set();
  }

  /** Those inside and those outside do not hear each other any more; all else is healed. */
  separate(ids: readonly MemberId[], inside: ReadonlySet<MemberId>): void {
    this.heal();
    for (const from of ids) {
      for (const to of ids) if (inside.has(from) !== inside.has(to)) this.#links.add(`${from}>${to}`);
    }
  }

  /** A side is cut off by chance, or is not heard though it hears; all else is healed. */
  draw(ids: readonly MemberId[]): void {
    const inside = new Set(ids.filter(() => this.#chance.float() < 0.4));
    this.separate(ids, inside);
    if (this.#chance.float() >= 0.3) return;
    for (const link of this.#links) if (!inside.has(link.split(">")[0] ?? "")) this.#links.delete(link);
  }

  toString(): string {
    return [...this.#links].join(" ");
  }
}
