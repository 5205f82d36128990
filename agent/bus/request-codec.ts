import { CBOR_HEAD_BYTES_MAX, CborReader, CborWriter } from "./cbor-fields.ts";

/** CBOR array `[id, method, remainingMs, body]`. */
export interface RequestMessage {
  /** Unique within the sender's session. */
  readonly id: number;
  readonly method: string;
  /** How long the sender still waits when it sends this. */
  readonly remainingMs: number;
  readonly body: Uint8Array;
}

/** CBOR array `[id, body]` for a result, `[id, code, message]` for an error. */
export type ReplyMessage =
  | { readonly kind: "result"; readonly id: number; readonly body: Uint8Array }
  | { readonly kind: "error"; readonly id: number; readonly code: string; readonly message: string };

const METHOD_BYTES_MAX = 64;
const CODE_BYTES_MAX = 256;
const MESSAGE_BYTES_MAX = 4096;

export function encodeRequest(request: RequestMessage): Uint8Array {
  const { id, method, remainingMs, body } = request;
  return new CborWriter(3 * method.length + body.byteLength + 5 * CBOR_HEAD_BYTES_MAX)
    .array(4)
    .uint(id)
    .text(method)
    .uint(Math.max(0, Math.ceil(remainingMs)))
    .bytes(body)
    .finish();
}

/** Null for anything else than one request. */
export function decodeRequest(bytes: Uint8Array): RequestMessage | null {
  const reader = new CborReader(bytes);
  if (reader.array() !== 4) return null;
  const request = {
    id: reader.uint(),
    method: reader.text(METHOD_BYTES_MAX),
    remainingMs: reader.uint(),
    body: reader.bytes(),
  };
  return reader.done ? request : null;
}

export function encodeReply(reply: ReplyMessage): Uint8Array {
  if (reply.kind === "result") {
    return new CborWriter(reply.body.byteLength + 3 * CBOR_HEAD_BYTES_MAX)
      .array(2)
      .uint(reply.id)
      .bytes(reply.body)
      .finish();
  }
  const code = reply.code.slice(0, CODE_BYTES_MAX / 4);
  const message = reply.message.slice(0, MESSAGE_BYTES_MAX / 4);
  return new CborWriter(3 * (code.length + message.length) + 4 * CBOR_HEAD_BYTES_MAX)
    .array(3)
    .uint(reply.id)
    .text(code)
    .text(message)
    .finish();
}

/** Null for anything else than one reply. */
export function decodeReply(bytes: Uint8Array): ReplyMessage | null {
  const reader = new CborReader(bytes);
  const fields = reader.array();
  const id = reader.uint();
  let reply: ReplyMessage;
  if (fields === 2) reply = { kind: "result", id, body: reader.bytes() };
  else if (fields === 3) {
    reply = { kind: "error", id, code: reader.text(CODE_BYTES_MAX), message: reader.text(MESSAGE_BYTES_MAX) };
  } else return null;
  return reader.done ? reply : null;
}
