import type { MemberId } from "../raft/types.ts";
import type { ReplicaStatus } from "./replica-status.ts";
import type { MemberReport } from "./report-wire.ts";

/**
 * To whom a leader that cannot do its work hands over: of the voters that answer, and are fit by what they told, the one whose log is
 * furthest. Null if there is none.
 */
export function successorAmong(
  { voters, peers }: Pick<ReplicaStatus, "voters" | "peers">,
  reports: ReadonlyMap<MemberId, MemberReport>,
  isFit: (report: MemberReport) => boolean,
): MemberId | null {
  const fit = (peers ?? []).filter(({ member, isActive }) => {
    const report = reports.get(member);
    return isActive && voters.includes(member) && report !== undefined && isFit(report);
  });
  const [best] = fit.sort((a, b) => b.match - a.match);
  return best?.member ?? null;
}
