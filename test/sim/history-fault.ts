import { checkLinearizable, describeVerdict } from "../linearizability/check-linearizable.ts";
import { REGISTER } from "../linearizability/register.ts";
import type { KvHistory } from "./client.ts";
import { Undecided, Violation } from "./violation.ts";

/** Enough for any search that is not hopeless; a run has a few hundred operations. */
const STATES_MAX = 200_000;

/** What is wrong with these histories; null if all are linearizable. That nobody knows is a fault too: the run has shown nothing. */
export function historyFault(histories: readonly KvHistory[], statesMax = STATES_MAX): Violation | null {
  const verdicts = histories.map((history) => checkLinearizable(history, REGISTER, { statesMax }));
  const broken = verdicts.find(({ kind }) => kind === "violation");
  if (broken !== undefined) return new Violation(describeVerdict(broken, REGISTER));
  const open = verdicts.find(({ kind }) => kind === "undecided");
  return open === undefined ? null : new Undecided(describeVerdict(open, REGISTER));
}
