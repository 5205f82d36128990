import { CBOR_HEAD_BYTES_MAX, CborReader, CborWriter } from "./cbor-fields.ts";
import { isNodeId } from "./topics.ts";

/**
 * What is in an MQTT payload: a CBOR array
 *
 *     [version, cluster, from, to, session, seq, kind, body, ?messageId, ?index, ?count, ?totalBytes]
 *
 * with the last four present together or not at all. This file is the only one that knows these bytes, so
 * sealing them (design 6) changes nothing but it.
 */
const ENVELOPE_VERSION = 1;
const PLAIN_FIELDS = 8;
const FRAGMENT_FIELDS = 12;
const KIND_BYTES_MAX = 32;
const CLUSTER_BYTES_MAX = 64;

/** One datagram. `body` may be a view of the receive buffer: copy it to keep it. */
export interface Envelope {
  readonly cluster: string;
  readonly from: string;
  readonly to: string;
  /** Of the sender's process; grows with each start of it. */
  readonly session: number;
  /** Unique and growing within the session. */
  readonly seq: number;
  readonly kind: string;
  readonly body: Uint8Array;
  /** Null if the body is whole. */
  readonly fragment: Fragment | null;
}

/** Which part of a larger body this is. All parts but the last have `ceil(totalBytes / count)` bytes. */
export interface Fragment {
  /** Unique within the sender's session. */
  readonly messageId: number;
  /** From 0 to `count - 1`. */
  readonly index: number;
  readonly count: number;
  readonly totalBytes: number;
}

/** Encodes what one process sends, and decodes what it receives. */
export class EnvelopeCodec {
  readonly #session: number;
  /** Version, cluster and sender are the same in every envelope: encoded once. */
  readonly #prefix: Uint8Array;

  constructor(sender: { readonly cluster: string; readonly nodeId: string; readonly session: number }) {
    this.#session = sender.session;
    this.#prefix = new CborWriter(256)
      .uint(ENVELOPE_VERSION)
      .text(sender.cluster)
      .text(sender.nodeId)
      .finish();
  }

  encode(to: string, seq: number, kind: string, body: Uint8Array, fragment: Fragment | null): Buffer {
    const capacity =
      this.#prefix.byteLength + to.length + kind.length + body.byteLength + 10 * CBOR_HEAD_BYTES_MAX;
    const writer = new CborWriter(capacity)
      .array(fragment === null ? PLAIN_FIELDS : FRAGMENT_FIELDS)
      .raw(this.#prefix)
      .text(to)
      .uint(this.#session)
      .uint(seq)
      .text(kind)
      .bytes(body);
    if (fragment !== null) {
      writer.uint(fragment.messageId).uint(fragment.index).uint(fragment.count).uint(fragment.totalBytes);
    }
    return writer.finish();
  }

  /** Null for anything that is not exactly one envelope of this version. Never throws. */
  decode(bytes: Uint8Array): Envelope | null {
    const reader = new CborReader(bytes);
    const fields = reader.array();
    if (fields !== PLAIN_FIELDS && fields !== FRAGMENT_FIELDS) return null;
    if (reader.uint() !== ENVELOPE_VERSION) return null;
    const cluster = reader.text(CLUSTER_BYTES_MAX);
    const from = reader.text(32);
    const to = reader.text(32);
    const session = reader.uint();
    const seq = reader.uint();
    const kind = reader.text(KIND_BYTES_MAX);
    const body = reader.bytes();
    const fragment = fields === PLAIN_FIELDS ? null : readFragment(reader);
    if (!reader.done || !isNodeId(from)) return null;
    return { cluster, from, to, session, seq, kind, body, fragment };
  }
}

function readFragment(reader: CborReader): Fragment {
  return {
    messageId: reader.uint(),
    index: reader.uint(),
    count: reader.uint(),
    totalBytes: reader.uint(),
  };
}
