import { CBOR_HEAD_BYTES_MAX, CborReader, CborWriter } from "./cbor-fields.ts";
import { isNodeId } from "./topics.ts";

/**
 * What is in an MQTT payload: a CBOR array
 *
 *     [version, cluster, from, to, session, seq, path, heard, kind, body, ?messageId, ?index, ?count, ?totalBytes]
 *
 * with the last four present together or not at all. This file is the only one that knows these bytes, so
 * sealing them (design 6) changes nothing but it.
 */
const ENVELOPE_VERSION = 1;
const PLAIN_FIELDS = 10;
const FRAGMENT_FIELDS = 14;
const KIND_BYTES_MAX = 32;
const CLUSTER_BYTES_MAX = 64;
const HEARD_MAX = 64;

/** One datagram. `body` may be a view of the receive buffer: copy it to keep it. */
export interface Envelope {
  readonly cluster: string;
  readonly from: string;
  readonly to: string;
  /** Of the sender's process; grows with each start of it. */
  readonly session: number;
  /** Unique and growing within the session. */
  readonly seq: number;
  /** The way it takes, numbered by the sender: copies on other ways have the same `seq`. */
  readonly path: number;
  /** On which of the receiver's paths the sender heard it since it last said so. At most 64. */
  readonly heard: readonly number[];
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

/** What differs from one envelope of a process to the next. */
export type Outgoing = Omit<Envelope, "cluster" | "from" | "session">;

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

  encode({ to, seq, path, heard, kind, body, fragment }: Outgoing): Buffer {
    const heads = FRAGMENT_FIELDS + heard.length;
    const capacity =
      this.#prefix.byteLength + to.length + kind.length + body.byteLength + heads * CBOR_HEAD_BYTES_MAX;
    const writer = new CborWriter(capacity)
      .array(fragment === null ? PLAIN_FIELDS : FRAGMENT_FIELDS)
      .raw(this.#prefix)
      .text(to)
      .uint(this.#session)
      .uint(seq)
      .uint(path)
      .array(heard.length);
    for (const heardPath of heard) writer.uint(heardPath);
    writer.text(kind).bytes(body);
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
    const path = reader.uint();
    const heardCount = reader.array();
    if (heardCount > HEARD_MAX) return null;
    const heard = Array.from({ length: heardCount }, () => reader.uint());
    const kind = reader.text(KIND_BYTES_MAX);
    const body = reader.bytes();
    const fragment = fields === PLAIN_FIELDS ? null : readFragment(reader);
    if (!reader.done || !isNodeId(from)) return null;
    return { cluster, from, to, session, seq, path, heard, kind, body, fragment };
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
