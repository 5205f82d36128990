import type { HostPort } from "./host-port.ts";
import {
  brokerUrls,
  choice,
  directory,
  integer,
  listenAddress,
  optionalListenAddress,
  plainName,
  type SettingKind,
} from "./setting-kind.ts";

/**
 * Every setting of the agent, once: its name, range, unit, default and documentation. The flag `--NAME`, the
 * variable `TRIVET_NAME` (upper case, `_` for `-`) and the key in the YAML file follow from the name.
 */
export interface Setting<T> {
  readonly name: string;
  readonly kind: SettingKind<T>;
  readonly defaultOf: (machine: Machine) => T;
  /** One line of help, without the range and the default. */
  readonly doc: string;
}

/** What a default may depend on. */
export interface Machine {
  readonly hostname: string;
}

const MIB = 1024 * 1024;

export const SETTINGS = {
  data: {
    name: "data",
    kind: directory,
    defaultOf: () => "/var/lib/trivet",
    doc: "where identity, log and databases are kept",
  },
  name: {
    name: "name",
    kind: plainName,
    defaultOf: ({ hostname }) => nameFrom(hostname),
    doc: "what people call this node (the host's name unless given)",
  },
  cluster: {
    name: "cluster",
    kind: plainName,
    defaultOf: () => "trivet",
    doc: "which cluster to belong to: nodes of one name find one another",
  },
  http: {
    name: "http",
    kind: listenAddress,
    defaultOf: (): HostPort => ({ host: "127.0.0.1", port: 4001 }),
    doc: "where the API listens",
  },
  mqtt: {
    name: "mqtt",
    kind: optionalListenAddress,
    defaultOf: (): HostPort | null => ({ host: "127.0.0.1", port: 1883 }),
    doc: "where the embedded broker listens",
  },
  peers: {
    name: "peer",
    kind: brokerUrls(32),
    defaultOf: (): readonly string[] => [],
    doc: "a broker to meet other nodes on; repeatable (comma-separated in the variable)",
  },
  bootstrapExpect: {
    name: "bootstrap-expect",
    kind: integer({ min: 1, max: 9, unit: "nodes" }),
    defaultOf: () => 1,
    doc: "how many nodes found a new cluster together; does nothing once there is data",
  },
  heartbeatMs: {
    name: "heartbeat-ms",
    kind: integer({ min: 20, max: 5_000, unit: "milliseconds" }),
    defaultOf: () => 150,
    doc: "how often a leader sends heartbeats",
  },
  electionTimeoutMs: {
    name: "election-timeout-ms",
    kind: integer({ min: 100, max: 60_000, unit: "milliseconds" }),
    defaultOf: () => 900,
    doc: "without a leader for this long (up to twice that), a voter campaigns; at least 3 heartbeats",
  },
  electionTimeoutMsMax: {
    name: "election-timeout-max-ms",
    kind: integer({ min: 100, max: 600_000, unit: "milliseconds" }),
    defaultOf: () => 10_000,
    doc: "slow links and disks, as measured, raise the election timeout up to this",
  },
  logRetainBytes: {
    name: "log-retain",
    kind: integer({ min: 64 * 1024, max: 1024 * MIB, unit: "bytes" }),
    defaultOf: () => 8 * MIB,
    doc: "log that is kept (in memory, too) for nodes that were away; who needs more gets a snapshot",
  },
  requestTimeoutMs: {
    name: "request-timeout-ms",
    kind: integer({ min: 100, max: 600_000, unit: "milliseconds" }),
    defaultOf: () => 10_000,
    doc: "deadline of a write that names none",
  },
  requestTimeoutMsMax: {
    name: "request-timeout-max-ms",
    kind: integer({ min: 100, max: 600_000, unit: "milliseconds" }),
    defaultOf: () => 60_000,
    doc: "longest deadline that a request may ask for",
  },
  queryTimeoutMs: {
    name: "query-timeout-ms",
    kind: integer({ min: 100, max: 600_000, unit: "milliseconds" }),
    defaultOf: () => 10_000,
    doc: "deadline of a query that names none",
  },
  bodyBytesMax: {
    name: "body-limit",
    // Below 10 MB at most: a body is one Raft entry, and an entry must stay small against the retained log.
    kind: integer({ min: 1024, max: 8 * MIB, unit: "bytes" }),
    defaultOf: () => 4 * MIB,
    doc: "largest request body",
  },
  diskWatermarkBytes: {
    name: "disk-watermark",
    kind: integer({ min: 0, max: 1024 * 1024 * MIB, unit: "bytes" }),
    defaultOf: () => 64 * MIB,
    doc: "with less free space for the data this node gives leadership away and takes no writes; 0 never looks",
  },
  logLevel: {
    name: "log-level",
    kind: choice(["error", "warn", "info", "debug"]),
    defaultOf: (): "error" | "warn" | "info" | "debug" => "info",
    doc: "least urgent message to log",
  },
} as const satisfies Readonly<Record<string, Setting<unknown>>>;

type SettingTable = typeof SETTINGS;

/** What the agent runs with: every setting, checked. */
export type Settings = {
  readonly [Key in keyof SettingTable]: SettingTable[Key] extends {
    readonly kind: SettingKind<infer T>;
  }
    ? T
    : never;
};

/** Named in the design, but nothing honours them yet: refused rather than ignored. */
export const SETTINGS_NOT_YET: readonly { readonly name: string; readonly why: string }[] = [
  {
    name: "key",
    why: "this version cannot seal messages with a cluster key yet: remove it and stay on loopback addresses",
  },
];

export function variableOf(name: string): string {
  return `TRIVET_${name.toUpperCase().replaceAll("-", "_")}`;
}

/** A host name may hold what a node name may not. */
function nameFrom(hostname: string): string {
  const plain = hostname.replace(/[^A-Za-z0-9._-]/g, "-").replace(/^[^A-Za-z0-9]+/, "");
  return plain.slice(0, 63) || "node";
}
