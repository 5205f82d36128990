import { crc32 } from "node:zlib";
import { invariant } from "../platform/invariant.ts";

/**
 * The bytes of one record: a header and a payload, each with its own CRC-32, so that the length in a sound header can
 * be trusted although the payload is damaged. All numbers are little-endian, frames begin at multiples of 8.
 *
 *     0  u32  magic "TVL1"              24  u64  index
 *     4  u8   type                      32  u64  term
 *     5  u8   flags: 1 = last of batch  40  u32  CRC of the payload and its padding
 *     6  u16  zero                      44  u32  CRC of bytes 0 to 43, seeded with the segment number
 *     8  u32  payload length            48       payload, padded with zeros to a multiple of 8
 *    12  u32  position in the batch
 *    16  u64  sequence of the batch
 *
 * For one length, CRC-32 maps its seed one to one: a header that was written for another segment number never
 * validates. So a segment file can be used again without being wiped.
 */
export const FRAME_HEADER_BYTES = 48;
const ALIGNMENT = 8;
const HEADER_CRC_AT = 44;
const FLAG_LAST = 1;
const MAGIC = Buffer.from("TVL1", "latin1");
const MAGIC_NUMBER = MAGIC.readUInt32LE(0);
const UINT32_END = 2 ** 32;

/** Longest payload of one record. The header could say more; a segment is read into one buffer. */
export const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;
/** Segment numbers are below this: they seed a 32-bit checksum. */
export const SEGMENT_NUMBER_END = UINT32_END;

/** What a frame says without regard to what it means. */
export interface FrameContent {
  readonly type: number;
  readonly index: number;
  readonly term: number;
  readonly payload: Uint8Array;
}

/** Where a frame stands: in which batch, at which place of it. */
export interface FramePlace {
  readonly segment: number;
  readonly sequence: number;
  readonly position: number;
  readonly isLast: boolean;
}

export interface FrameHeader extends Omit<FramePlace, "segment"> {
  readonly type: number;
  readonly index: number;
  readonly term: number;
  /** In bytes, without padding. */
  readonly payloadLength: number;
  readonly payloadCrc: number;
}

/** Bytes of a whole frame on disk; a multiple of 8. */
export function frameBytes(payloadLength: number): number {
  return FRAME_HEADER_BYTES + Math.ceil(payloadLength / ALIGNMENT) * ALIGNMENT;
}

/** Writes the frame at `offset` of `target`, which has room for it; returns the offset behind it. */
export function writeFrame(target: Buffer, offset: number, content: FrameContent, place: FramePlace): number {
  const { payload } = content;
  invariant(payload.length <= PAYLOAD_BYTES_MAX, `A log record of ${payload.length} bytes is too long`);
  invariant(place.position < UINT32_END, "A batch of the log has too many records");
  invariant(place.segment < SEGMENT_NUMBER_END, "The segment numbers of the log are used up");
  const payloadAt = offset + FRAME_HEADER_BYTES;
  const end = offset + frameBytes(payload.length);
  target.set(payload, payloadAt);
  target.fill(0, payloadAt + payload.length, end);
  target.writeUInt32LE(MAGIC_NUMBER, offset);
  target.writeUInt8(content.type, offset + 4);
  target.writeUInt8(place.isLast ? FLAG_LAST : 0, offset + 5);
  target.writeUInt16LE(0, offset + 6);
  target.writeUInt32LE(payload.length, offset + 8);
  target.writeUInt32LE(place.position, offset + 12);
  writeUint53(target, offset + 16, place.sequence);
  writeUint53(target, offset + 24, content.index);
  writeUint53(target, offset + 32, content.term);
  target.writeUInt32LE(crc32(target.subarray(payloadAt, end)), offset + 40);
  target.writeUInt32LE(headerCrc(target, offset, place.segment), offset + HEADER_CRC_AT);
  return end;
}

/** The header at `offset`, or undefined if no sound header of this segment stands there. */
export function readFrameHeader(image: Buffer, offset: number, segment: number): FrameHeader | undefined {
  if (offset + FRAME_HEADER_BYTES > image.length) return undefined;
  if (image.readUInt32LE(offset) !== MAGIC_NUMBER) return undefined;
  if (image.readUInt32LE(offset + HEADER_CRC_AT) !== headerCrc(image, offset, segment)) return undefined;
  return {
    type: image.readUInt8(offset + 4),
    isLast: image.readUInt8(offset + 5) === FLAG_LAST,
    payloadLength: image.readUInt32LE(offset + 8),
    position: image.readUInt32LE(offset + 12),
    sequence: readUint53(image, offset + 16),
    index: readUint53(image, offset + 24),
    term: readUint53(image, offset + 32),
    payloadCrc: image.readUInt32LE(offset + 40),
  };
}

/** The payload behind a sound header at `offset`, in place; undefined if it is cut off or damaged. */
export function readFramePayload(image: Buffer, offset: number, header: FrameHeader): Buffer | undefined {
  const payloadAt = offset + FRAME_HEADER_BYTES;
  const end = offset + frameBytes(header.payloadLength);
  if (end > image.length || crc32(image.subarray(payloadAt, end)) !== header.payloadCrc) return undefined;
  return image.subarray(payloadAt, payloadAt + header.payloadLength);
}

/** The next offset, from `offset` on, where a frame's magic stands; -1 if there is none. */
export function findFrameMagic(image: Buffer, offset: number): number {
  let found = image.indexOf(MAGIC, offset);
  while (found % ALIGNMENT !== 0 && found !== -1) found = image.indexOf(MAGIC, found + 1);
  return found;
}

/** Where the first frame at or behind `offset` may begin. */
export function alignFrame(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}

function headerCrc(bytes: Buffer, offset: number, segment: number): number {
  return crc32(bytes.subarray(offset, offset + HEADER_CRC_AT), segment);
}

/** Writes a whole number of 0 to 2^53 - 1 as a u64. */
export function writeUint53(target: Buffer, offset: number, value: number): void {
  invariant(Number.isSafeInteger(value) && value >= 0, `${value} is not a whole number below 2^53`);
  target.writeUInt32LE(value % UINT32_END, offset);
  target.writeUInt32LE(Math.floor(value / UINT32_END), offset + 4);
}

/** Reads what `writeUint53` wrote. */
export function readUint53(source: Buffer, offset: number): number {
  return source.readUInt32LE(offset) + source.readUInt32LE(offset + 4) * UINT32_END;
}
