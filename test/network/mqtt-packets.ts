/** PUBLISH (MQTT 3.1.1, 2.2.1). */
const PUBLISH = 3;

/** Cuts a stream of MQTT bytes into its packets (MQTT 3.1.1, 2.2), however the stream was cut into chunks. */
export class MqttPackets {
  #rest = Buffer.alloc(0);

  /** The packets that are complete now. */
  push(chunk: Buffer): readonly Buffer[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const packets: Buffer[] = [];
    for (let length = lengthOf(this.#rest); length !== null; length = lengthOf(this.#rest)) {
      packets.push(this.#rest.subarray(0, length));
      this.#rest = this.#rest.subarray(length);
    }
    return packets;
  }
}

/** The topic of a PUBLISH packet; null for every other packet. */
export function publishedTopic(packet: Buffer): string | null {
  if ((packet[0] ?? 0) >> 4 !== PUBLISH) return null;
  const start = headerOf(packet)?.bytes ?? 0;
  const topicBytes = packet.readUInt16BE(start);
  return packet.toString("utf8", start + 2, start + 2 + topicBytes);
}

/** Of the packet at the start of `bytes`; null while it is not complete. */
function lengthOf(bytes: Buffer): number | null {
  const header = headerOf(bytes);
  if (header === null || bytes.length < header.bytes + header.remaining) return null;
  return header.bytes + header.remaining;
}

/** Fixed header: a byte, and the remaining length in seven bits a byte, the least significant first. */
function headerOf(bytes: Buffer): { readonly bytes: number; readonly remaining: number } | null {
  let remaining = 0;
  for (let at = 1; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    remaining += (byte & 0x7f) * 128 ** (at - 1);
    if ((byte & 0x80) === 0) return { bytes: at + 1, remaining };
    if (at === 4) throw new Error("MQTT: the remaining length has more than four bytes");
  }
  return null;
}
