/** Every bound of the bus, in the unit its name ends with. Tests and small boxes set other values. */
export interface BusLimits {
  /** Largest body of a datagram, request or reply; above it the sender gets `too-large`. */
  readonly bodyBytesMax: number;
  /** Larger bodies are split into parts of this size. */
  readonly fragmentBytes: number;
  /** Fragments stop being put on a link while so much waits in its socket, so that heartbeats pass between. */
  readonly fragmentBacklogBytes: number;
  /** Bodies that wait to be sent in fragments, all receivers together. */
  readonly fragmentQueueBytesMax: number;
  /** Incomplete bodies kept: of one sender, of all together, and for how long since the last part. */
  readonly assemblyBytesPerSenderMax: number;
  readonly assemblyBytesMax: number;
  readonly assemblyTimeoutMs: number;
  /** Replay windows: sequence numbers in one, number of senders. */
  readonly replayWindow: number;
  readonly sendersMax: number;
  /** Bytes waiting in the socket of a link, above which datagrams are dropped. */
  readonly linkQueueBytesMax: number;
  /** Largest MQTT packet taken from a broker or a client of ours. */
  readonly packetBytesMax: number;
  readonly linksMax: number;
  readonly connectTimeoutMs: number;
  /**
   * MQTT keep-alive in seconds. The answer to a ping must come within half of it, through what waits in the socket
   * before the ping (`linkQueueBytesMax`, 1.7 s on 10 Mbit/s): shorter, and a busy link is taken for a dead one.
   */
  readonly keepaliveS: number;
  /**
   * A way is silent, and another one taken, when nothing that was sent on it was confirmed for so long: at least, and
   * what slow confirmations may raise it to.
   */
  readonly silenceMs: number;
  readonly silenceMsMax: number;
  /** Larger datagrams are not copied while a detour is looked for: each goes one way, a proven one if there is one. */
  readonly copyBytesMax: number;
  /** How often a silent way is tried again. */
  readonly probeMs: number;
  /**
   * What is heard is confirmed within this time: with what is sent there anyway, or by a datagram of its own. Above the
   * interval of heartbeats, so that they confirm one another.
   */
  readonly confirmDelayMs: number;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  /** How long the broker of a node that is down is still tried. */
  readonly deadBrokerRetryMs: number;
  /** After how long a URL that led to ourselves, or to a broker that another URL leads to, is tried again. */
  readonly redundantRetryMs: number;
  /** Nodes known, and after how long down one is forgotten. */
  readonly peersMax: number;
  readonly forgetPeerMs: number;
  /** Between two publications of our presence: normally, and when nothing but the commit index moved. */
  readonly presenceIntervalMs: number;
  readonly presenceCommitIntervalMs: number;
  readonly presenceBytesMax: number;
  /** Publications of our presence that a hub may leave unacknowledged before it is given up. */
  readonly presenceUnackedMax: number;
  /** Requests of ours without an answer; requests of others being handled, and of one node. */
  readonly requestsMax: number;
  readonly handlersMax: number;
  readonly handlersPerPeerMax: number;
  /** Embedded broker: connections, time for CONNECT, longest keep-alive, subscriptions of a client. */
  readonly brokerConnectionsMax: number;
  readonly brokerConnectTimeoutMs: number;
  readonly brokerKeepaliveMaxS: number;
  readonly brokerSubscriptionsMax: number;
  readonly brokerRetainedMax: number;
  /** Bytes waiting for one client of the embedded broker, for all, and how long a client may not drain. */
  readonly brokerClientQueueBytesMax: number;
  readonly brokerQueueBytesMax: number;
  readonly brokerDrainTimeoutMs: number;
  /** Time that `close()` takes at most to say goodbye. */
  readonly closeTimeoutMs: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * What depends on how often consensus sends heartbeats: a detour is taken before its followers lose patience, which
 * is after six of them by default.
 */
export function limitsForHeartbeats(heartbeatMs: number): {
  readonly silenceMs: number;
  readonly silenceMsMax: number;
  readonly probeMs: number;
  readonly confirmDelayMs: number;
} {
  return {
    silenceMs: 3 * heartbeatMs,
    silenceMsMax: 20 * heartbeatMs,
    probeMs: 6 * heartbeatMs,
    confirmDelayMs: 1.4 * heartbeatMs,
  };
}

export const DEFAULT_BUS_LIMITS: BusLimits = {
  bodyBytesMax: 16 * MIB,
  fragmentBytes: 64 * KIB,
  fragmentBacklogBytes: 256 * KIB,
  fragmentQueueBytesMax: 48 * MIB,
  assemblyBytesPerSenderMax: 32 * MIB,
  assemblyBytesMax: 48 * MIB,
  assemblyTimeoutMs: 10_000,
  replayWindow: 8192,
  sendersMax: 512,
  linkQueueBytesMax: 2 * MIB,
  packetBytesMax: 256 * KIB,
  linksMax: 32,
  connectTimeoutMs: 3_000,
  keepaliveS: 4,
  ...limitsForHeartbeats(150),
  copyBytesMax: 4 * KIB,
  reconnectMinMs: 100,
  reconnectMaxMs: 3_000,
  deadBrokerRetryMs: 120_000,
  redundantRetryMs: 60_000,
  peersMax: 256,
  forgetPeerMs: 3_600_000,
  presenceIntervalMs: 100,
  presenceCommitIntervalMs: 5_000,
  presenceBytesMax: 16 * KIB,
  presenceUnackedMax: 16,
  requestsMax: 4096,
  handlersMax: 1024,
  handlersPerPeerMax: 512,
  brokerConnectionsMax: 128,
  brokerConnectTimeoutMs: 5_000,
  brokerKeepaliveMaxS: 300,
  brokerSubscriptionsMax: 16,
  brokerRetainedMax: 512,
  brokerClientQueueBytesMax: 2 * MIB,
  brokerQueueBytesMax: 32 * MIB,
  brokerDrainTimeoutMs: 30_000,
  closeTimeoutMs: 1_000,
};
