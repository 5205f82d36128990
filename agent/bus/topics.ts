/**
 * The topic space (design 6). Everything lives under `trivet/1`, so that an incompatible successor can share a
 * broker with this version.
 *
 *     trivet/1/hub                                  whose embedded broker this is; absent on a site broker
 *     trivet/1/cluster/<cluster>/presence/<node>    retained: PresenceMessage
 *     trivet/1/cluster/<cluster>/inbox/<node>       datagrams to that node
 */
export const HUB_TOPIC = "trivet/1/hub";

const CLUSTER_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}";
const NODE_ID = "[0-9a-f]{32}";
const clusterNamePattern = new RegExp(`^${CLUSTER_NAME}$`);
const nodeIdPattern = new RegExp(`^${NODE_ID}$`);
const nodeTopicPattern = new RegExp(`^trivet/1/cluster/(${CLUSTER_NAME})/(presence|inbox)/(${NODE_ID})$`);
const presenceFilterPattern = new RegExp(`^trivet/1/cluster/${CLUSTER_NAME}/presence/\\+$`);

export interface NodeTopic {
  readonly kind: "presence" | "inbox";
  readonly cluster: string;
  readonly nodeId: string;
}

/** True for a name that can be a topic level: 1 to 64 letters, digits, dots, dashes and underscores. */
export function isClusterName(text: string): boolean {
  return clusterNamePattern.test(text);
}

/** True for 32 lower-case hexadecimal digits. */
export function isNodeId(text: string): boolean {
  return nodeIdPattern.test(text);
}

export function presenceTopic(cluster: string, nodeId: string): string {
  return `trivet/1/cluster/${cluster}/presence/${nodeId}`;
}

/** The filter that matches the presence of every node of the cluster. */
export function presenceFilter(cluster: string): string {
  return `trivet/1/cluster/${cluster}/presence/+`;
}

export function isPresenceFilter(filter: string): boolean {
  return presenceFilterPattern.test(filter);
}

export function inboxTopic(cluster: string, nodeId: string): string {
  return `trivet/1/cluster/${cluster}/inbox/${nodeId}`;
}

/** The parts of a presence or inbox topic; null for any other topic and for filters. */
export function parseNodeTopic(topic: string): NodeTopic | null {
  const match = nodeTopicPattern.exec(topic);
  const [, cluster, kind, nodeId] = match ?? [];
  if (cluster === undefined || nodeId === undefined) return null;
  return { kind: kind === "presence" ? "presence" : "inbox", cluster, nodeId };
}
