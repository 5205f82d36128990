import { writeToStream } from "mqtt-packet";

/**
 * The codec below `mqtt` and `aedes` keeps a buffer for each of the 65,536 numbers of two bytes from its first packet on. They take
 * 7 MB of a small box, and making one of two bytes is no work worth mentioning. For the whole process, so once is enough.
 */
export function keepNoNumbers(): void {
  writeToStream.cacheNumbers = false;
}
