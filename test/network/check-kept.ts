import type { Test } from "tap";
import type { TestCluster } from "../cluster/test-cluster.ts";
import { CONTENT } from "./kept-tables.ts";
import type { RecordedClients } from "./recorded-clients.ts";

/** Ends the clients; what they saw must be linearizable, and all nodes must come to the same. */
export async function checkKept(t: Test, cluster: TestCluster, workload: RecordedClients): Promise<void> {
  await workload.stop();
  await cluster.untilEqual();
  const outcomes = [...workload.outcomes].map(([outcome, count]) => `${count} ${outcome}`);
  t.comment(`requests: ${outcomes.join(", ")}; ${workload.repeated} sent again under a session`);
  t.strictSame(workload.surprises, [], "no answer but those that such a network explains");
  for (const { isLinearizable, summary, report } of workload.check()) {
    t.ok(isLinearizable, summary);
    if (!isLinearizable) t.comment(report);
  }
  const copies = await Promise.all(cluster.agents.map((agent) => agent.rows(CONTENT)));
  for (const copy of copies.slice(1)) t.strictSame(copy, copies[0], "the nodes hold the same");
  t.strictSame([...cluster.termsWithSeveralLeaders()], [], "no term had two leaders");
}
