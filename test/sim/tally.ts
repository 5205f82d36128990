/** What clients ask for, and operators. */
export const REQUEST_KINDS = [
  "write",
  "compare-and-set",
  "write of a session",
  "session",
  "none read",
  "weak read",
  "linearizable read",
  "strong read",
  "object read",
  "object write",
  "page of object changes",
  "change of members",
] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];

/** How many of each kind were answered, and how many asked: one that was refused, or lost, is not answered. */
export type Counts = Readonly<Record<RequestKind, { readonly asked: number; readonly answered: number }>>;

/** Counts the requests of one run. */
export class Tally {
  readonly #counts = new Map<RequestKind, { asked: number; answered: number }>();

  /** Settles like `request`. */
  async count<T>(kind: RequestKind, request: Promise<T>): Promise<T> {
    const counts = this.#counts.get(kind) ?? { asked: 0, answered: 0 };
    this.#counts.set(kind, counts);
    counts.asked += 1;
    const answer = await request;
    counts.answered += 1;
    return answer;
  }

  get counts(): Counts {
    return countsOf((kind) => this.#counts.get(kind));
  }
}

export function addCounts(all: readonly Counts[]): Counts {
  const add = (kind: RequestKind, of: "asked" | "answered") =>
    all.reduce((sum, counts) => sum + counts[kind][of], 0);
  return countsOf((kind) => ({ asked: add(kind, "asked"), answered: add(kind, "answered") }));
}

function countsOf(of: (kind: RequestKind) => Counts[RequestKind] | undefined): Counts {
  const entries = REQUEST_KINDS.map((kind) => [kind, of(kind) ?? { asked: 0, answered: 0 }] as const);
  return Object.fromEntries(entries) as Counts;
}
