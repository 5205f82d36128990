import {
  alignFrame,
  type FrameHeader,
  findFrameMagic,
  frameBytes,
  readFrameHeader,
  readFramePayload,
} from "./record-frame.ts";

export interface PlacedFrame {
  /** In the segment, bytes. */
  readonly offset: number;
  readonly header: FrameHeader;
}

export interface SoundFrame extends PlacedFrame {
  /** In place: valid as long as the image is. */
  readonly payload: Buffer;
}

/** All records of one batch, each of them sound. */
export interface SoundBatch {
  readonly kind: "batch";
  readonly sequence: number;
  readonly offset: number;
  readonly end: number;
  readonly frames: readonly SoundFrame[];
}

export interface NoBatch {
  readonly kind: "none";
  /** Where it went wrong, and how. */
  readonly offset: number;
  readonly found: string;
}

/** The batch that begins at `offset` of the image of a segment file. */
export function readBatch(image: Buffer, segment: number, offset: number): SoundBatch | NoBatch {
  const frames: SoundFrame[] = [];
  for (let at = offset; ; ) {
    const none = (found: string): NoBatch => ({ kind: "none", offset: at, found });
    const header = readFrameHeader(image, at, segment);
    if (header === undefined) return none("no record with a sound header");
    const sequence = frames[0]?.header.sequence ?? header.sequence;
    if (header.sequence !== sequence || header.position !== frames.length) {
      return none(`record ${header.position} of batch ${header.sequence}`);
    }
    const payload = readFramePayload(image, at, header);
    if (payload === undefined)
      return none(`a record of batch ${sequence} whose payload is damaged or cut off`);
    frames.push({ offset: at, header, payload });
    at += frameBytes(header.payloadLength);
    if (header.isLast) return { kind: "batch", sequence, offset, end: at, frames };
  }
}

/**
 * Every sound header from `offset` on, whatever lies between them. Only headers count: they carry the sequence of their
 * batch, which is what there is to know about a record that is out of place.
 */
export function* findFrames(image: Buffer, segment: number, offset: number): Generator<PlacedFrame> {
  let at = findFrameMagic(image, alignFrame(offset));
  while (at !== -1) {
    const header = readFrameHeader(image, at, segment);
    if (header !== undefined) yield { offset: at, header };
    // The inside of a payload is the user's, and may look like anything.
    at = findFrameMagic(image, header === undefined ? at + 1 : at + frameBytes(header.payloadLength));
  }
}
