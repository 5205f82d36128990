import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import { invariant } from "../platform/invariant.ts";
import type { Configuration, Entry, HardState, LogPosition } from "../raft/types.ts";
import { type FrameContent, readUint53, writeUint53 } from "./record-frame.ts";

/** The version of everything in this folder that reaches the disk. */
export const LOG_FORMAT = 2;

/**
 * What the stream says, record by record. An entry whose index is not behind the last one replaces it and all that
 * follow it.
 */
export type LogRecord = Entry | HardStateRecord | BaseRecord | SegmentRecord | ClosedRecord;

export interface HardStateRecord {
  readonly kind: "hard-state";
  readonly hardState: HardState;
}

/** Entries up to `base` are not needed any more; after a `reset` none of the later ones either (a snapshot came). */
export interface BaseRecord {
  readonly kind: "base" | "reset";
  readonly base: LogPosition;
}

/**
 * The first record of every segment, part of the first batch in it: all that the stream has said before, but for the
 * entries, so that older segments can be removed. The header and the first 8 bytes of its payload (format, number)
 * stay as they are in all versions of the format.
 */
export interface SegmentRecord {
  readonly kind: "segment";
  readonly format: number;
  readonly number: number;
  /** Size of its file, which never shrinks. */
  readonly bytes: number;
  /** The last entry so far. */
  readonly last: LogPosition;
  readonly base: LogPosition;
  readonly hardState: HardState;
}

/** The log was closed in good order: everything before it was durable. */
export interface ClosedRecord {
  readonly kind: "closed";
}

const TYPES = {
  segment: 1,
  "hard-state": 2,
  base: 3,
  reset: 4,
  closed: 5,
  noop: 6,
  configuration: 7,
  command: 8,
} as const satisfies Readonly<Record<LogRecord["kind"], number>>;

const KIND_OF_TYPE: ReadonlyMap<number, LogRecord["kind"]> = new Map(
  (Object.keys(TYPES) as LogRecord["kind"][]).map((kind) => [TYPES[kind], kind]),
);

const EMPTY = new Uint8Array(0);
/** Payload of a segment's head without the vote. */
export const SEGMENT_FIXED_BYTES = 48;
/** Longest id of a member that a vote may name, in UTF-8. */
export const VOTE_BYTES_MAX = 256;

/** How a record looks in a frame. A command's payload is the command itself, not a copy. */
export function frameOfRecord(record: LogRecord): FrameContent {
  const type = TYPES[record.kind];
  switch (record.kind) {
    case "noop":
      return { type, index: record.index, term: record.term, payload: EMPTY };
    case "configuration":
      return { type, index: record.index, term: record.term, payload: encodeCbor(record.configuration) };
    case "command":
      return { type, index: record.index, term: record.term, payload: record.command };
    case "hard-state": {
      const { commit, term, vote } = record.hardState;
      return { type, index: commit, term, payload: encodeVote(vote) };
    }
    case "base":
    case "reset":
      return { type, index: record.base.index, term: record.base.term, payload: EMPTY };
    case "segment":
      return { type, index: record.last.index, term: record.last.term, payload: encodeSegment(record) };
    case "closed":
      return { type, index: 0, term: 0, payload: EMPTY };
  }
}

/** The record in a sound frame; undefined if its content makes no sense. Copies what it keeps of the payload. */
export function recordOfFrame(frame: FrameContent & { readonly payload: Buffer }): LogRecord | undefined {
  const kind = KIND_OF_TYPE.get(frame.type);
  const { index, term, payload } = frame;
  switch (kind) {
    case "noop":
      return { kind, index, term };
    case "configuration": {
      const configuration = parseConfiguration(decodeCbor(payload));
      return configuration && { kind, index, term, configuration };
    }
    case "command":
      return { kind, index, term, command: new Uint8Array(payload) };
    case "hard-state":
      return { kind, hardState: { term, vote: decodeVote(payload), commit: index } };
    case "base":
    case "reset":
      return { kind, base: { index, term } };
    case "segment":
      return decodeSegment({ index, term }, payload);
    case "closed":
      return { kind };
    case undefined:
      return undefined;
  }
}

/** An empty payload is no vote. */
function encodeVote(vote: string | null): Uint8Array {
  invariant(vote !== "", "A vote for a member without an id");
  const payload = vote === null ? EMPTY : Buffer.from(vote, "utf8");
  invariant(payload.length <= VOTE_BYTES_MAX, `A member id of ${payload.length} bytes is too long`);
  return payload;
}

function decodeVote(payload: Buffer): string | null {
  return payload.length === 0 ? null : payload.toString("utf8");
}

/** u32 format, u32 number, u64 base index, u64 base term, u64 commit, u64 term, u64 bytes, then the vote. */
function encodeSegment({ format, number, bytes, base, hardState }: SegmentRecord): Uint8Array {
  const fixed = Buffer.alloc(SEGMENT_FIXED_BYTES);
  fixed.writeUInt32LE(format, 0);
  fixed.writeUInt32LE(number, 4);
  writeUint53(fixed, 8, base.index);
  writeUint53(fixed, 16, base.term);
  writeUint53(fixed, 24, hardState.commit);
  writeUint53(fixed, 32, hardState.term);
  writeUint53(fixed, 40, bytes);
  return Buffer.concat([fixed, encodeVote(hardState.vote)]);
}

function decodeSegment(last: LogPosition, payload: Buffer): SegmentRecord | undefined {
  if (payload.length < 8) return undefined;
  const format = payload.readUInt32LE(0);
  const number = payload.readUInt32LE(4);
  const none = { index: 0, term: 0 };
  // Of another format only these two fields are known.
  if (format !== LOG_FORMAT || payload.length < SEGMENT_FIXED_BYTES) {
    return {
      kind: "segment",
      format,
      number,
      bytes: 0,
      last,
      base: none,
      hardState: { term: 0, vote: null, commit: 0 },
    };
  }
  return {
    kind: "segment",
    format,
    number,
    bytes: readUint53(payload, 40),
    last,
    base: { index: readUint53(payload, 8), term: readUint53(payload, 16) },
    hardState: {
      commit: readUint53(payload, 24),
      term: readUint53(payload, 32),
      vote: decodeVote(payload.subarray(SEGMENT_FIXED_BYTES)),
    },
  };
}

function parseConfiguration(value: unknown): Configuration | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { voters, outgoing, learners } = value as Readonly<Record<string, unknown>>;
  if (!isStrings(voters) || !isStrings(outgoing) || !isStrings(learners)) return undefined;
  return { voters, outgoing, learners };
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
