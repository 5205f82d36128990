import { checkLinearizable, describeVerdict } from "../linearizability/check-linearizable.ts";
import { REGISTER } from "../linearizability/register.ts";
import type { KvHistory } from "./client.ts";
import { Undecided, Violation } from "./violation.ts";

/** What is wrong with these histories; null if all are linearizable. That nobody knows is a fault too: the run has shown nothing. */
export function historyFault(
  histories: readonly KvHistory[],
  options: { readonly statesMax?: number } = {},
): Violation | null {
  const verdicts = histories.map((history) => checkLinearizable(history, REGISTER, options));
  const broken = verdicts.find(({ kind }) => kind === "violation");
  if (broken !== undefined) return new Violation(describeVerdict(broken, REGISTER));
  const open = verdicts.find(({ kind }) => kind === "undecided");
  return open === undefined ? null : new Undecided(describeVerdict(open, REGISTER));
}
