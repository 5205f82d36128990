/** A connection of this agent to a broker that agents meet on. */
export interface LinkStatus {
  readonly url: string;
  /** Whose embedded broker it is; null for a site broker, or while unknown. */
  readonly nodeId: string | null;
  readonly up: boolean;
  /** Why it is down; empty if it is up. */
  readonly reason: string;
}
