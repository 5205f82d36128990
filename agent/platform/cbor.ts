import { Decoder, Encoder } from "cbor-x";
import { TrivetError } from "./trivet-error.ts";

/**
 * CBOR (RFC 8949) without cbor-x's record and shared-structure extensions: any decoder can read it, and equal
 * values give equal bytes in every process. Integers beyond 2^53 are BigInt, byte strings Uint8Array.
 */
const options = {
  useRecords: false,
  structuredClone: false,
  mapsAsObjects: true,
  tagUint8Array: false,
} as const;
const encoder = new Encoder(options);
const decoder = new Decoder(options);

/** Encodes plain data: null, booleans, numbers, BigInt, strings, Uint8Array, arrays, objects. */
export function encodeCbor(value: unknown): Uint8Array {
  return encoder.encode(value);
}

/** Decodes what `encodeCbor` made. Throws a `TrivetError` `malformed-cbor` for anything else. */
export function decodeCbor(bytes: Uint8Array): unknown {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw new TrivetError("malformed-cbor", "The bytes are not valid CBOR.", { cause: error });
  }
}
