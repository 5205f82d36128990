import { crc32 } from "node:zlib";
import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import { SNAPSHOT_FILES, type SnapshotFileName, type SnapshotManifest } from "../store/snapshot.ts";
import type { LogPosition } from "../store/types.ts";
import { decodeRecord } from "./membership-record.ts";
import { asArray, asBytes, asInteger, asString, malformed } from "./wire-fields.ts";

/** How a member that needs a snapshot asks for one, and the answers, as CBOR. Decoders throw `malformed-datagram`. */

/** Opens a snapshot, or joins the one that is open. Asked again, it says the same. */
export const SNAPSHOT_OPEN = "snapshot/open";
/** Reads a piece of a file. */
export const SNAPSHOT_READ = "snapshot/read";
/** The sender needs it no more. */
export const SNAPSHOT_CLOSE = "snapshot/close";

/** One datagram of the bus takes a piece with room for its envelope: it is never fragmented, and never waits behind one that is. */
export const PIECE_BYTES_MAX = 48 * 1024;

export interface OpenRequest {
  readonly clusterId: string;
  /** An older snapshot is of no use. */
  readonly minIndex: number;
}

/** A snapshot that a member has open. */
export interface OpenedSnapshot {
  /** Of this opening on that member. */
  readonly id: string;
  readonly manifest: SnapshotManifest;
}

export interface ReadRequest {
  readonly id: string;
  readonly name: SnapshotFileName;
  readonly offset: number;
  readonly length: number;
}

/** `[cluster, minIndex]` */
export function encodeOpen({ clusterId, minIndex }: OpenRequest): Uint8Array {
  return encodeCbor([clusterId, minIndex]);
}

export function decodeOpen(bytes: Uint8Array): OpenRequest {
  const [clusterId, minIndex] = asArray(decodeCbor(bytes));
  return { clusterId: asString(clusterId), minIndex: asInteger(minIndex) };
}

/** `[id, index, term, [index, bytes] or null, [[name, bytes, sha256], ...]]` */
export function encodeOpened({ id, manifest }: OpenedSnapshot): Uint8Array {
  const { position, configuration, files } = manifest;
  const membership = configuration === null ? null : [configuration.index, configuration.bytes];
  const parts = files.map(({ name, bytes, sha256 }) => [name, bytes, sha256]);
  return encodeCbor([id, position.index, position.term, membership, parts]);
}

export function decodeOpened(bytes: Uint8Array): OpenedSnapshot {
  const [id, index, term, membership, parts] = asArray(decodeCbor(bytes));
  const files = asArray(parts).map((part) => {
    const [name, size, sha256] = asArray(part);
    return { name: asFileName(name), bytes: asInteger(size), sha256: asString(sha256) };
  });
  // Each once: both databases make one state.
  if (files.length !== SNAPSHOT_FILES.length || new Set(files.map(({ name }) => name)).size !== files.length)
    throw malformed("the files of a snapshot", parts);
  const position = { index: asInteger(index), term: asInteger(term) };
  const configuration = asConfiguration(membership, position);
  return { id: asString(id), manifest: { position, configuration, files } };
}

/** `[id, name, offset, length]` */
export function encodeRead({ id, name, offset, length }: ReadRequest): Uint8Array {
  return encodeCbor([id, name, offset, length]);
}

export function decodeRead(bytes: Uint8Array): ReadRequest {
  const [id, name, offset, rawLength] = asArray(decodeCbor(bytes));
  const length = asInteger(rawLength);
  if (length > PIECE_BYTES_MAX) throw malformed("a piece that fits a datagram", rawLength);
  return { id: asString(id), name: asFileName(name), offset: asInteger(offset), length };
}

/** `[crc32, bytes]` */
export function encodePiece(bytes: Uint8Array): Uint8Array {
  return encodeCbor([crc32(bytes), bytes]);
}

/** Throws `piece-damaged` unless it is what was sent, of `length` bytes: ask again. */
export function decodePiece(body: Uint8Array, length: number): Uint8Array {
  const [checksum, raw] = asArray(decodeCbor(body));
  const bytes = asBytes(raw);
  if (bytes.byteLength === length && crc32(bytes) === asInteger(checksum)) return bytes;
  throw new TrivetError(
    "piece-damaged",
    `A piece of a snapshot came with ${bytes.byteLength} of ${length} bytes or a wrong checksum: it is asked for again.`,
  );
}

/** `[id]` */
export function encodeClose(id: string): Uint8Array {
  return encodeCbor([id]);
}

export function decodeClose(bytes: Uint8Array): string {
  const [id] = asArray(decodeCbor(bytes));
  return asString(id);
}

function asFileName(value: unknown): SnapshotFileName {
  const name = SNAPSHOT_FILES.find((each) => each === value);
  if (name === undefined) throw malformed("the name of a database file", value);
  return name;
}

/** What is wrong with it must show now: once the databases are replaced there is no way back. */
function asConfiguration(value: unknown, position: LogPosition): SnapshotManifest["configuration"] {
  if (value === null) return null;
  const [rawIndex, rawBytes] = asArray(value);
  const index = asInteger(rawIndex);
  // The log of whoever installs the snapshot ends at its position.
  if (index > position.index) throw malformed("a membership of the snapshot or before", rawIndex);
  const bytes = asBytes(rawBytes);
  decodeRecord(bytes);
  return { index, bytes };
}
