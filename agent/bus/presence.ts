import { isNodeId } from "./topics.ts";

/** What a node tells about itself. The bus reads `broker` and `role`; the rest it only carries. */
export interface PresenceBody {
  /** For people; not unique. */
  readonly name: string;
  /** Of the program. */
  readonly version: string;
  readonly memberId: string;
  /** Null until the node belongs to a cluster. */
  readonly clusterId: string | null;
  /** Base URL of its API; null if it serves none to others. */
  readonly api: string | null;
  /**
   * URL of its embedded broker, such as `mqtt://10.0.0.7:1883`; null if it has none. A wildcard host (`0.0.0.0`,
   * `[::]`) is replaced, link by link, with the address that the node is seen at.
   */
  readonly broker: string | null;
  /** `voter`, `standby`, `spare`, or what a later version adds; the brokers of spares are linked to last. */
  readonly role: string;
  readonly raft: PresenceRaft;
  /** What other parts publish with it, such as placement scores. Plain JSON data. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

export interface PresenceRaft {
  readonly term: number;
  readonly commit: number;
  /** Node id of the leader it follows; null if it knows none. */
  readonly leader: string | null;
}

/** The retained message on a presence topic. */
export interface PresenceMessage {
  readonly nodeId: string;
  /** Of the node's process; grows with each start. Of two messages the one of the newer session is true. */
  readonly session: number;
  /** Grows with each change of `body` within the session. */
  readonly revision: number;
  readonly up: boolean;
  /** Null in a will that was made before the node announced anything. */
  readonly body: PresenceBody | null;
}

const PRESENCE_VERSION = 1;
const TEXT_MAX = 256;

export function encodePresence(message: PresenceMessage): Buffer {
  return Buffer.from(JSON.stringify({ v: PRESENCE_VERSION, ...message }));
}

/** The message in a payload; null if it is not one, whatever the bytes are. */
export function decodePresence(payload: Uint8Array): PresenceMessage | null {
  try {
    return parsePresence(JSON.parse(Buffer.from(payload).toString("utf8")));
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Checks the shape; null if it is wrong. Unknown fields are ignored: a newer version may add some. */
export function parsePresence(value: unknown): PresenceMessage | null {
  if (!isRecord(value)) return null;
  const { v, nodeId, session, revision, up } = value;
  if (v !== PRESENCE_VERSION || typeof nodeId !== "string" || !isNodeId(nodeId)) return null;
  if (!isCount(session) || !isCount(revision) || typeof up !== "boolean") return null;
  const body = value["body"] === null ? null : parsePresenceBody(value["body"]);
  if (body === undefined || (up && body === null)) return null;
  return { nodeId, session, revision, up, body };
}

function parsePresenceBody(value: unknown): PresenceBody | undefined {
  if (!isRecord(value) || !isRecord(value["raft"])) return undefined;
  const { name, version, memberId, clusterId, api, broker, role, extra } = value;
  const { term, commit, leader } = value["raft"];
  if (!isText(name) || !isText(version) || !isText(memberId) || !isText(role)) return undefined;
  if (!isTextOrNull(clusterId) || !isTextOrNull(api) || !isTextOrNull(broker)) return undefined;
  if (!isCount(term) || !isCount(commit) || !isTextOrNull(leader)) return undefined;
  const body = { name, version, memberId, clusterId, api, broker, role, raft: { term, commit, leader } };
  if (extra === undefined) return body;
  return isRecord(extra) ? { ...body, extra } : undefined;
}

/** `body` with a wildcard host in its broker's URL replaced by `localAddress`, at which a hub sees the node. */
export function withSeenAddress(body: PresenceBody, localAddress: string | null): PresenceBody {
  if (body.broker === null || localAddress === null) return body;
  const host = localAddress.includes(":") ? `[${localAddress}]` : localAddress;
  const broker = body.broker.replace(/\/\/(0\.0\.0\.0|\[::\])(?=[:/]|$)/, `//${host}`);
  return broker === body.broker ? body : { ...body, broker };
}

function isRecord(value: unknown): value is Record<string, unknown> & { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= TEXT_MAX;
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || isText(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
