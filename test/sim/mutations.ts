import { LOG_MUTATIONS } from "./log-mutations.ts";
import type { Mutation } from "./mutation.ts";
import { RAFT_MUTATIONS } from "./raft-mutations.ts";
import { REPLICA_MUTATIONS } from "./replica-mutations.ts";

/** Bugs that a replicated log of one's own may well have. The simulator must find each of them. */
export const MUTATIONS: readonly Mutation[] = [...RAFT_MUTATIONS, ...LOG_MUTATIONS, ...REPLICA_MUTATIONS];

export function findMutation(name: string): Mutation {
  const found = MUTATIONS.find((mutation) => mutation.name === name);
  if (found !== undefined) return found;
  throw new Error(
    `There is no mutation "${name}". There are: ${MUTATIONS.map((each) => each.name).join("; ")}`,
  );
}
