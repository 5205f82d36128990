import type { PresenceBody, PresenceMessage } from "./presence.ts";

/**
 * What is known of the other nodes, from what every hub says about them.
 *
 * Each hub makes one statement about a node: up or down, for a session. Only statements about the node's newest
 * session count; it is up while one hub says so, and then that hub can reach it. A hub that we lose says nothing.
 *
 * A node that dies is reported by several hubs, milliseconds apart, and one of them may be slow to notice. The
 * first sign (its broker's connection to us closed, or a hub published its will) is passed on as `suspect`: a hint
 * that may be wrong. `down` says that no hub reaches it any more.
 */
export interface Peer {
  readonly nodeId: string;
  readonly session: number;
  /** The newest it announced; null if only its will was seen. Kept while the node is down. */
  readonly presence: PresenceBody | null;
  readonly up: boolean;
  /** A sign of its death was seen that nothing has contradicted since. False if it is down. */
  readonly suspect: boolean;
}

export type PeerEvent =
  | { readonly kind: "up" | "changed" | "down"; readonly nodeId: string; readonly peer: Peer }
  | {
      readonly kind: "suspect";
      readonly nodeId: string;
      readonly peer: Peer;
      /** Our link to its broker broke, or a hub published its will. */
      readonly sign: "link" | "will";
    };

interface PeerRecord {
  readonly nodeId: string;
  session: number;
  revision: number;
  presence: PresenceBody | null;
  /** What each hub says about `session`. */
  readonly statements: Map<string, boolean>;
  up: boolean;
  suspect: boolean;
  downSinceMs: number;
  /** Made anew after each change; readers keep it as a value. */
  view: Peer;
}

export class PeerTable {
  readonly #peersMax: number;
  readonly #emit: (event: PeerEvent) => void;
  readonly #records = new Map<string, PeerRecord>();
  readonly #views = new Map<string, Peer>();

  constructor(limits: { readonly peersMax: number }, emit: (event: PeerEvent) => void) {
    this.#peersMax = limits.peersMax;
    this.#emit = emit;
  }

  /** All nodes known; a live view. */
  get peers(): ReadonlyMap<string, Peer> {
    return this.#views;
  }

  /** Names of the hubs where the node is present. */
  hubsOf(nodeId: string): readonly string[] {
    const statements = this.#records.get(nodeId)?.statements ?? new Map<string, boolean>();
    return [...statements].filter(([, up]) => up).map(([hub]) => hub);
  }

  /** True if `hub` says that the node is up. */
  isPresent(nodeId: string, hub: string): boolean {
    return this.#records.get(nodeId)?.statements.get(hub) === true;
  }

  /** Takes what a hub says. False if the table is full of living nodes and this one is new. */
  observe(hub: string, message: PresenceMessage, nowMs: number): boolean {
    let record = this.#records.get(message.nodeId);
    if (record === undefined) {
      if (this.#records.size >= this.#peersMax && !this.#evict()) return false;
      record = newRecord(message, nowMs);
      this.#records.set(message.nodeId, record);
    }
    // A late will or a stale retained message of an earlier process says nothing about this one.
    if (message.session < record.session) return true;
    if (message.session > record.session) this.#beginSession(record, message.session, nowMs);
    const changed = takeBody(record, message);
    const wasPresentHere = record.statements.get(hub) === true;
    record.statements.set(hub, message.up);
    this.#settle(record, nowMs, changed);
    if (wasPresentHere && !message.up) this.#suspect(record, "will");
    return true;
  }

  /** A hub became unreachable, so what it said counts no more. `owner` is the node whose broker it is. */
  forgetHub(hub: string, owner: string | null, nowMs: number): void {
    const ownerRecord = owner === null ? undefined : this.#records.get(owner);
    if (ownerRecord !== undefined) this.#suspect(ownerRecord, "link");
    for (const record of this.#records.values()) {
      if (record.statements.delete(hub)) this.#settle(record, nowMs, false);
    }
  }

  /** A hub says nothing (more) about a node: its retained presence was cleared. */
  forgetStatement(hub: string, nodeId: string, nowMs: number): void {
    const record = this.#records.get(nodeId);
    if (record?.statements.delete(hub) === true) this.#settle(record, nowMs, false);
  }

  /** Forgets nodes that are down since before `downBeforeMs`. */
  forgetPeers(downBeforeMs: number): void {
    for (const record of this.#records.values()) {
      if (!record.up && record.downSinceMs < downBeforeMs) this.#remove(record);
    }
  }

  /** When the node went down; null if it is up or unknown. */
  downSinceMs(nodeId: string): number | null {
    const record = this.#records.get(nodeId);
    return record === undefined || record.up ? null : record.downSinceMs;
  }

  #beginSession(record: PeerRecord, session: number, nowMs: number): void {
    record.statements.clear();
    this.#settle(record, nowMs, false);
    record.session = session;
    record.revision = -1;
  }

  /** Brings `up` in line with the statements and tells the listeners what that changed. */
  #settle(record: PeerRecord, nowMs: number, changed: boolean): void {
    const wasUp = record.up;
    record.up = [...record.statements.values()].includes(true);
    if (wasUp !== record.up) record.suspect = false;
    if (wasUp && !record.up) record.downSinceMs = nowMs;
    this.#refresh(record);
    if (wasUp !== record.up) this.#tell(record, record.up ? "up" : "down");
    else if (changed && record.up) this.#tell(record, "changed");
  }

  #suspect(record: PeerRecord, sign: "link" | "will"): void {
    if (!record.up || record.suspect) return;
    record.suspect = true;
    this.#refresh(record);
    this.#emit({ kind: "suspect", nodeId: record.nodeId, peer: record.view, sign });
  }

  #tell(record: PeerRecord, kind: "up" | "changed" | "down"): void {
    this.#emit({ kind, nodeId: record.nodeId, peer: record.view });
  }

  #refresh(record: PeerRecord): void {
    const { nodeId, session, presence, up, suspect } = record;
    record.view = { nodeId, session, presence, up, suspect };
    this.#views.set(nodeId, record.view);
  }

  /** Makes room by forgetting the node that is down longest; false if none is down. */
  #evict(): boolean {
    let longest: PeerRecord | null = null;
    for (const record of this.#records.values()) {
      if (!record.up && (longest === null || record.downSinceMs < longest.downSinceMs)) longest = record;
    }
    if (longest !== null) this.#remove(longest);
    return longest !== null;
  }

  #remove(record: PeerRecord): void {
    this.#records.delete(record.nodeId);
    this.#views.delete(record.nodeId);
  }
}

function newRecord(message: PresenceMessage, nowMs: number): PeerRecord {
  const { nodeId, session } = message;
  return {
    nodeId,
    session,
    revision: -1,
    presence: null,
    statements: new Map(),
    up: false,
    suspect: false,
    downSinceMs: nowMs,
    view: { nodeId, session, presence: null, up: false, suspect: false },
  };
}

/** Keeps the body of the newest revision; an `up` also contradicts an earlier sign of death. */
function takeBody(record: PeerRecord, message: PresenceMessage): boolean {
  if (message.up) record.suspect = false;
  if (message.body === null || message.revision <= record.revision) return false;
  record.revision = message.revision;
  record.presence = message.body;
  return true;
}
