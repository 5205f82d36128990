import type { DevNodeView } from "./dev-node.ts";
import { drawTable, printable, type TextColumn } from "./text-table.ts";

const COLUMNS: readonly TextColumn[] = [
  { title: "NODE", align: "left" },
  { title: "ROLE", align: "left" },
  { title: "LEADER", align: "left" },
  { title: "TERM", align: "right" },
  { title: "APPLIED", align: "right" },
  { title: "LINKS", align: "right" },
  { title: "API", align: "left" },
];

/** The table that is redrawn in place. */
export function drawCluster(nodes: readonly DevNodeView[]): string[] {
  const troubles = nodes.filter(({ reason }) => reason !== "");
  return [
    ...drawTable(COLUMNS, nodes.map(drawNode)),
    "",
    ...troubles.map(({ name, reason }) => `${name} ${printable(reason)}`),
  ];
}

function drawNode({ name, state, status, api }: DevNodeView): string[] {
  if (status === undefined) return [name, state === "up" ? "silent" : state, "-", "-", "-", "-", api];
  const { role, leader, term, appliedIndex } = status.raft;
  const links = `${status.links.filter(({ up }) => up).length}/${status.links.length}`;
  return [
    name,
    role,
    printable(leader ? leader.name || leader.nodeId : "none"),
    `${term}`,
    `${appliedIndex}`,
    links,
    api,
  ];
}

/** One line of what a node is, for output that is not a terminal; equal lines mean that nothing changed. */
export function describeNode({ name, state, status, api, pid, reason }: DevNodeView): string {
  if (state === "new" || state === "stopped") return `${name} ${state}`;
  if (state === "starting") return `${name} starting, process ${pid}, API ${api}`;
  if (status === undefined)
    return `${name} ${state === "up" ? "does not answer" : `${state}: ${printable(reason)}`}`;
  return `${name} ${status.raft.role}, term ${status.raft.term}`;
}

/** True if all nodes are up and take the same one for their leader. */
export function isAgreed(nodes: readonly DevNodeView[]): boolean {
  const leaders = nodes.flatMap(({ state, status }) => [
    state === "up" ? status?.raft.leader?.nodeId : undefined,
  ]);
  const [leader] = leaders;
  return leader !== undefined && leaders.every((other) => other === leader);
}
