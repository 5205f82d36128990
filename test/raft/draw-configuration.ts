import type { Configuration } from "../../agent/raft/types.ts";
import type { Chance } from "./chance.ts";

/** What a cluster begins with: one to five voters, sometimes a learner, sometimes in the middle of a change. */
export function drawConfiguration(chance: Chance): Configuration {
  const voters = chance.pick([
    ["a"],
    ["a", "b"],
    ["a", "b", "c"],
    ["a", "b", "c"],
    ["a", "b", "c", "d", "e"],
  ]);
  const learners = chance.float() < 0.3 ? ["x"] : [];
  // Joint: the cluster stands in the middle of replacing c by d.
  if (voters.length === 3 && chance.float() < 0.2) return { voters, outgoing: ["a", "b", "d"], learners };
  return { voters, outgoing: [], learners };
}
