/** What a node of `member-child.ts` may be told. */
export type Order =
  /** Only one node founds a cluster. Its own member is among the voters. */
  | { readonly kind: "found"; readonly clusterId: string; readonly voters: readonly string[] }
  | { readonly kind: "join"; readonly clusterId: string }
  /** For the leader: see `Replica.changeMembers`. */
  | { readonly kind: "change"; readonly voters: readonly string[]; readonly learners: readonly string[] };

/** `done`, or why it was not. */
export interface OrderAnswer {
  readonly code: string;
}
