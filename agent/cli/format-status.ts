import type { AgentStatus } from "../membership/agent-status.ts";
import { drawTable, printable, type TextColumn } from "./text-table.ts";

const left = (title: string): TextColumn => ({ title, align: "left" });

/** What `trivet status` shows: first what matters most. */
export function formatStatus(status: AgentStatus): string[] {
  const { node, cluster, raft, members, links } = status;
  const leader = raft.leader ? raft.leader.name || raft.leader.nodeId : "none";
  return [
    cluster.health,
    "",
    `node     ${printable(node.name)} (${node.id}), version ${status.version}, up ${formatDuration(node.uptimeMs)}`,
    `cluster  ${printable(cluster.name)} (${cluster.id ?? "not in one yet"})`,
    `raft     ${raft.role}, term ${raft.term}, leader ${printable(leader)}`,
    `log      ${raft.firstIndex} to ${raft.lastIndex}, committed ${raft.commitIndex}, applied ${raft.appliedIndex}`,
    ...snapshotLines(raft.snapshot),
    "",
    ...drawTable(
      [left("MEMBER"), left("ROLE"), left("REACHABLE"), left("API")],
      members.map(({ name, nodeId, role, reachable, api }) => [
        printable(name || nodeId),
        role,
        reachable ? "yes" : "no",
        printable(api ?? "-"),
      ]),
    ),
    "",
    ...drawTable(
      [left("LINK"), left("STATE")],
      links.map(({ url, up, reason }) => [printable(url), up ? "up" : `down: ${printable(reason)}`]),
    ),
  ];
}

function snapshotLines(snapshot: AgentStatus["raft"]["snapshot"]): string[] {
  if (!snapshot) return [];
  const { from, index, receivedBytes, totalBytes, isPaused } = snapshot;
  const percent = totalBytes === 0 ? 100 : Math.floor((100 * receivedBytes) / totalBytes);
  const pause = isPaused ? "; waits for room on the disk" : "";
  return [`copy     ${percent} % of entry ${index}'s, from ${printable(from)}${pause}`];
}

/** `3d 4h`, `2m 5s`: the two largest units. */
function formatDuration(durationMs: number): string {
  const seconds = Math.floor(durationMs / 1000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  const shown = first < 0 ? parts.slice(-1) : parts.slice(first, first + 2);
  return shown.map(([amount, unit]) => `${amount}${unit}`).join(" ");
}
