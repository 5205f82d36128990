/**
 * Follows the packet boundaries in a stream of MQTT bytes, to see a packet that is too large by its fixed header
 * (MQTT 3.1.1, 2.2.3) and not after it filled the memory: neither `mqtt` nor `aedes` bounds the remaining length.
 */
export class FrameGuard {
  readonly #remainingLengthMax: number;
  #state: "type" | "length" | "body" = "type";
  #length = 0;
  #shift = 0;
  #bodyLeft = 0;

  constructor(remainingLengthMax: number) {
    this.#remainingLengthMax = remainingLengthMax;
  }

  /** Takes the next bytes of the stream. False if they announce a packet above the limit: end the connection. */
  accepts(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === "body") {
        const skipped = Math.min(this.#bodyLeft, chunk.length - at);
        at += skipped;
        this.#bodyLeft -= skipped;
        if (this.#bodyLeft === 0) this.#state = "type";
      } else if (this.#state === "type") {
        at += 1;
        this.#state = "length";
        this.#length = 0;
        this.#shift = 0;
      } else if (!this.#takeLengthByte(chunk[at++] ?? 0)) {
        return false;
      }
    }
    return true;
  }

  /** Remaining length: seven bits a byte, least significant first, at most four bytes. */
  #takeLengthByte(byte: number): boolean {
    if (this.#shift > 21) return false;
    this.#length += (byte & 0x7f) << this.#shift;
    this.#shift += 7;
    if (this.#length > this.#remainingLengthMax) return false;
    if ((byte & 0x80) !== 0) return true;
    this.#bodyLeft = this.#length;
    this.#state = this.#length === 0 ? "type" : "body";
    return true;
  }
}
