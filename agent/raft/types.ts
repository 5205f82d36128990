/**
 * The nouns of consensus: members, configurations, entries, hard state. Plain data, shared with the log (which
 * makes it durable) and with the replica (which sends it).
 */

/** One incarnation of a node's Raft data. Opaque here; never used again once its log is lost. */
export type MemberId = string;

/**
 * Who votes and who only listens (Raft 6, joint consensus). While `outgoing` is not empty the configuration is
 * joint: every decision needs a majority of `voters` and one of `outgoing`.
 *
 * A configuration is in force from where it stands in the log, committed or not.
 */
export interface Configuration {
  readonly voters: readonly MemberId[];
  readonly outgoing: readonly MemberId[];
  readonly learners: readonly MemberId[];
}

/** The configuration of a member that has not heard from a cluster yet: it may grant votes, never ask for one. */
export const EMPTY_CONFIGURATION: Configuration = { voters: [], outgoing: [], learners: [] };

/** A configuration and the index of the entry that it came with. */
export interface PlacedConfiguration {
  readonly index: number;
  readonly configuration: Configuration;
}

export const NO_CONFIGURATION: PlacedConfiguration = { index: 0, configuration: EMPTY_CONFIGURATION };

/** A place in the log: the entry at `index` was made in `term`. (0, 0) is the place before the first entry. */
export interface LogPosition {
  readonly index: number;
  readonly term: number;
}

interface EntryPosition {
  /** From 1, without a gap. */
  readonly index: number;
  readonly term: number;
}

/** A leader's first entry of its term: it lets the entries of older terms commit (Raft 5.4.2). */
export interface NoopEntry extends EntryPosition {
  readonly kind: "noop";
}

export interface ConfigurationEntry extends EntryPosition {
  readonly kind: "configuration";
  readonly configuration: Configuration;
}

export interface CommandEntry extends EntryPosition {
  readonly kind: "command";
  /** Opaque to consensus. */
  readonly command: Uint8Array;
}

export type Entry = NoopEntry | ConfigurationEntry | CommandEntry;

/** What a member must remember across a crash besides its entries (Raft figure 2, persistent state). */
export interface HardState {
  readonly term: number;
  /** Who got this member's vote in `term`. */
  readonly vote: MemberId | null;
  /** Known to be committed. A hint that saves time at start: it needs no sync of its own. */
  readonly commit: number;
}

export const INITIAL_HARD_STATE: HardState = { term: 0, vote: null, commit: 0 };
