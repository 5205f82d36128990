import { CBOR_HEAD_BYTES_MAX, CborReader, CborWriter } from "./cbor-fields.ts";

/** Which request of a node: what an earlier process of it had asked is not to be answered to the next one. */
interface RequestKey {
  /** Of the node that asks. */
  readonly session: number;
  /** Unique within the session. */
  readonly id: number;
}

/** CBOR array `[session, id, method, remainingMs, silenceMs, body]`. */
export interface RequestMessage extends RequestKey {
  readonly method: string;
  /** How long the sender still waits when it sends this. */
  readonly remainingMs: number;
  /** After how long without a word the sender takes it for lost; 0: it does not ask for one before the answer. */
  readonly silenceMs: number;
  readonly body: Uint8Array;
}

/** CBOR array `[session, id]` while the request is worked on, `[session, id, body]` for a result, `[session, id, code, message]` for an error. */
export type ReplyMessage = RequestKey &
  (
    | { readonly kind: "working" }
    | { readonly kind: "result"; readonly body: Uint8Array }
    | { readonly kind: "error"; readonly code: string; readonly message: string }
  );

const METHOD_BYTES_MAX = 64;
const CODE_BYTES_MAX = 256;
const MESSAGE_BYTES_MAX = 4096;

export function encodeRequest(request: RequestMessage): Uint8Array {
  const { session, id, method, remainingMs, silenceMs, body } = request;
  return new CborWriter(3 * method.length + body.byteLength + 7 * CBOR_HEAD_BYTES_MAX)
    .array(6)
    .uint(session)
    .uint(id)
    .text(method)
    .uint(Math.max(0, Math.ceil(remainingMs)))
    .uint(Math.max(0, Math.ceil(silenceMs)))
    .bytes(body)
    .finish();
}

/** Null for anything else than one request. */
export function decodeRequest(bytes: Uint8Array): RequestMessage | null {
  const reader = new CborReader(bytes);
  if (reader.array() !== 6) return null;
  const request = {
    session: reader.uint(),
    id: reader.uint(),
    method: reader.text(METHOD_BYTES_MAX),
    remainingMs: reader.uint(),
    silenceMs: reader.uint(),
    body: reader.bytes(),
  };
  return reader.done ? request : null;
}

export function encodeReply(reply: ReplyMessage): Uint8Array {
  if (reply.kind === "working") {
    return new CborWriter(3 * CBOR_HEAD_BYTES_MAX).array(2).uint(reply.session).uint(reply.id).finish();
  }
  if (reply.kind === "result") {
    return new CborWriter(reply.body.byteLength + 4 * CBOR_HEAD_BYTES_MAX)
      .array(3)
      .uint(reply.session)
      .uint(reply.id)
      .bytes(reply.body)
      .finish();
  }
  const code = reply.code.slice(0, CODE_BYTES_MAX / 4);
  const message = reply.message.slice(0, MESSAGE_BYTES_MAX / 4);
  return new CborWriter(3 * (code.length + message.length) + 5 * CBOR_HEAD_BYTES_MAX)
    .array(4)
    .uint(reply.session)
    .uint(reply.id)
    .text(code)
    .text(message)
    .finish();
}

/** Null for anything else than one reply. */
export function decodeReply(bytes: Uint8Array): ReplyMessage | null {
  const reader = new CborReader(bytes);
  const fields = reader.array();
  const key = { session: reader.uint(), id: reader.uint() };
  let reply: ReplyMessage;
  if (fields === 2) reply = { kind: "working", ...key };
  else if (fields === 3) reply = { kind: "result", ...key, body: reader.bytes() };
  else if (fields === 4) {
    reply = {
      kind: "error",
      ...key,
      code: reader.text(CODE_BYTES_MAX),
      message: reader.text(MESSAGE_BYTES_MAX),
    };
  } else return null;
  return reader.done ? reply : null;
}
