import { TrivetError } from "../platform/trivet-error.ts";
import { HUB_TOPIC, isPresenceFilter, parseNodeTopic } from "./topics.ts";

/**
 * Who may do what on the embedded broker. It serves the bus and nothing else, so whatever could pile up is
 * refused: persistent sessions, QoS 2, retained messages other than presence, other people's topics. MQTT 3.1.1
 * has no "denied" for PUBLISH: the connection is closed [MQTT-3.3.5-2].
 *
 * A client id starts with the node id of the client. That is no proof of who it is, but keeps accidents out.
 */
export interface PublishAttempt {
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly payloadBytes: number;
}

/** The reason to refuse this client at all; null to let it in. */
export function refuseConnect(connect: {
  readonly clean: boolean;
  readonly clientId: string;
}): TrivetError | null {
  if (!connect.clean) {
    return denied(`Client "${connect.clientId}" asks for a persistent session: connect with a clean one.`);
  }
  return null;
}

/** The reason to refuse a publication; null to take it. `retained` has the presence topics held already. */
export function refusePublish(
  clientId: string,
  attempt: PublishAttempt,
  retained: ReadonlySet<string>,
  limits: { readonly presenceBytesMax: number; readonly brokerRetainedMax: number },
): TrivetError | null {
  const topic = parseNodeTopic(attempt.topic);
  if (topic === null) return denied(`Topic "${attempt.topic}" is not for clients.`);
  if (attempt.qos > 1) return denied("QoS 2 is not served: use QoS 0 or 1.");
  if (topic.kind === "inbox") {
    return attempt.retain ? denied(`Datagrams to "${attempt.topic}" cannot be retained.`) : null;
  }
  if (!clientId.startsWith(topic.nodeId)) {
    return denied(`Client "${clientId}" may not publish the presence of ${topic.nodeId}.`);
  }
  if (attempt.payloadBytes > limits.presenceBytesMax) {
    return denied(`Presence of ${attempt.payloadBytes} bytes; at most ${limits.presenceBytesMax} are taken.`);
  }
  if (attempt.retain && !retained.has(attempt.topic) && retained.size >= limits.brokerRetainedMax) {
    return denied(`Presence of ${limits.brokerRetainedMax} nodes is held already: no room for another.`);
  }
  return null;
}

/** True if the client may subscribe: to whose broker this is, to presence, to its own inbox. */
export function maySubscribe(clientId: string, filter: string): boolean {
  if (filter === HUB_TOPIC || isPresenceFilter(filter)) return true;
  const topic = parseNodeTopic(filter);
  return topic !== null && (topic.kind === "presence" || clientId.startsWith(topic.nodeId));
}

function denied(message: string): TrivetError {
  return new TrivetError("mqtt-denied", message);
}
